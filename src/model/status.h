/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - the protocol's numbers, and the one place that chooses them.
 *
 * Everything below the protocol speaks negative errno. status_from_errno() is
 * where an errno becomes a number that a client sees; nobody else decides.
 */
#pragma once

enum status {
    STATUS_SUCCESS = 0,         /* client side only                                */
    STATUS_XPC_FAILURE = 1,     /* client side only: broker not reached, or lost   */
    STATUS_INVALID_REPLY = 2,   /* client side only                                */
    STATUS_NOT_ALLOWED = 3,     /* -EPERM, -EACCES; -EDQUOT: a limit of this user  */
    STATUS_INVALID_REQUEST = 4, /* -EINVAL, -EPROTO, -ENAMETOOLONG                 */
    STATUS_NOT_FOUND = 5,       /* -ENOENT; -EBADMSG: its definition is broken       */
    STATUS_CREATE_FAILURE = 6,  /* -EADDRNOTAVAIL, -EADDRINUSE, -ENETDOWN and what
                                 * else a backend reports while it creates          */
    STATUS_INTERNAL_ERROR = 7,  /* -ENOMEM and all that nobody planned for         */
};

/* err: a negative errno. Never returns STATUS_SUCCESS. */
enum status status_from_errno(int err);
/* The same for what a backend reports when it cannot create a network: that is a
 * CREATE_FAILURE whatever the errno, except for lack of memory in the broker itself. */
enum status status_from_create_errno(int err);

/* An English sentence without a full stop, for any value; never NULL. Static. */
const char *status_text(int status);

/* The Varlink error's short name ("NotAllowed"), NULL for 0, 1, 2 and unknown. Static. */
const char *status_error_name(enum status status);

/* The inverse of status_error_name(); STATUS_INTERNAL_ERROR for an unknown name. */
enum status status_from_error_name(const char *name);

/* Why something failed, in words fit for the one who asked.
 * Filled in by whoever knows; err is 0 or a negative errno. */
struct failure {
    int err;
    char why[512]; /* a path may be in it */
};

/* Sets both and returns err, so that a caller can `return failure_set(f, -EPERM, ...)`.
 * f may be NULL. */
__attribute__((format(printf, 3, 4))) int failure_set(struct failure *f, int err, const char *fmt,
                                                      ...);
