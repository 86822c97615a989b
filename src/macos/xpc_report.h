/* SPDX-License-Identifier: Apache-2.0 */
/* xpc_report.h - what List and Status show, as XPC values.
 *
 * The same shape as the replies of the Varlink interface file, so that a program
 * reads the same on both systems. All numbers are int64.
 */
#pragma once
#include "report.h"

#include <xpc/xpc.h>

/* The caller releases it. */
xpc_object_t xpc_report(const struct broker_report *report, const char *version);
