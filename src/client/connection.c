/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Far above any honest answer (a status of a thousand interfaces is 300 KiB), and
 * small enough that a broker gone mad does not take its clients with it. */
#define MESSAGE_MAX (16u << 20)
static const struct varlink_limits limits = { .message_max = MESSAGE_MAX,
                                              .output_max = VARLINK_REQUEST_MAX + 1,
                                              .fds_max = VARLINK_FDS_MAX };

DEFINE_AUTO(json_t *, json_decref);

static pthread_mutex_t sockets = PTHREAD_MUTEX_INITIALIZER;

void connection_lock_sockets(void)
{
    (void)pthread_mutex_lock(&sockets);
}

void connection_unlock_sockets(void)
{
    (void)pthread_mutex_unlock(&sockets);
}

/* The descriptor is known to connection_forget() from the moment it exists. */
static int new_socket(struct connection *c)
{
    int r = 0;
    connection_lock_sockets();
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        r = -errno;
    } else {
        c->stream = varlink_new(c->fd, &limits);
        if (!c->stream) {
            fd_closep(&c->fd);
            r = -ENOMEM;
        }
    }
    connection_unlock_sockets();
    return r;
}

int connection_open(struct connection *c, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int r = str_copy(address.sun_path, sizeof address.sun_path, path);
    if (r == 0)
        r = new_socket(c);
    if (r < 0)
        return r;

    do
        r = connect(c->fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    while (r == -EINTR); /* a Unix socket that was interrupted has not connected */
    if (r < 0)
        connection_close(c);
    return r;
}

int connection_server_uid(const struct connection *c, uid_t *ret)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    *ret = cred.uid;
    return 0;
}

void connection_close(struct connection *c)
{
    connection_lock_sockets();
    varlink_free(c->stream);
    *c = (struct connection)CONNECTION_INIT;
    connection_unlock_sockets();
}

void connection_forget(struct connection *c)
{
    fd_closep(&c->fd);
    c->stream = NULL;
}

void reply_clear(struct reply *reply)
{
    for (size_t i = 0; i < reply->n_fds; i++)
        fd_closep(&reply->fds[i]);
    json_decref(reply->message);
    *reply = (struct reply)REPLY_INIT;
}

const char *reply_why(const struct reply *reply)
{
    const char *why = json_string_value(json_object_get(reply->parameters, "message"));
    return why ? why : "";
}

/* What the stream says has many faces; callers care about these. */
static int simplify(int err)
{
    switch (err) {
    case -ENOMEM:
        return -ENOMEM;
    case -EMSGSIZE:
    case -EPROTO:
    case -EBADMSG:
        return -EPROTO;
    default:
        return -ECONNRESET;
    }
}

int connection_send(struct connection *c, const char *method, json_t *parameters, bool more)
{
    AUTO(json_decref)
    json_t *call =
        json_pack("{s:o, s:o*}", "method", json_sprintf("%s.%s", BROKER_INTERFACE, method),
                  "parameters", parameters);
    if (!call || (more && json_object_set_new(call, "more", json_true()) < 0))
        return -ENOMEM;
    int r = varlink_queue(c->stream, call, NULL);
    if (r == -ENOBUFS)
        return -E2BIG;
    if (r == 0)
        r = varlink_flush(c->stream);
    return r < 0 ? simplify(r) : 0;
}

static enum status error_status(const char *name)
{
    static const char ours[] = BROKER_INTERFACE ".";
    if (strncmp(name, ours, sizeof ours - 1) == 0)
        return status_from_error_name(name + sizeof ours - 1);
    /* org.varlink.service.*: the broker does not know the method, or its form. */
    return STATUS_INVALID_REQUEST;
}

/* Splits a message into what it says; its form is the Varlink specification's. */
static int understand(struct reply *reply)
{
    json_t *parameters = json_object_get(reply->message, "parameters");
    json_t *error = json_object_get(reply->message, "error");
    json_t *continues = json_object_get(reply->message, "continues");

    if (!json_is_object(reply->message) || (error && !json_is_string(error)) ||
        (continues && !json_is_boolean(continues)))
        return -EPROTO;
    if (!parameters || json_is_null(parameters)) {
        parameters = json_object();
        if (!parameters || json_object_set_new(reply->message, "parameters", parameters) < 0)
            return -ENOMEM;
    }
    if (!json_is_object(parameters))
        return -EPROTO;
    reply->parameters = parameters;
    reply->continues = json_is_true(continues);
    reply->error = error ? error_status(json_string_value(error)) : STATUS_SUCCESS;
    return 0;
}

int connection_receive(struct connection *c, struct reply *ret)
{
    int r = varlink_receive(c->stream, &ret->message);
    if (r < 0)
        return simplify(r);
    while (ret->n_fds < varlink_n_fds(c->stream)) {
        ret->fds[ret->n_fds] = varlink_take_fd(c->stream, ret->n_fds);
        ret->n_fds++;
    }
    return understand(ret);
}

int connection_call(struct connection *c, const char *method, json_t *parameters, struct reply *ret)
{
    int r = connection_send(c, method, parameters, false);
    if (r == 0 || r == -ECONNRESET) /* who hangs up may have said why before */
        r = connection_receive(c, ret);
    if (r == 0 && (ret->continues || varlink_unread(c->stream) > 0))
        r = -EPROTO;
    return r;
}
