/* SPDX-License-Identifier: Apache-2.0 */
/* backend_record.h - what the parts of the Linux backend share.
 *
 * For each network there is one record that says both: what the core wants (a build or a
 * removal that waits for its answer, a handle that the core holds) and what netd has
 * (present, or something under way). networks_settle() compares the two and takes the
 * next step. Nothing more is needed when a request times out and is answered later, when
 * netd dies with requests under way, or when the core asks for a network that is still
 * being removed: each is only a difference, which settles once netd has answered or
 * listed what it has. A record goes when neither side has anything of it.
 *
 *   backend_netd.c          the port's entry: made, inspected, told of by the line, ended
 *   backend_record.c        records, and telling those who wait
 *   backend_networks.c      subnets, BUILD, REMOVE, and the difference
 *   backend_spec.c          a definition in netd's words, and back
 *   backend_uplink.c        the ways out
 *   backend_update.c        what changes while VMs run: UPDATE
 *   backend_wishes.c        which ports of the host are to be forwarded ...
 *   backend_forward_list.c  ... which there are, and who waits for one
 *   backend_forwards.c      ... and ADD_FORWARD, REMOVE_FORWARD
 *   backend_interfaces.c    identities, OPEN_TAP, TAPs that go
 *   backend_inventory.c     what a netd has when we come to it
 *   backend_stranded.c      what VMs are still on, and nobody can reach
 *
 * The core's callbacks are called from the loop only, never from inside its own calls,
 * and may call back at once; so nobody keeps a pointer to a record across them.
 */
#pragma once
#include "backend.h"
#include "event.h"
#include "memory_file.h"
#include "net_handle.h"
#include "netd_line.h"
#include "random.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

struct backend_netd {
    sd_event *event;
    struct backend_events events;
    struct netd_start_config start;
    uint32_t idle_timeout_sec;
    uint64_t request_usec; /* how long a client waits for netd */
    uint64_t leave_usec;   /* how long we do, at our end */
    struct netd_line *line;
    struct memory memory;
    struct memory_file *file;
    sd_event_source *soon; /* looks at everything once, when enabled */
    TAILQ_HEAD(, record) records;
    TAILQ_HEAD(, starting) startings; /* StartInterface under way: backend_interfaces.c */
    TAILQ_HEAD(, inspection) inspections;
    TAILQ_HEAD(, forward_question) forward_questions; /* backend_forwards.c */
    sd_event_source *forwards_again;                  /* tries those that were refused */
    unsigned forwards_so_far;
    struct owner_search *owner_search; /* who has a port that is taken */
    /* Handles of networks with a way out point into these: by the host's routes, and by
     * each interface of the host's. */
    char uplink[NETD_WHY_SIZE];
    TAILQ_HEAD(, known_uplink) uplinks;
    char uplink_note[NETD_WHY_SIZE]; /* why it is not the kernel's; "": it is, or need not be */
    char problem[NETD_WHY_SIZE + 32], forwards_problem[NETD_WHY_SIZE + NAME_SIZE + 32];
    struct stranded_net *stranded;
    size_t n_stranded;
    bool adopting;  /* until backend_netd_new() returns */
    bool leftovers; /* a dead netd has left something, to be adopted or swept by the next */
};

/* One network. The handle is part of it, so that what the core holds stays up to date. */
struct record {
    TAILQ_ENTRY(record) link; /* while listed */
    struct backend_netd *b;
    struct net_def def;
    struct net_handle handle;      /* .spec is what netd has, or was asked for */
    char uplink[NETD_WHY_SIZE];    /* of its own, as netd told; "": it has everybody's */
    struct memory_network *memory; /* NULL until a subnet is chosen */
    bool listed;                   /* false: gone, and the core has yet to drop it */
    bool held;                     /* the core has the handle */
    bool present;                  /* netd has it */
    bool busy;                     /* BUILD, REMOVE or UPDATE is under way */
    bool check;                    /* networks_settle() has something to look at */
    bool seen;                     /* in the inventory just read */
    unsigned live;                 /* length of handle.interfaces */
    TAILQ_HEAD(, given) given;     /* addresses that DHCP gave out (backend_leases.c) */
    struct {
        backend_built done; /* NULL: nobody waits */
        void *arg;
    } built;
    struct {
        backend_removed done;
        void *arg;
    } removed;
    sd_event_source *timer; /* the patience of whoever waits */
    struct {
        struct reserved reserved; /* as the core gave them last */
        bool given;               /* it has */
        bool wanted;              /* netd does not have all of it */
        bool again;               /* changed while it was being told */
        size_t next, asked;       /* where we are in the list */
    } update;
};

/* ---- backend_record.c */

extern const struct random_source random_system;

/* Look at everything, from the loop. */
void backend_schedule(struct backend_netd *b);
void timer_end(sd_event_source **timer);

/* A failure of the system's side while something is created: netd's -EPERM means that the
 * kernel said no to netd, not that a policy said no to the client. */
struct failure creation_failure(const struct failure *failure);

struct record *record_find(const struct backend_netd *b, const char *name);
struct record *record_new(struct backend_netd *b, const struct net_def *def); /* NULL: memory */
void record_set_spec(struct record *record, const struct netd_network *spec);
void record_free(struct record *record);
void record_free_if_nothing(struct record *record);
void records_check_all(struct backend_netd *b);

struct iface_entry *entry_by_id(const struct record *record, const char *id);
/* NULL: memory is short. */
struct iface_entry *entry_add(struct record *record, const struct netd_interface *spec);
void entry_remove(struct record *record, struct iface_entry *e);
void entries_remove_all(struct record *record);
/* The identity is not live any more. */
void identity_give_back(struct backend_netd *b, const char *network, const char *id);

/* Telling: each forgets who waited before it calls, and the record may be gone afterwards. */
void tell_interfaces(const struct record *record);
/* To those who watch: one of its interfaces was started, stopped or given an address. */
void tell_interface(const struct record *record, enum event_kind kind,
                    const struct netd_interface *spec);
void tell_built(struct record *record);
void tell_build_failed(struct record *record, const struct failure *failure);
void tell_removed(struct record *record, const struct failure *failure); /* NULL: it worked */
/* A network that netd had is gone without our asking. */
void record_lost(struct record *record, const struct failure *failure);

/* ---- backend_leases.c */

struct lease_view;
void leases_take(struct backend_netd *b, const struct netd_lease *lease);
void leases_clear_all(struct record *record);
int leases_list(void *self, const char *network, struct lease_view **ret, size_t *n);

/* ---- backend_networks.c */

int networks_build(void *self, struct definition *def, backend_built done, void *arg);
int networks_remove(void *self, const char *net_name, backend_removed done, void *arg);
void networks_drop(void *self, struct net_handle *handle);
void networks_settle(struct backend_netd *b);
bool networks_waiting(const struct backend_netd *b); /* somebody waits for an answer */
void networks_fail_all(struct backend_netd *b, const struct failure *failure);

/* ---- backend_spec.c */

/* All that a definition says; name, id and chosen addresses stay as they are. */
void spec_set_keys(struct netd_network *spec, const struct net_def *def, uint32_t idle_timeout_sec);
/* Is what netd has what the definition says now? */
bool spec_is_as_defined(const struct netd_network *spec, const struct net_def *def);
/* The definition that a network was made by. */
void spec_to_def(const struct netd_network *spec, struct net_def *ret);
bool spec_has_uplink(const struct netd_network *spec);

/* ---- backend_update.c */

int networks_update(void *self, const struct definition *def);
/* A network that is made anew: nothing is reserved until update() says so. */
void update_forget(struct record *record);
void update_send(struct record *record);
/* netd may not have what it was told. */
void update_repeat(struct record *record);

void tell_applied(const struct record *record, const struct failure *failure);

/* ---- backend_uplink.c */

/* The state of a network's way out; valid as long as the backend. */
const char *uplink_of(struct backend_netd *b, const struct netd_network *spec);
void uplink_take_welcome(struct backend_netd *b);
void uplink_changed(struct backend_netd *b, const struct netd_uplink *uplink);
/* What is wrong with one, in b->problem; NULL: nothing. */
const char *uplink_problem(struct backend_netd *b);
void uplinks_forget(struct backend_netd *b);

/* ---- backend_wishes.c */

int forwards_add(void *self, const struct forward_request *request, backend_forwarded done,
                 void *arg, struct failure *why);
int forwards_remove(void *self, const struct forward_request *request, backend_forwarded done,
                    void *arg, struct failure *why);
struct forward_target forwards_target(void *self, const struct forward_request *request);
int forwards_owner(void *self, const struct forward_request *request, uid_t *ret);
unsigned forwards_of(void *self, uid_t uid);
/* Those of the definition, from now on. 0 or -ENOMEM. */
int forwards_define(struct record *record, const struct definition *def);

/* ---- backend_forward_list.c */

/* One that is wanted from now on; the caller schedules. NULL: memory. */
struct forward_entry *forward_new(struct record *record, const struct netd_forward *spec);
void forward_free(struct record *record, struct forward_entry *f);
/* Somebody waits for it to be made, or to be gone. 0 or a negative errno. */
int forward_wait(struct record *record, struct forward_entry *f, backend_forwarded done, void *arg);
/* Who waits hears of it once; the entry stays. */
void forward_tell(struct forward_entry *f, const struct failure *failure);
/* The last word on one that is gone. */
void forward_tell_and_free(struct record *record, struct forward_entry *f,
                           const struct failure *failure);

struct forward_entry *forward_by_serial(const struct record *record, unsigned serial);
/* Is it wanted, and where `door` is: protocol, listen, external port, and a version of IP? */
bool forward_is_at(const struct forward_entry *f, const struct netd_forward *door);
/* One that is there on any network, but this one; NULL: none. */
struct forward_entry *forward_taken(const struct backend_netd *b, const struct netd_forward *spec,
                                    const struct forward_entry *except);
/* One that is just so, wanted or not. */
struct forward_entry *forward_same(const struct record *record, const struct netd_forward *spec);

bool forwards_waiting(const struct backend_netd *b);
void forwards_fail_unsent(struct backend_netd *b, const struct failure *failure);
/* The interface, or with NULL the network, has gone from netd, and with it its forwards. */
void forwards_gone(struct record *record, const char *interface);
/* All of them, without a word. */
void forwards_forget(struct record *record);
void forwards_changed(struct backend_netd *b, const struct netd_forward *forward);
void forwards_take(struct backend_netd *b, const struct netd_inventory *inventory);
/* Adds what is wrong with a definition's. */
void forwards_describe(struct backend_netd *b, struct backend_view *ret);

/* ---- backend_forwards.c */

void forwards_send(struct backend_netd *b); /* what netd is still to be asked for */
int forwards_init(struct backend_netd *b);
void forwards_free(struct backend_netd *b);

/* ---- backend_interfaces.c */

int interfaces_start(void *self, const struct iface_request *request, backend_started done,
                     void *arg);
void interfaces_drop(void *self, struct iface_handle *handle);
unsigned interfaces_of(void *self, uid_t uid, unsigned *queues);
void interfaces_send(struct backend_netd *b); /* those that wait to be asked for */
bool interfaces_waiting(const struct backend_netd *b);
void interfaces_fail_unsent(struct backend_netd *b, const struct failure *failure);
void interfaces_free(struct backend_netd *b);
void interfaces_tap_gone(struct backend_netd *b, const struct netd_interface *gone);

/* ---- backend_stranded.c */

void stranded_take(struct backend_netd *b, const struct netd_inventory *inventory);
void stranded_over(struct backend_netd *b, const struct netd_stranded *which);
/* Their subnets are taken. */
int stranded_collect(const struct backend_netd *b, struct taken_list *taken);
bool stranded_has_prefix(const struct backend_netd *b, const struct prefix6 *prefix);
void stranded_describe(const struct backend_netd *b, struct backend_view *view);

/* ---- backend_inventory.c */

void inventory_take(struct backend_netd *b, const struct netd_inventory *inventory);
