/* SPDX-License-Identifier: Apache-2.0 */
/* An interface description, and behind a NUL a call's parameters for all its methods.
 * The description is our own file, but who adds a type must not find the reader's edges. */
#include "fuzz.h"
#include "idl.h"

#include <errno.h>
#include <string.h>

static void check_all(const struct idl *idl, const json_t *params)
{
    struct failure failure;
    const char *parameter, *name;

    for (size_t i = 0; (name = idl_method_name(idl, i)); i++) {
        const struct idl_method *method = idl_method(idl, name);

        MUST(method);
        parameter = NULL;
        if (idl_check(idl, method, params, &failure, &parameter) < 0) {
            MUST(memchr(failure.why, '\0', sizeof failure.why));
            MUST(!parameter || strlen(parameter) < 1 << 20);
        }
        (void)idl_check_reply(idl, method, params, &failure);
    }
}

FUZZ(data, size)
{
    char *text = malloc(size + 1);
    struct idl *idl = NULL;
    struct failure failure = { 0 };
    int r;

    MUST(text);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    size_t used = strlen(text);
    r = idl_read(text, &idl, &failure);
    MUST(r == 0 || r == -EINVAL);
    if (r == 0) {
        json_t *params = used < size ? json_loadb(text + used + 1, size - used - 1,
                                                  JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL)
                                     : NULL;
        MUST(idl_name(idl)[0]);
        check_all(idl, params);
        json_decref(params);
    }
    idl_free(idl);
    free(text);
}
