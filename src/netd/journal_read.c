/* SPDX-License-Identifier: Apache-2.0 */
/* journal_read.c - what a dead netd's journal says in the end. */
#include "journal_part.h"

#include "file.h"
#include "str.h"

#include <errno.h>
#include <string.h>

#define FILE_MAX (64u << 20)

static int process_get(const json_t *line, struct process *ret)
{
    json_int_t pid = json_integer_value(json_object_get(line, "pid"));
    json_int_t born = json_integer_value(json_object_get(line, "born"));

    if (pid <= 1 || pid > INT32_MAX || born < 0)
        return -EBADMSG;
    *ret = (struct process){ .pid = (pid_t)pid, .born = (uint64_t)born };
    return 0;
}

static struct journal_network *network_of(const json_t *line, struct journal_state *state)
{
    const json_t *index = json_object_get(line, "index");
    json_int_t i = json_integer_value(index);

    return json_is_integer(index) && i >= 0 && i < NETWORKS_MAX ? &state->networks[i] : NULL;
}

static int read_anchor(const json_t *line, struct journal_state *state)
{
    return process_get(line, &state->anchor);
}

/* What is said of an index says nothing of the network that had it before, even where a
 * disk was too full to take down that its TAPs and forwards had gone. */
static void forget_things(struct journal_state *state, const struct journal_network *net)
{
    uint32_t index = (uint32_t)(net - state->networks);

    for (size_t i = state->n_taps; i-- > 0;)
        if (state->taps[i].index == index)
            state->taps[i] = state->taps[--state->n_taps];
    for (size_t i = state->n_forwards; i-- > 0;)
        if (state->forwards[i].index == index)
            state->forwards[i] = state->forwards[--state->n_forwards];
}

static void forget_reservations(struct journal_network *net)
{
    free(net->reservations);
    net->reservations = NULL;
    net->n_reservations = 0;
}

static int read_network(const json_t *line, struct journal_state *state)
{
    struct journal_network *net = network_of(line, state);
    struct journal_network fresh = { .known = true };

    if (!net || journal_get_network(line, &fresh.network) < 0)
        return -EBADMSG;
    forget_things(state, net);
    forget_reservations(net);
    *net = fresh;
    return 0;
}

static int read_reservations(const json_t *list, struct netd_reservation *ret)
{
    const json_t *one;
    size_t i;

    json_array_foreach (list, i, one)
        if (journal_get_reservation(one, &ret[i]) < 0)
            return -EBADMSG;
    return 0;
}

static int read_update(const json_t *line, struct journal_state *state)
{
    struct journal_network *net = network_of(line, state);
    const json_t *list = json_object_get(line, "reservations");
    json_int_t idle = json_integer_value(json_object_get(line, "idle_timeout_sec"));
    AUTO_FREE struct netd_reservation *reservations = NULL;
    size_t n = json_array_size(list);

    if (!net || !net->known || idle < 0 || idle > UINT32_MAX || n > NETD_RESERVATIONS_MAX)
        return -EBADMSG;
    reservations = calloc(n + 1, sizeof *reservations);
    if (!reservations)
        return -ENOMEM;
    if (read_reservations(list, reservations) < 0)
        return -EBADMSG;
    forget_reservations(net);
    net->reservations = take_ptr(&reservations);
    net->n_reservations = n;
    net->network.idle_timeout_sec = (uint32_t)idle;
    return 0;
}

static int read_built(const json_t *line, struct journal_state *state)
{
    struct journal_network *net = network_of(line, state);

    if (!net)
        return -EBADMSG;
    net->built = strcmp(json_string_value(json_object_get(line, "fact")), "built") == 0;
    return 0;
}

void journal_state_forget(struct journal_state *state, uint32_t index)
{
    struct journal_network *net = &state->networks[index];

    forget_things(state, net);
    forget_reservations(net);
    *net = (struct journal_network){ .known = false };
}

void journal_state_strand(struct journal_state *state, uint32_t index, uint64_t taps)
{
    const struct netd_network network = state->networks[index].network;

    journal_state_forget(state, index);
    state->networks[index] =
        (struct journal_network){ .known = true, .stranded = taps, .network = network };
}

static int read_network_gone(const json_t *line, struct journal_state *state)
{
    const struct journal_network *net = network_of(line, state);

    if (!net)
        return -EBADMSG;
    journal_state_forget(state, (uint32_t)(net - state->networks));
    return 0;
}

static int read_stranded(const json_t *line, struct journal_state *state)
{
    const struct journal_network *net = network_of(line, state);
    json_int_t taps = json_integer_value(json_object_get(line, "taps"));

    if (!net || !net->known || taps <= 0)
        return -EBADMSG;
    journal_state_strand(state, (uint32_t)(net - state->networks), (uint64_t)taps);
    return 0;
}

/* Its name goes with our own ones, or is none of ours. */
static int read_spare_tap(const json_t *line, struct journal_state *state)
{
    struct journal_network *net = network_of(line, state);
    const char *tap = json_string_value(json_object_get(line, "tap"));
    char ours[16];

    if (!net || !net->known || !tap || strlen(tap) >= sizeof net->spare_tap ||
        str_format(ours, sizeof ours, "vt%u.", (uint32_t)(net - state->networks)) < 0 ||
        strncmp(tap, ours, strlen(ours)) != 0)
        return -EBADMSG;
    return str_copy(net->spare_tap, sizeof net->spare_tap, tap);
}

static int read_tap(const json_t *line, struct journal_state *state)
{
    const struct journal_network *net = network_of(line, state);
    struct netd_interface interface;

    if (!net || !net->known || journal_get_interface(line, &interface) < 0)
        return -EBADMSG;
    return journal_state_add_tap(state, (uint32_t)(net - state->networks), &interface);
}

static int read_tap_gone(const json_t *line, struct journal_state *state)
{
    const char *name = json_string_value(json_object_get(line, "tap"));

    for (size_t i = 0; name && i < state->n_taps; i++)
        if (strcmp(state->taps[i].interface.tap, name) == 0) {
            state->taps[i] = state->taps[--state->n_taps];
            return 0;
        }
    return -EBADMSG;
}

static int number_of(const json_t *line, uint32_t *ret)
{
    const json_t *number = json_object_get(line, "number");
    json_int_t n = json_integer_value(number);

    if (!json_is_integer(number) || n < 0 || n > UINT32_MAX)
        return -EBADMSG;
    *ret = (uint32_t)n;
    return 0;
}

static int read_forward(const json_t *line, struct journal_state *state)
{
    const struct journal_network *net = network_of(line, state);
    struct journal_forward forward = { 0 };

    if (!net || !net->known || number_of(line, &forward.number) < 0 ||
        journal_get_forward(line, &forward.forward) < 0)
        return -EBADMSG;
    forward.index = (uint32_t)(net - state->networks);
    return journal_state_add_forward(state, &forward);
}

static int read_forward_gone(const json_t *line, struct journal_state *state)
{
    uint32_t number;

    if (number_of(line, &number) < 0)
        return -EBADMSG;
    for (size_t i = 0; i < state->n_forwards; i++)
        if (state->forwards[i].number == number) {
            state->forwards[i] = state->forwards[--state->n_forwards];
            return 0;
        }
    return -EBADMSG;
}

static int read_child(const json_t *line, struct journal_state *state)
{
    const char *kind = json_string_value(json_object_get(line, "kind"));
    struct journal_network *net = network_of(line, state);

    if (!kind || !net)
        return -EBADMSG;
    uint32_t index = (uint32_t)(net - state->networks);
    if (strcmp(kind, journal_child_names[JOURNAL_DNSMASQ]) == 0)
        return process_get(line, &net->dnsmasq);
    if (strcmp(kind, journal_child_names[JOURNAL_ENGINE]) == 0)
        return index < UPLINKS_MAX ? process_get(line, &state->engines[index]) : -EBADMSG;
    if (strcmp(kind, journal_child_names[JOURNAL_RELAY]) == 0)
        return process_get(line, &state->relay);
    if (strcmp(kind, journal_child_names[JOURNAL_FORWARDER]) == 0)
        return process_get(line, &state->forwarder);
    if (strcmp(kind, journal_child_names[JOURNAL_OWN_RELAY]) == 0)
        return process_get(line, &net->relay);
    return -EBADMSG;
}

static int read_host_nat(const json_t *line, struct journal_state *state)
{
    return journal_get_host_nat(line, &state->host_nat);
}

static int read_fact(const json_t *line, struct journal_state *state)
{
    static const struct {
        const char *fact;
        int (*read)(const json_t *line, struct journal_state *state);
    } facts[] = {
        { "anchor", read_anchor },
        { "network", read_network },
        { "update", read_update },
        { "built", read_built },
        { "unbuilt", read_built },
        { "tap", read_tap },
        { "tap-gone", read_tap_gone },
        { "forward", read_forward },
        { "forward-gone", read_forward_gone },
        { "spare-tap", read_spare_tap },
        { "child", read_child },
        { "network-gone", read_network_gone },
        { "stranded", read_stranded },
        { "host-nat", read_host_nat },
    };
    const char *fact = json_string_value(json_object_get(line, "fact"));

    for (size_t i = 0; fact && i < N_ELEMENTS(facts); i++)
        if (strcmp(fact, facts[i].fact) == 0)
            return facts[i].read(line, state);
    return -EBADMSG;
}

/* Of an earlier boot nothing can exist. */
static bool is_of_this_boot(const json_t *line)
{
    const char *said = json_string_value(json_object_get(line, "boot"));
    char boot[BOOT_SIZE];

    return said && journal_boot_id(boot) == 0 && strcmp(said, boot) == 0;
}

/* Returns how many facts it tells, or a negative errno. */
static int read_copy(int dirfd, const char *name, struct journal_state *state)
{
    AUTO_FREE char *text = NULL;
    size_t len = 0;
    int facts = 0;
    int r = file_read(dirfd, name, FILE_MAX, &text, &len);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    for (char *at = text, *end; (end = memchr(at, '\n', len)); at = end + 1) {
        AUTO(json_decref)
        json_t *line = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, NULL);

        len -= (size_t)(end - at) + 1;
        if (at == text && !is_of_this_boot(line))
            break;
        r = read_fact(line, state);
        if (r == -ENOMEM)
            return r;
        facts += r == 0;
    }
    return facts;
}

int journal_read(int dirfd, struct journal_state **ret)
{
    struct journal_state *best = NULL;
    int most = -1, first = 0;

    for (size_t i = 0; i < JOURNAL_COPIES; i++) {
        struct journal_state *state = journal_state_new();
        int facts = state ? read_copy(dirfd, journal_names[i], state) : -ENOMEM;

        if (facts < 0 && first == 0)
            first = facts;
        if (facts > most) {
            most = facts;
            journal_state_free(best);
            best = take_ptr(&state);
        }
        journal_state_free(state);
    }
    /* One that cannot be read is no reason to forget what the other says. */
    if (first < 0 && most <= 0) {
        journal_state_free(best);
        return first;
    }
    *ret = best;
    return 0;
}

struct journal_state *journal_state_new(void)
{
    return calloc(1, sizeof(struct journal_state));
}

int journal_state_add_tap(struct journal_state *state, uint32_t index,
                          const struct netd_interface *interface)
{
    struct journal_tap *more = reallocarray(state->taps, state->n_taps + 1, sizeof *more);

    if (!more)
        return -ENOMEM;
    state->taps = more;
    state->taps[state->n_taps++] = (struct journal_tap){ index, *interface };
    return 0;
}

int journal_state_add_forward(struct journal_state *state, const struct journal_forward *forward)
{
    struct journal_forward *more =
        reallocarray(state->forwards, state->n_forwards + 1, sizeof *more);

    if (!more)
        return -ENOMEM;
    state->forwards = more;
    state->forwards[state->n_forwards++] = *forward;
    return 0;
}

void journal_state_free(struct journal_state *state)
{
    if (!state)
        return;
    for (size_t i = 0; i < NETWORKS_MAX; i++)
        forget_reservations(&state->networks[i]);
    free(state->taps);
    free(state->forwards);
    free(state);
}
