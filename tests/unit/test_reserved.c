/* SPDX-License-Identifier: Apache-2.0 */
/* What a definition reserves outranks what identities remember: stories, then random steps
 * in which a few promises must hold whatever happens. */
#include "identity.h"

#include "mem.h"
#include "str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ALICE 1000
#define BOB   1001

#define SUBNET 0xc0a84000u /* 192.168.64.0/24 */
#define M1     "52:54:00:00:00:01"
#define M2     "52:54:00:00:00:02"
#define M3     "52:54:00:00:00:03"

/* A generator of our own: the same steps on every machine. */
static uint64_t dice = 42;

static void fill(void *arg, void *buf, size_t len)
{
    uint8_t *to = buf;
    (void)arg;
    for (size_t i = 0; i < len; i++) {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        to[i] = (uint8_t)(dice >> 24);
    }
}

static const struct random_source source = { fill, NULL };

static struct fixture {
    struct identity_table table;
    struct failure failure;
} f;

static int set_up(void **unused)
{
    (void)unused;
    f = (struct fixture){ 0 };
    identity_table_init(&f.table);
    identity_table_move(&f.table, (struct subnet4){ SUBNET, 24 });
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    identity_table_clear(&f.table);
    return 0;
}

static struct reservation entry(const char *mac, unsigned host, const char *name)
{
    struct reservation r = { .ipv4 = SUBNET + host };
    assert_int_equal(mac_parse(mac, &r.mac), 0);
    (void)str_copy(r.name, sizeof r.name, name);
    return r;
}

static void reserve(const char *mac, unsigned host, const char *name)
{
    struct reservation r = entry(mac, host, name);
    assert_int_equal(identity_table_reserve(&f.table, &r, 1), 0);
}

static int start(uid_t uid, const char *id, const char *name, const char *mac,
                 struct identity **ret)
{
    struct mac m;
    struct identity_wish wish = { .uid = uid, .id = id, .name = name };
    if (mac) {
        assert_int_equal(mac_parse(mac, &m), 0);
        wish.mac = &m;
    }
    return identity_start(&f.table, &wish, &source, ret, &f.failure);
}

static struct identity *must_start(const char *id, const char *name, const char *mac)
{
    struct identity *i = NULL;
    if (start(ALICE, id, name, mac, &i) < 0)
        fail_msg("refused: %s", f.failure.why);
    return i;
}

static void must_refuse(int err, const char *words, const char *id, const char *name,
                        const char *mac)
{
    struct identity *i = NULL;
    assert_int_equal(start(ALICE, id, name, mac, &i), err);
    if (!strstr(f.failure.why, words))
        fail_msg("'%s' lacks '%s'", f.failure.why, words);
}

static void assert_is(const struct identity *i, const char *mac, unsigned host, const char *name)
{
    char text[MAC_TEXT];
    if (mac)
        assert_string_equal(mac_format(i->mac, text), mac);
    assert_int_equal(i->ipv4, SUBNET + host);
    assert_string_equal(i->name, name);
}

/* ---- stories ------------------------------------------------------------------- */

static void a_reserved_mac_has_its_address_and_name(void **unused)
{
    (void)unused;
    reserve(M1, 10, "web");
    struct identity *i = must_start(NULL, NULL, M1);
    assert_is(i, M1, 10, "web");
    identity_end(&f.table, i);
    assert_is(must_start("by-id", NULL, M1), M1, 10, "web");
}

static void who_asks_for_a_reserved_name_gets_its_mac(void **unused)
{
    (void)unused;
    reserve(M1, 10, "web");
    assert_is(must_start(NULL, "web", NULL), M1, 10, "web");
}

static void an_address_can_be_reserved_without_a_name(void **unused)
{
    (void)unused;
    reserve(M1, 10, "");
    assert_is(must_start(NULL, "any", M1), M1, 10, "any");
}

static void mac_and_name_of_different_reservations_do_not_mix(void **unused)
{
    (void)unused;
    struct reservation two[] = { entry(M1, 10, "web"), entry(M2, 11, "db") };
    assert_int_equal(identity_table_reserve(&f.table, two, 2), 0);
    must_refuse(-EEXIST, "the name 'web' is reserved for MAC address " M1, NULL, "web", M3);
    must_refuse(-EEXIST, "the name 'web' is reserved for MAC address " M1, NULL, "web", M2);
    must_refuse(-EEXIST, "reserved for the name 'db'", NULL, "other", M2);
}

static void nobody_else_is_given_a_reserved_address(void **unused)
{
    (void)unused;
    struct reservation two[] = { entry(M1, 2, ""), entry(M2, 4, "") };
    assert_int_equal(identity_table_reserve(&f.table, two, 2), 0);
    assert_int_equal(must_start(NULL, NULL, NULL)->ipv4, SUBNET + 3);
    assert_int_equal(must_start(NULL, NULL, NULL)->ipv4, SUBNET + 5);
}

static void a_full_subnet_takes_no_reserved_address_back(void **unused)
{
    (void)unused;
    identity_table_move(&f.table, (struct subnet4){ SUBNET, 29 }); /* .2 to .5 */
    reserve(M1, 3, "web");
    identity_end(&f.table, must_start(NULL, "web", NULL)); /* remembers .3 */
    for (int n = 0; n < 3; n++)
        must_start(NULL, NULL, NULL);
    must_refuse(-EADDRNOTAVAIL, "or reserved", NULL, NULL, NULL);
    assert_is(must_start(NULL, "web", NULL), M1, 3, "web");
}

static void who_remembers_a_reserved_address_moves(void **unused)
{
    (void)unused;
    struct identity *i = must_start(NULL, "db", NULL);
    struct mac before = i->mac;
    assert_int_equal(i->ipv4, SUBNET + 2);
    identity_end(&f.table, i);
    reserve(M1, 2, "web");
    i = must_start(NULL, "db", NULL);
    assert_is(i, NULL, 3, "db");
    assert_true(mac_equal(i->mac, before));
    assert_is(must_start(NULL, "web", NULL), M1, 2, "web");
}

static void who_remembers_a_reserved_name_loses_it(void **unused)
{
    (void)unused;
    identity_end(&f.table, must_start("old", "web", NULL));
    reserve(M1, 10, "web");
    assert_is(must_start("old", NULL, NULL), NULL, 2, "");
    assert_is(must_start(NULL, "web", NULL), M1, 10, "web");
}

static void another_users_memory_does_not_stand_in_the_way(void **unused)
{
    (void)unused;
    struct identity *bobs = NULL;
    assert_int_equal(start(BOB, NULL, "web", NULL, &bobs), 0);
    identity_end(&f.table, bobs);
    reserve(M1, 2, "web");
    assert_is(must_start(NULL, "web", NULL), M1, 2, "web");
}

static void what_is_live_keeps_it_until_its_end(void **unused)
{
    (void)unused;
    struct identity *db = must_start(NULL, "db", NULL);
    reserve(M1, 2, "web");
    assert_is(db, NULL, 2, "db");
    must_refuse(-EADDRINUSE, "192.168.64.2 is still that of the running VM 'db'", NULL, "web",
                NULL);
    identity_end(&f.table, db);
    assert_is(must_start(NULL, "web", NULL), M1, 2, "web");
    assert_is(must_start(NULL, "db", NULL), NULL, 3, "db");
}

static void a_known_mac_moves_to_its_reserved_address(void **unused)
{
    (void)unused;
    struct identity *i = must_start("vm", NULL, M1);
    assert_int_equal(i->ipv4, SUBNET + 2);
    identity_end(&f.table, i);
    reserve(M1, 77, "");
    assert_is(must_start("vm", NULL, NULL), M1, 77, ""); /* by what is remembered of it */
}

static void a_removed_reservation_leaves_a_memory(void **unused)
{
    (void)unused;
    reserve(M1, 10, "web");
    identity_end(&f.table, must_start(NULL, "web", NULL));
    assert_int_equal(identity_table_reserve(&f.table, NULL, 0), 0);
    assert_is(must_start(NULL, "web", NULL), M1, 10, "web");
}

static void what_is_outside_the_subnet_counts_as_not_there(void **unused)
{
    (void)unused;
    struct reservation far = entry(M1, 256 + 10, "web");
    assert_int_equal(identity_table_reserve(&f.table, &far, 1), 0);
    assert_is(must_start(NULL, "web", NULL), NULL, 2, "web");
    reserve(M2, 9, "db");
    identity_table_move(&f.table, (struct subnet4){ 0x0a000000, 24 });
    assert_int_equal(must_start(NULL, NULL, M2)->ipv4, 0x0a000002);
}

/* ---- promises ------------------------------------------------------------------ */

static unsigned roll(unsigned n)
{
    uint8_t b;
    fill(NULL, &b, 1);
    return b % n;
}

static const char *const names[] = { "a", "b", "c", "d", NULL, NULL };
static const char *const macs[] = { M1, M2, M3, NULL, NULL, NULL };

static void reserve_at_random(void)
{
    struct reservation list[4];
    size_t n = 0;
    for (unsigned k = 0; k < 3; k++)
        if (roll(2))
            list[n++] = entry(macs[k], 2 + 2 * k + roll(2), roll(2) ? names[k] : "");
    assert_int_equal(identity_table_reserve(&f.table, list, n), 0);
}

static struct identity *random_identity(bool live)
{
    struct identity *i;
    TAILQ_FOREACH (i, &f.table.list, link)
        if (i->live == live && roll(3) == 0)
            return i;
    return NULL;
}

/* Nobody who starts has what is reserved for others, and each thing has one owner. */
static void check_started(const struct identity *got)
{
    const struct reserved *reserved = &f.table.reserved;
    const struct reservation *r = reserved_mac(reserved, got->mac), *other;

    if (r)
        assert_int_equal(got->ipv4, r->ipv4);
    if (r && r->name[0])
        assert_string_equal(got->name, r->name);
    other = reserved_ipv4(reserved, got->ipv4);
    assert_true(!other || mac_equal(other->mac, got->mac));
    other = reserved_name(reserved, got->name);
    assert_true(!other || mac_equal(other->mac, got->mac));
}

static void check_table(void)
{
    const struct identity *i, *k;
    TAILQ_FOREACH (i, &f.table.list, link) {
        const struct reservation *r = reserved_ipv4(&f.table.reserved, i->ipv4);
        assert_true(i->live || !r || mac_equal(r->mac, i->mac));
        for (k = TAILQ_NEXT(i, link); k; k = TAILQ_NEXT(k, link)) {
            assert_true(!i->ipv4 || i->ipv4 != k->ipv4);
            assert_true(!i->name[0] || strcmp(i->name, k->name) != 0);
            assert_true(!mac_is_unicast(i->mac) || !mac_equal(i->mac, k->mac));
        }
    }
}

static void promises_hold_in_random_steps(void **unused)
{
    (void)unused;
    unsigned started = 0, refused = 0;
    identity_table_move(&f.table, (struct subnet4){ SUBNET, 28 });
    for (unsigned step = 0; step < 3000; step++) {
        struct identity *i = NULL;
        unsigned what = roll(8);
        if (what == 0) {
            reserve_at_random();
        } else if (what < 4 && (i = random_identity(true))) {
            identity_end(&f.table, i);
        } else if (start(roll(4) ? ALICE : BOB, roll(3) ? NULL : names[roll(4)],
                         names[roll(N_ELEMENTS(names))], macs[roll(N_ELEMENTS(macs))], &i) == 0) {
            check_started(i);
            started++;
        } else {
            refused++;
        }
        check_table();
    }
    assert_true(started > 150 && refused > 150);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FRESH(a_reserved_mac_has_its_address_and_name),
        FRESH(who_asks_for_a_reserved_name_gets_its_mac),
        FRESH(an_address_can_be_reserved_without_a_name),
        FRESH(mac_and_name_of_different_reservations_do_not_mix),
        FRESH(nobody_else_is_given_a_reserved_address),
        FRESH(a_full_subnet_takes_no_reserved_address_back),
        FRESH(who_remembers_a_reserved_address_moves),
        FRESH(who_remembers_a_reserved_name_loses_it),
        FRESH(another_users_memory_does_not_stand_in_the_way),
        FRESH(what_is_live_keeps_it_until_its_end),
        FRESH(a_known_mac_moves_to_its_reserved_address),
        FRESH(a_removed_reservation_leaves_a_memory),
        FRESH(what_is_outside_the_subnet_counts_as_not_there),
        FRESH(promises_hold_in_random_steps),
    };
    return cmocka_run_group_tests_name("reserved", tests, NULL, NULL);
}
