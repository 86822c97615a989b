/* SPDX-License-Identifier: Apache-2.0 */
/* router_denied.c - what guests were denied because they had used up their share of what all share
 * (router_rules.c): for `status`, for a guest that is limited finds only that something does not
 * answer.
 */
#include "router.h"

struct listener {
    void (*each)(void *arg, const char *bridge, const struct mac *mac, uint64_t packets);
    void *arg;
};

/* {"elem": {"val": {"concat": ["vb0", "52:54:00:00:00:01"]}, "counter": {"packets": 1, ...}, ...}}
 */
static void report(void *arg, const json_t *item)
{
    const struct listener *to = arg;
    const json_t *elem = json_object_get(item, "elem");
    const json_t *guest = json_object_get(json_object_get(elem, "val"), "concat");
    const json_t *packets = json_object_get(json_object_get(elem, "counter"), "packets");
    const char *bridge = json_string_value(json_array_get(guest, 0));
    const char *text = json_string_value(json_array_get(guest, 1));
    struct mac mac;

    if (bridge && text && mac_parse(text, &mac) == 0 && json_integer_value(packets) > 0)
        to->each(to->arg, bridge, &mac, (uint64_t)json_integer_value(packets));
}

int router_denied(struct nft *nft, enum router_denied what,
                  void (*each)(void *arg, const char *bridge, const struct mac *mac,
                               uint64_t packets),
                  void *arg)
{
    static const char *const sets[] = {
        [DENIED_QUESTIONS] = "inet vmnet denied_questions",
        [DENIED_FLOWS] = "inet vmnet denied_flows",
    };
    struct listener to = { each, arg };

    return nft_each_element(nft, sets[what], report, &to);
}
