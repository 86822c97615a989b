#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What `check` holds against the world: the host's routes, and networks that exist.
load lib

setup() {
    definitions=$(user_home)/.config/vmnet-broker.d
    as_user mkdir -p "$definitions"
}

teardown() {
    tell_what_happened
    as_user rm -rf "$definitions"
    ip route flush type blackhole
    stop_everything && nothing_is_left
}

define() { # NETWORK SUBNET MASK
    as_user sh -c "echo '{ \"mode\": \"shared\", \"subnet\": \"$2\", \"mask\": \"$3\" }' \
        >'$definitions/$1.json'"
}

conflicts_with() { # NETWORK WORDS
    local said
    said=$(ctl check "$1") && return 1
    has "$said" "conflicts with $2"
}

@test "a subnet of one of the host's routes is named with the route" {
    define lab 10.99.1.1 255.255.255.0
    ctl check lab
    ip route add blackhole 10.99.1.128/28
    conflicts_with lab "route 10.99.1.128/28"
    define lab 10.99.1.1 255.255.255.128
    ctl check lab
}

@test "a route wider than /8 is in nobody's way" {
    define lab 10.99.1.1 255.255.255.0
    ip route add blackhole 0.0.0.0/1
    ip route add blackhole 10.0.0.0/7
    ctl check lab
}

@test "a subnet that a network has is that network's, and nobody else's" {
    hold shared
    local holder=$! subnet
    subnet=$(status_of shared "n['status']['network']['ipv4_gateway']")
    define lab "$subnet" 255.255.255.0
    conflicts_with lab "network 'shared', which exists"
    as_user mv "$definitions/lab.json" "$definitions/shared.json"
    ctl check shared
    kill "$holder"
}
