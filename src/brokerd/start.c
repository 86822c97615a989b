/* SPDX-License-Identifier: Apache-2.0 */
/* start.c - starts the broker on demand, once, however many clients want it.
 *
 * Whoever holds start.lock looks whether a broker answers, and only then starts one and
 * waits until it does; the others wait for the lock and find it answering. The lock is
 * a file lock of this process, so it cannot be left behind.
 *
 * A broker is better off with the systemd user manager, in a control group of its own and
 * with its log in the journal. Where none answers, or on any error, it is a daemon of
 * the old kind. Its helpers outlive it on purpose, hence KillMode=process.
 */
#include "start.h"
#include "background.h"
#include "fd.h"
#include "instance.h"
#include "listen.h"
#include "log.h"
#include "log_file.h"
#include "loop.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define LOCK_MSEC   30000 /* the one before us may be starting a slow broker */
#define ANSWER_MSEC 10000
#define BUS_USEC    (3 * USEC_PER_SEC)

static bool wait_for_answer(const char *socket)
{
    for (unsigned waited = 0; waited < ANSWER_MSEC; waited += 10) {
        if (socket_answers(socket))
            return true;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
    }
    return false;
}

/* What of a client's environment decides where things are and how they are named. The rest
 * is the client's own business, and would mislead a daemon (NOTIFY_SOCKET, JOURNAL_STREAM). */
static bool is_ours(const char *variable)
{
    static const char *const kept[] = { "HOME=", "PATH=", "USER=", "LOGNAME=",     "LANG=",
                                        "LC_",   "TZ=",   "XDG_",  "VMNET_BROKER_" };
    for (size_t i = 0; i < N_ELEMENTS(kept); i++)
        if (strncmp(variable, kept[i], strlen(kept[i])) == 0)
            return true;
    return false;
}

static void clean_environment(void)
{
    size_t n = 0;
    for (char **variable = environ; *variable; variable++)
        if (is_ours(*variable))
            environ[n++] = *variable;
    environ[n] = NULL;
}

/* ---- by way of systemd ---- */

static int append_string(sd_bus_message *m, const char *name, const char *value)
{
    return sd_bus_message_append(m, "(sv)", name, "s", value);
}

/* ExecStart: one command as (program, its argv, may it fail). */
static int append_command(sd_bus_message *m, const char *program, char *argv[])
{
    int r = sd_bus_message_open_container(m, 'r', "sv");
    r = r < 0 ? r : sd_bus_message_append(m, "s", "ExecStart");
    r = r < 0 ? r : sd_bus_message_open_container(m, 'v', "a(sasb)");
    r = r < 0 ? r : sd_bus_message_open_container(m, 'a', "(sasb)");
    r = r < 0 ? r : sd_bus_message_open_container(m, 'r', "sasb");
    r = r < 0 ? r : sd_bus_message_append(m, "s", program);
    r = r < 0 ? r : sd_bus_message_open_container(m, 'a', "s");
    for (size_t i = 0; argv[i] && r >= 0; i++)
        if (strncmp(argv[i], "--b", 3) != 0) /* --background, however shortened */
            r = sd_bus_message_append(m, "s", argv[i]);
    r = r < 0 ? r : sd_bus_message_append(m, "s", "--on-demand");
    r = r < 0 ? r : sd_bus_message_close_container(m);
    r = r < 0 ? r : sd_bus_message_append(m, "b", 0);
    for (int open = 0; open < 4; open++)
        r = r < 0 ? r : sd_bus_message_close_container(m);
    return r;
}

/* The user manager has an environment of its own; what decides where sockets and state are
 * must be the client's. */
static int append_environment(sd_bus_message *m)
{
    int r = sd_bus_message_open_container(m, 'r', "sv");
    r = r < 0 ? r : sd_bus_message_append(m, "s", "Environment");
    r = r < 0 ? r : sd_bus_message_open_container(m, 'v', "as");
    r = r < 0 ? r : sd_bus_message_open_container(m, 'a', "s");
    for (char **variable = environ; *variable && r >= 0; variable++)
        if (is_ours(*variable))
            r = sd_bus_message_append(m, "s", *variable);
    for (int open = 0; open < 3; open++)
        r = r < 0 ? r : sd_bus_message_close_container(m);
    return r;
}

static int append_properties(sd_bus_message *m, const char *program, char *argv[])
{
    int r = sd_bus_message_open_container(m, 'a', "(sv)");
    r = r < 0 ? r : append_string(m, "Description", "Lends networks to virtual machines");
    r = r < 0 ? r : append_string(m, "Type", "notify");
    r = r < 0 ? r : append_string(m, "KillMode", "process");
    r = r < 0 ? r : append_string(m, "OOMPolicy", "continue");
    r = r < 0 ? r : append_string(m, "CollectMode", "inactive-or-failed");
    r = r < 0 ? r : append_environment(m);
    r = r < 0 ? r : append_command(m, program, argv);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Asks the manager to run program with argv, but for --background. 0 when it has agreed. */
static int start_unit(sd_bus *bus, const char *program, char *argv[])
{
    sd_bus_message *m = NULL;
    char name[48] = "";

    /* A name of its own: the unit of the broker before may still hold that one's helpers. */
    (void)str_format(name, sizeof name, "vmnet-broker-%d.service", (int)getpid());
    int r = sd_bus_message_new_method_call(
        bus, &m, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager", "StartTransientUnit");
    r = r < 0 ? r : sd_bus_message_set_auto_start(m, 0);
    r = r < 0 ? r : sd_bus_message_append(m, "ss", name, "fail");
    r = r < 0 ? r : append_properties(m, program, argv);
    r = r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
    r = r < 0 ? r : sd_bus_call(bus, m, BUS_USEC, NULL, NULL);
    sd_bus_message_unref(m);
    return r < 0 ? r : 0;
}

/* Until the bus has let us in. libsystemd itself would wait for a minute and a half. */
static int await_bus(sd_bus *bus)
{
    struct timespec start, now;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        int r = sd_bus_process(bus, NULL);
        if (r < 0)
            return r;
        if (sd_bus_is_ready(bus) > 0)
            return 0;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        if ((uint64_t)(now.tv_sec - start.tv_sec) * USEC_PER_SEC > BUS_USEC)
            return -ETIMEDOUT;
        if (r == 0 && (r = sd_bus_wait(bus, BUS_USEC / 10)) < 0)
            return r;
    }
}

static int start_by_systemd(char *argv[])
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n < 0)
        return -errno;
    program[n] = '\0';

    sd_bus *bus = NULL;
    int r = sd_bus_open_user(&bus);
    if (r < 0)
        return r;
    r = await_bus(bus);
    if (r >= 0)
        r = start_unit(bus, program, argv);
    sd_bus_close_unref(bus);
    return r;
}

/* ---- by ourselves ---- */

/* In the daemon every descriptor but the log and *ready is closed. */
static int become_daemon(int state_dirfd, int *ready, struct failure *failure)
{
    AUTO_FD log = instance_open_log(state_dirfd);
    if (log < 0)
        return failure_set(failure, log, "cannot write broker.log in the state directory: %s",
                           strerror(-log));
    int r = background_detach(log, -1, ready);
    return r < 0 ? failure_set(failure, r, "cannot start a daemon: %s", strerror(-r)) : 0;
}

static int take_start_lock(int state_dirfd, struct failure *failure)
{
    int holder = 0;
    int fd = instance_lock(state_dirfd, "start.lock", LOCK_MSEC, &holder);
    if (fd == -EWOULDBLOCK)
        return failure_set(failure, fd, "process %d has been starting a broker for too long",
                           holder);
    if (fd < 0)
        return failure_set(failure, fd, "cannot lock the state directory: %s", strerror(-fd));
    return fd;
}

int start_in_background(const struct options *options, char *argv[], const struct paths *paths,
                        int *ready, struct failure *failure)
{
    char socket[PATH_MAX];
    int r = instance_socket(options, paths, socket, sizeof socket, failure);
    if (r < 0)
        return r;
    AUTO_FD state = instance_open_state(paths, failure);
    if (state < 0)
        return state;
    AUTO_FD lock = take_start_lock(state, failure);
    if (lock < 0)
        return lock;

    if (socket_answers(socket))
        return 1;
    r = start_by_systemd(argv);
    if (r == 0 && wait_for_answer(socket))
        return 1;
    log_debug("not started by the systemd user manager: %s",
              r < 0 ? strerror(-r) : "its broker does not answer");
    r = become_daemon(state, ready, failure);
    if (r == 0) { /* the daemon: these have been closed; the lock is the waiting process's */
        log_file_begin();
        (void)fd_take(&state);
        (void)fd_take(&lock);
        clean_environment();
    }
    return r;
}
