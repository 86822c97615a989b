/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h - what the fuzz targets share.
 *
 * A target is one file with one function: it gets bytes that somebody else chose, feeds
 * them to one parser of ours, and ends the process when what comes out is wrong. It
 * forgets everything when it returns. Nothing is printed: log lines end in quiet.c.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* FUZZ(data, size) { ... } */
#define FUZZ(data, size)                                                                           \
    static void fuzz(const uint8_t *data, size_t size);                                            \
    int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)                                \
    {                                                                                              \
        fuzz(input, length);                                                                       \
        return 0;                                                                                  \
    }                                                                                              \
    static void fuzz(const uint8_t *data, size_t size)

/* What must be true whatever the input is; kept in every build, unlike assert(). */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* What the next file_read() finds, whatever its name: the parsers of files that are
 * linked with quiet.c never see a disk. Borrowed. */
void fuzz_set_file(const uint8_t *data, size_t size);

/* How many descriptors are open: the same before and after. */
unsigned fuzz_open_fds(void);
