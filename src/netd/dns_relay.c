/* SPDX-License-Identifier: Apache-2.0 */
/* dns_relay.c - see dns_relay.h. */
#include "dns_relay.h"

#include "fd.h"
#include "log.h"
#include "relay.h"
#include "str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SERVERS_TEXT (NETD_DNS_SERVERS_MAX * (ADDR6_TEXT + 16))

uint32_t dns_relay_address(const struct netd_network *net, uint32_t index)
{
    /* 127.0.0.54, and 127.0.1.1, 127.0.1.2, ... */
    return !net || net->n_dns_servers == 0 ? RELAY_DNS_ADDRESS : 0x7f000100u + index + 1;
}

static int open_sockets(const struct dns_relay *relay, int *ret_udp, int *ret_tcp)
{
    return relay_open_sockets(dns_relay_address(relay->net, relay->index), ret_udp, ret_tcp);
}

static int write_down(void *arg, const struct child *child)
{
    const struct dns_relay *relay = arg;

    return journal_child(relay->journal, relay->net ? JOURNAL_OWN_RELAY : JOURNAL_RELAY,
                         relay->index, child->pid, child->born);
}

/* As a resolv.conf says it. */
static size_t print_servers(const struct netd_network *net, char *text, size_t size)
{
    size_t len = 0;

    for (uint32_t i = 0; i < net->n_dns_servers; i++) {
        struct address server = netd_address_get(net->dns_servers[i]);
        char address[ADDR6_TEXT];
        int n =
            snprintf(text + len, size - len, "nameserver %s\n", address_format(&server, address));

        len += n > 0 && (size_t)n < size - len ? (size_t)n : 0;
    }
    return len;
}

/* The relay reads them from a pipe, which holds all of it: then it needs no file. */
static int open_servers(const struct netd_network *net, int *ret)
{
    char text[SERVERS_TEXT];
    size_t len = print_servers(net, text, sizeof text);
    AUTO_FD reading = -1, writing = -1;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    reading = ends[0];
    writing = ends[1];
    if (write(writing, text, len) != (ssize_t)len)
        return -EIO;
    *ret = fd_take(&reading);
    return 0;
}

static int start(void *arg, struct child *ret)
{
    struct dns_relay *relay = arg;
    AUTO_FD udp = fd_take(&relay->udp), tcp = fd_take(&relay->tcp), servers = -1;
    int r = 0;

    if (udp < 0)
        r = open_sockets(relay, &udp, &tcp);
    if (r == 0 && relay->net)
        r = open_servers(relay->net, &servers);
    if (r < 0)
        return r;
    return spawner_run(relay->spawner,
                       &(struct spawner_order){ .kind = CHILD_RELAY,
                                                .fds = (int[]){ udp, tcp, servers },
                                                .n_fds = relay->net ? 3 : 2,
                                                .write_down = write_down,
                                                .arg = relay },
                       ret);
}

void dns_relay_init(struct dns_relay *relay, sd_event *event, struct spawner *spawner,
                    struct journal *journal, const struct netd_network *net, uint32_t index)
{
    *relay = (struct dns_relay){
        .spawner = spawner, .journal = journal, .net = net, .index = index, .udp = -1, .tcp = -1
    };
    if (net)
        (void)str_format(relay->what, sizeof relay->what, "network '%s': DNS relay", net->name);
    else
        (void)str_format(relay->what, sizeof relay->what, "relay");
    relay->process = (struct supervised){ .what = relay->what, .start = start, .arg = relay };
    supervise_init(&relay->process, event);
}

static void close_sockets(struct dns_relay *relay)
{
    fd_closep(&relay->udp);
    fd_closep(&relay->tcp);
}

void dns_relay_want(struct dns_relay *relay)
{
    int r;

    if (relay->wanted)
        return;
    r = open_sockets(relay, &relay->udp, &relay->tcp);
    if (r < 0)
        (void)log_failure(r, "%s: cannot open its sockets yet", relay->what);
    r = supervise_start_soon(&relay->process);
    relay->wanted = r == 0;
    if (r < 0) {
        (void)log_failure(r, "%s: cannot start; guests resolve local names only", relay->what);
        close_sockets(relay);
    }
}

void dns_relay_stop(struct dns_relay *relay)
{
    supervise_stop(&relay->process);
    close_sockets(relay);
    relay->wanted = false;
}

void dns_relay_leave(struct dns_relay *relay)
{
    supervise_leave(&relay->process);
    close_sockets(relay);
    relay->wanted = false;
}
