/* SPDX-License-Identifier: Apache-2.0 */
/* null_backend.h - networks of which nothing is real but their handles.
 *
 * For tests of the Linux transport, which serializes handles: null_broker, the fuzzers and
 * fault injection. Builds, removals and starts end on the loop's timers. One a process.
 */
#pragma once
#include "backend.h"
#include "loop.h"

struct null_config {
    uint64_t delay_usec; /* of every build and removal */
    /* Names of networks; NULL: none. */
    const char *hang;     /* its build is never answered */
    const char *fail;     /* its build fails */
    const char *breaking; /* no interface can be started on it */
};

/* loop: borrowed, must outlive the backend. config: copied. */
struct backend null_backend(const struct loop *loop, const struct null_config *config);
