/* SPDX-License-Identifier: Apache-2.0 */
#include "null_backend.h"

#include "mem.h"
#include "net_handle.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* One build, removal or start under way. */
struct job {
    TAILQ_ENTRY(job) link;
    struct timer *timer;
    struct net_def def;
    struct iface_handle *interface;
    backend_built built;
    backend_removed removed;
    backend_started started;
    void *arg;
};

static struct null {
    const struct loop *loop;
    struct null_config config;
    unsigned long serial;
    TAILQ_HEAD(, job) jobs;
} null = { .jobs = TAILQ_HEAD_INITIALIZER(null.jobs) };

static bool chosen(const char *wanted, const char *name)
{
    return wanted && strcmp(wanted, name) == 0;
}

static void job_free(struct job *job)
{
    TAILQ_REMOVE(&null.jobs, job, link);
    null.loop->ops->timer_free(job->timer);
    if (job->interface)
        iface_handle_free(job->interface);
    free(job);
}

static struct net_handle *handle_new(const struct net_def *def)
{
    struct net_handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return NULL;
    TAILQ_INIT(&handle->interfaces);
    handle->uplink = "none";
    handle->spec.mode = def->mode;
    handle->spec.mtu = def->mtu;
    handle->spec.ipv4_base = 0xc0a84000;
    handle->spec.ipv4_prefix = 24;
    (void)str_copy(handle->spec.name, sizeof handle->spec.name, def->name);
    (void)str_format(handle->spec.id, sizeof handle->spec.id, "null-%lu", ++null.serial);
    return handle;
}

static void finish_build(struct job *job)
{
    struct failure failure;
    struct net_handle *handle = NULL;
    if (chosen(null.config.fail, job->def.name))
        (void)failure_set(&failure, -EADDRNOTAVAIL, "told to fail");
    else if (!(handle = handle_new(&job->def)))
        (void)failure_set(&failure, -ENOMEM, "no memory");
    job->built(job->arg, handle ? NULL : &failure, handle);
}

static void on_time(void *arg)
{
    struct job *job = arg;
    if (job->built)
        finish_build(job);
    else if (job->removed)
        job->removed(job->arg, NULL);
    else
        job->started(job->arg, NULL, take_ptr(&job->interface));
    job_free(job);
}

static struct job *job_new(void *arg, uint64_t delay_usec)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->arg = arg;
    TAILQ_INSERT_TAIL(&null.jobs, job, link);
    job->timer = null.loop->ops->timer_new(null.loop->self, on_time, job);
    if (!job->timer) {
        job_free(job);
        return NULL;
    }
    if (delay_usec < UINT64_MAX)
        null.loop->ops->timer_start(job->timer, delay_usec);
    return job;
}

static int null_build(void *self, struct definition *def, backend_built done, void *arg)
{
    (void)self;
    struct job *job =
        job_new(arg, chosen(null.config.hang, def->net.name) ? UINT64_MAX : null.config.delay_usec);
    if (!job)
        return -ENOMEM;
    job->def = def->net;
    job->built = done;
    return 0;
}

static int null_remove(void *self, const char *name, backend_removed done, void *arg)
{
    (void)self;
    (void)name;
    struct job *job = job_new(arg, null.config.delay_usec);
    if (!job)
        return -ENOMEM;
    job->removed = done;
    return 0;
}

static struct iface_handle *interface_new(const struct iface_request *request)
{
    struct iface_handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return NULL;
    (void)str_copy(handle->spec.network, sizeof handle->spec.network, request->network);
    (void)str_format(handle->spec.id, sizeof handle->spec.id, "null-if-%lu", ++null.serial);
    if (request->name)
        (void)str_copy(handle->spec.name, sizeof handle->spec.name, request->name);
    memcpy(handle->spec.mac, "\x52\x54\x00\x00\x00\x01", 6);
    handle->mtu = MTU_DEFAULT;
    for (; handle->n_fds < request->queues; handle->n_fds++)
        handle->fds[handle->n_fds] = open("/dev/null", O_RDWR | O_CLOEXEC);
    return handle;
}

static int null_start(void *self, const struct iface_request *request, backend_started done,
                      void *arg)
{
    (void)self;
    if (chosen(null.config.breaking, request->network))
        return -ENOMEM;
    struct job *job = job_new(arg, 0);
    if (!job)
        return -ENOMEM;
    job->started = done;
    job->interface = interface_new(request);
    if (!job->interface) {
        job_free(job);
        return -ENOMEM;
    }
    return 0;
}

static void null_drop_interface(void *self, struct iface_handle *handle)
{
    (void)self;
    iface_handle_free(handle);
}

static void null_describe(void *self, struct backend_view *ret)
{
    (void)self;
    *ret = (struct backend_view){ .uplink_engine = "none" };
}

static void null_drop(void *self, struct net_handle *handle)
{
    (void)self;
    free(handle);
}

static void null_free(void *self)
{
    (void)self;
    while (!TAILQ_EMPTY(&null.jobs))
        job_free(TAILQ_FIRST(&null.jobs));
}

static const struct backend_ops null_ops = {
    .name = "null",
    .build = null_build,
    .remove = null_remove,
    .start_interface = null_start,
    .drop_interface = null_drop_interface,
    .describe = null_describe,
    .drop = null_drop,
    .free = null_free,
};

struct backend null_backend(const struct loop *loop, const struct null_config *config)
{
    null.loop = loop;
    null.config = *config;
    return (struct backend){ &null_ops, NULL };
}
