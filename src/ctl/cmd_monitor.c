/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_monitor.c - what happens, as it happens: one line an event, or one JSON object each.
 *
 * Each line is written out at once, since whoever reads it through a pipe waits for it.
 */
#include "call.h"
#include "mem.h"
#include "show.h"
#include "str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CLOCK_TEXT   16
#define DETAILS_TEXT 512

static const char *clock_of(const json_t *event, char ret[static CLOCK_TEXT])
{
    time_t seconds = (time_t)(member_number(event, "time") / 1000000);
    struct tm local;

    if (!localtime_r(&seconds, &local) || strftime(ret, CLOCK_TEXT, "%H:%M:%S", &local) == 0)
        ret[0] = '\0';
    return ret;
}

/* What `count` counts in this event; NULL: nothing. */
static const char *counted(const char *what)
{
    static const struct {
        const char *what, *things;
    } table[] = { { "client_came", "clients" },
                  { "client_left", "clients" },
                  { "interface_started", "interfaces" },
                  { "interface_stopped", "interfaces" },
                  { "missed", "events" } };

    for (size_t i = 0; i < N_ELEMENTS(table); i++)
        if (strcmp(table[i].what, what) == 0)
            return table[i].things;
    return NULL;
}

/* Appends to a text that is cut when it is full. */
__attribute__((format(printf, 2, 3))) static void append(char text[static DETAILS_TEXT],
                                                         const char *fmt, ...)
{
    size_t len = strlen(text);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text + len, DETAILS_TEXT - len, fmt, ap);
    va_end(ap);
}

static void print_event(const json_t *event)
{
    const json_t *client = json_object_get(event, "client");
    const json_t *interface = json_object_get(event, "interface");
    const char *what = or_dash(member_text(event, "what"));
    char clock[CLOCK_TEXT], details[DETAILS_TEXT] = "";

    if (client)
        append(details, "%s (pid %lld, %s) ", or_dash(member_text(client, "command")),
               member_number(client, "pid"), or_dash(member_text(client, "user")));
    if (interface)
        append(details, "%s %s %s ", or_dash(member_text(interface, "name")),
               or_dash(member_text(interface, "mac_address")),
               or_dash(member_text(interface, "ipv4_address")));
    if (counted(what))
        append(details, "[%lld %s] ", member_number(event, "count"), counted(what));
    if (member_text(event, "message"))
        append(details, "%s", member_text(event, "message"));
    print_clean("%s  %-18s  %-12s  %s", clock_of(event, clock), what,
                or_dash(member_text(event, "network")), details);
}

static int print_object(const json_t *event)
{
    int r = json_dumpf(event, stdout, JSON_COMPACT);
    putchar('\n');
    return r;
}

/* Until the broker goes, or we are told to. */
static int show_events(const struct ctl *ctl, struct connection *c)
{
    for (;;) {
        AUTO_REPLY reply = REPLY_INIT;
        int r = connection_receive(c, &reply);
        if (r < 0) {
            complain("the broker has gone");
            return EXIT_FAILED;
        }
        if (call_check(&reply, NULL) < 0)
            return EXIT_FAILED;
        const json_t *event = json_object_get(reply.parameters, "event");
        if (ctl->json)
            (void)print_object(event);
        else
            print_event(event);
        if (fflush(stdout) != 0 || !reply.continues)
            return EXIT_FAILED;
    }
}

int cmd_monitor(struct ctl *ctl, int argc, char **argv)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    int r = common_options(ctl, argc, argv, false, 0, 0);
    if (r >= 0)
        return r;

    r = call_open(ctl, &c);
    if (r == -ENOTCONN)
        say_not_running(ctl);
    else if (r == 0 && connection_send(&c, "Monitor", NULL, true) == 0)
        return show_events(ctl, &c);
    return EXIT_FAILED;
}
