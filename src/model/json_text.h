/* SPDX-License-Identifier: Apache-2.0 */
/* json_text.h - JSON as text, whole or not at all.
 *
 * Instead of json_dumps(), which (jansson 2.14) overlooks a failure to append an object's
 * key: when memory is short for a moment it gives a text with the key missing, which would
 * be sent, or written to disk, as if it were right. tests/fault found it.
 */
#pragma once
#include <jansson.h>
#include <stddef.h>

/* flags: as for json_dumps(). The text is malloc'd, the caller's. 0; -ENOMEM; -EINVAL for
 * what cannot be serialized. */
int json_text(const json_t *json, size_t flags, char **ret);
