/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - from errno to the protocol's numbers and words, in tables.
 *
 * An errno that no table names is one that nobody planned for: INTERNAL_ERROR, so
 * that it is noticed and given its place, never dressed up as something it is not.
 */
#include "status.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define N(a) (sizeof(a) / sizeof *(a))

static const struct {
    int err;
    enum status status;
} by_errno[] = {
    { EPERM, STATUS_NOT_ALLOWED },
    { EACCES, STATUS_NOT_ALLOWED },
    { EDQUOT, STATUS_NOT_ALLOWED },
    { EINVAL, STATUS_INVALID_REQUEST },
    { EPROTO, STATUS_INVALID_REQUEST },
    { ENAMETOOLONG, STATUS_INVALID_REQUEST },
    { ENOENT, STATUS_NOT_FOUND },
    { EBADMSG, STATUS_NOT_FOUND }, /* a broken definition counts as none */
    /* The address, name or device is taken, or none is left. */
    { EADDRNOTAVAIL, STATUS_CREATE_FAILURE },
    { EADDRINUSE, STATUS_CREATE_FAILURE },
    { EEXIST, STATUS_CREATE_FAILURE },
    { EBUSY, STATUS_CREATE_FAILURE },
    { ENOSPC, STATUS_CREATE_FAILURE },
    /* The system lacks something, or said no. */
    { ENETDOWN, STATUS_CREATE_FAILURE },
    { ENODEV, STATUS_CREATE_FAILURE },
    { ENXIO, STATUS_CREATE_FAILURE },
    { EOPNOTSUPP, STATUS_CREATE_FAILURE },
    { EIO, STATUS_CREATE_FAILURE },
    /* The helper that creates does not answer, or is another build's. */
    { ETIMEDOUT, STATUS_CREATE_FAILURE },
    { ECONNREFUSED, STATUS_CREATE_FAILURE },
    { ECONNRESET, STATUS_CREATE_FAILURE },
    { EPIPE, STATUS_CREATE_FAILURE },
    { EPROTONOSUPPORT, STATUS_CREATE_FAILURE },
};

static const struct {
    const char *text;
    const char *error_name;
} by_status[] = {
    [STATUS_SUCCESS] = { "Success", NULL },
    [STATUS_XPC_FAILURE] = { "The broker could not be reached, or the connection to it broke",
                             NULL },
    [STATUS_INVALID_REPLY] = { "The broker's reply makes no sense", NULL },
    [STATUS_NOT_ALLOWED] = { "Not allowed: policy denies it, or a limit is reached", "NotAllowed" },
    [STATUS_INVALID_REQUEST] = { "The request is malformed", "InvalidRequest" },
    [STATUS_NOT_FOUND] = { "No such network is defined", "NotFound" },
    [STATUS_CREATE_FAILURE] = { "The system refused to create it", "CreateFailure" },
    [STATUS_INTERNAL_ERROR] = { "Internal error of the broker", "InternalError" },
};

enum status status_from_errno(int err)
{
    for (size_t i = 0; i < N(by_errno); i++)
        if (-by_errno[i].err == err)
            return by_errno[i].status;
    return STATUS_INTERNAL_ERROR;
}

enum status status_from_create_errno(int err)
{
    return err == -ENOMEM ? STATUS_INTERNAL_ERROR : STATUS_CREATE_FAILURE;
}

const char *status_text(int status)
{
    if (status < 0 || (size_t)status >= N(by_status))
        return "Unknown status";
    return by_status[status].text;
}

const char *status_error_name(enum status status)
{
    return (size_t)status < N(by_status) ? by_status[status].error_name : NULL;
}

enum status status_from_error_name(const char *name)
{
    for (size_t i = 0; i < N(by_status); i++)
        if (by_status[i].error_name && strcmp(by_status[i].error_name, name) == 0)
            return (enum status)i;
    return STATUS_INTERNAL_ERROR;
}

int failure_set(struct failure *f, int err, const char *fmt, ...)
{
    if (!f)
        return err;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(f->why, sizeof f->why, fmt, ap); /* a long reason is cut, not lost */
    va_end(ap);
    f->err = err;
    return err;
}
