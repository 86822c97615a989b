/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - see journal.h.
 *
 * STATE/netd/journal, a line a fact, in the order in which they became true:
 *
 *   {"fact":"anchor","boot":"3f0c…","pid":812,"born":104233}
 *   {"fact":"network","index":0,"name":"shared","id":"…","mode":0,…}   to be built
 *   {"fact":"child","kind":"dnsmasq","index":0,"pid":815,"born":104301}
 *   {"fact":"built","index":0}
 *   {"fact":"update","index":0,"idle_timeout_sec":120,"reservations":[{"mac":…},…]}
 *   {"fact":"tap","index":0,"tap":"vt0.0","id":"web","mac":"525400…",…}  to be made
 *   {"fact":"tap-gone","tap":"vt0.0"}
 *   {"fact":"unbuilt","index":0}                                    to be taken down
 *   {"fact":"network-gone","index":0}
 *
 * A line is written with one write(), and a line that did not fit on the disk is cut
 * off again, so that a torn one can only be the last. No fsync(): the kernel keeps
 * the file across our death, and a reboot voids all of it ("boot").
 */
#include "journal_part.h"

#include "fd.h"
#include "json_text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define NEW_NAME "journal.new"

struct journal {
    int dirfd, fd;
    off_t size;
};

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
    return renameat(journal->dirfd, NEW_NAME, journal->dirfd, JOURNAL_NAME) < 0 ? -errno : 0;
}

void journal_free(struct journal *journal, bool remove)
{
    if (!journal)
        return;
    if (remove)
        (void)unlinkat(journal->dirfd, JOURNAL_NAME, 0);
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
    int r = journal_boot_id(boot);

    return r < 0 ? r
                 : append(journal,
                          json_pack("{s:s,s:s,s:i,s:I}", "fact", "anchor", "boot", boot, "pid",
                                    (int)anchor->pid, "born", (json_int_t)anchor->born));
}

static json_t *line_of(const char *fact, uint32_t index)
{
    return json_pack("{s:s,s:i}", "fact", fact, "index", (int)index);
}

static int append_index(struct journal *journal, const char *fact, uint32_t index)
{
    return append(journal, line_of(fact, index));
}

int journal_network(struct journal *journal, uint32_t index, const struct netd_network *network)
{
    AUTO(json_decref) json_t *line = line_of("network", index);

    if (!line || journal_put_network(line, network) < 0)
        return -ENOMEM;
    return append(journal, take_ptr(&line));
}

int journal_update(struct journal *journal, uint32_t index, uint32_t idle_timeout_sec,
                   const struct netd_reservation *reservations, size_t n)
{
    AUTO(json_decref) json_t *line = line_of("update", index);
    json_t *list = json_array();

    if (json_object_set_new(line, "reservations", list) < 0 || /* first: takes the list over */
        json_object_set_new(line, "idle_timeout_sec", json_integer(idle_timeout_sec)) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_object();

        if (json_array_append_new(list, one) < 0 ||
            journal_put_reservation(one, &reservations[i]) < 0)
            return -ENOMEM;
    }
    return append(journal, take_ptr(&line));
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
    AUTO(json_decref) json_t *line = line_of("tap", index);

    if (!line || journal_put_interface(line, interface) < 0)
        return -ENOMEM;
    return append(journal, take_ptr(&line));
}

int journal_tap_gone(struct journal *journal, const char *tap)
{
    return append(journal, json_pack("{s:s,s:s}", "fact", "tap-gone", "tap", tap));
}

int journal_child(struct journal *journal, enum journal_child kind, uint32_t index, pid_t pid,
                  uint64_t born)
{
    return append(journal, json_pack("{s:s,s:s,s:i,s:i,s:I}", "fact", "child", "kind",
                                     journal_child_names[kind], "index", (int)index, "pid",
                                     (int)pid, "born", (json_int_t)born));
}
