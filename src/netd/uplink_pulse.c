/* SPDX-License-Identifier: Apache-2.0 */
/* uplink_pulse.c - does an engine that lives also take packets?
 *
 * Debian 12's pasta can fall into an endless loop when a guest ends an upload (decisions/0002),
 * and nobody who waits for its end would notice. The kernel does, as it asks the engine for its
 * address, like any router: whoever does not answer three times in a row has failed. That is all
 * that wakes us, so an idle uplink costs nothing. A machine may be slow: therefore the kernel is
 * made to ask again, and only an engine that has not taken a single packet by the next failure is
 * killed. These questions alone were three.
 */
#include "uplink_part.h"

#include "link.h"
#include "log.h"
#include "mem.h"
#include "names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/socket.h>

#define BEFORE_JUDGING (2000 * MSEC) /* the other family's failure comes at the same time */

#define IN_NEIGHBOUR(field) (uint32_t)(NLMSG_HDRLEN + offsetof(struct ndmsg, field))

/* A guest's neighbours come and go as it likes: the kernel wakes us for the engine only. */
int uplink_watch_neighbour(struct uplink *u)
{
    uint32_t tap = if_nametoindex(uplink_link(u->slot));
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWNEIGH), 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IN_NEIGHBOUR(ndm_ifindex)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(tap), 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, IN_NEIGHBOUR(ndm_state)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NUD_FAILED), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog filter = { .len = N_ELEMENTS(code), .filter = code };

    u->asked = 0;
    if (setsockopt(u->neighbour_sock, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0)
        return -errno;
    return 0;
}

static void neighbour_failed(struct uplink *u)
{
    struct engine_addresses at;
    struct link_counters tap;
    uint64_t now = 0;

    if (u->phase != ATTACHED || sd_event_now(u->setup.event, CLOCK_BOOTTIME, &now) < 0 ||
        (u->asked && now - u->asked < BEFORE_JUDGING) ||
        link_stats(u->setup.links, uplink_link(u->slot), &tap) < 0)
        return;
    if (u->asked && tap.tx_packets == u->taken) {
        uplink_engine_hangs(u);
        return;
    }
    u->asked = now;
    u->taken = tap.tx_packets;
    engine_addresses(u->slot, &at);
    int r = link_ask_neighbour4(u->setup.links, uplink_link(u->slot), at.ipv4_gateway);
    if (r < 0)
        log_failure(r, "%s: cannot ask whether %s still answers", uplink_link(u->slot),
                    u->engine->name);
}

int uplink_on_neighbour(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    char ignored[4096];

    (void)source, (void)events;
    while (recv(fd, ignored, sizeof ignored, 0) > 0 || errno == ENOBUFS || errno == EINTR)
        ;
    neighbour_failed(arg);
    return 0;
}
