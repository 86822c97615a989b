/* SPDX-License-Identifier: Apache-2.0 */
/* fake_definitions.h - definition files that exist in a test only, and how often each was read. */
#pragma once
#include "definitions.h"

struct fake_definitions {
    struct definition_source source; /* what the core gets */
    struct {
        const char *name, *text; /* text NULL: deleted */
        unsigned edition;
    } files[8];
    size_t n;
    unsigned reads;
};

void fake_definitions_init(struct fake_definitions *fake);
/* Writes, changes or (NULL) deletes one. Both texts must outlive the fake. */
void fake_definitions_write(struct fake_definitions *fake, const char *name, const char *text);
