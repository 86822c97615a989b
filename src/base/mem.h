/* SPDX-License-Identifier: Apache-2.0 */
/* mem.h - memory that frees itself, and the two macros everybody needs.
 *
 * A variable marked AUTO_FREE owns what malloc() gave it and frees it on every
 * way out of its scope; take_ptr(&p) hands the ownership on. For a type with a
 * destructor of its own, DEFINE_AUTO makes the cleanup function that
 * AUTO(type) names.
 */
#pragma once
#include <stddef.h>
#include <stdlib.h>

static inline void mem_freep(void *p)
{
    free(*(void **)p);
    *(void **)p = NULL;
}

#define AUTO_FREE __attribute__((cleanup(mem_freep)))

#define take_ptr(pp)                                                                               \
    ({                                                                                             \
        __typeof__(*(pp)) taken_ = *(pp);                                                          \
        *(pp) = NULL;                                                                              \
        taken_;                                                                                    \
    })

/* DEFINE_AUTO(json_t *, json_decref): then `AUTO(json_decref) json_t *reply = NULL;` */
#define DEFINE_AUTO(type, destroy)                                                                 \
    static inline void destroy##_auto(type *p)                                                     \
    {                                                                                              \
        if (*p)                                                                                    \
            destroy(*p);                                                                           \
    }                                                                                              \
    struct destroy##_auto_needs_a_semicolon

#define AUTO(destroy) __attribute__((cleanup(destroy##_auto)))

#define N_ELEMENTS(a)                   (sizeof(a) / sizeof *(a))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
