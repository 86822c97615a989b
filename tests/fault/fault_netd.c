/* SPDX-License-Identifier: Apache-2.0 */
/* netd's heart with real links, rules and processes, in a namespace of its own, where each
 * call fails in its turn while a network is built, a TAP is opened and the network is
 * removed. Whoever asked gets an error with words; no link, rule, process, file or entry of
 * the journal is left; and the next attempt works.
 *
 * The rounds are shared by several processes.
 *
 * The network has no way out, so no packet leaves; run by root, the host is on it. What happens
 * inside the spawner and the hostside, which are other processes, does not fail here; but the
 * conversation with them does. fault_hostside.c has the latter's own story.
 */
#include "anchor.h"
#include "bridge.h"
#include "clock.h"
#include "fault.h"
#include "fd.h"
#include "filter.h"
#include "json_text.h"
#include "mem.h"
#include "networks.h"
#include "str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Stands for all allocations of a line of the journal. */
FAULT_WRAP(int, json_text, (const json_t *json, size_t flags, char **ret), (json, flags, ret),
           ENOMEM, -ENOMEM)

#define PARTS    4 /* each in a world of its own: a round mostly waits for the kernel */
#define PATIENCE UINT64_C(20000000) /* usec; on a machine that is busy with something else */

static struct world {
    char path[64];
    int dirfd;
    struct process anchor;
    int leash; /* the anchor ends when we do */
    struct network_tools tools;
    struct networks *all;
    unsigned links, processes;
    char *rules;
    /* of the build under way */
    bool answered;
    int err;
    struct netd_why why; /* of the last request that failed */
} world = { .leash = -1 };

static const struct netd_network lab = { .name = "lab",
                                         .id = "1",
                                         .mode = NET_MODE_HOST,
                                         .flags = NETD_NET_DHCP | NETD_NET_DNS | NETD_NET_RA,
                                         .mtu = 1500,
                                         .ipv4_base = 0xc6336400, /* 198.51.100.0 */
                                         .ipv4_prefix = 24,
                                         .ipv6 = { 0x20, 0x01, 0x0d, 0xb8 },
                                         .ipv6_len = 64 };

static const struct netd_interface web = { .network = "lab",
                                           .id = "web",
                                           .name = "web",
                                           .ipv4 = 0xc6336402,
                                           .mac = { 0x52, 0x54, 0, 0, 0, 1 },
                                           .offload = 1,
                                           .queues = 2 };

/* Such as most are: it gets the TAP that was made in advance. */
static const struct netd_interface usual = { .network = "lab",
                                             .id = "usual",
                                             .ipv4 = 0xc6336404,
                                             .mac = { 0x52, 0x54, 0, 0, 0, 3 },
                                             .offload = 1,
                                             .queues = 1 };

/* ---- what there is --------------------------------------------------------------------- */

static unsigned count_links(void)
{
    struct if_nameindex *all = if_nameindex();
    unsigned n = 0;

    assert_non_null(all);
    while (all[n].if_index != 0)
        n++;
    if_freenameindex(all);
    return n;
}

/* The processes that descend from one. */
static unsigned count_children(pid_t of)
{
    char path[64];
    unsigned n = 0;
    int pid;

    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)of, (int)of);
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%d", &pid) == 1)
        n += 1 + count_children(pid);
    if (file)
        (void)fclose(file);
    return n;
}

static char *list_rules(void)
{
    char *text = NULL, *to;

    assert_int_equal(nft_list(world.tools.nft, "list ruleset", &text), 0);
    /* Without numbers: counters and handles are no rules. */
    to = text;
    for (const char *from = text; *from; from++)
        if (*from < '0' || *from > '9')
            *to++ = *from;
    *to = '\0';
    return text;
}

static unsigned count_files(void)
{
    int fd = openat(world.dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    unsigned n = 0;

    assert_non_null(dir);
    if (!dir)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.' && strncmp(entry->d_name, "journal", 7) != 0;
    (void)closedir(dir);
    return n;
}

static void check_journal(void)
{
    struct journal_state *state = NULL;

    assert_int_equal(journal_read(world.dirfd, &state), 0);
    for (size_t i = 0; i < NETWORKS_MAX; i++)
        assert_false(state->networks[i].known);
    assert_int_equal(state->n_taps, 0);
    journal_state_free(state);
}

static void turn(void)
{
    (void)sd_event_run(world.tools.event, 10000);
}

/* Turns until done() says so, or patience ends. */
static void turn_until(bool (*done)(void))
{
    uint64_t end = monotonic_usec() + PATIENCE;

    while (!done() && monotonic_usec() < end)
        turn();
}

static bool as_before(void)
{
    return count_children(getpid()) == world.processes && count_links() == world.links;
}

static void nothing_is_left(void)
{
    turn_until(as_before);
    assert_int_equal(count_children(getpid()), world.processes);
    assert_int_equal(count_links(), world.links);
    assert_int_equal(count_files(), 0);
    check_journal();
    AUTO_FREE char *rules = list_rules();
    if (strcmp(rules, world.rules) != 0)
        fail_msg("rules are left: %s", rules);
}

/* ---- what is asked --------------------------------------------------------------------- */

/* An error without words is no answer. */
static void note(int r, const struct netd_why *why)
{
    if (r == 0)
        return;
    assert_true(r < 0 && why->why[0]);
    world.why = *why;
}

static void on_built(void *arg, int err, const struct netd_why *why)
{
    (void)arg;
    note(err, why);
    world.answered = true;
    world.err = err;
}

static bool is_answered(void)
{
    return world.answered;
}

static bool is_unused(void)
{
    return !networks_busy(world.all);
}

static int build(void)
{
    struct netd_why why = { "" };
    int r;

    world.answered = false;
    r = networks_build(world.all, &lab, on_built, NULL, &why);
    note(r, &why);
    if (r == 0)
        turn_until(is_answered);
    assert_true(world.answered == (r == 0));
    return r < 0 ? r : world.err;
}

static int reserve(void)
{
    static const struct netd_update update = {
        .network = "lab",
        .total = 1,
        .count = 1,
        .reservations = { { .name = "db", .ipv4 = 0xc6336403, .mac = { 0x52, 0x54, 0, 0, 0, 2 } } }
    };
    struct netd_why why = { "" };
    int r = networks_update(world.all, &update, &why);

    note(r, &why);
    return r;
}

/* A VM comes and goes. */
static int use_one(const struct netd_interface *itf)
{
    struct netd_interface made;
    struct netd_why why = { "" };
    int fds[NETD_QUEUES_MAX];
    int r = networks_open_tap(world.all, itf, &made, fds, &why);

    note(r, &why);
    if (r == 0)
        turn();
    for (uint32_t i = 0; r == 0 && i < made.queues; i++)
        fd_closep(&fds[i]);
    turn_until(is_unused);
    assert_true(is_unused());
    return r;
}

static int use_both(void)
{
    int first = use_one(&web), second = use_one(&usual);

    return first < 0 ? first : second;
}

static int take_away(void)
{
    struct netd_why why = { "" };
    int r = networks_remove(world.all, "lab", &why);

    note(r, &why);
    return r;
}

static void the_next_attempt_works(void)
{
    if (build() < 0 || reserve() < 0 || use_one(&web) < 0 || take_away() < 0)
        fail_msg("%s", world.why.why);
}

static void story(void)
{
    fault_begin();
    int built = build();
    int reserved = built < 0 ? built : reserve();
    int used = built < 0 ? built : use_both();
    bool before = fault_end();
    fault_begin();
    int removed = built < 0 ? 0 : take_away();
    (void)fault_end();
    assert_true((built == 0 && reserved == 0 && used == 0 && removed == 0) || fault_happened());
    if (before) /* else what could not be removed is taken away by the next attempt */
        nothing_is_left();
    the_next_attempt_works();
    nothing_is_left();
}

/* ---- the world ------------------------------------------------------------------------- */

static void on_uplink(void *arg, const char *interface, const char *engine, const char *state)
{
    (void)arg;
    (void)interface;
    (void)engine;
    (void)state;
}

static void on_lease(void *arg, const struct netd_lease *lease)
{
    (void)arg, (void)lease;
}

static void on_tap_gone(void *arg, const struct netd_interface *interface)
{
    (void)arg;
    (void)interface;
}

/* What dnsmasq has to say a thousand times is not for the log of a test. */
static void start_spawner(void)
{
    const struct spawner_setup setup = { .inside = world.anchor.pid, .state_path = world.path };
    AUTO_FD null = open("/dev/null", O_WRONLY | O_CLOEXEC), err = dup(STDERR_FILENO);

    assert_true(null >= 0 && err >= 0 && dup2(null, STDERR_FILENO) >= 0);
    assert_int_equal(spawner_start(&setup, &world.tools.spawner), 0);
    assert_true(dup2(err, STDERR_FILENO) >= 0);
}

/* Only root can have a host of its own here, which it must be: the host of this machine is not
 * touched. */
static void start_hostside(void)
{
    if (geteuid() == 0)
        assert_int_equal(hostside_start(world.anchor.pid, &world.tools.hostside), 0);
}

/* Returns false where such a world cannot be made. */
static bool make_namespaces(void)
{
    (void)snprintf(world.path, sizeof world.path, "/tmp/vmnet-fault.XXXXXX");
    assert_non_null(mkdtemp(world.path));
    world.dirfd = open(world.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(world.dirfd >= 0);
    if (geteuid() == 0 && unshare(CLONE_NEWNET) < 0)
        return false;
    if (access("/dev/net/tun", R_OK | W_OK) < 0 ||
        anchor_start(NULL, &world.anchor, &world.leash) < 0)
        return false;
    start_hostside();
    start_spawner();
    int host_routes[UPLINKS_MAX];
    assert_int_equal(uplinks_open_host_routes(host_routes), 0);
    assert_int_equal(anchor_enter(world.anchor.pid), 0);
    assert_true(sd_event_new(&world.tools.event) >= 0);
    assert_int_equal(link_open(&world.tools.links), 0);
    world.tools.nft = nft_new();
    assert_non_null(world.tools.nft);
    const struct uplink_setup uplinks = { .event = world.tools.event,
                                          .links = world.tools.links,
                                          .nft = world.tools.nft,
                                          .spawner = world.tools.spawner,
                                          .changed = on_uplink };
    assert_int_equal(uplinks_new(&uplinks, host_routes, &world.tools.uplinks), 0);
    return true;
}

static void put_host_on_a_network(void)
{
    assert_int_equal(filter_add_network(world.tools.nft, 0, &lab, true), 0);
    assert_int_equal(filter_remove_network(world.tools.nft, 0, &lab, true), 0);
    assert_int_equal(filter_forget_host_drops(world.tools.nft, 0), 0);
}

/* Once the host has been on a network, the filter keeps a chain for it as long as there is a netd;
 * and nothing else. */
static void look_at_rules(void)
{
    world.rules = list_rules();
    if (!world.tools.hostside)
        return;
    put_host_on_a_network();
    assert_int_equal(nft_run(world.tools.nft, "flush chain bridge vmnet to_host\n"
                                              "delete chain bridge vmnet to_host\n"),
                     0);
    AUTO_FREE char *without = list_rules();
    assert_string_equal(without, world.rules);
    put_host_on_a_network();
    free(world.rules);
    world.rules = list_rules();
}

static int make_world(void **unused)
{
    const struct network_events events = { .tap_gone = on_tap_gone, .lease = on_lease };
    static struct journal_state nothing;
    struct netd_why why = { "" };

    (void)unused;
    assert_int_equal(bridge_prepare_namespace(world.tools.links, &why), 0);
    assert_int_equal(journal_begin(world.dirfd, &nothing, &world.tools.journal), 0);
    world.tools.state_dirfd = world.dirfd;
    world.tools.state_path = world.path;
    const struct forwards_setup forwards = { .event = world.tools.event,
                                             .spawner = world.tools.spawner,
                                             .journal = world.tools.journal,
                                             .nft = world.tools.nft,
                                             .links = world.tools.links,
                                             .dirfd = world.dirfd,
                                             .path = world.path };
    assert_int_equal(forwards_new(&forwards, &world.tools.forwards), 0);
    assert_int_equal(networks_new(&world.tools, &events, &world.all, &why), 0);
    assert_int_equal(networks_adopt(world.all, &nothing, -1, &why), 0);
    world.links = count_links();
    world.processes = count_children(getpid());
    look_at_rules();
    return 0;
}

static int end_world(void **unused)
{
    struct netd_why why = { "" };

    (void)unused;
    if (world.all)
        (void)networks_remove_all(world.all, &why);
    networks_free(world.all);
    forwards_free(world.tools.forwards);
    uplinks_free(world.tools.uplinks);
    nft_free(world.tools.nft);
    link_close(world.tools.links);
    spawner_free(world.tools.spawner);
    hostside_free(world.tools.hostside);
    journal_free(world.tools.journal, true);
    sd_event_unref(world.tools.event);
    anchor_end(&world.anchor);
    fd_closep(&world.leash);
    fd_closep(&world.dirfd);
    free(world.rules);
    return rmdir(world.path);
}

static void a_network_and_its_tap(void **unused)
{
    (void)unused;
    fault_each(story, 100);
}

static int run_part(unsigned part)
{
    const struct CMUnitTest tests[] = {
        fault_test(a_network_and_its_tap),
    };
    fault_share(part, PARTS);
    if (!make_namespaces()) {
        (void)end_world(NULL);
        return 77; /* meson: skipped */
    }
    return cmocka_run_group_tests_name("faults in netd", tests, make_world, end_world);
}

int main(void)
{
    pid_t parts[PARTS];
    int worst = 0;

    for (unsigned i = 0; i < PARTS; i++)
        if ((parts[i] = fork()) == 0)
            return run_part(i);
    for (unsigned i = 0; i < PARTS; i++) {
        int status = 1;

        if (parts[i] < 0 || waitpid(parts[i], &status, 0) < 0 || !WIFEXITED(status))
            worst = 1;
        else if (WEXITSTATUS(status) != 0 && worst != 1)
            worst = WEXITSTATUS(status);
    }
    return worst;
}
