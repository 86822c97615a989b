/* SPDX-License-Identifier: Apache-2.0 */
/* hold.h - holding networks for as long as we live, whichever broker lends them.
 *
 * A broker that is killed or replaced takes what we hold with it, though not the networks: the
 * next one finds them, and lets go of those that nobody asks for in time. So whoever holds
 * networks watches for the end of the connection, and asks again; which also starts that next
 * broker, and with it whoever looks after the networks. */
#pragma once
#include <stdbool.h>

#define HOLD_PAUSE_MSEC 5000 /* between attempts, when nobody lends them */

struct hold {
    const char *const *networks; /* borrowed; NULL-ended */
    bool lost;                   /* and we have said so */
};

/* Readable when the connection ends; -1: it has, and hold_again() has failed. */
int hold_fd(void);
/* Acquires them again, from a broker that may have to be started. What stands against it is
 * said once. */
bool hold_again(struct hold *hold);
