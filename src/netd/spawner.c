/* SPDX-License-Identifier: Apache-2.0 */
/* spawner.c - see spawner.h.
 *
 * The spawner is a loop of its own behind a socket pair: one fixed struct in, one
 * out, with a pidfd. It lives in the host's namespaces with the rights of whoever
 * started netd, and ends when netd's end of the socket closes. Its children go on:
 * the next netd adopts them.
 *
 * A child is on a leash until netd has written it down: it waits for a word on a socket of
 * which netd has the other end, and ends with that. On the same socket it says why it could
 * not become what it should.
 */
#include "spawner.h"

#include "anchor.h"
#include "confine.h"
#include "engine.h"
#include "fd.h"
#include "log.h"
#include "mem.h"
#include "relay.h"
#include "str.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define FDS_MAX 2

struct spawner {
    int sock;
    pid_t pid;
};

struct order {
    uint32_t kind; /* enum child_kind */
    uint32_t network;
    uint32_t n_fds;
};

struct answer {
    int32_t err;
    int32_t pid;
    uint64_t born;
};

/* What the spawner process knows. */
struct workshop {
    int sock;
    pid_t anchor;      /* engines find the namespaces by /proc/PID/ns ... */
    int userns, netns; /* ... and our own forks by these, whoever lives */
    const char *state_path;
};

/* ---- one packet with descriptors ------------------------------------------------ */

union control {
    char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    struct cmsghdr align;
};

/* An order and its answer belong together: were one of them lost, the next order would get
 * this one's child. So a moment without memory is waited out. */
static bool passes(int err, unsigned *tries)
{
    if (err == EINTR)
        return true;
    if ((err != ENOMEM && err != ENOBUFS) || ++*tries > 100)
        return false;
    (void)poll(NULL, 0, 10);
    return true;
}

static int send_packet(int sock, void *data, size_t len, const int *fds, size_t n_fds)
{
    struct iovec part = { .iov_base = data, .iov_len = len };
    struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
    union control control = { 0 };
    unsigned tries = 0;
    ssize_t sent;

    if (n_fds > 0) {
        struct cmsghdr *c;

        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    do
        sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (sent < 0 && passes(errno, &tries));
    return sent == (ssize_t)len ? 0 : -errno;
}

/* A whole packet or an error; -EPIPE when the other end has gone. fds has room for
 * FDS_MAX, of which *ret_n came. */
static int receive_packet(int sock, void *data, size_t len, int *fds, size_t *ret_n)
{
    struct iovec part = { .iov_base = data, .iov_len = len };
    union control control = { 0 };
    struct msghdr msg = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    struct cmsghdr *c;
    unsigned tries = 0;
    ssize_t got;

    do
        got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (got < 0 && passes(errno, &tries));
    if (got < 0)
        return -errno;
    c = CMSG_FIRSTHDR(&msg);
    *ret_n = 0;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        *ret_n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), sizeof(int) * *ret_n);
    }
    return got == 0 ? -EPIPE : (size_t)got == len ? 0 : -EPROTO;
}

/* ---- inside a child ------------------------------------------------------------- */

/* Where programs are. Not $PATH: netd starts nothing that its caller chose. */
static int find_program(const char *name, char *ret, size_t size)
{
    static const char *const dirs[] = { "/usr/sbin", "/usr/bin",        "/sbin",
                                        "/bin",      "/usr/local/sbin", "/usr/local/bin" };

    for (size_t i = 0; i < N_ELEMENTS(dirs); i++)
        if (str_format(ret, size, "%s/%s", dirs[i], name) == 0 && access(ret, X_OK) == 0)
            return 0;
    return -ENOENT;
}

/* What a child needs on its way, behind what is passed to it; closed by exec(). */
enum { LEASH, USERNS, NETNS, OWN };

/* Standard descriptors: nothing to read, nothing to write to, netd's log. The passed ones
 * become 3, 4, ...; after them come our own, and their new numbers into `own`. */
static int arrange_fds(const int *fds, size_t n_fds, int own[static OWN])
{
    int high[FDS_MAX + OWN];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
        return -errno;
    for (size_t i = 0; i < n_fds + OWN; i++) {
        high[i] = fcntl(i < n_fds ? fds[i] : own[i - n_fds], F_DUPFD_CLOEXEC, 16);
        if (high[i] < 0)
            return -errno;
    }
    for (size_t i = 0; i < n_fds + OWN; i++) {
        int fd = dup3(high[i], 3 + (int)i, i < n_fds ? 0 : O_CLOEXEC);

        if (fd < 0)
            return -errno;
        if (i >= n_fds)
            own[i - n_fds] = fd;
    }
    return close_range(3 + (unsigned)n_fds + OWN, ~0U, 0) < 0 ? -errno : 0;
}

static void default_signals(void)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        (void)signal(sig, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int exec_program(const char *path, char *const *argv)
{
    static char env_path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", env_locale[] = "LC_ALL=C";
    char *const env[] = { env_path, env_locale, NULL };

    (void)execve(path, argv, env);
    return -errno;
}

/* What dnsmasq needs in the namespace, and nothing else, across exec(). */
static int keep_network_capabilities(void)
{
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_updatev(CAPNG_ADD,
                      CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_AMBIENT |
                          CAPNG_BOUNDING_SET,
                      CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, -1) < 0)
        return -EPERM;
    return capng_apply(CAPNG_SELECT_ALL) < 0 ? -EPERM : 0;
}

static int become_dnsmasq(const struct workshop *shop, uint32_t network, const int *own)
{
    static char name[] = "dnsmasq", foreground[] = "--keep-in-foreground", user[] = "--user=";
    char path[64], conf[4200];
    char *const argv[] = { name, foreground, user, conf, NULL };
    int r;

    r = find_program("dnsmasq", path, sizeof path);
    if (r == 0)
        r = str_format(conf, sizeof conf, "--conf-file=%s/%u/dnsmasq.conf", shop->state_path,
                       network);
    if (r == 0)
        r = anchor_enter_by(own[USERNS], own[NETNS]);
    if (r == 0)
        r = keep_network_capabilities();
    return r < 0 ? r : exec_program(path, argv);
}

static int become_engine(const struct workshop *shop, enum child_kind kind)
{
    struct engine_argv command;
    int r;

    r = engine_argv(kind, shop->anchor, getuid(), &command);
    return r < 0 ? r : exec_program(command.path, command.argv);
}

/* Not a program of its own, so nothing closes what is left but us. */
static int become_relay(const int *own)
{
    int32_t ok = 0;

    (void)prctl(PR_SET_NAME, "vmnet-relay");
    if (write(own[LEASH], &ok, sizeof ok) != sizeof ok)
        return -EPIPE;
    for (size_t i = 0; i < OWN; i++)
        (void)close(own[i]);
    relay_main(3, 4);
}

static int become_anchor(const int *own)
{
    int r = anchor_enter_by(own[USERNS], own[NETNS]);

    if (r < 0)
        return r;
    anchor_stay(own[LEASH]);
}

static _Noreturn void child_main(const struct workshop *shop, const struct order *order,
                                 const int *fds, int leash)
{
    int own[OWN] = { leash, shop->userns, shop->netns };
    char word;
    int32_t r;

    default_signals();
    r = arrange_fds(fds, order->n_fds, own);
    if (read(own[LEASH], &word, 1) != 1)
        _exit(127); /* netd is dead */
    if (r == 0 && order->kind == CHILD_DNSMASQ)
        r = become_dnsmasq(shop, order->network, own);
    else if (r == 0 && order->kind == CHILD_RELAY)
        r = become_relay(own);
    else if (r == 0 && order->kind == CHILD_ANCHOR)
        r = become_anchor(own);
    else if (r == 0)
        r = become_engine(shop, (enum child_kind)order->kind);
    (void)!write(own[LEASH], &r, sizeof r);
    _exit(127);
}

/* ---- the spawner process -------------------------------------------------------- */

enum { RESULT_PIDFD, RESULT_LEASH, RESULTS };

/* Forks a child, which waits for netd's word. */
static int start_child(struct workshop *shop, const struct order *order, const int *fds,
                       struct answer *ret, int ret_fds[static RESULTS])
{
    AUTO_FD leash = -1, pidfd = -1;
    struct process child = { 0 };
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    leash = ends[0];
    child.pid = fork();
    if (child.pid == 0) {
        (void)close(leash);
        child_main(shop, order, fds, ends[1]);
    }
    (void)close(ends[1]);
    if (child.pid < 0)
        return -EAGAIN;
    pidfd = pidfd_open(child.pid, 0); /* even a corpse waits for us to reap it */
    if (pidfd < 0)
        return -errno;
    if (process_born(child.pid, &child.born) < 0)
        return -ESRCH;
    if (order->kind == CHILD_ANCHOR)
        shop->anchor = child.pid;
    ret->pid = child.pid;
    ret->born = child.born;
    ret_fds[RESULT_PIDFD] = fd_take(&pidfd);
    ret_fds[RESULT_LEASH] = fd_take(&leash);
    return 0;
}

static int serve_one(struct workshop *shop)
{
    struct answer answer = { 0 };
    struct order order;
    int fds[FDS_MAX], results[RESULTS] = { -1, -1 };
    size_t n = 0;
    int r;

    r = receive_packet(shop->sock, &order, sizeof order, fds, &n);
    if (r == 0 && order.kind < CHILD_KINDS && order.n_fds == n)
        answer.err = start_child(shop, &order, fds, &answer, results);
    else
        answer.err = -EPROTO;
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
    if (r < 0)
        return r;
    r = send_packet(shop->sock, &answer, sizeof answer, results, answer.err == 0 ? RESULTS : 0);
    for (size_t i = 0; i < RESULTS; i++)
        fd_closep(&results[i]);
    return r;
}

static _Noreturn void spawner_main(struct workshop *shop)
{
    struct signalfd_siginfo ignored;
    struct pollfd on[2];
    sigset_t child;

    (void)prctl(PR_SET_NAME, "vmnet-spawner");
    (void)setsid(); /* a terminal's ^C is for others */
    (void)!chdir("/");
    default_signals();
    /* What we start makes calls that we do not know, and inherits this: so it can only be
     * what nobody here ever needs. It keeps root's capabilities, without which root's pasta
     * could not enter the namespace. */
    int r = confine_not(calls_never);
    if (r < 0) {
        log_failure(r, "the spawner cannot confine itself");
        _exit(1);
    }
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    on[0] = (struct pollfd){ .fd = shop->sock, .events = POLLIN };
    on[1] =
        (struct pollfd){ .fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN };
    while (poll(on, 2, -1) > 0 || errno == EINTR) {
        if (on[1].revents && read(on[1].fd, &ignored, sizeof ignored) > 0)
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        if (on[0].revents && serve_one(shop) < 0)
            break;
    }
    _exit(0);
}

/* Only socket, namespaces and standard descriptors stay: a lock or socket of netd's that
 * lived on here would outlive netd. From 3 on, in the order of `fds`. */
static void keep_only(const int *fds, size_t n)
{
    int high[3];

    for (size_t i = 0; i < n; i++)
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 16);
    for (size_t i = 0; i < n; i++)
        (void)dup3(high[i], 3 + (int)i, O_CLOEXEC);
    (void)close_range(3 + (unsigned)n, ~0U, 0);
}

/* ---- netd's side ---------------------------------------------------------------- */

int spawner_start(pid_t inside_pid, const char *state_path, struct spawner **ret)
{
    AUTO_FD userns = -1, netns = -1;
    struct spawner *spawner;
    int ends[2], r;

    r = anchor_open(inside_pid, &userns, &netns);
    if (r < 0)
        return r;
    spawner = calloc(1, sizeof *spawner);
    if (!spawner)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        free(spawner);
        return -errno;
    }
    spawner->pid = fork();
    if (spawner->pid == 0) {
        struct workshop shop = {
            .sock = 3, .userns = 4, .netns = 5, .anchor = inside_pid, .state_path = state_path
        };

        keep_only((int[]){ ends[1], userns, netns }, 3);
        spawner_main(&shop);
    }
    (void)close(ends[1]);
    spawner->sock = ends[0];
    if (spawner->pid < 0) {
        spawner_free(spawner);
        return -EAGAIN;
    }
    *ret = spawner;
    return 0;
}

int spawner_fd(const struct spawner *spawner)
{
    return spawner->sock;
}

void spawner_free(struct spawner *spawner)
{
    if (!spawner)
        return;
    (void)close(spawner->sock);
    if (spawner->pid > 0)
        (void)waitpid(spawner->pid, NULL, 0);
    free(spawner);
}

/* Gives the word, and hears whether the child has become what it should: exec() closes
 * its end. */
static int let_go(int leash)
{
    int32_t err = 0;

    if (send(leash, "", 1, MSG_NOSIGNAL) != 1)
        return -EPIPE;
    return read(leash, &err, sizeof err) == sizeof err ? err : 0;
}

int spawner_run(struct spawner *spawner, const struct spawner_order *order, struct child *ret)
{
    struct order wanted = { .kind = order->kind,
                            .network = order->network,
                            .n_fds = (uint32_t)order->n_fds };
    struct answer answer = { 0 };
    struct child child;
    int fds[FDS_MAX];
    size_t n = 0;
    int r;

    if (order->n_fds > FDS_MAX)
        return -EINVAL;
    r = send_packet(spawner->sock, &wanted, sizeof wanted, order->fds, order->n_fds);
    if (r == 0)
        r = receive_packet(spawner->sock, &answer, sizeof answer, fds, &n);
    if (r < 0)
        return r;
    if (answer.err < 0 || n != RESULTS) { /* without its leash a child ends */
        for (size_t i = 0; i < n; i++)
            (void)close(fds[i]);
        return answer.err < 0 ? answer.err : -EMFILE;
    }
    child = (struct child){ .pid = answer.pid, .pidfd = fds[RESULT_PIDFD], .born = answer.born };
    r = order->write_down(order->arg, &child);
    if (r == 0)
        r = let_go(fds[RESULT_LEASH]);
    (void)close(fds[RESULT_LEASH]);
    if (r < 0)
        child_forget(&child);
    else
        *ret = child;
    return r;
}

int child_adopt(pid_t pid, uint64_t born, struct child *ret)
{
    const struct process process = { .pid = pid, .born = born };
    AUTO_FD pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;

    /* Looked at after the pidfd was opened: now both mean the same process. */
    if (pidfd < 0 || !process_alive(&process))
        return -ESRCH;
    *ret = (struct child){ .pid = pid, .pidfd = fd_take(&pidfd), .born = born };
    return 0;
}

int child_signal(const struct child *child, int sig)
{
    if (child->pid <= 0 || child->pidfd < 0)
        return -ESRCH;
    return pidfd_send_signal(child->pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

void child_forget(struct child *child)
{
    if (child->pid > 0)
        fd_closep(&child->pidfd);
    *child = (struct child){ .pidfd = -1 };
}
