/* SPDX-License-Identifier: Apache-2.0 */
/* network.c - one network: a directory, a bridge, dnsmasq, filter and router rules.
 *
 * dnsmasq takes longest, so all else is done meanwhile: its process is forked while the
 * bridge is made, begins as soon as that is there, and gets ready while the rules are made.
 * No guest is on the network before the answer, so nothing passes unfiltered.
 */
#include "network.h"

#include "asked.h"
#include "bridge.h"
#include "detour.h"
#include "fd.h"
#include "filter.h"
#include "lease_watch.h"
#include "log.h"
#include "mem.h"
#include "router.h"
#include "str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

int network_remove_directory(const struct networks *all, uint32_t index)
{
    char name[16];
    int r = str_format(name, sizeof name, "%u", index);

    return r < 0 ? r : remove_directory(all->tools.state_dirfd, name);
}

int network_open_directory(struct network *net)
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

/* ---- the struct ------------------------------------------------------------------- */

void network_free(struct network *net)
{
    if (!net)
        return;
    while (net->ports) {
        struct port *port = net->ports;

        net->ports = port->next;
        port_free(port);
    }
    if (net->all->at[net->index] == net)
        net->all->at[net->index] = NULL;
    reservations_clear(&net->reserved);
    lease_watch_free(net->leases);
    spare_end(net);
    fd_closep(&net->dirfd);
    free(net->path);
    free(net);
}

int network_new(struct networks *all, const struct netd_network *def, uint32_t index,
                struct network **ret)
{
    struct network *net = calloc(1, sizeof *net);

    if (!net)
        return -ENOMEM;
    net->all = all;
    net->def = *def;
    net->index = index;
    net->dirfd = net->spare.fd = -1;
    bridge_name(index, net->bridge);
    dns_relay_init(&net->relay, all->tools.event, all->tools.spawner, all->tools.journal, &net->def,
                   index);
    all->at[index] = net;
    *ret = net;
    return 0;
}

/* ---- taking down ------------------------------------------------------------------ */

static void note(int r, int *first, struct netd_why *why, const struct network *net,
                 const char *what)
{
    if (r >= 0 || *first < 0)
        return;
    *first = why_failed(why, r, "network '%s': cannot remove its %s", net->def.name, what);
}

int network_destroy(struct network *net, struct netd_why *why)
{
    struct networks *all = net->all;
    uint32_t index = net->index;
    bool host = net->host;
    int first = 0, r;

    /* What can no longer be written down was done all the same: it is swept by the next netd. */
    (void)journal_unbuilt(all->tools.journal, index);
    forwards_end(all->tools.forwards, index, NULL);
    dnsmasq_ask_to_end(net->dnsmasq);
    r = net->routed ? router_remove_network(all->tools.nft, net->index, &net->way, &net->def) : 0;
    note(r, &first, why, net, "router rules");
    if (net->routed && all->tools.asked)
        note(asked_remove_network(all->tools.nft, index, net->bridge), &first, why, net, "quota");
    way_out_remove(all->tools.links, all->tools.main_slot, net->bridge, &net->way, NULL);
    /* Its link goes before its rules, or what it sends meanwhile leaves a count behind. */
    note(network_part_host(net, why), &first, why, net, "host");
    for (const struct port *port = net->ports; port; port = port->next)
        (void)filter_remove_port(all->tools.nft, index, &net->def, &port->interface);
    note(filter_remove_network(all->tools.nft, index, &net->def, host), &first, why, net, "filter");
    dnsmasq_free(net->dnsmasq);
    dns_relay_stop(&net->relay);
    r = link_delete_group(all->tools.links, group_of(net->index));
    note(r == -ENODEV ? 0 : r, &first, why, net, "links");
    if (host) /* of frames that were on their way when its rules went */
        (void)filter_forget_host_drops(all->tools.nft, index);
    r = network_remove_directory(all, index);
    if (r == 0)
        r = journal_network_gone(all->tools.journal, index);
    if (r < 0)
        (void)log_failure(r, "network '%s': removed, but not from %s", net->def.name,
                          all->tools.state_path);
    network_free(net);
    return first;
}

/* ---- building --------------------------------------------------------------------- */

static int on_dnsmasq_started(void *arg, const struct child *child)
{
    const struct network *net = arg;
    int r = journal_child(net->all->tools.journal, JOURNAL_DNSMASQ, net->index, child->pid,
                          child->born);

    if (r < 0)
        (void)log_failure(r, "network '%s': cannot write down its dnsmasq", net->def.name);
    return r;
}

/* The end of a build, one way or the other. */
static void on_dnsmasq_ready(void *arg, int err)
{
    struct network *net = arg;
    struct netd_why why = { 0 };

    if (err == 0) {
        err = journal_built(net->all->tools.journal, net->index);
        if (err < 0)
            (void)why_unwritten(&why, err, net->all->tools.state_path);
    } else if (err == -ECHILD || err == -ETIMEDOUT) {
        (void)why_failed(&why, err, "network '%s': dnsmasq does not start (its log is netd's)",
                         net->def.name);
    } else {
        (void)why_failed(&why, err, "network '%s': cannot execute dnsmasq (vmnet-brokerctl doctor)",
                         net->def.name);
    }
    net->serves = err == 0;
    if (net->serves)
        network_watch_leases(net);
    net->made(net, err, &why);
}

static void on_lease(void *arg, const struct lease *lease, bool over)
{
    const struct network *net = arg;
    const struct network_events *events = &net->all->events;
    struct netd_lease body = { .ipv4 = lease->ipv4, .over = over, .expires = lease->expires };

    (void)str_copy(body.network, sizeof body.network, net->def.name);
    memcpy(body.mac, lease->mac.b, sizeof body.mac);
    events->lease(events->arg, &body);
}

void network_watch_leases(struct network *net)
{
    int r =
        lease_watch_new(net->all->tools.event, net->path, net->dirfd, on_lease, net, &net->leases);

    if (r < 0)
        (void)log_failure(r, "network '%s': cannot hear of its leases", net->def.name);
}

int network_write_down_update(const struct network *net)
{
    return journal_update(net->all->tools.journal, net->index, net->def.idle_timeout_sec,
                          net->reserved.list, net->reserved.n);
}

int network_new_dnsmasq(struct network *net)
{
    const struct dnsmasq_setup setup = { .event = net->all->tools.event,
                                         .spawner = net->all->tools.spawner,
                                         .index = net->index,
                                         .net = &net->def,
                                         .reserved = &net->reserved,
                                         .bridge = net->bridge,
                                         .host = net->host,
                                         .asked = net->all->tools.asked,
                                         .dirfd = net->dirfd,
                                         .path = net->path,
                                         .started = on_dnsmasq_started,
                                         .ready = on_dnsmasq_ready,
                                         .arg = net };

    return dnsmasq_new(&setup, &net->dnsmasq);
}

int network_add_rules(struct network *net, struct netd_why *why)
{
    struct nft *nft = net->all->tools.nft;
    int r;

    r = network_choose_way(net, why);
    if (r < 0)
        return r;
    r = filter_add_network(nft, net->index, &net->def, net->host);
    if (r < 0)
        return why_refused(why, r, "network '%s': cannot make its filter: %s", net->def.name,
                           nft_error(nft));
    r = router_add_network(nft, net->index, &net->way, &net->def);
    if (r < 0)
        return why_refused(why, r, "network '%s': cannot make its router rules: %s", net->def.name,
                           nft_error(nft));
    net->routed = true;
    if (net->all->tools.asked)
        r = asked_add_network(nft, net->index, net->bridge);
    return r < 0 ? why_refused(why, r, "network '%s': cannot hear when its guests ask: %s",
                               net->def.name, nft_error(nft))
                 : 0;
}

void network_make_detour(struct network *net)
{
    char name[IFNAMSIZ] = "";
    int r;

    if (net->def.anti_spoofing == SPOOF_OFF)
        return;
    (void)str_format(name, sizeof name, "vd%u", net->index);
    r = detour_make(net->all->tools.links, name, group_of(net->index), net->def.mtu);
    net->has_detour = r == 0;
    net->no_detour = r < 0;
    if (r < 0)
        (void)log_failure(r,
                          "network '%s': checksums cannot be written early (ifb, clsact, u32, "
                          "mirred), and so its guests can deceive each other",
                          net->def.name);
}

static int make_bridge(struct network *net, struct netd_why *why)
{
    struct link_ctx *links = net->all->tools.links;
    int r;

    r = bridge_build(links, net->bridge, group_of(net->index), &net->def, why);
    if (r < 0)
        return r;
    net->bridge_index = r = link_index(links, net->bridge);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot find %s", net->def.name, net->bridge);
    return network_plug_host(net, why);
}

/* All at once: the library reads every table before each of its changes. */
static int make_rules(struct network *net, struct netd_why *why)
{
    struct nft *nft = net->all->tools.nft;
    int r, done;

    r = nft_gather(nft);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot make its rules", net->def.name);
    r = network_add_rules(net, why);
    done = nft_let_go(nft);
    if (r == 0 && done < 0)
        r = why_refused(why, done, "network '%s': cannot make its rules: %s", net->def.name,
                        nft_error(nft));
    return r;
}

/* Up to the point where only dnsmasq's word is missing. */
int network_make(struct network *net, struct netd_why *why)
{
    int r;

    r = network_open_directory(net);
    if (r < 0)
        return why_unwritten(why, r, net->all->tools.state_path);
    r = network_join_host(net, why);
    if (r < 0)
        return r;
    r = network_new_dnsmasq(net);
    if (r == 0)
        r = dnsmasq_prepare(net->dnsmasq);
    if (r == -ENOSPC || r == -EDQUOT) /* which only its files can have said */
        return why_unwritten(why, r, net->path);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot prepare dnsmasq", net->def.name);
    r = make_bridge(net, why);
    if (r < 0)
        return r;
    r = dnsmasq_start(net->dnsmasq);
    if (r == -EAGAIN) /* by fork() */
        return why_refused(why, r,
                           "network '%s': cannot start dnsmasq: no more processes may run "
                           "(ulimit -u, or the control group's pids.max)",
                           net->def.name);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot start dnsmasq", net->def.name);
    if (net->host) /* there is somebody to deceive from the first guest on */
        network_make_detour(net);
    return make_rules(net, why);
}
