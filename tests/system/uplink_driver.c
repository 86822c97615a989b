/* SPDX-License-Identifier: Apache-2.0 */
/* uplink_driver.c - anchor, spawner, router, uplink and relay without netd's server.
 *
 * For uplink_smoke.py: what these parts do together, and what they do when something
 * is killed, shows best without a broker in between. Commands are lines on standard
 * input, everything that happens is a line on standard output.
 */
#include "anchor.h"
#include "knobs.h"
#include "link.h"
#include "log.h"
#include "names.h"
#include "nft.h"
#include "relay.h"
#include "router.h"
#include "spawner.h"
#include "str.h"
#include "uplink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct driver {
    sd_event *event;
    struct process anchor;
    struct spawner *spawner;
    struct link_ctx *links;
    struct nft *nft;
    struct uplink *uplink;
    struct child relay;
};

/* A test's driver may end where it stands; the test shows the words. */
static void must(int r, const char *what)
{
    if (r >= 0)
        return;
    log_failure(r, "driver: %s", what);
    exit(1);
}

static void on_changed(void *arg, const char *interface, const char *engine, const char *state)
{
    (void)arg, (void)interface;
    printf("state %s %s\n", engine, state);
}

static int on_child(void *arg, unsigned slot, const struct child *child)
{
    (void)arg, (void)slot;
    printf("engine %d\n", child ? (int)child->pid : 0);
    return 0;
}

static void make_bridge(struct driver *d, uint32_t index, const struct netd_network *net)
{
    const struct subnet4 subnet = { net->ipv4_base, net->ipv4_prefix };
    struct prefix6 prefix = { .len = net->ipv6_len };
    struct mac mac = { { 0x52, 0x54, 0, 0, (uint8_t)(net->ipv4_base >> 8), 1 } };
    uint8_t gateway6[16];
    char name[IFNAMSIZ], knob[64];

    bridge_name(index, name);
    memcpy(prefix.addr, net->ipv6, sizeof prefix.addr);
    prefix6_gateway(&prefix, gateway6);
    must(link_add_bridge(d->links, name, mac, net->mtu, group_of(index)), "add bridge");
    must(link_add_addr4(d->links, name, subnet4_gateway(subnet), subnet.prefix), "address");
    must(link_add_addr6(d->links, name, gateway6, 64), "IPv6 address");
    must(link_set_up(d->links, name), "set bridge up");
    must(str_format(knob, sizeof knob, "ipv4/conf/%s/forwarding", name), "knob");
    must(sysctl_set(knob, "1"), "forwarding");
}

/* add BRIDGE shared|host IPV4-BASE IPV6-PREFIX; remove likewise */
static void change_network(struct driver *d, const char *verb, const char *bridge, const char *mode,
                           const char *ipv4, const char *ipv6)
{
    struct netd_network net = {
        .flags = NETD_NET_NAT44 | NETD_NET_NAT66, .mtu = 1500, .ipv4_prefix = 24, .ipv6_len = 64
    };
    enum net_mode parsed;
    uint32_t index;

    must(sscanf(bridge, "vb%u", &index) == 1 ? 0 : -1, "bridge");
    must(net_mode_parse(mode, &parsed), "mode");
    net.mode = parsed;
    must(addr4_parse(ipv4, &net.ipv4_base), "IPv4");
    must(addr6_parse(ipv6, net.ipv6), "IPv6");
    if (strcmp(verb, "add") == 0) {
        make_bridge(d, index, &net);
        must(router_add_network(d->nft, index, &(struct way_out){ 0, 0 }, &net), "add to router");
    } else {
        must(router_remove_network(d->nft, index, &(struct way_out){ 0, 0 }, &net),
             "remove from router");
        must(link_delete(d->links, bridge), "delete bridge");
    }
}

static void run_command(struct driver *d, const char *line)
{
    char verb[16] = "", bridge[16] = "", mode[16] = "", ipv4[32] = "", ipv6[64] = "";

    if (sscanf(line, "%15s %15s %15s %31s %63s", verb, bridge, mode, ipv4, ipv6) == 5)
        change_network(d, verb, bridge, mode, ipv4, ipv6);
    else if (strcmp(verb, "start") == 0)
        must(uplink_start(d->uplink, ""), "start");
    else if (strcmp(verb, "stop") == 0)
        uplink_stop(d->uplink);
    else if (strcmp(verb, "quit") == 0)
        must(sd_event_exit(d->event, 0), "quit");
    else
        must(-EINVAL, line);
    printf("done %s\n", verb);
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    char line[256];

    (void)source, (void)fd, (void)events;
    if (fgets(line, sizeof line, stdin))
        run_command(arg, line);
    else
        must(sd_event_exit(sd_event_source_get_event(source), 0), "quit");
    return 0;
}

static int no_journal(void *arg, const struct child *child)
{
    (void)arg, (void)child;
    return 0;
}

static void start_relay(struct driver *d)
{
    int fds[2];

    must(relay_open_sockets(RELAY_DNS_ADDRESS, &fds[0], &fds[1]), "relay's sockets");
    must(spawner_run(d->spawner,
                     &(struct spawner_order){
                         .kind = CHILD_RELAY, .fds = fds, .n_fds = 2, .write_down = no_journal },
                     &d->relay),
         "start relay");
    (void)close(fds[0]);
    (void)close(fds[1]);
    printf("relay %d\n", (int)d->relay.pid);
}

static void set_up(struct driver *d)
{
    int host_routes = uplink_open_host_routes(), leash = -1;

    must(host_routes, "host's routes");
    must(anchor_start(NULL, &d->anchor, &leash), "start anchor");
    must(anchor_release(leash), "release anchor");
    const struct spawner_setup setup = { .inside = d->anchor.pid, .state_path = "/nonexistent" };
    must(spawner_start(&setup, &d->spawner), "start spawner");
    must(anchor_enter(d->anchor.pid), "enter");
    printf("anchor %d\n", (int)d->anchor.pid);
    must(link_open(&d->links), "rtnetlink");
    must(link_set_up(d->links, "lo"), "lo");
    (void)sysctl_set("bridge/bridge-nf-call-iptables", "0");
    (void)sysctl_set("bridge/bridge-nf-call-ip6tables", "0");
    d->nft = nft_new();
    must(d->nft ? 0 : -ENOMEM, "nft");
    int r = router_init(d->nft);
    if (r < 0)
        log_error("%s", nft_error(d->nft));
    must(r, "router");
    must(sd_event_default(&d->event), "event loop");
    const struct uplink_setup uplink = { .event = d->event,
                                         .links = d->links,
                                         .nft = d->nft,
                                         .spawner = d->spawner,
                                         .changed = on_changed,
                                         .arg = d };
    must(uplink_new(&uplink, 0, host_routes, &d->uplink), "uplink");
    uplink_set_child_watch(d->uplink, on_child, d);
    must(sd_event_add_io(d->event, NULL, STDIN_FILENO, EPOLLIN, on_input, d), "standard input");
}

static void tear_down(struct driver *d)
{
    uplink_free(d->uplink);
    (void)child_signal(&d->relay, SIGTERM);
    child_forget(&d->relay);
    nft_free(d->nft);
    link_close(d->links);
    spawner_free(d->spawner);
    anchor_end(&d->anchor);
    sd_event_unref(d->event);
}

int main(void)
{
    struct driver d = { 0 };

    log_init("uplink_driver", LOG_LEVEL_DEBUG);
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* or a second line would hide from the event loop */
    set_up(&d);
    start_relay(&d);
    must(sd_event_loop(d.event), "event loop");
    tear_down(&d);
    return 0;
}
