/* SPDX-License-Identifier: Apache-2.0 */
#include "closer.h"

#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* One for the process: whoever ends an interface handle has no context to find another
 * by, and a second thread would gain nothing. */
static struct worker closer = WORKER_INIT(closer);

struct item {
    struct work work; /* first: it is found by this */
    int fd;
};

static void close_one(struct work *work)
{
    struct item *item = (struct item *)work;

    (void)close(item->fd);
    free(item);
}

void closer_close(int fd)
{
    int saved = errno;
    if (fd < 0)
        return;
    struct item *item = malloc(sizeof *item);
    if (item)
        *item = (struct item){ .work.run = close_one, .fd = fd };
    if (!item || worker_give(&closer, &item->work) < 0) {
        (void)close(fd);
        free(item);
    }
    errno = saved;
}

void closer_stop(void)
{
    worker_stop(&closer);
}
