/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch_source.c - timers (timerfd) and signals (signalfd).
 *
 * A source only observes a signal: the default action still happens, as on a
 * Mac, unless the program ignores the signal first. Setting a timer anew forgets
 * an expiry of the old setting that had not been handled yet.
 */
#include "sim.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct dispatch_source_type_s {
    const char *name;
};
const struct dispatch_source_type_s _dispatch_source_type_timer = { "timer" };
const struct dispatch_source_type_s _dispatch_source_type_signal = { "signal" };

struct dispatch_source_s {
    struct sim_object base;
    dispatch_source_type_t type;
    int fd, signal;
    dispatch_queue_t queue;
    pthread_mutex_t lock;
    dispatch_block_t on_event, on_cancel;
    bool active, cancelled;
    uint64_t setting; /* counts dispatch_source_set_timer() */
    struct sim_watch *watch;
};

static void dispose_source(void *object)
{
    dispatch_source_t s = object;
    if (!s->active)
        sim_misuse("dispatch_release: a source that was never activated");
    if (!s->cancelled)
        sim_misuse("dispatch_release: a source that was not cancelled"); /* the watch holds it */
    close(s->fd);
    dispatch_release(s->queue);
    pthread_mutex_destroy(&s->lock);
}

const struct sim_class sim_source_class = { "dispatch source", SIM_DISPATCH, dispose_source };

static int signal_fd(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* a blocked signal is queued even when ignored */
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int source_fd(dispatch_source_type_t type, uintptr_t handle)
{
    if (type == DISPATCH_SOURCE_TYPE_TIMER)
        return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return signal_fd((int)handle);
}

dispatch_source_t dispatch_source_create(dispatch_source_type_t type, uintptr_t handle,
                                         uintptr_t mask, dispatch_queue_t queue)
{
    (void)mask;
    int fd = source_fd(type, handle);
    if (fd < 0)
        return NULL;
    dispatch_source_t s = sim_new(sizeof *s, &sim_source_class);
    s->type = type;
    s->fd = fd;
    s->signal = (int)handle;
    s->queue = queue ? queue : dispatch_get_global_queue(0, 0);
    dispatch_retain(s->queue);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void replace(dispatch_source_t s, dispatch_block_t *block, dispatch_block_t with)
{
    sim_check(s, SIM_DISPATCH, "dispatch_source_set_handler");
    pthread_mutex_lock(&s->lock);
    dispatch_block_t old = *block;
    *block = with ? sim_block_copy(with) : NULL;
    pthread_mutex_unlock(&s->lock);
    if (old)
        sim_block_release(old);
}

void dispatch_source_set_event_handler(dispatch_source_t s, dispatch_block_t handler)
{
    replace(s, &s->on_event, handler);
}

void dispatch_source_set_cancel_handler(dispatch_source_t s, dispatch_block_t handler)
{
    replace(s, &s->on_cancel, handler);
}

void dispatch_source_set_timer(dispatch_source_t s, dispatch_time_t start, uint64_t interval,
                               uint64_t leeway)
{
    struct itimerspec t = { 0 };
    (void)leeway;
    if (s->type != DISPATCH_SOURCE_TYPE_TIMER)
        sim_misuse("dispatch_source_set_timer: a %s source", s->type->name);
    if (start != DISPATCH_TIME_FOREVER) {
        uint64_t at = sim_real_nsec(start), every = 0;
        if (interval != DISPATCH_TIME_FOREVER && interval != 0)
            every = sim_real_nsec(interval);
        t.it_value = (struct timespec){ (time_t)(at / NSEC_PER_SEC), (long)(at % NSEC_PER_SEC) };
        t.it_interval =
            (struct timespec){ (time_t)(every / NSEC_PER_SEC), (long)(every % NSEC_PER_SEC) };
    }
    pthread_mutex_lock(&s->lock);
    s->setting++;
    if (timerfd_settime(s->fd, TFD_TIMER_ABSTIME, &t, NULL) < 0)
        sim_misuse("dispatch_source_set_timer: bad time");
    pthread_mutex_unlock(&s->lock);
}

struct firing {
    dispatch_source_t source; /* retained */
    uint64_t setting;
};

/* On the source's queue. */
static void fire(void *context)
{
    struct firing *f = context;
    dispatch_source_t s = f->source;
    pthread_mutex_lock(&s->lock);
    bool wanted = !s->cancelled && f->setting == s->setting;
    dispatch_block_t handler = wanted && s->on_event ? sim_block_copy(s->on_event) : NULL;
    pthread_mutex_unlock(&s->lock);
    if (handler) {
        handler();
        sim_block_release(handler);
    }
    pthread_mutex_lock(&s->lock);
    if (s->watch)
        sim_watch_again(s->watch);
    pthread_mutex_unlock(&s->lock);
    dispatch_release(s);
    free(f);
}

static void default_action(int number)
{
    struct sigaction now;
    if (sigaction(number, NULL, &now) < 0 || now.sa_handler != SIG_DFL)
        return;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

/* On the event thread: true if something happened. */
static bool consume(dispatch_source_t s)
{
    uint64_t expiries;
    struct signalfd_siginfo info;
    if (s->type == DISPATCH_SOURCE_TYPE_TIMER)
        return read(s->fd, &expiries, sizeof expiries) == sizeof expiries;
    if (read(s->fd, &info, sizeof info) != sizeof info)
        return false;
    default_action(s->signal);
    return true;
}

static void source_ready(void *object)
{
    dispatch_source_t s = object;
    pthread_mutex_lock(&s->lock);
    bool ready = s->watch && consume(s);
    if (s->watch && !ready)
        sim_watch_again(s->watch);
    uint64_t setting = s->setting;
    pthread_mutex_unlock(&s->lock);
    if (!ready)
        return;
    struct firing *f = sim_malloc(sizeof *f);
    f->source = s;
    f->setting = setting;
    dispatch_retain(s);
    dispatch_async_f(s->queue, f, fire);
}

void sim_source_activate(dispatch_source_t s, const char *caller)
{
    pthread_mutex_lock(&s->lock);
    if (s->active && strcmp(caller, "dispatch_resume") == 0)
        sim_misuse("dispatch_resume: the source is not suspended");
    bool start = !s->active && !s->cancelled;
    s->active = true;
    if (start)
        s->watch = sim_watch_add(s->fd, source_ready, s);
    pthread_mutex_unlock(&s->lock);
}

/* On the source's queue: no handler runs any more. */
static void cancelled(void *context)
{
    dispatch_source_t s = context;
    pthread_mutex_lock(&s->lock);
    dispatch_block_t on_event = s->on_event, on_cancel = s->on_cancel;
    s->on_event = s->on_cancel = NULL;
    pthread_mutex_unlock(&s->lock);
    if (on_cancel) {
        on_cancel();
        sim_block_release(on_cancel);
    }
    if (on_event)
        sim_block_release(on_event);
    dispatch_release(s);
}

void dispatch_source_cancel(dispatch_source_t s)
{
    sim_check(s, SIM_DISPATCH, "dispatch_source_cancel");
    pthread_mutex_lock(&s->lock);
    bool first = !s->cancelled;
    s->cancelled = true;
    struct sim_watch *watch = s->watch;
    s->watch = NULL;
    pthread_mutex_unlock(&s->lock);
    if (!first)
        return;
    dispatch_retain(s);
    dispatch_async_f(s->queue, s, cancelled);
    if (watch)
        sim_watch_remove(watch);
}
