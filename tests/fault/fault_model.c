/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker remembers, when memory is short: nothing is half made, and what could not
 * be read or written is said. */
#include "definition.h"
#include "fault.h"
#include "fault_memory.h"
#include "memory.h"
#include "subnet.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void fill(void *arg, void *buf, size_t len)
{
    memset(buf, ++*(uint8_t *)arg, len);
}

static uint8_t dice;
static const struct random_source source = { fill, &dice };

static int start(struct memory_network *n, const char *id, const char *name)
{
    const struct identity_wish wish = { .uid = 1000, .id = id, .name = name };
    struct failure failure = { 0 };
    struct identity *i = NULL;
    int r = identity_start(&n->identities, &wish, &source, &i, &failure);

    assert_true(r == 0 || (r == -ENOMEM && failure.err == r && failure.why[0]));
    return r;
}

static struct memory_network *use(struct memory *memory, const char *name, const char *subnet)
{
    struct memory_network *n = memory_use(memory, name);

    assert_true(n || fault_happened());
    if (n && n->subnet.prefix == 0) {
        assert_int_equal(subnet4_parse(subnet, &n->subnet), 0);
        identity_table_move(&n->identities, n->subnet);
    }
    return n;
}

static void a_failed_start_changes_nothing(void)
{
    struct memory memory;

    dice = 0;
    memory_init(&memory);
    fault_begin();
    struct memory_network *n = use(&memory, "shared", "192.168.64.0/24");
    int web = n ? start(n, "web-id", "web") : -ENOMEM;
    int none = n ? start(n, NULL, NULL) : -ENOMEM;
    (void)fault_end();
    n = use(&memory, "shared", "192.168.64.0/24");
    assert_non_null(n);
    assert_int_equal(identity_count_live(&n->identities), (web == 0) + (none == 0));
    if (web < 0)
        assert_int_equal(start(n, "web-id", "web"), 0);
    memory_clear(&memory);
}

static const char whole[] =
    "{\"version\":1,\"networks\":[{\"name\":\"shared\",\"subnet\":\"192.168.64.0/24\","
    "\"prefix6\":\"fd12:3456:789a::/64\",\"interfaces\":[{\"uid\":1000,\"id\":\"a\",\"name\":"
    "\"web\",\"mac\":\"52:54:00:12:34:56\",\"ipv4\":\"192.168.64.2\"},{\"uid\":0,\"id\":\"b\"}]},"
    "{\"name\":\"host\",\"subnet\":\"192.168.65.0/24\",\"interfaces\":[]}]}";

static char *read_and_write(const char *text, bool armed, unsigned *ret_lost)
{
    struct memory memory;
    struct memory_loss loss;

    memory_init(&memory);
    if (armed)
        fault_begin();
    memory_parse(&memory, text, strlen(text), &loss);
    (void)fault_end();
    *ret_lost = loss.count;
    char *again = memory_format(&memory);
    assert_non_null(again);
    memory_clear(&memory);
    return again;
}

static void what_cannot_be_read_is_said(void)
{
    unsigned lost = 0, none = 0;
    char *right = read_and_write(whole, false, &none), *got = read_and_write(whole, true, &lost);

    assert_int_equal(none, 0);
    assert_true(strcmp(right, got) == 0 || lost > 0);
    free(got);
    free(right);
}

static void a_text_is_written_whole_or_not_at_all(void)
{
    struct memory memory;
    struct memory_loss loss;

    memory_init(&memory);
    memory_parse(&memory, whole, strlen(whole), &loss);
    assert_int_equal(loss.count, 0);
    char *right = memory_format(&memory);
    assert_non_null(right);
    fault_begin();
    char *text = memory_format(&memory);
    (void)fault_end();
    assert_true(text || fault_happened());
    if (text)
        assert_string_equal(text, right);
    free(text);
    free(right);
    memory_clear(&memory);
}

static void a_range_is_taken_or_refused(void)
{
    struct taken_list list = { 0 };
    size_t n = 0;

    fault_begin();
    for (uint32_t i = 0; i < 40; i++) {
        const struct subnet4 range = { 0x0a000000u + (i << 8), 24 };
        int r = taken_add(&list, range, "route %u", (unsigned)i);
        assert_true(r == 0 || r == -ENOMEM);
        n += r == 0;
    }
    (void)fault_end();
    assert_int_equal(list.n, n);
    taken_clear(&list);
}

static const char defined[] =
    "{ \"description\": \"a lab\", \"mode\": \"shared\", \"subnet\": \"192.168.42.1\","
    "  \"dns_servers\": [ \"192.168.1.1\" ], \"allow\": { \"users\": [ \"alice\" ],"
    "  \"groups\": [ \"vmnet\" ] }, \"dhcp_reservations\": [ { \"mac\": \"52:54:00:00:00:01\","
    "  \"address\": \"192.168.42.10\", \"name\": \"web\" } ], \"port_forwarding\": [ {"
    "  \"protocol\": \"tcp\", \"external_port\": 80, \"address\": \"192.168.42.10\","
    "  \"internal_port\": 80 } ] }";

/* Nobody is told that a good definition is a bad one because memory was short. */
static void a_definition_is_read_or_memory_was_short(void)
{
    struct definition *d = NULL;
    struct complaints complaints = { 0 };

    fault_begin();
    int r = definition_parse("lab", "lab.json", defined, strlen(defined), &d, &complaints);
    (void)fault_end();
    assert_int_equal(complaints.n, 0);
    assert_true(r == 0 || (r == -ENOMEM && fault_happened()));
    assert_true((d != NULL) == (r == 0));
    if (d) {
        assert_int_equal(d->n_reservations + d->n_forwards, 2);
        assert_int_equal(d->allow.n_users + d->allow.n_groups, 2);
        assert_string_equal(d->description, "a lab");
    }
    definition_unref(d);
}

#define STORY(name, at_least)                                                                      \
    static void test_##name(void **unused)                                                         \
    {                                                                                              \
        (void)unused;                                                                              \
        fault_each(name, at_least);                                                                \
    }
STORY(a_failed_start_changes_nothing, 3)
STORY(what_cannot_be_read_is_said, 50)
STORY(a_text_is_written_whole_or_not_at_all, 50)
STORY(a_range_is_taken_or_refused, 1)
STORY(a_definition_is_read_or_memory_was_short, 50)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fault_test(test_a_failed_start_changes_nothing),
        fault_test(test_what_cannot_be_read_is_said),
        fault_test(test_a_text_is_written_whole_or_not_at_all),
        fault_test(test_a_range_is_taken_or_refused),
        fault_test(test_a_definition_is_read_or_memory_was_short),
    };
    fault_in_jansson();
    return cmocka_run_group_tests_name("faults in the model", tests, NULL, NULL);
}
