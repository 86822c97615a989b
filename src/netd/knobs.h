/* SPDX-License-Identifier: Apache-2.0 */
/* knobs.h - the kernel's settings for links (sysctl). */
#pragma once
#include "why.h"

#include <stddef.h>

/* Writes /proc/sys/net/... ("ipv4/conf/vb0/forwarding", "1"). -ENOENT: no such knob here. */
int sysctl_set(const char *knob, const char *value);
/* The number that it has; 0 where there is none such. */
int sysctl_number(const char *knob);

struct knob {
    const char *before, *after; /* a link's name goes between */
    const char *value;
};

/* A missing knob (a kernel built without it) is as good as one in its place. */
int knobs_set(const struct knob *knobs, size_t n, const char *link, struct netd_why *why);
