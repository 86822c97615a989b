#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A host that has its IPv6 from a router's advertisements, as most hosts have: a host that forwards
# for everybody would no longer listen to them, and lose its default route when that expires. Guest:
# web on `shared`, which leaves by the host's kernel.
load lib
load system
load hosts

LIFETIME=40 # seconds

setup_file() {
    [ "$(id -u)" = 0 ] || return 0
    make_system_users
    ip -6 route del default
    echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra
    router_comes
    ip -6 monitor route >"$WORLD/log/routes" 2>&1 </dev/null 3>&- 4>&- 5>&- &
    host_settings >"$WORLD/settings"
    link_settings >"$WORLD/links"
    start_system
    as alice start_guest web --network shared
    wait_guests web
}

teardown() {
    tell_what_happened_in_system
}

teardown_file() {
    [ "$(id -u)" = 0 ] || return 0
    stop_guests web
    stop_system
    nothing_is_left_of_system
}

# Who does not forward does not call itself a router where it is asked for its MAC, either. What it
# advertises comes from its link-local address, which a quick test finds not yet confirmed.
router_comes() {
    on_internet sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
    eventually 10 router_has_link_local
    nsenter --net=/run/netns/internet -- python3 "$WORLD/scripts/router.py" inet0 2001:db8:1:: $LIFETIME \
        >"$WORLD/log/router" 2>&1 </dev/null 3>&- 4>&- 5>&- &
    echo $! >"$WORLD/router"
    eventually 10 has_route
    eventually 10 has_address
}

router_has_link_local() {
    on_internet ip -6 addr show dev inet0 scope link -tentative | grep -q inet6
}

router() { # SIGNAL
    kill "-$1" "$(cat "$WORLD/router")"
}

has_route() {
    ip -6 route show default | grep -q 'via fe80::.* dev eth0 proto ra .*expires'
}

has_address() {
    ip -6 addr show dev eth0 dynamic -tentative | grep -q 'inet6 2001:db8:1:'
}

# How long the route is good for if nothing more is heard of the router.
seconds_left() {
    ip -6 route show default | sed -n 's/.*expires \([0-9]*\)sec.*/\1/p'
}

fewer_left() { # SECONDS
    [ "$(seconds_left)" -lt "$1" ]
}

more_left() { # SECONDS
    [ "$(seconds_left)" -gt "$1" ]
}

# All that the kernel lets be set of the links that were there in the beginning.
link_settings() {
    grep -rsH . /proc/sys/net/ipv[46]/conf/{all,default,lo,eth0} | sort
}

# With a kernel that cannot forward IPv6 for one link alone an engine has it.
ours_to_set() {
    echo "> /proc/sys/net/ipv4/conf/eth0/forwarding:1"
    [ ! -e /proc/sys/net/ipv6/conf/eth0/force_forwarding ] ||
        echo "> /proc/sys/net/ipv6/conf/eth0/force_forwarding:1"
}

@test "VMs have IPv6 by way of a router that only its advertisements name" {
    has_route
    eventually 15 uplink_is shared ok
    eventually 15 reaches web "$SIX"
    eventually 15 reaches web "$FOUR"
    [ ! -e /proc/sys/net/ipv6/conf/eth0/force_forwarding ] || is "$(engines)" ""
}

@test "of the host's links nothing is set but the forwarding of this one" {
    is "$(cat /proc/sys/net/ipv6/conf/eth0/{accept_ra,forwarding} | tr -d '\n')" 10
    is "$(diff "$WORLD/links" <(link_settings) | grep '^>')" "$(ours_to_set)"
}

@test "the host goes on listening to the router: its next advertisement prolongs the route" {
    router STOP
    eventually 20 fewer_left $((LIFETIME - 4))
    has_route
    router CONT
    eventually 20 more_left $((LIFETIME - 3))
    fetch web "$SIX"
}

@test "so it does after somebody's flush of all rules, and for another netd" {
    nft flush ruleset
    eventually 15 nft list table inet vmnet_broker_uplink
    kill "$(processes vmnet-netd)"
    eventually 15 reaches web "$SIX"
    router STOP
    eventually 20 fewer_left $((LIFETIME - 4))
    router CONT
    eventually 20 more_left $((LIFETIME - 3))
    eventually 15 reaches web "$SIX"
}

@test "all the while the route was there" {
    not grep "^Deleted default" "$WORLD/log/routes"
}

@test "a router's farewell takes the route, its return brings it back, and IPv4 does not mind" {
    router TERM
    eventually 10 not has_route 2>/dev/null
    eventually 15 reaches web "$FOUR"
    not reaches web "$SIX"
    eventually 15 uplink_is shared ok
    router_comes
    eventually 15 reaches web "$SIX"
}

@test "in the end all is as it was, and the router is still heard" {
    stop_guests web
    stop_system
    has_route
    is "$(diff "$WORLD/links" <(link_settings))" ""
    eventually 20 settings_are_back >/dev/null || settings_are_back
    router STOP
    eventually 20 fewer_left $((LIFETIME - 4))
    router CONT
    eventually 20 more_left $((LIFETIME - 3))
}

settings_are_back() {
    diff "$WORLD/settings" <(host_settings)
}
