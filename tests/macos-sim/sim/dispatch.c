/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.c - queues, semaphores and time.
 *
 * A serial queue is a list; while there is something in it, a thread works it
 * off. The main queue is worked off by dispatch_main() only, so a program that
 * blocks its main thread hangs here as it does on a Mac. Blocks on a global
 * queue get a thread each.
 *
 * Simulated time runs SIM_TIME_SCALE times as fast as real time. The simulated
 * Mac never sleeps.
 */
#include "sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum queue_kind { SERIAL, MAIN, GLOBAL };

struct work {
    TAILQ_ENTRY(work) link;
    dispatch_function_t fn;
    void *context;
};

struct dispatch_queue_s {
    struct sim_object base;
    enum queue_kind kind;
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool running; /* a thread works it off */
    TAILQ_HEAD(work_list, work) list;
};

static __thread dispatch_queue_t current;

static void dispose_queue(void *object)
{
    dispatch_queue_t q = object;
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->more);
}

static const struct sim_class queue_class = { "dispatch queue", SIM_DISPATCH, dispose_queue };

#define IMMORTAL_QUEUE(name, queue_kind)                                                           \
    static struct dispatch_queue_s name = { .base = { SIM_MAGIC, SIM_IMMORTAL, &queue_class },     \
                                            .kind = queue_kind,                                    \
                                            .lock = PTHREAD_MUTEX_INITIALIZER,                     \
                                            .more = PTHREAD_COND_INITIALIZER,                      \
                                            .list = TAILQ_HEAD_INITIALIZER(name.list) }
IMMORTAL_QUEUE(main_queue, MAIN);
IMMORTAL_QUEUE(global_queue, GLOBAL);

dispatch_queue_t sim_current_queue(void)
{
    return current;
}

dispatch_queue_t dispatch_get_main_queue(void)
{
    return &main_queue;
}

dispatch_queue_t dispatch_get_global_queue(intptr_t identifier, uintptr_t flags)
{
    (void)identifier;
    return flags ? NULL : &global_queue; /* flags are reserved: anything but 0 gives NULL */
}

dispatch_queue_t dispatch_queue_create(const char *label, dispatch_queue_attr_t attr)
{
    (void)label;
    if (attr != DISPATCH_QUEUE_SERIAL)
        sim_misuse("dispatch_queue_create: only serial queues are simulated");
    dispatch_queue_t q = sim_new(sizeof *q, &queue_class);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->more, NULL);
    TAILQ_INIT(&q->list);
    return q;
}

static void run(dispatch_queue_t q, struct work *w)
{
    current = q;
    w->fn(w->context);
    current = NULL;
    free(w);
    sim_release(q, SIM_DISPATCH, "dispatch_async");
}

static struct work *take_next(dispatch_queue_t q)
{
    struct work *w = TAILQ_FIRST(&q->list);
    if (w)
        TAILQ_REMOVE(&q->list, w, link);
    return w;
}

/* Takes one piece of a global queue, or all there is of a serial one. The thread's own
 * reference keeps the queue until it has looked for the last time. */
static void *worker(void *argument)
{
    dispatch_queue_t q = argument;
    for (;;) {
        pthread_mutex_lock(&q->lock);
        struct work *w = take_next(q);
        if (!w)
            q->running = false;
        pthread_mutex_unlock(&q->lock);
        if (w)
            run(q, w);
        if (!w || q->kind == GLOBAL)
            break;
    }
    sim_release(q, SIM_DISPATCH, "queue thread");
    return NULL;
}

static void start_worker(dispatch_queue_t q)
{
    sim_retain(q, SIM_DISPATCH, "queue thread");
    sim_start_thread(worker, q, "a queue's thread");
}

void dispatch_async_f(dispatch_queue_t q, void *context, dispatch_function_t fn)
{
    struct work *w = sim_malloc(sizeof *w);
    w->fn = fn;
    w->context = context;
    sim_retain(q, SIM_DISPATCH, "dispatch_async");
    pthread_mutex_lock(&q->lock);
    TAILQ_INSERT_TAIL(&q->list, w, link);
    bool start = q->kind == GLOBAL || (q->kind == SERIAL && !q->running);
    q->running = true;
    pthread_cond_signal(&q->more);
    pthread_mutex_unlock(&q->lock);
    if (start)
        start_worker(q);
}

static void call_block(void *context)
{
    dispatch_block_t block = context;
    block();
    sim_block_release(block);
}

void dispatch_async(dispatch_queue_t q, dispatch_block_t block)
{
    dispatch_async_f(q, sim_block_copy(block), call_block);
}

void dispatch_sync(dispatch_queue_t q, dispatch_block_t block)
{
    if (q == current && q->kind != GLOBAL)
        sim_misuse("dispatch_sync: on the queue that is running already: deadlock");
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    dispatch_async(q, ^{
      block();
      dispatch_semaphore_signal(done);
    });
    dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
    dispatch_release(done);
}

void dispatch_main(void)
{
    if (current)
        sim_misuse("dispatch_main: called from a queue");
    for (;;) {
        pthread_mutex_lock(&main_queue.lock);
        struct work *w;
        while (!(w = take_next(&main_queue)))
            pthread_cond_wait(&main_queue.more, &main_queue.lock);
        pthread_mutex_unlock(&main_queue.lock);
        run(&main_queue, w);
    }
}

void dispatch_after(dispatch_time_t when, dispatch_queue_t q, dispatch_block_t block)
{
    dispatch_source_t timer = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, q);
    dispatch_block_t copy = sim_block_copy(block);
    dispatch_source_set_event_handler(timer, ^{
      copy();
      sim_block_release(copy);
      dispatch_source_cancel(timer);
      dispatch_release(timer);
    });
    dispatch_source_set_timer(timer, when, DISPATCH_TIME_FOREVER, 0);
    dispatch_activate(timer);
}

void dispatch_activate(dispatch_object_t object)
{
    struct sim_object *base = sim_check(object.queue, SIM_DISPATCH, "dispatch_activate");
    if (base->class == &sim_source_class)
        sim_source_activate(object.source, "dispatch_activate");
}

void dispatch_resume(dispatch_object_t object)
{
    struct sim_object *base = sim_check(object.queue, SIM_DISPATCH, "dispatch_resume");
    if (base->class != &sim_source_class)
        sim_misuse("dispatch_resume: the queue is not suspended");
    sim_source_activate(object.source, "dispatch_resume");
}

/* ---- time ---- */

static uint64_t real_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

uint64_t sim_now(void)
{
    return (uint64_t)((double)real_now() * sim_time_scale());
}

uint64_t clock_gettime_nsec_np(clockid_t clock)
{
    if (clock != CLOCK_UPTIME_RAW)
        sim_misuse("clock_gettime_nsec_np: only CLOCK_UPTIME_RAW is simulated");
    return sim_now();
}

/* Rounded up: a timer must not fire before its time by the clock above. */
uint64_t sim_real_nsec(dispatch_time_t when)
{
    if (when == DISPATCH_TIME_FOREVER)
        return INT64_MAX;
    return (uint64_t)((double)when / sim_time_scale()) + 1;
}

dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta)
{
    if (when == DISPATCH_TIME_FOREVER)
        return when;
    uint64_t base = when == DISPATCH_TIME_NOW ? sim_now() : when;
    if (delta < 0)
        return (uint64_t)-delta < base ? base - (uint64_t)-delta : 1;
    return base + (uint64_t)delta < base ? DISPATCH_TIME_FOREVER : base + (uint64_t)delta;
}

/* ---- semaphores ---- */

struct dispatch_semaphore_s {
    struct sim_object base;
    pthread_mutex_t lock;
    pthread_cond_t raised;
    intptr_t value, original;
};

static void dispose_semaphore(void *object)
{
    dispatch_semaphore_t s = object;
    if (s->value < s->original)
        sim_misuse("dispatch_release: a semaphore in use (%ld of %ld)", (long)s->value,
                   (long)s->original);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->raised);
}

static const struct sim_class semaphore_class = { "dispatch semaphore", SIM_DISPATCH,
                                                  dispose_semaphore };

dispatch_semaphore_t dispatch_semaphore_create(intptr_t value)
{
    if (value < 0)
        return NULL;
    dispatch_semaphore_t s = sim_new(sizeof *s, &semaphore_class);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->raised, &attr);
    pthread_condattr_destroy(&attr);
    s->value = s->original = value;
    return s;
}

/* The signaller may still hold the lock when a waiter's last reference goes, so both keep
 * the object while they work on it. */
intptr_t dispatch_semaphore_wait(dispatch_semaphore_t s, dispatch_time_t timeout)
{
    int r = 0;
    uint64_t real = timeout == DISPATCH_TIME_NOW ? real_now() : sim_real_nsec(timeout);
    struct timespec until = { (time_t)(real / NSEC_PER_SEC), (long)(real % NSEC_PER_SEC) };
    sim_retain(s, SIM_DISPATCH, "dispatch_semaphore_wait");
    pthread_mutex_lock(&s->lock);
    while (s->value == 0 && r == 0)
        r = timeout == DISPATCH_TIME_FOREVER ? pthread_cond_wait(&s->raised, &s->lock)
                                             : pthread_cond_timedwait(&s->raised, &s->lock, &until);
    bool got = s->value > 0;
    if (got)
        s->value--;
    pthread_mutex_unlock(&s->lock);
    sim_release(s, SIM_DISPATCH, "dispatch_semaphore_wait");
    return got ? 0 : ETIMEDOUT;
}

intptr_t dispatch_semaphore_signal(dispatch_semaphore_t s)
{
    sim_retain(s, SIM_DISPATCH, "dispatch_semaphore_signal");
    pthread_mutex_lock(&s->lock);
    s->value++;
    pthread_cond_signal(&s->raised);
    pthread_mutex_unlock(&s->lock);
    sim_release(s, SIM_DISPATCH, "dispatch_semaphore_signal");
    return 0;
}
