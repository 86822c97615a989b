/* SPDX-License-Identifier: Apache-2.0 */
/* net_def.c - the networks that need no definition file, and the rule of names.
 *
 * Portable C: the same two networks are built in on macOS.
 */
#include "net_def.h"

#include "str.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define N(a) (sizeof(a) / sizeof *(a))

const char *const anti_spoofing_words[] = {
    [SPOOF_STRICT] = "strict", [SPOOF_MAC] = "mac", [SPOOF_OFF] = "off"
};
const char *const uplink_words[] = {
    [UPLINK_AUTO] = "auto", [UPLINK_USER] = "user", [UPLINK_KERNEL] = "kernel"
};

static const char *const mode_names[] = {
    [NET_MODE_SHARED] = "shared",
    [NET_MODE_HOST] = "host",
};

/* `host` and `gateway` are addresses of the network itself; browsers trust whoever
 * is called `wpad` with their proxy settings; `localhost` is the VM itself. */
static const char *const reserved[] = { "host", "gateway", "wpad", "localhost" };

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool name_valid(const char *name)
{
    size_t len = 0;
    for (; name[len] != '\0'; len++)
        if (len >= NAME_SIZE - 1 || !name_char(name[len]))
            return false;
    return len > 0 && name[0] != '-' && name[len - 1] != '-';
}

bool vm_name_reserved(const char *name)
{
    for (size_t i = 0; i < N(reserved); i++)
        if (strcmp(name, reserved[i]) == 0)
            return true;
    return false;
}

bool interface_name_valid(const char *name)
{
    size_t len = 0;
    for (; name[len] != '\0'; len++)
        if (len >= INTERFACE_NAME_SIZE - 1 || name[len] <= ' ' || name[len] > '~' ||
            strchr("/:%", name[len]))
            return false;
    return len > 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

bool dns_server_possible(const struct address *server, bool dns_proxy)
{
    static const uint8_t none[16], loopback[16] = { [15] = 1 };
    const uint8_t *v6 = server->v6;

    if (server->version == 4) {
        uint32_t first = server->v4 >> 24;
        return first >= 1 && first <= 223 && (first != 127 || dns_proxy);
    }
    bool link_local = v6[0] == 0xfe && (v6[1] & 0xc0) == 0x80;
    bool host = memcmp(v6, loopback, sizeof loopback) == 0;
    return v6[0] != 0xff && !link_local && (!host || dns_proxy) && memcmp(v6, none, 16) != 0;
}

const char *net_mode_name(enum net_mode mode)
{
    return (size_t)mode < N(mode_names) ? mode_names[mode] : "?";
}

int net_mode_parse(const char *text, enum net_mode *ret)
{
    for (size_t i = 0; i < N(mode_names); i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            *ret = (enum net_mode)i;
            return 0;
        }
    }
    return -EINVAL;
}

void net_def_default(const char *name, enum net_mode mode, struct net_def *ret)
{
    bool way_out = mode == NET_MODE_SHARED;

    *ret = (struct net_def){
        .mode = mode,
        .anti_spoofing = SPOOF_STRICT,
        .uplink = UPLINK_AUTO,
        .mtu = MTU_DEFAULT,
        .nat44 = way_out,
        .nat66 = way_out,
        .dhcp = true,
        .dns_proxy = way_out, /* mode host: not even names from outside */
        .router_advertisement = true,
        .idle_timeout_sec = UINT32_MAX,
    };
    (void)str_copy(ret->name, sizeof ret->name, name);
    (void)str_format(ret->domain, sizeof ret->domain, "%s." DNS_SUFFIX, ret->name);
}

/* The built-in networks are called as their modes. */
int net_def_find(const char *name, struct net_def *ret)
{
    enum net_mode mode;

    if (!name_valid(name))
        return -EINVAL;
    if (net_mode_parse(name, &mode) < 0)
        return -ENOENT;
    net_def_default(name, mode, ret);
    return 0;
}
