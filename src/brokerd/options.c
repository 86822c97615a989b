/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - one line of the table an option: its name, its value, its help, its work. */
#include "options.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define IDLE_TIMEOUT_DEFAULT 120
#define IDLE_TIMEOUT_MAX     (7 * 24 * 3600)

/* Each takes an option's value (NULL where it has none) and returns what is wrong with it in
 * words, or NULL. */
static const char *set_user(struct options *o, const char *value)
{
    (void)value;
    o->system = false;
    return NULL;
}

static const char *set_system(struct options *o, const char *value)
{
    (void)value;
    o->system = true;
    return NULL;
}

/* Relative ones would mean something else to a daemon, which works in "/". */
static const char *set_path(const char **path, const char *value)
{
    *path = value;
    return value[0] == '/' ? NULL : "must be an absolute path";
}

static const char *set_socket(struct options *o, const char *value)
{
    return set_path(&o->socket, value);
}

static const char *set_config_dir(struct options *o, const char *value)
{
    return set_path(&o->config_dir, value);
}

static const char *set_state_dir(struct options *o, const char *value)
{
    return set_path(&o->state_dir, value);
}

static const char *set_idle_timeout(struct options *o, const char *value)
{
    unsigned long seconds;
    if (str_to_uint(value, 0, IDLE_TIMEOUT_MAX, &seconds) < 0)
        return "must be a number of seconds, at most a week";
    o->idle_timeout_sec = (uint32_t)seconds;
    return NULL;
}

static const char *set_log_level(struct options *o, const char *value)
{
    return log_level_parse(value, &o->log_level) < 0 ? "must be error, warning, info or debug"
                                                     : NULL;
}

static const char *set_background(struct options *o, const char *value)
{
    (void)value;
    o->background = o->on_demand = true;
    return NULL;
}

static const char *set_on_demand(struct options *o, const char *value)
{
    (void)value;
    o->on_demand = true;
    return NULL;
}

static void print_help(void);

static void print_version(void)
{
    printf("vmnet-broker %s\n", VERSION);
}

static const struct entry {
    const char *name, *value, *help;
    const char *(*set)(struct options *o, const char *value);
    void (*print)(void); /* instead: print this, and that was all */
} table[] = {
    { "user", NULL, "serve this user's networks (the default)", set_user, NULL },
    { "system", NULL, "serve the system's networks", set_system, NULL },
    { "socket", "PATH", "listen here, in a directory of our own", set_socket, NULL },
    { "config-dir", "DIR", "read network definitions from here", set_config_dir, NULL },
    { "state-dir", "DIR", "remember subnets and addresses here", set_state_dir, NULL },
    { "idle-timeout", "SECONDS", "remove what nobody uses after this time (120)", set_idle_timeout,
      NULL },
    { "log-level", "LEVEL", "error, warning, info (the default) or debug", set_log_level, NULL },
    { "on-demand", NULL, "exit when nobody has used a network for the idle time", set_on_demand,
      NULL },
    { "background", NULL, "start on demand: return when the socket answers", set_background, NULL },
    { "version", NULL, "print the version", NULL, print_version },
    { "help", NULL, "print this", NULL, print_help },
};

static void print_help(void)
{
    printf("vmnet-broker [OPTION...]\n\nLends named virtual-machine networks to programs.\n\n");
    for (size_t i = 0; i < N_ELEMENTS(table); i++) {
        char left[40];
        (void)snprintf(left, sizeof left, "--%s %s", table[i].name,
                       table[i].value ? table[i].value : "");
        printf("  %-24s %s\n", left, table[i].help);
    }
}

static void fill_getopt(struct option longs[static N_ELEMENTS(table) + 1])
{
    for (size_t i = 0; i < N_ELEMENTS(table); i++)
        longs[i] = (struct option){
            .name = table[i].name,
            .has_arg = table[i].value ? required_argument : no_argument,
            .val = 0,
        };
    longs[N_ELEMENTS(table)] = (struct option){ 0 };
}

static bool usage(int *exit_code)
{
    fprintf(stderr, "Try 'vmnet-broker --help'.\n");
    *exit_code = EXIT_USAGE;
    return false;
}

/* Defaults that depend on others: nobody knows where to write the log of a system service
 * but its manager, and a service is not started on demand by its clients. */
static const char *contradiction(const struct options *o)
{
    return o->system && o->background ? "--background is for the user instance" : NULL;
}

bool options_parse(int argc, char *argv[], struct options *ret, int *exit_code)
{
    struct option longs[N_ELEMENTS(table) + 1];
    struct options o = { .idle_timeout_sec = IDLE_TIMEOUT_DEFAULT, .log_level = LOG_LEVEL_INFO };
    int c, index = 0;

    fill_getopt(longs);
    while ((c = getopt_long(argc, argv, "", longs, &index)) != -1) {
        if (c != 0)
            return usage(exit_code); /* getopt has said why */
        if (table[index].print) {
            table[index].print();
            *exit_code = EXIT_SUCCESS;
            return false;
        }
        const char *wrong = table[index].set(&o, optarg);
        if (wrong) {
            fprintf(stderr, "vmnet-broker: --%s %s: %s\n", table[index].name, optarg, wrong);
            return usage(exit_code);
        }
    }
    if (optind < argc || contradiction(&o)) {
        if (optind < argc)
            fprintf(stderr, "vmnet-broker: unexpected argument '%s'\n", argv[optind]);
        else
            fprintf(stderr, "vmnet-broker: %s\n", contradiction(&o));
        return usage(exit_code);
    }
    *ret = o;
    return true;
}
