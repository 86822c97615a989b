/* SPDX-License-Identifier: Apache-2.0 */
/* relay.c - carries DNS out of the namespace, and bytes are all it knows.
 *
 * Why a process of its own, and not the uplink: the host's resolver often listens on
 * the host's loopback, which no engine lets guests reach, and with good reason; and
 * names must go on resolving while an engine restarts. A socket belongs to the
 * namespace where it was made, wherever its owner lives, so two sockets are all that
 * it needs from inside.
 *
 * It holds no state worth saving and ends by SIGTERM. It survives netd on purpose,
 * as guests do; like every child it stands in netd's journal, and the next netd
 * adopts it or ends it. What remains reachable through it is the host's resolver.
 *
 * relay_part.h lists its rooms.
 */
#include "relay.h"

#include "clock.h"
#include "fd.h"
#include "log.h"
#include "mem.h"
#include "relay_part.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define TICK (SEC / 4)

/* ---- inside the namespace ---------------------------------------------------------------- */

static int open_socket(uint32_t address, int type)
{
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_port = htons(53),
                                .sin_addr.s_addr = htonl(address) };
    AUTO_FD fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, burst = 1 << 20; /* the default holds 277 questions */

    if (fd >= 0) /* less is no reason to have no relay */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &burst, sizeof burst);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 ||
        (type == SOCK_STREAM && listen(fd, RELAY_TCP_MAX) < 0))
        return -errno;
    return fd_take(&fd);
}

int relay_open_sockets(uint32_t address, int *ret_udp, int *ret_tcp)
{
    AUTO_FD udp = open_socket(address, SOCK_DGRAM);
    AUTO_FD tcp = udp < 0 ? -1 : open_socket(address, SOCK_STREAM);

    if (udp < 0 || tcp < 0)
        return udp < 0 ? udp : tcp;
    *ret_udp = fd_take(&udp);
    *ret_tcp = fd_take(&tcp);
    return 0;
}

/* ---- the process ------------------------------------------------------------------------- */

void relay_keep_ticking(struct relay *relay)
{
    (void)sd_event_source_set_enabled(relay->tick, SD_EVENT_ON);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
    struct relay *relay = arg;
    uint64_t now = monotonic_usec();
    bool busy = relay_udp_tick(relay->udp, now);

    (void)usec;
    busy |= relay_tcp_tick(relay->tcp, now);
    (void)sd_event_source_set_time_relative(source, TICK);
    (void)sd_event_source_set_enabled(source, busy ? SD_EVENT_ON : SD_EVENT_OFF);
    return 0;
}

/* It moves bytes between two kinds of socket and reads resolv.conf. It writes no file,
 * runs no program and makes no socket of another kind. */
const struct call_rule relay_calls[] = {
    CALL_IF("socket", 0, WHOLE, AF_INET), CALL_IF("socket", 0, WHOLE, AF_INET6), CALL("accept4"),
    CALL("connect"), CALL("getsockopt"), CALL("recv"), CALL("recvfrom"), CALL("send"),
    CALL("sendto"), CALL("shutdown"),
    /* the scope of "fe80::1%eth0": the C library asks through whatever socket it gets */
    SOCKET_OF_TYPE(AF_UNIX, SOCK_DGRAM), CALL_IF("ioctl", 1, WHOLE, SIOCGIFINDEX), CALLS_END
};

/* resolv.conf, where it leads if it is a link, and where it might lead later. Of the user's own
 * files, none. */
static int confine_to_resolv_conf(void)
{
    AUTO_FREE char *real = realpath(RESOLV_CONF, NULL);
    char *slash = real ? strrchr(real, '/') : NULL;

    if (slash && slash != real)
        *slash = '\0';
    const struct file_rule rules[] = {
        { "/etc", FILES_READ },
        { real ? real : RESOLV_CONF, FILES_READ },
        { "/run/systemd", FILES_READ },
        { "/run/NetworkManager", FILES_READ },
        { "/run/resolvconf", FILES_READ },
        { "/run/connman", FILES_READ },
        { "/usr", FILES_READ },
        { "/lib", FILES_READ },
        { "/proc/sys/kernel/random", FILES_READ }, /* sd-event asks for the boot's id */
    };
    int r = confine_files(rules, N_ELEMENTS(rules), FILES_ALONE);

    return r == -EOPNOTSUPP ? 0 : r; /* netd has said so */
}

int relay_confine(void)
{
    const struct call_rule *const lists[] = { relay_calls, calls_c_library, calls_event_loop,
                                              calls_read_files };
    int r = confine_without_capabilities();

    if (r == 0)
        r = confine_to_resolv_conf();
    return r < 0 ? r : confine_to(lists, N_ELEMENTS(lists));
}

/* Root's relay, too, has no capability: but it is root, and may read what root has in
 * /etc. */
static int confine_relay(void)
{
    const struct rlimit files = { RELAY_UDP_MAX + 2 * RELAY_TCP_MAX + 32,
                                  RELAY_UDP_MAX + 2 * RELAY_TCP_MAX + 32 };
    const struct rlimit none = { 0, 0 };

    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)setrlimit(RLIMIT_CORE, &none); /* others' questions are in its memory */
    return relay_confine();
}

static int relay_run(struct relay *relay, int udp, int tcp)
{
    int r = sd_event_new(&relay->event);
    if (r >= 0)
        r = relay_udp_start(relay, udp);
    if (r >= 0)
        r = relay_tcp_start(relay, tcp);
    if (r >= 0)
        r = sd_event_add_time_relative(relay->event, &relay->tick, CLOCK_MONOTONIC, TICK, TICK / 4,
                                       on_tick, relay);
    return r < 0 ? r : sd_event_loop(relay->event);
}

static void read_servers(struct relay *relay, int fd)
{
    FILE *file = fdopen(fd, "r");

    resolvers_read(&relay->resolvers, file, SERVERS_MAX);
    relay->resolvers.path = NULL;
    if (file)
        (void)fclose(file);
    log_info("relay: %zu servers of the network's own", relay->resolvers.n);
}

_Noreturn void relay_main(int udp, int tcp, int servers)
{
    struct relay relay = { .resolvers.path = RESOLV_CONF };

    log_init("vmnet-relay", log_level());
    if (servers >= 0)
        read_servers(&relay, servers);
    int r = confine_relay();
    if (r == 0)
        r = relay_run(&relay, udp, tcp);
    if (r < 0)
        log_failure(r, "relay: cannot go on");
    _exit(r < 0 ? 1 : 0);
}
