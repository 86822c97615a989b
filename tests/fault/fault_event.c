/* SPDX-License-Identifier: Apache-2.0 */
/* fault_event.c - an event loop that may be short of memory. To change what it has already
 * takes none, neither in the library nor in the kernel's epoll. */
#include "fault.h"

#include <errno.h>
#include <systemd/sd-event.h>

FAULT_WRAP(int, sd_event_new, (sd_event * *ret), (ret), ENOMEM, -ENOMEM)
FAULT_WRAP(int, sd_event_add_io,
           (sd_event * event, sd_event_source **ret, int fd, uint32_t events,
            sd_event_io_handler_t handler, void *arg),
           (event, ret, fd, events, handler, arg), ENOMEM, -ENOMEM)
FAULT_WRAP(int, sd_event_add_time,
           (sd_event * event, sd_event_source **ret, clockid_t clock, uint64_t usec,
            uint64_t accuracy, sd_event_time_handler_t handler, void *arg),
           (event, ret, clock, usec, accuracy, handler, arg), ENOMEM, -ENOMEM)
FAULT_WRAP(int, sd_event_add_time_relative,
           (sd_event * event, sd_event_source **ret, clockid_t clock, uint64_t usec,
            uint64_t accuracy, sd_event_time_handler_t handler, void *arg),
           (event, ret, clock, usec, accuracy, handler, arg), ENOMEM, -ENOMEM)
FAULT_WRAP(int, sd_event_add_defer,
           (sd_event * event, sd_event_source **ret, sd_event_handler_t handler, void *arg),
           (event, ret, handler, arg), ENOMEM, -ENOMEM)
