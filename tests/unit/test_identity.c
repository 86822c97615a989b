/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets which MAC, address and name: stories first, then thousands of random steps
 * against a model that is slow and obvious. */
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

static const struct mac no_mac;

/* A generator of our own: the same steps on every machine. */
static void fill_xorshift(void *arg, void *buf, size_t len)
{
    uint64_t *state = arg;
    uint8_t *to = buf;
    for (size_t i = 0; i < len; i++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        to[i] = (uint8_t)(*state >> 24);
    }
}

static uint64_t dice = 42;
static const struct random_source source = { fill_xorshift, &dice };

struct fixture {
    struct identity_table table;
    struct failure failure;
};

static void set_up(struct fixture *f, const char *subnet)
{
    struct subnet4 s;
    *f = (struct fixture){ 0 };
    identity_table_init(&f->table);
    assert_int_equal(subnet4_parse(subnet, &s), 0);
    identity_table_move(&f->table, s);
}

static int start(struct fixture *f, uid_t uid, const char *id, const char *name, const char *mac,
                 struct identity **ret)
{
    struct mac m;
    struct identity_wish wish = { .uid = uid, .id = id, .name = name };
    if (mac) {
        assert_int_equal(mac_parse(mac, &m), 0);
        wish.mac = &m;
    }
    return identity_start(&f->table, &wish, &source, ret, &f->failure);
}

static struct identity *must_start(struct fixture *f, uid_t uid, const char *id, const char *name,
                                   const char *mac)
{
    struct identity *i = NULL;
    if (start(f, uid, id, name, mac, &i) < 0)
        fail_msg("refused: %s", f->failure.why);
    return i;
}

static void must_refuse(struct fixture *f, int err, const char *words, uid_t uid, const char *id,
                        const char *name, const char *mac)
{
    struct identity *i = NULL;
    assert_int_equal(start(f, uid, id, name, mac, &i), err);
    assert_int_equal(f->failure.err, err);
    if (!strstr(f->failure.why, words))
        fail_msg("'%s' lacks '%s'", f->failure.why, words);
    assert_null(i);
}

static void the_same_identity_gets_the_same_again(void **unused)
{
    (void)unused;
    static const struct {
        const char *id, *name;
    } known[] = { { "vm-1", NULL }, { NULL, "web" }, { "vm-2", "db" } };
    struct fixture f;
    set_up(&f, "192.168.64.0/24");
    struct identity first[3];
    for (size_t i = 0; i < 3; i++)
        first[i] = *must_start(&f, ALICE, known[i].id, known[i].name, NULL);
    for (size_t i = 0; i < 3; i++)
        identity_end(&f.table, identity_by_id(&f.table, first[i].id));
    for (size_t i = 3; i-- > 0;) { /* in another order */
        struct identity *again = must_start(&f, ALICE, known[i].id, known[i].name, NULL);
        assert_true(mac_equal(again->mac, first[i].mac));
        assert_int_equal(again->ipv4, first[i].ipv4);
        assert_string_equal(again->name, first[i].name);
        assert_string_equal(again->id, first[i].id);
    }
    identity_table_clear(&f.table);
}

static void an_id_brings_its_name_back(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.0/24");
    identity_end(&f.table, must_start(&f, ALICE, "vm-1", "web", NULL));
    assert_string_equal(must_start(&f, ALICE, "vm-1", NULL, NULL)->name, "web");
    identity_table_clear(&f.table);
}

static void addresses_go_from_the_second_usable_to_the_last_but_one(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.8/29"); /* .9 is the gateway, .14 the host, .15 broadcast */
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(must_start(&f, ALICE, NULL, NULL, NULL)->ipv4, 0xc0a8400a + i);
    must_refuse(&f, -EADDRNOTAVAIL, "every address of 192.168.64.8/29", ALICE, NULL, NULL, NULL);
    identity_table_clear(&f.table);
}

static void ephemeral_addresses_return(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.0/24");
    struct identity *first = must_start(&f, ALICE, NULL, NULL, NULL);
    uint32_t ipv4 = first->ipv4;
    assert_int_not_equal(must_start(&f, ALICE, NULL, NULL, NULL)->ipv4, ipv4);
    identity_end(&f.table, first);
    assert_int_equal(must_start(&f, BOB, NULL, NULL, NULL)->ipv4, ipv4);
    identity_table_clear(&f.table);
}

static void a_full_subnet_reclaims_the_least_recently_used(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.8/29");
    static const char *const names[] = { "a", "b", "c", "d" };
    for (size_t i = 0; i < 4; i++)
        identity_end(&f.table, must_start(&f, ALICE, NULL, names[i], NULL));
    identity_end(&f.table, must_start(&f, ALICE, NULL, "a", NULL)); /* b is the oldest now */
    struct identity *c = must_start(&f, ALICE, NULL, "c", NULL);

    assert_int_equal(must_start(&f, BOB, NULL, "e", NULL)->ipv4, 0xc0a8400b); /* b's */
    assert_int_equal(must_start(&f, BOB, NULL, "f", NULL)->ipv4, 0xc0a8400d); /* d's */
    assert_int_equal(must_start(&f, BOB, NULL, "g", NULL)->ipv4, 0xc0a8400a); /* a's */
    must_refuse(&f, -EADDRNOTAVAIL, "in use", ALICE, NULL, "b", NULL);        /* c is live */
    assert_int_equal(c->ipv4, 0xc0a8400c);
    identity_table_clear(&f.table);
}

static void one_users_crowd_reclaims_its_own_and_nobody_elses(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.0/28"); /* 12 addresses for VMs */
    struct identity bobs = *must_start(&f, BOB, NULL, "bobs", NULL);
    identity_end(&f.table, identity_by_id(&f.table, bobs.id)); /* used longest ago of all */
    for (int i = 0; i < 50; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "a%d", i);
        identity_end(&f.table, must_start(&f, ALICE, NULL, name, NULL));
    }
    assert_int_equal(must_start(&f, BOB, NULL, "bobs", NULL)->ipv4, bobs.ipv4);
    must_start(&f, BOB + 1, NULL, "carols", NULL); /* and finds room */
    identity_table_clear(&f.table);
}

static void another_user_is_refused_by_name(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.0/24");
    identity_end(&f.table, must_start(&f, ALICE, "vm-1", "web", "52:54:00:00:00:01"));
    must_refuse(&f, -EPERM, "interface 'vm-1' belongs to another user", BOB, "vm-1", NULL, NULL);
    must_refuse(&f, -EPERM, "name 'web' belongs to another user", BOB, NULL, "web", NULL);
    must_refuse(&f, -EPERM, "name 'web'", BOB, "vm-9", "web", NULL);
    must_refuse(&f, -EPERM, "MAC address '52:54:00:00:00:01'", BOB, NULL, NULL,
                "52:54:00:00:00:01");
    identity_table_clear(&f.table);
}

static void what_is_live_is_refused(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.0/24");
    must_start(&f, ALICE, "vm-1", "web", "52:54:00:00:00:01");
    must_refuse(&f, -EEXIST, "interface 'vm-1'", ALICE, "vm-1", NULL, NULL);
    must_refuse(&f, -EEXIST, "name 'web'", ALICE, NULL, "web", NULL);
    must_refuse(&f, -EEXIST, "MAC address '52:54:00:00:00:01'", ALICE, NULL, "db",
                "52:54:00:00:00:01");
    identity_table_clear(&f.table);
}

static void the_networks_own_names_are_reserved(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.0/24");
    must_refuse(&f, -EINVAL, "'gateway' is reserved", ALICE, NULL, "gateway", NULL);
    identity_table_clear(&f.table);
}

static void what_a_client_gives_anew_is_remembered(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.0/24");
    identity_end(&f.table, must_start(&f, ALICE, "vm-1", "web", NULL));
    identity_end(&f.table, must_start(&f, ALICE, "vm-1", "shop", "52:54:00:aa:00:01"));
    struct identity *again = must_start(&f, ALICE, "vm-1", NULL, NULL);
    assert_string_equal(again->name, "shop");
    assert_int_equal(again->mac.b[3], 0xaa);
    /* The name that it gave up is free for everybody, */
    must_start(&f, BOB, NULL, "web", NULL);
    identity_end(&f.table, again);
    /* and what one takes over from another of one's own, the other one loses. */
    must_start(&f, ALICE, "vm-2", "shop", "52:54:00:aa:00:01");
    again = must_start(&f, ALICE, "vm-1", NULL, NULL);
    assert_string_equal(again->name, "");
    assert_int_equal(again->mac.b[0], 0x52);
    assert_false(again->mac.b[3] == 0xaa && again->mac.b[4] == 0 && again->mac.b[5] == 1);
    identity_table_clear(&f.table);
}

static void one_user_cannot_crowd_out_the_memory(void **unused)
{
    (void)unused;
    struct fixture f;
    char id[16];
    set_up(&f, "10.0.0.0/16");
    identity_end(&f.table, must_start(&f, BOB, "mine", NULL, NULL));
    for (unsigned i = 0; i < IDENTITIES_PER_UID + 50; i++) {
        (void)snprintf(id, sizeof id, "vm-%u", i);
        identity_end(&f.table, must_start(&f, ALICE, id, NULL, NULL));
    }
    assert_non_null(identity_by_id(&f.table, "mine"));
    assert_null(identity_by_id(&f.table, "vm-49"));
    assert_non_null(identity_by_id(&f.table, "vm-50"));
    for (unsigned i = 0; i < IDENTITIES_PER_UID; i++)
        must_start(&f, ALICE, NULL, NULL, NULL);
    must_refuse(&f, -EDQUOT, "512 interfaces are running", ALICE, NULL, NULL, NULL);
    identity_table_clear(&f.table);
}

static void a_network_that_moves_gives_new_addresses_and_the_old_macs(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.0/24");
    struct identity before = *must_start(&f, ALICE, NULL, "web", NULL);
    identity_end(&f.table, identity_by_id(&f.table, before.id));
    identity_table_move(&f.table, (struct subnet4){ 0xac100000, 24 });
    struct identity *after = must_start(&f, ALICE, NULL, "web", NULL);
    assert_int_equal(after->ipv4, 0xac100002);
    assert_true(mac_equal(after->mac, before.mac));
    identity_table_clear(&f.table);
}

static void live_interfaces_found_after_a_restart_are_matched_by_mac(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, "192.168.64.0/24");
    identity_end(&f.table, must_start(&f, ALICE, "vm-1", "web", "52:54:00:00:00:01"));
    struct identity found = *identity_by_id(&f.table, "vm-1"), *got;
    assert_int_equal(identity_adopt(&f.table, &found, &got), 0);
    assert_true(got->live && !got->ephemeral);
    assert_int_equal(identity_adopt(&f.table, &found, &got), 0); /* again: no matter */
    assert_int_equal(identity_count_live(&f.table), 1);
    must_refuse(&f, -EEXIST, "name 'web'", ALICE, NULL, "web", NULL);

    /* Memory says otherwise: what is live is right. */
    identity_end(&f.table, got);
    found = (struct identity){ .uid = ALICE,
                               .id = "u-u-i-d",
                               .name = "web",
                               .mac = { { 0x52, 0x54, 0, 9, 9, 9 } },
                               .ipv4 = got->ipv4 };
    assert_int_equal(identity_adopt(&f.table, &found, &got), 0);
    assert_false(got->ephemeral); /* it has a name: next time it is asked for by that */
    struct identity *other = identity_by_id(&f.table, "vm-1");
    assert_string_equal(other->name, "");
    assert_int_equal(other->ipv4, 0);

    found = (struct identity){ .id = "unnamed", .mac = { { 0x52, 0x54, 0, 8, 8, 8 } } };
    assert_int_equal(identity_adopt(&f.table, &found, &got), 0);
    assert_true(got->ephemeral);
    found.mac.b[5] = 7;
    assert_int_equal(identity_adopt(&f.table, &found, &got), -EEXIST);
    identity_table_clear(&f.table);
}

/* ---- against a model ----------------------------------------------------------- */

/* The obvious way: an array, time stamps, and a whole scan for every question. */
#define MODEL_MAX 400
#define FIRST     0xc0a84002u
#define LAST      0xc0a8400du /* of 192.168.64.0/28 */

struct record {
    bool used, live, ephemeral;
    uid_t uid;
    char id[IFACE_ID_SIZE], name[NAME_SIZE];
    struct mac mac;
    uint32_t ipv4;
    unsigned stamp;
};

static struct {
    struct record r[MODEL_MAX];
    unsigned now;
} model;

static struct record *model_find(const char *id, const char *name, const struct mac *mac,
                                 uint32_t ipv4)
{
    for (size_t i = 0; i < MODEL_MAX; i++) {
        struct record *r = &model.r[i];
        if (r->used && ((id && strcmp(r->id, id) == 0) || (name && strcmp(r->name, name) == 0) ||
                        (mac && mac_equal(r->mac, *mac)) || (ipv4 && r->ipv4 == ipv4)))
            return r;
    }
    return NULL;
}

static int model_check(const struct identity_wish *w, const struct record *r)
{
    if (!r)
        return 0;
    return r->uid != w->uid ? -EPERM : r->live ? -EEXIST : 0;
}

static unsigned model_addresses_of(uid_t uid)
{
    unsigned n = 0;
    for (size_t i = 0; i < MODEL_MAX; i++)
        n += model.r[i].used && model.r[i].uid == uid && model.r[i].ipv4;
    return n;
}

/* Whose user has more; or, of the same or where both have as many, who was used earlier. */
static bool model_loses_first(const struct record *a, const struct record *b)
{
    unsigned n = model_addresses_of(a->uid), m = model_addresses_of(b->uid);
    return n != m ? n > m : a->stamp < b->stamp;
}

static uint32_t model_address(struct record **ret_loser)
{
    *ret_loser = NULL;
    for (uint32_t a = FIRST; a <= LAST; a++)
        if (!model_find(NULL, NULL, NULL, a))
            return a;
    for (size_t i = 0; i < MODEL_MAX; i++) {
        struct record *r = &model.r[i];
        if (r->used && !r->live && r->ipv4 && (!*ret_loser || model_loses_first(r, *ret_loser)))
            *ret_loser = r;
    }
    return *ret_loser ? (*ret_loser)->ipv4 : 0;
}

static struct record *model_free_slot(void)
{
    for (size_t i = 0; i < MODEL_MAX; i++)
        if (!model.r[i].used)
            return &model.r[i];
    fail_msg("the model is full");
    return NULL;
}

/* Returns the predicted error; on 0 compares everything that is not left to chance. */
static int model_start(const struct identity_wish *w, const struct identity *got)
{
    struct record *by_id = w->id ? model_find(w->id, NULL, NULL, 0) : NULL;
    struct record *by_name = w->name ? model_find(NULL, w->name, NULL, 0) : NULL;
    struct record *by_mac = w->mac ? model_find(NULL, NULL, w->mac, 0) : NULL;
    struct record *mine = w->id ? by_id : by_name, *loser = NULL;
    int r = model_check(w, by_id);
    r = r ? r : model_check(w, by_name);
    r = r ? r : model_check(w, by_mac);
    if (r < 0)
        return r;
    uint32_t ipv4 = mine && mine->ipv4 ? mine->ipv4 : model_address(&loser);
    if (ipv4 == 0)
        return -EADDRNOTAVAIL;
    if (!got)
        return 0;

    if (loser)
        loser->ipv4 = 0;
    if (by_name && by_name != mine)
        by_name->name[0] = '\0';
    if (by_mac && by_mac != mine)
        by_mac->mac = no_mac;
    if (!mine) {
        mine = model_free_slot();
        *mine = (struct record){ .used = true, .uid = w->uid };
        assert_int_equal(str_copy(mine->id, sizeof mine->id, w->id ? w->id : got->id), 0);
        mine->ephemeral = !w->id && !w->name;
    }
    if (w->name)
        assert_int_equal(str_copy(mine->name, sizeof mine->name, w->name), 0);
    if (w->mac)
        mine->mac = *w->mac;
    else if (mac_equal(mine->mac, no_mac)) {
        assert_null(model_find(NULL, NULL, &got->mac, 0)); /* random, but nobody else's */
        mine->mac = got->mac;
    }
    mine->ipv4 = ipv4;
    mine->live = true;
    mine->stamp = ++model.now;
    assert_string_equal(got->id, mine->id);
    assert_string_equal(got->name, mine->name);
    assert_true(mac_equal(got->mac, mine->mac));
    assert_int_equal(got->ipv4, mine->ipv4);
    return 0;
}

static unsigned roll(unsigned sides)
{
    uint32_t n;
    fill_xorshift(&dice, &n, sizeof n);
    return n % sides;
}

static void random_start(struct fixture *f)
{
    static const char *const ids[] = { "i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7" };
    static const char *const names[] = { "n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7" };
    struct mac mac = { { 0x52, 0x54, 0, 0, 0, (uint8_t)roll(6) } };
    struct identity_wish w = { .uid = ALICE + roll(2),
                               .id = roll(2) ? ids[roll(8)] : NULL,
                               .name = roll(2) ? names[roll(8)] : NULL,
                               .mac = roll(4) ? NULL : &mac };
    struct identity *got = NULL;
    int expected = model_start(&w, NULL);
    assert_int_equal(identity_start(&f->table, &w, &source, &got, NULL), expected);
    if (expected == 0)
        (void)model_start(&w, got);
}

static void random_end(struct fixture *f)
{
    struct record *r = &model.r[roll(MODEL_MAX)];
    for (size_t i = 0; i < MODEL_MAX && !(r->used && r->live); i++)
        r = &model.r[(size_t)(r - model.r + 1) % MODEL_MAX];
    if (!r->used || !r->live)
        return;
    identity_end(&f->table, identity_by_id(&f->table, r->id));
    r->live = false;
    r->stamp = ++model.now;
    if (r->ephemeral)
        r->used = false;
}

static void random_steps_agree_with_the_obvious_model(void **unused)
{
    (void)unused;
    struct fixture f;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        dice = seed * UINT64_C(0x9e3779b97f4a7c15);
        memset(&model, 0, sizeof model);
        set_up(&f, "192.168.64.0/28");
        for (unsigned step = 0; step < 1000; step++) {
            if (roll(5) < 3)
                random_start(&f);
            else
                random_end(&f);
        }
        unsigned n = 0, live = 0;
        for (size_t i = 0; i < MODEL_MAX; i++) {
            n += model.r[i].used;
            live += model.r[i].used && model.r[i].live;
        }
        assert_int_equal(identity_count_live(&f.table), live);
        assert_true(n <= 400 && live <= LAST - FIRST + 1);
        identity_table_clear(&f.table);
    }
}

static void a_uuid_is_of_version_four(void **unused)
{
    (void)unused;
    char text[UUID_TEXT];
    assert_int_equal(strlen(uuid_random(&source, text)), 36);
    assert_int_equal(text[14], '4');
    assert_non_null(strchr("89ab", text[19]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_identity_gets_the_same_again),
        cmocka_unit_test(an_id_brings_its_name_back),
        cmocka_unit_test(addresses_go_from_the_second_usable_to_the_last_but_one),
        cmocka_unit_test(ephemeral_addresses_return),
        cmocka_unit_test(a_full_subnet_reclaims_the_least_recently_used),
        cmocka_unit_test(one_users_crowd_reclaims_its_own_and_nobody_elses),
        cmocka_unit_test(another_user_is_refused_by_name),
        cmocka_unit_test(what_is_live_is_refused),
        cmocka_unit_test(the_networks_own_names_are_reserved),
        cmocka_unit_test(what_a_client_gives_anew_is_remembered),
        cmocka_unit_test(one_user_cannot_crowd_out_the_memory),
        cmocka_unit_test(a_network_that_moves_gives_new_addresses_and_the_old_macs),
        cmocka_unit_test(live_interfaces_found_after_a_restart_are_matched_by_mac),
        cmocka_unit_test(random_steps_agree_with_the_obvious_model),
        cmocka_unit_test(a_uuid_is_of_version_four),
    };
    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
