/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - one line a fact, said once, by whoever knows the intention.
 *
 * Inner code returns a negative errno and stays quiet; the function that knows
 * what was being attempted for whom logs it, naming network, peer and object.
 * Lines go to standard error with the sd-daemon(3) level prefix ("<3>") where a
 * journal reads it, and with time and level in words elsewhere.
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <sys/types.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* program: shown in every line of a file log; borrowed for good. */
void log_init(const char *program, enum log_level level);

/* "error", "warning", "info", "debug". Returns 0, or -EINVAL and changes nothing. */
int log_level_parse(const char *text, enum log_level *ret);

enum log_level log_level(void);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Lines of one user that are written each minute: 150 VMs that come and go. */
#define LOG_USER_LINES 600u

/* For what a user can cause as often as they like: of such lines those beyond
 * LOG_USER_LINES are left out, after one that says so, so that nobody fills the disk or
 * drowns what is said of others. */
__attribute__((format(printf, 3, 4))) void log_user(uid_t uid, enum log_level level,
                                                    const char *fmt, ...);
/* The uid of what belongs to no single user. */
#define LOG_EVERYBODY ((uid_t)-1)

/* Logs the text with ": <strerror>" behind it and returns err, so that a caller
 * can write `return log_failure(r, "network '%s': cannot ...", name)`. */
__attribute__((format(printf, 2, 3))) int log_failure(int err, const char *fmt, ...);
