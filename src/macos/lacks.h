/* SPDX-License-Identifier: Apache-2.0 */
/* lacks.h - the keys of definitions that macOS has nothing for. The broker refuses a network
 * that asks for one, and `vmnet-brokerctl check` says so before. */
#pragma once
#include "definition.h"

/* What a definition asks for in vain, from this key on, and in *ret which key that is; NULL:
 * nothing. Static. */
const struct complaint *macos_lacks(const struct definition *def, enum definition_key from,
                                    enum definition_key *ret);
