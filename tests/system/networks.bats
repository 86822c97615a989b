#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What must not be reached: from `host` the outside, from one network another.
load lib

setup_file() {
    start_guest h1 --network host
    start_guest h2 --network host
    start_guest s1 --network shared
    wait_guests h1 h2 s1
}

teardown() {
    tell_what_happened
}

teardown_file() {
    stop_guests h1 h2 s1
    stop_everything
    nothing_is_left
}

gateway_of() { # NETWORK [4|6]
    status_of "$1" "n['status']['network']['ipv${2:-4}_gateway']"
}

@test "guests on host reach each other by name, IPv4 and IPv6" {
    in_guest h1 ping -c 1 -W 5 h2
    in_guest h1 ping -c 1 -W 5 h2.host.vmnet.internal
    in_guest h2 ping6 -c 1 -W 5 "$(address_of h1 6)"
    is "$(fetch h1 "http://$(address_of h2)/")" "a guest's page"
}

@test "host has no way out, by any address or protocol" {
    not in_guest h1 ping -c 1 -W 2 203.0.113.80
    not in_guest h1 ping6 -c 1 -W 2 2001:db8:ff::80
    not fetch h1 http://203.0.113.80/
    not fetch h1 'http://[2001:db8:ff::80]/'
    not in_guest h1 ping -c 1 -W 2 198.51.100.2
    is "$(status_of host "n['status']['network']['uplink']")" none
}

@test "host has no outside names" {
    not in_guest h1 nslookup -type=a www.example.test
    not in_guest h1 nslookup -type=a four.example.test 203.0.113.53
}

@test "a route of its own does not lead a guest of host outside" {
    in_guest h1 "ip route replace 203.0.113.0/24 via $(gateway_of host)
        ip -6 route replace 2001:db8:ff::/64 via $(gateway_of host 6) dev eth0"
    not in_guest h1 ping -c 1 -W 2 203.0.113.80
    not in_guest h1 ping6 -c 1 -W 2 2001:db8:ff::80
}

@test "two networks never reach each other, by name or address, in either direction" {
    local h s h6 s6
    h=$(address_of h1) s=$(address_of s1) h6=$(address_of h1 6) s6=$(address_of s1 6)
    in_guest h1 "ip route replace $s via $(gateway_of host)
        ip -6 route replace $s6 via $(gateway_of host 6) dev eth0"
    in_guest s1 "ip route replace $h via $(gateway_of shared)
        ip -6 route replace $h6 via $(gateway_of shared 6) dev eth0"
    not in_guest h1 ping -c 1 -W 2 "$s"
    not in_guest s1 ping -c 1 -W 2 "$h"
    not in_guest h1 ping6 -c 1 -W 2 "$s6"
    not in_guest s1 ping6 -c 1 -W 2 "$h6"
    not fetch h1 "http://$s/"
    not fetch s1 "http://$h/"
    not in_guest s1 ping -c 1 -W 2 h1.host.vmnet.internal
    not in_guest h1 ping -c 1 -W 2 s1.shared.vmnet.internal
}

@test "nor does a guest reach the other network's gateway" {
    not in_guest h1 ping -c 1 -W 2 "$(gateway_of shared)"
    not in_guest s1 ping -c 1 -W 2 "$(gateway_of host)"
    not in_guest s1 ping6 -c 1 -W 2 "$(gateway_of host 6)"
    not in_guest s1 nslookup -type=a h1.host.vmnet.internal "$(gateway_of host)"
}

@test "a guest reaches no other network by sending to a neighbour's MAC or an on-link address" {
    # The other network's address made on-link: the frames stay on this guest's bridge.
    in_guest h1 "ip addr add $(address_of s1 | sed 's/[0-9]*$/250/')/24 dev eth0"
    not in_guest h1 ping -c 1 -W 2 "$(address_of s1)"
}
