/* SPDX-License-Identifier: Apache-2.0 */
/* netd_field.h - what one field of a message between broker and helper may hold: for
 * netd_msg.c, which has the tables. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind {
    NAME,       /* name_valid()                                  */
    NAME_OR_NO, /* the same, or ""                               */
    WORD,       /* printable without blanks, not ""              */
    WORD_OR_NO, /* the same, or ""                               */
    TEXT,       /* printable, may be ""                          */
    TAP,        /* an interface name: a word without '/' and ':' */
    TAP_OR_NO,  /* the same, or ""                               */
    DOMAIN_OR_NO,
    MAC,
    UNICAST4, /* an IPv4 address that a VM can have, or 0 */
    RANGE,    /* a uint32_t within [min, max]             */
    FLAG,     /* a byte, 0 or 1                           */
};

struct field {
    enum field_kind kind;
    size_t offset, size;
    uint32_t min, max;
};

#define FIELD(kind, type, member, ...)                                                             \
    {                                                                                              \
        kind, offsetof(struct type, member), sizeof(((struct type *)0)->member), __VA_ARGS__       \
    }

/* Does the body, which may lie anywhere in memory, hold in each field what that may? */
bool netd_fields_ok(const struct field *fields, size_t n, const void *body);

/* Zeros only. */
bool netd_is_nothing(const void *bytes, size_t size);
/* An address that a VM can have, or 0. */
bool netd_is_unicast4(uint32_t addr);
