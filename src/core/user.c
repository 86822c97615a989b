/* SPDX-License-Identifier: Apache-2.0 */
#include "user.h"

#include <assert.h>
#include <stdlib.h>

struct user *user_find(const struct user_list *users, uid_t uid)
{
    struct user *user;
    TAILQ_FOREACH (user, users, link)
        if (user->uid == uid)
            return user;
    return NULL;
}

struct user *user_join(struct user_list *users, uid_t uid)
{
    struct user *user = user_find(users, uid);
    if (!user) {
        user = calloc(1, sizeof *user);
        if (!user)
            return NULL;
        user->uid = uid;
        TAILQ_INSERT_TAIL(users, user, link);
    }
    user->connections++;
    return user;
}

void user_leave(struct user_list *users, struct user *user)
{
    if (--user->connections > 0)
        return;
    assert(user->waiting == 0);
    TAILQ_REMOVE(users, user, link);
    free(user);
}
