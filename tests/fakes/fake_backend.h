/* SPDX-License-Identifier: Apache-2.0 */
/* fake_backend.h - a backend that changes nothing, and answers when the test says so.
 *
 * Whatever the core asks becomes a pending job. A test finishes jobs in the order it
 * likes, well or badly, or lets the next request fail at once. Handles are counted,
 * so that a test sees what was never dropped.
 */
#pragma once
#include "backend.h"

#include <sys/queue.h>

enum fake_job_kind {
    FAKE_BUILD,
    FAKE_REMOVE,
    FAKE_START,
    FAKE_INSPECT,
    FAKE_ADD_FORWARD,
    FAKE_REMOVE_FORWARD,
    FAKE_JOB_KINDS
};

struct fake_job;

struct fake_backend {
    struct backend backend; /* what the core gets */
    TAILQ_HEAD(, fake_job) jobs;
    int fail_at_once[FAKE_JOB_KINDS];          /* 0, or the errno that the call itself returns */
    unsigned requests[FAKE_JOB_KINDS];         /* that came so far, failed ones included */
    unsigned handles, interface_handles;       /* not dropped yet */
    unsigned updates;                          /* that came so far */
    unsigned interfaces_of_uid, queues_of_uid; /* what interfaces_of() says */
    uid_t last_uid;                            /* of the last start_interface(), add_forward() */
    struct forward_target target;              /* what forward_target() says */
    int forward_owner_err;                     /* what forward_owner() says ... */
    uid_t forward_owner;                       /* ... and of whom */
    unsigned forwards_of_uid;                  /* what forwards_of() says */
    const char *problem;
    bool freed;
};

/* The ops of a fake, for a test that wants them changed: copy, change, point at the copy. */
extern const struct backend_ops fake_backend_ops;

void fake_backend_init(struct fake_backend *fake);

/* How many jobs of a kind wait for an answer; network NULL: of any network. */
unsigned fake_backend_pending(const struct fake_backend *fake, enum fake_job_kind kind,
                              const char *network);
/* Answers the oldest such job: err 0, or a negative errno and why. Fails the test when
 * there is none. */
void fake_backend_finish(struct fake_backend *fake, enum fake_job_kind kind, const char *network,
                         int err, const char *why);

/* A handle as an earlier broker's network has it, for events.found(). */
struct net_handle *fake_net_handle(struct fake_backend *fake);
/* How often this network has been built before, so that its incarnations differ. */
unsigned fake_net_handle_serial(const struct net_handle *handle);
/* What the transport does with an interface when it has serialized it. */
void fake_iface_free(struct iface_handle *handle);
