/* SPDX-License-Identifier: Apache-2.0 */
/* tap_hold.c - see tap_hold.h. */
#include "tap_hold.h"

#include "fd.h"
#include "mem.h"
#include "netd_msg.h"
#include "str.h"

#include <fcntl.h>
#include <sys/stat.h>

struct tap_hold {
    int fd; /* for writing: opening it so fails where nobody has the other end */
    sd_event_source *source;
    void (*gone)(void *arg);
    void *arg;
};

#define FILE_SIZE (NETD_TAP_SIZE + sizeof ".held")

static void file_of(const char *tap, char ret[static FILE_SIZE])
{
    (void)str_format(ret, FILE_SIZE, "%s.held", tap);
}

/* Nothing but the end of the last reader is ever told to who waits for nothing. */
static int on_gone(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct tap_hold *hold = arg;

    (void)source;
    (void)fd;
    (void)events;
    hold->source = sd_event_source_disable_unref(hold->source);
    hold->gone(hold->arg); /* which may free it */
    return 0;
}

int tap_hold_adopt(const struct tap_hold_setup *setup, struct tap_hold **ret)
{
    struct tap_hold *hold = calloc(1, sizeof *hold);
    char file[FILE_SIZE];
    int r = 0;

    if (!hold)
        return -ENOMEM;
    hold->gone = setup->gone;
    hold->arg = setup->arg;
    file_of(setup->tap, file);
    hold->fd = openat(setup->dirfd, file, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (hold->fd < 0)
        r = -errno;
    else
        r = sd_event_add_io(setup->event, &hold->source, hold->fd, 0, on_gone, hold);
    if (r < 0) {
        tap_hold_free(hold);
        return r;
    }
    *ret = hold;
    return 0;
}

int tap_hold_new(const struct tap_hold_setup *setup, struct tap_hold **ret, int *ret_fd)
{
    char file[FILE_SIZE];
    AUTO_FD fd = -1;
    int r;

    file_of(setup->tap, file);
    tap_hold_remove(setup->dirfd, setup->tap); /* that of an earlier TAP of this name */
    if (mkfifoat(setup->dirfd, file, 0600) < 0)
        return -errno;
    fd = openat(setup->dirfd, file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    r = fd < 0 ? -errno : tap_hold_adopt(setup, ret);
    if (r < 0) {
        tap_hold_remove(setup->dirfd, setup->tap);
        return r;
    }
    *ret_fd = fd_take(&fd);
    return 0;
}

void tap_hold_free(struct tap_hold *hold)
{
    if (!hold)
        return;
    sd_event_source_disable_unref(hold->source);
    fd_closep(&hold->fd);
    free(hold);
}

void tap_hold_remove(int dirfd, const char *tap)
{
    char file[FILE_SIZE];

    file_of(tap, file);
    (void)unlinkat(dirfd, file, 0);
}
