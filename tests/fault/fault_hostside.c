/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side with real links and rules, in a network namespace that plays the host, where
 * each call fails in its turn while the host comes onto a network, is put right there, and leaves
 * it. Whoever asked gets an error with words; of what failed no link and no rule is left; and the
 * next attempt works.
 */
#include "fault.h"
#include "fd.h"
#include "hostside_part.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct host host = { .netns = -1, .sock = -1, .news = -1 };

static const struct hostside_request join = { .op = HOSTSIDE_JOIN,
                                              .body.join = { .index = 3,
                                                             .ipv4_base = 0xc6336400,
                                                             .ipv4_prefix = 24,
                                                             .ipv6 = { 0x20, 0x01, 0x0d, 0xb8 },
                                                             .ipv6_len = 64,
                                                             .mtu = 1500 } },
                                     part = { .op = HOSTSIDE_PART, .body.part = 3 };

static int ask(const struct hostside_request *request)
{
    struct hostside_reply reply = { 0 };

    hostside_serve(&host, request, &reply);
    assert_true(reply.err <= 0 && (reply.err == 0 || reply.why.why[0]));
    if (reply.err == 0 && request->op == HOSTSIDE_JOIN)
        assert_int_equal(reply.body.families, HOSTSIDE_IPV4 | HOSTSIDE_IPV6);
    return reply.err;
}

static bool has_rules(void)
{
    AUTO_FREE char *text = NULL;

    assert_int_equal(nft_list(host.rules, "list tables", &text), 0);
    return strstr(text, "vmnet_broker") != NULL;
}

static void the_host_is(bool on_it)
{
    int index = link_index(host.links, "vmb3");

    assert_true(on_it ? index > 0 : index == -ENODEV);
    assert_int_equal(has_rules(), on_it);
    assert_int_equal(host.at[3].known, on_it);
}

static void the_next_attempt_works(void)
{
    assert_int_equal(ask(&join), 0);
    the_host_is(true);
    assert_int_equal(ask(&part), 0);
    the_host_is(false);
}

static void joining_and_parting(void)
{
    fault_begin();
    int joined = ask(&join);
    bool failed = fault_end();

    assert_true(joined == 0 || failed);
    the_host_is(joined == 0);
    fault_begin();
    int parted = ask(&part);
    failed |= fault_end();
    assert_true(parted == 0 || failed);
    if (parted < 0) /* netd asks again when it is asked to remove what is left */
        assert_int_equal(ask(&part), 0);
    the_host_is(false);
    the_next_attempt_works();
}

/* Somebody has changed its MAC: all of it is set again. */
static void mending(void)
{
    static const struct mac other = { { 2, 0, 0, 0, 0, 9 } };
    struct netd_why why = { 0 };

    assert_int_equal(ask(&join), 0);
    assert_int_equal(link_keep_mac(host.links, "vmb3", other), 1);
    fault_begin();
    int r = host_link_mend(&host, &host.at[3], &why);
    bool failed = fault_end();
    assert_true(r == 1 || failed);
    assert_true(host_link_mend(&host, &host.at[3], &why) >= 0);
    assert_int_equal(host_link_mend(&host, &host.at[3], &why), 0);
    assert_int_equal(ask(&part), 0);
    the_host_is(false);
}

static void sweeping(void)
{
    const struct hostside_request sweep = { .op = HOSTSIDE_SWEEP };

    assert_int_equal(ask(&join), 0);
    host.at[3].known = false; /* an earlier life's */
    fault_begin();
    int r = ask(&sweep);
    bool failed = fault_end();
    assert_true(r == 0 || failed);
    assert_int_equal(ask(&sweep), 0);
    the_host_is(false);
}

/* ---- the world ------------------------------------------------------------------------- */

/* Two network namespaces, for the other ends of links and for us. Returns false where they cannot
 * be made. */
static bool make_namespaces(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    host.netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    return host.netns >= 0 && unshare(CLONE_NEWNET) == 0;
}

static int make_world(void **unused)
{
    (void)unused;
    assert_int_equal(link_open(&host.links), 0);
    host.rules = nft_new();
    assert_non_null(host.rules);
    the_next_attempt_works(); /* the libraries have opened what they open once */
    return 0;
}

static int end_world(void **unused)
{
    (void)unused;
    nft_free(host.rules);
    link_close(host.links);
    free(host.watch.table);
    fd_closep(&host.netns);
    return 0;
}

static void the_host_joins_and_parts(void **unused)
{
    (void)unused;
    fault_each(joining_and_parting, 60);
}

static void a_link_is_mended(void **unused)
{
    (void)unused;
    fault_each(mending, 40);
}

static void a_link_is_swept(void **unused)
{
    (void)unused;
    fault_each(sweeping, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fault_test(the_host_joins_and_parts),
        fault_test(a_link_is_mended),
        fault_test(a_link_is_swept),
    };

    if (!make_namespaces())
        return 77; /* meson: skipped */
    return cmocka_run_group_tests_name("faults on the host's side", tests, make_world, end_world);
}
