/* SPDX-License-Identifier: Apache-2.0 */
/* idl_part.h - an interface as it was read: between idl.c, which makes it, and idl_check.c. */
#pragma once
#include "idl.h"

#include <stdbool.h>
#include <sys/queue.h>

enum kind { T_BOOL, T_INT, T_FLOAT, T_STRING, T_OBJECT, T_NAMED, T_STRUCT, T_ARRAY };

STAILQ_HEAD(field_list, field);

struct type {
    enum kind kind;
    bool optional;
    struct type *element;     /* T_ARRAY */
    char *name;               /* T_NAMED */
    struct field_list fields; /* T_STRUCT */
};

struct field {
    STAILQ_ENTRY(field) link;
    char *name;
    struct type *type;
};

struct definition {
    STAILQ_ENTRY(definition) link;
    char *name;
    struct field_list fields; /* a type's or an error's */
};

struct idl_method {
    STAILQ_ENTRY(idl_method) link;
    char *name;
    struct field_list in, out;
};

struct idl {
    char *name;
    STAILQ_HEAD(, definition) types, errors;
    STAILQ_HEAD(, idl_method) methods;
};

/* The type of this name; NULL: none. Every type that an interface names is defined. */
const struct definition *idl_type(const struct idl *idl, const char *name);
