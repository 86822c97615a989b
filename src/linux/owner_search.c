/* SPDX-License-Identifier: Apache-2.0 */
/* owner_search.c - see owner_search.h.
 *
 * A question belongs to the loop, is lent to the worker's thread with worker_give(), and
 * comes back in the list of those that are answered, with a knock at an eventfd. The loop
 * alone makes and ends questions.
 */
#include "owner_search.h"

#include "fd.h"
#include "worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct question {
    struct work work; /* first: it is found by this */
    STAILQ_ENTRY(question) link;
    struct owner_search *search;
    bool udp, known;
    uint16_t port;
    struct port_owner owner;
    owner_found done;
    void *arg;
};

struct owner_search {
    struct worker worker;
    pthread_mutex_t lock; /* of the list */
    STAILQ_HEAD(, question) answered;
    unsigned waiting; /* asked, and not told yet */
    atomic_bool ending;
    int knock;
    sd_event_source *source;
};

static void search_one(struct work *work)
{
    struct question *q = (struct question *)work;
    struct owner_search *search = q->search;

    if (!atomic_load(&search->ending))
        q->known = port_owner_find(q->udp, q->port, &q->owner) == 0;
    pthread_mutex_lock(&search->lock);
    STAILQ_INSERT_TAIL(&search->answered, q, link);
    pthread_mutex_unlock(&search->lock);
    (void)eventfd_write(search->knock, 1);
}

static struct question *next_answered(struct owner_search *search)
{
    pthread_mutex_lock(&search->lock);
    struct question *q = STAILQ_FIRST(&search->answered);
    if (q)
        STAILQ_REMOVE_HEAD(&search->answered, link);
    pthread_mutex_unlock(&search->lock);
    return q;
}

static int on_knock(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct owner_search *search = arg;
    eventfd_t knocks;
    struct question *q;

    (void)source;
    (void)events;
    (void)eventfd_read(fd, &knocks);
    while ((q = next_answered(search))) {
        search->waiting--;
        q->done(q->arg, q->known ? &q->owner : NULL);
        free(q);
    }
    return 0;
}

int owner_search_new(sd_event *event, struct owner_search **ret)
{
    struct owner_search *search = malloc(sizeof *search);

    if (!search)
        return -ENOMEM;
    *search = (struct owner_search){ .worker = WORKER_INIT(search->worker),
                                     .lock = PTHREAD_MUTEX_INITIALIZER,
                                     .answered = STAILQ_HEAD_INITIALIZER(search->answered),
                                     .knock = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
    int r = search->knock < 0
                ? -errno
                : sd_event_add_io(event, &search->source, search->knock, EPOLLIN, on_knock, search);
    if (r < 0) {
        owner_search_free(search);
        return r;
    }
    *ret = search;
    return 0;
}

void owner_search_free(struct owner_search *search)
{
    struct question *q;

    if (!search)
        return;
    atomic_store(&search->ending, true); /* the one under way, and no other */
    worker_stop(&search->worker);
    while ((q = next_answered(search)))
        free(q);
    (void)sd_event_source_disable_unref(search->source);
    fd_closep(&search->knock);
    free(search);
}

int owner_search_ask(struct owner_search *search, bool udp, uint16_t port, owner_found done,
                     void *arg)
{
    if (search->waiting >= OWNER_SEARCHES_MAX)
        return -EBUSY;
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    *q = (struct question){
        .work.run = search_one, .search = search, .udp = udp, .port = port, .done = done, .arg = arg
    };
    int r = worker_give(&search->worker, &q->work);
    if (r < 0) {
        free(q);
        return r;
    }
    search->waiting++;
    return 0;
}
