/* SPDX-License-Identifier: Apache-2.0 */
/* test_vmnet_config.c - definitions as vmnet gets them, seen in the reservation's file. */
#include "behaviour.h"
#include "vmnet_config.h"

#include <CoreFoundation/CoreFoundation.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The definition whose text has these members beside the mode. */
static struct definition *define(const char *mode, const char *members)
{
    char text[1024];
    struct complaints complaints = { 0 };
    struct definition *def = NULL;
    (void)snprintf(text, sizeof text, "{ \"mode\": \"%s\"%s%s }", mode, *members ? "," : "",
                   members);
    EXPECT(definition_parse("lab", "lab.json", text, strlen(text), &def, &complaints) == 0);
    return def;
}

/* What vmnet was told, as the simulator wrote it down for the subnet. */
static const char *reservation(const char *mode, const char *members, const char *subnet)
{
    static char line[1024];
    char path[300];
    struct failure failure = { 0 };
    struct definition *def = define(mode, members);
    vmnet_network_configuration_ref config = vmnet_config_new(def, &failure);
    (void)definition_unref(def);
    EXPECT(config);
    vmnet_network_ref network = vmnet_network_create(config, NULL);
    CFRelease(config);
    EXPECT(network);
    (void)snprintf(path, sizeof path, "%s/subnet-%s", getenv("SIM_DIR"), subnet);
    FILE *f = fopen(path, "r");
    EXPECT(f && fgets(line, sizeof line, f));
    (void)fclose(f);
    CFRelease(network);
    return line;
}

#define EXPECT_TEXT(text, part) EXPECT(strstr(text, part))

static void defaults_are_left_to_vmnet(void)
{
    const char *line = reservation("shared", "", "192.168.64.0");
    EXPECT_TEXT(line, "mode=shared gateway=192.168.64.1 mask=255.255.255.0 ");
    EXPECT_TEXT(line, "mtu=1500 nat44=1 nat66=1 dhcp=1 dns_proxy=1 router_advertisement=1 "
                      "external= reservations= forwards= ");
}

static void subnet_and_prefix_arrive_in_network_order(void)
{
    const char *line = reservation("shared",
                                   "\"subnet\": \"172.20.8.1\", \"mask\": \"255.255.252.0\","
                                   "\"ipv6_prefix\": \"fd00:42::\"",
                                   "172.20.8.0");
    EXPECT_TEXT(line, "gateway=172.20.8.1 mask=255.255.252.0 prefix=fd00:42::/64 ");
}

static void mode_mtu_and_interface_arrive(void)
{
    EXPECT_TEXT(reservation("host", "", "192.168.64.0"), "mode=host ");
    EXPECT_TEXT(reservation("shared", "\"mtu\": 9000", "192.168.64.0"), "mtu=9000 ");
    EXPECT_TEXT(reservation("shared", "\"external_interface\": \"en7\"", "192.168.64.0"),
                "external=en7 ");
}

/* One switch off at a time: a mixed-up pair would show. */
static void each_service_is_switched_off_by_itself(void)
{
    static const char *const names[] = { "nat44", "nat66", "dhcp", "dns_proxy",
                                         "router_advertisement" };
    for (int i = 0; i < 5; i++) {
        char off[40];
        (void)snprintf(off, sizeof off, "\"%s\": false", names[i]);
        const char *line = reservation("shared", off, "192.168.64.0");
        for (int k = 0; k < 5; k++) {
            char part[40];
            (void)snprintf(part, sizeof part, " %s=%d", names[k], k != i);
            EXPECT_TEXT(line, part);
        }
    }
}

static void reservations_arrive(void)
{
    EXPECT_TEXT(reservation("shared",
                            "\"subnet\": \"192.168.42.1\", \"dhcp_reservations\": ["
                            "{ \"mac\": \"52:54:00:00:00:01\", \"address\": \"192.168.42.10\" },"
                            "{ \"mac\": \"52:54:00:00:00:02\", \"address\": \"192.168.42.11\" } ]",
                            "192.168.42.0"),
                " reservations=52:54:00:00:00:01=192.168.42.10,52:54:00:00:00:02=192.168.42.11 ");
}

static void forwards_arrive_with_the_ports_in_vmnets_order(void)
{
    EXPECT_TEXT(reservation("shared",
                            "\"subnet\": \"192.168.42.1\", \"ipv6_prefix\": \"fd00:42::\","
                            "\"port_forwarding\": ["
                            "{ \"protocol\": \"tcp\", \"external_port\": 8080,"
                            "  \"address\": \"192.168.42.10\", \"internal_port\": 80 },"
                            "{ \"protocol\": \"udp\", \"external_port\": 5353,"
                            "  \"address\": \"fd00:42::10\", \"internal_port\": 53 } ]",
                            "192.168.42.0"),
                " forwards=tcp:8080=[192.168.42.10]:80,udp:5353=[fd00:42::10]:53 ");
}

static void expect_refused(const char *members, int err, const char *part)
{
    struct failure failure = { 0 };
    struct definition *def = define("shared", members);
    EXPECT(!vmnet_config_new(def, &failure));
    (void)definition_unref(def);
    EXPECT(failure.err == err);
    EXPECT_TEXT(failure.why, "lab.json:1:");
    EXPECT_TEXT(failure.why, part);
}

static void what_vmnet_lacks_is_refused_with_its_place(void)
{
    expect_refused("\"isolation\": true", -ENOTSUP, "remove \"isolation\"");
    expect_refused("\"anti_spoofing\": \"off\"", -ENOTSUP, "remove \"anti_spoofing\"");
    expect_refused("\"anti_spoofing\": \"mac\"", -ENOTSUP, "remove \"anti_spoofing\"");
    expect_refused("\"uplink\": \"kernel\"", -ENOTSUP, "remove \"uplink\"");
    expect_refused("\"uplink\": \"user\"", -ENOTSUP, "remove \"uplink\"");
    expect_refused("\"dns_servers\": [ \"192.0.2.53\" ]", -ENOTSUP, "lacks \"dns_servers\"");
    expect_refused("\"domain\": \"lab.example\"", -ENOTSUP, "lacks \"domain\"");
    expect_refused("\"subnet\": \"192.168.42.1\", \"dhcp_reservations\": [ { \"mac\": "
                   "\"52:54:00:00:00:01\", \"address\": \"192.168.42.10\", \"name\": \"web\" } ]",
                   -ENOTSUP, "remove \"name\"");
}

static void what_asks_for_nothing_more_is_accepted(void)
{
    EXPECT_TEXT(reservation("shared",
                            "\"isolation\": false, \"anti_spoofing\": \"strict\","
                            "\"uplink\": \"auto\", \"description\": \"a lab\"",
                            "192.168.64.0"),
                "mode=shared ");
}

static void what_vmnet_refuses_is_named(void)
{
    expect_refused("\"subnet\": \"203.0.113.1\"", -EINVAL, "vmnet refuses \"subnet\"");
    expect_refused("\"mtu\": 65000", -EINVAL, "vmnet refuses \"mtu\"");
}

static void status_1002_points_to_the_entitlement(void)
{
    EXPECT_TEXT(vmnet_status_text(VMNET_MEM_FAILURE), "com.apple.security.virtualization");
    EXPECT(strlen(vmnet_status_text((vmnet_return_t)4711)) > 0);
}

static const struct behaviour behaviours[] = {
    { "vmnet: what a definition leaves open is left to vmnet", defaults_are_left_to_vmnet },
    { "vmnet: subnet, mask and prefix arrive as they were written",
      subnet_and_prefix_arrive_in_network_order },
    { "vmnet: mode, MTU and the external interface arrive", mode_mtu_and_interface_arrive },
    { "vmnet: each service is switched off by its own key",
      each_service_is_switched_off_by_itself },
    { "vmnet: reservations arrive", reservations_arrive },
    { "vmnet: forwards arrive, the VM's port and the host's not mixed up",
      forwards_arrive_with_the_ports_in_vmnets_order },
    { "vmnet: what vmnet lacks is refused, with its place",
      what_vmnet_lacks_is_refused_with_its_place },
    { "vmnet: keys that ask for nothing that vmnet lacks are accepted",
      what_asks_for_nothing_more_is_accepted },
    { "vmnet: what vmnet refuses is named", what_vmnet_refuses_is_named },
    { "vmnet: status 1002 is explained", status_1002_points_to_the_entitlement },
};

int main(void)
{
    return behaviours_run(behaviours, sizeof behaviours / sizeof *behaviours);
}
