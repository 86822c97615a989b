/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - see journal.h.
 *
 * STATE/netd/journal, a line a fact, in the order in which they became true:
 *
 *   {"fact":"boot","boot":"3f0c…"}
 *   {"fact":"anchor","pid":812,"born":104233}
 *   {"fact":"network","index":0,"name":"shared","id":"…","mode":0,…}   to be built
 *   {"fact":"child","kind":"dnsmasq","index":0,"pid":815,"born":104301}
 *   {"fact":"built","index":0}
 *   {"fact":"update","index":0,"idle_timeout_sec":120,"reservations":[{"mac":…},…]}
 *   {"fact":"spare-tap","index":0,"tap":"vt0.0"}                       to be made
 *   {"fact":"tap","index":0,"tap":"vt0.0","id":"web","mac":"525400…",…}  to be made
 *   {"fact":"tap-gone","tap":"vt0.0"}
 *   {"fact":"forward","index":0,"number":7,"external_port":8080,…}    to be listened for
 *   {"fact":"forward-gone","number":7}
 *   {"fact":"unbuilt","index":0}                                    to be taken down
 *   {"fact":"network-gone","index":0}
 *   {"fact":"stranded","index":1,"taps":5}      lost with its namespace; VMs are on it
 *
 * A line is written with one write(), and a line that did not fit on the disk is cut
 * off again, so that a torn one can only be the last. No fsync(): the kernel keeps
 * the file across our death, and a reboot voids all of it ("boot").
 *
 * There are two copies, journal and journal.copy, for running VMs hang on it: the one with
 * more to tell is believed, whatever has happened to the other. And journal.spare, a file of
 * nothing: where the disk is full it makes room, so that what was begun can be ended and a
 * dead netd still has a successor. Nothing new is begun without it.
 */
#include "journal_part.h"

#include "fd.h"
#include "json_text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define SPARE_NAME "journal.spare"
#define SPARE_SIZE (128 * 1024) /* the facts of some 150 TAPs, in both copies */
#define LONG       (256 * 1024) /* reading this much back takes 4 ms */

static const char *const new_names[JOURNAL_COPIES] = { "journal.new", "journal.copy.new" };

/* One life of the files. */
struct files {
    int fd[JOURNAL_COPIES];
    off_t size;
};

struct journal {
    int dirfd;
    struct files files;
    off_t fresh; /* its size when it held nothing but what was true */
    struct process anchor;
    bool spare;
};

/* ---- the spare ------------------------------------------------------------------ */

static int create(int dirfd, const char *name, int flags)
{
    int fd =
        openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

    return fd < 0 ? -errno : fd;
}

static int make_spare(int dirfd)
{
    AUTO_FD fd = create(dirfd, SPARE_NAME, 0);
    int r = fd < 0 ? fd : -posix_fallocate(fd, 0, SPARE_SIZE);

    if (r < 0)
        (void)unlinkat(dirfd, SPARE_NAME, 0);
    return r;
}

int journal_room(struct journal *journal)
{
    int r = 0;

    if (faccessat(journal->dirfd, ".", W_OK, 0) < 0)
        return -errno; /* it was made read-only */
    if (!journal->spare)
        r = make_spare(journal->dirfd);
    journal->spare = r == 0;
    return r;
}

bool journal_gives_room(struct journal *journal, int err)
{
    if (err != -ENOSPC && err != -EDQUOT)
        return false;
    journal->spare = false;
    return unlinkat(journal->dirfd, SPARE_NAME, 0) == 0;
}

/* ---- lines ---------------------------------------------------------------------- */

static void files_close(struct files *files)
{
    for (size_t i = 0; i < JOURNAL_COPIES; i++)
        fd_closep(&files->fd[i]);
}

static int files_open(int dirfd, struct files *ret)
{
    *ret = (struct files){ .fd = { -1, -1 } };
    for (size_t i = 0; i < JOURNAL_COPIES; i++) {
        int fd = ret->fd[i] = create(dirfd, new_names[i], O_APPEND);

        if (fd < 0) {
            files_close(ret);
            return fd;
        }
    }
    return 0;
}

static int files_write(struct files *files, const char *text, size_t len)
{
    for (size_t i = 0; i < JOURNAL_COPIES; i++) {
        ssize_t n = write(files->fd[i], text, len);

        if (n == (ssize_t)len)
            continue;
        n = n < 0 ? -errno : -ENOSPC;
        for (size_t k = 0; k <= i; k++)
            (void)!ftruncate(files->fd[k], files->size);
        return (int)n;
    }
    files->size += (off_t)len;
    return 0;
}

/* Takes the line over; NULL: there was no memory for it. */
static int add(struct files *files, json_t *fact)
{
    AUTO(json_decref) json_t *line = fact;
    AUTO_FREE char *text = NULL;
    size_t len;

    if (!line || json_text(line, JSON_COMPACT | JSON_ENSURE_ASCII, &text) < 0)
        return -ENOMEM;
    len = strlen(text);
    text[len] = '\n'; /* in the place of the NUL: the file has no use for that */
    return files_write(files, text, len + 1);
}

/* For all but what begins something new. */
static int append(struct journal *journal, json_t *fact)
{
    AUTO(json_decref) json_t *line = fact;
    int r = add(&journal->files, json_incref(line));

    if (r < 0 && journal_gives_room(journal, r))
        r = add(&journal->files, json_incref(line));
    return r;
}

/* ---- beginning, and beginning again --------------------------------------------- */

static int add_child(struct files *files, enum journal_child kind, uint32_t index,
                     const struct process *child)
{
    return child->pid == 0 ? 0 : add(files, journal_line_child(kind, index, child));
}

static int add_network(struct files *files, uint32_t index, const struct journal_network *net)
{
    int r = add(files, journal_line_network(index, &net->network));

    if (r == 0)
        r = add_child(files, JOURNAL_DNSMASQ, index, &net->dnsmasq);
    if (r == 0)
        r = add_child(files, JOURNAL_OWN_RELAY, index, &net->relay);
    if (r == 0 && net->built)
        r = add(files, journal_line_index("built", index));
    if (r == 0 && net->stranded)
        r = add(files, journal_line_stranded(index, net->stranded));
    if (r == 0 && net->n_reservations > 0)
        r = add(files, journal_line_update(index, net->network.idle_timeout_sec, net->reservations,
                                           net->n_reservations));
    if (r == 0 && *net->spare_tap)
        r = add(files, journal_line_spare_tap(index, net->spare_tap));
    return r;
}

static int add_all(struct files *files, const struct process *anchor,
                   const struct journal_state *state)
{
    int r = add(files, journal_line_boot());

    if (r == 0 && anchor->pid != 0)
        r = add(files, journal_line_anchor(anchor));
    for (uint32_t slot = 0; r == 0 && slot < UPLINKS_MAX; slot++)
        r = add_child(files, JOURNAL_ENGINE, slot, &state->engines[slot]);
    if (r == 0)
        r = add_child(files, JOURNAL_RELAY, 0, &state->relay);
    if (r == 0)
        r = add_child(files, JOURNAL_FORWARDER, 0, &state->forwarder);
    if (r == 0 && state->host_nat.transit != 0)
        r = add(files, journal_line_host_nat(&state->host_nat));
    for (uint32_t i = 0; r == 0 && i < NETWORKS_MAX; i++)
        if (state->networks[i].known)
            r = add_network(files, i, &state->networks[i]);
    for (size_t i = 0; r == 0 && i < state->n_taps; i++)
        r = add(files, journal_line_tap(state->taps[i].index, &state->taps[i].interface));
    for (size_t i = 0; r == 0 && i < state->n_forwards; i++)
        r = add(files, journal_line_forward(&state->forwards[i]));
    return r;
}

static int files_begin(int dirfd, const struct process *anchor, const struct journal_state *state,
                       struct files *ret)
{
    int r = files_open(dirfd, ret);

    if (r == 0)
        r = add_all(ret, anchor, state);
    for (size_t i = 0; r == 0 && i < JOURNAL_COPIES; i++)
        if (renameat(dirfd, new_names[i], dirfd, journal_names[i]) < 0)
            r = -errno;
    if (r < 0) {
        files_close(ret);
        for (size_t i = 0; i < JOURNAL_COPIES; i++)
            (void)unlinkat(dirfd, new_names[i], 0);
    }
    return r;
}

int journal_begin_again(struct journal *journal, const struct journal_state *state)
{
    struct files files;
    int r;

    (void)journal_gives_room(journal, -ENOSPC); /* in case that there is no other */
    r = files_begin(journal->dirfd, &journal->anchor, state, &files);
    if (r == 0) {
        files_close(&journal->files);
        journal->files = files;
    }
    journal->fresh = journal->files.size;
    journal->spare = make_spare(journal->dirfd) == 0;
    return r;
}

int journal_begin(int dirfd, const struct journal_state *state, struct journal **ret)
{
    struct journal *journal = malloc(sizeof *journal);
    int r;

    if (!journal)
        return -ENOMEM;
    *journal =
        (struct journal){ .dirfd = dirfd, .files = { .fd = { -1, -1 } }, .anchor = state->anchor };
    r = journal_begin_again(journal, state);
    if (r < 0) {
        free(journal);
        return r;
    }
    *ret = journal;
    return 0;
}

bool journal_is_long(const struct journal *journal)
{
    return journal->files.size > LONG && journal->files.size / 4 > journal->fresh;
}

void journal_free(struct journal *journal, bool remove)
{
    if (!journal)
        return;
    for (size_t i = 0; remove && i < JOURNAL_COPIES; i++)
        (void)unlinkat(journal->dirfd, journal_names[i], 0);
    if (remove)
        (void)unlinkat(journal->dirfd, SPARE_NAME, 0);
    files_close(&journal->files);
    free(journal);
}

/* ---- facts ---------------------------------------------------------------------- */

int journal_anchor(struct journal *journal, const struct process *anchor)
{
    journal->anchor = *anchor;
    return append(journal, journal_line_anchor(anchor));
}

int journal_network(struct journal *journal, uint32_t index, const struct netd_network *network)
{
    return add(&journal->files, journal_line_network(index, network));
}

int journal_update(struct journal *journal, uint32_t index, uint32_t idle_timeout_sec,
                   const struct netd_reservation *reservations, size_t n)
{
    return append(journal, journal_line_update(index, idle_timeout_sec, reservations, n));
}

int journal_built(struct journal *journal, uint32_t index)
{
    return append(journal, journal_line_index("built", index));
}

int journal_unbuilt(struct journal *journal, uint32_t index)
{
    return append(journal, journal_line_index("unbuilt", index));
}

int journal_network_gone(struct journal *journal, uint32_t index)
{
    return append(journal, journal_line_index("network-gone", index));
}

int journal_host_nat(struct journal *journal, const struct host_nat_plan *plan)
{
    return append(journal, journal_line_host_nat(plan));
}

int journal_spare_tap(struct journal *journal, uint32_t index, const char *tap)
{
    return add(&journal->files, journal_line_spare_tap(index, tap));
}

int journal_tap(struct journal *journal, uint32_t index, const struct netd_interface *interface)
{
    return add(&journal->files, journal_line_tap(index, interface));
}

int journal_tap_gone(struct journal *journal, const char *tap)
{
    return append(journal, json_pack("{s:s,s:s}", "fact", "tap-gone", "tap", tap));
}

int journal_forward(struct journal *journal, const struct journal_forward *forward)
{
    return add(&journal->files, journal_line_forward(forward));
}

int journal_forward_gone(struct journal *journal, uint32_t number)
{
    return append(journal,
                  json_pack("{s:s,s:I}", "fact", "forward-gone", "number", (json_int_t)number));
}

int journal_child(struct journal *journal, enum journal_child kind, uint32_t index, pid_t pid,
                  uint64_t born)
{
    return append(journal,
                  journal_line_child(kind, index, &(struct process){ .pid = pid, .born = born }));
}
