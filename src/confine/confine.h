/* SPDX-License-Identifier: Apache-2.0 */
/* confine.h - a process gives up what it does not need.
 *
 * Each program keeps the list of system calls that it makes beside the code that makes
 * them, and installs it once it has opened what only the start needs. A call that is on
 * no list ends the process on the spot (SIGSYS), and the kernel writes one line about it
 * (`journalctl -k -g type=1326`; the number after "syscall=" is put in words by
 * `scmp_sys_resolver`). There is no way back, and children inherit it.
 *
 * VMNET_BROKER_SECCOMP in the environment: `log` lets such calls happen and has the kernel
 * write them down, `off` installs nothing. For finding out, and for systems that we do not
 * know; it is the environment of whoever owns the process.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* One call. Several lines for one are alternatives. */
struct call_rule {
    const char *name; /* NULL ends a list. One that this system does not have is no error */
    unsigned arg;     /* with a mask: only while the bits of this argument ... */
    uint64_t mask, value;
    int error; /* not 0: neither allowed nor deadly, it just fails with this */
};

#define CALL(call)                                                                                 \
    {                                                                                              \
        .name = (call)                                                                             \
    }
#define CALL_IF(call, number, bits, wanted)                                                        \
    {                                                                                              \
        .name = (call), .arg = (number), .mask = (bits), .value = (wanted)                         \
    }
#define CALL_FAILS(call, errno_)                                                                   \
    {                                                                                              \
        .name = (call), .error = (errno_)                                                          \
    }
#define CALLS_END                                                                                  \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* The whole of an argument that is an int. */
#define WHOLE   0xffffffffu
/* Of open()'s flags: whatever could change a file. */
#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC)

/* Built with a sanitizer, which forks, traces and looks at files on its own. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Everything but what these lists allow ends the process. Sets no_new_privs. 0, or a
 * negative errno and nothing has changed. */
int confine_to(const struct call_rule *const *lists, size_t n);
/* The other way round, for who starts programs that we did not write: only what is on
 * this list ends it, and them. */
int confine_not(const struct call_rule *list);

/* No capability, in no set, and none to be had by exec(). Sets no_new_privs. For root,
 * too: afterwards it is a user like others, who happens to own root's files. */
int confine_without_capabilities(void);

/* What a C program needs for being one: memory, time, signals, threads' locks, its
 * descriptors, its end. No thread, no file, no socket. */
extern const struct call_rule calls_c_library[];
/* sd-event. */
extern const struct call_rule calls_event_loop[];
/* A thread, and no process. */
extern const struct call_rule calls_thread[];
/* Looking at files. */
extern const struct call_rule calls_read_files[];
/* Nothing, unless the sanitizers are in; confine_to() adds it by itself. */
extern const struct call_rule calls_sanitizers[];
/* For confine_not(): what no program of ours, and none that we start, ever does. */
extern const struct call_rule calls_never[];
