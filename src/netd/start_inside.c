/* SPDX-License-Identifier: Apache-2.0 */
/* start_inside.c - netd enters the anchor's namespaces and becomes what it is there.
 *
 * It takes over what a dead netd has left before it serves: whoever connects sees all of it.
 * The callbacks join parts that know nothing of each other.
 */
#include "netd.h"

#include "anchor.h"
#include "bridge.h"
#include "fd.h"
#include "log.h"
#include "sandbox.h"

static int on_request(void *arg, struct session *session, const struct netd_msg *msg)
{
    struct netd *nd = arg;

    return ops_serve(&nd->ops, session, msg);
}

static int on_other_version(void *arg, struct session *session, const struct netd_header *header)
{
    struct netd *nd = arg;

    return ops_refuse_version(&nd->ops, session, header);
}

static void on_broker_gone(void *arg)
{
    const struct netd *nd = arg;

    life_consider(nd->life);
}

static int on_admit(void *arg, int fd)
{
    const struct netd *nd = arg;

    return spawner_admit(nd->spawner, fd);
}

static int on_listen(void *arg)
{
    const struct netd *nd = arg;

    return spawner_listen(nd->spawner);
}

static void on_unlisten(void *arg)
{
    const struct netd *nd = arg;
    int r = spawner_unlisten(nd->spawner);

    if (r < 0)
        (void)log_failure(r, "cannot remove %s", nd->place.socket_path);
}

static void on_tap_gone(void *arg, const struct netd_interface *interface)
{
    ops_tap_gone(arg, interface);
}

static void on_lease(void *arg, const struct netd_lease *lease)
{
    ops_lease(arg, lease);
}

static void on_stranded_over(void *arg, const struct netd_stranded *stranded)
{
    ops_stranded_over(arg, stranded);
}

static void on_way(void *arg, const struct netd_uplink *uplink)
{
    ops_way(arg, uplink);
}

static void on_uplink(void *arg, const char *interface, const char *engine, const char *state)
{
    ops_uplink(arg, interface, engine, state);
}

static void on_forward(void *arg, const struct netd_forward *forward)
{
    ops_forward(arg, forward);
}

/* The kernel's, where there can be one. */
static unsigned main_slot(const struct netd *nd)
{
    return nd->hostside ? KERNEL_SLOT : 0;
}

static int make_uplinks(struct netd *nd)
{
    const struct uplink_setup setup = { .event = nd->event,
                                        .links = nd->links,
                                        .nft = nd->nft,
                                        .spawner = nd->spawner,
                                        .main_slot = main_slot(nd),
                                        .changed = on_uplink,
                                        .arg = &nd->ops };

    return uplinks_new(&setup, nd->host_routes, &nd->uplinks);
}

static int open_tools(struct netd *nd)
{
    int r;

    r = sd_event_new(&nd->event);
    if (r >= 0)
        r = link_open(&nd->links);
    if (r < 0)
        return r;
    nd->nft = nft_new();
    if (!nd->nft)
        return -ENOMEM;
    return make_uplinks(nd);
}

static void on_anchor(void *arg, const struct process *anchor)
{
    struct netd *nd = arg;

    nd->anchor = *anchor;
    if (nd->server) /* else nobody has been told of another one */
        ops_anchor(&nd->ops, anchor->pid);
}

static void on_crippled(void *arg, const char *who)
{
    struct netd *nd = arg;

    log_warning("the %s has ended; so do we, and the next netd adopts what there is", who);
    (void)sd_event_exit(nd->event, LIFE_ADOPT);
}

/* It says what the old one said, until we have looked what is left of that. */
static int begin_journal(struct netd *nd, struct netd_why *why)
{
    struct keep_setup setup = { .event = nd->event,
                                .spawner = nd->spawner,
                                .hostside = nd->hostside,
                                .anchor = on_anchor,
                                .crippled = on_crippled,
                                .arg = nd };
    int r;

    nd->old->anchor = nd->anchor;
    r = journal_begin(nd->place.dirfd, nd->old, &nd->journal);
    if (r < 0)
        return why_unwritten(why, r, nd->place.dir_path);
    setup.journal = nd->journal;
    r = keep_new(&setup, &nd->anchor, &nd->keep);
    return r < 0 ? why_failed(why, r, "cannot watch over anchor and spawner") : 0;
}

static int make_forwards(struct netd *nd)
{
    const struct forwards_setup setup = { .event = nd->event,
                                          .spawner = nd->spawner,
                                          .journal = nd->journal,
                                          .nft = nd->nft,
                                          .links = nd->links,
                                          .dirfd = nd->place.dirfd,
                                          .path = nd->place.dir_path,
                                          .changed = on_forward,
                                          .arg = &nd->ops };

    return forwards_new(&setup, &nd->forwards);
}

static int take_over_networks(struct netd *nd, struct netd_why *why)
{
    const struct network_tools tools = { .event = nd->event,
                                         .links = nd->links,
                                         .nft = nd->nft,
                                         .spawner = nd->spawner,
                                         .uplinks = nd->uplinks,
                                         .hostside = nd->hostside,
                                         .journal = nd->journal,
                                         .forwards = nd->forwards,
                                         .main_slot = main_slot(nd),
                                         .state_dirfd = nd->place.dirfd,
                                         .state_path = nd->place.dir_path };
    const struct network_events events = { .tap_gone = on_tap_gone,
                                           .lease = on_lease,
                                           .way = on_way,
                                           .stranded_over = on_stranded_over,
                                           .arg = &nd->ops };
    int r;

    r = networks_new(&tools, &events, &nd->networks, why);
    if (r < 0)
        return r;
    r = networks_adopt(nd->networks, nd->old, fd_take(&nd->forwarder), why);
    if (r < 0)
        return r;
    if (nd->leash >= 0)
        r = anchor_release(fd_take(&nd->leash));
    return r < 0 ? why_failed(why, r, "the namespaces' anchor has died") : 0;
}

static int start_serving(struct netd *nd, struct netd_why *why)
{
    const struct server_events events = { .request = on_request,
                                          .other_version = on_other_version,
                                          .broker_gone = on_broker_gone,
                                          .admit = nd->options.system ? on_admit : NULL,
                                          .listen = on_listen,
                                          .unlisten = on_unlisten,
                                          .arg = nd };
    int r;

    r = server_new(nd->event, nd->listening, nd->passed ? NULL : nd->place.socket_path, &events,
                   &nd->server);
    if (r == 0) {
        nd->listening = -1;
        r = life_new(nd->event, nd->networks, nd->server, nd->options.idle_sec, &nd->life);
    }
    if (r < 0)
        return why_failed(why, r, "cannot serve");
    nd->ops = (struct ops_context){ .networks = nd->networks,
                                    .forwards = nd->forwards,
                                    .uplinks = nd->uplinks,
                                    .server = nd->server,
                                    .life = nd->life,
                                    .anchor = nd->anchor.pid };
    return 0;
}

int netd_start_inside(struct netd *nd, struct netd_why *why)
{
    int r;

    r = anchor_enter(nd->inside);
    if (r == 0)
        r = sandbox_enter(nd->place.dir_path, nd->uplink.uid != 0);
    if (r < 0)
        return why_failed(why, r, "cannot enter the namespaces of process %d", (int)nd->inside);
    r = open_tools(nd);
    if (r < 0)
        return why_failed(why, r, "cannot open what networks are made with");
    r = bridge_prepare_namespace(nd->links, why);
    if (r < 0)
        return r;
    r = begin_journal(nd, why);
    if (r < 0)
        return r;
    r = make_forwards(nd);
    if (r < 0)
        return why_failed(why, r, "forwarded ports");
    r = take_over_networks(nd, why);
    return r < 0 ? r : start_serving(nd, why);
}
