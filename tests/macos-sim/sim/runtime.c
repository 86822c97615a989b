/* SPDX-License-Identifier: Apache-2.0 */
/* runtime.c - the knobs, the process's transactions, and its line to launchd.
 *
 * ../launchd.py gives a job two things: its services' listening sockets
 * (SIM_MACH_SERVICES="NAME=FD ...") and a socket to itself (SIM_LAUNCHD=FD). On
 * the second the job says whether it is active ("active N", N transactions) and
 * is told that it should go ("terminate").
 */
#include "sim.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Detached from its birth: a pthread_detach() afterwards could come later than the thread's
 * end and the program's, and ThreadSanitizer would call it forgotten. */
void sim_start_thread(void *(*fn)(void *argument), void *argument, const char *what)
{
    sigset_t all, saved;
    pthread_attr_t detached;
    pthread_t thread;
    sigfillset(&all);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &saved);
    if (pthread_create(&thread, &detached, fn, argument) != 0)
        sim_misuse("cannot start %s", what);
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
    pthread_attr_destroy(&detached);
}

const char *sim_dir(void)
{
    const char *dir = getenv("SIM_DIR");
    if (!dir)
        sim_misuse("SIM_DIR is not set");
    return dir;
}

double sim_time_scale(void)
{
    const char *text = getenv("SIM_TIME_SCALE");
    double scale = text ? atof(text) : 1;
    return scale > 0 ? scale : 1;
}

void sim_trace(const char *fmt, ...)
{
    if (!getenv("SIM_TRACE"))
        return;
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n >= 0)
        fprintf(stderr, "macos-sim[%d]: %s\n", (int)getpid(), line);
}

/* "call=number,call=number" */
static long lookup(const char *text, const char *call)
{
    size_t len = strlen(call);
    for (const char *p = text; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, call, len) == 0 && p[len] == '=')
            return strtol(p + len + 1, NULL, 10);
    return 0;
}

static long knob(const char *variable, const char *file, const char *call)
{
    char path[512], text[256] = "";
    const char *env = getenv(variable);
    long found = env ? lookup(env, call) : 0;
    (void)snprintf(path, sizeof path, "%s/%s", sim_dir(), file);
    FILE *f = fopen(path, "re");
    if (f) {
        if (fgets(text, sizeof text, f) && !found)
            found = lookup(text, call);
        (void)fclose(f);
    }
    return found;
}

static void say_delayed(const char *call)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/delayed-%s", sim_dir(), call);
    FILE *f = fopen(path, "we");
    if (f)
        (void)fclose(f);
}

long sim_injected(const char *call)
{
    const struct timespec slice = { 0, 10 * 1000000 };
    for (long ms = 0; ms < knob("SIM_DELAY", "delay", call); ms += 10) {
        if (ms == 0)
            say_delayed(call);
        (void)nanosleep(&slice, NULL);
    }
    return knob("SIM_FAIL", "fail", call);
}

int sim_service_socket(const char *name)
{
    const char *p = getenv("SIM_MACH_SERVICES");
    size_t len = strlen(name);
    for (; p && *p; p = strchr(p, ' ') ? strchr(p, ' ') + 1 : NULL)
        if (strncmp(p, name, len) == 0 && p[len] == '=')
            return atoi(p + len + 1);
    return -1;
}

/* ---- transactions and launchd ---- */

static struct sim_class line_class = { "launchd line", SIM_DISPATCH, NULL };

static struct {
    struct sim_object base;
    pthread_mutex_t lock;
    pthread_once_t once;
    struct sim_watch *watch;
    int fd, active, own;
} line = { .base = { SIM_MAGIC, SIM_IMMORTAL, &line_class },
           .lock = PTHREAD_MUTEX_INITIALIZER,
           .once = PTHREAD_ONCE_INIT,
           .fd = -1 };

static void line_readable(void *unused)
{
    char text[32] = "";
    (void)unused;
    if (recv(line.fd, text, sizeof text - 1, MSG_DONTWAIT) <= 0)
        return; /* launchd has gone; nothing more will come */
    if (strcmp(text, "terminate") == 0)
        sim_connections_terminate();
    sim_watch_again(line.watch);
}

static void line_open(void)
{
    const char *fd = getenv("SIM_LAUNCHD");
    if (!fd)
        return;
    line.fd = atoi(fd);
    line.watch = sim_watch_add(line.fd, line_readable, &line);
}

/* A job's line is open from its start on. */
__attribute__((constructor)) static void at_start(void)
{
    pthread_once(&line.once, line_open);
}

static void change(int delta, bool own)
{
    char text[32];
    pthread_mutex_lock(&line.lock);
    line.active += delta;
    if (own) {
        line.own += delta;
        if (line.own < 0)
            sim_misuse("xpc_transaction_end: no transaction was begun");
    }
    if (line.fd >= 0) {
        int n = snprintf(text, sizeof text, "active %d", line.active);
        /* Waits for a launchd that is slow: the last word counts, so none may be lost. */
        (void)!send(line.fd, text, (size_t)n, MSG_NOSIGNAL);
    }
    pthread_mutex_unlock(&line.lock);
}

void sim_transaction(int delta)
{
    change(delta, false);
}

void xpc_transaction_begin(void)
{
    change(1, true);
}

void xpc_transaction_end(void)
{
    change(-1, true);
}
