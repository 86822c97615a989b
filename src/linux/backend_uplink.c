/* SPDX-License-Identifier: Apache-2.0 */
/* backend_uplink.c - what netd tells of the ways out: the one by the host's routes, and one
 * for each interface of the host's that a definition names.
 *
 * Handles point to a text each, so texts stay where they are as long as the backend lives;
 * there are as few as there are interfaces.
 */
#include "backend_record.h"

#include "log.h"
#include "str.h"

#include <stdlib.h>
#include <string.h>

struct known_uplink {
    TAILQ_ENTRY(known_uplink) link;
    char interface[NETD_TAP_SIZE];
    char state[NETD_WHY_SIZE];
};

static char *text_of(struct backend_netd *b, const char *interface)
{
    struct known_uplink *u;

    if (interface[0] == '\0')
        return b->uplink;
    TAILQ_FOREACH (u, &b->uplinks, link)
        if (strcmp(u->interface, interface) == 0)
            return u->state;
    u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    (void)str_copy(u->interface, sizeof u->interface, interface);
    (void)str_copy(u->state, sizeof u->state, "checking");
    TAILQ_INSERT_TAIL(&b->uplinks, u, link);
    return u->state;
}

const char *uplink_of(struct backend_netd *b, const struct netd_network *spec)
{
    const char *text = spec_has_uplink(spec) ? text_of(b, spec->external_interface) : "none";
    return text ? text : "checking";
}

static void take(char *text, const char *state)
{
    bool none = state[0] == '\0' || strcmp(state, "none") == 0; /* until one is needed */
    (void)str_copy(text, NETD_WHY_SIZE, none ? "checking" : state);
}

void uplink_take_welcome(struct backend_netd *b)
{
    take(b->uplink, netd_line_uplink(b->line));
}

static void tell_record(const struct backend_netd *b, const struct record *record)
{
    const struct event event = { .kind = EVENT_UPLINK_CHANGED,
                                 .network = record->def.name,
                                 .message = record->handle.uplink };

    if (record->held && b->events.happened)
        b->events.happened(b->events.arg, &event);
}

static void tell(const struct backend_netd *b, const char *interface)
{
    const struct record *record;
    TAILQ_FOREACH (record, &b->records, link) {
        const struct netd_network *spec = &record->handle.spec;
        if (spec_has_uplink(spec) && record->uplink[0] == '\0' &&
            strcmp(spec->external_interface, interface) == 0)
            tell_record(b, record);
    }
}

/* In a system instance a network may have one of its own (netd/network_way.c). */
static void take_own(struct backend_netd *b, const struct netd_uplink *uplink)
{
    struct record *record = record_find(b, uplink->network);

    if (strcmp(b->uplink_note, uplink->note) != 0 && uplink->note[0] != '\0')
        log_warning("%s", uplink->note);
    (void)str_copy(b->uplink_note, sizeof b->uplink_note, uplink->note);
    if (!record || strcmp(record->uplink, uplink->state) == 0)
        return;
    take(record->uplink, uplink->state);
    record->handle.uplink = record->uplink;
    log_info("network '%s': uplink (%s): %s", record->def.name, uplink->engine, record->uplink);
    tell_record(b, record);
}

void uplink_changed(struct backend_netd *b, const struct netd_uplink *uplink)
{
    if (uplink->network[0] != '\0') {
        take_own(b, uplink);
        return;
    }
    char *text = text_of(b, uplink->interface);

    if (!text || strcmp(text, uplink->state) == 0)
        return;
    take(text, uplink->state);
    log_info("uplink%s%s (%s): %s", uplink->interface[0] != '\0' ? " by " : "", uplink->interface,
             uplink->engine, text);
    tell(b, uplink->interface);
}

static const char *failure_of(const char *state)
{
    static const char failed[] = "failed: ";
    return strncmp(state, failed, strlen(failed)) == 0 ? state + strlen(failed) : NULL;
}

/* The note is about what these share; without one of them it is about nothing. */
static bool any_leaves_by_own(const struct backend_netd *b)
{
    const struct record *record;

    TAILQ_FOREACH (record, &b->records, link)
        if (record->present && record->uplink[0] != '\0')
            return true;
    return false;
}

const char *uplink_problem(struct backend_netd *b)
{
    const char *why = failure_of(b->uplink);
    const struct known_uplink *u;

    if (b->uplink_note[0] != '\0' && any_leaves_by_own(b))
        return b->uplink_note;
    if (why && str_format(b->problem, sizeof b->problem, "the uplink has failed: %s", why) == 0)
        return b->problem;
    TAILQ_FOREACH (u, &b->uplinks, link) {
        why = failure_of(u->state);
        if (why && str_format(b->problem, sizeof b->problem, "the uplink by '%s' has failed: %s",
                              u->interface, why) == 0)
            return b->problem;
    }
    return NULL;
}

void uplinks_forget(struct backend_netd *b)
{
    struct known_uplink *u;
    while ((u = TAILQ_FIRST(&b->uplinks))) {
        TAILQ_REMOVE(&b->uplinks, u, link);
        free(u);
    }
}
