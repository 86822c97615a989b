/* SPDX-License-Identifier: Apache-2.0 */
/* resolvers.h - whom to ask, and in which order.
 *
 * They are those of /etc/resolv.conf, as it is at the moment, or given once for all. A question is
 * put to each of them once, beginning with the one that has not failed lately.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define RESOLV_CONF "/etc/resolv.conf"

#define SERVERS_MAX   4
/* As in glibc: more nameservers than that are ignored. */
#define SERVERS_GLIBC 3

/* All times are monotonic microseconds. */
#define SEC 1000000ull

/* How long a resolver that has failed is not the first to be asked. */
#define GRUDGE (60 * SEC)

struct resolver {
    struct sockaddr_storage addr;
    socklen_t len;
};

struct resolvers {
    struct resolver server[SERVERS_MAX];
    size_t n;
    const char *path;      /* the file that they are from; NULL: it cannot change */
    unsigned version;      /* counts changes of the file */
    size_t first;          /* the one that is asked first */
    uint64_t first_at;     /* since when it is not the one with number 0 */
    struct timespec mtime; /* of the file that they are from */
    off_t size;
    ino_t ino;
    dev_t dev;
    bool again; /* it may have changed since it was read, without a sign of it */
    uint64_t complained;
};

/* What a file says, the first `max` of it; NULL: there is none. */
void resolvers_read(struct resolvers *rs, FILE *file, size_t max);
/* Called for every question: one stat(), and the file is read only when it is another
 * one or has changed. */
void resolvers_refresh(struct resolvers *rs, uint64_t now);
/* This one was silent or refused: others need not wait for it, too. */
void resolvers_blame(struct resolvers *rs, size_t server, uint64_t now);
/* Nobody answers. Logged once a minute at most. */
void resolvers_complain(struct resolvers *rs, uint64_t now);

/* Where a question stands among the resolvers: each is tried once, from `first` on. */
struct attempt {
    unsigned version; /* of the resolvers that the numbers mean */
    size_t first, n;
};

void attempt_begin(struct resolvers *rs, struct attempt *at);
/* The resolver to try; false: all have been. */
bool attempt_server(const struct resolvers *rs, const struct attempt *at, size_t *ret);
void attempt_failed(struct resolvers *rs, struct attempt *at);
bool attempt_is_last(const struct resolvers *rs, const struct attempt *at);

/* A socket that is connected to it, or about to be; type: SOCK_DGRAM or SOCK_STREAM. */
int resolver_connect(const struct resolver *server, int type);
