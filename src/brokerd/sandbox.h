/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - what the broker keeps while it listens to clients, and nothing else. */
#pragma once
#include "confine.h"
#include "paths.h"

#include <stdbool.h>

/* After everything is open and netd's starter has been forked, before the first client is
 * heard: no capability, even for root; files written only where `paths` say; and the system
 * calls below. shared: others than our own user may connect. 0 or a negative errno. */
int broker_sandbox_enter(const struct paths *paths, bool shared);

/* The parts of it that tests look at. */
int broker_sandbox_files(const struct paths *paths);
int broker_sandbox_calls(bool shared);
