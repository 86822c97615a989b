/* SPDX-License-Identifier: Apache-2.0 */
/* surroundings_macos.c - what a definition can collide with on a Mac: networks that exist, as far
 * as a broker can be asked. What the Mac itself uses only vmnet knows, which refuses it when the
 * network is created. */
#include "surroundings.h"

#include "lacks.h"
#include "mem.h"
#include "xpc_call.h"
#include "xpc_json.h"

#include <errno.h>
#include <stdio.h>

/* As JSON, in which the other system has them too; NULL: there are none to be known. */
static json_t *list_networks(xpc_object_t reply)
{
    xpc_object_t result = xpc_get_type(reply) == XPC_TYPE_DICTIONARY
                              ? xpc_dictionary_get_value(reply, "result")
                              : NULL;
    AUTO_FREE char *text = NULL;
    size_t len;
    FILE *out = result ? open_memstream(&text, &len) : NULL;

    if (!out)
        return NULL;
    xpc_json_write(out, result);
    return fclose(out) == 0 ? json_loads(text, 0, NULL) : NULL;
}

/* A definition is often written before there is a broker. */
int surroundings_of_host(const struct ctl *ctl, struct taken_list *routes, json_t *networks)
{
    xpc_object_t reply = xpc_call(xpc_call_open(NULL), "vmnet-broker.list", NULL);
    json_t *list = list_networks(reply);

    (void)ctl, (void)routes;
    (void)json_array_extend(networks, json_object_get(list, "networks"));
    json_decref(list);
    xpc_release(reply);
    return 0;
}

void surroundings_lack(const struct definition *definition, struct complaints *out)
{
    enum definition_key key = 0;
    const struct complaint *lack;

    while ((lack = macos_lacks(definition, key, &key))) {
        complaints_add(out, definition->key_at[key], "%s", lack->what);
        complaints_remedy(out, "%s", lack->remedy);
        key++;
    }
}
