/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - vmnet-brokerctl: finds the verb and hands over. */
#include "client.h"
#include "ctl.h"
#include "mem.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct verb {
    const char *name;
    int (*run)(struct ctl *ctl, int argc, char **argv);
    const char *arguments, *summary;
} verbs[] = {
    { "run", cmd_run,
      "--network NAME[,name=VM][,mac=MAC][,id=ID][,queues=N][,isolated] [--network ...]\n"
      "                           [--name VM] [-p [ADDRESS:]HOSTPORT:VMPORT[/udp] ...]\n"
      "                           [--in-namespace] [--] COMMAND [ARGUMENT ...]",
      "run a virtual machine with interfaces on networks" },
    { "acquire", cmd_acquire, "NAME [-- COMMAND [ARGUMENT ...]]",
      "hold a network, until ended or while COMMAND runs" },
    { "exec", cmd_exec, "[--] COMMAND [ARGUMENT ...]",
      "run a command inside the networks' namespace" },
    { "list", cmd_list, "", "list the networks that exist" },
    { "status", cmd_status, "[NAME]", "show clients, interfaces and the uplink" },
    { "leases", cmd_leases, "[NAME]", "show who has which address" },
    { "forward", cmd_forward,
      "add [--save] [--config-dir DIR] NETWORK [ADDRESS:]HOSTPORT:VM:VMPORT[/udp]\n"
      "       vmnet-brokerctl forward remove [--save] [--config-dir DIR] NETWORK "
      "[ADDRESS:]HOSTPORT[/udp]\n"
      "       vmnet-brokerctl forward list [NETWORK]",
      "lead ports of the host to virtual machines" },
    { "show", cmd_show, "[--config-dir DIR] [NAME]", "show how networks are defined" },
    { "add", cmd_add, "[--config-dir DIR] [--replace] NAME [FILE]",
      "define a network by a file, or by standard input" },
    { "remove", cmd_remove, "[--config-dir DIR] NAME", "remove a network's definition" },
    { "check", cmd_check, "[--config-dir DIR] [FILE.json | NAME ...]",
      "check network definitions, or all there are" },
    { "monitor", cmd_monitor, "", "show what happens, as it happens" },
    { "stop", cmd_stop, "", "ask an unused broker to exit" },
    { "doctor", cmd_doctor, "", "say what this machine lacks, and the remedy" },
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < N_ELEMENTS(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static void print_usage(FILE *out, const struct verb *verb)
{
    fprintf(out, "usage: vmnet-brokerctl [--user | --system] [--json] %s%s%s\n", verb->name,
            verb->arguments[0] ? " " : "", verb->arguments);
}

static int help(void)
{
    printf("usage: vmnet-brokerctl [--user | --system] [--json] VERB [ARGUMENT ...]\n\n"
           "Networks for virtual machines, lent by vmnet-broker.\n\nVerbs:\n");
    for (size_t i = 0; i < N_ELEMENTS(verbs); i++)
        printf("  %-8s  %s\n", verbs[i].name, verbs[i].summary);
    printf("\nOptions:\n"
           "  --user     talk to your own broker, whatever else there is\n"
           "  --system   talk to the system's broker\n"
           "  --json     print one JSON document\n"
           "  --help     after a verb: how it is used\n"
           "  --version\n\nvmnet-brokerctl(1) has examples.\n");
    return EXIT_OK;
}

static int list_verbs(void)
{
    for (size_t i = 0; i < N_ELEMENTS(verbs); i++)
        puts(verbs[i].name);
    return EXIT_OK;
}

int usage_error(const char *verb, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "vmnet-brokerctl %s: ", verb);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    print_usage(stderr, find_verb(verb));
    return EXIT_USAGE;
}

int common_option(struct ctl *ctl, const char *verb, int option)
{
    switch (option) {
    case 'U':
        ctl->choice = ENDPOINT_USER;
        return -1;
    case 'S':
        ctl->choice = ENDPOINT_SYSTEM;
        return -1;
    case 'j':
        ctl->json = true;
        return -1;
    case 'h':
        print_usage(stdout, find_verb(verb));
        return EXIT_OK;
    default:
        print_usage(stderr, find_verb(verb));
        return EXIT_USAGE;
    }
}

int common_options(struct ctl *ctl, int argc, char **argv, bool in_front, int min, int max)
{
    static const struct option options[] = { COMMON_OPTIONS, { 0 } };
    int c;
    while ((c = getopt_long(argc, argv, in_front ? "+" : "", options, NULL)) != -1) {
        int r = common_option(ctl, argv[0], c);
        if (r >= 0)
            return r;
    }
    if (argc - optind < min)
        return usage_error(argv[0], "something is missing");
    if (argc - optind > max)
        return usage_error(argv[0], "unexpected argument '%s'", argv[optind + max]);
    return -1;
}

/* The options in front of the verb. Returns -1 with optind at the verb, or a status. */
static int leading_options(struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = { COMMON_OPTIONS,
                                             { "version", no_argument, NULL, 'V' },
                                             { "verbs", no_argument, NULL, 'v' },
                                             { 0 } };
    int c;
    while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        switch (c) {
        case 'h':
            return help();
        case 'v': /* for the shell's completion */
            return list_verbs();
        case 'V':
            puts("vmnet-brokerctl " VERSION);
            return EXIT_OK;
        case '?':
            fputs("vmnet-brokerctl --help lists verbs and options\n", stderr);
            return EXIT_USAGE;
        default:
            (void)common_option(ctl, "", c);
        }
    }
    return -1;
}

/* A descriptor of ours must not land on 0, 1 or 2 and be taken for the terminal. */
static bool open_standard_fds(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= 2 && fcntl(fd, F_SETFD, 0) == 0);
    if (fd > 2)
        close(fd);
    return fd >= 0;
}

int main(int argc, char **argv)
{
    struct ctl ctl = { ENDPOINT_AUTO, false };
    if (!open_standard_fds())
        return EXIT_FAILED;

    int r = leading_options(&ctl, argc, argv);
    if (r >= 0)
        return r;
    if (optind == argc) {
        fputs("vmnet-brokerctl: what shall be done? --help lists the verbs\n", stderr);
        return EXIT_USAGE;
    }
    const struct verb *verb = find_verb(argv[optind]);
    if (!verb) {
        fprintf(stderr, "vmnet-brokerctl: '%s' is no verb; --help lists them\n", argv[optind]);
        return EXIT_USAGE;
    }
    argc -= optind;
    argv += optind;
    optind = 0; /* glibc: begin anew */
    return verb->run(&ctl, argc, argv);
}
