/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <signal.h>

static void *run(void *arg)
{
    struct worker *worker = arg;

    pthread_mutex_lock(&worker->lock);
    for (;;) {
        struct work *work = STAILQ_FIRST(&worker->queue);
        if (work) {
            STAILQ_REMOVE_HEAD(&worker->queue, link);
            pthread_mutex_unlock(&worker->lock);
            work->run(work);
            pthread_mutex_lock(&worker->lock);
        } else if (worker->stop) {
            break;
        } else {
            pthread_cond_wait(&worker->wake, &worker->lock);
        }
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

/* With every signal blocked: they are the loop's. */
static int start_locked(struct worker *worker)
{
    sigset_t all, before;

    if (worker->running)
        return 0;
    (void)sigfillset(&all);
    int r = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (r != 0)
        return -r;
    r = pthread_create(&worker->thread, NULL, run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    worker->running = r == 0;
    return -r;
}

int worker_give(struct worker *worker, struct work *work)
{
    pthread_mutex_lock(&worker->lock);
    int r = start_locked(worker);
    if (r == 0) {
        STAILQ_INSERT_TAIL(&worker->queue, work, link);
        pthread_cond_signal(&worker->wake);
    }
    pthread_mutex_unlock(&worker->lock);
    return r;
}

void worker_stop(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    bool running = worker->running;
    worker->stop = true;
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
    if (running)
        (void)pthread_join(worker->thread, NULL);
    worker->running = worker->stop = false;
}
