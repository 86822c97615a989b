/* SPDX-License-Identifier: Apache-2.0 */
/* resolvers.c - see resolvers.h. */
#include "resolvers.h"

#include "clock.h"
#include "fd.h"
#include "log.h"

#include <netdb.h>
#include <string.h>

#define COMPLAINTS (60 * SEC) /* between two of them */
#define TICK_NSEC  10000000   /* the longest, with CONFIG_HZ=100 */

/* ---- what the file says ---------------------------------------------------------------- */

/* An address with a scope ("fe80::1%eth0") needs more than inet_pton(). */
static bool resolver_parse(const char *text, struct resolver *ret)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                              .ai_socktype = SOCK_DGRAM };
    struct addrinfo *found = NULL;

    if (getaddrinfo(text, "53", &hints, &found) != 0)
        return false;
    memcpy(&ret->addr, found->ai_addr, found->ai_addrlen);
    ret->len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

/* One line of resolv.conf, which is cut up. */
static void resolvers_take_line(struct resolvers *rs, size_t max, char *line)
{
    char *rest, *word = strtok_r(line, " \t\r\n", &rest);

    if (!word || strcmp(word, "nameserver") != 0 || rs->n == max)
        return;
    word = strtok_r(NULL, " \t\r\n", &rest);
    if (word && resolver_parse(word, &rs->server[rs->n]))
        rs->n++;
}

void resolvers_read(struct resolvers *rs, FILE *file, size_t max)
{
    char line[512];

    rs->n = rs->first = 0;
    rs->version++;
    while (file && fgets(line, sizeof line, file))
        resolvers_take_line(rs, max, line);
    if (rs->n == 0 && resolver_parse("127.0.0.1", &rs->server[0])) /* as in glibc */
        rs->n = 1;
}

/* Files get the time of the kernel's last tick: a change in the same one may not show. */
static bool may_change_unseen(const struct stat *st)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = (int64_t)(now.tv_sec - st->st_mtim.tv_sec) * 1000000000 +
                  (now.tv_nsec - st->st_mtim.tv_nsec);
    return age >= 0 && age < TICK_NSEC;
}

static bool is_as_it_was(const struct resolvers *rs, const struct stat *st)
{
    return rs->n > 0 && !rs->again && st->st_ino == rs->ino && st->st_dev == rs->dev &&
           st->st_size == rs->size && st->st_mtim.tv_sec == rs->mtime.tv_sec &&
           st->st_mtim.tv_nsec == rs->mtime.tv_nsec;
}

static bool same_servers(const struct resolvers *a, const struct resolvers *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = a->server[i].len == b->server[i].len &&
               memcmp(&a->server[i].addr, &b->server[i].addr, a->server[i].len) == 0;
    return same;
}

/* Programs replace the file in place or by another one. */
void resolvers_refresh(struct resolvers *rs, uint64_t now)
{
    struct stat st = { 0 };

    if (rs->first != 0 && now - rs->first_at > GRUDGE)
        rs->first = 0;
    if (!rs->path)
        return;
    if (stat(rs->path, &st) < 0)
        memset(&st, 0, sizeof st); /* absent, and that is remembered as well */
    if (is_as_it_was(rs, &st))
        return;
    rs->again = may_change_unseen(&st);
    rs->ino = st.st_ino;
    rs->dev = st.st_dev;
    rs->size = st.st_size;
    rs->mtime = st.st_mtim;

    struct resolvers read = { .n = 0 };
    FILE *file = fopen(rs->path, "re");
    resolvers_read(&read, file, SERVERS_GLIBC);
    if (file)
        (void)fclose(file);
    if (same_servers(rs, &read)) /* who has failed is still not the first */
        return;
    memcpy(rs->server, read.server, sizeof rs->server);
    rs->n = read.n;
    rs->first = 0;
    rs->version++;
    log_info("relay: %zu resolver%s from %s", rs->n, rs->n == 1 ? "" : "s", rs->path);
}

/* ---- whom to ask next ------------------------------------------------------------------ */

void resolvers_blame(struct resolvers *rs, size_t server, uint64_t now)
{
    if (server != rs->first || rs->n < 2)
        return;
    rs->first = (server + 1) % rs->n;
    rs->first_at = now;
}

void resolvers_complain(struct resolvers *rs, uint64_t now)
{
    if (rs->complained && now - rs->complained < COMPLAINTS)
        return;
    rs->complained = now;
    if (rs->path)
        log_warning("relay: no resolver of %s answers", rs->path);
    else
        log_warning("relay: none of the network's dns_servers answers");
}

void attempt_begin(struct resolvers *rs, struct attempt *at)
{
    resolvers_refresh(rs, monotonic_usec());
    *at = (struct attempt){ rs->version, rs->first, 0 };
}

bool attempt_server(const struct resolvers *rs, const struct attempt *at, size_t *ret)
{
    if (at->version != rs->version || rs->n == 0 || at->n >= rs->n)
        return false;
    *ret = (at->first + at->n) % rs->n;
    return true;
}

void attempt_failed(struct resolvers *rs, struct attempt *at)
{
    size_t server;

    if (at->version != rs->version) { /* the file has changed: from the start */
        attempt_begin(rs, at);
        return;
    }
    if (attempt_server(rs, at, &server))
        resolvers_blame(rs, server, monotonic_usec());
    at->n++;
}

bool attempt_is_last(const struct resolvers *rs, const struct attempt *at)
{
    return at->version == rs->version && at->n + 1 >= rs->n;
}

int resolver_connect(const struct resolver *server, int type)
{
    AUTO_FD fd = socket(server->addr.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&server->addr, server->len) < 0 &&
        errno != EINPROGRESS)
        return -errno;
    return fd_take(&fd);
}
