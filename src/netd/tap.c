/* SPDX-License-Identifier: Apache-2.0 */
/* tap.c - TAP devices: an Ethernet port whose other end is a descriptor.
 *
 * The descriptors are all that exists of a TAP's ownership: netd makes them, passes
 * them on and closes its own, so a TAP lives exactly as long as some process of the
 * VM has one open. One that its VM opens by name has to be there before (tap_hold.h).
 */
#include "link.h"

#include "fd.h"
#include "str.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

/* One queue. The header size of a vnet TAP stays the kernel's 10 bytes: every VMM
 * sets the size that its virtio device has negotiated. */
static int open_queue(const char *name, short flags)
{
    struct ifreq req = { .ifr_flags = flags };
    AUTO_FD fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    int r;

    if (fd < 0)
        return -errno;
    r = str_copy(req.ifr_name, sizeof req.ifr_name, name);
    if (r < 0)
        return r;
    if (ioctl(fd, TUNSETIFF, &req) < 0)
        return -errno;
    return fd_take(&fd);
}

/* A TAP without an owner is anybody's who has a descriptor of any TAP of this namespace that
 * is attached to none, such as that of a TAP which we have removed. */
static int own(int fd)
{
    return ioctl(fd, TUNSETOWNER, (unsigned long)geteuid()) < 0 ? -errno : 0;
}

int tap_keep(int fd)
{
    int r = own(fd);

    return r == 0 && ioctl(fd, TUNSETPERSIST, 1) < 0 ? -errno : r;
}

int tap_create(const char *name, unsigned queues, bool vnet_hdr, int *ret_fds)
{
    short flags = IFF_TAP | IFF_NO_PI;
    unsigned made;
    int fd = 0;

    if (vnet_hdr)
        flags |= IFF_VNET_HDR;
    if (queues > 1)
        flags |= IFF_MULTI_QUEUE;
    for (made = 0; made < queues; made++) {
        fd = open_queue(name, flags);
        if (fd < 0)
            break;
        ret_fds[made] = fd;
    }
    if (made == queues && queues > 1)
        fd = own(ret_fds[0]);
    while (fd < 0 && made > 0)
        fd_closep(&ret_fds[--made]);
    return fd < 0 ? fd : 0;
}
