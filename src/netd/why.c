/* SPDX-License-Identifier: Apache-2.0 */
/* why.c - see why.h. */
#include "why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A message carries printable ASCII only, and zeros behind its end; words of a
 * library (nftables underlines what it dislikes) may hold anything. */
static void make_printable(struct netd_why *why)
{
    size_t len = strnlen(why->why, sizeof why->why - 1);

    for (size_t i = 0; i < len; i++)
        if (why->why[i] < ' ' || why->why[i] > '~')
            why->why[i] = ' ';
    memset(why->why + len, 0, sizeof why->why - len);
}

__attribute__((format(printf, 4, 0))) static int
say(struct netd_why *why, int err, const char *reason, const char *fmt, va_list ap)
{
    char text[sizeof why->why];

    if (why->why[0])
        return err;
    (void)vsnprintf(text, sizeof text, fmt, ap);
    (void)snprintf(why->why, sizeof why->why, "%.150s%s%s", text, *reason ? ": " : "", reason);
    make_printable(why);
    return err;
}

static const char *reason(int err)
{
    return err == -EMFILE ? "no more files may be open (ulimit -n)" : strerror(-err);
}

int why_failed(struct netd_why *why, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err = say(why, err, reason(err), fmt, ap);
    va_end(ap);
    return err;
}

int why_refused(struct netd_why *why, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err = say(why, err, "", fmt, ap);
    va_end(ap);
    return err;
}

int why_unwritten(struct netd_why *why, int err, const char *directory)
{
    const char *remedy = "";

    if (err == -ENOSPC || err == -EDQUOT)
        remedy = "; make room there";
    else if (err == -EROFS || err == -EACCES || err == -EPERM)
        remedy = "; make it writable";
    return why_refused(why, err, "cannot write to %.100s: %s%s", directory, strerror(-err), remedy);
}
