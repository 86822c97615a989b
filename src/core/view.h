/* SPDX-License-Identifier: Apache-2.0 */
/* view.h - collects what List and Status show, and only what the asker may see.
 *
 * ports/report.h is the result, for transports; this is the making of it.
 */
#pragma once
#include "policy.h"
#include "registry.h"
#include "report.h"

struct view {
    struct broker_report report; /* points into the two arrays */
    struct network_view *networks;
    struct client_view *holders;
};

/* only: one network by name, or NULL for all. Whoever asks for details sees processes
 * too, as far as policy lets that uid. The parts of the report that are not about
 * networks stay zero. Returns 0 or -ENOMEM; on success view_clear() ends it. */
int view_fill(struct view *view, const struct registry *registry, const char *only, bool detailed,
              const struct policy *policy, uid_t asker);
void view_clear(struct view *view);
