/* SPDX-License-Identifier: Apache-2.0 */
/* interface.h - what embed.py makes of the interface files; for idl.c only. */
#pragma once

struct embedded_interface {
    const char *name, *text;
};

extern const struct embedded_interface embedded_interfaces[]; /* sorted; ends with NULLs */
