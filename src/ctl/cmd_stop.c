/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_stop.c - asks an unused broker to exit, and waits until it has. */
#include "call.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#define PATIENCE_MSEC 10000 /* to remove a network of 50 TAPs takes a second */

/* The connection ends with the broker. */
static bool gone(const struct connection *c)
{
    struct pollfd wait = { .fd = c->fd, .events = POLLIN };
    return poll(&wait, 1, PATIENCE_MSEC) > 0;
}

int cmd_stop(struct ctl *ctl, int argc, char **argv)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    AUTO_REPLY reply = REPLY_INIT;
    int r = common_options(ctl, argc, argv, false, 0, 0);
    if (r >= 0)
        return r;

    r = call_open(ctl, &c);
    if (r == -ENOTCONN) {
        fputs("not running\n", stderr);
        return EXIT_OK;
    }
    if (r < 0 || call_broker(&c, "Stop", NULL, NULL, &reply) < 0)
        return EXIT_FAILED;
    if (gone(&c))
        return EXIT_OK;
    complain("the broker has agreed to exit but is still there");
    return EXIT_FAILED;
}
