/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver.h"
#include "fd.h"
#include "mem.h"
#include "net_def.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define RESOLV_CONF "/etc/resolv.conf"

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool has_way_out(const json_t *network)
{
    const char *mode = text_of(network, "mode");
    return mode && strcmp(mode, "shared") == 0;
}

/* Calls back for each network that answers: those with a way out, or those without. */
static void each_resolver(const json_t *networks, bool way_out, FILE *out,
                          void (*print)(FILE *out, const json_t *network))
{
    size_t i;
    const json_t *details;
    json_array_foreach (networks, i, details) {
        const json_t *network = json_object_get(json_object_get(details, "status"), "network");
        if (text_of(network, "ipv4_gateway") && has_way_out(network) == way_out)
            print(out, network);
    }
}

static void print_server(FILE *out, const json_t *network)
{
    fprintf(out, "nameserver %s\n", text_of(network, "ipv4_gateway"));
}

static void print_domain(FILE *out, const json_t *network)
{
    fprintf(out, " %s." DNS_SUFFIX, text_of(network, "name"));
}

char *resolver_text(const json_t *networks)
{
    AUTO_FREE char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    each_resolver(networks, true, out, print_server);
    each_resolver(networks, false, out, print_server);
    bool any = ftell(out) > 0;
    fputs("search", out);
    each_resolver(networks, true, out, print_domain);
    each_resolver(networks, false, out, print_domain);
    fputc('\n', out);
    return fclose(out) == 0 && any ? take_ptr(&text) : NULL;
}

/* A file can be mounted only by a name that it has in this mount namespace; afterwards it
 * needs none. */
static int mount_text(const char *text)
{
    char path[] = "/tmp/vmnet-resolv-XXXXXX";
    size_t len = strlen(text);
    AUTO_FD fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = 0;
    if (fchmod(fd, 0444) < 0 || write(fd, text, len) != (ssize_t)len ||
        mount(path, RESOLV_CONF, NULL, MS_BIND, NULL) < 0)
        r = -errno;
    (void)unlink(path);
    return r;
}

int resolver_use(const char *text)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return -errno;
    return mount_text(text);
}
