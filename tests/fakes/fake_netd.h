/* SPDX-License-Identifier: Apache-2.0 */
/* fake_netd.h - a netd that is only a thread: it speaks the messages of wire/netd_msg.h and
 * can be slow, die, refuse, and talk nonsense at any operation.
 *
 * A TAP is stood for by a pipe: the fake passes the writing ends, and sees at the reading
 * end when the last of them is closed, as the kernel does for netd.
 */
#pragma once
#include "netd_msg.h"
#include "paths.h"

#include <pthread.h>
#include <stdbool.h>

#define FAKE_NETS     4
#define FAKE_TAPS     16
#define FAKE_FORWARDS 16

enum misdeed { NOTHING_BAD, HANG, DIE, GARBAGE, REFUSE, TAKEN, NEWER, OLDER };

struct fake_netd {
    pthread_mutex_t lock;
    pthread_cond_t up; /* serving has become true */
    pthread_t thread;
    bool serving;
    int listener, session, stop[2];
    /* What it does wrong, at which operation, once. */
    enum misdeed misdeed;
    uint16_t at;
    struct netd_msg held_back; /* what HANG did not answer; op 0: nothing */
    unsigned asked[NETD_REMOVE_FORWARD + 1];
    struct netd_network networks[FAKE_NETS];
    struct netd_interface taps[FAKE_TAPS];
    int tap_fds[FAKE_TAPS];        /* reading ends; -1: no descriptor of it is open */
    struct netd_stranded stranded; /* holder 0: none is */
    struct netd_forward forwards[FAKE_FORWARDS];
    size_t n_networks, n_taps, n_forwards;
    struct netd_interface last_tap;
    struct netd_reservation reserved[64]; /* the list that was told last */
    size_t n_reserved;
    uint32_t idle_timeout_sec;
};

/* The only one. Whoever looks inside while it runs holds its lock. */
extern struct fake_netd fake;

void fake_start(const struct paths *paths);
void fake_stop(void);
void misbehave(enum misdeed misdeed, uint16_t at);
/* How often the backend has asked for this. */
unsigned fake_asked(uint16_t op);
/* What HANG did not answer is answered now; or when it comes, for the thread may be late itself. */
void fake_answer_held_back(void);

/* For tests that hold the lock, and step in. */
void fake_say(const struct netd_header *to, uint32_t flags, int err, const void *body, size_t len,
              const int *fds, size_t n_fds);
void fake_event(uint16_t op, const void *body, size_t len);
void fake_answer(const struct netd_msg *msg);
void fake_tap_gone(size_t i);
void fake_hang_up(void);
