/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered comes back; what is damaged costs only itself. */
#include "memory.h"

#include "mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void fill_ones(void *arg, void *buf, size_t len)
{
    memset(buf, ++*(uint8_t *)arg, len);
}

static uint8_t dice;
static const struct random_source source = { fill_ones, &dice };

static struct identity *start(struct memory_network *n, uid_t uid, const char *id, const char *name)
{
    struct identity_wish wish = { .uid = uid, .id = id, .name = name };
    struct identity *i;
    assert_int_equal(identity_start(&n->identities, &wish, &source, &i, NULL), 0);
    return i;
}

static struct memory_network *make(struct memory *m, const char *name, const char *subnet,
                                   const char *prefix)
{
    struct memory_network *n = memory_use(m, name);
    assert_non_null(n);
    assert_int_equal(subnet4_parse(subnet, &n->subnet), 0);
    assert_int_equal(prefix6_parse(prefix, &n->prefix6), 0);
    identity_table_move(&n->identities, n->subnet);
    return n;
}

static void what_is_written_is_read_back(void **unused)
{
    (void)unused;
    struct memory before, after;
    struct memory_loss loss;
    memory_init(&before);
    memory_init(&after);
    struct memory_network *n = make(&before, "shared", "192.168.64.0/24", "fd12:3456:789a::/64");
    start(n, 1000, NULL, "web");
    start(n, 1000, "vm-1", NULL);
    start(n, 1001, NULL, NULL); /* ephemeral: not written */
    make(&before, "lab", "172.16.3.0/24", "fd00:1::/64");

    AUTO_FREE char *text = memory_format(&before);
    assert_non_null(text);
    memory_parse(&after, text, strlen(text), &loss);
    assert_int_equal(loss.count, 0);
    n = memory_find(&after, "shared");
    assert_int_equal(identity_count_live(&n->identities), 0);
    struct identity *web = start(n, 1000, NULL, "web");
    assert_int_equal(web->ipv4, 0xc0a84002);
    assert_int_equal(start(n, 1000, "vm-1", NULL)->ipv4, 0xc0a84003);
    AUTO_FREE char *again = memory_format(&after);
    assert_string_equal(again, text); /* in the order of use, nothing added */
    memory_clear(&before);
    memory_clear(&after);
}

#define GOOD                                                                                       \
    "{\"name\":\"good\",\"subnet\":\"192.168.70.0/24\",\"prefix6\":\"fd00:7::/64\","               \
    "\"interfaces\":[{\"uid\":1,\"id\":\"a\",\"mac\":\"52:54:00:00:00:01\","                       \
    "\"ipv4\":\"192.168.70.9\"}]}"
#define NETWORKS(text) "{\"version\":1,\"networks\":[" text "]}"
#define INTERFACES(text)                                                                           \
    NETWORKS("{\"name\":\"n\",\"subnet\":\"192.168.71.0/24\",\"interfaces\":[" text "]}," GOOD)

static const struct damage {
    const char *story, *text;
    unsigned lost;
    const char *words;
    bool good_is_kept;
} damages[] = {
    { "empty file", "", 1, "line 1", false },
    { "cut in the middle", "{\"version\":1,\"networks\":[{\"name\":\"sha", 1, "line", false },
    { "not an object", "[]", 1, "version 1", false },
    { "of a later version", "{\"version\":2,\"networks\":[" GOOD "]}", 1, "version 1", false },
    { "networks is no list", "{\"version\":1,\"networks\":{}}", 1, "no list", false },
    { "no networks at all", "{\"version\":1}", 1, "no list", false },
    { "nothing wrong", NETWORKS(GOOD), 0, "", true },
    { "unknown members are of no interest", "{\"version\":1,\"x\":1,\"networks\":[" GOOD "]}", 0,
      "", true },
    { "a network that is none", NETWORKS("7," GOOD), 1, "network 1", true },
    { "a name that leads elsewhere", NETWORKS("{\"name\":\"../x\"}," GOOD), 1, "network 1", true },
    { "a name with NUL", NETWORKS("{\"name\":\"a\\u0000b\"}," GOOD), 1, "line 1", false },
    { "the same network twice", NETWORKS(GOOD "," GOOD), 1, "network 2", true },
    { "a bad subnet", NETWORKS("{\"name\":\"n\",\"subnet\":\"1.2.3.4/24\"}," GOOD), 1,
      "network 'n': its subnet", true },
    { "a subnet too wide", NETWORKS("{\"name\":\"n\",\"subnet\":\"0.0.0.0/1\"}," GOOD), 1,
      "its subnet", true },
    { "a subnet that another has",
      NETWORKS(GOOD ",{\"name\":\"n\",\"subnet\":\"192.168.70.128/25\"}"), 1, "its subnet", true },
    { "a subnet of the wrong type", NETWORKS("{\"name\":\"n\",\"subnet\":9}," GOOD), 1,
      "its subnet", true },
    { "a bad prefix", NETWORKS("{\"name\":\"n\",\"prefix6\":\"fd00::/48\"}," GOOD), 1,
      "its IPv6 prefix", true },
    { "interfaces is no list", NETWORKS("{\"name\":\"n\",\"interfaces\":1}," GOOD), 1, "no list",
      true },
    { "an interface that is none", INTERFACES("null"), 1, "network 'n', interface 1", true },
    { "without uid", INTERFACES("{\"id\":\"a\"}"), 1, "makes no sense", true },
    { "a uid below zero", INTERFACES("{\"uid\":-1,\"id\":\"a\"}"), 1, "makes no sense", true },
    { "the uid that means nobody", INTERFACES("{\"uid\":4294967295,\"id\":\"a\"}"), 1,
      "makes no sense", true },
    { "without id", INTERFACES("{\"uid\":1}"), 1, "makes no sense", true },
    { "an id with a blank", INTERFACES("{\"uid\":1,\"id\":\"a b\"}"), 1, "makes no sense", true },
    { "a bad name", INTERFACES("{\"uid\":1,\"id\":\"a\",\"name\":\"A_B\"}"), 1, "makes no sense",
      true },
    { "a bad MAC", INTERFACES("{\"uid\":1,\"id\":\"a\",\"mac\":\"52:54\"}"), 1, "makes no sense",
      true },
    { "a multicast MAC", INTERFACES("{\"uid\":1,\"id\":\"a\",\"mac\":\"01:00:5e:00:00:01\"}"), 1,
      "makes no sense", true },
    { "an address outside the subnet",
      INTERFACES("{\"uid\":1,\"id\":\"a\",\"ipv4\":\"192.168.70.9\"}"), 1, "makes no sense", true },
    { "the gateway's address", INTERFACES("{\"uid\":1,\"id\":\"a\",\"ipv4\":\"192.168.71.1\"}"), 1,
      "makes no sense", true },
    { "the host's address", INTERFACES("{\"uid\":1,\"id\":\"a\",\"ipv4\":\"192.168.71.254\"}"), 1,
      "makes no sense", true },
    { "an address twice",
      INTERFACES("{\"uid\":1,\"id\":\"a\",\"ipv4\":\"192.168.71.9\"},"
                 "{\"uid\":1,\"id\":\"b\",\"ipv4\":\"192.168.71.9\"}"),
      1, "interface 2: id, name, MAC or address", true },
    { "several damages, the first is told", INTERFACES("1,2,3"), 3, "interface 1", true },
};

static void damage_costs_only_the_damaged_part(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(damages); i++) {
        const struct damage *d = &damages[i];
        struct memory memory;
        struct memory_loss loss;
        memory_init(&memory);
        memory_parse(&memory, d->text, strlen(d->text), &loss);
        struct memory_network *good = memory_find(&memory, "good");
        bool kept = good && identity_by_id(&good->identities, "a") && good->subnet.prefix == 24;
        if (loss.count != d->lost || !strstr(loss.first, d->words) || kept != d->good_is_kept)
            fail_msg("%s: lost %u, '%s', good is %s", d->story, loss.count, loss.first,
                     kept ? "kept" : "lost");
        memory_clear(&memory);
    }
}

/* Every truncation of a good file, and every byte of it replaced: never a crash, and
 * what is kept can be written again. */
static void no_damage_is_fatal(void **unused)
{
    (void)unused;
    static const char good[] = INTERFACES("{\"uid\":1,\"id\":\"b\",\"name\":\"web\"}");
    char text[sizeof good];
    for (size_t i = 0; i < 2 * (sizeof good - 1); i++) {
        struct memory memory;
        struct memory_loss loss;
        size_t len = sizeof good - 1;
        memcpy(text, good, sizeof good);
        if (i < len)
            len = i;
        else
            text[i - len] = "{]\"\0,9"[i % 6];
        memory_init(&memory);
        memory_parse(&memory, text, len, &loss);
        AUTO_FREE char *again = memory_format(&memory);
        assert_non_null(again);
        memory_clear(&memory);
    }
}

static void memory_is_bounded_and_what_is_in_use_stays(void **unused)
{
    (void)unused;
    struct memory memory;
    char name[16];
    memory_init(&memory);
    memory_use(&memory, "kept")->in_use = true;
    for (unsigned i = 0; i < MEMORY_NETWORKS_MAX + 10; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        assert_non_null(memory_use(&memory, name));
        assert_non_null(memory_use(&memory, "n0")); /* used again and again */
    }
    assert_non_null(memory_find(&memory, "kept"));
    assert_non_null(memory_find(&memory, "n0"));
    assert_null(memory_find(&memory, "n1"));
    unsigned n = 0;
    struct memory_network *network;
    TAILQ_FOREACH (network, &memory.networks, link) {
        network->in_use = true;
        n++;
    }
    assert_int_equal(n, MEMORY_NETWORKS_MAX);
    assert_null(memory_use(&memory, "one-more"));
    memory_clear(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(damage_costs_only_the_damaged_part),
        cmocka_unit_test(no_damage_is_fatal),
        cmocka_unit_test(memory_is_bounded_and_what_is_in_use_stays),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
