/* SPDX-License-Identifier: Apache-2.0 */
/* xpc_wire.c - XPC values as tagged bytes, for the socket between two processes.
 *
 * Both ends are this simulator on one machine, so numbers go in native order.
 * The decoder still checks every length: a test may write rubbish.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16

void sim_bytes_put(struct sim_bytes *to, const void *data, size_t len)
{
    if (to->len + len > to->size) {
        to->size = (to->len + len) * 2;
        to->p = realloc(to->p, to->size);
        if (!to->p)
            sim_misuse("out of memory");
    }
    if (len)
        memcpy(to->p + to->len, data, len);
    to->len += len;
}

static void put_block(struct sim_bytes *to, const void *data, size_t len)
{
    uint32_t n = (uint32_t)len;
    sim_bytes_put(to, &n, sizeof n);
    sim_bytes_put(to, data, len);
}

static const xpc_type_t tags[] = { XPC_TYPE_NULL,   XPC_TYPE_BOOL,  XPC_TYPE_INT64,
                                   XPC_TYPE_UINT64, XPC_TYPE_DATA,  XPC_TYPE_STRING,
                                   XPC_TYPE_UUID,   XPC_TYPE_ARRAY, XPC_TYPE_DICTIONARY };
#define N_TAGS (sizeof tags / sizeof *tags)

static void put_list(struct sim_bytes *to, const struct xpc_value *v)
{
    uint32_t n = (uint32_t)v->list.n;
    sim_bytes_put(to, &n, sizeof n);
    for (uint32_t i = 0; i < n; i++) {
        const char *key = v->list.entries[i].key;
        put_block(to, key ? key : "", key ? strlen(key) : 0);
        sim_encode(to, v->list.entries[i].value);
    }
}

void sim_encode(struct sim_bytes *to, xpc_object_t value)
{
    struct xpc_value *v = value;
    xpc_type_t type = xpc_get_type(value);
    unsigned char tag = 0;
    while (tag < N_TAGS && tags[tag] != type)
        tag++;
    if (tag == N_TAGS)
        sim_misuse("a %s cannot be sent", type->class.name);
    sim_bytes_put(to, &tag, 1);
    if (type == XPC_TYPE_BOOL)
        sim_bytes_put(to, &v->b, sizeof v->b);
    else if (type == XPC_TYPE_INT64 || type == XPC_TYPE_UINT64)
        sim_bytes_put(to, &v->u, sizeof v->u);
    else if (type == XPC_TYPE_UUID)
        sim_bytes_put(to, v->uuid, sizeof v->uuid);
    else if (type == XPC_TYPE_DATA || type == XPC_TYPE_STRING)
        put_block(to, v->data.bytes, v->data.len);
    else if (type == XPC_TYPE_ARRAY || type == XPC_TYPE_DICTIONARY)
        put_list(to, v);
}

struct reader {
    const unsigned char *p, *end;
};

static bool get(struct reader *r, void *to, size_t len)
{
    if ((size_t)(r->end - r->p) < len)
        return false;
    memcpy(to, r->p, len);
    r->p += len;
    return true;
}

static bool get_block(struct reader *r, const unsigned char **ret, uint32_t *ret_len)
{
    if (!get(r, ret_len, sizeof *ret_len) || (size_t)(r->end - r->p) < *ret_len)
        return false;
    *ret = r->p;
    r->p += *ret_len;
    return true;
}

static xpc_object_t get_value(struct reader *r, unsigned depth);

static xpc_object_t get_list(struct reader *r, xpc_type_t type, unsigned depth)
{
    uint32_t n, len;
    const unsigned char *key;
    if (!get(r, &n, sizeof n))
        return NULL;
    bool array = type == XPC_TYPE_ARRAY;
    xpc_object_t list = array ? xpc_array_create(NULL, 0) : xpc_dictionary_create_empty();
    for (uint32_t i = 0; i < n; i++) {
        xpc_object_t value = NULL;
        char *name = NULL;
        if (get_block(r, &key, &len)) {
            name = strndup((const char *)key, len);
            value = get_value(r, depth + 1);
        }
        if (!value) {
            free(name);
            xpc_release(list);
            return NULL;
        }
        sim_entry_add(list, array ? NULL : name, value);
        free(name);
    }
    return list;
}

static xpc_object_t get_scalar(struct reader *r, xpc_type_t type)
{
    uint64_t u;
    bool b;
    uuid_t uuid;
    if (type == XPC_TYPE_NULL)
        return xpc_null_create();
    if (type == XPC_TYPE_BOOL)
        return get(r, &b, sizeof b) ? xpc_bool_create(b) : NULL;
    if (type == XPC_TYPE_UUID)
        return get(r, uuid, sizeof uuid) ? xpc_uuid_create(uuid) : NULL;
    if (!get(r, &u, sizeof u))
        return NULL;
    return type == XPC_TYPE_INT64 ? xpc_int64_create((int64_t)u) : xpc_uint64_create(u);
}

static xpc_object_t get_value(struct reader *r, unsigned depth)
{
    unsigned char tag;
    if (depth > DEPTH_MAX || !get(r, &tag, 1) || tag >= N_TAGS)
        return NULL;
    xpc_type_t type = tags[tag];
    if (type == XPC_TYPE_ARRAY || type == XPC_TYPE_DICTIONARY)
        return get_list(r, type, depth);
    if (type != XPC_TYPE_DATA && type != XPC_TYPE_STRING)
        return get_scalar(r, type);
    const unsigned char *bytes;
    uint32_t len;
    if (!get_block(r, &bytes, &len))
        return NULL;
    if (type == XPC_TYPE_DATA)
        return xpc_data_create(bytes, len);
    char *text = strndup((const char *)bytes, len);
    xpc_object_t string = xpc_string_create(text);
    free(text);
    return string;
}

xpc_object_t sim_decode(const unsigned char *p, size_t len)
{
    struct reader r = { p, p + len };
    xpc_object_t value = get_value(&r, 0);
    if (value && r.p != r.end) {
        xpc_release(value);
        return NULL;
    }
    return value;
}
