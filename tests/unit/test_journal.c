/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fd.h"
#include "file.h"
#include "journal.h"
#include "mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct process anchor = { .pid = 4711, .born = 99887766 };

static const struct netd_network shared = {
    .name = "shared",
    .id = "5ad6e6ee",
    .flags = NETD_NET_NAT44 | NETD_NET_DHCP,
    .mtu = 1500,
    .ipv4_base = 0xc0a84000,
    .ipv4_prefix = 24,
    .ipv6 = { 0xfd, 0, 0, 0x64 },
    .ipv6_len = 64,
    .idle_timeout_sec = 120,
    .uplink = UPLINK_USER,
    .n_dns_servers = 1,
    .dns_servers = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x53 } },
    .external_interface = "eth0",
    .domain = "lab.example",
};

static const struct netd_reservation reserved[] = {
    { .name = "web", .ipv4 = 0xc0a8400a, .mac = { 0x52, 0x54, 0, 0, 0, 1 } },
    { .ipv4 = 0xc0a8400b, .mac = { 0x52, 0x54, 0, 0, 0, 2 } },
};

static const struct netd_interface web = {
    .network = "shared",
    .id = "web-1",
    .name = "web",
    .tap = "vt0.0",
    .uid = 1000,
    .ipv4 = 0xc0a84002,
    .mac = { 0x52, 0x54, 0, 0x12, 0x34, 0xff },
    .offload = 1,
    .queues = 2,
};

static const struct journal_forward ssh = {
    .index = 3,
    .number = 7,
    .forward = { .network = "shared",
                 .interface = "web-1",
                 .uid = 1000,
                 .protocol = NETD_TCP,
                 .families = NETD_IPV4 | NETD_IPV6,
                 .external_port = 2222,
                 .internal_port = 22,
                 .target = { [10] = 0xff, 0xff, 192, 168, 64, 2 } },
};

struct place {
    char path[32];
    int dirfd;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    if (!place)
        return -1;
    (void)snprintf(place->path, sizeof place->path, "/tmp/journal.XXXXXX");
    if (!mkdtemp(place->path))
        return -1;
    place->dirfd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = place;
    return place->dirfd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    static const char *const files[] = { "journal", "journal.copy", "journal.new",
                                         "journal.copy.new", "journal.spare" };

    for (size_t i = 0; i < N_ELEMENTS(files); i++)
        (void)unlinkat(place->dirfd, files[i], 0);
    (void)close(place->dirfd);
    (void)rmdir(place->path);
    free(place);
    return 0;
}

/* A network with a dnsmasq, a TAP and a relay: the usual life. */
static struct journal *write_story(int dirfd)
{
    const struct journal_state nothing = { .anchor = anchor };
    struct journal *journal = NULL;

    assert_int_equal(journal_begin(dirfd, &nothing, &journal), 0);
    assert_int_equal(journal_network(journal, 3, &shared), 0);
    assert_int_equal(journal_child(journal, JOURNAL_DNSMASQ, 3, 815, 1111), 0);
    assert_int_equal(journal_child(journal, JOURNAL_OWN_RELAY, 3, 818, 4444), 0);
    assert_int_equal(journal_built(journal, 3), 0);
    assert_int_equal(journal_tap(journal, 3, &web), 0);
    assert_int_equal(journal_child(journal, JOURNAL_RELAY, 0, 816, 2222), 0);
    assert_int_equal(journal_child(journal, JOURNAL_FORWARDER, 0, 817, 3333), 0);
    assert_int_equal(journal_forward(journal, &ssh), 0);
    return journal;
}

static struct journal_state *read_back(int dirfd)
{
    struct journal_state *state = NULL;

    assert_int_equal(journal_read(dirfd, &state), 0);
    return state;
}

static void replace_both(int dirfd, const char *text, size_t len)
{
    assert_int_equal(file_replace(dirfd, "journal", text, len, 0600), 0);
    assert_int_equal(file_replace(dirfd, "journal.copy", text, len, 0600), 0);
}

/* These lines, behind the one that says which boot it is. */
static void write_lines(int dirfd, const char *lines)
{
    const struct journal_state nothing = { .n_taps = 0 };
    AUTO_FREE char *first = NULL, *text = NULL;
    struct journal *journal = NULL;
    size_t len;

    assert_int_equal(journal_begin(dirfd, &nothing, &journal), 0);
    assert_int_equal(file_read(dirfd, "journal", 1 << 16, &first, &len), 0);
    journal_free(journal, true);
    assert_true(asprintf(&text, "%s%s", first, lines) > 0);
    replace_both(dirfd, text, strlen(text));
}

static void nothing_written_is_nothing_known(void **unused)
{
    struct place *place = *unused;
    struct journal_state *state = read_back(place->dirfd);

    assert_int_equal(state->anchor.pid, 0);
    assert_int_equal(state->n_taps, 0);
    journal_state_free(state);
}

static void what_was_written_is_read(void **unused)
{
    struct place *place = *unused;
    struct journal *journal = write_story(place->dirfd);
    struct journal_state *state = read_back(place->dirfd);

    assert_memory_equal(&state->anchor, &anchor, sizeof anchor);
    assert_true(state->networks[3].known && state->networks[3].built);
    assert_memory_equal(&state->networks[3].network, &shared, sizeof shared);
    assert_int_equal(state->networks[3].dnsmasq.pid, 815);
    assert_int_equal(state->relay.born, 2222);
    assert_int_equal(state->forwarder.pid, 817);
    assert_int_equal(state->n_forwards, 1);
    assert_memory_equal(&state->forwards[0], &ssh, sizeof ssh);
    assert_int_equal(state->n_taps, 1);
    assert_int_equal(state->taps[0].index, 3);
    assert_memory_equal(&state->taps[0].interface, &web, sizeof web);
    journal_state_free(state);
    journal_free(journal, false);
}

static void check_update(int dirfd, uint32_t idle, const struct netd_reservation *list, size_t n)
{
    struct journal_state *state = read_back(dirfd);
    const struct journal_network *net = &state->networks[3];

    assert_true(net->known && net->built);
    assert_int_equal(net->network.idle_timeout_sec, idle);
    assert_int_equal(net->n_reservations, n);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(&net->reservations[i], &list[i], sizeof list[i]);
    journal_state_free(state);
}

static void reservations_take_the_place_of_those_before(void **unused)
{
    struct place *place = *unused;
    struct journal *journal = write_story(place->dirfd);

    assert_int_equal(journal_update(journal, 3, 60, reserved, 2), 0);
    check_update(place->dirfd, 60, reserved, 2);
    assert_int_equal(journal_update(journal, 3, 61, reserved + 1, 1), 0);
    check_update(place->dirfd, 61, reserved + 1, 1);
    assert_int_equal(journal_update(journal, 3, 61, NULL, 0), 0);
    check_update(place->dirfd, 61, NULL, 0);
    assert_int_equal(journal_update(journal, 3, 61, reserved, 2), 0);
    assert_int_equal(journal_network_gone(journal, 3), 0);
    assert_int_equal(journal_network(journal, 3, &shared), 0);
    assert_int_equal(journal_built(journal, 3), 0);
    check_update(place->dirfd, 120, NULL, 0);
    journal_free(journal, false);
}

/* A netd from before there were definition files. */
static void what_an_older_netd_did_not_write_is_not_set(void **unused)
{
    static const char text[] =
        "{\"fact\":\"network\",\"index\":1,\"name\":\"shared\",\"id\":\"u\",\"mode\":0,"
        "\"anti_spoofing\":0,\"flags\":63,\"mtu\":1500,\"ipv4_base\":3232251904,"
        "\"ipv4_prefix\":24,\"ipv6\":\"fd123456789a00000000000000000000\",\"ipv6_len\":64,"
        "\"idle_timeout_sec\":120}\n";
    struct place *place = *unused;
    struct journal_state *state;

    write_lines(place->dirfd, text);
    state = read_back(place->dirfd);
    assert_true(state->networks[1].known);
    assert_string_equal(state->networks[1].network.domain, "");
    assert_int_equal(state->networks[1].network.n_dns_servers, 0);
    journal_state_free(state);
}

static void check_spare_tap(int dirfd, const char *spare)
{
    struct journal_state *state = read_back(dirfd);

    assert_string_equal(state->networks[3].spare_tap, spare);
    journal_state_free(state);
}

static void the_last_spare_tap_of_a_network_is_read(void **unused)
{
    struct place *place = *unused;
    struct journal *journal = write_story(place->dirfd);

    check_spare_tap(place->dirfd, "");
    assert_int_equal(journal_spare_tap(journal, 3, "vt3.1"), 0);
    assert_int_equal(journal_spare_tap(journal, 3, "vt3.2"), 0);
    check_spare_tap(place->dirfd, "vt3.2");
    /* What is none of ours is no reason to remove a link. */
    assert_int_equal(journal_spare_tap(journal, 3, "vt2.0"), 0);
    assert_int_equal(journal_spare_tap(journal, 3, "eth0"), 0);
    assert_int_equal(journal_spare_tap(journal, 3, "vt3.12345678901234567890"), 0);
    check_spare_tap(place->dirfd, "vt3.2");
    assert_int_equal(journal_network_gone(journal, 3), 0);
    assert_int_equal(journal_network(journal, 3, &shared), 0);
    check_spare_tap(place->dirfd, "");
    journal_free(journal, false);
}

static void what_has_gone_is_not_known(void **unused)
{
    struct place *place = *unused;
    struct journal *journal = write_story(place->dirfd);
    struct journal_state *state;

    assert_int_equal(journal_tap_gone(journal, "vt0.0"), 0);
    assert_int_equal(journal_unbuilt(journal, 3), 0);
    state = read_back(place->dirfd);
    assert_int_equal(state->n_taps, 0);
    assert_true(state->networks[3].known && !state->networks[3].built);
    journal_state_free(state);

    assert_int_equal(journal_network_gone(journal, 3), 0);
    state = read_back(place->dirfd);
    assert_false(state->networks[3].known);
    journal_state_free(state);
    journal_free(journal, true);
    assert_int_equal(faccessat(place->dirfd, "journal", F_OK, 0), -1);
}

static void a_forward_goes_by_its_number_or_with_its_network(void **unused)
{
    struct place *place = *unused;
    struct journal *journal = write_story(place->dirfd);
    struct journal_forward other = ssh;

    other.number = 8;
    assert_int_equal(journal_forward(journal, &other), 0);
    assert_int_equal(journal_forward_gone(journal, 7), 0);
    struct journal_state *state = read_back(place->dirfd);
    assert_int_equal(state->n_forwards, 1);
    assert_int_equal(state->forwards[0].number, 8);
    journal_state_free(state);

    assert_int_equal(journal_network_gone(journal, 3), 0);
    state = read_back(place->dirfd);
    assert_int_equal(state->n_forwards, 0);
    journal_state_free(state);
    journal_free(journal, false);
}

static bool is_story(const struct journal_state *state)
{
    return state->anchor.pid == anchor.pid && state->anchor.born == anchor.born &&
           state->networks[3].built &&
           memcmp(&state->networks[3].network, &shared, sizeof shared) == 0 &&
           state->networks[3].dnsmasq.pid == 815 && state->networks[3].relay.pid == 818 &&
           state->relay.born == 2222 && state->forwarder.born == 3333 && state->n_forwards == 1 &&
           memcmp(&state->forwards[0], &ssh, sizeof ssh) == 0 && state->n_taps == 1 &&
           memcmp(&state->taps[0].interface, &web, sizeof web) == 0;
}

/* The next netd. */
static void a_new_journal_says_what_the_old_one_said(void **unused)
{
    struct place *place = *unused;
    struct journal *journal;
    struct journal_state *state;

    journal = write_story(place->dirfd);
    assert_int_equal(journal_update(journal, 3, 60, reserved, 2), 0);
    assert_int_equal(journal_spare_tap(journal, 3, "vt3.7"), 0);
    journal_free(journal, false);
    state = read_back(place->dirfd);
    assert_int_equal(journal_begin(place->dirfd, state, &journal), 0);
    journal_state_free(state);
    check_update(place->dirfd, 60, reserved, 2);
    check_spare_tap(place->dirfd, "vt3.7");
    assert_int_equal(journal_update(journal, 3, shared.idle_timeout_sec, NULL, 0), 0);
    state = read_back(place->dirfd);
    assert_true(is_story(state));
    journal_state_free(state);
    journal_free(journal, false);
}

static void what_is_stranded_keeps_its_index_and_nothing_else(void **unused)
{
    struct place *place = *unused;
    struct journal *journal = write_story(place->dirfd);
    struct journal_state *state = read_back(place->dirfd);

    journal_state_strand(state, 3, 5);
    assert_int_equal(journal_begin_again(journal, state), 0);
    journal_state_free(state);
    state = read_back(place->dirfd);
    assert_true(state->networks[3].known && state->networks[3].stranded == 5);
    assert_false(state->networks[3].built);
    assert_int_equal(state->networks[3].dnsmasq.pid, 0);
    assert_memory_equal(&state->networks[3].network, &shared, sizeof shared);
    assert_int_equal(state->n_taps, 0);
    journal_state_free(state);
    assert_int_equal(journal_network_gone(journal, 3), 0);
    state = read_back(place->dirfd);
    assert_false(state->networks[3].known || state->networks[3].stranded);
    journal_state_free(state);
    journal_free(journal, true);
}

/* A directory in the place of one of the files stands for all that can go wrong. */
static void the_old_journal_stands_until_the_new_one_is_whole(void **unused)
{
    static const char *const in_the_way[] = { "journal.new", "journal.copy.new" };
    const struct journal_state nothing = { .anchor = anchor };
    struct place *place = *unused;
    struct journal *journal = write_story(place->dirfd);

    for (size_t i = 0; i < N_ELEMENTS(in_the_way); i++) {
        struct journal_state *state;

        assert_int_equal(mkdirat(place->dirfd, in_the_way[i], 0700), 0);
        assert_int_equal(journal_begin_again(journal, &nothing), -EISDIR);
        assert_int_equal(unlinkat(place->dirfd, in_the_way[i], AT_REMOVEDIR), 0);
        assert_int_equal(journal_child(journal, JOURNAL_RELAY, 0, 816, 2222), 0);
        state = read_back(place->dirfd);
        assert_true(is_story(state));
        journal_state_free(state);
    }
    assert_int_equal(journal_begin_again(journal, &nothing), 0);
    journal_free(journal, false);
    journal_free(write_story(place->dirfd), true);
}

static void one_copy_torn_at_any_byte_costs_nothing(void **unused)
{
    static const char *const names[] = { "journal", "journal.copy" };
    struct place *place = *unused;
    AUTO_FREE char *text = NULL;
    size_t len;

    journal_free(write_story(place->dirfd), false);
    assert_int_equal(file_read(place->dirfd, "journal", 1 << 16, &text, &len), 0);
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        replace_both(place->dirfd, text, len);
        for (size_t cut = 0; cut <= len; cut++) {
            struct journal_state *state;

            assert_int_equal(file_replace(place->dirfd, names[i], text, cut, 0600), 0);
            state = read_back(place->dirfd);
            assert_true(is_story(state));
            journal_state_free(state);
        }
    }
}

/* TAPs come and go for years. */
static void a_long_journal_is_begun_again(void **unused)
{
    struct place *place = *unused;
    struct journal *journal = write_story(place->dirfd);
    struct journal_state *state;
    struct stat st;

    for (int i = 0; !journal_is_long(journal); i++) {
        assert_true(i < 10000);
        assert_int_equal(journal_tap_gone(journal, "vt0.0"), 0);
        assert_int_equal(journal_tap(journal, 3, &web), 0);
    }
    state = read_back(place->dirfd);
    assert_int_equal(journal_begin_again(journal, state), 0);
    journal_state_free(state);
    assert_false(journal_is_long(journal));
    assert_int_equal(fstatat(place->dirfd, "journal", &st, 0), 0);
    assert_true(st.st_size < 2048);
    state = read_back(place->dirfd);
    assert_true(is_story(state));
    journal_state_free(state);
    journal_free(journal, true);
}

static void something_new_wants_room_to_end_it(void **unused)
{
    struct place *place = *unused;
    struct journal *journal = write_story(place->dirfd);
    struct stat st;

    assert_int_equal(fstatat(place->dirfd, "journal.spare", &st, 0), 0);
    assert_true(st.st_blocks > 0); /* a hole would be no room */
    assert_int_equal(journal_room(journal), 0);
    assert_false(journal_gives_room(journal, -EROFS));
    assert_true(journal_gives_room(journal, -ENOSPC));
    assert_false(journal_gives_room(journal, -ENOSPC)); /* there is only one */
    assert_int_equal(mkdirat(place->dirfd, "journal.spare", 0700), 0);
    assert_int_equal(journal_room(journal), -EISDIR);
    assert_int_equal(unlinkat(place->dirfd, "journal.spare", AT_REMOVEDIR), 0);
    assert_int_equal(journal_room(journal), 0);
    assert_int_equal(fstatat(place->dirfd, "journal.spare", &st, 0), 0);
    journal_free(journal, true);
    assert_int_equal(fstatat(place->dirfd, "journal.spare", &st, 0), -1);
}

/* Whatever a death leaves of the file: no crash, and nothing that was never written. */
static void a_file_torn_at_any_byte_tells_its_whole_lines(void **unused)
{
    struct place *place = *unused;
    struct journal *journal = write_story(place->dirfd);
    AUTO_FREE char *text = NULL;
    size_t len;

    journal_free(journal, false);
    assert_int_equal(file_read(place->dirfd, "journal", 1 << 16, &text, &len), 0);
    for (size_t cut = 0; cut <= len; cut++) {
        struct journal_state *state;
        bool built, known;

        replace_both(place->dirfd, text, cut);
        state = read_back(place->dirfd);
        known = state->networks[3].known;
        built = state->networks[3].built;
        assert_true(known || !built);
        assert_true(state->n_taps == 0 || known);
        if (known)
            assert_memory_equal(&state->networks[3].network, &shared, sizeof shared);
        journal_state_free(state);
    }
}

static void lines_that_make_no_sense_are_left_out(void **unused)
{
    static const char *const lines[] = {
        "garbage",
        "{}",
        "{\"fact\":\"unheard-of\",\"index\":1}",
        "{\"fact\":\"network\",\"index\":999,\"name\":\"x\"}",
        "{\"fact\":\"network\",\"index\":1,\"name\":\"../x\"}",
        "{\"fact\":\"network\",\"index\":-1}",
        "{\"fact\":\"built\"}",
        "{\"fact\":\"stranded\",\"index\":1,\"taps\":1}",
        "{\"fact\":\"built\",\"index\":\"1\"}",
        "{\"fact\":\"tap\",\"index\":1,\"tap\":\"vt1.0\"}",
        "{\"fact\":\"child\",\"kind\":\"dnsmasq\",\"index\":1,\"pid\":1,\"born\":5}",
        "{\"fact\":\"child\",\"kind\":\"cron\",\"index\":1,\"pid\":77,\"born\":5}",
        "{\"fact\":\"anchor\",\"pid\":1,\"born\":5}",
        "{\"fact\":\"update\",\"index\":1,\"idle_timeout_sec\":5,\"reservations\":[]}",
    };
    struct place *place = *unused;

    for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
        struct journal_state *state;
        char text[128];

        (void)snprintf(text, sizeof text, "%s\n", lines[i]);
        write_lines(place->dirfd, text);
        state = read_back(place->dirfd);
        if (state->anchor.pid || state->networks[1].known || state->networks[1].dnsmasq.pid ||
            state->n_taps)
            fail_msg("believed: %s", lines[i]);
        journal_state_free(state);
    }
}

static void a_journal_of_an_earlier_boot_is_void(void **unused)
{
    struct place *place = *unused;
    AUTO_FREE char *text = NULL;
    struct journal_state *state;
    char *boot;
    size_t len;

    journal_free(write_story(place->dirfd), false);
    assert_int_equal(file_read(place->dirfd, "journal", 1 << 16, &text, &len), 0);
    boot = strstr(text, "\"boot\":\"") + strlen("\"boot\":\"");
    boot[0] = boot[0] == 'a' ? 'b' : 'a';
    replace_both(place->dirfd, text, len);
    state = read_back(place->dirfd);
    assert_int_equal(state->anchor.pid, 0);
    assert_false(state->networks[3].known);
    assert_int_equal(state->relay.pid, 0);
    journal_state_free(state);
}

static void a_process_is_itself_only_with_its_birth(void **unused)
{
    struct process self = { .pid = getpid() };

    (void)unused;
    assert_int_equal(process_born(self.pid, &self.born), 0);
    assert_true(process_alive(&self));
    self.born++;
    assert_false(process_alive(&self));
    assert_int_equal(process_look(&self), 0);
    assert_false(process_alive(&(struct process){ .pid = 0 }));
}

/* One that cannot be looked at is not dead for that. */
static void without_a_descriptor_nobody_is_called_dead(void **unused)
{
    struct process self = { .pid = getpid() };
    struct rlimit before, none;

    (void)unused;
    assert_int_equal(process_born(self.pid, &self.born), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int looked = process_look(&self);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(looked, -EMFILE);
}

/* What of the host's is switched on outlives a netd, and is read until it is undone. */
static void what_is_ours_in_the_host_is_read(void **given)
{
    const struct place *place = *given;
    const struct host_nat_plan plan = { .transit = 0xa9feff04,
                                        .on4 = { { "eth0", "tun0" }, 2 },
                                        .on6 = { { "eth0" }, 1 } };
    const struct host_nat_plan bad = { .transit = 0xa9feff04, .on4 = { { "../x" }, 1 } };
    const struct host_nat_plan nothing = { .transit = 0 };
    struct journal *journal = write_story(place->dirfd);
    struct journal_state *state;

    assert_int_equal(journal_host_nat(journal, &plan), 0);
    assert_int_equal(journal_host_nat(journal, &bad), 0);
    for (int again = 0; again < 2; again++) {
        state = read_back(place->dirfd);
        assert_int_equal(state->host_nat.transit, plan.transit);
        assert_memory_equal(&state->host_nat.on4, &plan.on4, sizeof plan.on4);
        assert_memory_equal(&state->host_nat.on6, &plan.on6, sizeof plan.on6);
        if (again == 0)
            assert_int_equal(journal_begin_again(journal, state), 0);
        journal_state_free(state);
    }
    assert_int_equal(journal_host_nat(journal, &nothing), 0);
    state = read_back(place->dirfd);
    assert_int_equal(state->host_nat.transit, 0);
    journal_state_free(state);
    journal_free(journal, true);
}

int main(void)
{
#define IN_A_PLACE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(nothing_written_is_nothing_known),
        IN_A_PLACE(what_was_written_is_read),
        IN_A_PLACE(the_last_spare_tap_of_a_network_is_read),
        IN_A_PLACE(what_has_gone_is_not_known),
        IN_A_PLACE(a_forward_goes_by_its_number_or_with_its_network),
        IN_A_PLACE(reservations_take_the_place_of_those_before),
        IN_A_PLACE(what_an_older_netd_did_not_write_is_not_set),
        IN_A_PLACE(a_new_journal_says_what_the_old_one_said),
        IN_A_PLACE(what_is_stranded_keeps_its_index_and_nothing_else),
        IN_A_PLACE(the_old_journal_stands_until_the_new_one_is_whole),
        IN_A_PLACE(a_file_torn_at_any_byte_tells_its_whole_lines),
        IN_A_PLACE(lines_that_make_no_sense_are_left_out),
        IN_A_PLACE(one_copy_torn_at_any_byte_costs_nothing),
        IN_A_PLACE(a_long_journal_is_begun_again),
        IN_A_PLACE(something_new_wants_room_to_end_it),
        IN_A_PLACE(a_journal_of_an_earlier_boot_is_void),
        IN_A_PLACE(what_is_ours_in_the_host_is_read),
        cmocka_unit_test(a_process_is_itself_only_with_its_birth),
        cmocka_unit_test(without_a_descriptor_nobody_is_called_dead),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
