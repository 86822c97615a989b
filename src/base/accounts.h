/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.h - users and groups by name, as the machine's name services know them.
 *
 * What a person writes into a policy is a name; what the kernel vouches for is a number.
 * A number is a name as well, so that an account which no name service knows can be
 * written down.
 */
#pragma once
#include <sys/types.h>

/* 0; -ENOENT: there is none of that name; another negative errno: it cannot be found out. */
int account_user(const char *name, uid_t *ret);
int account_group(const char *name, gid_t *ret);

/* All groups that a user belongs to by the account database, for where the kernel does not
 * tell those of a process. A user that it does not know has `primary` only. *ret: malloc'd,
 * the caller's. -ENOMEM. */
int account_groups(uid_t uid, gid_t primary, gid_t **ret, unsigned *n);

#define ACCOUNT_NAME_SIZE 64

/* The name of a user or group, or its number in digits where it has none. */
const char *account_user_name(uid_t uid, char text[static ACCOUNT_NAME_SIZE]);
const char *account_group_name(gid_t gid, char text[static ACCOUNT_NAME_SIZE]);
