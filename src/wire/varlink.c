/* SPDX-License-Identifier: Apache-2.0 */
/* varlink.c - the framing; see varlink.h for what it promises.
 *
 * Input is one buffer, [begin, end) unread, that grows to the size of the largest
 * message seen, never beyond one message_max and its NUL. Empty, it is given back unless it
 * is small, so that a connection which has been silent from the start costs no memory
 * and one that talks costs no allocation a message. `scanned`
 * remembers how far the NUL was looked for, so that a message that comes byte by byte is not
 * searched again and again.
 *
 * Positions in the stream are counted from its start (`base` is that of the buffer's
 * first byte): a descriptor remembers the position of the last byte that came with it,
 * and belongs to the message that contains this position.
 */
#include "varlink.h"
#include "fd.h"
#include "json_text.h"
#include "mem.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define CHUNK  2048u                 /* what a read asks for at least */
#define SMALL  (CHUNK * 2)           /* of the buffer that a connection keeps between messages */
#define FDS_IN (VARLINK_FDS_MAX * 4) /* of messages that are not taken yet */

struct passed_fd {
    int fd;
    uint64_t position;
};

struct output {
    STAILQ_ENTRY(output) link;
    char *text; /* with its NUL */
    size_t len, sent;
    struct varlink_fds fds; /* n == 0: none, or sent */
};

struct varlink {
    int fd;
    struct varlink_limits limits;

    char *in;
    size_t size, begin, end, scanned;
    uint64_t base;

    struct passed_fd waiting[FDS_IN]; /* of messages that varlink_next() did not give yet */
    size_t n_waiting;
    int taken[VARLINK_FDS_MAX]; /* of the message that it gave last; -1: the caller's now */
    size_t n_taken;

    STAILQ_HEAD(, output) out;
    size_t pending;
};

struct varlink *varlink_new(int fd, const struct varlink_limits *limits)
{
    struct varlink *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    stream->fd = fd;
    stream->limits = *limits;
    if (stream->limits.fds_max > VARLINK_FDS_MAX)
        stream->limits.fds_max = VARLINK_FDS_MAX;
    STAILQ_INIT(&stream->out);
    return stream;
}

static void forget_taken(struct varlink *stream)
{
    for (size_t i = 0; i < stream->n_taken; i++)
        fd_closep(&stream->taken[i]);
    stream->n_taken = 0;
}

static void release_fds(struct output *out)
{
    if (out->fds.n > 0)
        out->fds.release(out->fds.arg);
    out->fds.n = 0;
}

static void drop_output(struct varlink *stream, struct output *out)
{
    STAILQ_REMOVE_HEAD(&stream->out, link);
    stream->pending -= out->len - out->sent;
    release_fds(out);
    free(out->text);
    free(out);
}

void varlink_free(struct varlink *stream)
{
    if (!stream)
        return;
    while (!STAILQ_EMPTY(&stream->out))
        drop_output(stream, STAILQ_FIRST(&stream->out));
    forget_taken(stream);
    for (size_t i = 0; i < stream->n_waiting; i++)
        fd_closep(&stream->waiting[i].fd);
    fd_closep(&stream->fd);
    free(stream->in);
    free(stream);
}

int varlink_fd(const struct varlink *stream)
{
    return stream->fd;
}

/* ---- receiving ---- */

static void move_to_front(struct varlink *stream)
{
    memmove(stream->in, stream->in + stream->begin, stream->end - stream->begin);
    stream->base += stream->begin;
    stream->end -= stream->begin;
    stream->scanned -= stream->begin;
    stream->begin = 0;
}

static int make_room(struct varlink *stream)
{
    size_t most = stream->limits.message_max + 1;

    if (stream->begin > 0 && stream->size - stream->end < CHUNK)
        move_to_front(stream);
    if (stream->end < stream->size && (stream->size - stream->end >= CHUNK || stream->size == most))
        return 0;
    if (stream->size >= most)
        return -EMSGSIZE;
    size_t size = stream->size ? stream->size * 2 : SMALL;
    if (size > most)
        size = most;
    char *in = realloc(stream->in, size);
    if (!in)
        return -ENOMEM;
    stream->in = in;
    stream->size = size;
    return 0;
}

/* The descriptors that came with a packet; beyond max they are closed. Returns how many
 * came. */
static size_t collect_fds(struct msghdr *hdr, int *got, size_t max)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++, n++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (n < max)
                got[n] = fd;
            else
                fd_closep(&fd);
        }
    }
    return n;
}

static int keep_fds(struct varlink *stream, const int *fds, size_t n)
{
    if (n > stream->limits.fds_max || stream->n_waiting + n > FDS_IN)
        return -EPROTO;
    for (size_t i = 0; i < n; i++)
        stream->waiting[stream->n_waiting++] =
            (struct passed_fd){ fds[i], stream->base + stream->end - 1 };
    return 0;
}

int varlink_fill(struct varlink *stream)
{
    int r = make_room(stream);
    if (r < 0)
        return r;

    union {
        char buf[CMSG_SPACE(sizeof(int) * VARLINK_FDS_MAX)];
        struct cmsghdr align;
    } control;
    struct iovec iov = { stream->in + stream->end, stream->size - stream->end };
    struct msghdr hdr = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.buf,
                          .msg_controllen = sizeof control.buf };
    ssize_t len;
    do
        len = recvmsg(stream->fd, &hdr, MSG_CMSG_CLOEXEC);
    while (len < 0 && errno == EINTR);
    if (len < 0)
        return -errno;

    int got[VARLINK_FDS_MAX];
    size_t n = collect_fds(&hdr, got, VARLINK_FDS_MAX);
    stream->end += (size_t)len;
    r = (hdr.msg_flags & MSG_CTRUNC) ? -EPROTO : keep_fds(stream, got, n);
    if (r < 0) {
        for (size_t i = 0; i < n && i < VARLINK_FDS_MAX; i++)
            fd_closep(&got[i]);
        return r;
    }
    return len > 0;
}

/* The length without NUL of the first whole message, or -1. */
static ssize_t message_length(struct varlink *stream)
{
    if (stream->scanned == stream->end)
        return -1;
    char *nul = memchr(stream->in + stream->scanned, '\0', stream->end - stream->scanned);
    stream->scanned = nul ? (size_t)(nul - stream->in) : stream->end;
    return nul ? nul - (stream->in + stream->begin) : -1;
}

bool varlink_has_message(struct varlink *stream)
{
    return message_length(stream) >= 0;
}

size_t varlink_unread(const struct varlink *stream)
{
    return stream->end - stream->begin;
}

static void consume(struct varlink *stream, size_t len)
{
    stream->begin += len;
    stream->scanned = stream->begin;
    if (stream->begin < stream->end)
        return;
    stream->base += stream->end;
    stream->begin = stream->end = stream->scanned = 0;
    if (stream->size > SMALL) {
        stream->size = 0;
        free(take_ptr(&stream->in));
    }
}

/* What came up to the end of the message that was just consumed is that message's. */
static int claim_fds(struct varlink *stream)
{
    uint64_t here = stream->base + stream->begin;
    size_t n = 0;
    while (n < stream->n_waiting && stream->waiting[n].position < here)
        n++;
    if (n > stream->limits.fds_max)
        return -EPROTO;
    for (size_t i = 0; i < n; i++)
        stream->taken[i] = stream->waiting[i].fd;
    stream->n_taken = n;
    stream->n_waiting -= n;
    memmove(stream->waiting, stream->waiting + n, stream->n_waiting * sizeof *stream->waiting);
    return 0;
}

int varlink_next(struct varlink *stream, json_t **ret)
{
    forget_taken(stream);
    ssize_t len = message_length(stream);
    if (len < 0)
        return varlink_unread(stream) > stream->limits.message_max ? -EMSGSIZE : 0;
    if ((size_t)len > stream->limits.message_max)
        return -EMSGSIZE;

    /* JSON_ALLOW_NUL: "\u0000" is valid JSON; who does not want it says so in words. */
    json_error_t error;
    json_t *message = json_loadb(stream->in + stream->begin, (size_t)len,
                                 JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!message)
        return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
    consume(stream, (size_t)len + 1);
    int r = json_is_object(message) ? claim_fds(stream) : -EBADMSG;
    if (r < 0) {
        json_decref(message);
        return r;
    }
    *ret = message;
    return 1;
}

size_t varlink_n_fds(const struct varlink *stream)
{
    return stream->n_taken;
}

int varlink_take_fd(struct varlink *stream, size_t index)
{
    return index < stream->n_taken ? fd_take(&stream->taken[index]) : -1;
}

int varlink_receive(struct varlink *stream, json_t **ret)
{
    for (;;) {
        int r = varlink_next(stream, ret);
        if (r != 0)
            return r < 0 ? r : 0;
        r = varlink_fill(stream);
        if (r <= 0)
            return r < 0 ? r : -ECONNRESET;
    }
}

/* ---- sending ---- */

/* text: taken over on success. */
static int queue(struct varlink *stream, char *text, const struct varlink_fds *fds)
{
    size_t len = strlen(text) + 1;
    if (stream->pending + len > stream->limits.output_max)
        return -ENOBUFS;
    struct output *out = calloc(1, sizeof *out);
    if (!out)
        return -ENOMEM;
    out->text = text;
    out->len = len;
    if (fds)
        out->fds = *fds;
    STAILQ_INSERT_TAIL(&stream->out, out, link);
    stream->pending += len;
    return 0;
}

int varlink_queue(struct varlink *stream, const json_t *message, const struct varlink_fds *fds)
{
    if (fds && (fds->n == 0 || fds->n > VARLINK_FDS_MAX))
        return -EINVAL;
    AUTO_FREE char *text = NULL;
    int r = json_text(message, JSON_COMPACT, &text);
    if (r == 0)
        r = queue(stream, text, fds);
    if (r == 0)
        (void)take_ptr(&text);
    return r;
}

int varlink_queue_text(struct varlink *stream, const char *message)
{
    AUTO_FREE char *text = strdup(message);
    if (!text)
        return -ENOMEM;
    int r = queue(stream, text, NULL);
    if (r == 0)
        (void)take_ptr(&text);
    return r;
}

static int send_some(struct varlink *stream, struct output *out)
{
    union {
        char buf[CMSG_SPACE(sizeof(int) * VARLINK_FDS_MAX)];
        struct cmsghdr align;
    } control = { { 0 } };
    struct iovec iov = { out->text + out->sent, out->len - out->sent };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (out->fds.n > 0) {
        hdr.msg_control = control.buf;
        hdr.msg_controllen = CMSG_SPACE(sizeof(int) * out->fds.n);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * out->fds.n);
        memcpy(CMSG_DATA(cmsg), out->fds.fds, sizeof(int) * out->fds.n);
    }
    ssize_t n;
    do
        n = sendmsg(stream->fd, &hdr, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    out->sent += (size_t)n;
    stream->pending -= (size_t)n;
    release_fds(out); /* they went with the first byte */
    return 0;
}

int varlink_flush(struct varlink *stream)
{
    struct output *out;
    while ((out = STAILQ_FIRST(&stream->out))) {
        int r = send_some(stream, out);
        if (r == -EAGAIN || r == -EWOULDBLOCK)
            return 0;
        if (r < 0)
            return r;
        if (out->sent == out->len)
            drop_output(stream, out);
    }
    return 1;
}

size_t varlink_pending(const struct varlink *stream)
{
    return stream->pending;
}
