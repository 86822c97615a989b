/* SPDX-License-Identifier: Apache-2.0 */
/* definition_files.h - definitions from directories (model/def_dir.h), as the core asks for them:
 * what the daemons of both systems bring. */
#pragma once
#include "definitions.h"

/* where: for people, as def_dirs_format() says it. Both are borrowed. */
struct definition_source definition_files(struct def_dirs *dirs, const char *where);
/* Likewise the general policy, DIR/policy.json; dirs->parse is policy_parse(). */
struct definition_source policy_file(struct def_dirs *dirs, const char *where);
