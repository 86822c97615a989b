/* SPDX-License-Identifier: Apache-2.0 */
/* xpc_object.c - XPC values: scalars, arrays, dictionaries, and the error singletons.
 *
 * Typed getters of a dictionary never fail loudly (NULL, 0 or false for a
 * missing or mistyped value); functions that are given the wrong kind of object
 * itself end the program.
 */
#include "sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void dispose_bytes(void *object)
{
    free(((struct xpc_value *)object)->data.bytes);
}

static void dispose_message(struct xpc_value *v)
{
    if (!v->msg.connection)
        return;
    /* A request dropped without a reply, or a reply made and not sent. */
    if (v->msg.request)
        sim_connection_abandon(v->msg.connection, v->msg.request);
    if (v->msg.transaction)
        sim_transaction(-1);
    xpc_release(v->msg.connection);
}

static void dispose_list(void *object)
{
    struct xpc_value *v = object;
    for (size_t i = 0; i < v->list.n; i++) {
        free(v->list.entries[i].key);
        xpc_release(v->list.entries[i].value);
    }
    free(v->list.entries);
    dispose_message(v);
}

const struct _xpc_type_s _xpc_type_null = { { "null", SIM_XPC, NULL } };
const struct _xpc_type_s _xpc_type_bool = { { "bool", SIM_XPC, NULL } };
const struct _xpc_type_s _xpc_type_int64 = { { "int64", SIM_XPC, NULL } };
const struct _xpc_type_s _xpc_type_uint64 = { { "uint64", SIM_XPC, NULL } };
const struct _xpc_type_s _xpc_type_data = { { "data", SIM_XPC, dispose_bytes } };
const struct _xpc_type_s _xpc_type_string = { { "string", SIM_XPC, dispose_bytes } };
const struct _xpc_type_s _xpc_type_uuid = { { "uuid", SIM_XPC, NULL } };
const struct _xpc_type_s _xpc_type_array = { { "array", SIM_XPC, dispose_list } };
const struct _xpc_type_s _xpc_type_dictionary = { { "dictionary", SIM_XPC, dispose_list } };
const struct _xpc_type_s _xpc_type_error = { { "error", SIM_XPC, NULL } };

/* ---- errors: dictionaries that live for ever ---- */

#define STATIC_OBJECT(type)                                                                        \
    {                                                                                              \
        SIM_MAGIC, SIM_IMMORTAL, &(type).class                                                     \
    }
#define ERROR(name, text)                                                                          \
    static struct xpc_value name##_text = { .base = STATIC_OBJECT(_xpc_type_string),               \
                                            .data = { (unsigned char *)(uintptr_t)(text),          \
                                                      sizeof(text) - 1 } };                        \
    static struct sim_entry name##_entry = { (char *)(uintptr_t) "XPCErrorDescription",            \
                                             &name##_text };                                       \
    struct xpc_value name = { .base = STATIC_OBJECT(_xpc_type_error), .list = { &name##_entry, 1 } }

ERROR(_xpc_error_connection_invalid, "Connection invalid");
ERROR(_xpc_error_connection_interrupted, "Connection interrupted");
ERROR(_xpc_error_termination_imminent, "Process terminating");
const char *const _xpc_error_key_description = "XPCErrorDescription";

/* ---- helpers ---- */

static struct xpc_value *typed(xpc_object_t object, xpc_type_t type, const char *caller)
{
    struct sim_object *base = sim_check(object, SIM_XPC, caller);
    bool dictionary_like = type == XPC_TYPE_DICTIONARY && base->class == &XPC_TYPE_ERROR->class;
    if (base->class != &type->class && !dictionary_like)
        sim_misuse("%s: given a %s instead of a %s", caller, base->class->name, type->class.name);
    return (struct xpc_value *)base;
}

static struct xpc_value *value_new(xpc_type_t type)
{
    return sim_new(sizeof(struct xpc_value), &type->class);
}

void sim_entry_add(struct xpc_value *list, const char *key, xpc_object_t value)
{
    struct sim_entry *grown =
        realloc(list->list.entries, (list->list.n + 1) * sizeof *list->list.entries);
    if (!grown)
        sim_misuse("out of memory");
    list->list.entries = grown;
    grown[list->list.n++] = (struct sim_entry){ key ? strdup(key) : NULL, value };
}

static struct sim_entry *entry(struct xpc_value *dictionary, const char *key)
{
    for (size_t i = 0; i < dictionary->list.n; i++)
        if (strcmp(dictionary->list.entries[i].key, key) == 0)
            return &dictionary->list.entries[i];
    return NULL;
}

/* ---- values ---- */

xpc_type_t xpc_get_type(xpc_object_t object)
{
    return (xpc_type_t)sim_check(object, SIM_XPC, "xpc_get_type")->class;
}

const char *xpc_type_get_name(xpc_type_t type)
{
    return type->class.name;
}

xpc_object_t xpc_null_create(void)
{
    return value_new(XPC_TYPE_NULL);
}

xpc_object_t xpc_bool_create(bool value)
{
    struct xpc_value *v = value_new(XPC_TYPE_BOOL);
    v->b = value;
    return v;
}

xpc_object_t xpc_int64_create(int64_t value)
{
    struct xpc_value *v = value_new(XPC_TYPE_INT64);
    v->i = value;
    return v;
}

xpc_object_t xpc_uint64_create(uint64_t value)
{
    struct xpc_value *v = value_new(XPC_TYPE_UINT64);
    v->u = value;
    return v;
}

static xpc_object_t bytes_create(xpc_type_t type, const void *bytes, size_t len)
{
    struct xpc_value *v = value_new(type);
    v->data.bytes = sim_malloc(len + 1);
    if (len)
        memcpy(v->data.bytes, bytes, len);
    v->data.len = len;
    return v;
}

xpc_object_t xpc_string_create(const char *string)
{
    if (!string)
        sim_misuse("xpc_string_create: NULL string");
    return bytes_create(XPC_TYPE_STRING, string, strlen(string));
}

xpc_object_t xpc_data_create(const void *bytes, size_t length)
{
    return bytes_create(XPC_TYPE_DATA, bytes, length);
}

xpc_object_t xpc_uuid_create(const uuid_t uuid)
{
    struct xpc_value *v = value_new(XPC_TYPE_UUID);
    memcpy(v->uuid, uuid, sizeof v->uuid);
    return v;
}

bool xpc_bool_get_value(xpc_object_t object)
{
    return xpc_get_type(object) == XPC_TYPE_BOOL && ((struct xpc_value *)object)->b;
}

int64_t xpc_int64_get_value(xpc_object_t object)
{
    return xpc_get_type(object) == XPC_TYPE_INT64 ? ((struct xpc_value *)object)->i : 0;
}

uint64_t xpc_uint64_get_value(xpc_object_t object)
{
    return xpc_get_type(object) == XPC_TYPE_UINT64 ? ((struct xpc_value *)object)->u : 0;
}

const char *xpc_string_get_string_ptr(xpc_object_t object)
{
    if (xpc_get_type(object) != XPC_TYPE_STRING)
        return NULL;
    return (const char *)((struct xpc_value *)object)->data.bytes;
}

size_t xpc_string_get_length(xpc_object_t object)
{
    return xpc_get_type(object) == XPC_TYPE_STRING ? ((struct xpc_value *)object)->data.len : 0;
}

const uint8_t *xpc_uuid_get_bytes(xpc_object_t object)
{
    return xpc_get_type(object) == XPC_TYPE_UUID ? ((struct xpc_value *)object)->uuid : NULL;
}

/* ---- arrays ---- */

xpc_object_t xpc_array_create(const xpc_object_t *objects, size_t count)
{
    xpc_object_t array = value_new(XPC_TYPE_ARRAY);
    for (size_t i = 0; i < count; i++)
        xpc_array_append_value(array, objects[i]);
    return array;
}

void xpc_array_append_value(xpc_object_t array, xpc_object_t value)
{
    sim_entry_add(typed(array, XPC_TYPE_ARRAY, "xpc_array_append_value"), NULL, xpc_retain(value));
}

size_t xpc_array_get_count(xpc_object_t array)
{
    return typed(array, XPC_TYPE_ARRAY, "xpc_array_get_count")->list.n;
}

xpc_object_t xpc_array_get_value(xpc_object_t array, size_t index)
{
    struct xpc_value *v = typed(array, XPC_TYPE_ARRAY, "xpc_array_get_value");
    if (index >= v->list.n)
        sim_misuse("xpc_array_get_value: index out of range");
    return v->list.entries[index].value;
}

bool xpc_array_apply(xpc_object_t array, xpc_array_applier_t applier)
{
    struct xpc_value *v = typed(array, XPC_TYPE_ARRAY, "xpc_array_apply");
    for (size_t i = 0; i < v->list.n; i++)
        if (!applier(i, v->list.entries[i].value))
            return false;
    return true;
}

/* ---- dictionaries ---- */

xpc_object_t xpc_dictionary_create_empty(void)
{
    return value_new(XPC_TYPE_DICTIONARY);
}

xpc_object_t xpc_dictionary_create(const char *const *keys, const xpc_object_t *values,
                                   size_t count)
{
    xpc_object_t dictionary = xpc_dictionary_create_empty();
    for (size_t i = 0; i < count; i++)
        xpc_dictionary_set_value(dictionary, keys[i], values[i]);
    return dictionary;
}

/* NULL when original is no dictionary, was not sent for a reply, or was answered. The
 * message's transaction goes over to the reply. */
xpc_object_t xpc_dictionary_create_reply(xpc_object_t original)
{
    struct xpc_value *v =
        (struct xpc_value *)sim_check(original, SIM_XPC, "xpc_dictionary_create_reply");
    if (v->base.class != &XPC_TYPE_DICTIONARY->class || !v->msg.request || v->msg.is_reply)
        return NULL;
    struct xpc_value *reply = value_new(XPC_TYPE_DICTIONARY);
    reply->msg.connection = xpc_retain(v->msg.connection);
    reply->msg.request = v->msg.request;
    reply->msg.is_reply = true;
    reply->msg.transaction = v->msg.transaction;
    v->msg.request = 0;
    v->msg.transaction = false;
    return reply;
}

xpc_connection_t xpc_dictionary_get_remote_connection(xpc_object_t dictionary)
{
    return typed(dictionary, XPC_TYPE_DICTIONARY, "xpc_dictionary_get_remote_connection")
        ->msg.connection;
}

size_t xpc_dictionary_get_count(xpc_object_t dictionary)
{
    return typed(dictionary, XPC_TYPE_DICTIONARY, "xpc_dictionary_get_count")->list.n;
}

/* Backwards, since Apple promises no order. */
bool xpc_dictionary_apply(xpc_object_t dictionary, xpc_dictionary_applier_t applier)
{
    struct xpc_value *v = typed(dictionary, XPC_TYPE_DICTIONARY, "xpc_dictionary_apply");
    size_t n = v->list.n;
    for (size_t i = n; i > 0; i--) {
        if (!applier(v->list.entries[i - 1].key, v->list.entries[i - 1].value))
            return false;
        if (v->list.n != n)
            sim_misuse("xpc_dictionary_apply: the dictionary was modified meanwhile");
    }
    return true;
}

xpc_object_t xpc_dictionary_get_value(xpc_object_t dictionary, const char *key)
{
    struct sim_entry *e =
        entry(typed(dictionary, XPC_TYPE_DICTIONARY, "xpc_dictionary_get_value"), key);
    return e ? e->value : NULL;
}

static void set_taken(xpc_object_t dictionary, const char *key, xpc_object_t value)
{
    struct xpc_value *v = typed(dictionary, XPC_TYPE_DICTIONARY, "xpc_dictionary_set");
    if (v->base.class == &XPC_TYPE_ERROR->class)
        sim_misuse("xpc_dictionary_set: an error cannot be changed");
    struct sim_entry *e = entry(v, key);
    if (e) {
        xpc_release(e->value);
        e->value = value;
    } else {
        sim_entry_add(v, key, value);
    }
}

static void remove_key(xpc_object_t dictionary, const char *key)
{
    struct xpc_value *v = typed(dictionary, XPC_TYPE_DICTIONARY, "xpc_dictionary_set_value");
    struct sim_entry *e = entry(v, key);
    if (!e)
        return;
    free(e->key);
    xpc_release(e->value);
    *e = v->list.entries[--v->list.n];
}

void xpc_dictionary_set_value(xpc_object_t dictionary, const char *key, xpc_object_t value)
{
    if (value)
        set_taken(dictionary, key, xpc_retain(value));
    else
        remove_key(dictionary, key);
}

void xpc_dictionary_set_bool(xpc_object_t dictionary, const char *key, bool value)
{
    set_taken(dictionary, key, xpc_bool_create(value));
}

void xpc_dictionary_set_int64(xpc_object_t dictionary, const char *key, int64_t value)
{
    set_taken(dictionary, key, xpc_int64_create(value));
}

void xpc_dictionary_set_uint64(xpc_object_t dictionary, const char *key, uint64_t value)
{
    set_taken(dictionary, key, xpc_uint64_create(value));
}

void xpc_dictionary_set_string(xpc_object_t dictionary, const char *key, const char *value)
{
    set_taken(dictionary, key, xpc_string_create(value));
}

void xpc_dictionary_set_data(xpc_object_t dictionary, const char *key, const void *bytes,
                             size_t length)
{
    set_taken(dictionary, key, xpc_data_create(bytes, length));
}

void xpc_dictionary_set_uuid(xpc_object_t dictionary, const char *key, const uuid_t uuid)
{
    set_taken(dictionary, key, xpc_uuid_create(uuid));
}

bool xpc_dictionary_get_bool(xpc_object_t dictionary, const char *key)
{
    xpc_object_t v = xpc_dictionary_get_value(dictionary, key);
    return v && xpc_bool_get_value(v);
}

int64_t xpc_dictionary_get_int64(xpc_object_t dictionary, const char *key)
{
    xpc_object_t v = xpc_dictionary_get_value(dictionary, key);
    return v ? xpc_int64_get_value(v) : 0;
}

uint64_t xpc_dictionary_get_uint64(xpc_object_t dictionary, const char *key)
{
    xpc_object_t v = xpc_dictionary_get_value(dictionary, key);
    return v ? xpc_uint64_get_value(v) : 0;
}

const char *xpc_dictionary_get_string(xpc_object_t dictionary, const char *key)
{
    xpc_object_t v = xpc_dictionary_get_value(dictionary, key);
    return v ? xpc_string_get_string_ptr(v) : NULL;
}

const void *xpc_dictionary_get_data(xpc_object_t dictionary, const char *key, size_t *length)
{
    xpc_object_t v = xpc_dictionary_get_value(dictionary, key);
    if (!v || xpc_get_type(v) != XPC_TYPE_DATA)
        return NULL;
    if (length)
        *length = ((struct xpc_value *)v)->data.len;
    return ((struct xpc_value *)v)->data.bytes;
}

const uint8_t *xpc_dictionary_get_uuid(xpc_object_t dictionary, const char *key)
{
    xpc_object_t v = xpc_dictionary_get_value(dictionary, key);
    return v ? xpc_uuid_get_bytes(v) : NULL;
}

/* ---- descriptions, for people only ---- */

static void describe(FILE *out, struct xpc_value *v)
{
    xpc_type_t type = (xpc_type_t)v->base.class;
    fprintf(out, "<%s", v->base.class->name);
    if (type == XPC_TYPE_STRING)
        fprintf(out, " \"%s\"", (const char *)v->data.bytes);
    else if (type == XPC_TYPE_INT64)
        fprintf(out, " %" PRId64, v->i);
    else if (type == XPC_TYPE_UINT64)
        fprintf(out, " %" PRIu64, v->u);
    else if (type == XPC_TYPE_BOOL)
        fputs(v->b ? " true" : " false", out);
    else if (type == XPC_TYPE_DICTIONARY || type == XPC_TYPE_ARRAY || type == XPC_TYPE_ERROR)
        for (size_t i = 0; i < v->list.n; i++) {
            fprintf(out, " %s=", v->list.entries[i].key ? v->list.entries[i].key : "");
            describe(out, v->list.entries[i].value);
        }
    fputc('>', out);
}

char *xpc_copy_description(xpc_object_t object)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        sim_misuse("out of memory");
    describe(out, (struct xpc_value *)sim_check(object, SIM_XPC, "xpc_copy_description"));
    (void)fclose(out);
    return text;
}
