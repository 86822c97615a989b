/* SPDX-License-Identifier: Apache-2.0 */
/* vmnet_interface.c - interfaces of a network, in any process, and their frames.
 *
 * An interface is a datagram socket in the directory $SIM_DIR/net-A.B.C.0, and a
 * frame written to one goes to all the others there: a hub. When the network's
 * creator is gone, writes go nowhere.
 */
#include "vmnet_sim.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_PACKETS        256
#define INTERFACES_A_GUEST 4

struct vmnet_interface {
    struct sim_object base;
    vmnet_network_ref network; /* retained: a started interface keeps its network */
    int fd;
    struct sockaddr_un self;
    char mac[18];
    pthread_mutex_t lock;
    dispatch_queue_t event_queue;
    vmnet_interface_event_callback_t event;
    struct sim_watch *watch;
};

static atomic_int interfaces, serial;

static void dispose_interface(void *object)
{
    interface_ref i = object;
    close(i->fd);
    sim_release(i->network, SIM_CF, "interface");
    pthread_mutex_destroy(&i->lock);
}

static const struct sim_class interface_class = { "vmnet interface", SIM_CF, dispose_interface };

static interface_ref interface(interface_ref i, const char *caller)
{
    if (sim_check(i, SIM_CF, caller)->class != &interface_class)
        sim_misuse("%s: given something else instead of an interface", caller);
    return i;
}

static bool open_port(interface_ref i)
{
    char dir[256];
    sim_network_path(i->network, "net", dir, sizeof dir);
    (void)mkdir(dir, 0777);
    i->self.sun_family = AF_UNIX;
    int n = snprintf(i->self.sun_path, sizeof i->self.sun_path, "%s/%d-%d", dir, (int)getpid(),
                     atomic_fetch_add(&serial, 1));
    if (n < 0 || (size_t)n >= sizeof i->self.sun_path)
        sim_misuse("SIM_DIR is too long");
    i->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return i->fd >= 0 && bind(i->fd, (struct sockaddr *)&i->self, sizeof i->self) == 0;
}

static xpc_object_t parameters(interface_ref i)
{
    uuid_t id;
    xpc_object_t p = xpc_dictionary_create_empty();
    (void)!getrandom(id, sizeof id, 0);
    xpc_dictionary_set_uint64(p, vmnet_mtu_key, i->network->mtu);
    xpc_dictionary_set_uint64(p, vmnet_max_packet_size_key, i->network->mtu + 14);
    xpc_dictionary_set_uint64(p, vmnet_read_max_packets_key, MAX_PACKETS);
    xpc_dictionary_set_uint64(p, vmnet_write_max_packets_key, MAX_PACKETS);
    xpc_dictionary_set_string(p, vmnet_mac_address_key, i->mac);
    xpc_dictionary_set_uuid(p, vmnet_interface_id_key, id);
    return p;
}

interface_ref
vmnet_interface_start_with_network(vmnet_network_ref network, xpc_object_t interface_desc,
                                   dispatch_queue_t queue,
                                   vmnet_start_interface_completion_handler_t start_block)
{
    unsigned char mac[6];
    sim_check(network, SIM_CF, "vmnet_interface_start_with_network");
    if (xpc_get_type(interface_desc) != XPC_TYPE_DICTIONARY)
        sim_misuse("vmnet_interface_start_with_network: the description is no dictionary");
    if (atomic_fetch_add(&interfaces, 1) >= INTERFACES_A_GUEST || !sim_network_reserved(network)) {
        atomic_fetch_sub(&interfaces, 1);
        return NULL;
    }
    interface_ref i = sim_new(sizeof *i, &interface_class);
    pthread_mutex_init(&i->lock, NULL);
    sim_retain(network, SIM_CF, "interface");
    i->network = network;
    if (!open_port(i))
        sim_misuse("cannot open an interface's socket");
    (void)!getrandom(mac, sizeof mac, 0); /* random at every start, whatever was asked for */
    (void)snprintf(i->mac, sizeof i->mac, "%02x:%02x:%02x:%02x:%02x:%02x", (mac[0] & 0xfc) | 2,
                   mac[1], mac[2], mac[3], mac[4], mac[5]);
    long injected = sim_injected("vmnet_interface_start_with_network");
    xpc_object_t p = injected ? NULL : parameters(i);
    dispatch_async(queue, ^{
      start_block(injected ? (vmnet_return_t)injected : VMNET_SUCCESS, p);
      if (p)
          xpc_release(p);
    });
    return i;
}

vmnet_return_t vmnet_stop_interface(interface_ref i, dispatch_queue_t queue,
                                    vmnet_interface_completion_handler_t handler)
{
    interface(i, "vmnet_stop_interface");
    (void)vmnet_interface_set_event_callback(i, 0, NULL, NULL);
    unlink(i->self.sun_path);
    atomic_fetch_sub(&interfaces, 1);
    dispatch_async(queue, ^{
      handler(VMNET_SUCCESS);
      sim_release(i, SIM_CF, "vmnet_stop_interface");
    });
    return VMNET_SUCCESS;
}

/* ---- frames ---- */

/* On the queue of the events. The callback is looked up only now: one that was taken back
 * before is not called, so that nothing comes after the end of vmnet_stop_interface(). */
static void call_back(interface_ref i)
{
    pthread_mutex_lock(&i->lock);
    vmnet_interface_event_callback_t event = i->event ? sim_block_copy(i->event) : NULL;
    pthread_mutex_unlock(&i->lock);
    if (!event)
        return;
    xpc_object_t about = xpc_dictionary_create_empty();
    xpc_dictionary_set_uint64(about, vmnet_estimated_packets_available_key, 1);
    event(VMNET_INTERFACE_PACKETS_AVAILABLE, about);
    xpc_release(about);
    sim_block_release(event);
}

static void interface_readable(void *object)
{
    interface_ref i = object;
    pthread_mutex_lock(&i->lock);
    dispatch_queue_t queue = i->event_queue;
    if (queue)
        dispatch_retain(queue);
    pthread_mutex_unlock(&i->lock);
    if (!queue)
        return;
    sim_retain(i, SIM_CF, "interface");
    dispatch_async(queue, ^{
      call_back(i);
      pthread_mutex_lock(&i->lock);
      if (i->watch)
          sim_watch_again(i->watch);
      pthread_mutex_unlock(&i->lock);
      sim_release(i, SIM_CF, "interface");
      dispatch_release(queue);
    });
}

vmnet_return_t vmnet_interface_set_event_callback(interface_ref i, interface_event_t mask,
                                                  dispatch_queue_t queue,
                                                  vmnet_interface_event_callback_t callback)
{
    interface(i, "vmnet_interface_set_event_callback");
    if (callback && (mask != VMNET_INTERFACE_PACKETS_AVAILABLE || !queue))
        return VMNET_INVALID_ARGUMENT;
    pthread_mutex_lock(&i->lock);
    vmnet_interface_event_callback_t old = i->event;
    dispatch_queue_t old_queue = i->event_queue;
    i->event = callback ? sim_block_copy(callback) : NULL;
    i->event_queue = callback ? queue : NULL;
    if (callback)
        dispatch_retain(queue);
    struct sim_watch *stop = callback ? NULL : i->watch;
    if (stop)
        i->watch = NULL;
    if (callback && !i->watch)
        i->watch = sim_watch_add(i->fd, interface_readable, i);
    pthread_mutex_unlock(&i->lock);
    if (stop)
        sim_watch_remove(stop);
    if (old) {
        sim_block_release(old);
        dispatch_release(old_queue);
    }
    return VMNET_SUCCESS;
}

vmnet_return_t vmnet_read(interface_ref i, struct vmpktdesc *packets, int *pktcnt)
{
    interface(i, "vmnet_read");
    int got = 0;
    if (*pktcnt < 0 || *pktcnt > MAX_PACKETS)
        return VMNET_TOO_MANY_PACKETS;
    for (; got < *pktcnt; got++) {
        struct vmpktdesc *p = &packets[got];
        if (p->vm_pkt_iovcnt != 1 || p->vm_pkt_size < i->network->mtu + 14)
            return VMNET_INVALID_ARGUMENT;
        ssize_t n = recv(i->fd, p->vm_pkt_iov->iov_base, p->vm_pkt_iov->iov_len, MSG_DONTWAIT);
        if (n < 0)
            break;
        p->vm_pkt_size = (size_t)n;
        p->vm_flags = 0;
    }
    *pktcnt = got;
    return VMNET_SUCCESS;
}

static void send_to_others(interface_ref i, const struct vmpktdesc *p)
{
    char dir_path[256];
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    sim_network_path(i->network, "net", dir_path, sizeof dir_path);
    DIR *dir = opendir(dir_path);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        int n = snprintf(to.sun_path, sizeof to.sun_path, "%s/%s", dir_path, d->d_name);
        if (d->d_name[0] != '.' && n > 0 && (size_t)n < sizeof to.sun_path &&
            strcmp(to.sun_path, i->self.sun_path) != 0)
            (void)sendto(i->fd, p->vm_pkt_iov->iov_base, p->vm_pkt_size, MSG_DONTWAIT,
                         (struct sockaddr *)&to, sizeof to);
    }
    if (dir)
        closedir(dir);
}

vmnet_return_t vmnet_write(interface_ref i, struct vmpktdesc *packets, int *pktcnt)
{
    interface(i, "vmnet_write");
    if (*pktcnt < 0 || *pktcnt > MAX_PACKETS)
        return VMNET_TOO_MANY_PACKETS;
    bool alive = sim_network_reserved(i->network);
    for (int k = 0; k < *pktcnt; k++) {
        if (packets[k].vm_pkt_iovcnt != 1)
            return VMNET_INVALID_ARGUMENT;
        if (packets[k].vm_pkt_size > i->network->mtu + 14)
            return VMNET_PACKET_TOO_BIG;
        if (alive)
            send_to_others(i, &packets[k]);
    }
    return VMNET_SUCCESS;
}
