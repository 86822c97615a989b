/* SPDX-License-Identifier: Apache-2.0 */
/* idl.c - reads an interface file into the table of idl_part.h.
 *
 * A recursive descent over the part of Varlink's definition language that our files use:
 * bool, int, float, string, object, named and inline structs, `?` and `[]`. Enumerations
 * and maps are refused by name, so that a file which needs them is noticed by the first
 * test. The text is our own: errors here are for whoever edits it.
 */
#include "idl_part.h"
#include "interface.h"
#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *idl_text(const char *interface)
{
    for (size_t i = 0; embedded_interfaces[i].name; i++)
        if (strcmp(embedded_interfaces[i].name, interface) == 0)
            return embedded_interfaces[i].text;
    return NULL;
}

const char *idl_interface(size_t i)
{
    for (size_t k = 0; embedded_interfaces[k].name; k++)
        if (k == i)
            return embedded_interfaces[k].name;
    return NULL;
}

/* ---- what was read ---- */

static void fields_free(struct field_list *fields);

static void type_free(struct type *type)
{
    if (!type)
        return;
    type_free(type->element);
    fields_free(&type->fields);
    free(type->name);
    free(type);
}

static void fields_free(struct field_list *fields)
{
    struct field *field;
    while ((field = STAILQ_FIRST(fields))) {
        STAILQ_REMOVE_HEAD(fields, link);
        type_free(field->type);
        free(field->name);
        free(field);
    }
}

static void definition_free(struct definition *definition)
{
    fields_free(&definition->fields);
    free(definition->name);
    free(definition);
}

static void method_free(struct idl_method *method)
{
    fields_free(&method->in);
    fields_free(&method->out);
    free(method->name);
    free(method);
}

#define FREE_LIST(list, destroy)                                                                   \
    while (!STAILQ_EMPTY(list)) {                                                                  \
        __typeof__(STAILQ_FIRST(list)) first_ = STAILQ_FIRST(list);                                \
        STAILQ_REMOVE_HEAD(list, link);                                                            \
        destroy(first_);                                                                           \
    }

void idl_free(struct idl *idl)
{
    if (!idl)
        return;
    FREE_LIST(&idl->types, definition_free);
    FREE_LIST(&idl->errors, definition_free);
    FREE_LIST(&idl->methods, method_free);
    free(idl->name);
    free(idl);
}

DEFINE_AUTO(struct idl *, idl_free);

/* ---- the reader ---- */

struct reader {
    const char *at;
    unsigned line;
    struct failure *failure;
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct reader *in, const char *fmt,
                                                       ...)
{
    char what[160];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return failure_set(in->failure, -EINVAL, "line %u: %s", in->line, what);
}

static void skip_blanks(struct reader *in)
{
    for (;; in->at++) {
        if (*in->at == '#')
            in->at += strcspn(in->at, "\n");
        if (*in->at == '\n')
            in->line++;
        if (!isspace((unsigned char)*in->at))
            return;
    }
}

static bool accept(struct reader *in, const char *symbol)
{
    skip_blanks(in);
    if (strncmp(in->at, symbol, strlen(symbol)) != 0)
        return false;
    in->at += strlen(symbol);
    return true;
}

static int expect(struct reader *in, const char *symbol)
{
    return accept(in, symbol) ? 0 : wrong(in, "expected '%s' before '%.20s'", symbol, in->at);
}

/* A name; `extra` may stand inside it too. */
static int read_name(struct reader *in, const char *extra, char **ret)
{
    skip_blanks(in);
    size_t len = 0;
    while (isalnum((unsigned char)in->at[len]) || (in->at[len] && strchr(extra, in->at[len])))
        len++;
    if (len == 0 || !isalpha((unsigned char)in->at[0]))
        return wrong(in, "expected a name before '%.20s'", in->at);
    char *name = strndup(in->at, len);
    if (!name)
        return -ENOMEM;
    in->at += len;
    *ret = name;
    return 0;
}

static int read_fields(struct reader *in, struct field_list *fields);

static int read_base(struct reader *in, struct type *type)
{
    static const struct {
        const char *name;
        enum kind kind;
    } bases[] = { { "bool", T_BOOL },
                  { "int", T_INT },
                  { "float", T_FLOAT },
                  { "string", T_STRING },
                  { "object", T_OBJECT } };

    if (accept(in, "["))
        return wrong(in, "maps are not supported");
    skip_blanks(in);
    if (*in->at == '(') {
        type->kind = T_STRUCT;
        return read_fields(in, &type->fields);
    }
    int r = read_name(in, "_", &type->name);
    type->kind = T_NAMED;
    for (size_t i = 0; r == 0 && i < N_ELEMENTS(bases); i++)
        if (strcmp(type->name, bases[i].name) == 0)
            type->kind = bases[i].kind;
    return r;
}

/* Whatever it returns, *ret is the caller's to free. */
static int read_type(struct reader *in, struct type **ret)
{
    struct type *type = calloc(1, sizeof *type);
    if (!type)
        return -ENOMEM;
    *ret = type;
    STAILQ_INIT(&type->fields);
    type->optional = accept(in, "?");
    if (!accept(in, "[]"))
        return read_base(in, type);
    type->kind = T_ARRAY;
    return read_type(in, &type->element);
}

static int read_field(struct reader *in, struct field_list *fields)
{
    struct field *field = calloc(1, sizeof *field);
    if (!field)
        return -ENOMEM;
    STAILQ_INSERT_TAIL(fields, field, link);
    int r = read_name(in, "_", &field->name);
    if (r == 0 && !accept(in, ":"))
        return wrong(in, "'%s' has no type (enumerations are not supported)", field->name);
    return r == 0 ? read_type(in, &field->type) : r;
}

/* Whatever it returns, what it added to fields is the caller's to free. */
static int read_fields(struct reader *in, struct field_list *fields)
{
    int r = expect(in, "(");
    if (r < 0 || accept(in, ")"))
        return r;
    do
        r = read_field(in, fields);
    while (r == 0 && accept(in, ","));
    return r == 0 ? expect(in, ")") : r;
}

static int read_method(struct reader *in, struct idl *idl)
{
    struct idl_method *method = calloc(1, sizeof *method);
    if (!method)
        return -ENOMEM;
    STAILQ_INIT(&method->in);
    STAILQ_INIT(&method->out);
    STAILQ_INSERT_TAIL(&idl->methods, method, link);
    int r = read_name(in, "", &method->name);
    if (r == 0)
        r = read_fields(in, &method->in);
    if (r == 0)
        r = expect(in, "->");
    return r == 0 ? read_fields(in, &method->out) : r;
}

static int read_definition(struct reader *in, struct idl *idl, bool is_error)
{
    struct definition *definition = calloc(1, sizeof *definition);
    if (!definition)
        return -ENOMEM;
    STAILQ_INIT(&definition->fields);
    if (is_error)
        STAILQ_INSERT_TAIL(&idl->errors, definition, link);
    else
        STAILQ_INSERT_TAIL(&idl->types, definition, link);
    int r = read_name(in, "", &definition->name);
    return r == 0 ? read_fields(in, &definition->fields) : r;
}

static int read_member(struct reader *in, struct idl *idl)
{
    if (accept(in, "method "))
        return read_method(in, idl);
    if (accept(in, "type "))
        return read_definition(in, idl, false);
    if (accept(in, "error "))
        return read_definition(in, idl, true);
    return wrong(in, "expected 'method', 'type' or 'error' before '%.20s'", in->at);
}

const struct definition *idl_type(const struct idl *idl, const char *name)
{
    const struct definition *type;
    STAILQ_FOREACH(type, &idl->types, link)
    if (strcmp(type->name, name) == 0)
        return type;
    return NULL;
}

/* Every type that is named is defined. */
static int resolve(const struct idl *idl, const struct reader *in, const struct field_list *fields)
{
    const struct field *field;
    STAILQ_FOREACH(field, fields, link)
    {
        const struct type *type = field->type;
        while (type->kind == T_ARRAY)
            type = type->element;
        if (type->kind == T_NAMED && !idl_type(idl, type->name))
            return failure_set(in->failure, -EINVAL, "type '%s' is not defined", type->name);
        int r = resolve(idl, in, &type->fields);
        if (r < 0)
            return r;
    }
    return 0;
}

static int resolve_all(const struct idl *idl, const struct reader *in)
{
    const struct definition *definition;
    const struct idl_method *method;
    int r = 0;

    STAILQ_FOREACH(definition, &idl->types, link)
    r = r ? r : resolve(idl, in, &definition->fields);
    STAILQ_FOREACH(definition, &idl->errors, link)
    r = r ? r : resolve(idl, in, &definition->fields);
    STAILQ_FOREACH(method, &idl->methods, link)
    {
        r = r ? r : resolve(idl, in, &method->in);
        r = r ? r : resolve(idl, in, &method->out);
    }
    return r;
}

int idl_read(const char *text, struct idl **ret, struct failure *failure)
{
    struct reader in = { text, 1, failure };
    AUTO(idl_free) struct idl *idl = calloc(1, sizeof *idl);
    if (!idl)
        return -ENOMEM;
    STAILQ_INIT(&idl->types);
    STAILQ_INIT(&idl->errors);
    STAILQ_INIT(&idl->methods);

    int r = expect(&in, "interface ");
    if (r == 0)
        r = read_name(&in, ".-", &idl->name);
    skip_blanks(&in);
    while (r == 0 && *in.at) {
        r = read_member(&in, idl);
        skip_blanks(&in);
    }
    if (r == 0)
        r = resolve_all(idl, &in);
    if (r == 0)
        *ret = take_ptr(&idl);
    return r;
}

const char *idl_name(const struct idl *idl)
{
    return idl->name;
}

const struct idl_method *idl_method(const struct idl *idl, const char *name)
{
    const struct idl_method *method;
    STAILQ_FOREACH(method, &idl->methods, link)
    if (strcmp(method->name, name) == 0)
        return method;
    return NULL;
}

const char *idl_method_name(const struct idl *idl, size_t i)
{
    const struct idl_method *method;
    STAILQ_FOREACH(method, &idl->methods, link)
    if (i-- == 0)
        return method->name;
    return NULL;
}
