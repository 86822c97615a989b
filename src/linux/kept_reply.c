/* SPDX-License-Identifier: Apache-2.0 */
#include "kept_reply.h"
#include "json_text.h"
#include "mem.h"
#include "varlink_replies.h"

#include <string.h>

DEFINE_AUTO(json_t *, json_decref);

static bool fits(const struct kept_reply *kept, const struct net_handle *handle)
{
    return kept->text && strcmp(kept->uplink, handle->uplink) == 0 &&
           memcmp(&kept->spec, &handle->spec, sizeof kept->spec) == 0;
}

static char *serialize(const struct net_handle *handle)
{
    AUTO(json_decref) json_t *message = json_pack("{s:o}", "parameters", acquire_reply(handle));
    char *text = NULL;
    return message && json_text(message, JSON_COMPACT, &text) == 0 ? text : NULL;
}

const char *kept_reply_get(struct kept_reply *kept, const struct net_handle *handle)
{
    if (fits(kept, handle))
        return kept->text;
    kept_reply_clear(kept);
    kept->uplink = strdup(handle->uplink);
    kept->text = kept->uplink ? serialize(handle) : NULL;
    kept->spec = handle->spec;
    return kept->text;
}

void kept_reply_clear(struct kept_reply *kept)
{
    free(take_ptr(&kept->uplink));
    free(take_ptr(&kept->text));
}
