/* SPDX-License-Identifier: Apache-2.0 */
/* loop_sdevent.h - ports/loop.h on sd-event. */
#pragma once
#include "loop.h"

#include <systemd/sd-event.h>

/* event: borrowed, must outlive the loop and its timers. Nothing to free. */
struct loop loop_sdevent(sd_event *event);
