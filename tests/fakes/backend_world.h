/* SPDX-License-Identifier: Apache-2.0 */
/* backend_world.h - the Linux backend between a core that only takes notes and a fake netd, in a
 * directory of its own. When a world ends, every descriptor must have been given back. */
#pragma once
#include "backend_netd.h"
#include "backend_record.h"
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define IMPATIENT_USEC UINT64_C(1000000) /* of the backend with a netd that hangs */
#define PATIENT_USEC   UINT64_C(30000000)

struct world {
    char dir[64];
    struct paths paths;
    int state;
    sd_event *event;
    struct backend backend;
    size_t fds_before;
    /* What the core was told. */
    bool built, removed, started, inspected, forwarded;
    struct failure failure; /* the last one; err 0: it worked */
    struct net_handle *handle;
    struct iface_handle *iface;
    unsigned found, lost, live, interface_events, applied;
    struct net_def found_def;
    char lost_why[256];
};

size_t count_fds(void);

/* Without a netd and without a backend. */
void world_empty(struct world *w);
void world_begin(struct world *w);
void world_end(struct world *w);
void open_backend(struct world *w, const char *program);
void close_backend(struct world *w);

/* Runs the loop until the flag is set; a test that waits longer than 30 seconds fails. */
void await(struct world *w, const bool *flag, const char *what);
void run_for(struct world *w, unsigned ms);
/* For a test that waits until the backend has waited long enough; and for one whose netd answers,
 * however slowly, to what is asked of it at the end, too. */
void impatient(const struct world *w);
void patient(const struct world *w);

/* The core's ends of it, which note what they are told. */
struct backend_events core_events(struct world *w);
void on_core_built(void *arg, const struct failure *failure, struct net_handle *handle);
void on_core_removed(void *arg, const struct failure *failure);
void on_core_started(void *arg, const struct failure *failure, struct iface_handle *handle);
void on_core_forwarded(void *arg, const struct failure *failure);
void on_core_inspected(void *arg, const struct failure *failure);

void ask_build(struct world *w, const char *name);
void build(struct world *w, const char *name);
void must_build(struct world *w, const char *name);
void ask_remove(struct world *w);
/* On 'shared'. */
void start_as(struct world *w, uid_t uid, const char *name, unsigned queues);
void must_start(struct world *w, const char *name);
void end_interface(struct world *w);

/* Of the last failure. */
void assert_words(const struct world *w, int err, const char *words);
/* What the backend says is wrong, first. */
const char *problem(struct world *w);

#define AWAIT(w, condition)                                                                        \
    do {                                                                                           \
        uint64_t deadline_ = monotonic_usec() + 10000000;                                          \
        while (!(condition)) {                                                                     \
            if (monotonic_usec() > deadline_)                                                      \
                fail_msg("waited in vain: %s", #condition);                                        \
            assert_true(sd_event_run((w)->event, 10000) >= 0);                                     \
        }                                                                                          \
    } while (0)
