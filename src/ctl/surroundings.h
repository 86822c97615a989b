/* SPDX-License-Identifier: Apache-2.0 */
/* surroundings.h - what a definition can collide with: the host's routes, the networks that
 * exist, and the other definitions; and what the system lacks.
 */
#pragma once
#include "ctl.h"
#include "def_dir.h"

struct surroundings {
    struct taken_list routes;
    json_t *networks;           /* NetworkStatus each */
    struct definition **others; /* those that can be read */
    size_t n_others;
};

/* Collects them; no broker is started. 0, or a negative errno, said; what was found out stays
 * and must be cleared all the same. */
int surroundings_read(const struct ctl *ctl, const struct def_dirs *dirs, struct surroundings *ret);
void surroundings_clear(struct surroundings *s);

/* Complains of what collides with the definition, but for its own network. 0 or -ENOMEM. */
int surroundings_check(const struct surroundings *s, const struct definition *definition,
                       struct complaints *out);

/* ---- each system's own */

/* Adds the ranges of the host's routes, and the networks that exist; no broker is started. 0, or
 * a negative errno, said. */
int surroundings_of_host(const struct ctl *ctl, struct taken_list *routes, json_t *networks);

/* Complains of the keys that no network has here. */
void surroundings_lack(const struct definition *definition, struct complaints *out);
