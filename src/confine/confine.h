/* SPDX-License-Identifier: Apache-2.0 */
/* confine.h - a process gives up what it does not need: system calls, files, capabilities.
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
#include <sys/types.h>

/* With a mask: only while those bits of this argument have this value. */
struct call_condition {
    unsigned arg;
    uint64_t mask, value;
};

/* One call. Several lines for one are alternatives. */
struct call_rule {
    const char *name; /* NULL ends a list. One that this system does not have is no error */
    struct call_condition when, and;
    int error; /* not 0: neither allowed nor deadly, it just fails with this */
};

#define CALL(call)                                                                                 \
    {                                                                                              \
        .name = (call)                                                                             \
    }
#define CALL_IF(call, number, bits, wanted)                                                        \
    {                                                                                              \
        .name = (call), .when = {(number), (bits), (wanted) }                                      \
    }
/* A socket of this family, and of this type or protocol. */
#define SOCKET_OF_TYPE(family, type)                                                               \
    {                                                                                              \
        .name = "socket", .when = { 0, WHOLE, (family) }, .and = { 1, 0xf, (type) }                \
    }
#define SOCKET_FAILS(family, type, errno_)                                                         \
    {                                                                                              \
        .name = "socket", .when = { 0, WHOLE, (family) }, .and = { 1, 0xf, (type) },               \
        .error = (errno_)                                                                          \
    }
#define SOCKET_OF_PROTOCOL(family, protocol)                                                       \
    {                                                                                              \
        .name = "socket", .when = { 0, WHOLE, (family) }, .and = { 2, WHOLE, (protocol) }          \
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

/* For a program that we did not write and do not want to lose: what is on no list fails with
 * EPERM. Made beforehand, because making takes longer than the whole start of that program;
 * confine_as() is for the child that is about to become it. */
struct confine_filter {
    void *code;    /* NULL: VMNET_BROKER_SECCOMP=off */
    size_t length; /* of instructions */
};
int confine_prepare(const struct call_rule *const *lists, size_t n, struct confine_filter *ret);
int confine_as(const struct confine_filter *filter);

/* The other way round, for who starts programs that we did not write: only what is on
 * this list ends it, and them. */
int confine_not(const struct call_rule *list);

/* What is possible below a directory, or with the one file. */
enum file_right {
    FILES_READ = 1 << 0,    /* and list */
    FILES_RUN = 1 << 1,     /* as a program; libraries are only read */
    FILES_WRITE = 1 << 2,   /* those that exist */
    FILES_MAKE = 1 << 3,    /* make, rename, remove: files and directories */
    FILES_LISTEN = 1 << 4,  /* make and remove sockets, make directories for them */
    FILES_CONTROL = 1 << 5, /* ioctl() of a device */
    FILES_PIPE = 1 << 6,    /* make named pipes */
};

struct file_rule {
    const char *path; /* followed now, not later. One that does not exist is no error */
    unsigned may;     /* enum file_right */
};

#define FILES_READ_ANY (1u << 0) /* reading stays as it is */
#define FILES_ALONE    (1u << 1) /* no signals, and no abstract sockets, of those outside */

/* From now on no file can be touched but as these rules say; what is open stays open. Nor can
 * anything be mounted, or a process outside be traced or its memory be read through /proc.
 * Children inherit it. Sets no_new_privs. Linux 5.13 with Landlock: elsewhere -EOPNOTSUPP, also
 * by VMNET_BROKER_LANDLOCK=off in the environment, and nothing has changed. What a kernel's
 * Landlock does not know yet stays possible. */
int confine_files(const struct file_rule *rules, size_t n, unsigned flags);
/* Of Landlock; 0: there is none, or it is switched off. */
int confine_files_version(void);

/* No capability, in no set, and none to be had by exec(). Sets no_new_privs. For root,
 * too: afterwards it is a user like others, who happens to own root's files. */
int confine_without_capabilities(void);
/* The same but for these, of whoever has them. */
int confine_to_capabilities(const int *keep, size_t n);

/* Root becomes this user, with these groups (besides gid), and of root's capabilities keeps these
 * and none else to be had again: not to use itself, but for what it executes. 0, or a negative
 * errno: then nobody knows who it is, and it must end. */
struct user_shoes {
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t n_groups;
    const int *capabilities;
    size_t n_capabilities;
};
int confine_to_user(const struct user_shoes *shoes);

/* What a C program needs for being one: memory, time, signals, threads' locks, its
 * descriptors, its end. No thread, no file, no socket. */
extern const struct call_rule calls_c_library[];
/* sd-event. */
extern const struct call_rule calls_event_loop[];
/* A thread, and no process. */
extern const struct call_rule calls_thread[];
/* Looking at files. */
extern const struct call_rule calls_read_files[];
/* Opening them for writing, and nothing that changes one without that. */
extern const struct call_rule calls_write_files[];
/* Using sockets. Which ones may be made, and whether they may listen or connect, is for each
 * program to say. */
extern const struct call_rule calls_sockets[];
/* Nothing, unless the sanitizers are in; confine_to() adds it by itself. */
extern const struct call_rule calls_sanitizers[];
/* For confine_not(): what no program of ours, and none that we start, ever does. */
extern const struct call_rule calls_never[];
