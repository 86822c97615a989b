/* SPDX-License-Identifier: Apache-2.0 */
/* nft_text.h - a transaction for nftables as it grows. The first error sticks, so that callers
 * check once.
 */
#pragma once
#include "nft.h"

#include <stddef.h>

/* The longest is the router's table, with what every uplink has of its own: 10 kB. */
#define NFT_TEXT_SIZE 16384u

struct nft_text { /* begins as { .len = 0 } */
    char at[NFT_TEXT_SIZE];
    size_t len;
    int err; /* -ENAMETOOLONG: it does not fit */
};

__attribute__((format(printf, 2, 3))) void nft_text_add(struct nft_text *text, const char *fmt,
                                                        ...);
/* As nft_run(), unless there was an error. */
int nft_text_run(const struct nft_text *text, struct nft *nft);
