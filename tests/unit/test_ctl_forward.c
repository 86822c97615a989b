/* SPDX-License-Identifier: Apache-2.0 */
/* What `forward` and `run -p` make of ports as people write them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "forward_spec.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

static const struct example {
    enum forward_form form;
    const char *text;
    const char *listen; /* "": any; NULL: the text is refused */
    enum forward_protocol protocol;
    unsigned external_port, internal_port;
    const char *target;
} examples[] = {
    { FORWARD_RUN, "8080:80", "", FORWARD_TCP, 8080, 80, NULL },
    { FORWARD_RUN, "8080:80/tcp", "", FORWARD_TCP, 8080, 80, NULL },
    { FORWARD_RUN, "53:5353/udp", "", FORWARD_UDP, 53, 5353, NULL },
    { FORWARD_RUN, "127.0.0.1:8080:80", "127.0.0.1", FORWARD_TCP, 8080, 80, NULL },
    { FORWARD_RUN, "[::1]:1:65535", "::1", FORWARD_TCP, 1, 65535, NULL },
    { FORWARD_ADD, "8080:web:80", "", FORWARD_TCP, 8080, 80, "web" },
    { FORWARD_ADD, "8080:10.1.0.2:80/udp", "", FORWARD_UDP, 8080, 80, "10.1.0.2" },
    { FORWARD_ADD, "8080:[fd00::2]:80", "", FORWARD_TCP, 8080, 80, "fd00::2" },
    { FORWARD_ADD, "[2001:db8::1]:8080:[fd00::2]:80", "2001:db8::1", FORWARD_TCP, 8080, 80,
      "fd00::2" },
    { FORWARD_DOOR, "8080", "", FORWARD_TCP, 8080, 0, NULL },
    { FORWARD_DOOR, "127.0.0.1:8080/udp", "127.0.0.1", FORWARD_UDP, 8080, 0, NULL },

    { FORWARD_RUN, "", NULL },
    { FORWARD_RUN, "8080", NULL },
    { FORWARD_RUN, ":80", NULL },
    { FORWARD_RUN, "8080:", NULL },
    { FORWARD_RUN, "0:80", NULL },
    { FORWARD_RUN, "8080:65536", NULL },
    { FORWARD_RUN, "8080:-1", NULL },
    { FORWARD_RUN, "http:80", NULL },
    { FORWARD_RUN, "8080:80/sctp", NULL },
    { FORWARD_RUN, "8080:80/", NULL },
    { FORWARD_RUN, "localhost:8080:80", NULL },
    { FORWARD_RUN, "::1:8080:80", NULL },
    { FORWARD_RUN, "[::1:8080:80", NULL },
    { FORWARD_RUN, "[::1]8080:80", NULL },
    { FORWARD_RUN, "1:2:3:4:5", NULL },
    { FORWARD_ADD, "8080:80", NULL },
    { FORWARD_DOOR, "8080:80", NULL },
};

static void check(const struct example *e, const struct forward_spec *spec)
{
    char listen[ADDR6_TEXT] = "";

    if (spec->listen.version)
        (void)address_format(&spec->listen, listen);
    assert_string_equal(listen, e->listen);
    assert_int_equal(spec->protocol, e->protocol);
    assert_int_equal(spec->external_port, e->external_port);
    assert_int_equal(spec->internal_port, e->internal_port);
    assert_true(spec->target ? e->target && strcmp(spec->target, e->target) == 0 : !e->target);
}

static void every_form_is_read_and_everything_else_refused(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(examples); i++) {
        const struct example *e = &examples[i];
        struct forward_spec spec;
        struct failure why = { 0 };
        int r = forward_spec_parse(e->text, e->form, &spec, &why);

        print_message("[          ] %s\n", e->text);
        assert_int_equal(r, e->listen ? 0 : -EINVAL);
        if (r == 0)
            check(e, &spec);
        else
            assert_non_null(
                strstr(why.why, e->form == FORWARD_ADD ? "HOSTPORT:VM:VMPORT" : "PORT"));
        forward_spec_free(&spec);
    }
}

static void the_brokers_methods_get_what_was_written(void **unused)
{
    (void)unused;
    struct forward_spec spec;
    struct failure why;
    assert_int_equal(forward_spec_parse("[::1]:8080:80/udp", FORWARD_RUN, &spec, &why), 0);
    json_t *json = forward_spec_json(&spec, "lab");
    json_t *expected = json_pack("{s:s, s:s, s:s, s:i}", "network_name", "lab", "protocol", "udp",
                                 "listen_address", "::1", "external_port", 8080);
    assert_true(json_equal(json, expected));
    json_decref(json);
    json_decref(expected);
    forward_spec_free(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_read_and_everything_else_refused),
        cmocka_unit_test(the_brokers_methods_get_what_was_written),
    };
    return cmocka_run_group_tests_name("ctl_forward", tests, NULL, NULL);
}
