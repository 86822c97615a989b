/* SPDX-License-Identifier: Apache-2.0 */
/* fault_memory.c - malloc() and its like: may fail, and each block is remembered with the
 * address that asked for it, so that a leak has a name without a sanitizer, too. */
#include "fault_memory.h"

#include "fault.h"

#include <errno.h>
#include <execinfo.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#define BUCKETS 4096u

struct block {
    struct block *next;
    const void *at;
    void *asker;
    bool fresh; /* since fault_memory_forget() */
};

static struct block *buckets[BUCKETS];
static unsigned n_blocks;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *at, size_t size);
void __real_free(void *at);
char *__real_strdup(const char *text);
FILE *__real_open_memstream(char **text, size_t *len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__wrap_reallocarray(void *at, size_t n, size_t size);
void __wrap_free(void *at);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
FILE *__wrap_open_memstream(char **text, size_t *len);

static struct block **bucket_of(const void *at)
{
    return &buckets[((uintptr_t)at >> 4) % BUCKETS];
}

static void *note(void *at, void *asker)
{
    struct block *block = at ? __real_malloc(sizeof *block) : NULL;

    if (!block)
        return at;
    *block = (struct block){ *bucket_of(at), at, asker, true };
    *bucket_of(at) = block;
    n_blocks++;
    return at;
}

/* What a library made is not here. */
static void strike(const void *at)
{
    for (struct block **link = bucket_of(at); *link; link = &(*link)->next)
        if ((*link)->at == at) {
            struct block *block = *link;
            *link = block->next;
            __real_free(block);
            n_blocks--;
            return;
        }
}

#define ASKER __builtin_return_address(0)

void *__wrap_malloc(size_t size)
{
    return fault_now("malloc", ENOMEM) ? NULL : note(__real_malloc(size), ASKER);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fault_now("calloc", ENOMEM) ? NULL : note(__real_calloc(n, size), ASKER);
}

void *__wrap_realloc(void *at, size_t size)
{
    if (fault_now("realloc", ENOMEM))
        return NULL;
    strike(at);
    return note(__real_realloc(at, size), ASKER);
}

void *__wrap_reallocarray(void *at, size_t n, size_t size)
{
    if (fault_now("reallocarray", ENOMEM))
        return NULL;
    strike(at);
    return note(__real_realloc(at, n * size), ASKER);
}

void __wrap_free(void *at)
{
    strike(at);
    __real_free(at);
}

char *__wrap_strdup(const char *text)
{
    return fault_now("strdup", ENOMEM) ? NULL : note(__real_strdup(text), ASKER);
}

int __wrap_asprintf(char **ret, const char *fmt, ...)
{
    va_list ap;
    int n;

    *ret = NULL;
    if (fault_now("asprintf", ENOMEM))
        return -1;
    va_start(ap, fmt);
    n = vasprintf(ret, fmt, ap);
    va_end(ap);
    (void)note(*ret, ASKER);
    return n;
}

FILE *__wrap_open_memstream(char **text, size_t *len)
{
    return fault_now("open_memstream", ENOMEM) ? NULL : __real_open_memstream(text, len);
}

void fault_in_jansson(void)
{
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    json_object_seed(1); /* else the first one reads /dev/urandom */
}

unsigned fault_memory_blocks(void)
{
    return n_blocks;
}

void fault_memory_forget(void)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct block *b = buckets[i]; b; b = b->next)
            b->fresh = false;
}

void fault_memory_show(void)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct block *b = buckets[i]; b; b = b->next)
            if (b->fresh)
                backtrace_symbols_fd(&b->asker, 1, STDERR_FILENO);
}
