/* SPDX-License-Identifier: Apache-2.0 */
/* definition_edit.h - a definition's text with one forward more, or fewer.
 *
 * All else that the text says, it says afterwards as well, in the same order. Whether it makes
 * sense is definition_parse()'s to say.
 */
#pragma once
#include "definition.h"
#include "status.h"

/* ret: malloc'd, NUL-ended, the caller's. 0; -EBADMSG: the text is no definition; -EEXIST: the
 * port is forwarded already, by this version of IP; -ENOMEM. */
int definition_add_forward(const char *text, size_t len, const struct forward *forward, char **ret,
                           struct failure *why);

/* Every version of IP. -ENOENT: the port is not forwarded. */
int definition_remove_forward(const char *text, size_t len, enum forward_protocol protocol,
                              uint16_t external_port, char **ret, struct failure *why);
