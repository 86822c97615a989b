/* SPDX-License-Identifier: Apache-2.0 */
#include "command_line.h"

#include "mem.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct program *program; /* the one that runs */

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < program->n; i++)
        if (strcmp(program->verbs[i].name, name) == 0)
            return &program->verbs[i];
    return NULL;
}

static const char *instances(void)
{
    return program->instances ? "[--user | --system] " : "";
}

static void print_usage(FILE *out, const struct verb *verb)
{
    fprintf(out, "usage: vmnet-brokerctl %s[--json] %s%s%s\n", instances(), verb->name,
            verb->arguments[0] ? " " : "", verb->arguments);
}

static int help(void)
{
    printf("usage: vmnet-brokerctl %s[--json] VERB [ARGUMENT ...]\n\n"
           "Networks for virtual machines, lent by vmnet-broker.\n\nVerbs:\n",
           instances());
    for (size_t i = 0; i < program->n; i++)
        printf("  %-8s  %s\n", program->verbs[i].name, program->verbs[i].summary);
    printf("\nOptions:\n%s"
           "  --json     print one JSON document\n"
           "  --help     after a verb: how it is used\n"
           "  --version\n\nvmnet-brokerctl(1) has examples.\n",
           program->instances ? "  --user     talk to your own broker, whatever else there is\n"
                                "  --system   talk to the system's broker\n"
                              : "");
    return EXIT_OK;
}

static int list_verbs(void)
{
    for (size_t i = 0; i < program->n; i++)
        puts(program->verbs[i].name);
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
    if (!program->instances && (option == 'U' || option == 'S')) {
        complain("there is only one broker, the system's");
        return EXIT_USAGE;
    }
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
            if (common_option(ctl, "", c) >= 0)
                return EXIT_USAGE;
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

int program_run(const struct program *which, int argc, char **argv)
{
    struct ctl ctl = { which->instances ? ENDPOINT_AUTO : ENDPOINT_SYSTEM, false };

    program = which;
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
