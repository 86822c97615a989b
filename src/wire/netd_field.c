/* SPDX-License-Identifier: Apache-2.0 */
/* netd_field.c - see netd_field.h. */
#include "netd_field.h"

#include "netd_msg.h"

#include <string.h>

bool netd_is_nothing(const void *bytes, size_t size)
{
    const char *at = bytes;
    for (size_t i = 0; i < size; i++)
        if (at[i] != '\0')
            return false;
    return true;
}

/* NUL-ended, zero behind the NUL, and every byte within [low, '~']. */
static bool is_text(const char *text, size_t size, char low)
{
    size_t len = strnlen(text, size);
    if (len == size)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] < low || text[i] > '~')
            return false;
    for (size_t i = len; i < size; i++)
        if (text[i] != '\0')
            return false;
    return true;
}

static bool is_word(const char *text, size_t size)
{
    return text[0] != '\0' && is_text(text, size, '!');
}

static bool is_tap(const char *text, size_t size)
{
    return is_word(text, size) && interface_name_valid(text);
}

#define DOMAIN_MAX 253 /* RFC 1035, without the last dot */

/* Labels as those of name_valid(), with dots between them. */
static bool is_domain(const char *text, size_t size)
{
    char label[NAME_SIZE];

    if (!is_word(text, size) || strlen(text) > DOMAIN_MAX)
        return false;
    for (const char *at = text, *end;; at = end + 1) {
        size_t len = (size_t)((end = strchrnul(at, '.')) - at);
        if (len >= sizeof label)
            return false;
        memcpy(label, at, len);
        label[len] = '\0';
        if (!name_valid(label) || *end == '\0')
            return name_valid(label);
    }
}

bool netd_is_unicast4(uint32_t addr)
{
    uint32_t first = addr >> 24;
    return addr == 0 || (first >= 1 && first <= 223 && first != 127);
}

static bool netd_field_ok(const struct field *field, const char *body)
{
    const char *at = body + field->offset;
    uint32_t number = 0;
    struct mac mac = { { 0 } };

    if (field->size == sizeof number)
        memcpy(&number, at, sizeof number);
    if (field->size == sizeof mac)
        memcpy(&mac, at, sizeof mac);
    switch (field->kind) {
    case NAME:
        return is_word(at, field->size) && name_valid(at);
    case NAME_OR_NO:
        return is_text(at, field->size, '!') && (at[0] == '\0' || name_valid(at));
    case WORD:
        return is_word(at, field->size);
    case WORD_OR_NO:
        return is_text(at, field->size, '!');
    case TEXT:
        return is_text(at, field->size, ' ');
    case TAP:
        return is_tap(at, field->size);
    case TAP_OR_NO:
        return is_tap(at, field->size) || netd_is_nothing(at, field->size);
    case DOMAIN_OR_NO:
        return is_domain(at, field->size) || netd_is_nothing(at, field->size);
    case MAC:
        return mac_is_unicast(mac);
    case UNICAST4:
        return netd_is_unicast4(number);
    case RANGE:
        return number >= field->min && number <= field->max;
    case FLAG:
        return at[0] == 0 || at[0] == 1;
    }
    return false;
}

bool netd_fields_ok(const struct field *fields, size_t n, const void *body)
{
    for (size_t i = 0; i < n; i++)
        if (!netd_field_ok(&fields[i], body))
            return false;
    return true;
}
