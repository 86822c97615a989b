/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.h - the part of libdispatch that the simulator has, declared as Apple does.
 *
 * Only what this project and its test programs call. See ../../sim/dispatch.c.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

typedef struct dispatch_queue_s *dispatch_queue_t;
typedef struct dispatch_source_s *dispatch_source_t;
typedef struct dispatch_semaphore_s *dispatch_semaphore_t;
typedef struct dispatch_queue_attr_s *dispatch_queue_attr_t;

typedef union {
    dispatch_queue_t queue;
    dispatch_source_t source;
    dispatch_semaphore_t semaphore;
} dispatch_object_t __attribute__((transparent_union));

typedef void (^dispatch_block_t)(void);
typedef void (*dispatch_function_t)(void *);
typedef uint64_t dispatch_time_t;

#define DISPATCH_TIME_NOW     0ull
#define DISPATCH_TIME_FOREVER (~0ull)
#define NSEC_PER_SEC          1000000000ull
#define NSEC_PER_MSEC         1000000ull
#define NSEC_PER_USEC         1000ull
#ifdef USEC_PER_SEC
#undef USEC_PER_SEC
#endif
#define USEC_PER_SEC 1000000ull

#define DISPATCH_QUEUE_SERIAL           ((dispatch_queue_attr_t)0)
#define DISPATCH_QUEUE_PRIORITY_DEFAULT 0
#define QOS_CLASS_UTILITY               0x11
#define QOS_CLASS_DEFAULT               0x15

void dispatch_retain(dispatch_object_t object);
void dispatch_release(dispatch_object_t object);
void dispatch_activate(dispatch_object_t object);
void dispatch_resume(dispatch_object_t object);

dispatch_queue_t dispatch_get_main_queue(void);
dispatch_queue_t dispatch_get_global_queue(intptr_t identifier, uintptr_t flags);
dispatch_queue_t dispatch_queue_create(const char *label, dispatch_queue_attr_t attr);
void dispatch_async(dispatch_queue_t queue, dispatch_block_t block);
void dispatch_async_f(dispatch_queue_t queue, void *context, dispatch_function_t work);
void dispatch_sync(dispatch_queue_t queue, dispatch_block_t block);
void dispatch_after(dispatch_time_t when, dispatch_queue_t queue, dispatch_block_t block);
void dispatch_main(void) __attribute__((noreturn));

dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta);

typedef const struct dispatch_source_type_s *dispatch_source_type_t;
extern const struct dispatch_source_type_s _dispatch_source_type_timer;
extern const struct dispatch_source_type_s _dispatch_source_type_signal;
#define DISPATCH_SOURCE_TYPE_TIMER  (&_dispatch_source_type_timer)
#define DISPATCH_SOURCE_TYPE_SIGNAL (&_dispatch_source_type_signal)

dispatch_source_t dispatch_source_create(dispatch_source_type_t type, uintptr_t handle,
                                         uintptr_t mask, dispatch_queue_t queue);
void dispatch_source_set_event_handler(dispatch_source_t source, dispatch_block_t handler);
void dispatch_source_set_cancel_handler(dispatch_source_t source, dispatch_block_t handler);
void dispatch_source_set_timer(dispatch_source_t source, dispatch_time_t start, uint64_t interval,
                               uint64_t leeway);
void dispatch_source_cancel(dispatch_source_t source);

dispatch_semaphore_t dispatch_semaphore_create(intptr_t value);
intptr_t dispatch_semaphore_wait(dispatch_semaphore_t semaphore, dispatch_time_t timeout);
intptr_t dispatch_semaphore_signal(dispatch_semaphore_t semaphore);
