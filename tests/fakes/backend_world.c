/* SPDX-License-Identifier: Apache-2.0 */
#include "backend_world.h"

#include "clock.h"
#include "fake_netd.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

size_t count_fds(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void keep_failure(struct world *w, const struct failure *failure)
{
    w->failure = failure ? *failure : (struct failure){ 0 };
}

void on_core_built(void *arg, const struct failure *failure, struct net_handle *handle)
{
    struct world *w = arg;
    w->built = true;
    w->handle = handle;
    keep_failure(w, failure);
    assert_true((failure != NULL) == (handle == NULL));
}

void on_core_removed(void *arg, const struct failure *failure)
{
    struct world *w = arg;
    w->removed = true;
    keep_failure(w, failure);
    if (!failure) {
        w->backend.ops->drop(w->backend.self, w->handle);
        w->handle = NULL;
    }
}

void on_core_started(void *arg, const struct failure *failure, struct iface_handle *handle)
{
    struct world *w = arg;
    w->started = true;
    w->iface = handle;
    keep_failure(w, failure);
}

void on_core_forwarded(void *arg, const struct failure *failure)
{
    struct world *w = arg;
    w->forwarded = true;
    keep_failure(w, failure);
}

void on_core_inspected(void *arg, const struct failure *failure)
{
    struct world *w = arg;
    w->inspected = true;
    keep_failure(w, failure);
}

static void on_core_found(void *arg, const struct net_def *def, struct net_handle *handle,
                          unsigned live)
{
    struct world *w = arg;
    w->found++;
    w->handle = handle;
    w->live = live;
    w->found_def = *def;
    assert_string_equal(def->name, handle->spec.name);
}

static void on_core_interfaces(void *arg, const char *name, unsigned live)
{
    struct world *w = arg;
    assert_string_equal(name, "shared");
    w->live = live;
    w->interface_events++;
}

static void on_core_lost(void *arg, const char *name, const struct failure *failure)
{
    struct world *w = arg;
    assert_string_equal(name, "shared");
    w->lost++;
    (void)str_copy(w->lost_why, sizeof w->lost_why, failure->why);
    w->backend.ops->drop(w->backend.self, w->handle);
    w->handle = NULL;
}

static void on_core_applied(void *arg, const char *name, const struct failure *failure)
{
    struct world *w = arg;
    assert_string_equal(name, "shared");
    w->applied++;
    keep_failure(w, failure);
}

struct backend_events core_events(struct world *w)
{
    return (struct backend_events){ .found = on_core_found,
                                    .interfaces = on_core_interfaces,
                                    .lost = on_core_lost,
                                    .applied = on_core_applied,
                                    .arg = w };
}

void open_backend(struct world *w, const char *program)
{
    struct backend_events events = core_events(w);
    struct backend_netd_config config = { .paths = &w->paths,
                                          .netd_program = program,
                                          .state_dirfd = w->state,
                                          .idle_timeout_sec = 120 };
    assert_int_equal(backend_netd_new(&config, w->event, &events, &w->backend), 0);
    assert_true(sd_event_run(w->event, 0) >= 0); /* sd-event's idea of now is the last turn's */
}

void impatient(const struct world *w)
{
    ((struct backend_netd *)w->backend.self)->request_usec = IMPATIENT_USEC;
}

void patient(const struct world *w)
{
    struct backend_netd *b = w->backend.self;

    b->request_usec = b->leave_usec = PATIENT_USEC;
}

void close_backend(struct world *w)
{
    if (w->handle)
        w->backend.ops->drop(w->backend.self, w->handle);
    w->handle = NULL;
    w->backend.ops->free(w->backend.self);
    w->backend.self = NULL;
}

void world_empty(struct world *w)
{
    *w = (struct world){ .state = -1 };
    w->fds_before = count_fds();
    strcpy(w->dir, "/tmp/test-backend-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(str_copy(w->paths.runtime, sizeof w->paths.runtime, w->dir), 0);
    assert_int_equal(str_copy(w->paths.netd, sizeof w->paths.netd, w->dir), 0);
    assert_int_equal(str_copy(w->paths.state, sizeof w->paths.state, w->dir), 0);
    w->state = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(w->state >= 0);
    assert_true(sd_event_new(&w->event) >= 0);
}

void world_begin(struct world *w)
{
    world_empty(w);
    fake_start(&w->paths);
    open_backend(w, "/nonexistent/vmnet-netd");
}

/* Every descriptor that came is closed again, whatever happened. */
void world_end(struct world *w)
{
    char path[128];
    static const char *const names[] = { "netd.sock", "memory.json", "netd", "go" };
    if (w->backend.self)
        close_backend(w);
    fake_stop();
    sd_event_unref(w->event);
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        if (str_format(path, sizeof path, "%s/%s", w->dir, names[i]) == 0)
            (void)unlink(path);
    (void)rmdir(w->dir);
    fd_closep(&w->state);
    assert_int_equal(count_fds(), w->fds_before);
}

void await(struct world *w, const bool *flag, const char *what)
{
    uint64_t deadline = monotonic_usec() + 30000000;
    while (!*flag) {
        if (monotonic_usec() > deadline)
            fail_msg("waited in vain: %s", what);
        assert_true(sd_event_run(w->event, 20000) >= 0);
    }
}

void run_for(struct world *w, unsigned ms)
{
    uint64_t deadline = monotonic_usec() + ms * 1000;
    while (monotonic_usec() < deadline)
        assert_true(sd_event_run(w->event, 5000) >= 0);
}

void ask_build(struct world *w, const char *name)
{
    struct definition *def = NULL;
    assert_int_equal(definition_builtin(name, &def), 0);
    w->built = false;
    assert_int_equal(w->backend.ops->build(w->backend.self, def, on_core_built, w), 0);
    (void)definition_unref(def);
    assert_false(w->built); /* never from inside the call */
}

void build(struct world *w, const char *name)
{
    ask_build(w, name);
    await(w, &w->built, "built");
}

void must_build(struct world *w, const char *name)
{
    build(w, name);
    if (!w->handle)
        fail_msg("not built: %s", w->failure.why);
}

void ask_remove(struct world *w)
{
    w->removed = false;
    assert_int_equal(w->backend.ops->remove(w->backend.self, "shared", on_core_removed, w), 0);
    assert_false(w->removed);
}

void start_as(struct world *w, uid_t uid, const char *name, unsigned queues)
{
    struct iface_request request = {
        .network = "shared", .name = name, .queues = queues, .offload = true, .uid = uid
    };
    w->started = false;
    w->iface = NULL;
    assert_int_equal(w->backend.ops->start_interface(w->backend.self, &request, on_core_started, w),
                     0);
    assert_false(w->started);
    await(w, &w->started, "started");
}

void must_start(struct world *w, const char *name)
{
    start_as(w, 1000, name, 1);
    if (!w->iface)
        fail_msg("not started: %s", w->failure.why);
}

void end_interface(struct world *w)
{
    w->backend.ops->drop_interface(w->backend.self, w->iface);
    w->iface = NULL;
}

void assert_words(const struct world *w, int err, const char *words)
{
    assert_int_equal(w->failure.err, err);
    if (!strstr(w->failure.why, words))
        fail_msg("'%s' lacks '%s'", w->failure.why, words);
}

const char *problem(struct world *w)
{
    struct backend_view view;
    w->backend.ops->describe(w->backend.self, &view);
    return view.n_problems > 0 ? view.problems[0] : "";
}
