/* SPDX-License-Identifier: Apache-2.0 */
#include "definition_edit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct forward web = { .external_port = 8080,
                                    .internal_port = 80,
                                    .address = { .version = 4, .v4 = 0xc0a82a0a } };

#define WEB                                                                                        \
    "    {\n      \"protocol\": \"tcp\",\n      \"external_port\": 8080,\n"                        \
    "      \"address\": \"192.168.42.10\",\n      \"internal_port\": 80\n    }"

static char *add(const char *text, const struct forward *forward, int err)
{
    struct failure why = { 0 };
    char *ret = NULL;
    int r = definition_add_forward(text, strlen(text), forward, &ret, &why);
    if (r != err)
        fail_msg("%d: %s", r, why.why);
    return ret;
}

static char *drop(const char *text, enum forward_protocol protocol, uint16_t port, int err)
{
    struct failure why = { 0 };
    char *ret = NULL;
    int r = definition_remove_forward(text, strlen(text), protocol, port, &ret, &why);
    if (r != err)
        fail_msg("%d: %s", r, why.why);
    return ret;
}

static void all_else_stays_in_its_order(void **unused)
{
    (void)unused;
    const char *before = "{\n  \"subnet\": \"192.168.42.1\",\n  \"mode\": \"shared\",\n"
                         "  \"description\": \"My testing n\u00e9twork\",\n  \"mtu\": 9000\n}\n";
    const char *with_web = "{\n  \"subnet\": \"192.168.42.1\",\n  \"mode\": \"shared\",\n"
                           "  \"description\": \"My testing n\u00e9twork\",\n  \"mtu\": 9000,\n"
                           "  \"port_forwarding\": [\n" WEB "\n  ]\n}\n";
    char *one = add(before, &web, 0);
    assert_string_equal(one, with_web);
    struct definition *definition = NULL;
    struct complaints complaints = { 0 };
    assert_int_equal(
        definition_parse("lab", "lab.json", one, strlen(one), &definition, &complaints), 0);
    assert_int_equal(definition->n_forwards, 1);
    (void)definition_unref(definition);

    char *none = drop(one, FORWARD_TCP, 8080, 0);
    assert_string_equal(none, before); /* an empty list goes as well */
    free(one);
    free(none);
}

static void a_port_is_forwarded_once_by_each_version_of_ip(void **unused)
{
    (void)unused;
    struct forward other = web;
    char *one = add("{}", &web, 0);
    (void)add(one, &web, -EEXIST);
    other.address = (struct address){ .version = 6, .v6 = { 0xfd, [15] = 1 } };
    char *two = add(one, &other, 0);
    other.protocol = FORWARD_UDP;
    char *three = add(two, &other, 0);

    (void)drop(three, FORWARD_TCP, 8081, -ENOENT);
    char *udp = drop(three, FORWARD_TCP, 8080, 0); /* both */
    assert_null(strstr(udp, "tcp"));
    assert_non_null(strstr(udp, "udp"));
    free(one);
    free(two);
    free(three);
    free(udp);
}

static void what_is_no_definition_is_left_alone(void **unused)
{
    (void)unused;
    static const char *const texts[] = { "", "[]", "{", "{ \"port_forwarding\": 7 }",
                                         "{ \"mtu\": 1, \"mtu\": 2 }" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        (void)add(texts[i], &web, -EBADMSG);
        (void)drop(texts[i], FORWARD_TCP, 8080, -EBADMSG);
    }
    /* Items that are none are the check's to complain of. */
    free(add("{ \"port_forwarding\": [ 7, {} ] }", &web, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_else_stays_in_its_order),
        cmocka_unit_test(a_port_is_forwarded_once_by_each_version_of_ip),
        cmocka_unit_test(what_is_no_definition_is_left_alone),
    };
    return cmocka_run_group_tests_name("definition_edit", tests, NULL, NULL);
}
