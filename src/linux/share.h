/* SPDX-License-Identifier: Apache-2.0 */
/* share.h - what each user takes of the transport, so that the others get theirs.
 *
 * Time first: whoever has lately kept the loop busy for more than a tenth of the time is
 * served after those who have not, however many connections they do it with. Nobody is
 * slowed down who has the broker to themselves.
 *
 * A share outlives the last connection of its user until its time is forgotten: to hang up
 * and come back is no way around it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

/* Time spent, forgotten at a tenth of the speed at which it can be spent. */
struct time_share {
    uint64_t spent, as_of; /* usec */
};

/* Of the event sources of who has used theirs up. */
#define PRIORITY_LATE (SD_EVENT_PRIORITY_NORMAL + 10)

void time_share_spend(struct time_share *time, uint64_t began, uint64_t now);
bool time_share_is_used_up(const struct time_share *time, uint64_t now);

struct share {
    LIST_ENTRY(share) link;
    uid_t uid;
    unsigned connections;
    unsigned refused; /* connections that are kept only to be told why not */
    size_t unread;    /* bytes of answers that its clients have not fetched */
    struct time_share time;
};
LIST_HEAD(share_list, share);

#define SHARE_LISTS 64u
struct shares {
    struct share_list lists[SHARE_LISTS]; /* by the last bits of the uid */
};

void shares_clear(struct shares *shares);

/* One connection more of this user, and less. NULL without memory. */
struct share *share_join(struct shares *shares, uid_t uid, uint64_t now);
void share_leave(struct share *share);
