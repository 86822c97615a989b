/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_instance.c - what an instance of the broker needs beside programs: its directories or,
 * in a system instance, users and a group; and how the one that runs is doing. */
#include "doctor.h"

#include "accounts.h"
#include "call.h"
#include "mem.h"
#include "paths.h"
#include "str.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- directories ---- */

/* Could it be made, or is it ours? Makes nothing. */
static int usable(const char *path)
{
    struct stat st;
    char part[PATH_MAX];
    if (lstat(path, &st) == 0)
        return !S_ISDIR(st.st_mode)                                ? -ENOTDIR
               : st.st_uid != geteuid() || (st.st_mode & 022) != 0 ? -EPERM
                                                                   : 0;
    if (errno != ENOENT || str_copy(part, sizeof part, path) < 0)
        return -errno;
    for (char *slash; (slash = strrchr(part, '/')) && slash > part;) {
        *slash = '\0';
        if (access(part, W_OK | X_OK) == 0)
            return 0;
        if (errno != ENOENT)
            break;
    }
    return -errno;
}

static void check_directory(struct exam *e, const char *path, const char *variable)
{
    int r = usable(path);
    if (r == 0) {
        doctor_found(e, FINE, "%.200s", path);
        return;
    }
    doctor_found(e, MISSING, "%.160s cannot be used: %s", path, strerror(-r));
    doctor_remedy(e,
                  "it must be a directory of your own that nobody else can write; "
                  "or set %s to another place",
                  variable);
}

void doctor_runtime(struct exam *e)
{
    struct paths paths;
    if (paths_user(&paths) == -ENAMETOOLONG) {
        doctor_found(e, MISSING, "XDG_RUNTIME_DIR is too long for a socket's path");
        doctor_remedy(e, "set XDG_RUNTIME_DIR to a shorter path");
        return;
    }
    check_directory(e, paths.runtime, "XDG_RUNTIME_DIR");
}

void doctor_state(struct exam *e)
{
    struct paths paths;
    if (paths_user(&paths) == -ENOENT) {
        doctor_found(e, MISSING, "neither XDG_STATE_HOME nor HOME says where state belongs");
        doctor_remedy(e, "set HOME");
        return;
    }
    check_directory(e, paths.state, "XDG_STATE_HOME");
}

/* ---- the system instance ---- */

/* Somebody has installed one, or asks for it. */
static bool system_matters(const struct exam *e)
{
    struct paths paths;
    char socket[128];

    paths_system(&paths);
    return e->ctl->choice == ENDPOINT_SYSTEM ||
           (paths_own_socket(&paths, socket, sizeof socket) == 0 && access(socket, F_OK) == 0);
}

static bool in_group(gid_t gid)
{
    gid_t groups[1024];
    int n = getgroups((int)N_ELEMENTS(groups), groups);

    for (int i = 0; i < n; i++)
        if (groups[i] == gid)
            return true;
    return getegid() == gid || geteuid() == 0;
}

void doctor_system(struct exam *e)
{
    char name[ACCOUNT_NAME_SIZE];
    uid_t uid;
    gid_t gid;

    if (!system_matters(e)) {
        doctor_found(e, FINE, "there is none, and nobody needs one");
    } else if (account_user("vmnet-broker", &uid) < 0 || account_user("vmnet-netd", &uid) < 0 ||
               account_group("vmnet", &gid) < 0) {
        doctor_found(e, MISSING,
                     "it needs the users vmnet-broker and vmnet-netd and the group vmnet");
        doctor_remedy(e, "systemd-sysusers, as root");
    } else if (!in_group(gid)) {
        doctor_found(e, e->ctl->choice == ENDPOINT_SYSTEM ? MISSING : WARNING,
                     "you are not in group vmnet, whose members may use it");
        doctor_remedy(e, "usermod -aG vmnet %s, as root; then log in again",
                      account_user_name(geteuid(), name));
    } else if (account_user("vmnet-uplink", &uid) < 0) {
        doctor_found(e, WARNING, "there is no user vmnet-uplink: pasta is vmnet-netd, too");
        doctor_remedy(e, "systemd-sysusers, as root");
    } else {
        doctor_found(e, FINE, "its users and group are there, and you may use it");
    }
}

/* ---- the broker ---- */

void doctor_broker(struct exam *e)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    AUTO_REPLY reply = REPLY_INIT;
    struct failure why = { 0 };
    int r = endpoint_connect(&c, e->ctl->choice, false, NULL, &why);
    if (r == -ENOTCONN) {
        if (e->ctl->choice == ENDPOINT_SYSTEM) {
            doctor_found(e, MISSING, "the system's broker does not run");
            doctor_remedy(e, "systemctl enable --now vmnet-broker.socket vmnet-netd.socket");
        } else {
            doctor_found(e, FINE, "none is running; acquiring a network starts one");
        }
        return;
    }
    if (r == 0)
        r = connection_call(&c, "Status", NULL, &reply);
    if (r < 0 || reply.error != STATUS_SUCCESS) {
        doctor_found(e, MISSING, "%s", why.why[0] ? why.why : "a broker runs but does not answer");
        doctor_remedy(e, "its log may know why: vmnet-broker(8) says where it is");
        return;
    }
    const json_t *broker = json_object_get(reply.parameters, "broker");
    const json_t *problem = json_array_get(json_object_get(broker, "problems"), 0);
    const char *instance = json_string_value(json_object_get(broker, "instance"));
    if (problem) {
        const char *words = json_string_value(problem);
        doctor_found(e, WARNING, "%.200s", words ? words : "?");
        doctor_remedy(e, "vmnet-brokerctl status has more");
        return;
    }
    doctor_found(e, FINE, "the %s instance answers", instance ? instance : "?");
}
