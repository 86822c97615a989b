/* SPDX-License-Identifier: Apache-2.0 */
/* forwarder.c - the process: what netd orders, and how much there may be at once.
 *
 * forwarder_part.h lists its rooms. A new entrance is not answered: its socket listens before we
 * have it, so that a client that comes early waits a moment. One that goes is: whoever took it
 * back may want its port at once. It ends by SIGTERM.
 */
#include "forwarder_part.h"

#include "clock.h"
#include "fd.h"
#include "log.h"
#include "mem.h"
#include "packet.h"
#include "str.h"

#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>

#define TICK        FORWARDER_SEC
#define OTHER_FILES 64u /* event loop, netd, kept pipes */
#define COMPLAINTS  (60 * FORWARDER_SEC)

/* ---- the way to it ----------------------------------------------------------------- */

/* By a descriptor of the directory: its own name may be longer than an address may be. */
static int address_in(int dirfd, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    return str_format(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/" FORWARDER_SOCKET,
                      dirfd);
}

int forwarder_bind(int dirfd)
{
    struct sockaddr_un here;
    AUTO_FD fd = -1;
    int r = address_in(dirfd, &here);

    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    (void)unlink(here.sun_path);
    return bind(fd, (struct sockaddr *)&here, sizeof here) < 0 ? -errno : fd_take(&fd);
}

int forwarder_connect(int dirfd)
{
    struct sockaddr_un there;
    AUTO_FD fd = -1;
    int r = address_in(dirfd, &there);

    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&there, sizeof there) < 0)
        return -errno;
    return fd_take(&fd);
}

/* ---- how much ---------------------------------------------------------------------- */

static void entrance_watch(struct entrance *e)
{
    for (size_t i = 0; i < N_ELEMENTS(e->listeners); i++)
        if (e->listeners[i].io)
            (void)sd_event_source_set_enabled(e->listeners[i].io,
                                              e->full ? SD_EVENT_OFF : SD_EVENT_ON);
}

static void complain_full(struct entrance *e)
{
    uint64_t now = monotonic_usec();

    if (e->complained != 0 && now - e->complained < COMPLAINTS)
        return;
    e->complained = now;
    log_warning("port %u of a VM is reached by %u connections, and %u of %u descriptors are in "
                "use: further connections wait until others end",
                e->order.port, e->flows, e->forwarder->files, e->forwarder->files_max);
}

/* Who finds no room waits in the kernel's queue, which is short; a datagram is lost. */
bool entrance_admit(struct entrance *e, unsigned files, unsigned flows_max)
{
    struct forwarder *fw = e->forwarder;

    if (e->flows < flows_max && fw->files + files <= fw->files_max) {
        e->flows++;
        fw->files += files;
        return true;
    }
    if (e->order.protocol == IPPROTO_TCP) {
        complain_full(e);
        e->full = true;
        entrance_watch(e);
    }
    return false;
}

void entrance_leave(struct entrance *e, unsigned files)
{
    struct entrance *other;

    e->flows--;
    e->forwarder->files -= files;
    TAILQ_FOREACH (other, &e->forwarder->entrances, link)
        if (other->full) {
            other->full = false;
            entrance_watch(other);
        }
}

/* ---- entrances --------------------------------------------------------------------- */

static struct entrance *entrance_find(const struct forwarder *fw, uint32_t number)
{
    struct entrance *e;

    TAILQ_FOREACH (e, &fw->entrances, link)
        if (e->order.number == number)
            return e;
    return NULL;
}

static void entrance_free(struct entrance *e)
{
    struct forwarder *fw = e->forwarder;

    for (size_t i = 0; i < N_ELEMENTS(e->listeners); i++)
        e->listeners[i].io = sd_event_source_disable_unref(e->listeners[i].io);
    e->full = false; /* or it would be opened again */
    if (e->order.protocol == IPPROTO_TCP)
        tcp_cut(e);
    else
        udp_cut(e);
    for (size_t i = 0; i < N_ELEMENTS(e->listeners); i++)
        fd_closep(&e->listeners[i].fd);
    TAILQ_REMOVE(&fw->entrances, e, link);
    fw->files -= N_ELEMENTS(e->listeners);
    free(e);
}

static int entrance_open(struct entrance *e)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < N_ELEMENTS(e->listeners); i++) {
        struct listener *listener = &e->listeners[i];

        if (listener->fd >= 0)
            r = e->order.protocol == IPPROTO_TCP ? tcp_listen(listener) : udp_listen(listener);
    }
    return r;
}

/* fds: those used are taken. */
static void entrance_new(struct forwarder *fw, const struct forwarder_order *order, int *fds,
                         size_t n)
{
    struct entrance *e = calloc(1, sizeof *e);

    if (!e) {
        log_error("no memory for one more forwarded port");
        return;
    }
    e->forwarder = fw;
    e->order = *order;
    for (size_t i = 0; i < N_ELEMENTS(e->listeners); i++)
        e->listeners[i] = (struct listener){ .entrance = e, .fd = i < n ? fd_take(&fds[i]) : -1 };
    TAILQ_INSERT_TAIL(&fw->entrances, e, link);
    fw->files += N_ELEMENTS(e->listeners);
    int r = entrance_open(e);
    if (r < 0) {
        (void)log_failure(r, "cannot listen for port %u of a VM", order->port);
        entrance_free(e);
    }
}

/* ---- netd -------------------------------------------------------------------------- */

static void forget_netd(struct forwarder *fw)
{
    fw->netd_io = sd_event_source_disable_unref(fw->netd_io);
    fd_closep(&fw->netd);
}

/* That netd may not wait for it, and be gone or not read, is no fault. */
static void tell_removed(const struct forwarder *fw, uint32_t number)
{
    struct forwarder_list gone = { .op = FORWARDER_REMOVED, .n = 1, .numbers = { number } };

    (void)packet_send(fw->netd, &gone, sizeof gone, NULL, 0);
}

static int take_order(struct forwarder *fw, const struct forwarder_order *order, int *fds, size_t n)
{
    struct entrance *e = entrance_find(fw, order->number);

    if (order->op == FORWARDER_ADD && n > 0 && !e &&
        (order->protocol == IPPROTO_TCP || order->protocol == IPPROTO_UDP))
        entrance_new(fw, order, fds, n);
    else if (order->op == FORWARDER_REMOVE && n == 0) {
        if (e)
            entrance_free(e);
        tell_removed(fw, order->number);
    } else
        return -EPROTO;
    return 0;
}

static int on_netd(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct forwarder *fw = arg;
    int fds[PACKET_FDS];
    int r = 0;

    (void)source, (void)events;
    for (int i = 0; i < FORWARDER_BATCH && r == 0; i++) {
        struct forwarder_order order;
        size_t n = 0;

        r = packet_receive(fd, &order, sizeof order, fds, &n);
        if (r == 0)
            r = take_order(fw, &order, fds, n);
        for (size_t k = 0; k < n; k++)
            fd_closep(&fds[k]);
    }
    if (r < 0 && r != -EAGAIN)
        forget_netd(fw); /* it is dead; the next one comes by our own socket */
    return 0;
}

/* What it has to know of us. */
static int tell_all(struct forwarder *fw)
{
    struct forwarder_list list = { .op = FORWARDER_HAS };
    const struct entrance *e;
    int r = 0;

    TAILQ_FOREACH (e, &fw->entrances, link) {
        list.numbers[list.n++] = e->order.number;
        if (list.n < FORWARDER_LIST)
            continue;
        r = packet_send(fw->netd, &list, sizeof list, NULL, 0);
        if (r < 0)
            return r;
        list.n = 0;
    }
    return packet_send(fw->netd, &list, sizeof list, NULL, 0);
}

static int take_netd(struct forwarder *fw, int fd)
{
    forget_netd(fw);
    fw->netd = fd;
    return sd_event_add_io(fw->event, &fw->netd_io, fd, EPOLLIN, on_netd, fw);
}

static int on_new_netd(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct forwarder *fw = arg;
    int netd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)source, (void)events;
    if (netd >= 0 && (take_netd(fw, netd) < 0 || tell_all(fw) < 0))
        forget_netd(fw);
    return 0;
}

/* ---- the process ------------------------------------------------------------------- */

void forwarder_keep_ticking(struct forwarder *fw)
{
    (void)sd_event_source_set_enabled(fw->tick, SD_EVENT_ON);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
    struct forwarder *fw = arg;
    uint64_t now = monotonic_usec();
    bool busy = tcp_tick(fw->tcp, now);

    (void)usec;
    busy |= udp_tick(fw->udp, now);
    (void)sd_event_source_set_time_relative(source, TICK);
    (void)sd_event_source_set_enabled(source, busy ? SD_EVENT_ON : SD_EVENT_OFF);
    return 0;
}

/* It moves bytes between sockets that it got and sockets that it makes. It opens no file,
 * runs no program, makes no socket of another kind, and none of its own listens. */
const struct call_rule forwarder_calls[] = {
    SOCKET_OF_TYPE(AF_INET, SOCK_STREAM), SOCKET_OF_TYPE(AF_INET, SOCK_DGRAM),
    SOCKET_OF_TYPE(AF_INET6, SOCK_STREAM), SOCKET_OF_TYPE(AF_INET6, SOCK_DGRAM), CALL("accept4"),
    CALL("bind"), CALL("connect"), CALL("getsockopt"), CALL("pipe2"), CALL("recv"),
    CALL("recvfrom"), CALL("recvmsg"), CALL("send"), CALL("sendmsg"), CALL("sendto"),
    CALL("setsockopt"), CALL("shutdown"), CALL("splice"),
    /* The event loop would like to know the boot's id, the
     * log the time zone, and both can do without. */
    CALL_FAILS("open", EACCES), CALL_FAILS("openat", EACCES), CALL("newfstatat"), CALLS_END
};

/* CAP_NET_RAW is for the clients' addresses. What else it allows, raw sockets, the list does
 * not. */
int forwarder_confine(void)
{
    const struct call_rule *const lists[] = { forwarder_calls, calls_c_library, calls_event_loop };
    static const int raw[] = { CAP_NET_RAW };
    int r = confine_to_capabilities(raw, N_ELEMENTS(raw));

    if (r < 0)
        return r;
    r = confine_files(NULL, 0, FILES_ALONE);
    return r < 0 && r != -EOPNOTSUPP ? r : confine_to(lists, N_ELEMENTS(lists));
}

static unsigned raise_files(void)
{
    struct rlimit files = { 0 };

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return 0;
    files.rlim_cur = files.rlim_max < FORWARDER_FILES ? files.rlim_max : FORWARDER_FILES;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    /* The rest is no flow's and no entrance's. */
    return files.rlim_cur > OTHER_FILES ? (unsigned)files.rlim_cur - OTHER_FILES : 0;
}

static int forwarder_run(struct forwarder *fw, int bound, int netd)
{
    int r = listen(bound, 4) < 0 ? -errno : sd_event_new(&fw->event);

    if (r >= 0)
        r = tcp_new(fw);
    if (r >= 0)
        r = udp_new(fw);
    if (r >= 0)
        r = sd_event_add_time_relative(fw->event, &fw->tick, CLOCK_MONOTONIC, TICK, TICK / 4,
                                       on_tick, fw);
    if (r >= 0)
        r = sd_event_add_io(fw->event, NULL, bound, EPOLLIN, on_new_netd, fw);
    if (r >= 0)
        r = take_netd(fw, netd);
    if (r >= 0)
        r = forwarder_confine();
    return r < 0 ? r : sd_event_loop(fw->event);
}

_Noreturn void forwarder_main(int bound, int netd)
{
    const struct rlimit none = { 0, 0 };
    struct forwarder fw = { .netd = -1 };

    log_init("vmnet-forwarder", log_level());
    (void)signal(SIGPIPE, SIG_IGN); /* splice() raises it */
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, SANITIZED); /* its memory is no business of dnsmasq's */
    TAILQ_INIT(&fw.entrances);
    fw.files_max = raise_files();
    int r = forwarder_run(&fw, bound, netd);
    if (r < 0)
        (void)log_failure(r, "cannot go on");
    _exit(r < 0 ? 1 : 0);
}
