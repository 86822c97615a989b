/* SPDX-License-Identifier: Apache-2.0 */
/* What `run` makes of its arguments, and of --network. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "mem.h"
#include "netspec.h"
#include "resolver.h"
#include "template.h"

#include <string.h>

static const int one_fd[] = { 7 }, four_fds[] = { 8, 9, 10, 11 };
static const struct template_interface interfaces[] = {
    { .mac = "52:54:00:00:00:01", .ip = "192.168.64.2", .mtu = 1500, .fds = one_fd, .queues = 1 },
    { .mac = "52:54:00:00:00:02", .ip = NULL, .mtu = 9000, .fds = four_fds, .queues = 4 },
}, named[] = {
    { .mac = "52:54:00:00:00:01", .tap = "vt0.7", .mtu = 1500 },
    { .mac = "52:54:00:00:00:02", .tap = "vt3.0", .mtu = 1500 },
};

static const struct argument {
    const char *text, *expanded; /* expanded NULL: refused, with these words */
    const char *words;
} arguments[] = {
    { "", "" },
    { "-m", "-m" },
    { "tap,id=n0,fd={fd}", "tap,id=n0,fd=7" },
    { "{fd}{fd0}{fds}", "777" },
    { "fds={fds1},mac={mac1}", "fds=8:9:10:11,mac=52:54:00:00:00:02" },
    { "{mac} {mtu} {ip}", "52:54:00:00:00:01 1500 192.168.64.2" },
    { "{mtu1}", "9000" },
    { "{\"fd\": 1, \"mac\": \"{mac}\"}", "{\"fd\": 1, \"mac\": \"52:54:00:00:00:01\"}" },
    { "{}", "{}" },
    { "{fd", "{fd" },
    { "{{fd}}", "{7}" },
    { "${HOME} {other} {fdx} {FD} {0}", "${HOME} {other} {fdx} {FD} {0}" },
    { "fd={fd1}", NULL, "{fds}" },
    { "{fd2}", NULL, "2 networks" },
    { "{mac99999999999}", NULL, "networks" },
    { "{ip1}", NULL, "no IPv4" },
    { "{tap}", NULL, "--in-namespace" },
}, named_arguments[] = {
    { "tap,ifname={tap},script=no", "tap,ifname=vt0.7,script=no" },
    { "{tap1}/{mac1}", "vt3.0/52:54:00:00:00:02" },
    { "fd={fd}", NULL, "{tap}" },
    { "fds={fds1}", NULL, "{tap}" },
    { "{tap2}", NULL, "2 networks" },
};

static void expand(const struct argument *a, const struct template_interface *two)
{
    struct failure why = { 0 };
    AUTO_FREE char *got = template_expand(a->text, two, 2, &why);
    if (a->expanded ? !got || strcmp(got, a->expanded) != 0 : got || !strstr(why.why, a->words))
        fail_msg("%s: %s (%s)", a->text, got ? got : "refused", why.why);
}

static void braces_that_are_ours_are_filled_in_and_others_left_alone(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(arguments); i++)
        expand(&arguments[i], interfaces);
}

static void a_tap_has_either_a_name_or_descriptors(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(named_arguments); i++)
        expand(&named_arguments[i], named);
}

static void a_network_takes_its_options_from_the_argument(void **unused)
{
    (void)unused;
    struct netspec s;
    struct failure why = { 0 };
    assert_int_equal(netspec_parse("shared", &s, &why), 0);
    assert_string_equal(s.network, "shared");
    assert_null(s.options.name);
    assert_int_equal(s.options.queues, 0);
    netspec_free(&s);

    assert_int_equal(
        netspec_parse("lab,queues=4,isolated,name=web,id=a=b,mac=52:54:00:00:00:01", &s, &why), 0);
    assert_string_equal(s.network, "lab");
    assert_string_equal(s.options.name, "web");
    assert_string_equal(s.options.interface_id, "a=b");
    assert_string_equal(s.options.mac_address, "52:54:00:00:00:01");
    assert_int_equal(s.options.queues, 4);
    assert_true(s.options.isolated);
    netspec_free(&s);
}

static void a_network_with_an_option_that_is_wrong_is_refused(void **unused)
{
    (void)unused;
    static const char *const wrong[] = { "",
                                         "shared,",
                                         "shared,name",
                                         "shared,name=",
                                         "shared,isolated=1",
                                         "shared,queues=0",
                                         "shared,queues=17",
                                         "shared,queues",
                                         "shared,frob=1",
                                         ",name=web" };
    for (size_t i = 0; i < N_ELEMENTS(wrong); i++) {
        struct netspec s;
        struct failure why = { 0 };
        if (netspec_parse(wrong[i], &s, &why) == 0 || !why.why[0])
            fail_msg("'%s' is accepted", wrong[i]);
        netspec_free(&s);
    }
}

#define STATUS(name, mode)                                                                         \
    "{\"status\":{\"network\":{\"name\":\"" name "\",\"mode\":\"" mode                             \
    "\",\"ipv4_gateway\":\"gw-" name "\"}}}"

static void inside_the_network_with_a_way_out_is_asked_first(void **unused)
{
    (void)unused;
    json_t *networks = json_loads("[" STATUS("host", "host") "," STATUS(
                                      "shared", "shared") ",{\"status\":{\"network\":null}}]",
                                  0, NULL);
    AUTO_FREE char *text = resolver_text(networks);
    assert_string_equal(text, "nameserver gw-shared\nnameserver gw-host\n"
                              "search shared.vmnet.internal host.vmnet.internal\n");
    json_decref(networks);
    networks = json_array();
    assert_null(resolver_text(networks));
    json_decref(networks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(braces_that_are_ours_are_filled_in_and_others_left_alone),
        cmocka_unit_test(a_tap_has_either_a_name_or_descriptors),
        cmocka_unit_test(a_network_takes_its_options_from_the_argument),
        cmocka_unit_test(a_network_with_an_option_that_is_wrong_is_refused),
        cmocka_unit_test(inside_the_network_with_a_way_out_is_asked_first),
    };
    return cmocka_run_group_tests_name("ctl_template", tests, NULL, NULL);
}
