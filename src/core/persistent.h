/* SPDX-License-Identifier: Apache-2.0 */
/* persistent.h - the networks that exist without anybody asking for them.
 *
 * They are created when the broker starts, or when their definition appears, and are not
 * removed while it says so. One that cannot be created, or is lost, is tried again.
 */
#pragma once
#include "def_dir.h"

#include <stdbool.h>

struct broker;

struct persistent {
    struct def_names names; /* that are to exist */
    struct timer *retry;
    bool waiting; /* the timer runs */
    bool off;     /* the broker has been asked to end */
};

/* 0 or -ENOMEM. */
int persistent_init(struct broker *broker);
void persistent_clear(struct broker *broker);

/* Keeps those that are defined now. */
void persistent_keep(struct broker *broker);
/* None is kept any longer; and again, where the broker goes on after all. */
void persistent_off(struct broker *broker);
void persistent_on(struct broker *broker);
/* Some network may have gone. */
void persistent_reconsider(struct broker *broker);
