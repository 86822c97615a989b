/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - see journal.h.
 *
 * STATE/netd/journal, a line a fact, in the order in which they became true:
 *
 *   {"fact":"anchor","boot":"3f0c…","pid":812,"born":104233}
 *   {"fact":"network","index":0,"name":"shared","id":"…","mode":0,…}   to be built
 *   {"fact":"child","kind":"dnsmasq","index":0,"pid":815,"born":104301}
 *   {"fact":"built","index":0}
 *   {"fact":"tap","index":0,"tap":"vt0.0","id":"web","mac":"525400…",…}  to be made
 *   {"fact":"tap-gone","tap":"vt0.0"}
 *   {"fact":"unbuilt","index":0}                                    to be taken down
 *   {"fact":"network-gone","index":0}
 *
 * A line is written with one write(), and a line that did not fit on the disk is cut
 * off again, so that a torn one can only be the last. No fsync(): the kernel keeps
 * the file across our death, and a reboot voids all of it ("boot").
 *
 * A network or interface is its message's body, member by member, and what is read
 * must pass the check that the message would have to pass.
 */
#include "journal.h"

#include "fd.h"
#include "file.h"
#include "json_text.h"
#include "mem.h"
#include "str.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "journal"
#define NEW_NAME  "journal.new"
#define FILE_MAX  (64u << 20)
#define BOOT_SIZE 64

DEFINE_AUTO(json_t *, json_decref);

struct journal {
    int dirfd, fd;
    off_t size;
};

/* ---- structs as JSON objects ---------------------------------------------------- */

enum kind { TEXT, NUMBER, BYTE, BYTES };

struct member {
    const char *key;
    enum kind kind;
    size_t offset, size;
};

#define MEMBER(kind, type, name)                                                                   \
    {                                                                                              \
#name, kind, offsetof(struct type, name), sizeof(((struct type *)0)->name)                 \
    }

static const struct member network_members[] = {
    MEMBER(TEXT, netd_network, name),
    MEMBER(TEXT, netd_network, id),
    MEMBER(NUMBER, netd_network, mode),
    MEMBER(NUMBER, netd_network, anti_spoofing),
    MEMBER(NUMBER, netd_network, flags),
    MEMBER(NUMBER, netd_network, mtu),
    MEMBER(NUMBER, netd_network, ipv4_base),
    MEMBER(NUMBER, netd_network, ipv4_prefix),
    MEMBER(BYTES, netd_network, ipv6),
    MEMBER(NUMBER, netd_network, ipv6_len),
    MEMBER(NUMBER, netd_network, idle_timeout_sec),
};

static const struct member interface_members[] = {
    MEMBER(TEXT, netd_interface, network),  MEMBER(TEXT, netd_interface, id),
    MEMBER(TEXT, netd_interface, name),     MEMBER(TEXT, netd_interface, tap),
    MEMBER(NUMBER, netd_interface, uid),    MEMBER(NUMBER, netd_interface, ipv4),
    MEMBER(BYTES, netd_interface, mac),     MEMBER(BYTE, netd_interface, offload),
    MEMBER(BYTE, netd_interface, isolated), MEMBER(NUMBER, netd_interface, queues),
};

static json_t *bytes_to_json(const uint8_t *bytes, size_t n)
{
    char hex[2 * 16 + 1] = "";

    for (size_t i = 0; i < n; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return json_string(hex);
}

static int json_to_bytes(const json_t *value, uint8_t *bytes, size_t n)
{
    const char *hex = json_string_value(value);

    if (!hex || strlen(hex) != 2 * n)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++)
        if (sscanf(hex + 2 * i, "%2hhx", &bytes[i]) != 1)
            return -EBADMSG;
    return 0;
}

static json_t *member_to_json(const struct member *m, const char *at)
{
    uint32_t number;

    switch (m->kind) {
    case TEXT:
        return json_string(at);
    case NUMBER:
        memcpy(&number, at, sizeof number);
        return json_integer(number);
    case BYTE:
        return json_integer(*at);
    case BYTES:
        return bytes_to_json((const uint8_t *)at, m->size);
    }
    return NULL;
}

static int json_to_member(const struct member *m, const json_t *value, char *at)
{
    json_int_t number = json_integer_value(value);
    uint32_t narrow = (uint32_t)number;

    switch (m->kind) {
    case TEXT:
        return json_is_string(value) ? str_copy(at, m->size, json_string_value(value)) : -EBADMSG;
    case NUMBER:
        memcpy(at, &narrow, sizeof narrow);
        return json_is_integer(value) && number >= 0 && number <= UINT32_MAX ? 0 : -EBADMSG;
    case BYTE:
        *at = (char)number;
        return json_is_integer(value) && (number == 0 || number == 1) ? 0 : -EBADMSG;
    case BYTES:
        return json_to_bytes(value, (uint8_t *)at, m->size);
    }
    return -EBADMSG;
}

static int members_put(json_t *line, const struct member *members, size_t n, const void *from)
{
    for (size_t i = 0; i < n; i++)
        if (json_object_set_new(
                line, members[i].key,
                member_to_json(&members[i], (const char *)from + members[i].offset)) < 0)
            return -ENOMEM;
    return 0;
}

static int members_get(const json_t *line, const struct member *members, size_t n, void *to)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = json_to_member(&members[i], json_object_get(line, members[i].key),
                           (char *)to + members[i].offset);
    return r;
}

/* As strict as if it had just come over the socket. */
static int network_get(const json_t *line, struct netd_network *ret)
{
    struct netd_msg msg = {
        .header = { .magic = NETD_MAGIC, .version = NETD_VERSION, .op = NETD_BUILD, .id = 1 }
    };

    if (members_get(line, network_members, N_ELEMENTS(network_members), &msg.body.network) < 0 ||
        netd_msg_check(&msg, sizeof msg.header + sizeof msg.body.network, NETD_TO_HELPER) < 0)
        return -EBADMSG;
    *ret = msg.body.network;
    return 0;
}

static int interface_get(const json_t *line, struct netd_interface *ret)
{
    struct netd_msg msg = {
        .header = { .magic = NETD_MAGIC, .version = NETD_VERSION, .op = NETD_OPEN_TAP, .id = 1 }
    };

    if (members_get(line, interface_members, N_ELEMENTS(interface_members), &msg.body.interface) <
            0 ||
        netd_msg_check(&msg, sizeof msg.header + sizeof msg.body.interface, NETD_TO_BROKER) < 0)
        return -EBADMSG;
    *ret = msg.body.interface;
    return 0;
}

/* ---- writing -------------------------------------------------------------------- */

static int read_boot_id(char boot[static BOOT_SIZE])
{
    AUTO_FD fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return -errno;
    got = read(fd, boot, BOOT_SIZE - 1);
    if (got <= 0)
        return -EIO;
    boot[got] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    return 0;
}

int journal_new(int dirfd, struct journal **ret)
{
    struct journal *journal = calloc(1, sizeof *journal);
    int r;

    if (!journal)
        return -ENOMEM;
    journal->dirfd = dirfd;
    journal->fd = openat(dirfd, NEW_NAME,
                         O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (journal->fd < 0) {
        r = -errno;
        free(journal);
        return r;
    }
    *ret = journal;
    return 0;
}

int journal_commit(struct journal *journal)
{
    return renameat(journal->dirfd, NEW_NAME, journal->dirfd, FILE_NAME) < 0 ? -errno : 0;
}

void journal_free(struct journal *journal, bool remove)
{
    if (!journal)
        return;
    if (remove)
        (void)unlinkat(journal->dirfd, FILE_NAME, 0);
    (void)close(journal->fd);
    free(journal);
}

/* Takes the line over; NULL: there was no memory for it. */
static int append(struct journal *journal, json_t *fact)
{
    AUTO(json_decref) json_t *line = fact;
    AUTO_FREE char *text = NULL;
    size_t len;
    ssize_t n;

    if (!line || json_text(line, JSON_COMPACT | JSON_ENSURE_ASCII, &text) < 0)
        return -ENOMEM;
    len = strlen(text);
    text[len] = '\n'; /* in the place of the NUL: the file has no use for that */
    n = write(journal->fd, text, len + 1);
    if (n == (ssize_t)len + 1) {
        journal->size += n;
        return 0;
    }
    n = n < 0 ? -errno : -ENOSPC;
    (void)!ftruncate(journal->fd, journal->size);
    return (int)n;
}

int journal_anchor(struct journal *journal, const struct process *anchor)
{
    char boot[BOOT_SIZE];
    int r = read_boot_id(boot);

    return r < 0 ? r
                 : append(journal,
                          json_pack("{s:s,s:s,s:i,s:I}", "fact", "anchor", "boot", boot, "pid",
                                    (int)anchor->pid, "born", (json_int_t)anchor->born));
}

static int append_index(struct journal *journal, const char *fact, uint32_t index)
{
    return append(journal, json_pack("{s:s,s:i}", "fact", fact, "index", (int)index));
}

static int append_struct(struct journal *journal, const char *fact, uint32_t index,
                         const struct member *members, size_t n, const void *from)
{
    AUTO(json_decref) json_t *line = json_pack("{s:s,s:i}", "fact", fact, "index", (int)index);

    if (!line || members_put(line, members, n, from) < 0)
        return -ENOMEM;
    return append(journal, take_ptr(&line));
}

int journal_network(struct journal *journal, uint32_t index, const struct netd_network *network)
{
    return append_struct(journal, "network", index, network_members, N_ELEMENTS(network_members),
                         network);
}

int journal_built(struct journal *journal, uint32_t index)
{
    return append_index(journal, "built", index);
}

int journal_unbuilt(struct journal *journal, uint32_t index)
{
    return append_index(journal, "unbuilt", index);
}

int journal_network_gone(struct journal *journal, uint32_t index)
{
    return append_index(journal, "network-gone", index);
}

int journal_tap(struct journal *journal, uint32_t index, const struct netd_interface *interface)
{
    return append_struct(journal, "tap", index, interface_members, N_ELEMENTS(interface_members),
                         interface);
}

int journal_tap_gone(struct journal *journal, const char *tap)
{
    return append(journal, json_pack("{s:s,s:s}", "fact", "tap-gone", "tap", tap));
}

static const char *const child_names[] = {
    [JOURNAL_DNSMASQ] = "dnsmasq", [JOURNAL_ENGINE] = "engine", [JOURNAL_RELAY] = "relay"
};

int journal_child(struct journal *journal, enum journal_child kind, uint32_t index, pid_t pid,
                  uint64_t born)
{
    return append(journal,
                  json_pack("{s:s,s:s,s:i,s:i,s:I}", "fact", "child", "kind", child_names[kind],
                            "index", (int)index, "pid", (int)pid, "born", (json_int_t)born));
}

/* ---- reading -------------------------------------------------------------------- */

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
    const char *said = json_string_value(json_object_get(line, "boot"));
    char boot[BOOT_SIZE];

    if (!said || read_boot_id(boot) < 0 || strcmp(said, boot) != 0)
        return -ESTALE;
    return process_get(line, &state->anchor);
}

/* What is said of an index says nothing of the network that had it before, even where a
 * disk was too full to take down that its TAPs had gone. */
static void forget_taps(struct journal_state *state, const struct journal_network *net)
{
    uint32_t index = (uint32_t)(net - state->networks);

    for (size_t i = state->n_taps; i-- > 0;)
        if (state->taps[i].index == index)
            state->taps[i] = state->taps[--state->n_taps];
}

static int read_network(const json_t *line, struct journal_state *state)
{
    struct journal_network *net = network_of(line, state);
    struct journal_network fresh = { .known = true };

    if (!net || network_get(line, &fresh.network) < 0)
        return -EBADMSG;
    forget_taps(state, net);
    *net = fresh;
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

static int read_network_gone(const json_t *line, struct journal_state *state)
{
    struct journal_network *net = network_of(line, state);

    if (!net)
        return -EBADMSG;
    forget_taps(state, net);
    *net = (struct journal_network){ .known = false };
    return 0;
}

static int read_tap(const json_t *line, struct journal_state *state)
{
    const struct journal_network *net = network_of(line, state);
    struct journal_tap tap = { 0 }, *more;

    if (!net || !net->known || interface_get(line, &tap.interface) < 0)
        return -EBADMSG;
    tap.index = (uint32_t)(net - state->networks);
    more = reallocarray(state->taps, state->n_taps + 1, sizeof *more);
    if (!more)
        return -ENOMEM;
    state->taps = more;
    state->taps[state->n_taps++] = tap;
    return 0;
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

static int read_child(const json_t *line, struct journal_state *state)
{
    const char *kind = json_string_value(json_object_get(line, "kind"));
    struct journal_network *net = network_of(line, state);

    if (!kind || !net)
        return -EBADMSG;
    if (strcmp(kind, child_names[JOURNAL_DNSMASQ]) == 0)
        return process_get(line, &net->dnsmasq);
    if (strcmp(kind, child_names[JOURNAL_ENGINE]) == 0)
        return process_get(line, &state->engine);
    if (strcmp(kind, child_names[JOURNAL_RELAY]) == 0)
        return process_get(line, &state->relay);
    return -EBADMSG;
}

static int read_line(const char *text, size_t len, struct journal_state *state)
{
    static const struct {
        const char *fact;
        int (*read)(const json_t *line, struct journal_state *state);
    } facts[] = {
        { "anchor", read_anchor }, { "network", read_network },
        { "built", read_built },   { "unbuilt", read_built },
        { "tap", read_tap },       { "tap-gone", read_tap_gone },
        { "child", read_child },   { "network-gone", read_network_gone },
    };
    AUTO(json_decref) json_t *line = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const char *fact = json_string_value(json_object_get(line, "fact"));

    for (size_t i = 0; fact && i < N_ELEMENTS(facts); i++)
        if (strcmp(fact, facts[i].fact) == 0)
            return facts[i].read(line, state);
    return -EBADMSG;
}

int journal_read(int dirfd, struct journal_state **ret)
{
    struct journal_state *state = calloc(1, sizeof *state);
    AUTO_FREE char *text = NULL;
    size_t len = 0;
    int r = 0;

    if (!state)
        return -ENOMEM;
    r = file_read(dirfd, FILE_NAME, FILE_MAX, &text, &len);
    if (r < 0 && r != -ENOENT) {
        journal_state_free(state);
        return r;
    }
    for (char *line = text, *end; line && (end = memchr(line, '\n', len)); line = end + 1) {
        if (read_line(line, (size_t)(end - line), state) == -ESTALE)
            break; /* the first line, of an earlier boot: nothing of it can exist */
        len -= (size_t)(end - line) + 1;
    }
    *ret = state;
    return 0;
}

void journal_state_free(struct journal_state *state)
{
    if (!state)
        return;
    free(state->taps);
    free(state);
}
