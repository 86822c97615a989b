/* SPDX-License-Identifier: Apache-2.0 */
/* A client's whole conversation with the broker: transport, method table, interface check
 * and the real core, over networks that are not real. After whatever it said, an honest
 * client gets an honest answer, and no descriptor is left.
 *
 * The first byte is a seed for how the rest is cut into packets.
 */
#include "broker.h"
#include "closer.h"
#include "fake_loop.h"
#include "fd.h"
#include "fuzz.h"
#include "null_backend.h"
#include "transport_varlink.h"
#include "varlink.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define STREAM_MAX 80000 /* one request over the limit, and some */

void __wrap_closer_close(int fd);

/* At once, and not on a thread: what is left open is counted. */
void __wrap_closer_close(int fd)
{
    fd_closep(&fd);
}

struct house {
    struct fake_loop loop;
    sd_event *event;
    struct broker *broker;
    struct transport *transport;
    struct sockaddr_un address;
    socklen_t address_len;
};

static void house_build(struct house *h)
{
    static const struct broker_config config = { .idle_timeout_sec = 120, .limits.connections = 4 };
    static const struct transport_about about = { "1", "user", "/state", "/state/log" };
    static const struct null_config nulls = { .fail = NULL };
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un any = { .sun_family = AF_UNIX };

    /* The kernel chooses an abstract name. */
    h->address_len = sizeof h->address;
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any.sun_family) == 0);
    MUST(listen(fd, 16) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&h->address, &h->address_len) == 0);
    fake_loop_init(&h->loop);
    h->broker = broker_new(&config, &h->loop.loop, &transport_varlink_ops);
    MUST(h->broker && sd_event_new(&h->event) >= 0);
    struct backend backend = null_backend(&h->loop.loop, &nulls);
    broker_set_backend(h->broker, &backend);
    MUST(transport_varlink_new(h->event, &broker_verbs, h->broker, &about, &h->transport) == 0);
    MUST(transport_varlink_listen(h->transport, fd_take(&fd)) == 0);
}

static void house_end(struct house *h)
{
    transport_varlink_free(h->transport);
    broker_free(h->broker);
    sd_event_unref(h->event);
    MUST(fake_loop_timers(&h->loop) == 0);
}

/* Until nothing moves any more, and what the backend was asked is done. */
static void settle(struct house *h)
{
    int r;

    do {
        r = sd_event_run(h->event, 0);
        fake_loop_advance(&h->loop, 1000);
    } while (r > 0);
}

static int come(const struct house *h)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    MUST(fd >= 0 && connect(fd, (const struct sockaddr *)&h->address, h->address_len) == 0);
    return fd;
}

static void swallow(int fd)
{
    char buf[65536];

    while (recv(fd, buf, sizeof buf, 0) > 0)
        continue;
}

static void say(struct house *h, int fd, const uint8_t *data, size_t size, uint32_t cuts)
{
    while (size > 0) {
        cuts = cuts * 1103515245u + 12345u;
        size_t len = 1 + (cuts >> 16) % (cuts & 0x8000000 ? 64 : 40000);
        ssize_t n = send(fd, data, len < size ? len : size, MSG_NOSIGNAL);
        settle(h);
        if (cuts & 0x4000000) /* some read late */
            swallow(fd);
        if (n <= 0)
            break;
        data += n;
        size -= (size_t)n;
    }
    swallow(fd);
    settle(h);
}

static void an_honest_client_is_served(struct house *h)
{
    static const char request[] = "{\"method\":\"com.github.nirs.vmnet-broker.Acquire\","
                                  "\"parameters\":{\"network_name\":\"shared\"}}";
    char reply[4096] = "";
    AUTO_FD fd = come(h);

    MUST(send(fd, request, sizeof request, MSG_NOSIGNAL) == (ssize_t)sizeof request);
    settle(h);
    settle(h);
    MUST(recv(fd, reply, sizeof reply - 1, 0) > 0);
    MUST(strstr(reply, "\"network\"") && !strstr(reply, "\"error\""));
}

FUZZ(data, size)
{
    static bool warm; /* the user database is opened once */
    struct house h = { .event = NULL };

    if (size < 1 || size > STREAM_MAX)
        return;
    unsigned fds = fuzz_open_fds();
    house_build(&h);
    int fd = come(&h);
    say(&h, fd, data + 1, size - 1, data[0]);
    fd_closep(&fd);
    settle(&h);
    an_honest_client_is_served(&h);
    settle(&h);
    house_end(&h);
    MUST(!warm || fuzz_open_fds() == fds);
    warm = true;
}
