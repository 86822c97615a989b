/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts.h"

#include "str.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -1 as an id means "none" to the kernel. */
#define ID_MAX 4294967294ul

/* The C library leaves errno alone, or sets one of several, when there is no such entry. */
static int not_found(int err)
{
    return err == 0 || err == ENOENT || err == ESRCH || err == EBADF || err == EPERM ? -ENOENT
                                                                                     : -err;
}

int account_user(const char *name, uid_t *ret)
{
    unsigned long id;

    errno = 0;
    const struct passwd *user = getpwnam(name);
    if (user)
        *ret = user->pw_uid;
    else if (str_to_uint(name, 0, ID_MAX, &id) == 0)
        *ret = (uid_t)id;
    else
        return not_found(errno);
    return 0;
}

int account_group(const char *name, gid_t *ret)
{
    unsigned long id;

    errno = 0;
    const struct group *group = getgrnam(name);
    if (group)
        *ret = group->gr_gid;
    else if (str_to_uint(name, 0, ID_MAX, &id) == 0)
        *ret = (gid_t)id;
    else
        return not_found(errno);
    return 0;
}

_Static_assert(sizeof(gid_t) == sizeof(int), "a group list is one array of gid_t everywhere");

int account_groups(uid_t uid, gid_t primary, gid_t **ret, unsigned *n)
{
    const struct passwd *user = getpwuid(uid);
    gid_t *groups = NULL;
    int room = 16;

    for (;;) {
        int found = room;
        gid_t *more = realloc(groups, (size_t)room * sizeof *groups);
        if (!more) {
            free(groups);
            return -ENOMEM;
        }
        groups = more;
        groups[0] = primary;
        if (!user)
            found = 1;
        /* macOS writes them as int. */
        else if (getgrouplist(user->pw_name, primary, (void *)groups, &found) < 0) {
            room = found > room ? found : 2 * room; /* macOS does not say how many there are */
            continue;
        }
        *ret = groups;
        *n = (unsigned)found;
        return 0;
    }
}

static const char *name_or_number(const char *name, unsigned long id,
                                  char text[static ACCOUNT_NAME_SIZE])
{
    if (!name || str_copy(text, ACCOUNT_NAME_SIZE, name) < 0)
        (void)str_format(text, ACCOUNT_NAME_SIZE, "%lu", id);
    return text;
}

const char *account_user_name(uid_t uid, char text[static ACCOUNT_NAME_SIZE])
{
    const struct passwd *user = getpwuid(uid);
    return name_or_number(user ? user->pw_name : NULL, uid, text);
}

const char *account_group_name(gid_t gid, char text[static ACCOUNT_NAME_SIZE])
{
    const struct group *group = getgrgid(gid);
    return name_or_number(group ? group->gr_name : NULL, gid, text);
}
