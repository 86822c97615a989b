/* SPDX-License-Identifier: Apache-2.0 */
/* paths.c - where sockets, locks, journals and logs live.
 *
 * Pure: it reads the environment and composes texts. Whether a directory is there
 * and ours is checked by whoever opens it (base/file.h), since an answer given here
 * could be outdated by then. A relative XDG variable counts as unset, as the XDG
 * base directory specification demands.
 */
#include "paths.h"
#include "def_dir.h"
#include "str.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __APPLE__
#define secure_getenv(name) (issetugid() ? NULL : getenv(name))
#endif

#define BROKER_SOCKET "broker.sock"
#define NETD_SOCKET   "netd.sock"

static const char *absolute(const char *variable)
{
    const char *value = secure_getenv(variable);
    return value && value[0] == '/' ? value : NULL;
}

static int runtime_dir(char *ret, size_t size)
{
    const char *xdg = absolute("XDG_RUNTIME_DIR");
    int r = xdg ? str_format(ret, size, "%s/vmnet-broker", xdg)
                : str_format(ret, size, "/tmp/vmnet-broker-%lu", (unsigned long)geteuid());
    if (r < 0)
        return r;
    char socket[sizeof((struct sockaddr_un *)NULL)->sun_path];
    return str_format(socket, sizeof socket, "%s/" BROKER_SOCKET, ret);
}

/* "$VARIABLE/name", or "$HOME/fallback/name". */
static int home_dir(const char *variable, const char *fallback, const char *name, char *ret,
                    size_t size)
{
    const char *xdg = absolute(variable);
    if (xdg)
        return str_format(ret, size, "%s/%s", xdg, name);
    const char *home = absolute("HOME");
    if (home)
        return str_format(ret, size, "%s/%s/%s", home, fallback, name);
    ret[0] = '\0';
    return -ENOENT;
}

int paths_user(struct paths *ret)
{
    int r = runtime_dir(ret->runtime, sizeof ret->runtime);
    (void)str_copy(ret->netd, sizeof ret->netd, r < 0 ? "" : ret->runtime);
    int state =
        home_dir("XDG_STATE_HOME", ".local/state", "vmnet-broker", ret->state, sizeof ret->state);
    return r < 0 ? r : state;
}

void paths_system(struct paths *ret)
{
    (void)str_copy(ret->runtime, sizeof ret->runtime, "/run/vmnet-broker");
    (void)str_copy(ret->netd, sizeof ret->netd, "/run/vmnet-netd");
    (void)str_copy(ret->state, sizeof ret->state, "/var/lib/vmnet-broker");
}

void paths_system_netd(struct paths *ret)
{
    (void)str_copy(ret->runtime, sizeof ret->runtime, "/run/vmnet-netd");
    (void)str_copy(ret->netd, sizeof ret->netd, "/run/vmnet-netd");
    (void)str_copy(ret->state, sizeof ret->state, "/var/lib/vmnet-netd");
}

void paths_definitions(const char *config_dir, bool system, char *user, unsigned long size,
                       struct def_dirs *ret)
{
    ret->n = 0;
    if (config_dir) {
        ret->paths[ret->n++] = config_dir;
        return;
    }
    if (!system && home_dir("XDG_CONFIG_HOME", ".config", "vmnet-broker.d", user, size) == 0)
        ret->paths[ret->n++] = user;
    ret->paths[ret->n++] = DEFINITIONS_SYSTEM;
}

const char *paths_socket_override(void)
{
    const char *path = secure_getenv("VMNET_BROKER_SOCKET");
    return path && path[0] ? path : NULL;
}

int paths_broker_socket(const struct paths *p, char *ret, unsigned long size)
{
    const char *override = paths_socket_override();
    if (override)
        return str_copy(ret, size, override);
    return paths_own_socket(p, ret, size);
}

int paths_own_socket(const struct paths *p, char *ret, unsigned long size)
{
    return str_format(ret, size, "%s/" BROKER_SOCKET, p->runtime);
}

int paths_netd_socket(const struct paths *p, char *ret, unsigned long size)
{
    return str_format(ret, size, "%s/" NETD_SOCKET, p->netd);
}
