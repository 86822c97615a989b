/* SPDX-License-Identifier: Apache-2.0 */
/* Varlink's framing: what a stream says must not depend on how it is cut into packets.
 *
 * The first byte of the input chooses the cuts, the rest is the stream. It is read twice,
 * in one piece and cut up, with a descriptor passed along with some of the pieces; both
 * readings must give the same messages and end in the same way.
 */
#include "fd.h"
#include "fuzz.h"
#include "varlink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define MESSAGE_MAX 4096 /* small, so that the limit is met, and the buffer moves and grows */
#define STREAM_MAX  32768

static void send_piece(int sock, const uint8_t *data, size_t len, const int *fd)
{
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { { 0 } };
    struct iovec iov = { (void *)(uintptr_t)data, len };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (fd) {
        hdr.msg_control = control.buf;
        hdr.msg_controllen = sizeof control.buf;
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), fd, sizeof(int));
    }
    MUST(sendmsg(sock, &hdr, MSG_NOSIGNAL) == (ssize_t)len);
}

struct reading {
    json_t *messages;
    size_t n_fds;
    int end; /* 0, or the error that ended it */
};

static void take_messages(struct varlink *stream, struct reading *ret)
{
    json_t *message = NULL;

    while (ret->end == 0) {
        bool whole = varlink_has_message(stream);
        int r = varlink_next(stream, &message);
        MUST(r <= 1 && (r != 1 || whole));
        if (r == 0)
            return;
        ret->end = r < 0 ? r : 0;
        if (r < 0)
            return;
        MUST(varlink_n_fds(stream) <= VARLINK_FDS_MAX);
        for (size_t i = 0; i < varlink_n_fds(stream); i += 2) { /* half of them stay */
            AUTO_FD fd = varlink_take_fd(stream, i);
            MUST(fd >= 0 && varlink_take_fd(stream, i) < 0);
        }
        ret->n_fds += varlink_n_fds(stream);
        MUST(json_array_append_new(ret->messages, message) == 0);
    }
}

static void take_piece(struct varlink *stream, struct reading *ret)
{
    int r;

    while (ret->end == 0 && (r = varlink_fill(stream)) != -EAGAIN && r != 0) {
        if (r < 0 && r != -EMSGSIZE) {
            MUST(r == -EPROTO);
            ret->end = r;
            return;
        }
        take_messages(stream, ret);
        MUST(r != -EMSGSIZE || ret->end != 0 || varlink_unread(stream) <= MESSAGE_MAX);
    }
}

/* cuts 0: in one piece, without descriptors. */
static struct reading read_stream(const uint8_t *data, size_t size, uint32_t cuts)
{
    static const struct varlink_limits limits = { MESSAGE_MAX, 1 << 20, VARLINK_FDS_MAX };
    struct reading reading = { .messages = json_array() };
    AUTO_FD passed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int pair[2];

    MUST(reading.messages && passed >= 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    AUTO_FD ours = pair[0];
    struct varlink *stream = varlink_new(pair[1], &limits);
    MUST(stream);
    while (size > 0 && reading.end == 0) {
        size_t len = size;
        if (cuts != 0) {
            cuts = cuts * 1103515245u + 12345u;
            len = 1 + (cuts >> 16) % (cuts & 0x8000000 ? 8 : 3000);
            len = len < size ? len : size;
        }
        send_piece(ours, data, len, cuts & 0x30000 ? NULL : cuts ? &passed : NULL);
        data += len;
        size -= len;
        take_piece(stream, &reading);
    }
    varlink_free(stream);
    return reading;
}

FUZZ(data, size)
{
    if (size < 1 || size > STREAM_MAX)
        return;
    unsigned fds = fuzz_open_fds();
    struct reading whole = read_stream(data + 1, size - 1, 0);
    struct reading cut = read_stream(data + 1, size - 1, data[0] + 1u);

    if (cut.end != -EPROTO) { /* a stream of many small pieces may carry too many descriptors */
        MUST(whole.end == cut.end);
        MUST(json_equal(whole.messages, cut.messages));
    }
    json_decref(whole.messages);
    json_decref(cut.messages);
    MUST(fuzz_open_fds() == fds);
}
