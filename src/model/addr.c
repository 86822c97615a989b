/* SPDX-License-Identifier: Apache-2.0 */
/* addr.c - addresses and their texts.
 *
 * The C library's inet_pton() knows the grammar of addresses; what is ours is the
 * part behind the slash, and the rule that a range's host bits are zero, so that
 * one range has one text.
 */
#include "addr.h"

#include "str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int addr4_parse(const char *text, uint32_t *ret)
{
    struct in_addr in;
    if (inet_pton(AF_INET, text, &in) != 1)
        return -EINVAL;
    *ret = ntohl(in.s_addr);
    return 0;
}

const char *addr4_format(uint32_t addr, char text[static ADDR4_TEXT])
{
    (void)snprintf(text, ADDR4_TEXT, "%u.%u.%u.%u", (addr >> 24) & 0xff, (addr >> 16) & 0xff,
                   (addr >> 8) & 0xff, addr & 0xff);
    return text;
}

/* Splits "ADDRESS/LENGTH". A length of 0 is refused: in our structs it says "none". */
static int split_length(const char *text, char *addr, size_t size, unsigned max, unsigned *ret)
{
    const char *slash = strchr(text, '/');
    unsigned long len;
    if (!slash || (size_t)(slash - text) >= size || slash[1] == '0')
        return -EINVAL;
    if (str_to_uint(slash + 1, 1, max, &len) < 0)
        return -EINVAL;
    memcpy(addr, text, (size_t)(slash - text));
    addr[slash - text] = '\0';
    *ret = (unsigned)len;
    return 0;
}

int subnet4_parse(const char *text, struct subnet4 *ret)
{
    char addr[ADDR4_TEXT];
    struct subnet4 s;
    if (split_length(text, addr, sizeof addr, 32, &s.prefix) < 0 || addr4_parse(addr, &s.base) < 0)
        return -EINVAL;
    if (s.base & ~subnet4_mask(s))
        return -EINVAL;
    *ret = s;
    return 0;
}

const char *subnet4_format(struct subnet4 s, char text[static SUBNET4_TEXT])
{
    char addr[ADDR4_TEXT];
    (void)snprintf(text, SUBNET4_TEXT, "%s/%u", addr4_format(s.base, addr), s.prefix % 100);
    return text;
}

int addr6_parse(const char *text, uint8_t ret[static 16])
{
    struct in6_addr in;
    if (inet_pton(AF_INET6, text, &in) != 1)
        return -EINVAL;
    memcpy(ret, &in, 16);
    return 0;
}

const char *addr6_format(const uint8_t addr[static 16], char text[static ADDR6_TEXT])
{
    if (!inet_ntop(AF_INET6, addr, text, ADDR6_TEXT))
        text[0] = '\0'; /* cannot happen: the array fits every address */
    return text;
}

static bool host_bits_zero(const struct prefix6 *p)
{
    for (unsigned bit = p->len; bit < 128; bit++)
        if (p->addr[bit / 8] & (0x80 >> bit % 8))
            return false;
    return true;
}

int prefix6_parse(const char *text, struct prefix6 *ret)
{
    char addr[ADDR6_TEXT];
    struct prefix6 p;
    if (split_length(text, addr, sizeof addr, 128, &p.len) < 0 || addr6_parse(addr, p.addr) < 0)
        return -EINVAL;
    if (!host_bits_zero(&p))
        return -EINVAL;
    *ret = p;
    return 0;
}

const char *prefix6_format(const struct prefix6 *p, char text[static PREFIX6_TEXT])
{
    char addr[ADDR6_TEXT];
    (void)snprintf(text, PREFIX6_TEXT, "%s/%u", addr6_format(p->addr, addr), p->len % 1000);
    return text;
}

int address_parse(const char *text, struct address *ret)
{
    struct address a = { .version = 4 };
    if (addr4_parse(text, &a.v4) < 0) {
        a.version = 6;
        if (addr6_parse(text, a.v6) < 0)
            return -EINVAL;
    }
    *ret = a;
    return 0;
}

const char *address_format(const struct address *a, char text[static ADDR6_TEXT])
{
    if (a->version == 4)
        return addr4_format(a->v4, text);
    return addr6_format(a->v6, text);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int mac_parse(const char *text, struct mac *ret)
{
    struct mac m;
    for (size_t i = 0; i < sizeof m.b; i++, text += 3) {
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0 || text[2] != (i + 1 < sizeof m.b ? ':' : '\0'))
            return -EINVAL;
        m.b[i] = (uint8_t)(high << 4 | low);
    }
    *ret = m;
    return 0;
}

const char *mac_format(struct mac m, char text[static MAC_TEXT])
{
    (void)snprintf(text, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", m.b[0], m.b[1], m.b[2], m.b[3],
                   m.b[4], m.b[5]);
    return text;
}

bool addr6_is_global(const uint8_t addr[static 16])
{
    return (addr[0] & 0xe0) == 0x20 || (addr[0] & 0xfe) == 0xfc;
}

uint32_t subnet4_mask(struct subnet4 s)
{
    return s.prefix == 0 ? 0 : UINT32_MAX << (32 - s.prefix); /* a shift by 32 is undefined */
}

bool subnet4_contains(struct subnet4 s, uint32_t addr)
{
    return ((addr ^ s.base) & subnet4_mask(s)) == 0;
}

/* Two ranges meet only when the wider one contains the other. */
bool subnet4_overlaps(struct subnet4 a, struct subnet4 b)
{
    return a.prefix <= b.prefix ? subnet4_contains(a, b.base) : subnet4_contains(b, a.base);
}

uint32_t subnet4_gateway(struct subnet4 s)
{
    return s.base + 1;
}

uint32_t subnet4_host(struct subnet4 s)
{
    return (s.base | ~subnet4_mask(s)) - 1; /* the very last is the broadcast address */
}

void prefix6_gateway(const struct prefix6 *p, uint8_t ret[static 16])
{
    memcpy(ret, p->addr, 16);
    ret[15] |= 1;
}

void prefix6_host(const struct prefix6 *p, uint8_t ret[static 16])
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned bits = p->len > i * 8 ? p->len - i * 8 : 0; /* of this byte, the prefix has */

        ret[i] = p->addr[i] | (bits < 8 ? (uint8_t)(0xff >> bits) : 0);
    }
    ret[15] &= 0xfe;
}

bool prefix6_contains(const struct prefix6 *p, const uint8_t addr[static 16])
{
    unsigned whole = p->len / 8, rest = p->len % 8;
    if (memcmp(p->addr, addr, whole) != 0)
        return false;
    return rest == 0 || ((p->addr[whole] ^ addr[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

bool prefix6_overlaps(const struct prefix6 *a, const struct prefix6 *b)
{
    return a->len <= b->len ? prefix6_contains(a, b->addr) : prefix6_contains(b, a->addr);
}

bool address_equal(const struct address *a, const struct address *b)
{
    return a->version == b->version && a->v4 == b->v4 && memcmp(a->v6, b->v6, sizeof a->v6) == 0;
}

bool mac_equal(struct mac a, struct mac b)
{
    return memcmp(a.b, b.b, sizeof a.b) == 0;
}

void mac_link_local(struct mac m, uint8_t ret[static 16])
{
    const uint8_t address[16] = {
        0xfe,   0x80,   0,    0,    0,      0,      0,     0, (uint8_t)(m.b[0] ^ 2),
        m.b[1], m.b[2], 0xff, 0xfe, m.b[3], m.b[4], m.b[5]
    };

    memcpy(ret, address, sizeof address);
}

bool mac_is_unicast(struct mac m)
{
    static const struct mac zero;
    return (m.b[0] & 1) == 0 && !mac_equal(m, zero);
}
