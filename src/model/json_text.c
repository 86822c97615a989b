/* SPDX-License-Identifier: Apache-2.0 */
#include "json_text.h"

#include "mem.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define ROOM 512 /* of a usual message; doubled as needed */

struct text {
    char *at;
    size_t len, room;
    bool failed; /* whatever jansson makes of it */
};

static int make_room(struct text *text, size_t more)
{
    size_t room = text->room ? text->room : ROOM;

    while (room - text->len < more)
        room *= 2;
    if (room == text->room)
        return 0;
    char *at = realloc(text->at, room);
    if (!at)
        return -1;
    text->at = at;
    text->room = room;
    return 0;
}

static int append(const char *data, size_t len, void *arg)
{
    struct text *text = arg;

    if (text->failed || make_room(text, len) < 0) {
        text->failed = true;
        return -1;
    }
    memcpy(text->at + text->len, data, len);
    text->len += len;
    return 0;
}

int json_text(const json_t *json, size_t flags, char **ret)
{
    struct text text = { 0 };
    int r = json_dump_callback(json, append, &text, flags);

    if (r == 0)
        (void)append("", 1, &text); /* the NUL */
    if (r < 0 || text.failed) {
        free(text.at);
        return text.failed ? -ENOMEM : -EINVAL;
    }
    *ret = text.at;
    return 0;
}
