/* SPDX-License-Identifier: Apache-2.0 */
/* object.c - reference counts of everything that the simulator hands out.
 *
 * A Mac ends a program that releases too often, releases a thing of another
 * framework, or lets go of a connection or source that it never activated. So
 * do we: each object begins with a magic number that dies with it.
 */
#include "sim.h"

#include <Block.h>
#include <CoreFoundation/CoreFoundation.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_misuse(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("macos-sim: misuse: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

void *sim_malloc(size_t size)
{
    void *p = calloc(1, size);
    if (!p)
        sim_misuse("out of memory");
    return p;
}

void *sim_new(size_t size, const struct sim_class *class)
{
    struct sim_object *object = sim_malloc(size);
    object->magic = SIM_MAGIC;
    object->class = class;
    atomic_init(&object->refs, 1);
    return object;
}

struct sim_object *sim_check(const void *pointer, enum sim_family family, const char *caller)
{
    struct sim_object *object = (struct sim_object *)(uintptr_t)pointer;
    if (!object)
        sim_misuse("%s: NULL is not an object", caller);
    if (object->magic != SIM_MAGIC)
        sim_misuse("%s: %p is no object, or was released too often", caller, pointer);
    if (object->class->family != family)
        sim_misuse("%s: a %s belongs to another framework", caller, object->class->name);
    return object;
}

void sim_retain(const void *pointer, enum sim_family family, const char *caller)
{
    struct sim_object *object = sim_check(pointer, family, caller);
    if (atomic_load(&object->refs) < SIM_IMMORTAL)
        atomic_fetch_add(&object->refs, 1);
}

void sim_release(const void *pointer, enum sim_family family, const char *caller)
{
    struct sim_object *object = sim_check(pointer, family, caller);
    if (atomic_load(&object->refs) >= SIM_IMMORTAL)
        return;
    int before = atomic_fetch_sub(&object->refs, 1);
    if (before > 1)
        return;
    if (before < 1)
        sim_misuse("%s: a %s was released too often", caller, object->class->name);
    if (object->class->dispose)
        object->class->dispose(object);
    object->magic = 0;
    free(object);
}

static pthread_mutex_t block_lock = PTHREAD_MUTEX_INITIALIZER;

void *sim_block_copy_(const void *block)
{
    pthread_mutex_lock(&block_lock);
    void *copy = _Block_copy(block);
    pthread_mutex_unlock(&block_lock);
    return copy;
}

void sim_block_release_(const void *block)
{
    pthread_mutex_lock(&block_lock);
    _Block_release(block);
    pthread_mutex_unlock(&block_lock);
}

xpc_object_t xpc_retain(xpc_object_t object)
{
    sim_retain(object, SIM_XPC, "xpc_retain");
    return object;
}

void xpc_release(xpc_object_t object)
{
    sim_release(object, SIM_XPC, "xpc_release");
}

void dispatch_retain(dispatch_object_t object)
{
    sim_retain(object.queue, SIM_DISPATCH, "dispatch_retain");
}

void dispatch_release(dispatch_object_t object)
{
    sim_release(object.queue, SIM_DISPATCH, "dispatch_release");
}

CFTypeRef CFRetain(CFTypeRef cf)
{
    sim_retain(cf, SIM_CF, "CFRetain");
    return cf;
}

void CFRelease(CFTypeRef cf)
{
    sim_release(cf, SIM_CF, "CFRelease");
}
