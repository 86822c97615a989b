/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"
#include "paths.h"
#include "start.h"
#include "str.h"

#include <errno.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSTEM_USER "vmnet-broker"
#define SOCKET_SIZE sizeof(((struct sockaddr_un *)NULL)->sun_path)

static bool is_system_user(uid_t uid)
{
    struct passwd entry, *found = NULL;
    char text[1024];
    return uid == 0 || (getpwnam_r(SYSTEM_USER, &entry, text, sizeof text, &found) == 0 && found &&
                        found->pw_uid == uid);
}

static bool may_be_broker(uid_t uid, enum endpoint_choice choice)
{
    switch (choice) {
    case ENDPOINT_USER:
        return uid == geteuid();
    case ENDPOINT_SYSTEM:
        return is_system_user(uid);
    case ENDPOINT_AUTO: /* an explicit socket: either */
        break;
    }
    return uid == geteuid() || is_system_user(uid);
}

/* Nobody is there, as opposed to: somebody refuses. */
static bool nobody(int err)
{
    return err == -ENOENT || err == -ENOTDIR || err == -ECONNREFUSED;
}

static int open_checked(struct connection *c, const char *path, enum endpoint_choice choice,
                        struct failure *why)
{
    int r = connection_open(c, path);
    if (nobody(r))
        return failure_set(why, -ENOTCONN, "no broker is running at %s", path);
    if (r < 0)
        return failure_set(why, r, "cannot connect to %s: %s", path, strerror(-r));

    uid_t uid;
    r = connection_server_uid(c, &uid);
    if (r < 0)
        failure_set(why, r, "%s: cannot tell who listens: %s", path, strerror(-r));
    else if (!may_be_broker(uid, choice))
        r = failure_set(why, -EPERM, "%s: refused, because it is served by uid %lu", path,
                        (unsigned long)uid);
    if (r < 0)
        connection_close(c);
    return r;
}

static void system_socket(char path[static SOCKET_SIZE])
{
    struct paths paths;
    paths_system(&paths);
    (void)paths_own_socket(&paths, path, SOCKET_SIZE); /* it fits: a constant */
}

/* Who may not connect is not in the group, or was not when they logged in. */
static int open_system(struct connection *c, struct failure *why)
{
    struct passwd entry, *me = NULL;
    char path[SOCKET_SIZE], text[1024];
    system_socket(path);
    int r = open_checked(c, path, ENDPOINT_SYSTEM, why);
    if (r != -EACCES)
        return r;
    (void)getpwuid_r(geteuid(), &entry, text, sizeof text, &me);
    return failure_set(why, r,
                       "%s is for root and members of group vmnet; as root: usermod -aG vmnet %s, "
                       "and log in again",
                       path, me ? me->pw_name : "USER");
}

static int open_user(struct connection *c, bool start, struct failure *why)
{
    struct paths paths;
    char path[SOCKET_SIZE];
    int r = paths_user(&paths);
    if (r == -ENAMETOOLONG)
        return failure_set(why, r, "XDG_RUNTIME_DIR is too long for a socket's path");
    r = paths_own_socket(&paths, path, sizeof path);
    if (r < 0)
        return failure_set(why, r, "%s is too long for a socket's path", paths.runtime);

    r = open_checked(c, path, ENDPOINT_USER, why);
    if (r != -ENOTCONN || !start)
        return r;
    r = start_broker(why);
    return r < 0 ? r : open_checked(c, path, ENDPOINT_USER, why);
}

/* Once a process: whoever installed a system service wants to know why it is not used. */
static void notice_refusal(const char *why)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&said))
        fprintf(stderr,
                "vmnet-broker: the system's broker is not available to you (%s); using your own\n",
                why);
}

static int open_auto(struct connection *c, bool start, enum endpoint_choice *used,
                     struct failure *why)
{
    int r = open_system(c, why);
    if (r == 0) {
        *used = ENDPOINT_SYSTEM;
        return 0;
    }
    char path[SOCKET_SIZE];
    system_socket(path);
    if (r != -ENOTCONN || access(path, F_OK) == 0)
        notice_refusal(why->why);
    *used = ENDPOINT_USER;
    return open_user(c, start, why);
}

int endpoint_connect(struct connection *c, enum endpoint_choice choice, bool start,
                     enum endpoint_choice *ret_used, struct failure *why)
{
    enum endpoint_choice unused, *used = ret_used ? ret_used : &unused;
    const char *explicit = choice == ENDPOINT_AUTO ? paths_socket_override() : NULL;
    *used = choice;
    if (explicit)
        return open_checked(c, explicit, ENDPOINT_AUTO, why);
    switch (choice) {
    case ENDPOINT_USER:
        return open_user(c, start, why);
    case ENDPOINT_SYSTEM:
        return open_system(c, why);
    case ENDPOINT_AUTO:
        break;
    }
    return open_auto(c, start, used, why);
}
