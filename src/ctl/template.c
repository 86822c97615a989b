/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef int (*writer)(FILE *out, const struct template_interface *i, struct failure *why);

static int need_fds(const struct template_interface *i, const char *word, struct failure *why)
{
    if (!i->tap)
        return 0;
    return failure_set(why, -EINVAL,
                       "{%s}: with --in-namespace the command opens the TAP by its name, {tap}",
                       word);
}

static int write_fd(FILE *out, const struct template_interface *i, struct failure *why)
{
    if (need_fds(i, "fd", why) < 0)
        return why->err;
    /* Frames of a queue that nobody reads would be lost without a word. */
    if (i->queues != 1)
        return failure_set(why, -EINVAL, "{fd} is one queue of %u; use {fds}", i->queues);
    return fprintf(out, "%d", i->fds[0]);
}

static int write_fds(FILE *out, const struct template_interface *i, struct failure *why)
{
    if (need_fds(i, "fds", why) < 0)
        return why->err;
    for (unsigned q = 0; q < i->queues; q++)
        fprintf(out, "%s%d", q > 0 ? ":" : "", i->fds[q]);
    return 0;
}

static int write_mac(FILE *out, const struct template_interface *i, struct failure *why)
{
    (void)why;
    return fputs(i->mac, out);
}

static int write_mtu(FILE *out, const struct template_interface *i, struct failure *why)
{
    (void)why;
    return fprintf(out, "%u", i->mtu);
}

static int write_ip(FILE *out, const struct template_interface *i, struct failure *why)
{
    if (!i->ip)
        return failure_set(why, -EINVAL, "{ip}: the network gives no IPv4 address");
    return fputs(i->ip, out);
}

static int write_tap(FILE *out, const struct template_interface *i, struct failure *why)
{
    if (!i->tap)
        return failure_set(why, -EINVAL,
                           "{tap}: the TAP has a name only where the command runs --in-namespace; "
                           "without that, pass {fd}");
    return fputs(i->tap, out);
}

static const struct word {
    const char *name;
    writer write;
} words[] = {
    { "fd", write_fd },   { "fds", write_fds }, { "mac", write_mac },
    { "mtu", write_mtu }, { "ip", write_ip },   { "tap", write_tap },
};

/* Is the text between the braces one of ours, perhaps with a number behind it? */
static const struct word *find_word(const char *text, size_t len, const char **number)
{
    size_t letters = len;
    while (letters > 0 && text[letters - 1] >= '0' && text[letters - 1] <= '9')
        letters--;
    *number = text + letters;
    for (size_t i = 0; i < N_ELEMENTS(words); i++)
        if (strlen(words[i].name) == letters && memcmp(words[i].name, text, letters) == 0)
            return &words[i];
    return NULL;
}

static int find_interface(const char *number, size_t len, size_t n, size_t *ret,
                          struct failure *why)
{
    char digits[8];
    unsigned long index = 0;
    if (str_format(digits, sizeof digits, "%.*s", (int)len, len > 0 ? number : "0") < 0 ||
        (len > 0 && str_to_uint(digits, 0, 999, &index) < 0) || index >= n)
        return failure_set(why, -EINVAL, "number %.*s: there are %zu networks, counted from 0",
                           (int)len, number, n);
    *ret = index;
    return 0;
}

/* Writes what stands for the word that begins at the brace. Returns how many characters
 * it took, 0 when it is none of ours, or a negative errno. */
static int expand_word(FILE *out, const char *brace, const struct template_interface *interfaces,
                       size_t n, struct failure *why)
{
    const char *end = strchr(brace, '}'), *number;
    if (!end)
        return 0;
    const struct word *word = find_word(brace + 1, (size_t)(end - brace - 1), &number);
    if (!word)
        return 0;
    size_t index = 0;
    int r = find_interface(number, (size_t)(end - number), n, &index, why);
    if (r == 0)
        r = word->write(out, &interfaces[index], why);
    return r < 0 ? r : (int)(end + 1 - brace);
}

char *template_expand(const char *argument, const struct template_interface *interfaces, size_t n,
                      struct failure *why)
{
    AUTO_FREE char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int r = out ? 0 : -ENOMEM;
    while (out && *argument) {
        r = *argument == '{' ? expand_word(out, argument, interfaces, n, why) : 0;
        if (r < 0)
            break;
        if (r == 0)
            fputc(*argument, out);
        argument += r > 0 ? r : 1;
    }
    if (out && fclose(out) != 0 && r >= 0)
        r = failure_set(why, -ENOMEM, "out of memory");
    return r < 0 ? NULL : take_ptr(&text);
}
