#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Single frames: what the filter lets pass, and what the router says.
load lib

setup_file() {
    start_broker
}

teardown() {
    tell_what_happened
}

teardown_file() {
    stop_everything
    nothing_is_left
}

frames() { # CHECK
    WITHIN=60 as_user python3 "$WORLD/scripts/frames.py" "$1"
}

@test "frames that are neither IPv4, ARP nor IPv6 are dropped and counted, VLAN tags first of all" {
    frames ethertype
}

@test "a guest sends from no MAC but its own" {
    frames source_mac
}

@test "a guest sends from no IPv4 address but its own, in IP as in ARP" {
    frames source_address
}

@test "the router advertises prefix, MTU, resolver and search domain" {
    frames advertisement
}

@test "a guest that is denied more than its share is counted, and status says of what" {
    frames shares
}
