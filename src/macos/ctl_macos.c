/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_macos.c - vmnet-brokerctl on macOS: acquire, list, status, stop.
 *
 * The other verbs of Linux have no meaning here, where programs start their
 * interfaces themselves. It speaks XPC directly, since `acquire` wants to hear of
 * the broker's death, for which the library has no call.
 */
#include "mem.h"
#include "status.h"
#include "xpc_json.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xpc/xpc.h>

#define MACH_SERVICE "com.github.nirs.vmnet-broker"

/* As on Linux; vmnet-brokerctl(1) lists them. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_OURS = 125, EXIT_NO_SUCH_COMMAND = 127 };

extern char **environ;

static bool json;
static pid_t child; /* COMMAND of acquire; 0: none */

/* ---- talking to the broker ---- */

/* Held networks are gone with it. What to do about a running COMMAND is its user's choice. */
static void on_broker_lost(void)
{
    fputs("vmnet-brokerctl: the broker has died, and its networks with it\n", stderr);
    if (child == 0)
        _exit(EXIT_FAILED);
}

static xpc_connection_t connect_to_broker(bool hold)
{
    xpc_connection_t connection = xpc_connection_create_mach_service(
        MACH_SERVICE, NULL, XPC_CONNECTION_MACH_SERVICE_PRIVILEGED);
    xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
      if (hold && event == XPC_ERROR_CONNECTION_INTERRUPTED)
          on_broker_lost();
    });
    xpc_connection_activate(connection);
    return connection;
}

static void complain(const char *network, const char *why)
{
    if (network)
        fprintf(stderr, "vmnet-brokerctl: network '%s': %s\n", network, why);
    else
        fprintf(stderr, "vmnet-brokerctl: %s\n", why);
}

/* Says what is wrong with a reply; true when nothing is. */
static bool check(xpc_object_t reply, const char *network)
{
    if (xpc_get_type(reply) != XPC_TYPE_DICTIONARY) {
        complain(network,
                 reply == XPC_ERROR_CONNECTION_INVALID
                     ? "the broker is not installed: see `launchctl print system/" MACH_SERVICE "`"
                     : "the connection to the broker broke");
        return false;
    }
    if (!xpc_dictionary_get_value(reply, "error"))
        return true;
    const char *message = xpc_dictionary_get_string(reply, "message");
    int code = (int)xpc_dictionary_get_int64(reply, "error");
    complain(network, message ? message : status_text(code));
    return false;
}

/* The reply of a good outcome, which the caller releases; or NULL, and all is said. */
static xpc_object_t ask(xpc_connection_t connection, const char *command, const char *network)
{
    xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_string(request, "command", command);
    if (network)
        xpc_dictionary_set_string(request, "network_name", network);
    xpc_object_t reply = xpc_connection_send_message_with_reply_sync(connection, request);
    xpc_release(request);
    if (check(reply, network))
        return reply;
    xpc_release(reply);
    return NULL;
}

/* ---- acquire ---- */

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
        complain(NULL, strerror(r));
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

static int cmd_acquire(int argc, char **argv)
{
    xpc_object_t reply = ask(connect_to_broker(true), "acquire", argv[1]);
    if (!reply)
        return argc > 2 ? EXIT_OURS : EXIT_FAILED;
    xpc_release(reply);
    if (argc > 2)
        return run_command(argv + 2);
    printf("holding network '%s' until this command ends\n", argv[1]);
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

static void print_network(xpc_object_t status)
{
    xpc_object_t network = xpc_dictionary_get_value(status, "network");
    printf("%-16s %-7s %-9s %7lld  %-19s %s\n", text(status, "name"), text(status, "mode"),
           text(status, "state"), (long long)xpc_dictionary_get_int64(status, "clients"),
           text(network, "ipv4_subnet"), text(network, "ipv6_prefix"));
}

static void print_heading(void)
{
    printf("%-16s %-7s %-9s %7s  %-19s %s\n", "NAME", "MODE", "STATE", "CLIENTS", "IPV4", "IPV6");
}

static void print_json(xpc_object_t value)
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
    xpc_object_t pending = xpc_dictionary_get_value(one, "pending");
    xpc_object_t clients = xpc_dictionary_get_value(one, "clients");
    for (size_t i = 0; i < count(clients); i++) {
        xpc_object_t client = xpc_array_get_value(clients, i);
        printf("  client pid %lld uid %lld\n", (long long)xpc_dictionary_get_int64(client, "pid"),
               (long long)xpc_dictionary_get_int64(client, "uid"));
    }
    for (size_t i = 0; i < count(pending); i++)
        printf("  pending until it is created again: %s\n",
               xpc_string_get_string_ptr(xpc_array_get_value(pending, i)));
}

/* The networks of a reply, in text; details: as `status` shows them. */
static void print_networks(xpc_object_t result, bool details)
{
    xpc_object_t networks = xpc_dictionary_get_value(result, "networks");
    size_t n = count(networks);
    if (n > 0)
        print_heading();
    for (size_t i = 0; i < n; i++) {
        xpc_object_t one = xpc_array_get_value(networks, i);
        print_network(details ? xpc_dictionary_get_value(one, "status") : one);
        if (details)
            print_details(one);
    }
    if (n == 0)
        puts("no network exists");
}

/* The same for both: ask, and show. */
static int show(const char *command, const char *network, bool details)
{
    xpc_object_t reply = ask(connect_to_broker(false), command, network);
    if (!reply)
        return EXIT_FAILED;
    xpc_object_t result = xpc_dictionary_get_value(reply, "result");
    if (!result || xpc_get_type(result) != XPC_TYPE_DICTIONARY) {
        complain(NULL, status_text(STATUS_INVALID_REPLY));
    } else if (json) {
        print_json(result);
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

static int cmd_list(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return show("vmnet-broker.list", NULL, false);
}

static int cmd_status(int argc, char **argv)
{
    return show("vmnet-broker.status", argc > 1 ? argv[1] : NULL, true);
}

static int cmd_stop(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    xpc_object_t reply = ask(connect_to_broker(false), "vmnet-broker.stop", NULL);
    if (!reply)
        return EXIT_FAILED;
    xpc_release(reply);
    return EXIT_OK;
}

/* ---- the command line ---- */

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    int min, max; /* arguments */
    const char *arguments, *summary;
} verbs[] = {
    { "acquire", cmd_acquire, 1, 1 << 20, "NAME [-- COMMAND [ARGUMENT ...]]",
      "hold a network, until ended or while COMMAND runs" },
    { "list", cmd_list, 0, 0, "", "list the networks that exist" },
    { "status", cmd_status, 0, 1, "[NAME]", "show who uses them" },
    { "stop", cmd_stop, 0, 0, "", "ask an unused broker to exit" },
};

static int help(void)
{
    puts("usage: vmnet-brokerctl [--json] VERB [ARGUMENT ...]\n\n"
         "Networks for virtual machines, lent by vmnet-broker.\n\nVerbs:");
    for (size_t i = 0; i < N_ELEMENTS(verbs); i++)
        printf("  %-8s %-34s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].summary);
    puts("\nOptions: --json, --help, --version");
    return EXIT_OK;
}

static int run_verb(int argc, char **argv)
{
    for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
        const struct verb *verb = &verbs[i];
        if (argc < 1 || strcmp(verb->name, argv[0]) != 0)
            continue;
        if (argc > 2 && strcmp(argv[2], "--") == 0) { /* acquire NAME -- COMMAND */
            memmove(&argv[2], &argv[3], (size_t)(argc - 2) * sizeof *argv);
            argc--;
        }
        if (argc - 1 >= verb->min && argc - 1 <= verb->max)
            return verb->run(argc, argv);
        fprintf(stderr, "usage: vmnet-brokerctl [--json] %s %s\n", verb->name, verb->arguments);
        return EXIT_USAGE;
    }
    fputs("vmnet-brokerctl: which verb? --help lists them\n", stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' },
                                             { "help", no_argument, NULL, 'h' },
                                             { "version", no_argument, NULL, 'V' },
                                             { NULL, 0, NULL, 0 } };
    int option;
    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            json = true;
            break;
        case 'h':
            return help();
        case 'V':
            puts("vmnet-brokerctl " VERSION);
            return EXIT_OK;
        default:
            return EXIT_USAGE;
        }
    }
    return run_verb(argc - optind, argv + optind);
}
