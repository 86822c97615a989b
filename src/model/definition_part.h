/* SPDX-License-Identifier: Apache-2.0 */
/* definition_part.h - what the parts of reading a definition share; for definition_*.c only.
 *
 *   definition_parse.c   from JSON to the keys, and the table of them
 *   definition_values.c  values that stand alone
 *   definition_lists.c   reservations, forwards, allow
 *   definition_reader.c  places, types, members
 *   definition_check.c   values that do not go together
 */
#pragma once
#include "definition.h"

#include <jansson.h>

struct reader {
    const char *text, *end;
    struct definition *definition; /* being made */
    struct complaints *out;
    bool no_memory;
    bool subnet_bad, prefix_bad; /* complained of: what depends on them is not judged */
};

/* What an object's members may be called. */
struct vocabulary {
    const char *const *keys;
    size_t n;
};

#define MEMBERS_MAX 32

/* The members of an object in the order of its vocabulary. */
struct members {
    const json_t *values[MEMBERS_MAX]; /* NULL: not there, or complained of */
    const char *at[MEMBERS_MAX];       /* in the text; NULL: not there */
    bool misspelt[MEMBERS_MAX];        /* probably meant by a key that there is not */
};

/* Complains of unknown and repeated keys. */
void read_members(struct reader *r, const json_t *object, const char *at,
                  const struct vocabulary *vocabulary, struct members *ret);

/* Complains about the value at this place of the text; reader_remedy() follows. */
__attribute__((format(printf, 3, 4))) void reader_wrong(struct reader *r, const char *at,
                                                        const char *what, ...);
#define reader_remedy(r, ...) complaints_remedy((r)->out, __VA_ARGS__)

/* Whether a value has the type that its key wants; complains when not. example: the whole
 * member, as it could be. */
bool reader_type(struct reader *r, const char *key, const json_t *value, const char *at,
                 json_type wanted, const char *example);
/* The same for an element of a list. */
bool reader_element_type(struct reader *r, const char *key, const json_t *value, const char *at,
                         json_type wanted, const char *example);
/* A whole number in a range; complains when not. */
bool reader_number(struct reader *r, const char *key, const json_t *value, const char *at,
                   unsigned min, unsigned max, const char *example, unsigned *ret);

/* Complains when the address is none that a VM of the network could have. */
bool reader_vm_address(struct reader *r, const char *at, const struct address *address);

/* Each takes the value of one key, of the right type. */
void read_description(struct reader *r, const json_t *value, const char *at);
void read_interface(struct reader *r, const json_t *value, const char *at);
void read_domain(struct reader *r, const json_t *value, const char *at);
void read_mtu(struct reader *r, const json_t *value, const char *at);
void read_idle_timeout(struct reader *r, const json_t *value, const char *at);
void read_dns_servers(struct reader *r, const json_t *value, const char *at);
void read_uplink(struct reader *r, const json_t *value, const char *at);
void read_anti_spoofing(struct reader *r, const json_t *value, const char *at);
/* subnet and mask, ipv6_prefix and its length */
void read_subnet(struct reader *r, const struct members *m);
void read_prefix(struct reader *r, const struct members *m);
void read_reservations(struct reader *r, const json_t *list, const char *at);
void read_forwards(struct reader *r, const json_t *list, const char *at);
void read_allow(struct reader *r, const json_t *object, const char *at);

/* at: the places of the values of the keys that are given. */
void check_contradictions(struct reader *r, const char *const at[DEFINITION_KEYS]);
