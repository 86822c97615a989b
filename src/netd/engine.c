/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - pasta or slirp4netns: the choice, and the command lines.
 *
 * Both engines get the same addresses on the TAP, so that one may follow the other
 * under a namespace that does not notice. slirp4netns decides them: its router is
 * always the second address of its network and, in IPv6, the second link-local one.
 * pasta takes what it is given. IPv4 is from the link-local range, IPv6 from a ULA
 * prefix that spells "vmnet": no VM network can be there, since their subnets are
 * private ranges and their prefixes random or written by a person.
 */
#include "engine.h"

#include "addr.h"
#include "confine.h"
#include "mem.h"
#include "program.h"
#include "str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IPV4         0xa9fe0a64u /* 169.254.10.100 */
#define IPV4_GATEWAY 0xa9fe0a02u /* 169.254.10.2 */
#define IPV4_PREFIX  24

/* fd76:6d6e:6574::64, "vmnet"; and fe80::2 */
#define IPV6                                                                                       \
    {                                                                                              \
        0xfd, 0x76, 0x6d, 0x6e, 0x65, 0x74, [15] = 0x64                                            \
    }
#define IPV6_GATEWAY                                                                               \
    {                                                                                              \
        0xfe, 0x80, [15] = 0x02                                                                    \
    }

/* Below this send buffer pasta's uploads crawl: 0.002 to 0.04 Gbit/s at 1 to 25 ms
 * with the stock 212,992 bytes, where a socket of the host makes 0.35. */
#define WMEM_ENOUGH (2u * 1024 * 1024)

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* Debian 12's pasta takes the first fragment for the whole: the server gets the first
 * 1472 bytes of a datagram of 4000. slirp4netns writes a line into the log for every
 * ICMPv6 message that is to go outside. */
static const struct engine engines[] = {
    { CHILD_PASTA, "pasta", 0, false, true, IPV4, IPV4_GATEWAY, IPV4_PREFIX, IPV6, IPV6_GATEWAY,
      64 },
    { CHILD_SLIRP4NETNS, "slirp4netns", 1, true, false, IPV4, IPV4_GATEWAY, IPV4_PREFIX, IPV6,
      IPV6_GATEWAY, 64 },
};

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

int engine_choose(int host_sock, const struct engine **ret, const char **ret_why)
{
    const struct engine *pasta = engine_of(CHILD_PASTA), *slirp = engine_of(CHILD_SLIRP4NETNS);
    const char *demanded = getenv("VMNET_BROKER_UPLINK_ENGINE");

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

static void pasta_argv(struct engine_argv *a, uid_t uid)
{
    static const char *const args[] = {
        "--foreground", "--quiet", "--stderr", /* its failures end in our log, not in syslog's */
        "--ns-ifname", "uplink",               /* netd's TAP; no --config-net: it is addressed */
        "--mtu", TEXT(ENGINE_MTU),
        /* Never the host's own addresses, which guests could then not reach. */
        "--address", "169.254.10.100", "--netmask", "24", "--gateway", "169.254.10.2", "--address",
        "fd76:6d6e:6574::64", "--gateway", "fe80::2",
        /* Never publish the namespace's listeners on the host, nor the reverse. */
        "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none",
        /* 169.254.10.2 must not become the host's 127.0.0.1. */
        "--no-map-gw",
        /* NDP stays: it answers for the router. DNS is the relay's. */
        "--no-dhcp", "--no-dhcpv6", "--no-ra", "--dns", "none", NULL
    };

    add_all(a, args);
    if (uid == 0) { /* as root it becomes nobody, and cannot join the namespace */
        add(a, "--runas");
        add(a, "0:0");
    }
    add(a, "--userns");
    add(a, a->userns);
    add(a, "--netns");
    add(a, a->netns);
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
    if (!engine)
        return -EINVAL;
    int r = program_of_system(engine->name, ret->path, sizeof ret->path);
    if (r < 0)
        return r;
    name_namespaces(kind, way, ret);
    add(ret, ret->path);
    if (kind == CHILD_PASTA)
        pasta_argv(ret, uid);
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
