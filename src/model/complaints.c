/* SPDX-License-Identifier: Apache-2.0 */
#include "complaints.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many bytes the UTF-8 character has that begins here; 0: none does. */
static size_t character(const char *text)
{
    unsigned char first = (unsigned char)*text;
    size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < len; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 0; /* the end of the text, too */
    return len;
}

/* What is no character, or one for terminals, becomes '?'. Texts are cut at any byte, by us and
 * by jansson. */
static void clean(char *text)
{
    while (*text) {
        size_t len = character(text);
        if (len == 0 || (unsigned char)*text < ' ' || *text == 0x7f) {
            *text = '?';
            len = 1;
        }
        text += len;
    }
}

void complaints_add(struct complaints *list, struct position at, const char *what, ...)
{
    if (list->n == COMPLAINTS_MAX) {
        list->left_out++;
        return;
    }
    struct complaint *complaint = &list->items[list->n++];
    *complaint = (struct complaint){ .at = at };
    va_list ap;
    va_start(ap, what);
    (void)vsnprintf(complaint->what, sizeof complaint->what, what, ap);
    va_end(ap);
    clean(complaint->what);
}

void complaints_remedy(struct complaints *list, const char *remedy, ...)
{
    if (list->n == 0 || list->left_out > 0)
        return;
    struct complaint *complaint = &list->items[list->n - 1];
    va_list ap;
    va_start(ap, remedy);
    (void)vsnprintf(complaint->remedy, sizeof complaint->remedy, remedy, ap);
    va_end(ap);
    clean(complaint->remedy);
}

static bool before(const struct complaint *a, const struct complaint *b)
{
    return a->at.line != b->at.line ? a->at.line < b->at.line : a->at.column < b->at.column;
}

/* By insertion: few, almost sorted, and equal places must keep their order. */
void complaints_sort(struct complaints *list)
{
    for (size_t i = 1; i < list->n; i++) {
        struct complaint moving = list->items[i];
        size_t k = i;
        for (; k > 0 && before(&moving, &list->items[k - 1]); k--)
            list->items[k] = list->items[k - 1];
        list->items[k] = moving;
    }
}

const char *complaint_format(const struct complaint *complaint, const char *file, char *ret,
                             size_t size)
{
    char place[32] = "";
    if (complaint->at.line > 0)
        (void)snprintf(place, sizeof place, ":%u:%u", complaint->at.line, complaint->at.column);
    (void)snprintf(ret, size, "%s%s: %s%s%s", file, place, complaint->what,
                   complaint->remedy[0] ? "; " : "", complaint->remedy);
    return ret;
}

const char *excerpt(const char *value, char ret[static EXCERPT_SIZE])
{
    size_t room = EXCERPT_SIZE - sizeof "...";
    size_t len = strnlen(value, EXCERPT_SIZE);
    bool cut = len == EXCERPT_SIZE;

    while (cut && room > 0 && ((unsigned char)value[room] & 0xc0) == 0x80)
        room--; /* not through a character */
    (void)snprintf(ret, EXCERPT_SIZE, "%.*s", (int)(cut ? room : len), value);
    clean(ret);
    if (cut)
        (void)memcpy(ret + strlen(ret), "...", sizeof "...");
    return ret;
}
