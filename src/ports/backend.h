/* SPDX-License-Identifier: Apache-2.0 */
/* backend.h - what the core asks of an operating system's networks.
 *
 * One of these is chosen by brokerd/main.c (linux/backend_netd.c,
 * macos/backend_vmnet.c) or by a test (tests/fakes/fake_backend.c). The core
 * includes nothing of the system beyond this point.
 *
 * Every call is made on the loop thread. What takes time only starts the work
 * and answers later, on the same thread, exactly once, through done() - never
 * from inside the call itself. Names and definitions are borrowed for the
 * length of the call; who needs a definition for longer takes a reference.
 */
#pragma once
#include "addr.h"
#include "definition.h"
#include "net_def.h"
#include "status.h"
#include "subnet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A network that exists, as its clients see it. Opaque to the core: an XPC
 * object on macOS, the Varlink type Network on Linux (linux/net_handle.h).
 * Owned by the core once done() was called with it; ended through ops->drop(). */
struct net_handle;

struct event;      /* event.h */
struct lease_view; /* lease.h */

/* A started interface as its client sees it (Linux only: linux/net_handle.h).
 * Given to the core by start_interface()'s done(), passed on at once to the
 * transport, which ends it - or to ops->drop_interface() when the client has gone. */
struct iface_handle;

/* What a client asks for when it starts an interface. Strings are NULL when
 * not given. Form has been checked (name_valid(), mac_is_unicast()). */
struct iface_request {
    const char *network;      /* held by the client */
    const char *interface_id; /* 1 to 63 printable characters without blanks */
    const char *name;
    const struct mac *mac; /* NULL: the broker chooses */
    unsigned queues;       /* 1 to IFACE_QUEUES_MAX */
    bool offload;
    bool isolated;
    bool by_name; /* its VM opens the TAP itself, by its name */
    uid_t uid;    /* who asks; an identity belongs to its uid */
};

#define IFACE_QUEUES_MAX 16u

/* A port of the host that is to lead to a VM, or does. */
struct forward_request {
    const char *network;
    const char *interface_id; /* with which it ends; NULL: with the network */
    enum forward_protocol protocol;
    struct address listen; /* of the host; version 0: any */
    uint16_t external_port, internal_port;
    struct address address; /* of the VM; version 0: the interface's */
    uid_t uid;              /* who asks */
};

/* Where a request leads, as far as an interface that is live says so. */
struct forward_target {
    bool live;
    uid_t uid; /* whose interface it is */
};

/* failure is NULL when it worked (then the handle is set), and valid during the
 * call when it did not (then the handle is NULL). */
typedef void (*backend_built)(void *arg, const struct failure *failure, struct net_handle *handle);
typedef void (*backend_removed)(void *arg, const struct failure *failure);
typedef void (*backend_started)(void *arg, const struct failure *failure,
                                struct iface_handle *handle);
typedef void (*backend_forwarded)(void *arg, const struct failure *failure);
/* failure may be set beside a report: then the figures are the last known. */
typedef void (*backend_inspected)(void *arg, const struct failure *failure);

/* What `status` shows of the backend itself. Texts are the backend's, valid until
 * the next call into it. */
struct backend_view {
    const char *uplink_engine; /* "none", "pasta", "slirp4netns"                    */
    const char *problems[8];   /* what is wrong now, each with its remedy           */
    size_t n_problems;
    pid_t namespace_pid; /* 0: no namespace exists                            */
};

struct backend_ops {
    const char *name; /* for logs and for `vmnet-brokerctl status` */

    /* Each returns 0 when the work has begun and done() will follow, or a
     * negative errno when it has not and done() will never be called. */
    int (*build)(void *self, struct definition *def, backend_built done, void *arg);
    int (*remove)(void *self, const char *net_name, backend_removed done, void *arg);

    /* The definition of a network that exists has other reservations, forwards or another
     * idle time now, or was just built: bring it to that, without touching its VMs.
     * events.applied() follows
     * once or more. 0, or a negative errno when nothing has begun. NULL where a network
     * that exists cannot be changed (macOS): then build() has to bring all of it. */
    int (*update)(void *self, const struct definition *def);

    /* NULL where clients start interfaces themselves (macOS). */
    int (*start_interface)(void *self, const struct iface_request *request, backend_started done,
                           void *arg);
    /* The client went before its interface came: end it, descriptors and all, so that
     * the TAP goes too. NULL exactly where start_interface is. */
    void (*drop_interface)(void *self, struct iface_handle *handle);
    /* How many interfaces of this uid are live, on all networks, and how many queues they
     * have together: what the limits per uid count. Those still being started the core
     * counts itself. NULL: no limit. */
    unsigned (*interfaces_of)(void *self, uid_t uid, unsigned *queues);

    /* Forwards of clients; those of definitions come by update(). All NULL where there are
     * no others (macOS). Each returns 0 when the work has begun and done() will follow, or a
     * negative errno with *why in words. -EADDRINUSE: somebody listens there. */
    int (*add_forward)(void *self, const struct forward_request *request, backend_forwarded done,
                       void *arg, struct failure *why);
    /* By network, protocol, listen and external port; where there is one for each version of
     * IP, both if they are the same user's. */
    int (*remove_forward)(void *self, const struct forward_request *request, backend_forwarded done,
                          void *arg, struct failure *why);
    /* Whose interface has this id or address. */
    struct forward_target (*forward_target)(void *self, const struct forward_request *request);
    /* Who asked for the forward that remove_forward() would remove: the asker, if he can be.
     * -ENOENT: there is none; -EPERM: the network's definition. */
    int (*forward_owner)(void *self, const struct forward_request *request, uid_t *ret);
    /* How many forwards this uid has asked for. */
    unsigned (*forwards_of)(void *self, uid_t uid);

    /* Bring traffic and drop counters up to date. done() follows within two
     * seconds whatever the helper does; after it the transport reads the
     * figures from the handle. NULL where there is nothing to ask. */
    int (*inspect)(void *self, backend_inspected done, void *arg);

    /* Who has which address, of one network or (NULL) all that exist, by address. *ret:
     * malloc'd, the caller's. 0 or -ENOMEM. NULL where nobody can be asked (macOS). */
    int (*leases)(void *self, const char *network, struct lease_view **ret, size_t *n);

    void (*describe)(void *self, struct backend_view *ret);
    void (*drop)(void *self, struct net_handle *handle); /* NULL is fine */
    /* What is still under way is abandoned: no done() and no event comes any more. */
    void (*free)(void *self);
};

struct backend {
    const struct backend_ops *ops;
    void *self;
};

/* What a backend tells the core unasked. Given to the backend when it is made. */
struct backend_events {
    /* The helper already had this network when we came: adopt it as ready.
     * Called only before the transport accepts anybody. The handle becomes the
     * core's. */
    void (*found)(void *arg, const struct net_def *def, struct net_handle *handle, unsigned live);
    /* live interfaces of a network changed (a TAP opened, or its last descriptor closed). */
    void (*interfaces)(void *arg, const char *net_name, unsigned live);
    /* A network is gone although nobody asked for that. The handle given for it
     * is still the core's to drop. */
    void (*lost)(void *arg, const char *net_name, const struct failure *failure);
    /* An update() has been carried out; failure: the first thing that could not be, such as
     * a port of the host that somebody has, or NULL. */
    void (*applied)(void *arg, const char *net_name, const struct failure *failure);
    /* Something that the core only passes on: an interface or the uplink. Not of what is
     * there already when the backend is made. */
    void (*happened)(void *arg, const struct event *event);
    /* A question: the subnets that definitions other than that of net_name fix, so that
     * nobody is given one of them by chance. Adds to taken. 0 or -ENOMEM. */
    int (*claimed)(void *arg, const char *net_name, struct taken_list *taken);
    void *arg;
};
