/* SPDX-License-Identifier: Apache-2.0 */
/* router_denied.c - what guests were denied because they had used up their share of what all share
 * (router.c): for `status`, for a guest that is limited finds only that something does not answer.
 */
#include "mem.h"
#include "router.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

DEFINE_AUTO(json_t *, json_decref);

/* {"elem": {"val": {"concat": ["vb0", "52:54:00:00:00:01"]}, "counter": {"packets": 1, ...}, ...}}
 */
static void report(const json_t *item,
                   void (*each)(void *, const char *, const struct mac *, uint64_t), void *arg)
{
    const json_t *elem = json_object_get(item, "elem");
    const json_t *guest = json_object_get(json_object_get(elem, "val"), "concat");
    const json_t *packets = json_object_get(json_object_get(elem, "counter"), "packets");
    const char *bridge = json_string_value(json_array_get(guest, 0));
    const char *text = json_string_value(json_array_get(guest, 1));
    struct mac mac;

    if (bridge && text && mac_parse(text, &mac) == 0 && json_integer_value(packets) > 0)
        each(arg, bridge, &mac, (uint64_t)json_integer_value(packets));
}

int router_denied(struct nft *nft, enum router_denied what,
                  void (*each)(void *arg, const char *bridge, const struct mac *mac,
                               uint64_t packets),
                  void *arg)
{
    static const char *const lists[] = {
        [DENIED_QUESTIONS] = "list set inet vmnet denied_questions",
        [DENIED_FLOWS] = "list set inet vmnet denied_flows",
    };
    AUTO(json_decref) json_t *root = NULL;
    AUTO_FREE char *text = NULL;
    json_t *item, *element;
    size_t i, k;
    int r = nft_list(nft, lists[what], &text);

    if (r < 0)
        return r;
    root = json_loads(text, 0, NULL);
    if (!root)
        return -EBADMSG;
    json_array_foreach (json_object_get(root, "nftables"), i, item)
        json_array_foreach (json_object_get(json_object_get(item, "set"), "elem"), k, element)
            report(element, each, arg);
    return 0;
}
