/* SPDX-License-Identifier: Apache-2.0 */
/* nft.h - one libnftables context, kept, and atomic changes through it.
 *
 * A kept context saves the library's set-up at every change: three elements are
 * added in 0.11 to 0.19 ms, a ruleset in 1.0 to 1.8 ms. What a caller passes is one
 * batch: all of it takes effect or none.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nft;

struct nft *nft_new(void); /* inside the namespace; NULL without memory */
void nft_free(struct nft *nft);

/* Runs a batch. Returns 0 or -EIO; then nft_error() has the library's words. */
__attribute__((format(printf, 2, 3))) int nft_run(struct nft *nft, const char *fmt, ...);
const char *nft_error(const struct nft *nft);

/* From here on nothing is done but gathered, and nft_let_go() does it all at once: a netd
 * that dies in between leaves the rules as they were. Returns 0 or a negative errno, as
 * nft_run() then does for all. */
int nft_gather(struct nft *nft);
int nft_let_go(struct nft *nft);
/* Would the kernel take this? Done at once, even while gathering: it must undo itself. */
bool nft_accepts(struct nft *nft, const char *batch);

/* The same with JSON output of a listing (malloc'd; the caller frees). */
int nft_list(struct nft *nft, const char *command, char **ret_json);
/* each() with every element of a set ("bridge vmnet drops"), as the library writes it: a key, or
 * {"elem": {"val": the key, "counter": ...}}. */
int nft_each_element(struct nft *nft, const char *set,
                     void (*each)(void *arg, const json_t *element), void *arg);
/* As text, without what changes by itself: two can be compared. */
int nft_describe(struct nft *nft, const char *command, char **ret_text);

/* An element of a set or verdict map, for the one change that a user waits for. */
struct nft_element {
    const char *set;
    uint8_t key[32]; /* as the kernel has it: a name is 16 bytes, fields are padded to 4 */
    size_t len;
    const char *go_to; /* a map's verdict: the chain; NULL: a plain element */
    char text[64];     /* the key as nft writes it, for when changes are gathered */
};

/* All of them or none, added or deleted, in sets of one bridge table. nft_run() reads
 * every table before it sends two lines: 0.26 ms, of the 0.4 that making a whole TAP
 * takes. This takes 0.02. Returns 0 or a negative errno. */
int nft_change_elements(struct nft *nft, bool add, const char *table,
                        const struct nft_element *elements, size_t n);
