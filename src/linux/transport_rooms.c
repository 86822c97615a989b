/* SPDX-License-Identifier: Apache-2.0 */
/* transport_rooms.c - where connections wait for their turn.
 *
 * There are two rooms. In the first wait the connections of users who have time left
 * (share.h); in the second those of users who have had theirs, and it is looked into only
 * when the first has nothing to do. A connection changes rooms when it comes up, and so pays
 * two system calls on that occasion and none in between.
 *
 * Each room polls its own connections and is one source on the loop. If they were sources
 * themselves, every turn of the loop would handle one of them and be told of all the others
 * again: a program that dies with ten thousand connections would cost a hundred million.
 */
#include "transport_part.h"

#include "clock.h"
#include "fd.h"

#include <errno.h>
#include <sys/epoll.h>

enum { FIRST, SECOND };

/* Connections that come up in one turn of the loop, and calls of one of them. In the second
 * room little, so that whoever comes into the first meanwhile need not wait long. */
static const struct {
    int64_t priority;
    unsigned connections, calls;
} turns[ROOMS] = {
    [FIRST] = { SD_EVENT_PRIORITY_NORMAL, 16, 8 },
    [SECOND] = { PRIORITY_LATE, 1, 4 },
};
#define CONNECTIONS_MAX 16 /* of the above */

static struct room *room_for(const struct connection *c, uint64_t now)
{
    bool late = time_share_is_used_up(&c->share->time, now);
    return &c->transport->rooms[late ? SECOND : FIRST];
}

static size_t number_of(const struct room *room)
{
    return (size_t)(room - room->transport->rooms);
}

static int poll_for(const struct room *room, int op, struct connection *c)
{
    struct epoll_event event = { .events = c->events, .data.ptr = c };
    return epoll_ctl(room->epoll, op, varlink_fd(c->stream), &event) < 0 ? -errno : 0;
}

/* ---- who is in, and what they wait for ---- */

static void set_ready(struct connection *c, bool ready)
{
    struct room *room = c->room;

    if (ready == c->ready)
        return;
    if (ready)
        TAILQ_INSERT_TAIL(&room->ready, c, in_ready);
    else
        TAILQ_REMOVE(&room->ready, c, in_ready);
    c->ready = ready;
    (void)sd_event_source_set_enabled(room->soon,
                                      TAILQ_EMPTY(&room->ready) ? SD_EVENT_OFF : SD_EVENT_ON);
}

int room_enter(struct connection *c)
{
    struct room *room = room_for(c, monotonic_usec());
    int r = poll_for(room, EPOLL_CTL_ADD, c);

    if (r == 0)
        c->room = room;
    return r;
}

void room_leave(struct connection *c)
{
    if (!c->room)
        return;
    set_ready(c, false);
    (void)poll_for(c->room, EPOLL_CTL_DEL, c);
    c->room = NULL;
}

void room_watch(struct connection *c, uint32_t events)
{
    if (events == c->events)
        return;
    c->events = events;
    (void)poll_for(c->room, EPOLL_CTL_MOD, c);
}

void room_soon(struct connection *c)
{
    set_ready(c, true);
}

/* Without memory for the change it stays where it is. */
static void change_rooms(struct connection *c, struct room *to)
{
    struct room *from = c->room;
    bool ready = c->ready;

    if (poll_for(to, EPOLL_CTL_ADD, c) < 0)
        return;
    set_ready(c, false);
    (void)poll_for(from, EPOLL_CTL_DEL, c);
    c->room = to;
    set_ready(c, ready);
}

/* ---- turns ---- */

/* Returns what the time is afterwards. */
static uint64_t come_up(struct connection *c, uint32_t events, uint64_t now)
{
    struct room *room = room_for(c, now), *before = c->room;

    if (room != before)
        change_rooms(c, room);
    if (number_of(c->room) > number_of(before)) { /* in which it comes up again */
        if (events == 0)
            set_ready(c, true);
        return now;
    }
    set_ready(c, false);
    return connection_serve(c, events, turns[number_of(c->room)].calls, now);
}

/* A connection ends in its own turn only, so that whoever is in `events` lives. */
static void take_turn(struct room *room)
{
    struct epoll_event events[CONNECTIONS_MAX];
    unsigned most = turns[number_of(room)].connections;
    struct connection *last = TAILQ_LAST(&room->ready, connection_list), *c;
    uint64_t now = monotonic_usec();

    for (unsigned i = 0; i < most && (c = TAILQ_FIRST(&room->ready)); i++) {
        bool end = c == last;
        set_ready(c, false);
        now = come_up(c, 0, now);
        if (end)
            break;
    }
    int n = epoll_wait(room->epoll, events, (int)most, 0);
    for (int i = 0; i < n; i++)
        now = come_up(events[i].data.ptr, events[i].events, now);
}

static int on_room(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
    (void)source;
    (void)fd;
    (void)revents;
    take_turn(arg);
    return 0;
}

static int on_soon(sd_event_source *source, void *arg)
{
    (void)source;
    take_turn(arg);
    return 0;
}

/* ---- the rooms as objects ---- */

/* A deferred source comes before all others of its priority each time; one behind them, it
 * still comes before the next room, and the first source brings it along. */
static int room_open(struct room *room, struct transport *transport, int64_t priority)
{
    sd_event *event = transport->event;

    room->transport = transport;
    TAILQ_INIT(&room->ready);
    room->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (room->epoll < 0)
        return -errno;
    int r = sd_event_add_io(event, &room->io, room->epoll, EPOLLIN, on_room, room);
    r = r < 0 ? r : sd_event_source_set_priority(room->io, priority);
    r = r < 0 ? r : sd_event_add_defer(event, &room->soon, on_soon, room);
    r = r < 0 ? r : sd_event_source_set_enabled(room->soon, SD_EVENT_OFF);
    r = r < 0 ? r : sd_event_source_set_priority(room->soon, priority + 1);
    return r < 0 ? r : 0;
}

int rooms_open(struct transport *transport)
{
    int r = 0;
    for (size_t i = 0; i < ROOMS; i++)
        transport->rooms[i].epoll = -1;
    for (size_t i = 0; i < ROOMS && r == 0; i++)
        r = room_open(&transport->rooms[i], transport, turns[i].priority);
    return r;
}

void rooms_close(struct transport *transport)
{
    for (size_t i = 0; i < ROOMS; i++) {
        struct room *room = &transport->rooms[i];
        sd_event_source_disable_unref(room->io);
        sd_event_source_disable_unref(room->soon);
        fd_closep(&room->epoll);
    }
}
