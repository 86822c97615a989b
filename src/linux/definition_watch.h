/* SPDX-License-Identifier: Apache-2.0 */
/* definition_watch.h - tells when a directory of definitions changes.
 *
 * A definition is read when its network is asked for, so nobody depends on this but the
 * networks that exist already: what is changed in their files is applied within a second
 * although nobody asks.
 */
#pragma once
#include "def_dir.h"

#include <systemd/sd-event.h>

struct definition_watch;

/* changed() is called from the loop, some time after the last of a burst of changes. A
 * directory that does not exist is watched for, as long as one above it exists. dirs:
 * borrowed. 0 or a negative errno. */
int definition_watch_new(sd_event *event, const struct def_dirs *dirs, void (*changed)(void *arg),
                         void *arg, struct definition_watch **ret);
void definition_watch_free(struct definition_watch *watch); /* NULL is fine */
