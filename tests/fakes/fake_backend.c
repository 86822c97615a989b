/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_backend.h"

#include "str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fake_job {
    TAILQ_ENTRY(fake_job) link;
    enum fake_job_kind kind;
    char network[NAME_SIZE];
    union {
        backend_built built;
        backend_removed removed;
        backend_started started;
        backend_inspected inspected;
        backend_forwarded forwarded;
    } done;
    void *arg;
};

struct net_handle {
    struct fake_backend *fake;
    unsigned serial;
};

struct iface_handle {
    struct fake_backend *fake;
};

/* A job for the caller to fill in `done`; or NULL with *ret_err set. */
static struct fake_job *begin(struct fake_backend *fake, enum fake_job_kind kind,
                              const char *network, void *arg, int *ret_err)
{
    fake->requests[kind]++;
    *ret_err = fake->fail_at_once[kind];
    if (*ret_err < 0)
        return NULL;
    struct fake_job *job = calloc(1, sizeof *job);
    if (!job) { /* tests/fault */
        *ret_err = -ENOMEM;
        return NULL;
    }
    job->kind = kind;
    assert_int_equal(str_copy(job->network, sizeof job->network, network), 0);
    job->arg = arg;
    TAILQ_INSERT_TAIL(&fake->jobs, job, link);
    return job;
}

static int fake_build(void *self, struct definition *def, backend_built done, void *arg)
{
    int r;
    struct fake_job *job = begin(self, FAKE_BUILD, def->net.name, arg, &r);
    if (job)
        job->done.built = done;
    return r;
}

static int fake_remove(void *self, const char *name, backend_removed done, void *arg)
{
    int r;
    struct fake_job *job = begin(self, FAKE_REMOVE, name, arg, &r);
    if (job)
        job->done.removed = done;
    return r;
}

static int fake_update(void *self, const struct definition *def)
{
    struct fake_backend *fake = self;
    (void)def;
    fake->updates++;
    return 0;
}

static int fake_start(void *self, const struct iface_request *request, backend_started done,
                      void *arg)
{
    struct fake_backend *fake = self;
    int r;
    struct fake_job *job = begin(fake, FAKE_START, request->network, arg, &r);
    if (job)
        job->done.started = done;
    fake->last_uid = request->uid;
    return r;
}

static int forward(struct fake_backend *fake, enum fake_job_kind kind,
                   const struct forward_request *request, backend_forwarded done, void *arg,
                   struct failure *why)
{
    int r;
    struct fake_job *job = begin(fake, kind, request->network, arg, &r);
    if (!job)
        return failure_set(why, r, "the test says so");
    job->done.forwarded = done;
    fake->last_uid = request->uid;
    return 0;
}

static int fake_add_forward(void *self, const struct forward_request *request,
                            backend_forwarded done, void *arg, struct failure *why)
{
    return forward(self, FAKE_ADD_FORWARD, request, done, arg, why);
}

static int fake_remove_forward(void *self, const struct forward_request *request,
                               backend_forwarded done, void *arg, struct failure *why)
{
    return forward(self, FAKE_REMOVE_FORWARD, request, done, arg, why);
}

static struct forward_target fake_forward_target(void *self, const struct forward_request *request)
{
    const struct fake_backend *fake = self;
    (void)request;
    return fake->target;
}

static int fake_forward_owner(void *self, const struct forward_request *request, uid_t *ret)
{
    const struct fake_backend *fake = self;
    (void)request;
    *ret = fake->forward_owner;
    return fake->forward_owner_err;
}

static unsigned fake_forwards_of(void *self, uid_t uid)
{
    const struct fake_backend *fake = self;
    (void)uid;
    return fake->forwards_of_uid;
}

static int fake_inspect(void *self, backend_inspected done, void *arg)
{
    int r;
    struct fake_job *job = begin(self, FAKE_INSPECT, "", arg, &r);
    if (job)
        job->done.inspected = done;
    return r;
}

static unsigned fake_interfaces_of(void *self, uid_t uid, unsigned *queues)
{
    const struct fake_backend *fake = self;
    (void)uid;
    *queues = fake->queues_of_uid;
    return fake->interfaces_of_uid;
}

static void fake_describe(void *self, struct backend_view *ret)
{
    const struct fake_backend *fake = self;
    *ret = (struct backend_view){ .uplink_engine = "none",
                                  .problems = { fake->problem },
                                  .n_problems = fake->problem != NULL };
}

static void fake_drop(void *self, struct net_handle *handle)
{
    struct fake_backend *fake = self;
    if (!handle)
        return;
    fake->handles--;
    free(handle);
}

static void fake_drop_interface(void *self, struct iface_handle *handle)
{
    (void)self;
    fake_iface_free(handle);
}

static void fake_free(void *self)
{
    struct fake_backend *fake = self;
    struct fake_job *job;
    while ((job = TAILQ_FIRST(&fake->jobs))) {
        TAILQ_REMOVE(&fake->jobs, job, link);
        free(job);
    }
    fake->freed = true;
}

const struct backend_ops fake_backend_ops = {
    .name = "fake",
    .build = fake_build,
    .remove = fake_remove,
    .update = fake_update,
    .start_interface = fake_start,
    .drop_interface = fake_drop_interface,
    .interfaces_of = fake_interfaces_of,
    .inspect = fake_inspect,
    .add_forward = fake_add_forward,
    .remove_forward = fake_remove_forward,
    .forward_target = fake_forward_target,
    .forward_owner = fake_forward_owner,
    .forwards_of = fake_forwards_of,
    .describe = fake_describe,
    .drop = fake_drop,
    .free = fake_free,
};

void fake_backend_init(struct fake_backend *fake)
{
    *fake = (struct fake_backend){ .backend = { &fake_backend_ops, fake } };
    TAILQ_INIT(&fake->jobs);
}

static bool matches(const struct fake_job *job, enum fake_job_kind kind, const char *network)
{
    return job->kind == kind && (!network || strcmp(job->network, network) == 0);
}

unsigned fake_backend_pending(const struct fake_backend *fake, enum fake_job_kind kind,
                              const char *network)
{
    const struct fake_job *job;
    unsigned n = 0;
    TAILQ_FOREACH (job, &fake->jobs, link)
        n += matches(job, kind, network);
    return n;
}

struct net_handle *fake_net_handle(struct fake_backend *fake)
{
    struct net_handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return NULL;
    handle->fake = fake;
    handle->serial = fake->requests[FAKE_BUILD];
    fake->handles++;
    return handle;
}

unsigned fake_net_handle_serial(const struct net_handle *handle)
{
    return handle->serial;
}

static struct iface_handle *new_interface(struct fake_backend *fake)
{
    struct iface_handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return NULL;
    handle->fake = fake;
    fake->interface_handles++;
    return handle;
}

void fake_iface_free(struct iface_handle *handle)
{
    if (!handle)
        return;
    handle->fake->interface_handles--;
    free(handle);
}

static struct fake_job *oldest(const struct fake_backend *fake, enum fake_job_kind kind,
                               const char *network)
{
    struct fake_job *job;
    TAILQ_FOREACH (job, &fake->jobs, link)
        if (matches(job, kind, network))
            break;
    assert_non_null(job);
    return job;
}

/* Calls done() with the outcome: what the job was to make, unless there is a failure. */
static void tell(struct fake_backend *fake, const struct fake_job *job, struct failure *failure)
{
    struct net_handle *net = NULL;
    struct iface_handle *iface = NULL;
    bool failed = failure->err < 0;

    if (job->kind == FAKE_BUILD && !failed)
        net = fake_net_handle(fake);
    if (job->kind == FAKE_START && !failed)
        iface = new_interface(fake);
    if (!failed && ((job->kind == FAKE_BUILD && !net) || (job->kind == FAKE_START && !iface)))
        failed = failure_set(failure, -ENOMEM, "no memory") < 0;
    if (job->kind == FAKE_BUILD)
        job->done.built(job->arg, failed ? failure : NULL, net);
    else if (job->kind == FAKE_REMOVE)
        job->done.removed(job->arg, failed ? failure : NULL);
    else if (job->kind == FAKE_START)
        job->done.started(job->arg, failed ? failure : NULL, iface);
    else if (job->kind == FAKE_ADD_FORWARD || job->kind == FAKE_REMOVE_FORWARD)
        job->done.forwarded(job->arg, failed ? failure : NULL);
    else
        job->done.inspected(job->arg, failed ? failure : NULL);
}

void fake_backend_finish(struct fake_backend *fake, enum fake_job_kind kind, const char *network,
                         int err, const char *why)
{
    struct fake_job *job = oldest(fake, kind, network), own = *job;
    struct failure failure = { .err = err };

    TAILQ_REMOVE(&fake->jobs, job, link);
    free(job); /* the core may ask for the next thing from inside done() */
    if (err < 0)
        (void)failure_set(&failure, err, "%s", why ? why : "the test says so");
    tell(fake, &own, &failure);
}
