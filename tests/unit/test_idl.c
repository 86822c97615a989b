/* SPDX-License-Identifier: Apache-2.0 */
/* The interface files can be read, and what they say is what is accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "idl.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct idl *broker_idl(void)
{
    struct failure failure = { 0 };
    struct idl *idl = NULL;
    if (idl_read(idl_text(BROKER_INTERFACE), &idl, &failure) < 0)
        fail_msg("%s", failure.why);
    return idl;
}

static void both_interfaces_are_embedded_and_can_be_read(void **state)
{
    (void)state;
    size_t n = 0;
    for (; idl_interface(n); n++) {
        struct failure failure = { 0 };
        struct idl *idl = NULL;
        if (idl_read(idl_text(idl_interface(n)), &idl, &failure) < 0)
            fail_msg("%s: %s", idl_interface(n), failure.why);
        assert_string_equal(idl_name(idl), idl_interface(n));
        idl_free(idl);
    }
    assert_int_equal(n, 2);
    assert_non_null(idl_text(SERVICE_INTERFACE));
    assert_null(idl_text("org.example"));
}

static void methods_are_listed_and_found(void **state)
{
    (void)state;
    struct idl *idl = broker_idl();
    assert_string_equal(idl_method_name(idl, 0), "Acquire");
    assert_non_null(idl_method(idl, "StartInterface"));
    assert_null(idl_method(idl, "Network"));
    size_t n = 0;
    while (idl_method_name(idl, n))
        assert_non_null(idl_method(idl, idl_method_name(idl, n++)));
    assert_true(n >= 6);
    idl_free(idl);
}

/* What a client sends, and what it hears; NULL: accepted. */
static const struct {
    const char *method, *params, *why, *parameter;
} calls[] = {
    { "Acquire", "{\"network_name\":\"shared\"}", NULL, NULL },
    { "Acquire", NULL, "parameter 'network_name' of Acquire is missing", "network_name" },
    { "Acquire", "{}", "parameter 'network_name' of Acquire is missing", "network_name" },
    { "Acquire", "{\"network_name\":null}",
      "parameter 'network_name' of Acquire must be a string, not null", "network_name" },
    { "Acquire", "{\"network_name\":7}",
      "parameter 'network_name' of Acquire must be a string, not an int", "network_name" },
    { "Acquire", "{\"network_name\":[\"shared\"]}",
      "parameter 'network_name' of Acquire must be a string, not an array", "network_name" },
    { "Acquire", "{\"network_name\":\"a\\u0000b\"}",
      "parameter 'network_name' of Acquire contains a NUL character", "network_name" },
    { "Acquire", "{\"network_name\":\"shared\",\"wish\":1}", "Acquire has no parameter 'wish'",
      "wish" },
    { "Acquire", "[]", "the parameters of Acquire must be an object, not an array", "parameters" },
    { "Acquire", "\"x\"", "the parameters of Acquire must be an object, not a string",
      "parameters" },
    { "StartInterface",
      "{\"network_name\":\"shared\",\"interface_id\":\"x\",\"name\":\"web\",\"mac_address\":"
      "\"52:54:00:00:00:01\",\"queues\":4,\"offload\":false,\"isolated\":true}",
      NULL, NULL },
    { "StartInterface", "{\"network_name\":\"shared\",\"name\":null}", NULL, NULL },
    { "StartInterface", "{\"network_name\":\"shared\",\"queues\":\"2\"}",
      "parameter 'queues' of StartInterface must be an int, not a string", "queues" },
    { "StartInterface", "{\"network_name\":\"shared\",\"queues\":2.0}",
      "parameter 'queues' of StartInterface must be an int, not a float", "queues" },
    { "StartInterface", "{\"network_name\":\"shared\",\"offload\":1}",
      "parameter 'offload' of StartInterface must be a bool, not an int", "offload" },
    { "List", NULL, NULL, NULL },
    { "List", "{}", NULL, NULL },
    { "List", "{\"all\":true}", "List has no parameter 'all'", "all" },
    { "List", "{\"a\\u00e4b\\n\":true}", "List has no parameter 'a??b?'", NULL },
    { "Status", "{}", NULL, NULL },
};

static void a_call_is_checked_against_the_interface_file(void **state)
{
    (void)state;
    struct idl *idl = broker_idl();
    for (size_t i = 0; i < N_ELEMENTS(calls); i++) {
        struct failure failure = { 0 };
        const char *parameter = NULL;
        json_t *params = calls[i].params
                             ? json_loads(calls[i].params, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL)
                             : NULL;
        int r = idl_check(idl, idl_method(idl, calls[i].method), params, &failure, &parameter);
        if (calls[i].why == NULL ? r != 0 : r != -EINVAL || strcmp(failure.why, calls[i].why) != 0)
            fail_msg("%s %s: %d %s", calls[i].method, calls[i].params, r, failure.why);
        if (calls[i].parameter)
            assert_string_equal(parameter, calls[i].parameter);
        json_decref(params);
    }
    idl_free(idl);
}

static void a_reply_is_checked_through_named_types_and_arrays(void **state)
{
    (void)state;
    static const char text[] = "interface org.example\n"
                               "type Part (size: int, note: ?string)\n"
                               "method Get() -> (parts: []Part, where: (x: float, y: float))\n";
    static const struct {
        const char *reply, *why;
    } replies[] = {
        { "{\"parts\":[{\"size\":1},{\"size\":2,\"note\":\"n\"}],\"where\":{\"x\":1,\"y\":0.5}}",
          NULL },
        { "{\"parts\":[{\"size\":1},{}],\"where\":{\"x\":1,\"y\":2}}",
          "field 'size' of Part is missing" },
        { "{\"parts\":[1],\"where\":{\"x\":1,\"y\":2}}",
          "result 'parts' of Get must be an object, not an int" },
        { "{\"parts\":[],\"where\":{\"x\":1,\"y\":2,\"z\":3}}", "where has no field 'z'" },
        { "{\"parts\":[{\"size\":1,\"note\":false}],\"where\":{\"x\":1,\"y\":2}}",
          "field 'note' of Part must be a string, not a bool" },
    };
    struct idl *idl = NULL;
    struct failure failure = { 0 };
    if (idl_read(text, &idl, &failure) < 0)
        fail_msg("%s", failure.why);
    for (size_t i = 0; i < N_ELEMENTS(replies); i++) {
        json_t *reply = json_loads(replies[i].reply, 0, NULL);
        int r = idl_check_reply(idl, idl_method(idl, "Get"), reply, &failure);
        if (replies[i].why ? r != -EINVAL || strcmp(failure.why, replies[i].why) != 0 : r != 0)
            fail_msg("%s: %d %s", replies[i].reply, r, failure.why);
        json_decref(reply);
    }
    idl_free(idl);
}

static void a_damaged_interface_file_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } files[] = {
        { "", "line 1: expected 'interface ' before ''" },
        { "# x\n\ninterface a.b\n\nmethod Get( -> ()\n", "line 5: expected a name" },
        { "interface a.b\nmethod Get() -> (x: Nothing)\n", "type 'Nothing' is not defined" },
        { "interface a.b\nmethod Get() -> (x: []Nothing)\n", "type 'Nothing' is not defined" },
        { "interface a.b\ntype Color (red, green)\n", "line 2: 'red' has no type" },
        { "interface a.b\ntype M (m: [string]int)\n", "line 2: maps are not supported" },
        { "interface a.b\nmethod Get() (x: int)\n", "line 2: expected '->'" },
        { "interface a.b\nmethod Get() -> (x: int", "line 2: expected ')'" },
        { "interface a.b\nverb Get() -> ()\n", "line 2: expected 'method'" },
    };
    for (size_t i = 0; i < N_ELEMENTS(files); i++) {
        struct failure failure = { 0 };
        struct idl *idl = NULL;
        int r = idl_read(files[i].text, &idl, &failure);
        if (r != -EINVAL || strncmp(failure.why, files[i].why, strlen(files[i].why)) != 0)
            fail_msg("%zu: %d %s", i, r, failure.why);
        assert_null(idl);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_interfaces_are_embedded_and_can_be_read),
        cmocka_unit_test(methods_are_listed_and_found),
        cmocka_unit_test(a_call_is_checked_against_the_interface_file),
        cmocka_unit_test(a_reply_is_checked_through_named_types_and_arrays),
        cmocka_unit_test(a_damaged_interface_file_is_refused_with_its_line),
    };
    return cmocka_run_group_tests_name("idl", tests, NULL, NULL);
}
