/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_macos.c - vmnet-brokerctl on macOS: acquire, list, status, stop; and, by the same code as on
 * Linux, the verbs about definitions.
 *
 * Linux's other verbs have no meaning here, where programs start their interfaces themselves. It
 * speaks XPC directly, since `acquire` wants to hear of the broker's death, for which the library
 * has no call.
 */
#include "command_line.h"
#include "mem.h"
#include "status.h"
#include "table.h"
#include "xpc_call.h"
#include "xpc_json.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static pid_t child; /* COMMAND of acquire; 0: none */

/* ---- acquire ---- */

/* Held networks are gone with it. What to do about a running COMMAND is its user's choice. */
static void on_broker_lost(void)
{
    fputs("vmnet-brokerctl: the broker has died, and its networks with it\n", stderr);
    if (child == 0)
        _exit(EXIT_FAILED);
}

static void pass_on(int number)
{
    if (child > 0)
        (void)kill(child, number);
}

/* Signals from the terminal reach the command by themselves; others we pass on. */
static int run_command(char **argv)
{
    int status, r = posix_spawnp(&child, argv[0], NULL, NULL, argv, environ);
    if (r != 0) {
        complain("%s: %s", argv[0], strerror(r));
        return r == ENOENT ? EXIT_NO_SUCH_COMMAND : EXIT_OURS;
    }
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
    (void)signal(SIGTERM, pass_on);
    (void)signal(SIGHUP, pass_on);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_OURS;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int cmd_acquire(struct ctl *ctl, int argc, char **argv)
{
    int r = common_options(ctl, argc, argv, true, 1, INT_MAX);
    if (r >= 0)
        return r;
    const char *network = argv[optind];
    char **command = &argv[optind + 1];
    if (*command && strcmp(*command, "--") == 0)
        command++;
    xpc_object_t reply = xpc_call_or_complain(xpc_call_open(on_broker_lost), "acquire", network);
    if (!reply)
        return *command ? EXIT_OURS : EXIT_FAILED;
    xpc_release(reply);
    if (*command)
        return run_command(command);
    printf("holding network '%s' until this command ends\n", network);
    (void)fflush(stdout);
    for (;;)
        (void)pause(); /* a signal ends us, and with us the connection */
}

/* ---- list, status, stop ---- */

static const char *text(xpc_object_t dictionary, const char *key)
{
    const char *value = dictionary ? xpc_dictionary_get_string(dictionary, key) : NULL;
    return value ? value : "-";
}

static void add_row(struct table *table, xpc_object_t status)
{
    xpc_object_t network = xpc_dictionary_get_value(status, "network");
    char clients[24];
    (void)snprintf(clients, sizeof clients, "%lld",
                   (long long)xpc_dictionary_get_int64(status, "clients"));
    table_add(table, (const char *const[]){
                         text(status, "name"), text(status, "mode"), text(status, "state"), clients,
                         text(network, "ipv4_subnet"), text(network, "ipv6_prefix") });
}

static void print_as_json(xpc_object_t value)
{
    xpc_json_write(stdout, value);
    putchar('\n');
}

static size_t count(xpc_object_t array)
{
    return array ? xpc_array_get_count(array) : 0;
}

static void print_details(xpc_object_t one)
{
    const char *name = text(xpc_dictionary_get_value(one, "status"), "name");
    xpc_object_t pending = xpc_dictionary_get_value(one, "pending");
    xpc_object_t clients = xpc_dictionary_get_value(one, "clients");
    for (size_t i = 0; i < count(clients); i++) {
        xpc_object_t client = xpc_array_get_value(clients, i);
        printf("%s: client pid %lld uid %lld\n", name,
               (long long)xpc_dictionary_get_int64(client, "pid"),
               (long long)xpc_dictionary_get_int64(client, "uid"));
    }
    for (size_t i = 0; i < count(pending); i++)
        printf("%s: pending until it is created again: %s\n", name,
               xpc_string_get_string_ptr(xpc_array_get_value(pending, i)));
}

/* The networks of a reply, in text; details: as `status` shows them. */
static void print_networks(xpc_object_t result, bool details)
{
    struct table *table = table_new("NETWORK MODE STATE CLIENTS> SUBNET IPV6-PREFIX");
    xpc_object_t networks = xpc_dictionary_get_value(result, "networks");
    size_t n = count(networks);
    for (size_t i = 0; i < n; i++) {
        xpc_object_t one = xpc_array_get_value(networks, i);
        add_row(table, details ? xpc_dictionary_get_value(one, "status") : one);
    }
    if (n > 0)
        table_print(table, stdout, "");
    else
        puts("no network exists");
    table_free(table);
    for (size_t i = 0; details && i < n; i++)
        print_details(xpc_array_get_value(networks, i));
}

/* The same for both: ask, and show. */
static int show(const struct ctl *ctl, const char *command, const char *network, bool details)
{
    xpc_object_t reply = xpc_call_or_complain(xpc_call_open(NULL), command, network);
    if (!reply)
        return EXIT_FAILED;
    xpc_object_t result = xpc_dictionary_get_value(reply, "result");
    if (!result || xpc_get_type(result) != XPC_TYPE_DICTIONARY) {
        complain("%s", status_text(STATUS_INVALID_REPLY));
    } else if (ctl->json) {
        print_as_json(result);
    } else {
        xpc_object_t broker = details ? xpc_dictionary_get_value(result, "broker") : NULL;
        if (broker)
            printf("vmnet-broker %s, pid %lld\n", text(broker, "version"),
                   (long long)xpc_dictionary_get_int64(broker, "pid"));
        print_networks(result, details);
    }
    xpc_release(reply);
    return result ? EXIT_OK : EXIT_FAILED;
}

int cmd_list(struct ctl *ctl, int argc, char **argv)
{
    int r = common_options(ctl, argc, argv, false, 0, 0);
    return r >= 0 ? r : show(ctl, "vmnet-broker.list", NULL, false);
}

int cmd_status(struct ctl *ctl, int argc, char **argv)
{
    int r = common_options(ctl, argc, argv, false, 0, 1);
    return r >= 0 ? r : show(ctl, "vmnet-broker.status", argv[optind], true);
}

int cmd_stop(struct ctl *ctl, int argc, char **argv)
{
    int r = common_options(ctl, argc, argv, false, 0, 0);
    if (r >= 0)
        return r;
    xpc_object_t reply = xpc_call_or_complain(xpc_call_open(NULL), "vmnet-broker.stop", NULL);
    if (!reply)
        return EXIT_FAILED;
    xpc_release(reply);
    return EXIT_OK;
}

/* ---- the command line ---- */

static const struct verb verbs[] = {
    { "acquire", cmd_acquire, "NAME [-- COMMAND [ARGUMENT ...]]",
      "hold a network, until ended or while COMMAND runs" },
    { "list", cmd_list, "", "list the networks that exist" },
    { "status", cmd_status, "[NAME]", "show who uses them" },
    DEFINITION_VERBS,
    { "stop", cmd_stop, "", "ask an unused broker to exit" },
};

int main(int argc, char **argv)
{
    static const struct program program = { verbs, N_ELEMENTS(verbs), .instances = false };
    return program_run(&program, argc, argv);
}
