/* SPDX-License-Identifier: Apache-2.0 */
#include "closer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

struct item {
    STAILQ_ENTRY(item) link;
    int fd;
};

/* One for the process: whoever ends an interface handle has no context to find another
 * by, and a second thread would gain nothing. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    STAILQ_HEAD(, item) queue;
    pthread_t thread;
    bool running, stop;
} closer = { .lock = PTHREAD_MUTEX_INITIALIZER,
             .wake = PTHREAD_COND_INITIALIZER,
             .queue = STAILQ_HEAD_INITIALIZER(closer.queue) };

static void *run(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&closer.lock);
    for (;;) {
        struct item *item = STAILQ_FIRST(&closer.queue);
        if (item) {
            STAILQ_REMOVE_HEAD(&closer.queue, link);
            pthread_mutex_unlock(&closer.lock);
            (void)close(item->fd);
            free(item);
            pthread_mutex_lock(&closer.lock);
        } else if (closer.stop) {
            break;
        } else {
            pthread_cond_wait(&closer.wake, &closer.lock);
        }
    }
    pthread_mutex_unlock(&closer.lock);
    return NULL;
}

/* With every signal blocked: they are the loop's. */
static int start_locked(void)
{
    sigset_t all, before;
    if (closer.running)
        return 0;
    (void)sigfillset(&all);
    int r = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (r != 0)
        return -r;
    r = pthread_create(&closer.thread, NULL, run, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    closer.running = r == 0;
    return -r;
}

static bool hand_over(struct item *item)
{
    pthread_mutex_lock(&closer.lock);
    bool ok = start_locked() == 0;
    if (ok) {
        STAILQ_INSERT_TAIL(&closer.queue, item, link);
        pthread_cond_signal(&closer.wake);
    }
    pthread_mutex_unlock(&closer.lock);
    return ok;
}

void closer_close(int fd)
{
    int saved = errno;
    if (fd < 0)
        return;
    struct item *item = malloc(sizeof *item);
    if (item)
        item->fd = fd;
    if (!item || !hand_over(item)) {
        (void)close(fd);
        free(item);
    }
    errno = saved;
}

void closer_stop(void)
{
    pthread_mutex_lock(&closer.lock);
    bool running = closer.running;
    closer.stop = true;
    pthread_cond_signal(&closer.wake);
    pthread_mutex_unlock(&closer.lock);
    if (running)
        (void)pthread_join(closer.thread, NULL);
    closer.running = closer.stop = false;
}
