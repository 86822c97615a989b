/* SPDX-License-Identifier: Apache-2.0 */
/* netspec.h - `--network NAME[,name=VM][,mac=MAC][,id=ID][,queues=N][,isolated]`. */
#pragma once
#include "status.h"
#include "vmnet-broker.h"

struct netspec {
    char *text; /* owned; what follows points into it */
    const char *network;
    vmnet_broker_interface_options options;
};

/* 0; or -EINVAL or -ENOMEM with *why. Values are the broker's to judge; here only the form.
 * netspec_free() also after a failure. */
int netspec_parse(const char *text, struct netspec *ret, struct failure *why);
void netspec_free(struct netspec *spec);
