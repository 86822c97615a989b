/* SPDX-License-Identifier: Apache-2.0 */
/* tap_hold.h - who has a TAP that its VM opens by name.
 *
 * Such a TAP is there before any process has it open, so the kernel does not tell when nobody
 * wants it any more. Whoever asked for it therefore gets a descriptor that stands for the name,
 * and as long as any process has that open, or the TAP itself, the TAP stays.
 *
 * It is the end of a named pipe in the network's directory, which nobody reads or writes. Its
 * other end tells us when the last one has closed it, and the next netd, which opens it by its
 * name, is told the same: so it is with these TAPs as with all others, that neither the
 * broker's death nor ours changes anything.
 */
#pragma once
#include <systemd/sd-event.h>

struct tap_hold;

/* gone: nobody holds it any more; called once, from the loop. dirfd: the network's directory,
 * borrowed for the call. */
struct tap_hold_setup {
    sd_event *event;
    int dirfd;
    const char *tap; /* its name */
    void (*gone)(void *arg);
    void *arg;
};

/* ret_fd: to be passed on, the caller's. On error nothing is left. */
int tap_hold_new(const struct tap_hold_setup *setup, struct tap_hold **ret, int *ret_fd);
/* One that an earlier netd made. -ENXIO: nobody holds it. */
int tap_hold_adopt(const struct tap_hold_setup *setup, struct tap_hold **ret);
/* Only ours; the pipe stays for the next netd. NULL is fine. */
void tap_hold_free(struct tap_hold *hold);
/* The pipe's name goes; without one, nothing happens. */
void tap_hold_remove(int dirfd, const char *tap);
