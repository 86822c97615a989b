/* SPDX-License-Identifier: Apache-2.0 */
/* vmm.c - stands in for a VM, or for a long cable: bench-vmm GUEST_NETNS NETWORK_TAP [MSEC]
 *
 * The guest is a network namespace with a TAP called eth0, and this process copies frames
 * between that and the network's TAP: one read and one write a frame, with the vnet header as a
 * VMM passes it on, so that segments stay large and checksums unwritten wherever both sides can.
 * NETWORK_TAP is a descriptor's number, or the name of a TAP to be made in this namespace (the
 * bare network's). With MSEC each frame arrives so much later, and none is lost: some kernels
 * have no netem. It writes "ready" and copies until it is killed.
 */
#include "guest_tap.h"
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct frame {
    struct frame *next;
    double due;
    size_t len;
    char bytes[];
};

struct way {
    int from, to;
    double delay_usec;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct frame *first, **last; /* on their way */
};

static int open_guest(const char *netns)
{
    int fd = open(netns, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
        give_up("cannot enter %s: %s", netns, strerror(errno));
    close(fd);
    return guest_tap_open("eth0");
}

static void await(int fd, short what)
{
    struct pollfd p = { .fd = fd, .events = what };
    (void)poll(&p, 1, -1);
}

/* A link that is down refuses frames; so does one whose queue is full. */
static void put(int fd, const char *frame, size_t len)
{
    while (write(fd, frame, len) < 0 && errno == EAGAIN)
        await(fd, POLLOUT);
}

static size_t get(int fd, char frame[static FRAME_MAX])
{
    for (;;) {
        ssize_t n = read(fd, frame, FRAME_MAX);
        if (n > 0)
            return (size_t)n;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            give_up("a TAP has gone: %s", strerror(errno));
        await(fd, POLLIN);
    }
}

static void *copy(void *arg)
{
    const struct way *way = arg;
    static _Thread_local char frame[FRAME_MAX];
    for (;;)
        put(way->to, frame, get(way->from, frame));
    return NULL;
}

/* ---- a long cable ---- */

static void *send_off(void *arg)
{
    struct way *way = arg;
    static _Thread_local char bytes[FRAME_MAX];
    for (;;) {
        size_t len = get(way->from, bytes);
        struct frame *frame = malloc(sizeof *frame + len);
        if (!frame)
            give_up("no memory");
        *frame = (struct frame){ .due = now_usec() + way->delay_usec, .len = len };
        memcpy(frame->bytes, bytes, len);
        pthread_mutex_lock(&way->lock);
        *way->last = frame;
        way->last = &frame->next;
        pthread_cond_signal(&way->more);
        pthread_mutex_unlock(&way->lock);
    }
    return NULL;
}

static struct frame *next_frame(struct way *way)
{
    pthread_mutex_lock(&way->lock);
    while (!way->first)
        pthread_cond_wait(&way->more, &way->lock);
    struct frame *frame = way->first;
    way->first = frame->next;
    if (!way->first)
        way->last = &way->first;
    pthread_mutex_unlock(&way->lock);
    return frame;
}

static void *arrive(void *arg)
{
    struct way *way = arg;
    for (;;) {
        struct frame *frame = next_frame(way);
        double early = frame->due - now_usec();
        if (early > 0)
            usleep((useconds_t)early);
        put(way->to, frame->bytes, frame->len);
        free(frame);
    }
    return NULL;
}

/* ---- */

static void start(void *(*thread)(void *), struct way *way)
{
    pthread_t id;
    if (pthread_create(&id, NULL, thread, way) != 0)
        give_up("no thread");
}

static void begin(struct way *way, int from, int to, double delay_usec)
{
    *way = (struct way){ .from = from, .to = to, .delay_usec = delay_usec };
    way->last = &way->first;
    pthread_mutex_init(&way->lock, NULL);
    pthread_cond_init(&way->more, NULL);
    if (delay_usec > 0) {
        start(send_off, way);
        start(arrive, way);
    } else {
        start(copy, way);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4)
        give_up("usage: bench-vmm GUEST_NETNS NETWORK_TAP [MSEC]");
    char *end;
    int network = (int)strtol(argv[2], &end, 10);
    if (*end)
        network = guest_tap_open(argv[2]);
    else if (fcntl(network, F_SETFL, O_NONBLOCK) < 0)
        give_up("descriptor %d: %s", network, strerror(errno));
    int guest = open_guest(argv[1]);
    guest_tap_welcome_offloads(network);
    guest_tap_welcome_offloads(guest);
    double delay_usec = argc > 3 ? atof(argv[3]) * 1000 : 0;
    static struct way out, in;
    begin(&out, guest, network, delay_usec);
    begin(&in, network, guest, delay_usec);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}
