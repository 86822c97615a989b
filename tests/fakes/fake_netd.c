/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_netd.h"

#include "fd.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct fake_netd fake = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .up = PTHREAD_COND_INITIALIZER, .listener = -1, .session = -1
};

void fake_say(const struct netd_header *to, uint32_t flags, int err, const void *body, size_t len,
              const int *fds, size_t n_fds)
{
    struct netd_msg msg = { .header = *to };
    msg.header.flags = flags;
    msg.header.err = err;
    if (len > 0)
        memcpy(&msg.body, body, len);
    (void)netd_msg_send(fake.session, &msg, len, fds, n_fds);
}

void fake_event(uint16_t op, const void *body, size_t len)
{
    struct netd_header h = { .magic = NETD_MAGIC, .version = NETD_VERSION, .op = op };
    fake_say(&h, 0, 0, body, len, NULL, 0);
}

static void fake_refuse(const struct netd_header *to, int err, const char *words)
{
    struct netd_why why = { { 0 } };
    (void)str_copy(why.why, sizeof why.why, words);
    fake_say(to, 0, err, &why, sizeof why, NULL, 0);
}

static void fake_open_tap(const struct netd_msg *msg)
{
    int ends[2], fds[NETD_QUEUES_MAX];
    struct netd_interface tap = msg->body.interface;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    (void)snprintf(tap.tap, sizeof tap.tap, "vbt%u", fake.asked[NETD_OPEN_TAP]);
    for (unsigned i = 0; i < netd_interface_fds(&tap); i++)
        fds[i] = ends[1];
    fake.last_tap = tap;
    fake.taps[fake.n_taps] = tap;
    fake.tap_fds[fake.n_taps++] = ends[0];
    fake_say(&msg->header, 0, 0, &tap, sizeof tap, fds, netd_interface_fds(&tap));
    (void)close(ends[1]);
}

static void fake_list(const struct netd_header *to)
{
    for (size_t i = 0; i < fake.n_networks; i++)
        fake_say(to, NETD_MORE, 0, &fake.networks[i], sizeof fake.networks[i], NULL, 0);
    for (size_t i = 0; i < fake.n_taps; i++)
        fake_say(to, NETD_MORE, 0, &fake.taps[i], sizeof fake.taps[i], NULL, 0);
    for (size_t i = 0; i < fake.n_forwards; i++)
        fake_say(to, NETD_MORE, 0, &fake.forwards[i], sizeof fake.forwards[i], NULL, 0);
    if (fake.stranded.holder)
        fake_say(to, NETD_MORE, 0, &fake.stranded, sizeof fake.stranded, NULL, 0);
    fake_say(to, 0, 0, NULL, 0, NULL, 0);
}

static void fake_stats(const struct netd_header *to)
{
    struct netd_stats itself = { .network = "shared", .host = NETD_IPV4 };
    fake_say(to, NETD_MORE, 0, &itself, sizeof itself, NULL, 0);
    for (size_t i = 0; i < fake.n_taps; i++) {
        struct netd_stats s = { .rx_bytes = 7 };
        (void)str_copy(s.network, sizeof s.network, fake.taps[i].network);
        (void)str_copy(s.tap, sizeof s.tap, fake.taps[i].tap);
        fake_say(to, NETD_MORE, 0, &s, sizeof s, NULL, 0);
    }
    fake_say(to, 0, 0, NULL, 0, NULL, 0);
}

static void fake_update(const struct netd_update *update)
{
    fake.idle_timeout_sec = update->idle_timeout_sec;
    if (update->first == 0)
        fake.n_reserved = 0;
    assert_int_equal(update->first, fake.n_reserved);
    for (uint32_t i = 0; i < update->count; i++)
        fake.reserved[fake.n_reserved++] = update->reservations[i];
}

/* As netd: those of an interface go with it. */
static void forget_forwards(const char *interface)
{
    size_t n = 0;
    for (size_t i = 0; i < fake.n_forwards; i++)
        if (strcmp(fake.forwards[i].interface, interface) != 0)
            fake.forwards[n++] = fake.forwards[i];
    fake.n_forwards = n;
}

static bool fake_is_at(const struct netd_forward *f, const struct netd_forward *door)
{
    return f->external_port == door->external_port && (f->families & door->families);
}

static void fake_remove_forward(const struct netd_msg *msg)
{
    size_t i = 0;
    while (i < fake.n_forwards && !fake_is_at(&fake.forwards[i], &msg->body.forward))
        i++;
    if (i == fake.n_forwards) {
        fake_refuse(&msg->header, -ENOENT, "no such forward");
        return;
    }
    fake.forwards[i] = fake.forwards[--fake.n_forwards];
    fake_say(&msg->header, 0, 0, NULL, 0, NULL, 0);
}

void fake_answer(const struct netd_msg *msg)
{
    const struct netd_welcome welcome = { 4711, 4712, "pasta", "ok" };
    switch (msg->header.op) {
    case NETD_HELLO:
        fake_say(&msg->header, 0, 0, &welcome, sizeof welcome, NULL, 0);
        return;
    case NETD_INVENTORY:
        fake_list(&msg->header);
        return;
    case NETD_BUILD:
        fake.networks[fake.n_networks++] = msg->body.network;
        break;
    case NETD_REMOVE:
        if (fake.n_networks == 0) {
            fake_refuse(&msg->header, -ENOENT, "no such network");
            return;
        }
        fake.n_networks--;
        break;
    case NETD_UPDATE:
        fake_update(&msg->body.update);
        break;
    case NETD_ADD_FORWARD:
        fake.forwards[fake.n_forwards] = msg->body.forward;
        fake.forwards[fake.n_forwards++].flags |= NETD_FORWARD_LIVE;
        break;
    case NETD_REMOVE_FORWARD:
        fake_remove_forward(msg);
        return;
    case NETD_OPEN_TAP:
        fake_open_tap(msg);
        return;
    case NETD_STATS:
        fake_stats(&msg->header);
        return;
    default:
        break;
    }
    fake_say(&msg->header, 0, 0, NULL, 0, NULL, 0);
}

void fake_hang_up(void)
{
    fd_closep(&fake.session);
}

static void fake_misbehave(const struct netd_msg *msg)
{
    enum misdeed misdeed = fake.misdeed;
    struct netd_msg other = *msg;
    int fds[2] = { fake.stop[0], fake.stop[1] };

    if (misdeed != NEWER)
        fake.misdeed = NOTHING_BAD;
    switch (misdeed) {
    case HANG:
        fake.held_back = *msg;
        break;
    case DIE:
        fake_hang_up();
        break;
    case GARBAGE:
        other.header.flags = 77;
        (void)netd_msg_send(fake.session, &other, sizeof other.body, fds, 2);
        break;
    case REFUSE:
        fake_refuse(&msg->header, -EPERM, "the kernel said no");
        break;
    case TAKEN:
        fake_refuse(&msg->header, -EADDRINUSE, "it is taken");
        break;
    case NEWER:
    case OLDER: /* and makes way */
        other.header.version = (uint16_t)(other.header.version + (misdeed == NEWER ? 1 : -1));
        (void)netd_msg_send(fake.session, &other, 0, NULL, 0);
        if (misdeed == OLDER)
            fake_hang_up();
        break;
    case NOTHING_BAD:
        break;
    }
}

static void fake_read(void)
{
    struct netd_msg msg;
    size_t len, n_fds = 0;
    int r = netd_msg_recv(fake.session, &msg, &len, NULL, &n_fds);
    if (r < 0 || len == 0) {
        fake_hang_up();
        return;
    }
    if (netd_msg_check(&msg, len, NETD_TO_HELPER) < 0) {
        print_error("the backend sent a bad message, op %u\n", msg.header.op);
        abort();
    }
    fake.asked[msg.header.op]++;
    if (msg.header.op == NETD_LEAVE)
        fake_hang_up();
    else if (fake.misdeed != NOTHING_BAD && fake.at == msg.header.op)
        fake_misbehave(&msg);
    else
        fake_answer(&msg);
}

void fake_tap_gone(size_t i)
{
    struct netd_interface gone = fake.taps[i];
    (void)close(fake.tap_fds[i]);
    forget_forwards(gone.id);
    fake.n_taps--;
    fake.taps[i] = fake.taps[fake.n_taps];
    fake.tap_fds[i] = fake.tap_fds[fake.n_taps];
    if (fake.session >= 0)
        fake_event(NETD_TAP_GONE, &gone, sizeof gone);
}

static void *fake_run(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&fake.lock);
    fake.serving = true;
    pthread_cond_signal(&fake.up);
    pthread_mutex_unlock(&fake.lock);
    for (;;) {
        struct pollfd p[3 + FAKE_TAPS] = { { .fd = fake.stop[0], .events = POLLIN },
                                           { .fd = fake.listener, .events = POLLIN },
                                           { .fd = fake.session, .events = POLLIN } };
        pthread_mutex_lock(&fake.lock);
        p[2].fd = fake.session;
        size_t n = fake.n_taps;
        for (size_t i = 0; i < n; i++)
            p[3 + i] = (struct pollfd){ .fd = fake.tap_fds[i] };
        pthread_mutex_unlock(&fake.lock);
        if (poll(p, 3 + n, 20) < 0 || p[0].revents)
            return NULL;
        pthread_mutex_lock(&fake.lock);
        for (size_t i = n; i-- > 0;)
            if (i < fake.n_taps && (p[3 + i].revents & POLLHUP) && fake.tap_fds[i] == p[3 + i].fd)
                fake_tap_gone(i);
        if (p[2].revents && fake.session == p[2].fd && fake.session >= 0)
            fake_read();
        if (p[1].revents && fake.session < 0)
            fake.session = accept4(fake.listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_mutex_unlock(&fake.lock);
    }
}

/* A thread allocates while it begins, and the backend forks: a child of that moment would have the
 * address sanitizer's allocator locked for ever. Later this one allocates nothing. */
static void await_thread(void)
{
    pthread_mutex_lock(&fake.lock);
    while (!fake.serving)
        pthread_cond_wait(&fake.up, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
}

void fake_start(const struct paths *paths)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    assert_int_equal(paths_netd_socket(paths, addr.sun_path, sizeof addr.sun_path), 0);
    (void)unlink(addr.sun_path);
    fake.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake.listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(fake.listener, 5), 0);
    assert_int_equal(pipe2(fake.stop, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&fake.thread, NULL, fake_run, NULL), 0);
    await_thread();
}

void fake_stop(void)
{
    if (fake.listener < 0)
        return;
    fd_closep(&fake.stop[1]);
    pthread_join(fake.thread, NULL);
    fake.serving = false;
    fd_closep(&fake.stop[0]);
    fd_closep(&fake.listener);
    fd_closep(&fake.session);
    while (fake.n_taps > 0)
        fd_closep(&fake.tap_fds[--fake.n_taps]);
    fake.n_networks = fake.n_forwards = 0;
    fake.stranded.holder = 0;
    fake.misdeed = NOTHING_BAD;
    fake.held_back.header.op = 0;
    memset(fake.asked, 0, sizeof fake.asked);
}

void misbehave(enum misdeed misdeed, uint16_t at)
{
    pthread_mutex_lock(&fake.lock);
    fake.misdeed = misdeed;
    fake.at = at;
    pthread_mutex_unlock(&fake.lock);
}

unsigned fake_asked(uint16_t op)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = fake.asked[op];
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static bool answer_held_back(void)
{
    pthread_mutex_lock(&fake.lock);
    bool held = fake.held_back.header.op != 0;
    if (held)
        fake_answer(&fake.held_back);
    fake.held_back.header.op = 0;
    pthread_mutex_unlock(&fake.lock);
    return held;
}

void fake_answer_held_back(void)
{
    for (unsigned msec = 0; !answer_held_back(); msec++) {
        assert_true(msec < 20000);
        (void)usleep(1000);
    }
}
