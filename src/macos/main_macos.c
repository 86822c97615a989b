/* SPDX-License-Identifier: Apache-2.0 */
/* main_macos.c - the broker as a launchd daemon: chooses the ports, wires them to the core.
 *
 * Networks die with this process, so it never leaves while a client uses one.
 * Asked to (SIGTERM, or the system wants the memory), it goes at once when nobody
 * uses a network, else when the last user has gone; launchd's SIGKILL after
 * ExitTimeOut is beyond us.
 *
 * Definitions are looked at whenever a client connects; nothing watches their directory, and
 * nobody but clients would care.
 */
#include "backend_vmnet.h"
#include "broker.h"
#include "definition_files.h"
#include "log.h"
#include "loop_dispatch.h"
#include "options_macos.h"
#include "transport_xpc.h"

#include <dispatch/dispatch.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    struct loop loop;
    struct verbs verbs;
    struct broker *broker;
    struct transport *transport;
    bool leaving; /* as soon as nobody uses a network */
    int exit_code;
    struct def_dirs dirs;
    char where[1100]; /* they are, in words */
} daemon_state;

static void really_leave(void)
{
    if (transport_xpc_in_use(daemon_state.transport)) {
        log_info("a client came just now: staying");
        return;
    }
    broker_free(daemon_state.broker);
    exit(daemon_state.exit_code);
}

static void leave(int exit_code)
{
    daemon_state.exit_code = exit_code;
    transport_xpc_flush(daemon_state.transport, really_leave);
}

static void on_unused(void)
{
    if (daemon_state.leaving)
        daemon_state.loop.ops->quit(daemon_state.loop.self, 0);
}

static void on_asked_to_leave(const char *why)
{
    char users[128];
    if (daemon_state.leaving)
        return;
    daemon_state.leaving = true;
    if (!transport_xpc_in_use(daemon_state.transport)) {
        log_info("%s: exiting", why);
        on_unused();
        return;
    }
    log_warning("%s: staying until networks are no longer used by %s, whose VMs would lose them",
                why, transport_xpc_users(daemon_state.transport, users, sizeof users));
}

static void on_refused(void)
{
    log_error("launchd does not give this process the service %s: start it with "
              "`sudo launchctl bootstrap system /Library/LaunchDaemons/%s.plist`",
              MACH_SERVICE, MACH_SERVICE);
    exit(EXIT_FAILURE);
}

/* The default action would come all the same, so it is switched off first. */
static void watch_signal(int number, const char *why)
{
    dispatch_source_t source = dispatch_source_create(
        DISPATCH_SOURCE_TYPE_SIGNAL, (uintptr_t)number, 0, dispatch_get_main_queue());
    (void)signal(number, SIG_IGN);
    if (!source) {
        log_warning("signal %d cannot be watched: it is ignored", number);
        return;
    }
    dispatch_source_set_event_handler(source, ^{
      on_asked_to_leave(why);
    });
    dispatch_activate(source); /* for good */
}

static struct peer *peer_new(struct broker *broker, const struct peer_cred *cred,
                             struct failure *failure)
{
    broker_definitions_changed(broker);
    return broker_peer_new(broker, cred, failure);
}

/* Where the definitions are; false: the path is too long. */
static bool find_definitions(const char *dir)
{
    daemon_state.dirs = (struct def_dirs){ .paths = { dir }, .n = 1, .owner = getuid() };
    return def_dirs_format(&daemon_state.dirs, daemon_state.where, sizeof daemon_state.where) == 0;
}

static bool start(const struct options *options)
{
    static const struct transport_events events = { on_unused, on_asked_to_leave, on_refused };
    struct broker_config config = {
        .idle_timeout_sec = options->idle_timeout_sec,
        .exit_when_idle = true, /* launchd starts us again with the next client */
        .owner = 0,
        .definitions = definition_files(&daemon_state.dirs, daemon_state.where),
    };
    struct backend backend;

    daemon_state.loop = loop_dispatch(leave);
    daemon_state.broker = broker_new(&config, &daemon_state.loop, &transport_xpc_ops);
    if (!daemon_state.broker || backend_vmnet_new(&backend) < 0)
        return false;
    broker_set_backend(daemon_state.broker, &backend);
    daemon_state.verbs = broker_verbs;
    daemon_state.verbs.peer_new = peer_new;
    if (transport_xpc_new(&daemon_state.verbs, daemon_state.broker, &events, VERSION,
                          &daemon_state.transport) < 0)
        return false;
    broker_definitions_changed(daemon_state.broker); /* the persistent ones */
    return true;
}

int main(int argc, char **argv)
{
    struct options options;

    options_parse(argc, argv, &options);
    log_init("vmnet-broker", options.log_level);
    watch_signal(SIGTERM, "SIGTERM");
    watch_signal(SIGINT, "SIGINT");
    if (!find_definitions(options.config_dir)) {
        log_error("cannot start: --config-dir: the path is too long");
        return EXIT_FAILURE;
    }
    if (!start(&options)) {
        log_error("cannot start: memory is short");
        return EXIT_FAILURE;
    }
    log_info("version " VERSION " serves %s", MACH_SERVICE);
    dispatch_main();
}
