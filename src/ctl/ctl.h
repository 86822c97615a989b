/* SPDX-License-Identifier: Apache-2.0 */
/* ctl.h - what every verb of vmnet-brokerctl gets and may use. */
#pragma once
#include "choice.h"

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>

/* Exit statuses; vmnet-brokerctl(1) lists them. A verb that runs a COMMAND passes on the
 * command's own, so its own failures stay out of the way: as those of env(1). */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_OURS = 125, /* we failed before COMMAND ran */
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NO_SUCH_COMMAND = 127,
    EXIT_SIGNAL = 128, /* + the signal that ended COMMAND */
};

struct ctl {
    enum endpoint_choice choice;
    bool json;
};

/* Each gets the arguments from its own name on, and returns an exit status. */
int cmd_add(struct ctl *ctl, int argc, char **argv);
int cmd_acquire(struct ctl *ctl, int argc, char **argv);
int cmd_check(struct ctl *ctl, int argc, char **argv);
int cmd_doctor(struct ctl *ctl, int argc, char **argv);
int cmd_exec(struct ctl *ctl, int argc, char **argv);
int cmd_forward(struct ctl *ctl, int argc, char **argv);
int cmd_leases(struct ctl *ctl, int argc, char **argv);
int cmd_list(struct ctl *ctl, int argc, char **argv);
int cmd_monitor(struct ctl *ctl, int argc, char **argv);
int cmd_remove(struct ctl *ctl, int argc, char **argv);
int cmd_run(struct ctl *ctl, int argc, char **argv);
int cmd_show(struct ctl *ctl, int argc, char **argv);
int cmd_status(struct ctl *ctl, int argc, char **argv);
int cmd_stop(struct ctl *ctl, int argc, char **argv);

/* ---- options ---- */

/* What every verb takes, to be put into its getopt_long() table. */
#define COMMON_OPTIONS                                                                             \
    { "user", no_argument, NULL, 'U' }, { "system", no_argument, NULL, 'S' },                      \
        { "json", no_argument, NULL, 'j' },                                                        \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }

/* Handles a common option. Returns -1 to go on, or the status to exit with. */
int common_option(struct ctl *ctl, const char *verb, int option);
/* A verb with common options only; optind is then at its arguments, of which there may
 * be min to max. in_front: options end at the first argument (a COMMAND follows). As
 * common_option(). */
int common_options(struct ctl *ctl, int argc, char **argv, bool in_front, int min, int max);

/* "vmnet-brokerctl VERB: ...", how it is used; EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int usage_error(const char *verb, const char *fmt, ...);

/* ---- words ---- */

/* "vmnet-brokerctl: ..." on standard error. */
__attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...);
/* "vmnet-brokerctl: network 'x': why", once, where why may begin like that already. */
void complain_network(const char *network, const char *why);
/* One JSON document on standard output. */
int print_json(const json_t *json);
