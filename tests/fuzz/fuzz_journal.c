/* SPDX-License-Identifier: Apache-2.0 */
/* The journal that a new netd reads, torn or scribbled on. What it says must be fit for
 * netd to act on: names become links, indices array positions, pids targets of signals. */
#include "fuzz.h"
#include "journal.h"

static void check_process(const struct process *process)
{
    MUST(process->pid == 0 || process->pid > 1);
}

FUZZ(data, size)
{
    struct journal_state *state = NULL;

    fuzz_set_file(data, size);
    MUST(journal_read(-1, &state) == 0);
    check_process(&state->anchor);
    check_process(&state->engine);
    check_process(&state->relay);
    for (size_t i = 0; i < NETWORKS_MAX; i++) {
        const struct journal_network *net = &state->networks[i];

        check_process(&net->dnsmasq);
        MUST(!net->known || name_valid(net->network.name));
    }
    for (size_t i = 0; i < state->n_taps; i++) {
        MUST(state->taps[i].index < NETWORKS_MAX);
        MUST(state->taps[i].interface.tap[0]);
        MUST(name_valid(state->taps[i].interface.network));
    }
    journal_state_free(state);
}
