/* SPDX-License-Identifier: Apache-2.0 */
/* behaviour.h - one line a behaviour, each in a process and a SIM_DIR of its own.
 *
 * A behaviour passes when its function returns; one that must abort passes when
 * the process dies of SIGABRT with `says` in what it printed.
 */
#pragma once
#include <stdbool.h>

struct behaviour {
    const char *title;
    void (*run)(void);
    const char *says; /* NULL: must return */
};

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            behaviour_failed(__FILE__, __LINE__, #condition);                                      \
    } while (0)

_Noreturn void behaviour_failed(const char *file, int line, const char *what);

/* Makes this process the launchd job of a service: its socket is in SIM_DIR. */
void behaviour_own_service(const char *name);

/* Returns main()'s exit status. */
int behaviours_run(const struct behaviour *list, int n);
