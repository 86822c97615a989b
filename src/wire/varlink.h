/* SPDX-License-Identifier: Apache-2.0 */
/* varlink.h - Varlink's framing: JSON objects ended by NUL, with descriptors.
 *
 * Used by the broker, the client library and the command line. A stream works on a
 * socket that it is given and knows no event loop: on a non-blocking socket every
 * function does what it can and says -EAGAIN or "not all"; on a blocking one,
 * varlink_flush() and varlink_receive() wait.
 *
 * Descriptors travel as SCM_RIGHTS with the first byte of the message that they belong
 * to, and no byte of another message is sent with them. Received, they belong to the
 * message that holds the last byte of the packet that brought them.
 *
 * Everything is bounded: a message by message_max, unread input by about the same, what
 * waits to be sent by output_max, descriptors by fds_max.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define VARLINK_REQUEST_MAX 65536u /* bytes of one request without its NUL */
#define VARLINK_FDS_MAX     16u    /* descriptors of one message */

struct varlink; /* one stream */

struct varlink_limits {
    size_t message_max; /* of what is received, in bytes without the NUL */
    size_t output_max;  /* bytes that may wait to be sent */
    size_t fds_max;     /* received with one message; at most VARLINK_FDS_MAX */
};

/* fd: taken over. NULL without memory (then fd stays the caller's). */
struct varlink *varlink_new(int fd, const struct varlink_limits *limits);
/* Closes the socket and what descriptors nobody took. NULL is fine. */
void varlink_free(struct varlink *stream);
int varlink_fd(const struct varlink *stream);

/* ---- receiving ---- */

/* Read once. 1: something came; 0: end of stream; -EAGAIN; -EMSGSIZE: no room, a message
 * of message_max is waiting to be taken or has no end; -EPROTO: more descriptors than
 * allowed (all of them are closed); another negative errno: the connection broke. */
int varlink_fill(struct varlink *stream);

/* The next whole message. 1 with *ret, the caller's; 0: none yet; -EMSGSIZE: over
 * message_max; -EBADMSG: not UTF-8, not JSON, nested too deeply, a key twice, or not an
 * object; -ENOMEM. The descriptors of the message before, if not taken, are closed. */
int varlink_next(struct varlink *stream, json_t **ret);

/* Is there a whole message that varlink_next() would give (or refuse)? */
bool varlink_has_message(struct varlink *stream);
/* Bytes received that varlink_next() has not taken. */
size_t varlink_unread(const struct varlink *stream);

/* The descriptors that came with the message that varlink_next() gave last. */
size_t varlink_n_fds(const struct varlink *stream);
/* Ownership passes to the caller; -1 for an index that does not exist or was taken. */
int varlink_take_fd(struct varlink *stream, size_t index);

/* For a blocking socket: wait for the next message. 0 with *ret; -ECONNRESET at the end
 * of the stream; or as varlink_fill() and varlink_next(). */
int varlink_receive(struct varlink *stream, json_t **ret);

/* ---- sending ---- */

/* Descriptors to be sent, borrowed until release(arg), which is called once: when they
 * were sent, or when they never will be. */
struct varlink_fds {
    const int *fds;
    size_t n; /* 1 to VARLINK_FDS_MAX */
    void (*release)(void *arg);
    void *arg;
};

/* Append a message to what waits to be sent. fds: NULL for none. 0; -ENOBUFS: over
 * output_max; -EINVAL: not serializable; -ENOMEM. On error nothing was queued, and
 * release() will not be called. */
int varlink_queue(struct varlink *stream, const json_t *message, const struct varlink_fds *fds);
/* The same for a message that is text already. It is copied. */
int varlink_queue_text(struct varlink *stream, const char *message);

/* Write what the socket takes. 1: all is written; 0: more waits; or a negative errno:
 * the connection broke. Raises no SIGPIPE. */
int varlink_flush(struct varlink *stream);

/* Bytes that wait to be sent. */
size_t varlink_pending(const struct varlink *stream);
