/* SPDX-License-Identifier: Apache-2.0 */
/* pulse.c - see pulse.h. */
#include "pulse.h"

#include "fd.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MISSED_MAX 3u
#define DOMAIN_MAX 250u /* as text; RFC 1035, 2.3.4 */
#define LABEL_MAX  63u

/* About one name, for its IPv4 address (RFC 1035, 4.1). */
struct question {
    uint8_t bytes[300];
    size_t len;
};

struct pulse {
    struct pulse_setup setup;
    struct question question;
    int sock;
    sd_event_source *timer;
    pid_t pid;      /* whom we have asked */
    uint64_t ticks; /* how long that one had been running then */
    unsigned missed;
};

static int compose(const char *name, struct question *ret)
{
    static const uint8_t head[] = { 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0 },
                         tail[] = { 0, 0, 1, 0, 1 };
    uint8_t *at = ret->bytes + sizeof head;

    if (strlen(name) > DOMAIN_MAX)
        return -ENAMETOOLONG;
    memcpy(ret->bytes, head, sizeof head);
    for (size_t n; *name; name += n + (name[n] == '.')) {
        n = strcspn(name, ".");
        if (n == 0 || n > LABEL_MAX)
            return -EINVAL;
        *at++ = (uint8_t)n;
        memcpy(at, name, n);
        at += n;
    }
    memcpy(at, tail, sizeof tail);
    ret->len = (size_t)(at - ret->bytes) + sizeof tail;
    return 0;
}

/* Whatever it says will do; all of it is read. */
static bool has_answered(const struct pulse *pulse)
{
    const struct sockaddr_in *server = &pulse->setup.server;
    struct sockaddr_in from = { 0 };
    socklen_t len = sizeof from;
    bool answered = false;
    char byte;

    while (recvfrom(pulse->sock, &byte, 1, 0, (struct sockaddr *)&from, &len) >= 0) {
        answered |=
            from.sin_addr.s_addr == server->sin_addr.s_addr && from.sin_port == server->sin_port;
        len = sizeof from;
    }
    return answered;
}

static void ask(const struct pulse *pulse)
{
    const struct sockaddr_in *server = &pulse->setup.server;

    (void)sendto(pulse->sock, pulse->question.bytes, pulse->question.len, MSG_NOSIGNAL,
                 (const struct sockaddr *)server, sizeof *server);
}

/* Has it done anything since it was asked? */
static bool shows_life(struct pulse *pulse)
{
    const struct child *child = pulse->setup.child;
    bool life = has_answered(pulse);
    uint64_t ticks = 0;

    (void)process_ticks(child->pid, &ticks);
    life |= child->pid != pulse->pid || ticks != pulse->ticks;
    pulse->pid = child->pid;
    pulse->ticks = ticks;
    return life;
}

/* And sees a while later. */
static void ask_again(const struct pulse *pulse)
{
    ask(pulse);
    (void)sd_event_source_set_time_relative(pulse->timer, pulse->setup.every_usec);
    (void)sd_event_source_set_enabled(pulse->timer, SD_EVENT_ONESHOT);
}

static int on_time(sd_event_source *source, uint64_t usec, void *arg)
{
    struct pulse *pulse = arg;
    const struct child *child = pulse->setup.child;
    bool life = shows_life(pulse);

    (void)source;
    (void)usec;
    pulse->missed = life ? 0 : pulse->missed + 1;
    if (pulse->missed >= MISSED_MAX && child->pid > 0) {
        log_warning("%s: process %d hangs; killing it", pulse->setup.what, (int)child->pid);
        (void)child_signal(child, SIGKILL);
        pulse->missed = 0;
    }
    if (life && pulse->setup.rest)
        pulse->setup.rest(pulse->setup.arg);
    else
        ask_again(pulse);
    return 0;
}

void pulse_wake(struct pulse *pulse)
{
    if (!pulse)
        return;
    (void)shows_life(pulse); /* what it did before does not count */
    pulse->missed = 0;
    ask_again(pulse);
}

int pulse_new(const struct pulse_setup *setup, struct pulse **ret)
{
    struct pulse *pulse = calloc(1, sizeof *pulse);
    int r;

    if (!pulse)
        return -ENOMEM;
    pulse->setup = *setup;
    pulse->setup.name = NULL;
    pulse->sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    r = pulse->sock < 0 ? -errno : compose(setup->name, &pulse->question);
    if (r == 0)
        r = sd_event_add_time_relative(setup->event, &pulse->timer, CLOCK_MONOTONIC,
                                       setup->every_usec, setup->every_usec / 4, on_time, pulse);
    if (r < 0) {
        pulse_free(pulse);
        return r;
    }
    if (setup->rest) {
        (void)sd_event_source_set_enabled(pulse->timer, SD_EVENT_OFF);
        setup->rest(setup->arg);
    }
    *ret = pulse;
    return 0;
}

void pulse_free(struct pulse *pulse)
{
    if (!pulse)
        return;
    sd_event_source_disable_unref(pulse->timer);
    fd_closep(&pulse->sock);
    free(pulse);
}
