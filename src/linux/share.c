/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <stdlib.h>

#define FORGET_RATIO UINT64_C(10)    /* of time that passes to time that is forgotten */
#define USED_UP_USEC UINT64_C(5000)  /* some hundred requests at once are nobody's fault */
#define MOST_USEC    UINT64_C(50000) /* half a second later the worst is forgotten */

static uint64_t remembered(const struct time_share *time, uint64_t now)
{
    uint64_t forgotten = now > time->as_of ? (now - time->as_of) / FORGET_RATIO : 0;
    return time->spent > forgotten ? time->spent - forgotten : 0;
}

void time_share_spend(struct time_share *time, uint64_t began, uint64_t now)
{
    uint64_t spent = remembered(time, now) + (now > began ? now - began : 0);
    time->spent = spent < MOST_USEC ? spent : MOST_USEC;
    time->as_of = now;
}

bool time_share_is_used_up(const struct time_share *time, uint64_t now)
{
    return remembered(time, now) > USED_UP_USEC;
}

static void forget(struct share *share)
{
    LIST_REMOVE(share, link);
    free(share);
}

void shares_clear(struct shares *shares)
{
    for (size_t i = 0; i < SHARE_LISTS; i++)
        while (!LIST_EMPTY(&shares->lists[i]))
            forget(LIST_FIRST(&shares->lists[i]));
}

/* On the way forgets those who have left long enough ago. */
static struct share *find(struct share_list *list, uid_t uid, uint64_t now)
{
    struct share *share, *next, *found = NULL;
    for (share = LIST_FIRST(list); share; share = next) {
        next = LIST_NEXT(share, link);
        if (share->uid == uid)
            found = share;
        else if (share->connections == 0 && remembered(&share->time, now) == 0)
            forget(share);
    }
    return found;
}

struct share *share_join(struct shares *shares, uid_t uid, uint64_t now)
{
    struct share_list *list = &shares->lists[uid % SHARE_LISTS];
    struct share *share = find(list, uid, now);
    if (!share) {
        share = calloc(1, sizeof *share);
        if (!share)
            return NULL;
        share->uid = uid;
        LIST_INSERT_HEAD(list, share, link);
    }
    share->connections++;
    return share;
}

void share_leave(struct share *share)
{
    share->connections--;
}
