/* SPDX-License-Identifier: Apache-2.0 */
/* hostside_main.c - the process: confines itself, then serves one request after the other.
 *
 * What is on none of the lists below, and would be worth having for somebody who has taken it
 * over: any other capability, entering namespaces, starting programs, connecting to anything,
 * files but the kernel's network settings. What CAP_NET_ADMIN over the host allows remains:
 * docs/threat-model.md.
 */
#include "hostside_part.h"

#include "log.h"
#include "mem.h"
#include "packet.h"
#include "partner.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <string.h>
#include <unistd.h>

/* ---- requests ------------------------------------------------------------------------ */

static int serve_join(struct host *host, const struct hostside_request *request,
                      struct hostside_reply *reply)
{
    struct host_link *link = &host->at[request->body.join.index];
    int r;

    link->net = request->body.join;
    r = host_link_make(host, link, &reply->why);
    if (r < 0)
        return r;
    link->known = true;
    r = host_table_add(host, link);
    if (r < 0) {
        link->known = false;
        (void)host_link_delete(host, link->net.index);
        (void)host_table_remove(host, link);
        return why_refused(&reply->why, r, "cannot make the host's rules: %s",
                           nft_error(host->rules));
    }
    reply->body.families = link->families;
    return 0;
}

static int serve_part(struct host *host, const struct hostside_request *request,
                      struct hostside_reply *reply)
{
    struct host_link *link = &host->at[request->body.part];
    bool known = link->known;
    int r, gone;

    link->known = false;
    r = host_link_delete(host, request->body.part);
    if (known)
        gone = host_table_remove(host, link);
    else
        gone = host->watch.unwritten ? host_table_write(host) : 0;
    if (r < 0)
        return why_failed(&reply->why, r, "cannot delete the host's link");
    return gone < 0 ? why_refused(&reply->why, gone, "cannot remove the host's rules: %s",
                                  nft_error(host->rules))
                    : 0;
}

static int serve_sweep(struct host *host, const struct hostside_request *request,
                       struct hostside_reply *reply)
{
    int r = host_links_sweep(host);
    int written = host_table_write(host);

    (void)request;
    if (r < 0)
        return why_failed(&reply->why, r, "cannot delete links of an earlier life");
    return written < 0 ? why_refused(&reply->why, written, "cannot write the host's rules: %s",
                                     nft_error(host->rules))
                       : 0;
}

/* All that can be asked. */
static int (*const serve[HOSTSIDE_OPS])(struct host *host, const struct hostside_request *request,
                                        struct hostside_reply *reply) = {
    [HOSTSIDE_JOIN] = serve_join,         [HOSTSIDE_PART] = serve_part,
    [HOSTSIDE_SWEEP] = serve_sweep,       [HOSTSIDE_NAT_PLAN] = serve_nat_plan,
    [HOSTSIDE_NAT_MAKE] = serve_nat_make, [HOSTSIDE_NAT_END] = serve_nat_end,
    [HOSTSIDE_NAT_ARM] = serve_nat_arm,   [HOSTSIDE_NAT_LOOK] = serve_nat_look,
    [HOSTSIDE_NAT_REST] = serve_nat_rest,
};

void hostside_serve(struct host *host, const struct hostside_request *request,
                    struct hostside_reply *reply)
{
    reply->err = hostside_check(host->at, request, &reply->why);
    if (reply->err == 0)
        reply->err = serve[request->op](host, request, reply);
}

static int serve_one(struct host *host)
{
    struct hostside_request request;
    struct hostside_reply reply = { 0 };
    int fds[PACKET_FDS], r;
    size_t n = 0;

    r = packet_receive(host->sock, &request, sizeof request, fds, &n);
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]); /* nobody has any to give */
    if (r < 0)
        return r;
    hostside_serve(host, &request, &reply);
    return packet_send(host->sock, &reply, sizeof reply, NULL, 0);
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct host *host = arg;

    (void)source;
    (void)fd;
    (void)events;
    return serve_one(host) < 0 ? sd_event_exit(host->event, 0) : 0;
}

/* ---- confinement --------------------------------------------------------------------- */

/* hostside_link.c asks about links, knobs.c writes settings; all else is shared with netd, and
 * packet.c sends and receives as everybody does. */
static const struct call_rule own_calls[] = { CALL_IF("ioctl", 1, WHOLE, SIOCGIFFLAGS),
                                              CALL_IF("open", 1, O_ACCMODE, O_WRONLY),
                                              CALL_IF("openat", 2, O_ACCMODE, O_WRONLY),
                                              CALLS_END };

int hostside_confine_calls(void)
{
    const struct call_rule *const lists[] = {
        calls_c_library,       calls_event_loop,           calls_read_files, calls_sockets,
        sandbox_netlink_calls, sandbox_name_service_calls, own_calls,
    };

    return confine_to(lists, N_ELEMENTS(lists));
}

int hostside_confine_files(void)
{
    static const struct file_rule rules[] = {
        { "/proc/sys/net", FILES_READ | FILES_WRITE }, /* of the host's links */
        { "/etc", FILES_READ },                        /* libnftables: names of protocols */
        { "/usr", FILES_READ },
        { "/lib", FILES_READ },
        { "/lib64", FILES_READ },
    };
    int r = confine_files(rules, N_ELEMENTS(rules), FILES_ALONE);

    if (r != -EOPNOTSUPP)
        return r;
    log_warning("without Landlock (vmnet-brokerctl doctor): the host's side could touch whatever "
                "files its user can");
    return 0;
}

static int confine(void)
{
    static const int admin[] = { CAP_NET_ADMIN };
    int r = hostside_confine_files();

    if (r == 0)
        r = confine_to_capabilities(admin, N_ELEMENTS(admin));
    if (r == 0)
        r = sandbox_hide_memory();
    return r < 0 ? r : hostside_confine_calls();
}

static int begin(struct host *host)
{
    int r = confine();

    if (r == 0)
        r = sd_event_new(&host->event);
    if (r >= 0)
        r = link_open(&host->links);
    if (r < 0)
        return r;
    host->rules = nft_new();
    if (!host->rules)
        return -ENOMEM;
    r = host_watch_begin(host);
    if (r >= 0)
        r = host_nat_begin(host);
    return r < 0 ? r : sd_event_add_io(host->event, NULL, host->sock, EPOLLIN, on_request, host);
}

_Noreturn void hostside_main(struct host *host)
{
    int r;

    partner_begin(HOSTSIDE_NAME);
    log_init(HOSTSIDE_NAME, log_level());
    r = begin(host);
    if (r < 0) {
        (void)log_failure(r, "cannot look after the host's side");
        _exit(1);
    }
    (void)sd_event_loop(host->event);
    _exit(0); /* what it has made is the next one's */
}
