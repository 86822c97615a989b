/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run.c - runs a virtual machine with interfaces on networks.
 *
 * Acquires the networks, starts the interfaces, puts their descriptors and addresses into
 * the command's arguments and environment, and waits for the command beside it: the
 * networks are held by our connection, the interfaces by the command's descriptors.
 *
 * A command that cannot take descriptors runs inside the networks' namespace and opens its TAPs
 * by name. Until it does, and where it opens them again, we hold those. It has no capability
 * there: the TAPs are its user's.
 */
#include "child.h"
#include "client.h"
#include "ctl.h"
#include "fd.h"
#include "forward_spec.h"
#include "inside.h"
#include "mem.h"
#include "netspec.h"
#include "str.h"
#include "template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define NETWORKS_MAX 32
#define QUEUES_MAX   16
#define PORTS_MAX    64

struct nic {
    struct netspec spec;
    vmnet_broker_interface_ref interface;
    int fds[QUEUES_MAX];
    unsigned queues;
};

struct vm {
    struct nic nics[NETWORKS_MAX];
    size_t n;
    struct forward_spec forwards[PORTS_MAX]; /* to the first one */
    size_t n_forwards;
    const char *name; /* --name, for all that have none of their own */
    bool in_namespace;
    struct inside inside;
    char **argv; /* owned, with its texts */
};

/* ---- what is asked for ---- */

static int add_network(struct vm *vm, const char *text)
{
    struct failure why = { 0 };
    if (vm->n == NETWORKS_MAX)
        return usage_error("run", "more than %d networks", NETWORKS_MAX);
    if (netspec_parse(text, &vm->nics[vm->n++].spec, &why) < 0)
        return usage_error("run", "--network %s: %s", text, why.why);
    return -1;
}

static int add_forward(struct vm *vm, const char *text)
{
    struct failure why = { 0 };
    if (vm->n_forwards == PORTS_MAX)
        return usage_error("run", "more than %d forwarded ports", PORTS_MAX);
    if (forward_spec_parse(text, FORWARD_RUN, &vm->forwards[vm->n_forwards++], &why) < 0)
        return usage_error("run", "-p %s", why.why);
    return -1;
}

/* Returns -1 with optind at COMMAND, or an exit status. */
static int parse(struct ctl *ctl, int argc, char **argv, struct vm *vm)
{
    static const struct option options[] = { COMMON_OPTIONS,
                                             { "network", required_argument, NULL, 'n' },
                                             { "name", required_argument, NULL, 'N' },
                                             { "forward", required_argument, NULL, 'p' },
                                             { "in-namespace", no_argument, NULL, 'i' },
                                             { 0 } };
    int c, r = -1;
    while (r < 0 && (c = getopt_long(argc, argv, "+p:", options, NULL)) != -1) {
        if (c == 'n')
            r = add_network(vm, optarg);
        else if (c == 'N')
            vm->name = optarg;
        else if (c == 'p')
            r = add_forward(vm, optarg);
        else if (c == 'i')
            vm->in_namespace = true;
        else
            r = common_option(ctl, "run", c);
    }
    if (r >= 0)
        return r;
    if (vm->n == 0)
        return usage_error("run", "--network is missing");
    if (optind == argc)
        return usage_error("run", "COMMAND is missing");
    return -1;
}

/* ---- what the broker gives ---- */

static int keep_fds(struct nic *nic)
{
    nic->queues = vmnet_broker_interface_queues(nic->interface);
    for (unsigned q = 0; q < nic->queues; q++) {
        nic->fds[q] = vmnet_broker_interface_take_fd(nic->interface, q);
        if (fcntl(nic->fds[q], F_SETFD, 0) < 0)
            return -errno;
    }
    return 0;
}

static int start(struct nic *nic)
{
    vmnet_broker_network_ref network = vmnet_broker_acquire_network(nic->spec.network, NULL);
    if (network) {
        nic->interface = vmnet_broker_start_interface(network, &nic->spec.options, NULL);
        vmnet_broker_network_free(network);
    }
    if (!nic->interface) {
        complain_network(nic->spec.network, vmnet_broker_last_error());
        return -EREMOTEIO;
    }
    return keep_fds(nic);
}

static int start_all(struct vm *vm)
{
    int r = 0;
    for (size_t i = 0; i < vm->n && r == 0; i++) {
        if (!vm->nics[i].spec.options.name)
            vm->nics[i].spec.options.name = vm->name;
        vm->nics[i].spec.options.by_name = vm->in_namespace;
        r = start(&vm->nics[i]);
    }
    return r;
}

/* They end with the interface, whoever else does. */
static int forward_all(struct vm *vm)
{
    char listen[ADDR6_TEXT];
    for (size_t i = 0; i < vm->n_forwards; i++) {
        const struct forward_spec *spec = &vm->forwards[i];
        vmnet_broker_forward_options options = VMNET_BROKER_FORWARD_OPTIONS_INIT;
        options.external_port = spec->external_port;
        options.internal_port = spec->internal_port;
        options.udp = spec->protocol == FORWARD_UDP;
        if (spec->listen.version)
            options.listen_address = address_format(&spec->listen, listen);
        vmnet_broker_return_t status = vmnet_broker_forward_port(vm->nics[0].interface, &options);
        if (status == VMNET_BROKER_SUCCESS)
            continue;
        complain_network(vm->nics[0].spec.network, vmnet_broker_last_error());
        if (status == VMNET_BROKER_CREATE_FAILURE)
            forward_spec_say_owner(spec);
        return -EREMOTEIO;
    }
    return 0;
}

/* ---- what the command gets ---- */

static struct template_interface describe(const struct nic *nic)
{
    return (struct template_interface){
        .mac = vmnet_broker_interface_mac_address(nic->interface),
        .ip = vmnet_broker_interface_ipv4_address(nic->interface),
        .tap = vmnet_broker_interface_tap(nic->interface),
        .mtu = vmnet_broker_interface_mtu(nic->interface),
        .fds = nic->fds,
        .queues = nic->queues,
    };
}

static int expand_arguments(struct vm *vm, char **argv, int argc)
{
    struct template_interface all[NETWORKS_MAX];
    for (size_t i = 0; i < vm->n; i++)
        all[i] = describe(&vm->nics[i]);

    vm->argv = calloc((size_t)argc + 1, sizeof *vm->argv);
    if (!vm->argv)
        return -ENOMEM;
    for (int i = 0; i < argc; i++) {
        struct failure why = { -ENOMEM, "out of memory" };
        vm->argv[i] = template_expand(argv[i], all, vm->n, &why);
        if (!vm->argv[i]) {
            complain("argument '%s': %s", argv[i], why.why);
            return why.err;
        }
    }
    return 0;
}

static int export(const char *variable, size_t i, const char *template,
                  const struct template_interface *nic)
{
    char name[32];
    struct failure why = { 0 };
    AUTO_FREE char *value = template_expand(template, nic, 1, &why);
    int r = str_format(name, sizeof name, "VMNET_%s_%zu", variable, i);
    return r < 0 ? r : value ? setenv(name, value, 1) : -ENOMEM;
}

static int export_all(const struct vm *vm)
{
    for (size_t i = 0; i < vm->n; i++) {
        struct template_interface nic = describe(&vm->nics[i]), first = nic;
        first.queues = 1;
        if ((nic.tap
                 ? export("TAP", i, "{tap}", &nic) < 0
                 : export("FD", i, "{fd}", &first) < 0 || export("FDS", i, "{fds}", &nic) < 0) ||
            export("MAC", i, "{mac}", &nic) < 0 || export("MTU", i, "{mtu}", &nic) < 0 ||
            (nic.ip && export("IP", i, "{ip}", &nic) < 0)) {
            complain("cannot set the environment");
            return -ENOMEM;
        }
    }
    return 0;
}

/* ---- its life ---- */

/* Our copies would keep an interface alive that the command has closed. */
static void close_fds(void *arg)
{
    struct vm *vm = arg;
    for (size_t i = 0; i < vm->n; i++)
        while (vm->nics[i].queues > 0)
            fd_closep(&vm->nics[i].fds[--vm->nics[i].queues]);
}

static int enter(void *arg)
{
    const struct vm *vm = arg;
    return vm->in_namespace ? inside_enter(&vm->inside) : 0;
}

static int run(struct vm *vm)
{
    const struct child_steps steps = { enter, close_fds, vm };
    const char *networks[NETWORKS_MAX + 1] = { NULL };
    struct hold hold = { .networks = networks };
    for (size_t i = 0; i < vm->n; i++)
        networks[i] = vm->nics[i].spec.network;
    return child_run(vm->argv, &hold, &steps);
}

static void clear(struct vm *vm)
{
    close_fds(vm);
    inside_clear(&vm->inside);
    for (size_t i = 0; i < vm->n; i++) {
        vmnet_broker_interface_free(vm->nics[i].interface);
        netspec_free(&vm->nics[i].spec);
    }
    for (size_t i = 0; i < vm->n_forwards; i++)
        forward_spec_free(&vm->forwards[i]);
    for (size_t i = 0; vm->argv && vm->argv[i]; i++)
        free(vm->argv[i]);
    free(vm->argv);
}

int cmd_run(struct ctl *ctl, int argc, char **argv)
{
    __attribute__((cleanup(clear))) struct vm vm = { 0 };
    int r = parse(ctl, argc, argv, &vm);
    if (r >= 0)
        return r;
    client_choose(ctl->choice);
    if (start_all(&vm) < 0 || forward_all(&vm) < 0 ||
        (vm.in_namespace && inside_find(ctl, &vm.inside) < 0) ||
        expand_arguments(&vm, argv + optind, argc - optind) < 0 || export_all(&vm) < 0)
        return EXIT_OURS;
    return run(&vm);
}
