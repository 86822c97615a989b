/* SPDX-License-Identifier: Apache-2.0 */
/* user.h - what the connections of one user take together, for the limits of policy.h.
 *
 * Kept up to date instead of being counted when it is asked for: a crowd of silent
 * connections must not make every request walk past all of them.
 */
#pragma once
#include <sys/queue.h>
#include <sys/types.h>

struct user {
    TAILQ_ENTRY(user) link;
    uid_t uid;
    unsigned connections; /* with the last one the user is forgotten */
    unsigned waiting;     /* requests that await their answer */
    unsigned watching;    /* of these, those that await events */
};
TAILQ_HEAD(user_list, user);

/* NULL: not connected. */
struct user *user_find(const struct user_list *users, uid_t uid);

/* One connection more, and less. NULL without memory. */
struct user *user_join(struct user_list *users, uid_t uid);
void user_leave(struct user_list *users, struct user *user);
