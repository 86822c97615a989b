/* SPDX-License-Identifier: Apache-2.0 */
/* events.c - the one thread that waits for descriptors.
 *
 * Every watch is one-shot: whoever got an event asks for the next when it is
 * ready for it, which gives connections the back-pressure that they have on a
 * Mac. A descriptor may be closed, and its number used again, while an event is
 * on its way; so events carry a slot and a generation, and the object of a
 * watch is retained before the table is unlocked.
 */
#include "sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WATCHES 4096u

struct sim_watch {
    int fd;
    uint32_t generation;
    bool used;
    void (*fn)(void *object);
    struct sim_object *object;
};

static struct sim_watch table[WATCHES];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int epoll_fd = -1;
static atomic_bool exiting;

/* ThreadSanitizer lets a program go on for a second after exit(), in which a service would
 * take clients that it never serves. */
static void stop_at_exit(void)
{
    atomic_store(&exiting, true);
}

static void handle(uint64_t key)
{
    struct sim_watch *w = &table[(uint32_t)key];
    pthread_mutex_lock(&table_lock);
    bool alive = w->used && w->generation == (uint32_t)(key >> 32);
    struct sim_object *object = w->object;
    void (*fn)(void *) = w->fn;
    if (alive)
        sim_retain(object, object->class->family, "event");
    pthread_mutex_unlock(&table_lock);
    if (alive) {
        fn(object);
        sim_release(object, object->class->family, "event");
    }
}

static void *event_thread(void *unused)
{
    (void)unused;
    for (;;) {
        struct epoll_event events[16];
        int n = epoll_wait(epoll_fd, events, 16, -1);
        if (n < 0 && errno != EINTR)
            sim_misuse("epoll_wait failed");
        for (int i = 0; i < n && !atomic_load(&exiting); i++)
            handle(events[i].data.u64);
    }
    return NULL;
}

static void start(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0 || atexit(stop_at_exit) != 0)
        sim_misuse("cannot open an epoll instance");
    sim_start_thread(event_thread, NULL, "the event thread");
}

static struct epoll_event wanted(const struct sim_watch *w)
{
    uint64_t key = (uint64_t)w->generation << 32 | (uint64_t)(w - table);
    return (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.u64 = key };
}

struct sim_watch *sim_watch_add(int fd, void (*fn)(void *object), void *object)
{
    pthread_once(&once, start);
    sim_retain(object, ((struct sim_object *)object)->class->family, "watch");
    pthread_mutex_lock(&table_lock);
    struct sim_watch *w = table;
    while (w < table + WATCHES && w->used)
        w++;
    if (w == table + WATCHES)
        sim_misuse("more than %u descriptors watched", WATCHES);
    *w = (struct sim_watch){ fd, w->generation + 1, true, fn, object };
    struct epoll_event ev = wanted(w);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
        sim_misuse("descriptor %d cannot be watched", fd);
    pthread_mutex_unlock(&table_lock);
    return w;
}

void sim_watch_again(struct sim_watch *w)
{
    pthread_mutex_lock(&table_lock);
    if (w->used) {
        struct epoll_event ev = wanted(w);
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_MOD, w->fd, &ev);
    }
    pthread_mutex_unlock(&table_lock);
}

void sim_watch_remove(struct sim_watch *w)
{
    pthread_mutex_lock(&table_lock);
    struct sim_object *object = w->object;
    (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->used = false;
    w->object = NULL;
    pthread_mutex_unlock(&table_lock);
    sim_release(object, object->class->family, "watch");
}
