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
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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
    const struct call_condition *when[] = { &rule->when, &rule->and };
    struct scmp_arg_cmp conditions[2];
    unsigned n = 0;

    if (call == __NR_SCMP_ERROR)
        return 0;
    if (rule->error)
        action = SCMP_ACT_ERRNO((uint16_t)rule->error);
    for (size_t i = 0; i < 2; i++)
        if (when[i]->mask)
            conditions[n++] =
                SCMP_CMP(when[i]->arg, SCMP_CMP_MASKED_EQ, when[i]->mask, when[i]->value);
    int r = seccomp_rule_add_array(filter, action, call, n, conditions);
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
static int set_up(scmp_filter_ctx filter, uint32_t unwanted)
{
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, unwanted);

    if (r == 0) /* a tree instead of a chain of comparisons */
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0) /* threads that are there already */
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    return r;
}

static int allow_only(scmp_filter_ctx filter, const struct call_rule *const *lists, size_t n)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_rules(filter, SCMP_ACT_ALLOW, lists[i]);
    if (r == 0)
        r = add_rules(filter, SCMP_ACT_ALLOW, calls_sanitizers);
    return r < 0 ? r : add_unheard_of(filter);
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
    if (r == 0)
        r = allow_only(filter, lists, n);
    if (r == 0)
        r = set_up(filter, unwanted);
    if (r == 0)
        r = seccomp_load(filter);
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
        r = set_up(filter, unwanted);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

/* By way of a file: that is the only way out that libseccomp has. */
static int export(scmp_filter_ctx filter, struct confine_filter *ret)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    struct stat st = { 0 };

    if (fd < 0)
        return -errno;
    int r = seccomp_export_bpf(filter, fd);
    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    void *code = r == 0 ? malloc((size_t)st.st_size) : NULL;
    if (r == 0 && (!code || pread(fd, code, (size_t)st.st_size, 0) != st.st_size))
        r = -ENOMEM;
    (void)close(fd);
    if (r != 0) {
        free(code);
        return r;
    }
    *ret = (struct confine_filter){ code, (size_t)st.st_size / sizeof(struct sock_filter) };
    return 0;
}

int confine_prepare(const struct call_rule *const *lists, size_t n, struct confine_filter *ret)
{
    uint32_t unwanted;

    *ret = (struct confine_filter){ 0 };
    if (!wanted_action(&unwanted))
        return 0;
    if (unwanted == SCMP_ACT_KILL_PROCESS)
        unwanted = SCMP_ACT_ERRNO(EPERM);
    scmp_filter_ctx filter = seccomp_init(unwanted);
    if (!filter)
        return -ENOMEM;
    int r = allow_only(filter, lists, n);
    if (r == 0)
        r = set_up(filter, unwanted);
    if (r == 0)
        r = export(filter, ret);
    seccomp_release(filter);
    return r;
}

int confine_as(const struct confine_filter *filter)
{
    const struct sock_fprog program = { .len = (unsigned short)filter->length,
                                        .filter = filter->code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (filter->code && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        return -errno;
    return 0;
}

/* All sets, for who may change the bounding set; it matters to those only who can gain anything
 * from it. libcap-ng complains in the system's log of who tries without being allowed to. */
static capng_select_t sets_to_change(void)
{
    bool all = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) > 0;

    return all ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS;
}

/* What libcap-ng holds for us now. */
static int apply_capabilities(capng_select_t sets)
{
    int r = capng_apply(sets);

    if (r < 0)
        r = capng_apply(CAPNG_SELECT_CAPS);
    if (r < 0)
        return -EPERM;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* Who has none to lose need not be allowed to call capset(). */
static bool has_none(void)
{
    return capng_get_caps_process() == 0 && capng_have_capabilities(CAPNG_SELECT_ALL) == CAPNG_NONE;
}

int confine_without_capabilities(void)
{
    if (has_none())
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
    capng_select_t sets = sets_to_change();
    capng_clear(CAPNG_SELECT_ALL);
    return apply_capabilities(sets);
}

int confine_to_capabilities(const int *keep, size_t n)
{
    bool had[CAP_LAST_CAP + 1] = { false };
    capng_select_t sets = sets_to_change();

    for (size_t i = 0; i < n; i++)
        had[keep[i]] = capng_have_capability(CAPNG_PERMITTED, (unsigned)keep[i]);
    capng_clear(CAPNG_SELECT_ALL);
    for (size_t i = 0; i < n; i++)
        if (had[keep[i]] &&
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                         (unsigned)keep[i]) < 0)
            return -EPERM;
    return apply_capabilities(sets);
}
