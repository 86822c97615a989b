/* SPDX-License-Identifier: Apache-2.0 */
/* fault.h - lets the first call fail, then the second, and so on, until none fails any more.
 *
 * The linker's --wrap (meson.build lists the calls) puts fault*.c between our code and the
 * library: memory, system calls, sd-event, netlink, nftables. fault_each() runs a story
 * again and again; in each round one more call goes well before one fails, as it may fail
 * in life. The story says what must be true all the same; that no memory of ours and no
 * descriptor is left is looked at here.
 *
 * The fault is armed between fault_begin() and fault_end() only, and not where a test
 * plays somebody else: fault_pause() and fault_resume().
 */
#pragma once
#include <stdbool.h>

/* Fails the test if anything is wrong in any round; says how many calls were made to fail,
 * of which there must be at_least so many, for a story that stops early shows nothing. */
void fault_each(void (*story)(void), unsigned at_least);
/* Before that: several processes share the rounds, and this one is number `part`, from 0. */
void fault_share(unsigned part, unsigned parts);
/* cmocka's teardown: in which round it was, and where the call that failed came from. */
int fault_report(void **unused);

void fault_begin(void);
/* Returns whether a call has failed. */
bool fault_end(void);
bool fault_happened(void);
/* These nest. */
void fault_pause(void);
void fault_resume(void);

/* For the wrappers: is it this call's turn? Then errno is err. */
bool fault_now(const char *call, int err);

#define fault_test(story)                                                                          \
    {                                                                                              \
#story, story, NULL, fault_report, NULL                                                    \
    }

#define FAULT_WRAP(ret, name, params, args, err, failure)                                          \
    ret __real_##name params;                                                                      \
    ret __wrap_##name params;                                                                      \
    ret __wrap_##name params                                                                       \
    {                                                                                              \
        if (fault_now(#name, err))                                                                 \
            return failure;                                                                        \
        return __real_##name args;                                                                 \
    }
