/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.h - the checks of `vmnet-brokerctl doctor`, which cmd_doctor.c lists in their order.
 *
 * Each finds out one thing by trying it, and says what it found once, with a remedy where
 * something is missing.
 */
#pragma once
#include "ctl.h"

enum result { FINE, WARNING, MISSING };

struct finding {
    enum result result;
    char what[256], remedy[512];
};

struct exam {
    const struct ctl *ctl;
    struct finding finding; /* of the check that runs */
};

__attribute__((format(printf, 3, 4))) void doctor_found(struct exam *e, enum result result,
                                                        const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void doctor_remedy(struct exam *e, const char *fmt, ...);

/* ---- doctor_kernel.c */

/* What a sysctl's file holds. -1: no such knob. */
long doctor_knob(const char *path);

void doctor_namespaces(struct exam *e);
void doctor_tun(struct exam *e);
void doctor_sandbox(struct exam *e);

/* ---- doctor_programs.c */

void doctor_broker_program(struct exam *e);
void doctor_dnsmasq(struct exam *e);
void doctor_engine(struct exam *e);
void doctor_wmem(struct exam *e);

/* ---- doctor_instance.c */

void doctor_runtime(struct exam *e);
void doctor_state(struct exam *e);
void doctor_system(struct exam *e);
void doctor_broker(struct exam *e);
