/* SPDX-License-Identifier: Apache-2.0 */
/* paths.h - where sockets, locks, journals and logs live, decided once.
 *
 *                   user instance                              system instance
 *   runtime    $XDG_RUNTIME_DIR/vmnet-broker            /run/vmnet-broker
 *              (without XDG: /tmp/vmnet-broker-UID)
 *     broker.sock   clients
 *     netd.sock     the broker                          in /run/vmnet-netd
 *   state      $XDG_STATE_HOME/vmnet-broker             /var/lib/vmnet-broker
 *              (else $HOME/.local/state/vmnet-broker)
 *     memory.json   subnets and identities that are remembered
 *     broker.lock   held by the one broker of this state directory
 *     start.lock    held while somebody starts a broker
 *     broker.log, netd.log   where no journal takes them
 *     netd/         netd's own: journal, lock,          in /var/lib/vmnet-netd
 *                   a directory a network
 *
 * In a system instance broker and netd are two users, and neither may write to the other's.
 */
#pragma once
#include <stdbool.h>

struct def_dirs; /* def_dir.h */

struct paths {
    char runtime[108]; /* fits sockaddr_un with a file name: checked */
    char netd[108];    /* where netd.sock is: there, too, but in a system instance */
    char state[4096];
};

/* Returns 0; -ENAMETOOLONG when a socket's path would not fit; -ENOENT when neither
 * XDG_STATE_HOME nor HOME says where state belongs: then runtime is filled in all the
 * same and state is "", which is enough for a client. Creates nothing. Environment is
 * read with secure_getenv(). */
int paths_user(struct paths *ret);
void paths_system(struct paths *ret);
/* The same for its netd: directories of its own. */
void paths_system_netd(struct paths *ret);

/* Fills in where network definitions are: config_dir alone; or, where it is NULL, the system's
 * directory and, unless system is set, before it the user's own: $XDG_CONFIG_HOME/vmnet-broker.d
 * (else $HOME/.config/vmnet-broker.d), which is written to user and borrowed. ret->owner is
 * left alone. */
void paths_definitions(const char *config_dir, bool system, char *user, unsigned long size,
                       struct def_dirs *ret);

/* $VMNET_BROKER_SOCKET, or NULL when it is unset or empty. Borrowed from the environment. */
const char *paths_socket_override(void);

/* Which socket a client should try: $VMNET_BROKER_SOCKET, or runtime/broker.sock.
 * All three return 0 or -ENAMETOOLONG with ret made "". */
int paths_broker_socket(const struct paths *p, char *ret, unsigned long size);
/* runtime/broker.sock, whatever the environment says. */
int paths_own_socket(const struct paths *p, char *ret, unsigned long size);
/* netd/netd.sock. */
int paths_netd_socket(const struct paths *p, char *ret, unsigned long size);
