/* SPDX-License-Identifier: Apache-2.0 */
/* test_vmnet_config.c - definitions as vmnet gets them, seen in the reservation's file. */
#include "behaviour.h"
#include "vmnet_config.h"

#include <CoreFoundation/CoreFoundation.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct net_def plain(void)
{
    return (struct net_def){
        .name = "lab",
        .mode = NET_MODE_SHARED,
        .mtu = MTU_DEFAULT,
        .nat44 = true,
        .nat66 = true,
        .dhcp = true,
        .dns_proxy = true,
        .router_advertisement = true,
        .idle_timeout_sec = UINT32_MAX,
    };
}

/* What vmnet was told, as the simulator wrote it down for the subnet. */
static const char *reservation(const struct net_def *def, const char *subnet)
{
    static char text[512];
    char path[300];
    struct failure failure = { 0 };
    vmnet_network_configuration_ref config = vmnet_config_new(def, &failure);
    EXPECT(config);
    vmnet_network_ref network = vmnet_network_create(config, NULL);
    CFRelease(config);
    EXPECT(network);
    (void)snprintf(path, sizeof path, "%s/subnet-%s", getenv("SIM_DIR"), subnet);
    FILE *f = fopen(path, "r");
    EXPECT(f && fgets(text, sizeof text, f));
    (void)fclose(f);
    CFRelease(network);
    return text;
}

#define EXPECT_TEXT(text, part) EXPECT(strstr(text, part))

static void defaults_are_left_to_vmnet(void)
{
    struct net_def def = plain();
    const char *text = reservation(&def, "192.168.64.0");
    EXPECT_TEXT(text, "mode=shared gateway=192.168.64.1 mask=255.255.255.0 ");
    EXPECT_TEXT(text, "mtu=1500 nat44=1 nat66=1 dhcp=1 dns_proxy=1 router_advertisement=1");
}

static void subnet_and_prefix_arrive_in_network_order(void)
{
    struct net_def def = plain();
    EXPECT(subnet4_parse("172.20.8.0/22", &def.subnet) == 0);
    EXPECT(prefix6_parse("fd00:42::/64", &def.prefix6) == 0);
    const char *text = reservation(&def, "172.20.8.0");
    EXPECT_TEXT(text, "gateway=172.20.8.1 mask=255.255.252.0 prefix=fd00:42::/64 ");
}

static void host_mode_and_mtu_arrive(void)
{
    struct net_def def = plain();
    def.mode = NET_MODE_HOST;
    def.mtu = 9000;
    EXPECT_TEXT(reservation(&def, "192.168.64.0"), "mode=host ");
    EXPECT_TEXT(reservation(&def, "192.168.64.0"), "mtu=9000 ");
}

/* One switch off at a time: a mixed-up pair would show. */
static void each_service_is_switched_off_by_itself(void)
{
    static const char *const names[] = { "nat44", "nat66", "dhcp", "dns_proxy",
                                         "router_advertisement" };
    for (int i = 0; i < 5; i++) {
        struct net_def def = plain();
        bool *switches[] = { &def.nat44, &def.nat66, &def.dhcp, &def.dns_proxy,
                             &def.router_advertisement };
        *switches[i] = false;
        const char *text = reservation(&def, "192.168.64.0");
        for (int k = 0; k < 5; k++) {
            char part[40];
            (void)snprintf(part, sizeof part, " %s=%d", names[k], k != i);
            EXPECT_TEXT(text, part);
        }
    }
}

static void expect_refused(const struct net_def *def, const char *part)
{
    struct failure failure = { 0 };
    EXPECT(!vmnet_config_new(def, &failure));
    EXPECT(failure.err == -ENOTSUP || failure.err == -EINVAL);
    EXPECT_TEXT(failure.why, part);
}

static void what_vmnet_lacks_is_refused_by_name(void)
{
    struct net_def def = plain();
    def.isolation = true;
    expect_refused(&def, "'isolation'");
    def = plain();
    def.anti_spoofing = SPOOF_OFF;
    expect_refused(&def, "'anti_spoofing'");
    def = plain();
    def.uplink = UPLINK_KERNEL;
    expect_refused(&def, "'uplink'");
}

static void what_vmnet_refuses_is_named(void)
{
    struct net_def def = plain();
    EXPECT(subnet4_parse("203.0.113.0/24", &def.subnet) == 0);
    expect_refused(&def, "'subnet'");
    def = plain();
    def.mtu = 65000;
    expect_refused(&def, "'mtu'");
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
    { "vmnet: mode and MTU arrive", host_mode_and_mtu_arrive },
    { "vmnet: each service is switched off by its own key",
      each_service_is_switched_off_by_itself },
    { "vmnet: what vmnet lacks is refused, by its key", what_vmnet_lacks_is_refused_by_name },
    { "vmnet: what vmnet refuses is named", what_vmnet_refuses_is_named },
    { "vmnet: status 1002 is explained", status_1002_points_to_the_entitlement },
};

int main(void)
{
    return behaviours_run(behaviours, sizeof behaviours / sizeof *behaviours);
}
