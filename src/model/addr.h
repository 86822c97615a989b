/* SPDX-License-Identifier: Apache-2.0 */
/* addr.h - addresses as plain values, and their texts.
 *
 * IPv4 is kept in host byte order, so that arithmetic reads as arithmetic;
 * it becomes network order only where it enters a system call or the wire.
 * All parse functions return 0 or -EINVAL and leave their result alone on
 * error; all format functions write into the caller's array and return it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct subnet4 {
    uint32_t base;   /* first address of the range, host order; e.g. 192.168.64.0 */
    unsigned prefix; /* 0 in a struct that is all zero means: none chosen */
};

struct prefix6 {
    uint8_t addr[16]; /* network order, host bits zero */
    unsigned len;     /* 0: none */
};

/* Of either family. */
struct address {
    unsigned version; /* 4 or 6; 0: none */
    uint32_t v4;      /* host order; 0 in one of version 6 */
    uint8_t v6[16];   /* network order; zero in one of version 4 */
};

struct mac {
    uint8_t b[6];
};

#define ADDR4_TEXT   16 /* "255.255.255.255" */
#define SUBNET4_TEXT 19
#define ADDR6_TEXT   46
#define PREFIX6_TEXT 50
#define MAC_TEXT     18

int addr4_parse(const char *text, uint32_t *ret);
const char *addr4_format(uint32_t addr, char text[static ADDR4_TEXT]);
int subnet4_parse(const char *text, struct subnet4 *ret); /* "192.168.64.0/24", host bits zero */
const char *subnet4_format(struct subnet4 s, char text[static SUBNET4_TEXT]);
int addr6_parse(const char *text, uint8_t ret[static 16]);
const char *addr6_format(const uint8_t addr[static 16], char text[static ADDR6_TEXT]);
int prefix6_parse(const char *text, struct prefix6 *ret);
const char *prefix6_format(const struct prefix6 *p, char text[static PREFIX6_TEXT]);
int address_parse(const char *text, struct address *ret); /* no port, zone or brackets */
const char *address_format(const struct address *a, char text[static ADDR6_TEXT]);
int mac_parse(const char *text, struct mac *ret); /* "52:54:00:12:34:56", any case */
const char *mac_format(struct mac m, char text[static MAC_TEXT]);

/* Whether routers forward it: of 2000::/3, or unique local (fc00::/7), and so nobody's own
 * loopback, link, group or mapped IPv4. */
bool addr6_is_global(const uint8_t addr[static 16]);

/* 0xffffff00 for 24. prefix 0 gives 0. */
uint32_t subnet4_mask(struct subnet4 s);
bool subnet4_contains(struct subnet4 s, uint32_t addr);
bool subnet4_overlaps(struct subnet4 a, struct subnet4 b);
/* The gateway is the first usable address, the host (where it is on the network)
 * the last usable one; VMs get what lies between. */
uint32_t subnet4_gateway(struct subnet4 s);
uint32_t subnet4_host(struct subnet4 s);

/* prefix::1, the router's address. */
void prefix6_gateway(const struct prefix6 *p, uint8_t ret[static 16]);
/* The last but one, as in IPv4; the very last is reserved (RFC 2526). */
void prefix6_host(const struct prefix6 *p, uint8_t ret[static 16]);
bool prefix6_contains(const struct prefix6 *p, const uint8_t addr[static 16]);
bool prefix6_overlaps(const struct prefix6 *a, const struct prefix6 *b);

bool address_equal(const struct address *a, const struct address *b);

bool mac_equal(struct mac a, struct mac b);
/* fe80::/64 and the modified EUI-64 of it, as the kernel gives it to a link. */
void mac_link_local(struct mac m, uint8_t ret[static 16]);
/* Usable as a VM's address: unicast and not zero. */
bool mac_is_unicast(struct mac m);
