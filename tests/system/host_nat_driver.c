/* SPDX-License-Identifier: Apache-2.0 */
/* host_nat_driver.c NETNS - the host's side of the kernel uplink without a netd.
 *
 * For host_nat_smoke.py: commands are lines on standard input, and each is answered by one line.
 *   plan            transit, ways out and links that would be made to forward
 *   make            "made N", N: how much was mended; or "error ..."
 *   inside          "inside N": the same of the cable's other end, which is netd's to make
 *   arm | trace     a probe is about to come
 *   look            "4:passed 6:<who drops it>"
 *   rest            "rests"
 *   end             "ended"
 */
#include "addr.h"
#include "cable.h"
#include "host_nat.h"
#include "log.h"
#include "names.h"
#include "transit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct host_nat_plan plan;
static struct link_ctx *inside;

static void must(int r, const char *what)
{
    if (r >= 0)
        return;
    log_failure(r, "driver: %s", what);
    exit(1);
}

static void print_links(const char *what, const struct link_names *links)
{
    printf(" %s", what);
    for (uint32_t i = 0; i < links->n; i++)
        printf("%c%s", i ? ',' : '=', links->name[i]);
}

static void do_plan(struct host_nat *nat)
{
    char text[ADDR4_TEXT];

    must(host_nat_plan(nat, NULL, 0, &plan, &plan), "plan");
    printf("%s default4=%u default6=%u kernel6=%u", addr4_format(plan.transit, text), plan.default4,
           plan.default6, plan.kernel6);
    print_links("on4", &plan.on4);
    print_links("on6", &plan.on6);
    printf("\n");
}

static void say(int r, const struct netd_why *why, const char *done, unsigned n)
{
    if (r < 0)
        printf("error %s\n", why->why);
    else
        printf("%s %u\n", done, n);
}

static void print_end(int family, bool passed, const struct nft_trace_end *end)
{
    char text[NFT_TRACE_TEXT];

    printf("%d:%s ", family, passed ? "passed" : end->dropped ? nft_trace_text(end, text) : "?");
}

static void do_look(struct host_nat *nat, struct netd_why *why)
{
    struct host_nat_verdict v;

    if (host_nat_look(nat, &v, why) < 0) {
        printf("error %s\n", why->why);
        return;
    }
    print_end(4, v.passed4, &v.end[NFT_TRACE_IPV4]);
    print_end(6, v.passed6, &v.end[NFT_TRACE_IPV6]);
    printf("\n");
}

static void serve(struct host_nat *nat, const char *line)
{
    struct netd_why why = { 0 };
    unsigned mended = 0;
    int r;

    if (strcmp(line, "plan") == 0) {
        do_plan(nat);
    } else if (strcmp(line, "make") == 0) {
        r = host_nat_make(nat, &plan, &mended, &why);
        say(r, &why, "made", mended);
    } else if (strcmp(line, "inside") == 0) {
        r = cable_connect(inside, uplink_link(KERNEL_SLOT), CABLE_INSIDE, plan.transit);
        must(r, "inside");
        say(0, &why, "inside", (unsigned)r);
    } else if (strcmp(line, "arm") == 0 || strcmp(line, "trace") == 0) {
        r = host_nat_arm(nat, *line == 't', &why);
        say(r, &why, "armed", 0);
    } else if (strcmp(line, "look") == 0) {
        do_look(nat, &why);
    } else if (strcmp(line, "rest") == 0) {
        host_nat_rest(nat);
        say(0, &why, "rests", 0);
    } else {
        r = host_nat_end(nat, &plan.on4, &plan.on6, &why);
        say(r, &why, "ended", 0);
    }
}

/* A socket belongs to the namespace that it was made in. */
static void open_inside(int netns)
{
    int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    must(host, "own namespace");
    must(setns(netns, CLONE_NEWNET), "namespace");
    must(link_open(&inside), "link socket inside");
    must(setns(host, CLONE_NEWNET), "own namespace");
    (void)close(host);
}

int main(int argc, char **argv)
{
    struct host_nat_tools tools = { .netns = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1 };
    struct host_nat *nat;
    char line[32];

    log_init("driver", LOG_LEVEL_DEBUG);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    must(tools.netns, "namespace");
    open_inside(tools.netns);
    must(link_open(&tools.links), "link socket");
    tools.nft = nft_new();
    must(tools.nft ? 0 : -1, "nft");
    must(host_nat_new(&tools, &nat), "memory");
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        serve(nat, line);
    }
    host_nat_free(nat);
    nft_free(tools.nft);
    link_close(inside);
    link_close(tools.links);
    return 0;
}
