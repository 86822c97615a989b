/* SPDX-License-Identifier: Apache-2.0 */
/* The journal that a new netd reads, torn or scribbled on. What it says must be fit for
 * netd to act on: names become links, indices array positions, pids targets of signals. */
#include "fuzz.h"
#include "journal_part.h"

#include <string.h>

static void check_process(const struct process *process)
{
    MUST(process->pid == 0 || process->pid > 1);
}

static struct mac mac_of(const struct netd_reservation *reservation)
{
    struct mac mac;

    memcpy(mac.b, reservation->mac, sizeof mac.b);
    return mac;
}

static void check_network(const struct journal_network *net)
{
    check_process(&net->dnsmasq);
    MUST(!net->known || name_valid(net->network.name));
    MUST(net->known || net->n_reservations == 0);
    for (size_t k = 0; k < net->n_reservations; k++)
        MUST(net->reservations[k].ipv4 && mac_is_unicast(mac_of(&net->reservations[k])));
}

static void check_state(const struct journal_state *state)
{
    check_process(&state->anchor);
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++)
        check_process(&state->engines[slot]);
    check_process(&state->relay);
    for (size_t i = 0; i < NETWORKS_MAX; i++)
        check_network(&state->networks[i]);
    for (size_t i = 0; i < state->n_taps; i++) {
        MUST(state->taps[i].index < NETWORKS_MAX);
        MUST(state->taps[i].interface.tap[0]);
        MUST(name_valid(state->taps[i].interface.network));
    }
}

static void read_and_check(const uint8_t *data, size_t size)
{
    struct journal_state *state = NULL;

    fuzz_set_file(data, size);
    MUST(journal_read(-1, &state) == 0);
    check_state(state);
    journal_state_free(state);
}

/* Behind the line that no seed can have: which boot it is. libFuzzer can, who listens when strings
 * are compared; so that nothing is read of another boot is told by tests/unit/test_journal.c. */
static char *after_boot(const uint8_t *data, size_t size, size_t *ret_size)
{
    json_t *line = journal_line_boot();
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0;
    char *whole = malloc(len + 1 + size);

    MUST(text && whole);
    memcpy(whole, text, len);
    whole[len] = '\n';
    if (size > 0)
        memcpy(whole + len + 1, data, size);
    *ret_size = len + 1 + size;
    free(text);
    json_decref(line);
    return whole;
}

FUZZ(data, size)
{
    size_t whole_size;
    char *whole = after_boot(data, size, &whole_size);

    read_and_check(data, size);
    read_and_check((const uint8_t *)whole, whole_size);
    free(whole);
}
