/* SPDX-License-Identifier: Apache-2.0 */
/* asked.h - tells when guests next ask a network's dnsmasq for something.
 *
 * Whether a dnsmasq hangs matters to nobody as long as nobody asks it, so nobody need find out
 * before (pulse.h).
 */
#pragma once
#include "nft.h"

#include <stdint.h>
#include <systemd/sd-event.h>

struct asked;

/* Inside the namespace; its rules come with what nft has gathered. A negative errno also where the
 * kernel cannot do it (nft_quota); then there is no other effect. */
int asked_new(sd_event *event, struct nft *nft, struct asked **ret);
void asked_free(struct asked *asked); /* NULL is fine */

/* With a network's other rules. 0 or a negative errno, with nft_error()'s words. */
int asked_add_network(struct nft *nft, uint32_t index, const char *bridge);
int asked_remove_network(struct nft *nft, uint32_t index, const char *bridge);

/* told() follows once, from the loop: when a guest asks, or when that cannot be heard. Takes the
 * place of what this network waited for before. */
void asked_wait(struct asked *asked, uint32_t index, void (*told)(void *arg), void *arg);
void asked_forget(struct asked *asked, uint32_t index);
