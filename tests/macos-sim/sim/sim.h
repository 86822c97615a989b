/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h - what the files of the macOS simulator share.
 *
 * The simulator lets the unmodified macOS sources run on Linux, as separate
 * processes, so that every change is tried. It has the calls that we use and no
 * others, written from Apple's documented behaviour; where a Mac ends the
 * program for a mistake (an over-release, a peer without a handler, ...) so
 * does the simulator, with a message. It vouches for nothing else: not for
 * ordering across queues, code signing, sandboxing, or real bridges.
 *
 *   object.c          reference counts, and who may be released how
 *   xpc_object.c      dictionaries and values     xpc_wire.c  the same as bytes
 *   xpc_connection.c  connections over SOCK_SEQPACKET sockets $SIM_DIR/NAME.sock
 *   dispatch.c        queues, semaphores, time    dispatch_source.c  timers, signals
 *   events.c          the one epoll thread        runtime.c   knobs, transactions, launchd
 *   vmnet.c           networks: locked files $SIM_DIR/subnet-A.B.C.0
 *   vmnet_interface.c frames between processes
 *
 * Knobs: SIM_DIR (required), SIM_TIME_SCALE=60 makes two minutes two seconds,
 * SIM_FAIL=vmnet_network_create=1002 makes a call fail and
 * SIM_DELAY=vmnet_network_create=500 makes it slow by so many real milliseconds
 * (both also read from files $SIM_DIR/fail and $SIM_DIR/delay, for a running
 * process; a call that is being delayed goes on when its delay is taken back;
 * $SIM_DIR/delayed-CALL tells that one is, or was), SIM_TRACE=1 prints.
 */
#pragma once
#include <dispatch/dispatch.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <xpc/xpc.h>

/* ---- object.c ---- */
enum sim_family { SIM_XPC, SIM_DISPATCH, SIM_CF };

struct sim_class {
    const char *name;
    enum sim_family family;
    void (*dispose)(void *object); /* frees what the object owns, not the object */
};

struct sim_object {
    uint32_t magic;
    atomic_int refs; /* IMMORTAL: never freed */
    const struct sim_class *class;
};

#define SIM_MAGIC    0x51b0b1ecu
#define SIM_IMMORTAL 0x40000000

/* Apple's xpc_type_t and dispatch_source_type_t point at these. */
struct _xpc_type_s {
    struct sim_class class;
};

void *sim_new(size_t size, const struct sim_class *class); /* zeroed, one reference */
/* Abort unless object is alive and of that family; caller is the API function's name. */
struct sim_object *sim_check(const void *object, enum sim_family family, const char *caller);
void sim_retain(const void *object, enum sim_family family, const char *caller);
void sim_release(const void *object, enum sim_family family, const char *caller);
_Noreturn void sim_misuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *sim_malloc(size_t size); /* zeroed, or the test ends */

/* Block_copy() and Block_release(), in a way that ThreadSanitizer can follow: the runtime's
 * own counting is invisible to it. */
void *sim_block_copy_(const void *block);
void sim_block_release_(const void *block);
#define sim_block_copy(block)    ((__typeof__(block))sim_block_copy_((const void *)(block)))
#define sim_block_release(block) sim_block_release_((const void *)(block))

/* ---- runtime.c ---- */
const char *sim_dir(void);
double sim_time_scale(void);
void sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The code that this call shall fail with, 0: let it work. Sleeps first if told so. */
long sim_injected(const char *call);
/* The listening socket that launchd gave us for a service; -1: not ours. */
int sim_service_socket(const char *name);
/* The runtime's own transactions beside the program's: one for each message received. */
void sim_transaction(int delta);
/* A thread that takes no signals and that nobody waits for. */
void sim_start_thread(void *(*fn)(void *argument), void *argument, const char *what);

/* ---- events.c ---- */
struct sim_watch;
/* Calls fn(object) on the event thread when fd is readable, once; sim_watch_again() for the
 * next time. Keeps a reference to object until sim_watch_remove(). */
struct sim_watch *sim_watch_add(int fd, void (*fn)(void *object), void *object);
void sim_watch_again(struct sim_watch *watch);
void sim_watch_remove(struct sim_watch *watch); /* fn may be running, but begins no more */

/* ---- dispatch.c ---- */
dispatch_queue_t sim_current_queue(void);
uint64_t sim_now(void);                       /* simulated nanoseconds */
uint64_t sim_real_nsec(dispatch_time_t when); /* CLOCK_MONOTONIC, for timerfd; at least 1 */
void sim_source_activate(dispatch_source_t source, const char *caller);
void sim_source_check_release(dispatch_source_t source);
extern const struct sim_class sim_source_class;

/* ---- xpc_object.c ---- */
struct sim_entry {
    char *key; /* NULL in arrays */
    xpc_object_t value;
};

struct xpc_value {
    struct sim_object base;
    union {
        int64_t i;
        uint64_t u;
        bool b;
        struct {
            unsigned char *bytes; /* strings: with a NUL that len does not count */
            size_t len;
        } data;
        unsigned char uuid[16];
        struct {
            struct sim_entry *entries;
            size_t n;
        } list;
    };
    /* What makes a dictionary a message. */
    struct {
        xpc_connection_t connection; /* retained: where it came from; NULL: made here */
        uint64_t request;            /* unanswered request, or in a reply: what it answers */
        bool is_reply, transaction;
    } msg;
};

void sim_entry_add(struct xpc_value *list, const char *key, xpc_object_t value); /* takes value */

/* ---- xpc_wire.c ---- */
#define SIM_FRAME_MAX (160u << 10)
struct sim_bytes {
    unsigned char *p;
    size_t len, size;
};
void sim_bytes_put(struct sim_bytes *to, const void *data, size_t len);
void sim_encode(struct sim_bytes *to, xpc_object_t value);
xpc_object_t sim_decode(const unsigned char *p, size_t len); /* NULL: not what we wrote */

/* ---- xpc_connection.c ---- */
void sim_connection_check_release(xpc_connection_t connection);
/* The requester's wait ends: the request was dropped unanswered. */
void sim_connection_abandon(xpc_connection_t connection, uint64_t request);
/* launchd wants us to go: every peer hears it. */
void sim_connections_terminate(void);
