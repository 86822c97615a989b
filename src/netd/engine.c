/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - pasta or slirp4netns: the choice, and the command lines.
 *
 * Both engines get the same addresses on the TAP, so that one may follow the other
 * under a namespace that does not notice. slirp4netns decides them: its router is
 * always the second address of its network and, in IPv6, the second link-local one.
 * pasta takes what it is given; beside the uplink that follows the host's routes it is the
 * only one, for slirp4netns cannot be told an interface. IPv4 is from the link-local range, IPv6
 * from a ULA prefix that spells "vmnet": no VM network can be there, since their subnets are
 * private ranges and their prefixes random or written by a person.
 */
#include "engine.h"

#include "addr.h"
#include "confine.h"
#include "mem.h"
#include "names.h"
#include "net_def.h"
#include "program.h"
#include "str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#define IPV4         0xa9fe0a64u /* 169.254.10.100 */
#define IPV4_GATEWAY 0xa9fe0a02u /* 169.254.10.2 */
#define IPV4_PREFIX  24

/* Below this send buffer pasta's uploads crawl: 0.002 to 0.04 Gbit/s at 1 to 25 ms
 * with the stock 212,992 bytes, where a socket of the host makes 0.35. */
#define WMEM_ENOUGH (2u * 1024 * 1024)

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* Debian 12's pasta takes the first fragment for the whole: the server gets the first
 * 1472 bytes of a datagram of 4000. slirp4netns writes a line into the log for every
 * ICMPv6 message that is to go outside. */
static const struct engine engines[] = {
    { CHILD_PASTA, "pasta", 0, false, true },
    { CHILD_SLIRP4NETNS, "slirp4netns", 1, true, false },
};

void engine_addresses(unsigned slot, struct engine_addresses *ret)
{
    /* fd76:6d6e:6574::64, "vmnet"; and fe80::2 */
    *ret = (struct engine_addresses){
        .ipv4 = IPV4 + (slot << 8),
        .ipv4_gateway = IPV4_GATEWAY + (slot << 8),
        .ipv4_prefix = IPV4_PREFIX,
        .ipv6 = { 0xfd, 0x76, 0x6d, 0x6e, 0x65, 0x74, 0, (uint8_t)slot, [15] = 0x64 },
        .ipv6_gateway = { 0xfe, 0x80, [15] = 0x02 },
        .ipv6_len = 64,
    };
}

const struct engine *engine_of(enum child_kind kind)
{
    for (size_t i = 0; i < N_ELEMENTS(engines); i++)
        if (engines[i].kind == kind)
            return &engines[i];
    return NULL;
}

static bool installed(const struct engine *engine)
{
    char path[64];

    return program_of_system(engine->name, path, sizeof path) == 0;
}

/* net.core.wmem_max as a socket feels it: asks for more and looks what it got. The
 * file below /proc is not shown in every namespace. The kernel doubles the value. */
static unsigned wmem_max(int sock)
{
    int asked = INT32_MAX / 2, got = 0;
    socklen_t len = sizeof got;

    if (setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &asked, sizeof asked) < 0 ||
        getsockopt(sock, SOL_SOCKET, SO_SNDBUF, &got, &len) < 0 || got < 0)
        return WMEM_ENOUGH; /* unknown: no reason to choose otherwise */
    return (unsigned)got / 2;
}

static int choose_by_name(const char *name, const struct engine **ret, const char **ret_why)
{
    for (size_t i = 0; i < N_ELEMENTS(engines); i++) {
        if (strcmp(engines[i].name, name) == 0 && installed(&engines[i])) {
            *ret = &engines[i];
            *ret_why = "the environment demands it";
            return 0;
        }
    }
    *ret_why = "VMNET_BROKER_UPLINK_ENGINE names no engine that is installed";
    return -ENOENT;
}

/* Before Linux 5.7 only root may bind a socket to an interface, and pasta goes on without. */
static bool kernel_lets_bind(void)
{
    struct utsname kernel;
    unsigned major = 0, minor = 0;

    return uname(&kernel) == 0 && sscanf(kernel.release, "%u.%u", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 7));
}

/* slirp4netns chooses a source address at most, and the host's routes go on deciding. */
static int choose_for_interface(const struct engine **ret, const char **ret_why)
{
    if (!installed(engine_of(CHILD_PASTA))) {
        *ret_why = "only pasta can be told an external_interface; install the package passt";
        return -ENOENT;
    }
    if (!kernel_lets_bind()) {
        *ret_why = "before Linux 5.7 an ordinary user cannot choose an external_interface";
        return -EOPNOTSUPP;
    }
    *ret = engine_of(CHILD_PASTA);
    *ret_why = "it can be told the interface";
    return 0;
}

int engine_choose(int host_sock, bool interface, const struct engine **ret, const char **ret_why)
{
    const struct engine *pasta = engine_of(CHILD_PASTA), *slirp = engine_of(CHILD_SLIRP4NETNS);
    const char *demanded = getenv("VMNET_BROKER_UPLINK_ENGINE");

    if (interface)
        return choose_for_interface(ret, ret_why);
    if (demanded && *demanded)
        return choose_by_name(demanded, ret, ret_why);
    if (installed(pasta) && wmem_max(host_sock) >= WMEM_ENOUGH) {
        *ret = pasta;
        *ret_why = "it is installed, and net.core.wmem_max is large enough for it";
    } else if (installed(slirp)) {
        *ret = slirp;
        *ret_why = installed(pasta) ? "pasta's uploads crawl while net.core.wmem_max is below 2 MiB"
                                    : "pasta is not installed";
    } else if (installed(pasta)) {
        *ret = pasta;
        *ret_why = "slirp4netns is not installed; for fast uploads over long paths install it, "
                   "or set net.core.wmem_max to 2 MiB or more";
    } else {
        *ret_why = "neither pasta nor slirp4netns is installed; install the package passt";
        return -ENOENT;
    }
    return 0;
}

/* The last element stays NULL; a command line that does not fit is our own bug and
 * shows in the unit test, which counts. */
static void add(struct engine_argv *a, const char *arg)
{
    if (a->n < N_ELEMENTS(a->argv) - 1)
        a->argv[a->n++] = (char *)(uintptr_t)arg; /* execv() wants no const */
}

static void add_all(struct engine_argv *a, const char *const *args)
{
    for (; *args; args++)
        add(a, *args);
}

static void add_pair(struct engine_argv *a, const char *option, const char *value)
{
    add(a, option);
    add(a, value);
}

/* Never the host's own addresses, which guests could then not reach. */
static void add_addresses(struct engine_argv *a, unsigned slot)
{
    struct engine_addresses at;

    engine_addresses(slot, &at);
    add_pair(a, "--address", addr4_format(at.ipv4, a->ipv4));
    add_pair(a, "--netmask", TEXT(IPV4_PREFIX));
    add_pair(a, "--gateway", addr4_format(at.ipv4_gateway, a->ipv4_gateway));
    add_pair(a, "--address", addr6_format(at.ipv6, a->ipv6));
    add_pair(a, "--gateway", addr6_format(at.ipv6_gateway, a->ipv6_gateway));
}

static void pasta_argv(struct engine_argv *a, const struct engine_way *way, uid_t uid)
{
    static const char *const args[] = {
        "--foreground", "--quiet", "--stderr", /* its failures end in our log, not in syslog's */
        "--mtu", TEXT(ENGINE_MTU),
        /* Never publish the namespace's listeners on the host, nor the reverse. */
        "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none",
        /* 169.254.10.2 must not become the host's 127.0.0.1. */
        "--no-map-gw",
        /* NDP stays: it answers for the router. DNS is the relay's. */
        "--no-dhcp", "--no-dhcpv6", "--no-ra", "--dns", "none", NULL
    };

    add_all(a, args);
    /* netd's TAP; no --config-net: it is addressed */
    add_pair(a, "--ns-ifname", uplink_link(way->slot));
    add_addresses(a, way->slot);
    if (way->interface[0]) {
        add_pair(a, "--interface", way->interface);
        add_pair(a, "--outbound-if4", way->interface);
        add_pair(a, "--outbound-if6", way->interface);
    }
    if (uid == 0) /* as root it becomes nobody, and cannot join the namespace */
        add_pair(a, "--runas", "0:0");
    if (way->inside)
        add(a, "--netns-only");
    else
        add_pair(a, "--userns", a->userns);
    add_pair(a, "--netns", a->netns);
}

static void slirp4netns_argv(struct engine_argv *a)
{
    static const char *const args[] = {
        "--mtu",
        TEXT(ENGINE_MTU),
        "--cidr",
        "169.254.10.0/24", /* it is .2, we are .100 */
        "--enable-ipv6",
        "--disable-host-loopback",
        "--disable-dns",    /* the relay does that, and better */
        "--enable-seccomp", /* not --enable-sandbox: it wants to be id 0 in the namespace */
        "--ready-fd",
        "3",
        "--netns-type",
        "path",
        "--userns-path",
        NULL
    };

    add_all(a, args);
    add(a, a->userns);
    add(a, a->netns);
    add(a, "uplink"); /* without --configure it attaches to netd's TAP, nothing more */
}

static void name_namespaces(enum child_kind kind, const struct engine_way *way,
                            struct engine_argv *ret)
{
    if (kind == CHILD_PASTA) {
        (void)str_format(ret->userns, sizeof ret->userns, "/proc/%d/ns/user", (int)way->anchor);
        (void)str_format(ret->netns, sizeof ret->netns, "/proc/%d/ns/net", (int)way->anchor);
    } else {
        (void)str_format(ret->userns, sizeof ret->userns, "/proc/self/fd/%d", way->userns);
        (void)str_format(ret->netns, sizeof ret->netns, "/proc/self/fd/%d", way->netns);
    }
}

int engine_argv(enum child_kind kind, const struct engine_way *way, uid_t uid,
                struct engine_argv *ret)
{
    const struct engine *engine = engine_of(kind);

    memset(ret, 0, sizeof *ret);
    if (!engine || way->slot >= UPLINKS_MAX ||
        (way->interface[0] && (kind != CHILD_PASTA || !interface_name_valid(way->interface))))
        return -EINVAL;
    int r = program_of_system(engine->name, ret->path, sizeof ret->path);
    if (r < 0)
        return r;
    name_namespaces(kind, way, ret);
    add(ret, ret->path);
    if (kind == CHILD_PASTA)
        pasta_argv(ret, way, uid);
    else
        slirp4netns_argv(ret);
    return 0;
}

/* pasta empties its file system and has its own filter, for which it must be able to mount.
 * slirp4netns has a filter only. Both read what guests send, outside of our namespace. */
static int confine_slirp4netns(void)
{
    static const struct call_rule servers_of_the_user[] = {
        SOCKET_FAILS(AF_UNIX, SOCK_STREAM, EACCES), SOCKET_FAILS(AF_UNIX, SOCK_SEQPACKET, EACCES),
        CALLS_END
    };
    static const struct file_rule files[] = {
        { "/usr", FILES_READ | FILES_RUN },
        { "/bin", FILES_READ | FILES_RUN },
        { "/lib", FILES_READ | FILES_RUN },
        { "/lib64", FILES_READ | FILES_RUN },
        { "/etc/ld.so.cache", FILES_READ },
        { "/etc/ld.so.preload", FILES_READ },
        { "/etc/localtime", FILES_READ },
        { "/etc/resolv.conf", FILES_READ },
        { "/dev/net", FILES_READ | FILES_WRITE | FILES_CONTROL },
        { "/dev/null", FILES_READ | FILES_WRITE },
        { "/dev/urandom", FILES_READ },
    };
    int r = confine_without_capabilities();

    if (r == 0)
        r = confine_files(files, N_ELEMENTS(files), FILES_ALONE);
    if (r == 0 || r == -EOPNOTSUPP) /* netd has said so */
        r = confine_not(servers_of_the_user);
    return r;
}

int engine_confine(enum child_kind kind)
{
    return kind == CHILD_SLIRP4NETNS ? confine_slirp4netns() : 0;
}
