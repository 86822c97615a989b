/* SPDX-License-Identifier: Apache-2.0 */
/* idl_check.c - JSON against an interface: parameters as they come from a client, who is told
 * what is wrong with them, and our own replies. */
#include "idl_part.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* Whom and what the words of a failure name. */
struct check {
    const struct idl *idl;
    const char *owner; /* "Acquire" or a type's name */
    const char *noun;  /* "parameter" or "field" */
    struct failure *failure;
    const char *parameter; /* the outermost name that is wrong */
};

static const char *json_type_words(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an int";
    case JSON_REAL:
        return "a float";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a bool";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static int check_fields(struct check *check, const struct field_list *fields, const json_t *object);

static int mistyped(const struct check *check, const char *name, const char *wanted,
                    const json_t *value)
{
    return failure_set(check->failure, -EINVAL, "%s '%s' of %s must be %s, not %s", check->noun,
                       name, check->owner, wanted, json_type_words(value));
}

static int check_struct(struct check *check, const char *owner, const struct field_list *fields,
                        const json_t *value)
{
    struct check inner = *check;
    inner.owner = owner;
    inner.noun = "field";
    return check_fields(&inner, fields, value);
}

static int check_value(struct check *check, const char *name, const struct type *type,
                       const json_t *value);

static int check_elements(struct check *check, const char *name, const struct type *type,
                          const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        int r = check_value(check, name, type, json_array_get(array, i));
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_string(const struct check *check, const char *name, const json_t *value)
{
    if (strlen(json_string_value(value)) == json_string_length(value))
        return 0;
    return failure_set(check->failure, -EINVAL, "%s '%s' of %s contains a NUL character",
                       check->noun, name, check->owner);
}

static int check_value(struct check *check, const char *name, const struct type *type,
                       const json_t *value)
{
    switch (type->kind) {
    case T_BOOL:
        return json_is_boolean(value) ? 0 : mistyped(check, name, "a bool", value);
    case T_INT:
        return json_is_integer(value) ? 0 : mistyped(check, name, "an int", value);
    case T_FLOAT:
        return json_is_number(value) ? 0 : mistyped(check, name, "a float", value);
    case T_STRING:
        return json_is_string(value) ? check_string(check, name, value)
                                     : mistyped(check, name, "a string", value);
    case T_OBJECT:
        return json_is_object(value) ? 0 : mistyped(check, name, "an object", value);
    case T_ARRAY:
        return json_is_array(value) ? check_elements(check, name, type->element, value)
                                    : mistyped(check, name, "an array", value);
    case T_NAMED:
    case T_STRUCT:
        break;
    }
    if (!json_is_object(value))
        return mistyped(check, name, "an object", value);
    return type->kind == T_STRUCT
               ? check_struct(check, name, &type->fields, value)
               : check_struct(check, type->name, &idl_type(check->idl, type->name)->fields, value);
}

static const struct field *find_field(const struct field_list *fields, const char *name)
{
    const struct field *field;
    STAILQ_FOREACH(field, fields, link)
    if (strcmp(field->name, name) == 0)
        return field;
    return NULL;
}

/* A client's own text, short and plain enough to be quoted to it and to a log. */
static const char *quotable(const char *text, char quoted[static 48])
{
    size_t i = 0;
    for (; text[i] && i < 47; i++)
        quoted[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    quoted[i] = '\0';
    return quoted;
}

static int check_unknown(struct check *check, const struct field_list *fields, const json_t *object)
{
    /* jansson's iterators take what is not const, and change nothing. */
    json_t *members = (json_t *)(uintptr_t)object;
    char quoted[48];
    for (void *i = json_object_iter(members); i; i = json_object_iter_next(members, i)) {
        const char *key = json_object_iter_key(i);
        if (find_field(fields, key))
            continue;
        check->parameter = key;
        return failure_set(check->failure, -EINVAL, "%s has no %s '%s'", check->owner, check->noun,
                           quotable(key, quoted));
    }
    return 0;
}

static int check_fields(struct check *check, const struct field_list *fields, const json_t *object)
{
    const struct field *field;
    STAILQ_FOREACH(field, fields, link)
    {
        const json_t *value = object ? json_object_get(object, field->name) : NULL;
        int r = 0;
        if (value && !(field->type->optional && json_is_null(value)))
            r = check_value(check, field->name, field->type, value);
        else if (!field->type->optional)
            r = failure_set(check->failure, -EINVAL, "%s '%s' of %s is missing", check->noun,
                            field->name, check->owner);
        if (r < 0) {
            check->parameter = field->name;
            return r;
        }
    }
    return object ? check_unknown(check, fields, object) : 0;
}

static int check_params(struct check *check, const struct field_list *fields, const json_t *params)
{
    if (!params || json_is_object(params))
        return check_fields(check, fields, params);
    check->parameter = "parameters";
    return failure_set(check->failure, -EINVAL, "the parameters of %s must be an object, not %s",
                       check->owner, json_type_words(params));
}

int idl_check(const struct idl *idl, const struct idl_method *method, const json_t *params,
              struct failure *failure, const char **parameter)
{
    struct check check = { idl, method->name, "parameter", failure, NULL };
    int r = check_params(&check, &method->in, params);
    if (parameter)
        *parameter = check.parameter;
    return r;
}

int idl_check_reply(const struct idl *idl, const struct idl_method *method, const json_t *params,
                    struct failure *failure)
{
    struct check check = { idl, method->name, "result", failure, NULL };
    return check_params(&check, &method->out, params);
}
