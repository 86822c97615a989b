#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The kernel uplink of a system instance on hosts of all kinds. Guests: web and db on `shared`,
# which chooses its uplink itself, kern on one that wants the kernel's and no other.
load lib
load system
load hosts

setup_file() {
    [ "$(id -u)" = 0 ] || return 0
    make_system_users
    busy_host
    host_settings >"$WORLD/settings"
    mkdir -p "$WORLD/definitions"
    echo '{ "mode": "shared", "uplink": "kernel" }' >"$WORLD/definitions/kern.json"
    chmod -R a+rX "$WORLD/definitions"
    start_system --config-dir "$WORLD/definitions"
    as alice start_guest web --network shared
    as bob start_guest db --network shared
    as bob start_guest kern --network kern
    wait_guests web db kern
    address_of web >"$WORLD/web-address"
}

setup() {
    needs_users
    WEB_ADDRESS=$(cat "$WORLD/web-address")
}

teardown() {
    tell_what_happened_in_system
}

teardown_file() {
    [ "$(id -u)" = 0 ] || return 0
    stop_guests web db kern
    stop_system
    nft flush ruleset # the empty tables that iptables leaves
    ip link del lan0 2>/dev/null || true
    nothing_is_left_of_system
}

@test "the host's kernel forwards, and no engine runs" {
    eventually 15 uplink_is shared ok
    eventually 15 uplink_is kern ok
    reaches web "$FOUR"
    reaches web "$SIX"
    reaches kern "$FOUR"
    reaches kern "$SIX"
    is "$(engines)" ""
    is "$(problems)" ""
}

@test "while the uplink is well, no process of ours has set itself an alarm, to probe it again or for anything else" {
    eventually 20 alarms_are ""
}

tracked_by_the_host() {
    cat /proc/sys/net/netfilter/nf_conntrack_count
}

@test "a guest's connections take its share of the host's table, and others still get out" {
    local before taken
    before=$(tracked_by_the_host)
    WITHIN=60 as alice as_user env VMNET_BROKER_SOCKET=/run/vmnet-broker/broker.sock \
        python3 "$WORLD/scripts/many_flows.py" 12000
    taken=$(($(tracked_by_the_host) - before))
    echo "the host tracks $taken more"
    [ "$taken" -gt 3500 ] # it did what it could
    [ "$taken" -lt 4600 ]
    reaches web "$FOUR"
    reaches kern "$FOUR"
    reaches kern "$SIX"
    uplink_is shared ok
}

# Of guests' connections that have ended: how many more seconds the host and the namespace remember
# each. By our cable they come to the host, to the namespace from $1.
remembered_for() {
    sed -n "s/^ipv4 .* tcp *6 \([0-9]*\) TIME_WAIT src=$1.*/\1/p"
}

an_end_is_remembered() {
    reaches web "$FOUR"
    remembered_for 169.254.255. </proc/net/nf_conntrack >"$BATS_TEST_TMPDIR/host"
    ip netns exec vmnet-broker cat /proc/net/nf_conntrack | remembered_for "${WEB_ADDRESS%.*}." \
        >"$BATS_TEST_TMPDIR/namespace"
    [ -s "$BATS_TEST_TMPDIR/host" ] && [ -s "$BATS_TEST_TMPDIR/namespace" ]
}

@test "connections that have ended leave the host's table and the namespace's soon" {
    local table seconds
    eventually 20 an_end_is_remembered
    for table in host namespace; do
        while read -r seconds; do
            echo "$table: for $seconds s"
            [ "$seconds" -le 5 ]
        done <"$BATS_TEST_TMPDIR/$table"
    done
}

@test "a LAN that is 192.168.64.0/24 keeps it, and ports 53 and 67 stay whose they are" {
    not has "$WEB_ADDRESS" "192.168.64."
    guests_have_each_other
}

@test "somebody's flush of all rules is mended" {
    nft flush ruleset
    eventually 15 nft list table inet vmnet_broker_uplink
    eventually 15 reaches web "$FOUR"
    eventually 15 reaches kern "$SIX"
    eventually 15 uplink_is shared ok
    guests_have_each_other
}

@test "forwarding that somebody switches off is switched on again" {
    forwarding_goes
    eventually 15 forwarding_is_on 2>/dev/null || forwarding_is_on
    eventually 15 reaches web "$FOUR"
    eventually 15 reaches web "$SIX"
    guests_have_each_other
}

forwarding_is_on() {
    local knob
    for knob in /proc/sys/net/ipv4/conf/{eth0,vmbup}/forwarding \
        /proc/sys/net/ipv6/conf/{eth0,vmbup}/force_forwarding; do
        [ ! -e "$knob" ] || is "$(cat "$knob")" 1 || return
    done
}

@test "a host without a default route says so, and guests keep what is theirs" {
    routes_go
    eventually 15 uplink_is shared "failed: the host has no default route"
    guests_have_each_other
    not reaches web "$FOUR"
    routes_come
    eventually 15 uplink_is shared ok
    eventually 15 reaches web "$FOUR"
    eventually 15 reaches web "$SIX"
}

@test "a VPN takes the world with 0.0.0.0/1, and gives it back" {
    vpn_comes
    eventually 15 reaches web "$FOUR"
    guests_have_each_other
    eventually 15 uplink_is shared ok
    is "$(cat /proc/sys/net/ipv4/conf/tun0/forwarding)" 1
    vpn_goes
    eventually 15 reaches web "$FOUR"
    eventually 15 uplink_is shared ok
}

@test "a VPN that comes to overlap a network is warned of, and no VM is renumbered" {
    overlap_comes "${WEB_ADDRESS%.*}.0/25"
    eventually 15 problem_is "overlaps a network's subnet"
    has "$(problems)" "dev tun0"
    guests_have_each_other
    reaches web "$FOUR"
    vpn_goes
    eventually 15 is_no_problem
    guests_have_each_other
}

is_no_problem() {
    is "$(problems)" ""
}

@test "the host is no router for its neighbours" {
    is "$(cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding | tr -d '\n')" 00
    ip route show | grep -q default
    ip -6 route show | grep -q default
}

# What the host knows for good of the cable's other end.
known_to_the_host() {
    [ "$(ip neigh show dev vmbup nud permanent | grep -c "lladdr $1")" -eq 2 ]
}

@test "a firewall that drops neighbour discovery and ARP on our cable does no harm" {
    local mac version
    mac=$(ip netns exec vmnet-broker cat /sys/class/net/uplink8/address)
    known_to_the_host "$mac"
    ip neigh del fd76:6d6e:6574:ff::2 dev vmbup
    discovery_goes
    # The look that the firewall causes mends that, too, before it probes.
    eventually 15 known_to_the_host "$mac"
    for version in -4 -6; do
        ip "$version" neigh flush dev vmbup
        ip netns exec vmnet-broker ip "$version" neigh flush dev uplink8
    done
    eventually 15 reaches kern "$SIX"
    reaches kern "$FOUR"
    reaches web "$SIX"
    reaches web "$FOUR"
    eventually 15 uplink_is shared ok
    eventually 15 uplink_is kern ok
    eventually 15 is_no_problem
    is "$(engines)" ""
    guests_have_each_other
    discovery_comes
    eventually 15 reaches kern "$SIX"
    eventually 15 is_no_problem
}

@test "Docker's FORWARD drop: an engine takes over, and status names the chain" {
    docker_comes
    eventually 15 problem_is "ip filter FORWARD (policy drop)"
    eventually 15 reaches web "$FOUR"
    eventually 15 reaches web "$SIX"
    eventually 15 uplink_is shared ok
    eventually 15 uplink_is kern "failed: the host's ip filter FORWARD (policy drop) drops what it should forward"
    not reaches kern "$FOUR"
    not is "$(engines)" ""
    guests_have_each_other
    local engine
    for engine in $(engines); do
        is "$(status_field "$engine" Uid | cut -f 1)" "$SYSTEM_UPLINK_UID"
    done
}

@test "Docker's own chain for the administrator's rules lets us pass, where he says so" {
    local tool
    for tool in iptables ip6tables; do
        $tool -w -I DOCKER-USER -i vmbup -j ACCEPT
        $tool -w -I DOCKER-USER -o vmbup -j ACCEPT
    done
    eventually 15 uplink_is kern ok
    eventually 15 reaches kern "$FOUR"
    eventually 15 reaches kern "$SIX"
    for tool in iptables ip6tables; do
        $tool -w -D DOCKER-USER -i vmbup -j ACCEPT
        $tool -w -D DOCKER-USER -o vmbup -j ACCEPT
    done
    eventually 15 uplink_is kern "failed: the host's ip filter FORWARD (policy drop)"
}

@test "when Docker has gone, the kernel's network is back, and who has VMs stays" {
    docker_goes
    eventually 15 uplink_is kern ok
    eventually 15 reaches kern "$FOUR"
    reaches web "$FOUR"
    not is "$(engines)" ""
    eventually 15 is_no_problem
}

rules_change() { # which is noticed, as no change by iptables-legacy is
    nft add table inet other
    nft delete table inet other
}

@test "what iptables-legacy drops nobody can name, but status says where to look" {
    iptables-legacy -w -P FORWARD DROP
    rules_change
    eventually 15 problem_is "look at iptables-legacy -vL FORWARD, or for eBPF"
    eventually 15 reaches web "$FOUR"
    echo 1 >/proc/sys/net/ipv4/conf/vmbup/rp_filter
    rules_change
    eventually 15 problem_is "since rp_filter is 1, at ip rule"
    echo 0 >/proc/sys/net/ipv4/conf/vmbup/rp_filter
    iptables-legacy -w -P FORWARD ACCEPT
    ip6tables-legacy -w -P FORWARD DROP
    rules_change
    eventually 15 problem_is "look at ip6tables-legacy -vL FORWARD, or for eBPF"
    eventually 15 reaches web "$SIX"
    ip6tables-legacy -w -P FORWARD ACCEPT
    rules_change
    eventually 15 uplink_is kern ok
    eventually 15 is_no_problem
}

@test "ufw refuses what comes in and what passes: guests have everything else" {
    ufw_comes
    eventually 15 uplink_is kern "ip filter ufw-user-forward (rule"
    reaches web "$FOUR"
    guests_have_each_other
    iptables -w -F ufw-user-forward
    ip6tables -w -F ufw-user-forward
    eventually 15 problem_is "guests do not reach the host: its ip filter ufw-user-input (rule"
    not in_guest web ping -4 -c 1 -W 2 host.vmnet.internal
    ufw_goes
    eventually 15 is_no_problem
    eventually 15 in_guest web ping -4 -c 1 -W 2 host.vmnet.internal
    eventually 15 uplink_is kern ok
    eventually 15 reaches kern "$FOUR"
}

@test "everything is killed: one restart, and then nothing is left in the host" {
    local line
    while read -r line; do
        kill -KILL "${line%% *}" 2>/dev/null || true
    done < <(system_processes)
    stop_guests web db kern
    start_system --config-dir "$WORLD/definitions"
    stop_system
    nft flush ruleset
    eventually 20 settings_are_back
    is "$(nft list ruleset)" ""
    not ip link show vmbup
}

settings_are_back() {
    diff "$WORLD/settings" <(host_settings)
}
