/* SPDX-License-Identifier: Apache-2.0 */
/* backend_vmnet.c - creates networks, and keeps them alive until they are removed.
 *
 * Creating one can take seconds inside vmnet, so it happens on a background
 * queue, and so does letting go of it; the outcome comes back to the main queue,
 * where all state lives. A job belongs to whichever queue works on it, but for its
 * first two fields and the reference to its definition, which are the main queue's.
 */
#include "backend_vmnet.h"

#include "log.h"
#include "mem.h"
#include "net_handle.h"
#include "str.h"
#include "vmnet_config.h"

#include <CoreFoundation/CoreFoundation.h>
#include <arpa/inet.h>
#include <dispatch/dispatch.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct backend_vmnet {
    TAILQ_HEAD(, net_handle) handles;
    TAILQ_HEAD(, job) jobs;
};

struct job {
    TAILQ_ENTRY(job) link;
    struct backend_vmnet *backend; /* NULL: freed meanwhile, nobody waits */
    void *arg;

    backend_built built; /* a build: */
    struct definition *def;
    struct failure failure;    /* its outcome: this ... */
    struct net_handle *handle; /* ... or this */

    backend_removed removed; /* a removal: */
    vmnet_network_ref network;
};

/* ---- on a background queue ---- */

static void handle_free(struct net_handle *handle)
{
    if (handle->network)
        CFRelease(handle->network);
    if (handle->serialization)
        xpc_release(handle->serialization);
    free(handle);
}

/* vmnet reports the host's address and a mask. */
static void read_back(struct net_handle *handle)
{
    struct in_addr addr, mask;
    struct in6_addr prefix;
    uint8_t len;

    vmnet_network_get_ipv4_subnet(handle->network, &addr, &mask);
    handle->subnet.base = ntohl(addr.s_addr & mask.s_addr);
    handle->subnet.prefix = (unsigned)__builtin_popcount(mask.s_addr);
    vmnet_network_get_ipv6_prefix(handle->network, &prefix, &len);
    memcpy(handle->prefix6.addr, &prefix, sizeof handle->prefix6.addr);
    handle->prefix6.len = len;
}

static int check_subnet(const struct definition *def, const struct net_handle *handle,
                        struct failure *failure)
{
    struct subnet4 want = def->net.subnet, got = handle->subnet;
    if (want.prefix == 0 || (want.base == got.base && want.prefix == got.prefix))
        return 0;
    return failure_set(failure, -EADDRNOTAVAIL, "vmnet gave subnet %s instead of %s",
                       subnet4_format(got, (char[SUBNET4_TEXT]){ 0 }),
                       subnet4_format(want, (char[SUBNET4_TEXT]){ 0 }));
}

static int check_prefix(const struct definition *def, const struct net_handle *handle,
                        struct failure *failure)
{
    const struct prefix6 *want = &def->net.prefix6, *got = &handle->prefix6;
    if (want->len == 0 || (want->len == got->len && prefix6_contains(want, got->addr)))
        return 0;
    return failure_set(failure, -EADDRNOTAVAIL, "vmnet gave prefix %s instead of %s",
                       prefix6_format(got, (char[PREFIX6_TEXT]){ 0 }),
                       prefix6_format(want, (char[PREFIX6_TEXT]){ 0 }));
}

static int create(const struct definition *def, struct net_handle *handle, struct failure *failure)
{
    vmnet_return_t status = VMNET_SUCCESS;
    vmnet_network_configuration_ref config = vmnet_config_new(def, failure);
    if (!config)
        return failure->err;

    handle->network = vmnet_network_create(config, &status);
    CFRelease(config);
    if (!handle->network)
        return failure_set(failure, -EIO, "vmnet status %u: %s", (unsigned)status,
                           vmnet_status_text(status));
    read_back(handle);
    if (check_subnet(def, handle, failure) < 0 || check_prefix(def, handle, failure) < 0)
        return failure->err;

    handle->serialization = vmnet_network_copy_serialization(handle->network, &status);
    if (!handle->serialization)
        return failure_set(failure, -EIO, "vmnet cannot serialize it: status %u: %s",
                           (unsigned)status, vmnet_status_text(status));
    return 0;
}

static void work(struct job *job)
{
    if (job->network) {
        CFRelease(job->network);
        return;
    }
    struct net_handle *handle = calloc(1, sizeof *handle);
    if (!handle) {
        (void)failure_set(&job->failure, -ENOMEM, "the broker is short of memory: try again");
        return;
    }
    (void)str_copy(handle->name, sizeof handle->name, job->def->net.name);
    if (create(job->def, handle, &job->failure) < 0)
        handle_free(handle);
    else
        job->handle = handle;
}

/* ---- on the main queue ---- */

static void log_created(const struct net_handle *handle)
{
    log_info("network '%s': vmnet gave it %s and %s", handle->name,
             subnet4_format(handle->subnet, (char[SUBNET4_TEXT]){ 0 }),
             prefix6_format(&handle->prefix6, (char[PREFIX6_TEXT]){ 0 }));
}

/* The end of a network's time, whether it came to exist or not. */
static void network_over(struct net_handle *handle)
{
    if (handle)
        handle_free(handle);
    xpc_transaction_end();
}

static void finish_build(struct job *job)
{
    if (!job->backend) {
        network_over(job->handle);
    } else if (job->handle) {
        TAILQ_INSERT_TAIL(&job->backend->handles, job->handle, link);
        log_created(job->handle);
        job->built(job->arg, NULL, job->handle);
    } else {
        job->built(job->arg, &job->failure, NULL);
        network_over(NULL);
    }
}

static void finish(struct job *job)
{
    if (job->backend)
        TAILQ_REMOVE(&job->backend->jobs, job, link);
    if (job->built)
        finish_build(job);
    else if (job->backend)
        job->removed(job->arg, NULL);
    (void)definition_unref(job->def);
    free(job);
}

static struct job *job_new(struct backend_vmnet *backend, void *arg)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->backend = backend;
    job->arg = arg;
    TAILQ_INSERT_TAIL(&backend->jobs, job, link);
    return job;
}

static void start(struct job *job)
{
    dispatch_async(dispatch_get_global_queue(QOS_CLASS_DEFAULT, 0), ^{
      work(job);
      dispatch_async(dispatch_get_main_queue(), ^{
        finish(job);
      });
    });
}

static int vmnet_build(void *self, struct definition *def, backend_built done, void *arg)
{
    struct job *job = job_new(self, arg);
    if (!job)
        return -ENOMEM;
    job->def = definition_ref(def);
    job->built = done;
    xpc_transaction_begin(); /* until network_over() */
    start(job);
    return 0;
}

static struct net_handle *find(const struct backend_vmnet *backend, const char *name)
{
    struct net_handle *handle;
    TAILQ_FOREACH (handle, &backend->handles, link)
        if (strcmp(handle->name, name) == 0 && handle->network)
            return handle;
    return NULL;
}

/* Letting go of the reference is all there is to do. */
static int vmnet_remove(void *self, const char *name, backend_removed done, void *arg)
{
    struct net_handle *handle = find(self, name);
    if (!handle)
        return -ENOENT;
    struct job *job = job_new(self, arg);
    if (!job)
        return -ENOMEM;
    job->removed = done;
    job->network = take_ptr(&handle->network);
    start(job);
    return 0;
}

static void vmnet_describe(void *self, struct backend_view *ret)
{
    (void)self;
    *ret = (struct backend_view){ .uplink_engine = "vmnet" };
}

static void vmnet_drop(void *self, struct net_handle *handle)
{
    struct backend_vmnet *backend = self;
    if (!handle)
        return;
    TAILQ_REMOVE(&backend->handles, handle, link);
    network_over(handle);
}

static void vmnet_free(void *self)
{
    struct backend_vmnet *backend = self;
    struct job *job;
    TAILQ_FOREACH (job, &backend->jobs, link)
        job->backend = NULL; /* its own queue still works on it */
    free(backend);
}

int backend_vmnet_new(struct backend *ret)
{
    static const struct backend_ops ops = {
        .name = "vmnet",
        .build = vmnet_build,
        .remove = vmnet_remove,
        .describe = vmnet_describe,
        .drop = vmnet_drop,
        .free = vmnet_free,
    };
    struct backend_vmnet *backend = calloc(1, sizeof *backend);
    if (!backend)
        return -ENOMEM;
    TAILQ_INIT(&backend->handles);
    TAILQ_INIT(&backend->jobs);
    *ret = (struct backend){ &ops, backend };
    return 0;
}
