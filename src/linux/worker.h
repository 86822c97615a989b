/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h - a thread that does one thing after the other, for what could take so long that
 * every client would notice if the loop did it.
 *
 * The thread starts with the first thing it is given. What is given stays the giver's, who
 * learns that it is done by what run() does last.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

/* Part of something larger, which run() finds by it; on the worker's thread. */
struct work {
    STAILQ_ENTRY(work) link; /* the worker's */
    void (*run)(struct work *work);
};

struct worker {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    STAILQ_HEAD(, work) queue;
    pthread_t thread;
    bool running, stop;
};

#define WORKER_INIT(worker)                                                                        \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER,                       \
        .queue = STAILQ_HEAD_INITIALIZER((worker).queue)                                           \
    }

/* Never blocks. 0; a negative errno: no thread can be had, and run() will not be called. */
int worker_give(struct worker *worker, struct work *work);

/* Waits until all that was given is done, and ends the thread. It may be given more
 * afterwards, and then has another one. */
void worker_stop(struct worker *worker);
