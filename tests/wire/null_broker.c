/* SPDX-License-Identifier: Apache-2.0 */
/* null_broker.c - the real core, transport and loop over a backend that makes nothing.
 *
 * For the behaviour suite, which needs neither netd nor privileges then; and the proof
 * that a helper that hangs keeps nobody else waiting.
 *
 *     null_broker SOCKET
 *
 * NULL_DELAY_MS=n     every build and removal takes this long
 * NULL_HANG=NAME      this network's build is never answered
 * NULL_FAIL=NAME      this network's build fails
 * NULL_BREAK=NAME     no interface can be started on this network
 * NULL_IDLE=SECONDS   idle timeout, 120 by default
 */
#include "broker.h"
#include "loop_sdevent.h"
#include "mem.h"
#include "net_handle.h"
#include "str.h"
#include "transport_varlink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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
    struct loop loop;
    unsigned long delay_ms, serial;
    TAILQ_HEAD(, job) jobs;
} null = { .jobs = TAILQ_HEAD_INITIALIZER(null.jobs) };

static bool chosen(const char *variable, const char *name)
{
    const char *value = getenv(variable);
    return value && strcmp(value, name) == 0;
}

static void job_free(struct job *job)
{
    TAILQ_REMOVE(&null.jobs, job, link);
    null.loop.ops->timer_free(job->timer);
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
    if (chosen("NULL_FAIL", job->def.name))
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
    job->timer = null.loop.ops->timer_new(null.loop.self, on_time, job);
    if (!job->timer) {
        job_free(job);
        return NULL;
    }
    if (delay_usec < UINT64_MAX)
        null.loop.ops->timer_start(job->timer, delay_usec);
    return job;
}

static int null_build(void *self, const struct net_def *def, backend_built done, void *arg)
{
    (void)self;
    struct job *job =
        job_new(arg, chosen("NULL_HANG", def->name) ? UINT64_MAX : null.delay_ms * 1000);
    if (!job)
        return -ENOMEM;
    job->def = *def;
    job->built = done;
    return 0;
}

static int null_remove(void *self, const char *name, backend_removed done, void *arg)
{
    (void)self;
    (void)name;
    struct job *job = job_new(arg, null.delay_ms * 1000);
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
    if (chosen("NULL_BREAK", request->network))
        return -ENOMEM;
    struct job *job = job_new(arg, 0);
    if (!job)
        return -ENOMEM;
    job->started = done;
    job->interface = interface_new(request);
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

static const struct verbs verbs = {
    broker_peer_new,        broker_peer_gone, broker_acquire, broker_release,
    broker_start_interface, broker_list,      broker_status,  broker_stop,
};

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || str_copy(address.sun_path, sizeof address.sun_path, path) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
        return -1;
    return fd;
}

static unsigned long number(const char *variable, unsigned long otherwise)
{
    const char *value = getenv(variable);
    unsigned long n = otherwise;
    if (value)
        (void)str_to_uint(value, 0, 1000000, &n);
    return n;
}

static int serve(sd_event *event, int fd)
{
    static const struct transport_about about = { "null", "user", "/null", "standard error" };
    struct broker_config config = { .idle_timeout_sec = (uint32_t)number("NULL_IDLE", 120),
                                    .owner = getuid() };
    struct backend backend = { &null_ops, NULL };
    struct transport *transport = NULL;
    struct broker *broker = broker_new(&config, &null.loop, &transport_varlink_ops);
    int r = broker ? 0 : -ENOMEM;
    if (r == 0) {
        broker_set_backend(broker, &backend);
        r = transport_varlink_new(event, &verbs, broker, &about, &transport);
    }
    if (r == 0)
        r = transport_varlink_listen(transport, fd);
    if (r == 0)
        r = sd_event_loop(event);
    transport_varlink_free(transport);
    broker_free(broker);
    return r;
}

int main(int argc, char *argv[])
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);

    sd_event *event = NULL;
    int fd = argc == 2 ? listen_at(argv[1]) : -1;
    if (fd < 0 || sd_event_new(&event) < 0 ||
        sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL) < 0) {
        perror("null_broker");
        return 1;
    }
    null.loop = loop_sdevent(event);
    null.delay_ms = number("NULL_DELAY_MS", 0);
    int r = serve(event, fd);
    sd_event_unref(event);
    return r == 0 ? 0 : 1;
}
