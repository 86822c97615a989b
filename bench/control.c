/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - what the broker's answers cost, beside the bare parts.
 *
 * `bench/run` starts a broker in namespaces of its own and calls this with its
 * socket. Every comparison alternates ours and the bare part, ROUNDS times.
 */
#include "bare.h"
#include "client.h"
#include "crowd.h"
#include "dhcp.h"
#include "frames.h"
#include "measure.h"
#include "scale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS        2000
#define TAPS         50
#define BIG          65536
#define CROWDS_MAX   16
#define CROWD_UID    5000
#define REMOVAL_USEC 1.2e6 /* closing 50 TAPs one by one takes 0.85 s, then they go by group */

static const char *broker_path;
static char bare_path[108];
static char reply[BIG];

static double median_call(int sock)
{
    static double took[CALLS];
    for (size_t i = 0; i < CALLS; i++) {
        double start = now_usec();
        (void)client_call(sock, ACQUIRE("host"), reply, sizeof reply, NULL);
        took[i] = now_usec() - start;
    }
    return median(took, CALLS);
}

static double connects_per_second(const char *path)
{
    double start = now_usec();
    for (size_t i = 0; i < CALLS; i++) {
        int sock = client_connect(path);
        (void)client_call(sock, ACQUIRE("host"), reply, sizeof reply, NULL);
        close(sock);
    }
    return CALLS / (now_usec() - start) * 1e6;
}

/* The network exists and somebody else holds it, so this is the pure request path. */
static void requests(size_t reply_len)
{
    struct series ours = { 0 }, bare = { 0 }, our_rate = { 0 }, bare_rate = { 0 };
    int server = bare_server_start(bare_path, reply_len);
    int to_broker = client_connect(broker_path), to_bare = client_connect(bare_path);
    for (size_t i = 0; i < ROUNDS; i++) {
        series_add(&ours, median_call(to_broker));
        series_add(&bare, median_call(to_bare));
        series_add(&our_rate, connects_per_second(broker_path));
        series_add(&bare_rate, connects_per_second(bare_path));
    }
    close(to_broker);
    close(to_bare);
    bare_end(server);
    report_ratio("acquire of an existing network, median", "us", &ours, &bare, "<= 2.0");
    report_ratio("connect, acquire, disconnect per second", "/s", &our_rate, &bare_rate, ">= 0.5");
}

/* Until the broker no longer lists the network: its idle timeout is 0 here. */
static void await_removal(int sock, const char *name)
{
    char needle[64];
    (void)snprintf(needle, sizeof needle, "\"%s\"", name);
    for (double end = now_usec() + 10e6; now_usec() < end; usleep(2000)) {
        (void)client_call(sock, CALL("List", ""), reply, sizeof reply, NULL);
        if (!strstr(reply, needle))
            return;
    }
    give_up("'%s' is still there after 10 s: %s", name, reply);
}

static double our_first_offer(int sock)
{
    int tap;
    double start = now_usec();
    (void)client_must(sock, ACQUIRE("shared"), reply, sizeof reply, NULL);
    (void)client_must(sock, START_ON("shared"), reply, sizeof reply, &tap);
    dhcp_await_offer(tap, client_mac(reply));
    double took = now_usec() - start;
    close(tap);
    (void)client_must(sock, RELEASE("shared"), reply, sizeof reply, NULL);
    await_removal(sock, "shared");
    return took;
}

static void first_offer(struct bare_net *net)
{
    struct series ours = { 0 }, bare = { 0 };
    int sock = client_connect(broker_path);
    for (size_t i = 0; i < ROUNDS; i++) {
        series_add(&ours, our_first_offer(sock) / 1e3);
        series_add(&bare, bare_net_first_offer(net) / 1e3);
    }
    close(sock);
    report_ratio("first acquire to a DHCP offer", "ms", &ours, &bare, "<= 1.5");
}

static double our_tap(int sock)
{
    int tap;
    double start = now_usec();
    (void)client_must(sock, START_ON("host"), reply, sizeof reply, &tap);
    double took = now_usec() - start;
    close(tap);
    usleep(50000); /* its removal must not be charged to the next one */
    return took;
}

static void start_interface(struct bare_net *net)
{
    enum { PER_ROUND = 15 };
    struct series ours = { 0 }, bare = { 0 };
    int sock = client_connect(broker_path);
    (void)client_must(sock, ACQUIRE("host"), reply, sizeof reply, NULL);
    for (size_t i = 0; i < ROUNDS; i++) {
        double a[PER_ROUND], b[PER_ROUND];
        for (size_t k = 0; k < PER_ROUND; k++) {
            a[k] = our_tap(sock);
            b[k] = bare_net_tap(net);
        }
        series_add(&ours, median(a, PER_ROUND));
        series_add(&bare, median(b, PER_ROUND));
    }
    close(sock);
    report_ratio("StartInterface, TAP create + attach + up", "us", &ours, &bare, "<= 1.5");
}

/* Acquire latencies of an innocent client, for as long as `doing` says. */
static double quiet_median(int sock, double until)
{
    static double took[200000];
    size_t n = 0;
    do {
        double start = now_usec();
        (void)client_must(sock, ACQUIRE("host"), reply, sizeof reply, NULL);
        took[n++] = now_usec() - start;
    } while (now_usec() < until && n < sizeof took / sizeof *took);
    return median(took, n);
}

/* Closing a TAP's last descriptor takes 20 ms, so a child does it at its exit: the
 * process that measures must not be the one that waits. */
static int hand_to_a_child(const int *taps, int sock, int *ret_go)
{
    int go[2];
    if (pipe(go) < 0)
        give_up("no pipe");
    int pid = fork();
    if (pid == 0) {
        char c;
        close(go[1]);
        close(sock);
        (void)!read(go[0], &c, 1);
        _exit(0);
    }
    close(go[0]);
    for (size_t i = 0; i < TAPS; i++)
        close(taps[i]);
    *ret_go = go[1];
    return pid;
}

static double removal_median(int innocent)
{
    int taps[TAPS], go, sock = client_connect(broker_path);
    (void)client_must(sock, ACQUIRE("shared"), reply, sizeof reply, NULL);
    for (size_t i = 0; i < TAPS; i++)
        (void)client_must(sock, START_ON("shared"), reply, sizeof reply, &taps[i]);
    int child = hand_to_a_child(taps, sock, &go);
    close(sock);
    close(go);
    double m = quiet_median(innocent, now_usec() + REMOVAL_USEC);
    (void)waitpid(child, NULL, 0);
    return m;
}

static void others_during_removal(void)
{
    struct series quiet = { 0 }, removing = { 0 };
    int innocent = client_connect(broker_path);
    for (size_t i = 0; i < ROUNDS; i++) {
        series_add(&quiet, quiet_median(innocent, now_usec() + REMOVAL_USEC));
        series_add(&removing, removal_median(innocent));
        await_removal(innocent, "shared");
    }
    close(innocent);
    report_ratio("acquire while a network with 50 TAPs goes", "us", &removing, &quiet, "1.0");
}

static void beside_a_crowd(int sock, enum crowd what, size_t n_crowds, const char *words)
{
    struct series quiet = { 0 }, disturbed = { 0 };
    for (size_t i = 0; i < ROUNDS; i++) {
        int crowds[CROWDS_MAX];
        series_add(&quiet, client_polite_median(sock));
        for (size_t k = 0; k < n_crowds; k++)
            crowds[k] = crowd_start(broker_path, what, (uid_t)(CROWD_UID + k));
        series_add(&disturbed, client_polite_median(sock));
        for (size_t k = 0; k < n_crowds; k++)
            crowd_end(crowds[k]);
        (void)client_must(sock, ACQUIRE("host"), reply, sizeof reply, NULL);
    }
    report_ratio(words, "us", &disturbed, &quiet, "<= 2.0");
}

static void measure_hostile(void)
{
    int sock = client_connect(broker_path);
    beside_a_crowd(sock, CROWD_SILENT, 1, "acquire beside 10,000 silent connections");
    beside_a_crowd(sock, CROWD_SILENT, CROWDS_MAX, "... of 16 users each");
    beside_a_crowd(sock, CROWD_KNOCKING, 1, "acquire while somebody connects without end");
    beside_a_crowd(sock, CROWD_TALKING, 1, "acquire beside 400 connections full of requests");
    close(sock);
}

static void measure_requests(size_t reply_len)
{
    printf("request %zu bytes, reply %zu bytes, %d rounds\n", strlen(ACQUIRE("host")) + 1,
           reply_len, ROUNDS);
    requests(reply_len);
}

static void measure_offer(void)
{
    struct bare_net *net = bare_net_start();
    first_offer(net);
    bare_net_stop(net);
}

static void measure_interface(void)
{
    struct bare_net *net = bare_net_start();
    start_interface(net);
    bare_net_stop(net);
}

int main(int argc, char **argv)
{
    const char *part = argc == 3 ? argv[1] : "";
    broker_path = argc == 3 ? argv[2] : "";
    (void)snprintf(bare_path, sizeof bare_path, "%.90s.bare", broker_path);

    int holder = client_connect(broker_path);
    size_t reply_len = client_must(holder, ACQUIRE("host"), reply, sizeof reply, NULL) + 1;
    if (strcmp(part, "requests") == 0)
        measure_requests(reply_len);
    else if (strcmp(part, "offer") == 0)
        measure_offer();
    else if (strcmp(part, "interface") == 0)
        measure_interface();
    else if (strcmp(part, "removal") == 0)
        others_during_removal();
    else if (strcmp(part, "hostile") == 0)
        measure_hostile();
    else if (strcmp(part, "scale") == 0)
        measure_scale(broker_path);
    else if (strcmp(part, "frames") == 0)
        measure_frames(broker_path);
    else
        give_up("usage: bench-control requests|offer|interface|removal|hostile|scale|frames "
                "BROKER-SOCKET");
    close(holder);
    (void)unlink(bare_path);
    return 0;
}
