/* SPDX-License-Identifier: Apache-2.0 */
#include "netspec.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <string.h>

#define QUEUES_MAX 16

static int set_queues(struct netspec *spec, const char *value, struct failure *why)
{
    unsigned long n;
    if (str_to_uint(value, 1, QUEUES_MAX, &n) < 0)
        return failure_set(why, -EINVAL, "queues=%s: 1 to %d are possible", value, QUEUES_MAX);
    spec->options.queues = (unsigned)n;
    return 0;
}

static int set_text(const char **field, const char *key, const char *value, struct failure *why)
{
    if (!value[0])
        return failure_set(why, -EINVAL, "%s= has no value", key);
    *field = value;
    return 0;
}

/* value NULL: the key stood alone. */
static int set_option(struct netspec *spec, const char *key, const char *value, struct failure *why)
{
    vmnet_broker_interface_options *o = &spec->options;
    const struct {
        const char *key, **field;
    } texts[] = { { "name", &o->name }, { "mac", &o->mac_address }, { "id", &o->interface_id } };

    if (strcmp(key, "isolated") == 0 && !value) {
        o->isolated = 1;
        return 0;
    }
    if (strcmp(key, "queues") == 0 && value)
        return set_queues(spec, value, why);
    for (size_t i = 0; i < N_ELEMENTS(texts); i++)
        if (strcmp(key, texts[i].key) == 0 && value)
            return set_text(texts[i].field, key, value, why);
    return failure_set(why, -EINVAL,
                       "'%s' is not understood; name=, mac=, id=, queues= and isolated are", key);
}

int netspec_parse(const char *text, struct netspec *ret, struct failure *why)
{
    *ret = (struct netspec){ .options = VMNET_BROKER_INTERFACE_OPTIONS_INIT };
    ret->text = strdup(text);
    if (!ret->text)
        return failure_set(why, -ENOMEM, "out of memory");
    char *rest = ret->text;
    ret->network = strsep(&rest, ",");
    if (!ret->network[0])
        return failure_set(why, -EINVAL, "'%s' does not begin with a network's name", text);
    for (char *key; (key = strsep(&rest, ","));) {
        char *value = strchr(key, '=');
        if (value)
            *value++ = '\0';
        int r = set_option(ret, key, value, why);
        if (r < 0)
            return r;
    }
    return 0;
}

void netspec_free(struct netspec *spec)
{
    free(spec->text);
    *spec = (struct netspec){ 0 };
}
