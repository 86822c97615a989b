/* SPDX-License-Identifier: Apache-2.0 */
/* What the process on the host's side lets netd have: every value of a request again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hostside_part.h"

#include "mem.h"

#include <errno.h>
#include <string.h>

static struct hostside_request good(void)
{
    return (struct hostside_request){
        .op = HOSTSIDE_JOIN,
        .body.join = { .index = 3,
                       .ipv4_base = 0xc0a84000,
                       .ipv4_prefix = 24,
                       .ipv6 = { 0xfd, 0, 0, 0x42 },
                       .ipv6_len = 64,
                       .mtu = 1500 },
    };
}

/* Network 1 is 192.168.65.0/24 and fd00:43::/64. */
static const struct host_link *others(void)
{
    static struct host_link at[NETWORKS_MAX];

    at[1] = (struct host_link){ .known = true,
                                .ifindex = 7,
                                .net = { .index = 1,
                                         .ipv4_base = 0xc0a84100,
                                         .ipv4_prefix = 24,
                                         .ipv6 = { 0xfd, 0, 0, 0x43 },
                                         .ipv6_len = 64,
                                         .mtu = 1500 } };
    return at;
}

static void a_network_of_the_usual_kind_may_be_joined(void **unused)
{
    struct hostside_request request = good();
    struct netd_why why = { 0 };

    (void)unused;
    assert_int_equal(hostside_check(others(), &request, &why), 0);
    request.body.join.ipv6_len = 0;
    memset(request.body.join.ipv6, 0, sizeof request.body.join.ipv6);
    assert_int_equal(hostside_check(others(), &request, &why), 0);
    request.body.join.adopt = 1;
    assert_int_equal(hostside_check(others(), &request, &why), 0);
    assert_string_equal(why.why, "");
}

/* One value of a good request changed. */
#define CHANGED(member, ...)                                                                       \
    {                                                                                              \
        offsetof(struct hostside_network, member),                                                 \
            sizeof(((struct hostside_network *)NULL)->member),                                     \
            &(typeof(((struct hostside_network *)NULL)->member))__VA_ARGS__,                       \
            #member " " #__VA_ARGS__                                                               \
    }

static const struct wrong {
    size_t at, size;
    const void *value;
    const char *what;
} wrongs[] = {
    CHANGED(index, { NETWORKS_MAX }),
    CHANGED(index, { UINT32_MAX }),
    CHANGED(adopt, { 2 }),
    CHANGED(mtu, { MTU_MIN - 1 }),
    CHANGED(mtu, { MTU_MAX + 1 }),
    CHANGED(ipv4_prefix, { 7 }), /* a default route in disguise */
    CHANGED(ipv4_prefix, { 31 }),
    CHANGED(ipv4_prefix, { 200 }),
    CHANGED(ipv4_prefix, { 0 }),
    CHANGED(ipv4_base, { 0xc0a84001 }), /* not its first address */
    CHANGED(ipv4_base, { 0x7f000000 }), /* the host itself */
    CHANGED(ipv4_base, { 0xa9fe0100 }), /* a link's */
    CHANGED(ipv4_base, { 0xe0000000 }), /* groups */
    CHANGED(ipv4_base, { 0xffffff00 }),
    CHANGED(ipv4_base, { 0x00000000 }),
    CHANGED(ipv6_len, { 63 }),
    CHANGED(ipv6_len, { 0 }), /* but there is a prefix */
    CHANGED(ipv6, { 0xfe, 0x80 }),
    CHANGED(ipv6, { 0xff, 0x02 }),
    CHANGED(ipv6, { 0 }),
    CHANGED(ipv6, { [7] = 1 }),    /* the loopback's and mapped IPv4's neighbours */
    CHANGED(ipv6, { 0x40, 0x00 }), /* nobody's yet */
    CHANGED(ipv6, { 0xfd, [15] = 1 }),
};

static void nothing_else_may(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(wrongs); i++) {
        struct hostside_request request = good();
        struct netd_why why = { 0 };

        memcpy((char *)&request.body.join + wrongs[i].at, wrongs[i].value, wrongs[i].size);
        if (hostside_check(others(), &request, &why) != -EPROTO || !*why.why)
            fail_msg("it may be %s", wrongs[i].what);
    }
}

static void addresses_of_another_network_are_refused(void **unused)
{
    static const struct subnet4 overlaps[] = { { 0xc0a84100, 24 },
                                               { 0xc0a84180, 25 },
                                               { 0xc0a80000, 16 } };
    struct netd_why why = { 0 };

    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(overlaps); i++) {
        struct hostside_request request = good();

        request.body.join.ipv4_base = overlaps[i].base;
        request.body.join.ipv4_prefix = overlaps[i].prefix;
        assert_int_equal(hostside_check(others(), &request, &why), -EADDRINUSE);
    }
    struct hostside_request request = good();
    request.body.join.ipv6[3] = 0x43;
    assert_int_equal(hostside_check(others(), &request, &why), -EADDRINUSE);
    assert_non_null(strstr(why.why, "network 1"));
}

/* One whose link was deleted joins again. */
static void a_network_is_joined_once(void **unused)
{
    struct hostside_request request = good();
    struct host_link *at = calloc(NETWORKS_MAX, sizeof *at);
    struct netd_why why = { 0 };

    (void)unused;
    assert_non_null(at);
    at[3] = (struct host_link){ .known = true, .net = request.body.join, .ifindex = 9 };
    assert_int_equal(hostside_check(at, &request, &why), -EEXIST);
    at[3].ifindex = 0;
    assert_int_equal(hostside_check(at, &request, &why), 0);
    free(at);
}

static void no_other_request_exists(void **unused)
{
    struct hostside_request part = { .op = HOSTSIDE_PART, .body.part = NETWORKS_MAX };
    struct hostside_request none = { .op = 0 }, beyond = { .op = HOSTSIDE_OPS };
    struct netd_why why = { 0 };

    (void)unused;
    assert_int_equal(hostside_check(others(), &part, &why), -EPROTO);
    assert_int_equal(hostside_check(others(), &none, &why), -EPROTO);
    assert_int_equal(hostside_check(others(), &beyond, &why), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_of_the_usual_kind_may_be_joined),
        cmocka_unit_test(nothing_else_may),
        cmocka_unit_test(addresses_of_another_network_are_refused),
        cmocka_unit_test(a_network_is_joined_once),
        cmocka_unit_test(no_other_request_exists),
    };

    return cmocka_run_group_tests_name("hostside", tests, NULL, NULL);
}
