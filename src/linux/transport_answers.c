/* SPDX-License-Identifier: Apache-2.0 */
/* transport_answers.c - what the core answers, in the form in which the client gets it.
 *
 * What a client does not read stays in our memory: one reply, or what may be sent of events and
 * reports, each with its limit. Sending never ends the connection, for an answer may come from
 * within a verb of the core; that the client is gone is only noted (transport_connection.c).
 */
#include "transport_part.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "varlink_forwards.h"
#include "varlink_replies.h"

#include <errno.h>

#define EVENTS_PENDING (64u << 10) /* bytes of events that a client has not read */
#define UNREAD_MAX     (8u << 20)  /* bytes of one user's answers, whatever the connections */

/* ---- sending ---- */

static void count_unread(struct connection *c)
{
    size_t unread = varlink_pending(c->stream);
    c->share->unread = c->share->unread - c->unread + unread;
    c->unread = unread;
}

void connection_flush(struct connection *c)
{
    int r = varlink_flush(c->stream);
    count_unread(c);
    if (r < 0) {
        log_debug("%s no longer listens", c->tag);
        c->broken = true;
    }
}

static void end_call(struct connection *c)
{
    c->call.active = false;
    connection_soon(c);
}

/* Sends what has been queued; r < 0: what could not be. */
static void send_reply(struct connection *c, int r)
{
    if (r < 0)
        connection_fault(c, r == -ENOBUFS ? "asks for more than can be sent at once"
                                          : "cannot be answered for lack of memory");
    else
        connection_flush(c);
}

/* Sends one reply, which is the call's last unless it continues. message: taken over; NULL:
 * memory was short. Returns 0 when fds have been taken over too. */
static int reply(struct connection *c, json_t *message, const struct varlink_fds *fds,
                 bool continues)
{
    int r = message ? 0 : -ENOMEM;
    if (r == 0 && continues)
        r = json_object_set_new(message, "continues", json_true());
    if (r == 0)
        r = varlink_queue(c->stream, message, fds);
    json_decref(message);
    send_reply(c, r);
    if (!continues)
        end_call(c);
    return r;
}

void connection_reply(struct connection *c, json_t *message, bool continues)
{
    if (!c->call.oneway) {
        (void)reply(c, message, NULL, continues);
        return;
    }
    json_decref(message);
    end_call(c);
}

/* params: taken over; NULL: memory was short. */
static void reply_params(struct connection *c, json_t *params, bool continues)
{
    connection_reply(c, json_pack("{s:o}", "parameters", params), continues);
}

void connection_refuse(struct connection *c, json_t *error, const struct failure *why)
{
    if (why->why[0] != '\0')
        log_user(c->uid, LOG_LEVEL_INFO, "%s refused: %s", c->tag, why->why);
    connection_reply(c, error, false);
}

/* ---- what the core answers ---- */

static struct connection *connection_of(struct call *call)
{
    return container_of(call, struct connection, call);
}

static void answer_network(struct call *call, const struct net_handle *handle)
{
    struct connection *c = connection_of(call);
    if (!call->oneway) {
        const char *text = kept_reply_get(&c->transport->acquired, handle);
        send_reply(c, text ? varlink_queue_text(c->stream, text) : -ENOMEM);
    }
    end_call(c);
}

static void release_interface(void *handle)
{
    iface_handle_free(handle);
}

static void answer_interface(struct call *call, struct iface_handle *handle)
{
    struct connection *c = connection_of(call);
    struct varlink_fds fds = { handle->fds, handle->n_fds, release_interface, handle };

    if (call->oneway) { /* nobody gets it: the TAP goes with its descriptors */
        iface_handle_free(handle);
        reply_params(c, NULL, false);
        return;
    }
    json_t *message = json_pack("{s:o}", "parameters", start_interface_reply(handle));
    if (reply(c, message, &fds, false) < 0)
        iface_handle_free(handle);
}

/* One network a reply; the last one, or the only one without a network, ends the call. */
static void answer_list_piecewise(struct connection *c, const struct broker_report *report)
{
    for (size_t i = 0; i + 1 < report->n_networks; i++)
        reply_params(c, list_reply_one(&report->networks[i]), true);
    size_t n = report->n_networks;
    reply_params(c, list_reply_one(n > 0 ? &report->networks[n - 1] : NULL), false);
}

static void serialize_report(struct connection *c, const struct broker_report *report)
{
    if (report->forwards)
        reply_params(c, forwards_reply(report), false);
    else if (report->detailed)
        reply_params(c, status_reply(report, &c->transport->about), false);
    else if (c->call.more && !c->call.oneway)
        answer_list_piecewise(c, report);
    else
        reply_params(c, list_reply(report), false);
}

/* The only answers that can be large, and that take their time. */
static void answer_report(struct call *call, const struct broker_report *report)
{
    struct connection *c = connection_of(call);
    uint64_t began = monotonic_usec();
    bool in_turn = c->in_proceed; /* which is counted as a whole */
    struct failure why;

    if (c->share->unread <= UNREAD_MAX) {
        serialize_report(c, report);
    } else {
        (void)failure_set(&why, -EDQUOT,
                          "uid %u has %zu bytes of answers that its clients have not read, more "
                          "than the %u that one user may have: read them, or end these clients",
                          (unsigned)c->uid, c->share->unread, UNREAD_MAX);
        connection_refuse(c, status_message(STATUS_NOT_ALLOWED, why.why), &why);
    }
    if (!in_turn)
        time_share_spend(&c->share->time, began, monotonic_usec());
}

static void tell_missed(struct connection *c)
{
    const struct event missed = { .kind = EVENT_MISSED, .count = c->missed };

    if (c->missed == 0)
        return;
    c->missed = 0;
    reply_params(c, event_reply(&missed), true);
}

/* Who has read all there was must not wait for the next event to know that some were left out. */
void connection_caught_up(struct connection *c)
{
    if (!c->broken && varlink_pending(c->stream) == 0)
        tell_missed(c);
}

/* What waits to be sent is never more than a replyful: a client that does not read misses
 * events, and nothing else. */
static void answer_event(struct call *call, const struct event *event)
{
    struct connection *c = connection_of(call);

    if (call->oneway || c->broken)
        return;
    if (varlink_pending(c->stream) > EVENTS_PENDING) {
        c->missed++;
        return;
    }
    tell_missed(c);
    reply_params(c, event_reply(event), true);
    connection_soon(c);
}

static void answer_leases(struct call *call, const struct lease_view *leases, size_t n)
{
    reply_params(connection_of(call), leases_reply(leases, n), false);
}

static void answer_done(struct call *call)
{
    reply_params(connection_of(call), json_object(), false);
}

static void answer_error(struct call *call, enum status status, const char *message)
{
    connection_reply(connection_of(call), status_message(status, message), false);
}

const struct transport_ops transport_varlink_ops = {
    .answer_network = answer_network,
    .answer_interface = answer_interface,
    .answer_report = answer_report,
    .answer_event = answer_event,
    .answer_leases = answer_leases,
    .answer_done = answer_done,
    .answer_error = answer_error,
};
