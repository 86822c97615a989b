/* SPDX-License-Identifier: Apache-2.0 */
/* random.h - randomness as a parameter, so that a test can turn the dice itself. */
#pragma once
#include <stddef.h>

struct random_source {
    void (*fill)(void *arg, void *buf, size_t len); /* cannot fail */
    void *arg;
};

#define UUID_TEXT 37

/* A random UUID (RFC 4122, version 4) as text; returns it. */
const char *uuid_random(const struct random_source *random, char text[static UUID_TEXT]);
