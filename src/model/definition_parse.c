/* SPDX-License-Identifier: Apache-2.0 */
/* definition_parse.c - from a file's text to a definition, or to all that is wrong with it.
 *
 * jansson reads the text; json_walk.h tells where each value stands in it. Values are judged
 * in the order of what depends on what, not of the text (the mode decides defaults, the
 * subnet decides which addresses are possible), and complaints are sorted afterwards. After a
 * mistake we go on, but do not judge what depends on the mistaken value: one slip of the
 * finger should give one complaint.
 */
#include "definition_part.h"

#include "json_walk.h"
#include "mem.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

DEFINE_AUTO(json_t *, json_decref);
DEFINE_AUTO(struct definition *, definition_unref);

/* ---- the table of keys ---- */

/* Those without read() are booleans at an offset, or read elsewhere (wanted 0). */
static const struct rule {
    json_type wanted;
    const char *example;
    size_t flag; /* JSON_TRUE: offset of the bool in struct net_def */
    void (*read)(struct reader *r, const json_t *value, const char *at);
} rules[DEFINITION_KEYS] = {
#define FLAG(member) JSON_TRUE, "true", offsetof(struct net_def, member), NULL
    [KEY_DESCRIPTION] = { JSON_STRING, "\"a test network\"", 0, read_description },
    [KEY_MODE] = { JSON_STRING, "\"shared\"", 0, NULL },
    [KEY_SUBNET] = { JSON_STRING, "\"192.168.42.1\"", 0, NULL },
    [KEY_MASK] = { JSON_STRING, "\"255.255.255.0\"", 0, NULL },
    [KEY_IPV6_PREFIX] = { JSON_STRING, "\"fd00:42::\"", 0, NULL },
    [KEY_IPV6_PREFIX_LENGTH] = { JSON_INTEGER, "64", 0, NULL },
    [KEY_EXTERNAL_INTERFACE] = { JSON_STRING, "\"eth0\"", 0, read_interface },
    [KEY_NAT44] = { FLAG(nat44) },
    [KEY_NAT66] = { FLAG(nat66) },
    [KEY_DHCP] = { FLAG(dhcp) },
    [KEY_DNS_PROXY] = { FLAG(dns_proxy) },
    [KEY_DNS_SERVERS] = { JSON_ARRAY, "[ \"192.168.1.1\" ]", 0, read_dns_servers },
    [KEY_DOMAIN] = { JSON_STRING, "\"lab.example\"", 0, read_domain },
    [KEY_ROUTER_ADVERTISEMENT] = { FLAG(router_advertisement) },
    [KEY_MTU] = { JSON_INTEGER, "1500", 0, read_mtu },
    [KEY_DHCP_RESERVATIONS] = { JSON_ARRAY, "[ { \"mac\": ... } ]", 0, read_reservations },
    [KEY_PORT_FORWARDING] = { JSON_ARRAY, "[ { \"protocol\": ... } ]", 0, read_forwards },
    [KEY_ALLOW] = { JSON_OBJECT, "{ \"groups\": [ \"vmnet\" ] }", 0, read_allow },
    [KEY_UPLINK] = { JSON_STRING, "\"auto\"", 0, read_uplink },
    [KEY_ANTI_SPOOFING] = { JSON_STRING, "\"strict\"", 0, read_anti_spoofing },
    [KEY_ISOLATION] = { FLAG(isolation) },
    [KEY_IDLE_TIMEOUT] = { JSON_INTEGER, "120", 0, read_idle_timeout },
    [KEY_PERSISTENT] = { FLAG(persistent) },
#undef FLAG
};

/* ---- the whole ---- */

/* Values of a wrong type are complained of and dropped; their places stay. */
static void check_types(struct reader *r, struct members *m)
{
    for (unsigned key = 0; key < DEFINITION_KEYS; key++)
        if (m->values[key] && !reader_type(r, definition_key_name(key), m->values[key], m->at[key],
                                           rules[key].wanted, rules[key].example))
            m->values[key] = NULL;
}

/* A file may say how `host` is to be, but not that it has a way out: programs ask for it by
 * name, and rely on what the name says. */
static void check_built_in(struct reader *r, const struct members *m, const char *name,
                           enum net_mode mode)
{
    struct net_def built_in;
    if (!m->values[KEY_MODE] || net_def_find(name, &built_in) < 0 || built_in.mode == mode)
        return;
    reader_wrong(r, m->at[KEY_MODE], "the network '%s' cannot be of mode \"%s\"", name,
                 net_mode_name(mode));
    reader_remedy(r, "write \"%s\", or give the file another name", net_mode_name(built_in.mode));
}

static void read_mode(struct reader *r, const struct members *m, const char *name)
{
    enum net_mode mode = NET_MODE_SHARED; /* to judge the rest by, when there is none */
    const json_t *value = m->values[KEY_MODE];
    const char *text = value ? json_string_value(value) : "";

    if (!m->at[KEY_MODE] && !m->misspelt[KEY_MODE]) {
        complaints_add(r->out, (struct position){ 0 }, "\"mode\" is missing");
        reader_remedy(r, "write \"mode\": \"shared\", or \"host\" for a network without a way out");
    } else if (value && net_mode_parse(text, &mode) < 0) {
        reader_wrong(r, m->at[KEY_MODE], "\"mode\" cannot be \"%s\"%s", EXCERPT(text),
                     strcmp(text, "bridged") == 0
                         ? ": a VM on the host's own LAN is not what this broker lends"
                         : "");
        reader_remedy(r, "write \"shared\" or \"host\"");
    }
    check_built_in(r, m, name, mode);
    net_def_default(name, mode, &r->definition->net);
}

static void read_values(struct reader *r, const struct members *m)
{
    for (unsigned key = 0; key < DEFINITION_KEYS; key++) {
        const struct rule *rule = &rules[key];
        if (m->at[key]) {
            r->definition->given |= 1u << key;
            r->definition->key_at[key] = json_walk_position(r->text, m->at[key]);
        }
        if (m->values[key] && rule->wanted == JSON_TRUE)
            *(bool *)((char *)&r->definition->net + rule->flag) = json_is_true(m->values[key]);
        else if (m->values[key] && rule->read)
            rule->read(r, m->values[key], m->at[key]);
    }
}

static void read_root(struct reader *r, const json_t *root, const char *name)
{
    const char *names[DEFINITION_KEYS];
    const struct vocabulary vocabulary = { names, DEFINITION_KEYS };
    struct members m;

    for (unsigned key = 0; key < DEFINITION_KEYS; key++)
        names[key] = definition_key_name(key);
    read_members(r, root, json_walk_root(r->text, r->end), &vocabulary, &m);
    check_types(r, &m);
    read_mode(r, &m, name);
    read_subnet(r, &m);
    read_prefix(r, &m);
    read_values(r, &m);
    check_contradictions(r, m.at);
}

/* What jansson says of the usual slips, and what helps. */
static const struct slip {
    const char *said, *remedy;
} slips[] = {
    { "string or '}' expected near '}'", "remove the comma in front of it" },
    { "unexpected token near ']'", "remove the comma in front of it" },
    { "'}' expected near '\"", "write a comma in front of it" },
    { "']' expected near '\"", "write a comma in front of it" },
    { "'[' or '{' expected near end of file", "write { \"mode\": \"shared\" }" },
    { "near '/'", "JSON has no comments: write it as \"description\"" },
    { "near '#'", "JSON has no comments: write it as \"description\"" },
    { "near '''", "write double quotes" },
    { "near 'True'", "write true and false with small letters" },
    { "near 'False'", "write true and false with small letters" },
    { "invalid token near", "write strings in double quotes" },
    { "too big", "write a smaller number" },
    { "premature end of input", "write the closing quote" },
    { "end of file expected", "remove what follows the definition" },
    { "unexpected newline", "write the closing quote" },
    { "control character", "write it as \\n, \\t or \\u001b" },
    { "unable to decode byte", "save the file as UTF-8" },
    { "near end of file", "write the closing brackets" },
    { "", "look for a comma, quote or bracket too many or too few" },
};

/* jansson's column is that of the last character of what it names. */
static struct position syntax_position(const json_error_t *error)
{
    const char *near = strstr(error->text, "near '");
    struct position at = { (unsigned)error->line, (unsigned)error->column };
    if (near) {
        const char *token = near + strlen("near '");
        struct position behind = json_walk_position(token, strrchr(token, '\''));
        at.column -= behind.column - 2 < at.column ? behind.column - 2 : 0;
    }
    at.column += at.column == 0;
    return at;
}

static void complain_syntax(struct reader *r, const json_error_t *error)
{
    size_t i = 0;
    while (!strstr(error->text, slips[i].said))
        i++;
    complaints_add(r->out, syntax_position(error), "this is no JSON: %s", error->text);
    reader_remedy(r, "%s", slips[i].remedy);
}

/* Twice: when memory is short for a moment, jansson (2.14) can take that for a slip of the text,
 * or leave a letter out of a long string and say nothing. Two readings of the same text that
 * differ are a lack of memory. tests/fault found it. */
static json_t *load(struct reader *r)
{
    json_error_t error;
    size_t len = (size_t)(r->end - r->text);
    AUTO(json_decref) json_t *first = json_loadb(r->text, len, 0, &error);
    AUTO(json_decref) json_t *root = json_loadb(r->text, len, 0, &error);

    if ((first || root) && !json_equal(first, root)) {
        r->no_memory = true;
        return NULL;
    }
    if (!root) {
        complain_syntax(r, &error);
    } else if (!json_is_object(root)) {
        reader_wrong(r, json_walk_root(r->text, r->end), "a definition must be an object");
        reader_remedy(r, "write { \"mode\": \"shared\" }");
    }
    return take_ptr(&root);
}

typedef void (*root_reader)(struct reader *r, const json_t *root, const char *name);

static int parse(root_reader read, const char *name, const char *file, const char *text, size_t len,
                 struct definition **ret, struct complaints *out)
{
    AUTO(definition_unref) struct definition *definition = calloc(1, sizeof *definition);
    struct reader r = { text, text + len, definition, out };
    size_t before = out->n;

    if (!definition)
        return -ENOMEM;
    definition->references = 1;
    definition->file = strdup(file);
    AUTO(json_decref) json_t *root = load(&r);
    if (json_is_object(root))
        read(&r, root, name);
    if (r.no_memory || !definition->file)
        return -ENOMEM;
    complaints_sort(out);
    if (out->n > before)
        return -EBADMSG;
    *ret = take_ptr(&definition);
    return 0;
}

int definition_parse(const char *name, const char *file, const char *text, size_t len,
                     struct definition **ret, struct complaints *out)
{
    return parse(read_root, name, file, text, len, ret, out);
}

/* ---- the general policy ---- */

static void read_policy(struct reader *r, const json_t *root, const char *name)
{
    static const char *const keys[] = { "allow" };
    static const struct vocabulary vocabulary = { keys, N_ELEMENTS(keys) };
    struct members m;

    (void)name;
    read_members(r, root, json_walk_root(r->text, r->end), &vocabulary, &m);
    if (!m.at[0] && !m.misspelt[0]) {
        complaints_add(r->out, (struct position){ 0 }, "\"allow\" is missing");
        reader_remedy(r, "write \"allow\": %s", rules[KEY_ALLOW].example);
    } else if (m.values[0] && reader_type(r, keys[0], m.values[0], m.at[0], JSON_OBJECT,
                                          rules[KEY_ALLOW].example)) {
        read_allow(r, m.values[0], m.at[0]);
    }
}

int policy_parse(const char *name, const char *file, const char *text, size_t len,
                 struct definition **ret, struct complaints *out)
{
    return parse(read_policy, name, file, text, len, ret, out);
}
