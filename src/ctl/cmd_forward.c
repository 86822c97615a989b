/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_forward.c - ports of the host that lead to VMs: opened, closed and listed while the VMs
 * run; with --save in the network's definition, which the broker applies by itself. */
#include "call.h"
#include "definition_edit.h"
#include "definitions.h"
#include "file.h"
#include "forward_spec.h"
#include "mem.h"
#include "show.h"
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define APPLIED_TRIES 30 /* a tenth of a second each: the broker looks within one second */

DEFINE_AUTO(json_t *, json_decref);
DEFINE_AUTO(struct table *, table_free);

#define AUTO_SPEC __attribute__((cleanup(forward_spec_free))) struct forward_spec

/* ---- live -------------------------------------------------------------------------- */

/* The broker must run: it is not started for this. 0; -ENOTCONN: there is none, nor need be;
 * another negative errno. */
static int open_broker(const struct ctl *ctl, struct connection *c)
{
    int r = call_open(ctl, c);

    if (r == -ENOTCONN && say_not_running(ctl) != EXIT_OK)
        r = -EREMOTEIO;
    return r;
}

/* The id of the VM's interface by its name. 0 or a negative errno, said. */
static int find_vm(struct connection *c, const char *network, const char *name, json_t **ret)
{
    AUTO_REPLY reply = REPLY_INIT;
    int r = call_broker(c, "Status", json_pack("{s:s}", "network_name", network), network, &reply);
    size_t i, k;
    json_t *details, *interface;

    if (r < 0)
        return r;
    json_array_foreach (json_object_get(reply.parameters, "networks"), i, details)
        json_array_foreach (json_object_get(details, "interfaces"), k, interface) {
            const char *its = member_text(interface, "name");
            if (its && strcmp(its, name) == 0) {
                *ret = json_incref(json_object_get(interface, "id"));
                return 0;
            }
        }
    complain("network '%s': no VM of yours is running that is called '%s'", network, name);
    return -ENOENT;
}

/* An address, or a VM by its name: then for as long as that runs. */
static int set_target(struct connection *c, const char *network, const char *target, json_t *call)
{
    json_t *id = NULL;
    struct address address;
    int r;

    if (address_parse(target, &address) == 0)
        return json_object_set_new(call, "address", json_string(target));
    r = find_vm(c, network, target, &id);
    return r < 0 ? r : json_object_set_new(call, "interface_id", id);
}

static int add_live(struct ctl *ctl, const char *network, const struct forward_spec *spec)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    AUTO_REPLY reply = REPLY_INIT;
    AUTO(json_decref) json_t *call = forward_spec_json(spec, network);

    if (open_broker(ctl, &c) < 0 || set_target(&c, network, spec->target, call) < 0 ||
        json_object_set_new(call, "internal_port", json_integer(spec->internal_port)) < 0)
        return EXIT_FAILED;
    if (call_broker(&c, "AddForward", json_incref(call), network, &reply) == 0)
        return EXIT_OK;
    if (reply.error == STATUS_CREATE_FAILURE)
        forward_spec_say_owner(spec);
    return EXIT_FAILED;
}

static int remove_live(struct ctl *ctl, const char *network, const struct forward_spec *spec)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    AUTO_REPLY reply = REPLY_INIT;

    if (open_broker(ctl, &c) < 0 ||
        call_broker(&c, "RemoveForward", forward_spec_json(spec, network), network, &reply) < 0)
        return EXIT_FAILED;
    return EXIT_OK;
}

/* ---- --save ------------------------------------------------------------------------ */

/* The text of the network's definition, which must be in the directory that is written to. */
static int read_definition(const struct definitions *d, const char *name, char **ret, size_t *len)
{
    struct definition *definition = NULL;
    char file[PATH_MAX] = "";
    size_t home = strlen(definitions_home(d));
    int r = definitions_find(d, name, &definition, file);
    bool built_in = r == 0 && !definition->file;

    (void)definition_unref(definition);
    if (r < 0)
        return r;
    if (built_in) {
        complain("network '%s' is built in: define it by a file first (vmnet-brokerctl add)", name);
        return -ENOENT;
    }
    if (strncmp(file, definitions_home(d), home) != 0 || file[home] != '/') {
        complain("network '%s' is defined in %s, which is not yours to change", name, file);
        return -EPERM;
    }
    r = file_read(AT_FDCWD, file, DEFINITION_FILE_MAX, ret, len);
    if (r < 0)
        complain("cannot read %s: %s", file, strerror(-r));
    return r;
}

static int edit(const struct forward_spec *spec, bool add, const char *text, size_t len, char **ret,
                struct failure *why)
{
    struct forward forward = { .protocol = spec->protocol,
                               .external_port = spec->external_port,
                               .internal_port = spec->internal_port };

    if (spec->listen.version)
        return failure_set(why, -EINVAL,
                           "a definition opens ports at every address of the host: "
                           "leave the address away");
    if (!add)
        return definition_remove_forward(text, len, spec->protocol, spec->external_port, ret, why);
    if (address_parse(spec->target, &forward.address) < 0)
        return failure_set(why, -EINVAL, "a definition leads to addresses: write that of '%s'",
                           spec->target);
    return definition_add_forward(text, len, &forward, ret, why);
}

static int save(struct ctl *ctl, struct definitions *d, const char *network,
                const struct forward_spec *spec, bool add)
{
    AUTO_FREE char *text = NULL, *edited = NULL;
    struct failure why = { 0 };
    size_t len = 0;

    if (read_definition(d, network, &text, &len) < 0)
        return EXIT_FAILED;
    if (edit(spec, add, text, len, &edited, &why) < 0 || !edited) {
        complain_network(network, why.why);
        return EXIT_FAILED;
    }
    d->replace = true;
    return definitions_write(ctl, d, network, edited, strlen(edited));
}

/* Whether the broker has done what is written now; NULL: it does not know yet. */
static const char *state_of(const json_t *forwards, const struct forward_spec *spec)
{
    const char *protocol = spec->protocol == FORWARD_UDP ? "udp" : "tcp";
    size_t i;
    json_t *f;

    json_array_foreach (forwards, i, f) {
        const char *its = member_text(f, "protocol"), *state = member_text(f, "state");
        if (its && strcmp(its, protocol) == 0 && state && strcmp(state, "waiting") != 0 &&
            member_number(f, "external_port") == spec->external_port &&
            json_is_true(json_object_get(f, "defined")))
            return state;
    }
    return NULL;
}

/* A definition counts whether or not anybody runs. Where the network exists, its broker is
 * asked what became of the port. */
static int wait_until_applied(struct ctl *ctl, const char *network, const struct forward_spec *spec)
{
    AUTO_CONNECTION c = CONNECTION_INIT;

    if (call_open(ctl, &c) < 0)
        return EXIT_OK;
    for (int i = 0; i < APPLIED_TRIES; i++) {
        AUTO_REPLY reply = REPLY_INIT;
        json_t *call = json_pack("{s:s}", "network_name", network);
        const struct timespec pause = { .tv_nsec = 100000000 };

        if (connection_call(&c, "ListForwards", call, &reply) < 0 || reply.error != STATUS_SUCCESS)
            return EXIT_OK; /* the network does not exist */
        const char *state = state_of(json_object_get(reply.parameters, "forwards"), spec);
        if (state && strncmp(state, "failed: ", 8) == 0) {
            complain("it is written down, but %s", state + 8);
            return EXIT_FAILED;
        }
        if (state)
            return EXIT_OK;
        (void)nanosleep(&pause, NULL);
    }
    return EXIT_OK;
}

/* ---- list -------------------------------------------------------------------------- */

static void print_table(const json_t *forwards)
{
    AUTO(table_free)
    struct table *table = table_new("NETWORK LISTEN PORT> TO VM-PORT> INTERFACE STATE");
    size_t i;
    json_t *f;

    json_array_foreach (forwards, i, f) {
        char port[32], vm_port[24];
        const char *listen = member_text(f, "listen_address");
        long long version = member_number(f, "ip_version");
        const char *any = version == 4 ? "0.0.0.0" : version == 6 ? "::" : "*";
        (void)snprintf(port, sizeof port, "%lld/%s", member_number(f, "external_port"),
                       or_dash(member_text(f, "protocol")));
        (void)snprintf(vm_port, sizeof vm_port, "%lld", member_number(f, "internal_port"));
        const char *cells[] = { member_text(f, "network_name"),
                                listen ? listen : any,
                                port,
                                member_text(f, "address"),
                                vm_port,
                                json_is_true(json_object_get(f, "defined"))
                                    ? "(defined)"
                                    : member_text(f, "interface_id"),
                                member_text(f, "state") };
        table_add(table, cells);
    }
    table_print(table, stdout, "");
}

static int list(struct ctl *ctl, const char *network)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    AUTO_REPLY reply = REPLY_INIT;
    AUTO(json_decref) json_t *none = json_array();
    int r = open_broker(ctl, &c);

    if (r < 0 && r != -ENOTCONN)
        return EXIT_FAILED;
    if (r == 0 && call_broker(&c, "ListForwards", json_pack("{s:s*}", "network_name", network),
                              network, &reply) < 0)
        return EXIT_FAILED;
    const json_t *forwards = r == 0 ? json_object_get(reply.parameters, "forwards") : none;
    if (ctl->json)
        return print_json(forwards);
    if (json_array_size(forwards) > 0)
        print_table(forwards);
    else if (r == 0)
        fputs("no port is forwarded\n", stderr);
    return EXIT_OK;
}

/* ---- the verb ---------------------------------------------------------------------- */

static int change(struct ctl *ctl, struct definitions *d, char **argv, bool add)
{
    AUTO_SPEC spec = { 0 };
    struct failure why = { 0 };
    const char *network = argv[0];

    if (forward_spec_parse(argv[1], add ? FORWARD_ADD : FORWARD_DOOR, &spec, &why) < 0)
        return usage_error("forward", "%s", why.why);
    if (!d->save)
        return add ? add_live(ctl, network, &spec) : remove_live(ctl, network, &spec);
    int r = save(ctl, d, network, &spec, add);
    return r == EXIT_OK && add ? wait_until_applied(ctl, network, &spec) : r;
}

int cmd_forward(struct ctl *ctl, int argc, char **argv)
{
    struct definitions d;
    int r = definitions_options(ctl, argc, argv, DEFINITIONS_SAVE, 1, 3, &d);
    if (r >= 0)
        return r;

    argc -= optind;
    argv += optind;
    if (strcmp(argv[0], "list") == 0 && argc <= 2 && !d.save)
        return list(ctl, argc == 2 ? argv[1] : NULL);
    bool add = strcmp(argv[0], "add") == 0;
    if ((add || strcmp(argv[0], "remove") == 0) && argc == 3)
        return change(ctl, &d, argv + 1, add);
    return usage_error("forward", "write add, remove or list, and what they need");
}
