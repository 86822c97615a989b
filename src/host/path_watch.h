/* SPDX-License-Identifier: Apache-2.0 */
/* path_watch.h - is a file of ours still where others look for it?
 *
 * A logout takes the runtime directory away under sockets that others are to find, while VMs go
 * on. The kernel tells of that, so that nobody who waits has to look again and again.
 */
#pragma once
#include <systemd/sd-event.h>

struct path_watch;

/* Nothing is there any more. Makes it anew, and returns 0; or a negative errno, and is called
 * again every two seconds until it is there. */
typedef int (*path_gone)(void *arg);

/* Looks for the first time as soon as the loop runs. path: copied. 0 or a negative errno. */
int path_watch_new(sd_event *event, const char *path, path_gone gone, void *arg,
                   struct path_watch **ret);
/* What is there is good for nothing: the same happens. */
void path_watch_lost(struct path_watch *watch);
void path_watch_free(struct path_watch *watch); /* NULL is fine */
