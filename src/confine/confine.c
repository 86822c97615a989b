/* SPDX-License-Identifier: Apache-2.0 */
/* confine.c - see confine.h.
 *
 * By names, not numbers, so that the lists are one for all architectures, and so that a
 * libseccomp which has not heard of a new call leaves that line out.
 *
 * A C library that is newer than our libseccomp may try a call that is newer than both,
 * and would go on without it. So what is beyond the last call that libseccomp knows is
 * answered as an old kernel would answer it, and is no reason to die.
 */
#include "confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Calls are numbered up to 470 or so, and the same on all architectures from 424 on. */
#define NUMBERS_FROM 424
#define NUMBERS_TO   600

/* What happens to a call that should not be. */
static int wanted_action(uint32_t *ret)
{
    const char *mode = secure_getenv("VMNET_BROKER_SECCOMP");

    *ret = SCMP_ACT_KILL_PROCESS;
    if (mode && strcmp(mode, "log") == 0)
        *ret = SCMP_ACT_LOG;
    return mode && strcmp(mode, "off") == 0 ? 0 : 1;
}

static int add_rule(scmp_filter_ctx filter, uint32_t action, const struct call_rule *rule)
{
    int call = seccomp_syscall_resolve_name(rule->name);
    int r;

    if (call == __NR_SCMP_ERROR)
        return 0;
    if (rule->error)
        action = SCMP_ACT_ERRNO((uint16_t)rule->error);
    if (rule->mask)
        r = seccomp_rule_add(filter, action, call, 1,
                             SCMP_CMP(rule->arg, SCMP_CMP_MASKED_EQ, rule->mask, rule->value));
    else
        r = seccomp_rule_add(filter, action, call, 0);
    return r == -EDOM || r == -EEXIST ? 0 : r; /* not on this architecture; or twice */
}

static int add_rules(scmp_filter_ctx filter, uint32_t action, const struct call_rule *list)
{
    int r = 0;

    for (; r == 0 && list->name; list++)
        r = add_rule(filter, action, list);
    return r;
}

/* Ending itself by a signal, as abort() does, is all the killing that everybody may do. */
static int add_abort(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_CMP(0, SCMP_CMP_MASKED_EQ, WHOLE, (uint64_t)getpid()));
}

static int add_unheard_of(scmp_filter_ctx filter)
{
    int r = 0;

    for (int call = NUMBERS_TO; r == 0 && call >= NUMBERS_FROM; call--) {
        char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), call);
        if (name) {
            free(name);
            break;
        }
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0);
    }
    return r;
}

/* Calls of another architecture (32 bits on 64) are on no list. */
static int install(scmp_filter_ctx filter, uint32_t unwanted)
{
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, unwanted);

    if (r == 0) /* a tree instead of a chain of comparisons */
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0) /* threads that are there already */
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    return r < 0 ? r : seccomp_load(filter);
}

int confine_to(const struct call_rule *const *lists, size_t n)
{
    uint32_t unwanted;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (!wanted_action(&unwanted))
        return 0;
    scmp_filter_ctx filter = seccomp_init(unwanted);
    if (!filter)
        return -ENOMEM;
    int r = add_abort(filter);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_rules(filter, SCMP_ACT_ALLOW, lists[i]);
    if (r == 0)
        r = add_rules(filter, SCMP_ACT_ALLOW, calls_sanitizers);
    if (r == 0)
        r = add_unheard_of(filter);
    if (r == 0)
        r = install(filter, unwanted);
    seccomp_release(filter);
    return r;
}

int confine_not(const struct call_rule *list)
{
    uint32_t unwanted;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (!wanted_action(&unwanted))
        return 0;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return -ENOMEM;
    int r = add_rules(filter, unwanted, list);
    if (r == 0)
        r = install(filter, unwanted);
    seccomp_release(filter);
    return r;
}

int confine_without_capabilities(void)
{
    /* The bounding set is only for those to change who may. */
    capng_clear(CAPNG_SELECT_ALL);
    int r = capng_apply(CAPNG_SELECT_ALL);
    if (r < 0)
        r = capng_apply(CAPNG_SELECT_CAPS);
    if (r < 0)
        return -EPERM;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}
