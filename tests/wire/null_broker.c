/* SPDX-License-Identifier: Apache-2.0 */
/* null_broker.c - the real core, transport and loop over a backend that makes nothing.
 *
 * For the behaviour suite, which needs neither netd nor privileges then; and the proof
 * that a helper that hangs keeps nobody else waiting.
 *
 *     null_broker SOCKET
 *
 * NULL_DELAY_MS=n     every build and removal takes this long
 * NULL_HANG=NAME      this network's build is never answered
 * NULL_FAIL=NAME      this network's build fails
 * NULL_BREAK=NAME     no interface can be started on this network
 * NULL_IDLE=SECONDS   idle timeout, 120 by default
 */
#include "broker.h"
#include "loop_sdevent.h"
#include "null_backend.h"
#include "str.h"
#include "transport_varlink.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || str_copy(address.sun_path, sizeof address.sun_path, path) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
        return -1;
    return fd;
}

static unsigned long number(const char *variable, unsigned long otherwise)
{
    const char *value = getenv(variable);
    unsigned long n = otherwise;
    if (value)
        (void)str_to_uint(value, 0, 1000000, &n);
    return n;
}

static int serve(sd_event *event, int fd)
{
    static const struct transport_about about = { "null", "user", "/null", "standard error" };
    struct broker_config config = { .idle_timeout_sec = (uint32_t)number("NULL_IDLE", 120),
                                    .owner = getuid() };
    const struct null_config nulls = {
        .delay_usec = number("NULL_DELAY_MS", 0) * 1000,
        .hang = getenv("NULL_HANG"),
        .fail = getenv("NULL_FAIL"),
        .breaking = getenv("NULL_BREAK"),
    };
    const struct loop loop = loop_sdevent(event);
    struct backend backend = null_backend(&loop, &nulls);
    struct transport *transport = NULL;
    struct broker *broker = broker_new(&config, &loop, &transport_varlink_ops);
    int r = broker ? 0 : -ENOMEM;
    if (r == 0) {
        broker_set_backend(broker, &backend);
        r = transport_varlink_new(event, &broker_verbs, broker, &about, &transport);
    }
    if (r == 0)
        r = transport_varlink_listen(transport, fd);
    if (r == 0)
        r = sd_event_loop(event);
    transport_varlink_free(transport);
    broker_free(broker);
    return r;
}

int main(int argc, char *argv[])
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);

    sd_event *event = NULL;
    int fd = argc == 2 ? listen_at(argv[1]) : -1;
    if (fd < 0 || sd_event_new(&event) < 0 ||
        sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL) < 0) {
        perror("null_broker");
        return 1;
    }
    int r = serve(event, fd);
    sd_event_unref(event);
    return r == 0 ? 0 : 1;
}
