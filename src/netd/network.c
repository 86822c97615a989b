/* SPDX-License-Identifier: Apache-2.0 */
/* network.c - see network.h.
 *
 * Names are the index's: network 3 is bridge vb3 with TAPs vt3.0, vt3.1, ..., all in
 * interface group 4 (0 is everybody's), chain n3 and directory netd/3. Nothing that a
 * client chose becomes part of a link, rule or path.
 *
 * Building starts dnsmasq as early as its bridge is there, because it takes longest;
 * the rules are made while it gets ready. No guest is on the network before the
 * answer, so nothing passes unfiltered.
 */
#include "network.h"

#include "bridge.h"
#include "dnsmasq.h"
#include "fd.h"
#include "filter.h"
#include "log.h"
#include "mem.h"
#include "port.h"
#include "relay.h"
#include "router.h"
#include "str.h"
#include "supervise.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PORTS_MAX 4096u /* of one network; the filter's drop counters have room for these */

struct network {
    struct networks *all;
    struct netd_network def;
    uint32_t index;
    char bridge[IFNAMSIZ];
    char *path;
    int dirfd;
    struct dnsmasq *dnsmasq;
    struct port *ports;
    unsigned n_ports;
    bool routed;  /* the router knows it */
    bool serves;  /* the building is over */
    bool changed; /* its ports have, and dnsmasq does not know yet */
    network_built built;
    void *built_arg;
};

struct networks {
    struct network_tools tools;
    struct network_events events;
    struct network *at[NETWORKS_MAX]; /* by index */
    struct supervised relay;
    bool relay_wanted;
    int monitor;
    sd_event_source *monitor_source, *update;
};

#define FOREACH_NETWORK(net, all)                                                                  \
    for (uint32_t i_ = 0; i_ < NETWORKS_MAX; i_++)                                                 \
        for (struct network *net = (all)->at[i_]; net; net = NULL)

static uint32_t group_of(const struct network *net)
{
    return net->index + 1;
}

static struct network *find(const struct networks *all, const char *name)
{
    FOREACH_NETWORK(net, all)
    if (strcmp(net->def.name, name) == 0)
        return net;
    return NULL;
}

/* ---- the directory --------------------------------------------------------------- */

/* With all it holds, which is plain files. */
static int remove_directory(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        fd_closep(&fd);
        return errno == ENOENT ? 0 : -errno;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(fd, entry->d_name, 0);
    (void)closedir(dir);
    return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int remove_own_directory(const struct network *net)
{
    char name[16];
    int r = str_format(name, sizeof name, "%u", net->index);

    return r < 0 ? r : remove_directory(net->all->tools.state_dirfd, name);
}

static int open_directory(struct network *net)
{
    int parent = net->all->tools.state_dirfd;
    char name[16];

    if (str_format(name, sizeof name, "%u", net->index) < 0 ||
        asprintf(&net->path, "%s/%s", net->all->tools.state_path, name) < 0) {
        net->path = NULL;
        return -ENOMEM;
    }
    if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    net->dirfd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return net->dirfd < 0 ? -errno : 0;
}

/* ---- what all networks share ------------------------------------------------------ */

static bool any_wants(const struct networks *all, uint32_t flags)
{
    FOREACH_NETWORK(net, all)
    if (net->def.flags & flags)
        return true;
    return false;
}

static int start_relay(void *arg, struct child *ret)
{
    struct networks *all = arg;
    AUTO_FD udp = -1, tcp = -1;
    int r;

    r = relay_open_sockets(&udp, &tcp);
    if (r == 0)
        r = spawner_run(all->tools.spawner, CHILD_RELAY, 0, (int[]){ udp, tcp }, 2, ret);
    if (r == 0)
        (void)journal_child(all->tools.journal, JOURNAL_RELAY, 0, ret->pid, ret->born);
    return r;
}

/* A network without names from outside is still a network: this logs, and goes on. */
static void share_what_is_needed(struct networks *all)
{
    bool relay = any_wants(all, NETD_NET_DNS);
    int r;

    if (relay && !all->relay_wanted) {
        r = supervise_start(&all->relay);
        if (r < 0)
            (void)log_failure(r, "cannot start the DNS relay; guests resolve local names only");
        all->relay_wanted = r == 0;
    } else if (!relay && all->relay_wanted) {
        supervise_stop(&all->relay);
        all->relay_wanted = false;
    }
    if (any_wants(all, NETD_NET_NAT44 | NETD_NET_NAT66))
        (void)uplink_start(all->tools.uplink); /* it has said why, and tells the broker */
    else
        uplink_stop(all->tools.uplink);
}

/* ---- one network ------------------------------------------------------------------ */

static void network_free(struct network *net)
{
    if (!net)
        return;
    while (net->ports) {
        struct port *port = net->ports;

        net->ports = port->next;
        free(port);
    }
    if (net->all->at[net->index] == net)
        net->all->at[net->index] = NULL;
    fd_closep(&net->dirfd);
    free(net->path);
    free(net);
}

static int network_new(struct networks *all, const struct netd_network *def, uint32_t index,
                       struct network **ret)
{
    struct network *net = calloc(1, sizeof *net);

    if (!net)
        return -ENOMEM;
    net->all = all;
    net->def = *def;
    net->index = index;
    net->dirfd = -1;
    (void)str_format(net->bridge, sizeof net->bridge, "vb%u", index);
    all->at[index] = net;
    *ret = net;
    return 0;
}

static void note(int r, int *first, struct netd_why *why, const struct network *net,
                 const char *what)
{
    if (r >= 0 || *first < 0)
        return;
    *first = why_failed(why, r, "network '%s': cannot remove its %s", net->def.name, what);
}

/* Every step is tried, a thing already gone counts as done, and the first failure is
 * what the caller hears. The struct goes too. */
static int network_destroy(struct network *net, struct netd_why *why)
{
    struct networks *all = net->all;
    uint32_t index = net->index;
    int first = 0, r;

    (void)journal_unbuilt(all->tools.journal, index);
    dnsmasq_ask_to_end(net->dnsmasq);
    r = net->routed ? router_remove_network(all->tools.nft, net->bridge, &net->def) : 0;
    note(r, &first, why, net, "router rules");
    for (const struct port *port = net->ports; port; port = port->next)
        (void)filter_remove_port(all->tools.nft, index, &net->def, &port->interface);
    note(filter_remove_network(all->tools.nft, index), &first, why, net, "filter");
    dnsmasq_free(net->dnsmasq);
    r = link_delete_group(all->tools.links, group_of(net));
    note(r == -ENODEV ? 0 : r, &first, why, net, "links");
    note(remove_own_directory(net), &first, why, net, "directory");
    r = journal_network_gone(all->tools.journal, index);
    note(r, &first, why, net, "journal entry");
    network_free(net);
    share_what_is_needed(all);
    return first;
}

static void on_dnsmasq_started(void *arg, const struct child *child)
{
    const struct network *net = arg;
    int r = journal_child(net->all->tools.journal, JOURNAL_DNSMASQ, net->index, child->pid,
                          child->born);

    if (r < 0)
        (void)log_failure(r, "network '%s': cannot write down its dnsmasq", net->def.name);
}

/* The end of a build, one way or the other. */
static void on_dnsmasq_ready(void *arg, int err)
{
    struct network *net = arg;
    struct netd_why why = { 0 }, ignored = { 0 };
    network_built built = net->built;
    void *built_arg = net->built_arg;

    if (err == 0) {
        err = journal_built(net->all->tools.journal, net->index);
        if (err < 0)
            (void)why_failed(&why, err, "network '%s': cannot write the journal", net->def.name);
    } else {
        (void)why_failed(&why, err, "network '%s': dnsmasq does not start (its log is netd's)",
                         net->def.name);
    }
    net->serves = err == 0;
    if (err < 0)
        (void)network_destroy(net, &ignored);
    built(built_arg, err, &why);
}

static int make_dnsmasq(struct network *net)
{
    const struct dnsmasq_setup setup = { .event = net->all->tools.event,
                                         .spawner = net->all->tools.spawner,
                                         .index = net->index,
                                         .net = &net->def,
                                         .bridge = net->bridge,
                                         .dirfd = net->dirfd,
                                         .path = net->path,
                                         .started = on_dnsmasq_started,
                                         .ready = on_dnsmasq_ready,
                                         .arg = net };

    return dnsmasq_new(&setup, &net->dnsmasq);
}

static int add_rules(struct network *net, struct netd_why *why)
{
    struct nft *nft = net->all->tools.nft;
    int r;

    r = filter_add_network(nft, net->index, &net->def);
    if (r < 0)
        return why_refused(why, r, "network '%s': cannot make its filter: %s", net->def.name,
                           nft_error(nft));
    r = router_add_network(nft, net->bridge, &net->def);
    if (r < 0)
        return why_refused(why, r, "network '%s': cannot make its router rules: %s", net->def.name,
                           nft_error(nft));
    net->routed = true;
    return 0;
}

/* Up to the point where only dnsmasq's word is missing. */
static int network_make(struct network *net, struct netd_why *why)
{
    struct networks *all = net->all;
    int r;

    r = open_directory(net);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot make its directory", net->def.name);
    r = bridge_build(all->tools.links, net->bridge, group_of(net), &net->def, why);
    if (r < 0)
        return r;
    r = make_dnsmasq(net);
    if (r == 0)
        r = dnsmasq_start(net->dnsmasq, NULL);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot start dnsmasq", net->def.name);
    r = add_rules(net, why);
    if (r < 0)
        return r;
    share_what_is_needed(all);
    return 0;
}

/* ---- building and removing --------------------------------------------------------- */

/* The broker has checked all this; we do not take its word. */
static int check_room(const struct networks *all, const struct netd_network *def,
                      struct netd_why *why)
{
    /* The uplink's own, and no network's. */
    const struct subnet4 link_local = { .base = 0xa9fe0000, .prefix = 16 };
    const struct subnet4 wanted = { .base = def->ipv4_base, .prefix = def->ipv4_prefix };
    char text[SUBNET4_TEXT];

    (void)subnet4_format(wanted, text);
    if (find(all, def->name))
        return why_refused(why, -EEXIST, "network '%s' exists already", def->name);
    if (subnet4_overlaps(wanted, link_local))
        return why_refused(why, -EADDRINUSE, "subnet %s is link-local", text);
    FOREACH_NETWORK(net, all)
    {
        const struct subnet4 used = { .base = net->def.ipv4_base, .prefix = net->def.ipv4_prefix };

        if (subnet4_overlaps(wanted, used))
            return why_refused(why, -EADDRINUSE, "subnet %s overlaps that of network '%s'", text,
                               net->def.name);
        if (def->ipv6_len && memcmp(def->ipv6, net->def.ipv6, sizeof def->ipv6) == 0)
            return why_refused(why, -EADDRINUSE, "the IPv6 prefix is that of network '%s'",
                               net->def.name);
    }
    return 0;
}

static int free_index(const struct networks *all, uint32_t *ret)
{
    for (uint32_t i = 0; i < NETWORKS_MAX; i++)
        if (!all->at[i]) {
            *ret = i;
            return 0;
        }
    return -EDQUOT;
}

int networks_build(struct networks *all, const struct netd_network *def, network_built built,
                   void *arg, struct netd_why *why)
{
    struct netd_why ignored = { 0 };
    struct network *net;
    uint32_t index;
    int r;

    r = check_room(all, def, why);
    if (r < 0)
        return r;
    if (free_index(all, &index) < 0)
        return why_refused(why, -EDQUOT, "there are %u networks already", NETWORKS_MAX);
    r = journal_network(all->tools.journal, index, def);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot write the journal", def->name);
    r = network_new(all, def, index, &net);
    if (r < 0)
        return why_failed(why, r, "network '%s'", def->name);
    net->built = built;
    net->built_arg = arg;
    r = network_make(net, why);
    if (r < 0)
        (void)network_destroy(net, &ignored); /* undo; the first error is the story */
    return r;
}

int networks_remove(struct networks *all, const char *name, struct netd_why *why)
{
    struct network *net = find(all, name);

    if (!net)
        return why_refused(why, -ENOENT, "network '%s' does not exist", name);
    if (!net->serves)
        return why_refused(why, -EBUSY, "network '%s' is being built", name);
    if (net->ports)
        return why_refused(why, -EBUSY, "network '%s': TAP %s is in use", name,
                           net->ports->interface.tap);
    return network_destroy(net, why);
}

int networks_remove_all(struct networks *all, struct netd_why *why)
{
    int first = 0;

    FOREACH_NETWORK(net, all)
    {
        const struct netd_why canceled = { "netd is leaving" };
        int r;

        if (!net->serves)
            net->built(net->built_arg, -ECANCELED, &canceled);
        r = network_destroy(net, why);
        if (first == 0)
            first = r;
    }
    return first;
}

/* ---- ports ------------------------------------------------------------------------- */

static int check_address(const struct network *net, const struct netd_interface *itf,
                         struct netd_why *why)
{
    const struct subnet4 subnet = { .base = net->def.ipv4_base, .prefix = net->def.ipv4_prefix };
    char text[ADDR4_TEXT];

    if (!itf->ipv4)
        return 0;
    (void)addr4_format(itf->ipv4, text);
    if (!subnet4_contains(subnet, itf->ipv4))
        return why_refused(why, -EINVAL, "%s is not in the subnet of network '%s'", text,
                           net->def.name);
    if (itf->ipv4 == subnet.base || itf->ipv4 == (subnet.base | ~subnet4_mask(subnet)) ||
        itf->ipv4 == subnet4_gateway(subnet))
        return why_refused(why, -EINVAL, "%s is not for a VM", text);
    return 0;
}

static int check_live(const struct network *net, const struct netd_interface *itf,
                      struct netd_why *why)
{
    for (const struct port *p = net->ports; p; p = p->next) {
        const struct netd_interface *live = &p->interface;
        const char *what = NULL;

        if (memcmp(live->mac, itf->mac, sizeof itf->mac) == 0)
            what = "MAC address";
        else if (itf->ipv4 && live->ipv4 == itf->ipv4)
            what = "IPv4 address";
        else if (itf->name[0] && strcmp(live->name, itf->name) == 0)
            what = "name";
        else if (strcmp(live->id, itf->id) == 0)
            what = "interface id";
        if (what)
            return why_refused(why, -EEXIST, "network '%s': the %s is that of a live VM (%s)",
                               net->def.name, what, live->tap);
    }
    return 0;
}

static int check_port(const struct network *net, const struct netd_interface *itf,
                      struct netd_why *why)
{
    const struct mac gateway = bridge_mac(&net->def);
    int r;

    if (memcmp(gateway.b, itf->mac, sizeof gateway.b) == 0)
        return why_refused(why, -EEXIST, "network '%s': the MAC address is the gateway's",
                           net->def.name);
    if (itf->name[0] && vm_name_reserved(itf->name))
        return why_refused(why, -EEXIST, "the name '%s' is reserved", itf->name);
    if (net->n_ports >= PORTS_MAX)
        return why_refused(why, -EDQUOT, "network '%s' has %u TAPs already", net->def.name,
                           net->n_ports);
    r = check_address(net, itf, why);
    return r < 0 ? r : check_live(net, itf, why);
}

static struct port *port_at(const struct network *net, const char *tap)
{
    struct port *p = net->ports;

    while (p && strcmp(p->interface.tap, tap) != 0)
        p = p->next;
    return p;
}

static void choose_tap(const struct network *net, char tap[static NETD_TAP_SIZE])
{
    for (unsigned k = 0; k <= PORTS_MAX; k++) {
        memset(tap, 0, NETD_TAP_SIZE);
        (void)str_format(tap, NETD_TAP_SIZE, "vt%u.%u", net->index, k);
        if (!port_at(net, tap))
            return;
    }
}

static void set_heir(const struct network *net, struct port *port)
{
    struct mac own, holder;

    memcpy(own.b, port->interface.mac, sizeof own.b);
    if (!port->interface.ipv4 ||
        !dnsmasq_leased_to(net->dnsmasq, port->interface.ipv4, own, &holder))
        return;
    /* A live VM that has moved to another address asks for it by that MAC. */
    for (const struct port *p = net->ports; p; p = p->next)
        if (memcmp(p->interface.mac, holder.b, sizeof holder.b) == 0)
            return;
    port->heir_of = holder;
}

static void port_link(struct network *net, struct port *port)
{
    struct port **end = &net->ports;

    while (*end)
        end = &(*end)->next;
    *end = port;
    net->n_ports++;
}

static void port_unlink(struct network *net, struct port *port)
{
    struct port **at = &net->ports;

    while (*at != port)
        at = &(*at)->next;
    *at = port->next;
    net->n_ports--;
}

/* As soon as no request waits: many TAPs that come or go together cost one update, and
 * a VM does not ask for its address within the millisecond that its TAP is old. */
static void tell_dnsmasq_soon(struct network *net)
{
    net->changed = true;
    (void)sd_event_source_set_enabled(net->all->update, SD_EVENT_ONESHOT);
}

static int on_update(sd_event_source *source, void *arg)
{
    struct networks *all = arg;

    (void)source;
    FOREACH_NETWORK(net, all)
    {
        int r = net->changed && net->dnsmasq ? dnsmasq_update(net->dnsmasq, net->ports) : 0;

        net->changed = false;
        if (r < 0)
            (void)log_failure(r, "network '%s': cannot write its list of hosts", net->def.name);
    }
    return 0;
}

static int port_open(struct network *net, struct port *port, int *ret_fds, struct netd_why *why)
{
    const struct network_tools *tools = &net->all->tools;
    int r;

    r = journal_tap(tools->journal, net->index, &port->interface);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot write the journal", net->def.name);
    r = port_create(tools->links, tools->nft, port, net->index, net->bridge, group_of(net),
                    &net->def, ret_fds, why);
    if (r < 0) {
        (void)journal_tap_gone(tools->journal, port->interface.tap);
        return r;
    }
    set_heir(net, port);
    port_link(net, port);
    tell_dnsmasq_soon(net);
    return 0;
}

int networks_open_tap(struct networks *all, const struct netd_interface *request,
                      struct netd_interface *ret, int *ret_fds, struct netd_why *why)
{
    struct network *net = find(all, request->network);
    struct port *port;
    int r;

    if (!net || !net->serves)
        return why_refused(why, -ENOENT, "network '%s' does not exist", request->network);
    r = check_port(net, request, why);
    if (r < 0)
        return r;
    port = calloc(1, sizeof *port);
    if (!port)
        return why_failed(why, -ENOMEM, "network '%s'", request->network);
    port->interface = *request;
    choose_tap(net, port->interface.tap);
    r = port_open(net, port, ret_fds, why);
    if (r < 0) {
        free(port);
        return r;
    }
    *ret = port->interface;
    return 0;
}

/* Its last descriptor was closed, and the kernel took the TAP away. */
static void port_gone(struct network *net, struct port *port)
{
    const struct network_tools *tools = &net->all->tools;
    int r;

    r = filter_remove_port(tools->nft, net->index, &net->def, &port->interface);
    if (r < 0)
        (void)log_failure(r, "network '%s': cannot remove %s from the filter", net->def.name,
                          port->interface.tap);
    r = journal_tap_gone(tools->journal, port->interface.tap);
    if (r < 0)
        (void)log_failure(r, "network '%s': cannot write down that %s has gone", net->def.name,
                          port->interface.tap);
    port_unlink(net, port);
    tell_dnsmasq_soon(net);
    net->all->events.tap_gone(net->all->events.arg, &port->interface);
    free(port);
}

static void on_link_gone(void *arg, int ifindex)
{
    struct networks *all = arg;

    FOREACH_NETWORK(net, all)
    for (struct port *p = net->ports; p; p = p->next)
        if (p->ifindex == ifindex) {
            port_gone(net, p);
            return;
        }
}

/* Some messages were lost: look at every port ourselves. */
static void look_at_ports(struct networks *all)
{
    FOREACH_NETWORK(net, all)
    for (struct port *p = net->ports, *next; p; p = next) {
        next = p->next;
        if ((int)if_nametoindex(p->interface.tap) != p->ifindex)
            port_gone(net, p);
    }
}

static int on_monitor(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct networks *all = arg;
    int r;

    (void)source;
    (void)events;
    r = link_monitor_read(fd, on_link_gone, all);
    if (r < 0)
        look_at_ports(all);
    return 0;
}

/* ---- what a dead netd left ----------------------------------------------------------- */

static void adopt_port(struct network *net, const struct netd_interface *itf)
{
    const struct network_tools *tools = &net->all->tools;
    struct port *port;
    int r;

    if (if_nametoindex(itf->tap) == 0)
        return; /* closed while nobody looked, or never made */
    port = calloc(1, sizeof *port);
    if (!port) {
        log_error("no memory to adopt %s; it passes nothing", itf->tap);
        return;
    }
    port->interface = *itf;
    port->ifindex = (int)if_nametoindex(itf->tap);
    r = journal_tap(tools->journal, net->index, itf);
    if (r == 0)
        r = filter_add_port(tools->nft, net->index, &net->def, itf);
    if (r < 0)
        (void)log_failure(r, "network '%s': cannot adopt %s well", net->def.name, itf->tap);
    port_link(net, port);
}

static int adopt_network(struct networks *all, const struct journal_state *state, uint32_t index,
                         struct netd_why *why)
{
    const struct journal_network *old = &state->networks[index];
    struct network *net;
    int r;

    r = network_new(all, &old->network, index, &net);
    if (r == 0)
        r = journal_network(all->tools.journal, index, &old->network);
    if (r == 0)
        r = open_directory(net);
    if (r < 0)
        return why_failed(why, r, "network '%s'", old->network.name);
    r = add_rules(net, why);
    if (r < 0)
        return r;
    for (size_t i = 0; i < state->n_taps; i++)
        if (state->taps[i].index == index)
            adopt_port(net, &state->taps[i].interface);
    r = make_dnsmasq(net);
    for (struct port *p = net->ports; r == 0 && p; p = p->next)
        set_heir(net, p);
    if (r == 0)
        r = dnsmasq_adopt(net->dnsmasq, old->dnsmasq.pid, old->dnsmasq.born, net->ports);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot adopt its dnsmasq", net->def.name);
    net->serves = true;
    return journal_built(all->tools.journal, index);
}

static void end_process(const struct process *process)
{
    struct child child;

    if (child_adopt(process->pid, process->born, &child) < 0)
        return;
    (void)child_signal(&child, SIGKILL);
    child_forget(&child);
}

/* It was not finished, or cannot be taken over. */
static void sweep_network(struct networks *all, const struct journal_state *state, uint32_t index)
{
    char name[16];

    end_process(&state->networks[index].dnsmasq);
    (void)link_delete_group(all->tools.links, index + 1);
    if (str_format(name, sizeof name, "%u", index) == 0)
        (void)remove_directory(all->tools.state_dirfd, name);
}

/* Does any TAP of its live on? Then its networks are worth keeping. */
static bool any_tap_lives(const struct journal_state *state)
{
    for (size_t i = 0; i < state->n_taps; i++)
        if (if_nametoindex(state->taps[i].interface.tap) > 0)
            return true;
    return false;
}

static bool adopt_or_destroy(struct networks *all, const struct journal_state *state,
                             uint32_t index)
{
    struct netd_why why = { 0 }, ignored = { 0 };

    if (adopt_network(all, state, index, &why) == 0) {
        log_info("network '%s': adopted with %u TAPs in use", state->networks[index].network.name,
                 all->at[index]->n_ports);
        return true;
    }
    log_error("cannot adopt, and remove: %s", why.why);
    if (all->at[index])
        (void)network_destroy(all->at[index], &ignored);
    return false;
}

void networks_adopt(struct networks *all, const struct journal_state *state)
{
    bool keep = any_tap_lives(state);
    char bridge[IFNAMSIZ];

    /* Both are quickly made again, and their sockets were the dead netd's. */
    end_process(&state->engine);
    end_process(&state->relay);
    (void)link_delete(all->tools.links, UPLINK_LINK);
    for (uint32_t i = 0; i < NETWORKS_MAX; i++) {
        const struct journal_network *old = &state->networks[i];

        (void)str_format(bridge, sizeof bridge, "vb%u", i);
        if (!keep || !old->known || !old->built || if_nametoindex(bridge) == 0 ||
            !adopt_or_destroy(all, state, i))
            sweep_network(all, state, i);
    }
    share_what_is_needed(all);
}

void networks_leave(struct networks *all)
{
    FOREACH_NETWORK(net, all)
    {
        dnsmasq_leave(net->dnsmasq);
        network_free(net);
    }
    supervise_leave(&all->relay);
    all->relay_wanted = false;
}

/* ---- all of them --------------------------------------------------------------------- */

static void on_engine(void *arg, const struct child *child)
{
    struct networks *all = arg;

    if (child)
        (void)journal_child(all->tools.journal, JOURNAL_ENGINE, 0, child->pid, child->born);
}

int networks_new(const struct network_tools *tools, const struct network_events *events,
                 struct networks **ret, struct netd_why *why)
{
    struct networks *all = calloc(1, sizeof *all);
    int r;

    if (!all)
        return why_failed(why, -ENOMEM, "networks");
    all->tools = *tools;
    all->events = *events;
    all->relay = (struct supervised){ .what = "relay", .start = start_relay, .arg = all };
    supervise_init(&all->relay, tools->event);
    uplink_set_child_watch(tools->uplink, on_engine, all);
    all->monitor = r = link_monitor_open();
    if (r >= 0)
        r = sd_event_add_io(tools->event, &all->monitor_source, all->monitor, EPOLLIN, on_monitor,
                            all);
    if (r >= 0)
        r = sd_event_add_defer(tools->event, &all->update, on_update, all);
    if (r < 0)
        (void)why_failed(why, r, "cannot watch links");
    else if ((r = filter_init(tools->nft)) < 0 || (r = router_init(tools->nft)) < 0)
        (void)why_refused(why, r, "cannot load nftables rules: %s", nft_error(tools->nft));
    if (r < 0) {
        networks_free(all);
        return r;
    }
    *ret = all;
    return 0;
}

void networks_free(struct networks *all)
{
    if (!all)
        return;
    supervise_stop(&all->relay);
    uplink_set_child_watch(all->tools.uplink, NULL, NULL);
    all->update = sd_event_source_disable_unref(all->update);
    all->monitor_source = sd_event_source_disable_unref(all->monitor_source);
    fd_closep(&all->monitor);
    free(all);
}

void networks_list(struct networks *all, void (*network)(void *arg, const struct netd_network *),
                   void (*interface)(void *arg, const struct netd_interface *), void *arg)
{
    FOREACH_NETWORK(net, all)
    {
        if (!net->serves)
            continue;
        network(arg, &net->def);
        for (const struct port *p = net->ports; p; p = p->next)
            interface(arg, &p->interface);
    }
}

static void note_drops(void *arg, const char *tap, uint64_t packets)
{
    struct networks *all = arg;
    unsigned index, k;
    struct port *port;

    if (sscanf(tap, "vt%u.%u", &index, &k) != 2 || index >= NETWORKS_MAX || !all->at[index])
        return;
    port = port_at(all->at[index], tap);
    if (port)
        port->dropped = packets;
}

int networks_stats(struct networks *all, void (*each)(void *arg, const struct netd_stats *),
                   void *arg, struct netd_why *why)
{
    int r = filter_drops(all->tools.nft, note_drops, all);

    if (r < 0)
        return why_failed(why, r, "cannot read the filter's counters");
    FOREACH_NETWORK(net, all)
    for (const struct port *p = net->ports; p; p = p->next) {
        struct netd_stats stats = { .dropped = p->dropped };
        struct link_counters seen;

        if (link_stats(all->tools.links, p->interface.tap, &seen) < 0)
            continue; /* it has just gone; we shall hear of it */
        memcpy(stats.network, p->interface.network, sizeof stats.network);
        memcpy(stats.tap, p->interface.tap, sizeof stats.tap);
        stats.rx_bytes = seen.tx_bytes; /* what we send is what the VM receives */
        stats.tx_bytes = seen.rx_bytes;
        stats.rx_packets = seen.tx_packets;
        stats.tx_packets = seen.rx_packets;
        each(arg, &stats);
    }
    return 0;
}

const struct netd_interface *networks_busy(const struct networks *all)
{
    FOREACH_NETWORK(net, all)
    if (net->ports)
        return &net->ports->interface;
    return NULL;
}

uint32_t networks_idle_timeout(const struct networks *all)
{
    uint32_t longest = 0;

    FOREACH_NETWORK(net, all)
    if (net->def.idle_timeout_sec > longest)
        longest = net->def.idle_timeout_sec;
    return longest;
}
