/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_transport.h"

#include "fake_backend.h"
#include "report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void answered(struct call *call, enum fake_answer answer)
{
    assert_int_equal(call->answer, FAKE_NOTHING_YET); /* exactly once */
    call->answer = answer;
    if (call->then)
        call->then(call->arg);
}

static void fake_answer_network(struct call *call, const struct net_handle *handle)
{
    assert_non_null(handle);
    call->network = handle;
    answered(call, FAKE_NETWORK);
}

static void fake_answer_interface(struct call *call, struct iface_handle *handle)
{
    assert_non_null(handle);
    fake_iface_free(handle);
    answered(call, FAKE_INTERFACE);
}

static void copy_network(struct fake_network_view *out, const struct network_view *in)
{
    (void)snprintf(out->name, sizeof out->name, "%s", in->def->name);
    (void)snprintf(out->state, sizeof out->state, "%s", in->state);
    out->clients = in->clients;
    out->interfaces = in->interfaces;
    out->exists = in->handle != NULL;
    out->n_holders = in->n_holders;
    for (size_t i = 0; i < in->n_holders && i < 8; i++)
        out->holders[i] = in->holders[i].pid;
}

static void fake_answer_report(struct call *call, const struct broker_report *report)
{
    call->n_networks = report->n_networks;
    for (size_t i = 0; i < report->n_networks && i < 4; i++)
        copy_network(&call->networks[i], &report->networks[i]);
    (void)snprintf(call->problem, sizeof call->problem, "%s",
                   report->backend.n_problems > 0 ? report->backend.problems[0] : "");
    call->uptime_usec = report->uptime_usec;
    call->detailed = report->detailed;
    call->sees_all = report->sees_all;
    answered(call, FAKE_REPORT);
}

static void fake_answer_event(struct call *call, const struct event *event)
{
    struct fake_event *out = &call->events[call->n_events % 8];

    assert_int_equal(call->answer, FAKE_NOTHING_YET);
    call->n_events++;
    *out = (struct fake_event){ .kind = event->kind,
                                .client = event->client != NULL,
                                .interface = event->interface != NULL,
                                .count = event->count };
    (void)snprintf(out->network, sizeof out->network, "%s", event->network ? event->network : "");
    (void)snprintf(out->message, sizeof out->message, "%s", event->message ? event->message : "");
}

static void fake_answer_leases(struct call *call, const struct lease_view *leases, size_t n)
{
    (void)leases;
    call->n_leases = n;
    answered(call, FAKE_LEASES);
}

static void fake_answer_done(struct call *call)
{
    answered(call, FAKE_DONE);
}

static void fake_answer_error(struct call *call, enum status status, const char *message)
{
    call->status = status;
    (void)snprintf(call->message, sizeof call->message, "%s", message);
    answered(call, FAKE_ERROR);
}

const struct transport_ops fake_transport_ops = {
    .answer_network = fake_answer_network,
    .answer_interface = fake_answer_interface,
    .answer_report = fake_answer_report,
    .answer_event = fake_answer_event,
    .answer_leases = fake_answer_leases,
    .answer_done = fake_answer_done,
    .answer_error = fake_answer_error,
};
