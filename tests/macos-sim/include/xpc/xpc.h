/* SPDX-License-Identifier: Apache-2.0 */
/* xpc.h - the part of libxpc that the simulator has, declared as Apple does.
 *
 * Only what this project and its test programs call. See ../../sim/xpc_object.c
 * and xpc_connection.c for what is simulated and what is not.
 */
#pragma once
#include <dispatch/dispatch.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef void *xpc_object_t;
typedef struct _xpc_connection_s *xpc_connection_t;
typedef const struct _xpc_type_s *xpc_type_t;
typedef void (^xpc_handler_t)(xpc_object_t object);
typedef void (*xpc_finalizer_t)(void *value);
typedef bool (^xpc_dictionary_applier_t)(const char *key, xpc_object_t value);
typedef bool (^xpc_array_applier_t)(size_t index, xpc_object_t value);
typedef unsigned char uuid_t[16];

extern const struct _xpc_type_s _xpc_type_connection, _xpc_type_null, _xpc_type_bool,
    _xpc_type_int64, _xpc_type_uint64, _xpc_type_data, _xpc_type_string, _xpc_type_uuid,
    _xpc_type_array, _xpc_type_dictionary, _xpc_type_error;
#define XPC_TYPE_CONNECTION (&_xpc_type_connection)
#define XPC_TYPE_NULL       (&_xpc_type_null)
#define XPC_TYPE_BOOL       (&_xpc_type_bool)
#define XPC_TYPE_INT64      (&_xpc_type_int64)
#define XPC_TYPE_UINT64     (&_xpc_type_uint64)
#define XPC_TYPE_DATA       (&_xpc_type_data)
#define XPC_TYPE_STRING     (&_xpc_type_string)
#define XPC_TYPE_UUID       (&_xpc_type_uuid)
#define XPC_TYPE_ARRAY      (&_xpc_type_array)
#define XPC_TYPE_DICTIONARY (&_xpc_type_dictionary)
#define XPC_TYPE_ERROR      (&_xpc_type_error)

extern struct xpc_value _xpc_error_connection_invalid, _xpc_error_connection_interrupted,
    _xpc_error_termination_imminent;
#define XPC_ERROR_CONNECTION_INVALID     ((xpc_object_t)&_xpc_error_connection_invalid)
#define XPC_ERROR_CONNECTION_INTERRUPTED ((xpc_object_t)&_xpc_error_connection_interrupted)
#define XPC_ERROR_TERMINATION_IMMINENT   ((xpc_object_t)&_xpc_error_termination_imminent)
extern const char *const _xpc_error_key_description;
#define XPC_ERROR_KEY_DESCRIPTION _xpc_error_key_description

#define XPC_CONNECTION_MACH_SERVICE_LISTENER   (1 << 0)
#define XPC_CONNECTION_MACH_SERVICE_PRIVILEGED (1 << 1)
#define XPC_ARRAY_APPEND                       ((size_t)-1)

xpc_type_t xpc_get_type(xpc_object_t object);
const char *xpc_type_get_name(xpc_type_t type);
xpc_object_t xpc_retain(xpc_object_t object);
void xpc_release(xpc_object_t object);
char *xpc_copy_description(xpc_object_t object);

xpc_object_t xpc_null_create(void);
xpc_object_t xpc_bool_create(bool value);
xpc_object_t xpc_int64_create(int64_t value);
xpc_object_t xpc_uint64_create(uint64_t value);
xpc_object_t xpc_string_create(const char *string);
xpc_object_t xpc_data_create(const void *bytes, size_t length);
xpc_object_t xpc_uuid_create(const uuid_t uuid);
bool xpc_bool_get_value(xpc_object_t object);
int64_t xpc_int64_get_value(xpc_object_t object);
uint64_t xpc_uint64_get_value(xpc_object_t object);
const char *xpc_string_get_string_ptr(xpc_object_t object);
size_t xpc_string_get_length(xpc_object_t object);
const uint8_t *xpc_uuid_get_bytes(xpc_object_t object);

xpc_object_t xpc_array_create(const xpc_object_t *objects, size_t count);
void xpc_array_append_value(xpc_object_t array, xpc_object_t value);
size_t xpc_array_get_count(xpc_object_t array);
xpc_object_t xpc_array_get_value(xpc_object_t array, size_t index);
bool xpc_array_apply(xpc_object_t array, xpc_array_applier_t applier);

xpc_object_t xpc_dictionary_create(const char *const *keys, const xpc_object_t *values,
                                   size_t count);
xpc_object_t xpc_dictionary_create_empty(void);
xpc_object_t xpc_dictionary_create_reply(xpc_object_t original);
xpc_connection_t xpc_dictionary_get_remote_connection(xpc_object_t dictionary);
size_t xpc_dictionary_get_count(xpc_object_t dictionary);
bool xpc_dictionary_apply(xpc_object_t dictionary, xpc_dictionary_applier_t applier);
xpc_object_t xpc_dictionary_get_value(xpc_object_t dictionary, const char *key);
void xpc_dictionary_set_value(xpc_object_t dictionary, const char *key, xpc_object_t value);
void xpc_dictionary_set_bool(xpc_object_t dictionary, const char *key, bool value);
void xpc_dictionary_set_int64(xpc_object_t dictionary, const char *key, int64_t value);
void xpc_dictionary_set_uint64(xpc_object_t dictionary, const char *key, uint64_t value);
void xpc_dictionary_set_string(xpc_object_t dictionary, const char *key, const char *value);
void xpc_dictionary_set_data(xpc_object_t dictionary, const char *key, const void *bytes,
                             size_t length);
void xpc_dictionary_set_uuid(xpc_object_t dictionary, const char *key, const uuid_t uuid);
bool xpc_dictionary_get_bool(xpc_object_t dictionary, const char *key);
int64_t xpc_dictionary_get_int64(xpc_object_t dictionary, const char *key);
uint64_t xpc_dictionary_get_uint64(xpc_object_t dictionary, const char *key);
const char *xpc_dictionary_get_string(xpc_object_t dictionary, const char *key);
const void *xpc_dictionary_get_data(xpc_object_t dictionary, const char *key, size_t *length);
const uint8_t *xpc_dictionary_get_uuid(xpc_object_t dictionary, const char *key);

xpc_connection_t xpc_connection_create_mach_service(const char *name, dispatch_queue_t targetq,
                                                    uint64_t flags);
void xpc_connection_set_target_queue(xpc_connection_t connection, dispatch_queue_t targetq);
void xpc_connection_set_event_handler(xpc_connection_t connection, xpc_handler_t handler);
void xpc_connection_activate(xpc_connection_t connection);
void xpc_connection_resume(xpc_connection_t connection);
void xpc_connection_cancel(xpc_connection_t connection);
void xpc_connection_send_message(xpc_connection_t connection, xpc_object_t message);
void xpc_connection_send_message_with_reply(xpc_connection_t connection, xpc_object_t message,
                                            dispatch_queue_t replyq, xpc_handler_t handler);
xpc_object_t xpc_connection_send_message_with_reply_sync(xpc_connection_t connection,
                                                         xpc_object_t message);
void xpc_connection_send_barrier(xpc_connection_t connection, dispatch_block_t barrier);
pid_t xpc_connection_get_pid(xpc_connection_t connection);
uid_t xpc_connection_get_euid(xpc_connection_t connection);
gid_t xpc_connection_get_egid(xpc_connection_t connection);
void xpc_connection_set_context(xpc_connection_t connection, void *context);
void *xpc_connection_get_context(xpc_connection_t connection);
void xpc_connection_set_finalizer_f(xpc_connection_t connection, xpc_finalizer_t finalizer);

void xpc_transaction_begin(void);
void xpc_transaction_end(void);
