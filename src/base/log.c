/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - writes log lines; see log.h for who should.
 *
 * A line is formatted into one buffer and written with one write(), so that
 * lines of several processes sharing a log file never mix. Failing to log is
 * never an error: a full disk must not stop a network.
 */
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = { "error", "warning", "info", "debug" };
static const int syslog_levels[] = { 3, 4, 6, 7 };

static struct {
    const char *program;
    enum log_level level;
    bool journal;
} logger = { "vmnet-broker", LOG_LEVEL_INFO, false };

void log_init(const char *program, enum log_level level)
{
    logger.program = program;
    logger.level = level;
    logger.journal = getenv("JOURNAL_STREAM") != NULL;
}

int log_level_parse(const char *text, enum log_level *ret)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

enum log_level log_level(void)
{
    return logger.level;
}

static int prefix(char *buf, size_t size, enum log_level level)
{
    if (logger.journal)
        return snprintf(buf, size, "<%d>", syslog_levels[level]);

    char when[32] = "?";
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm))
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    return snprintf(buf, size, "%s %s[%d] %s: ", when, logger.program, (int)getpid(),
                    level_names[level]);
}

__attribute__((format(printf, 2, 0))) static void write_line(enum log_level level, const char *fmt,
                                                             va_list ap, const char *reason)
{
    char buf[1024];
    size_t room = sizeof buf - 1; /* one for the newline */

    int n = prefix(buf, room, level);
    if (n < 0)
        return;
    size_t len = (size_t)n;
    n = vsnprintf(buf + len, room - len, fmt, ap);
    if (n < 0)
        return;
    len = (size_t)n < room - len ? len + (size_t)n : room - 1;
    if (reason && len < room - 1) {
        n = snprintf(buf + len, room - len, ": %s", reason);
        len = n > 0 && (size_t)n < room - len ? len + (size_t)n : room - 1;
    }
    for (size_t i = 0; i < len; i++) /* a peer's bytes must not forge lines */
        if ((unsigned char)buf[i] < ' ' || buf[i] == 0x7f)
            buf[i] = '?';
    buf[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, buf, len);
    (void)ignored;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (level > logger.level)
        return;
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    write_line(level, fmt, ap, NULL);
    va_end(ap);
    errno = saved;
}

/* ---- users ---- */

/* Users whose uids end alike share one, so that there are few for good. */
static struct quota {
    time_t since;
    unsigned lines;
} quotas[64];

/* 1: write it. 0: write that the following ones are left out. -1: leave it out. */
static int take_quota(uid_t uid)
{
    struct quota *quota = &quotas[uid % (sizeof quotas / sizeof *quotas)];
    time_t now = time(NULL);

    if (now < quota->since || now - quota->since >= 60)
        *quota = (struct quota){ .since = now };
    if (quota->lines > LOG_USER_LINES)
        return -1;
    return ++quota->lines <= LOG_USER_LINES;
}

void log_user(uid_t uid, enum log_level level, const char *fmt, ...)
{
    if (level > logger.level)
        return;
    int saved = errno, may = level == LOG_LEVEL_DEBUG ? 1 : take_quota(uid);
    va_list ap;
    va_start(ap, fmt);
    if (may > 0)
        write_line(level, fmt, ap, NULL);
    va_end(ap);
    if (may == 0 && uid == LOG_EVERYBODY)
        log_warning("more than %u lines about networks in a minute: leaving out the next ones",
                    LOG_USER_LINES);
    else if (may == 0)
        log_warning("[uid %u] more than %u lines in a minute: leaving out this user's next ones",
                    (unsigned)uid, LOG_USER_LINES);
    errno = saved;
}

int log_failure(int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line(LOG_LEVEL_ERROR, fmt, ap, strerror(-err));
    va_end(ap);
    return err;
}
