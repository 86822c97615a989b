#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# One broker, many users, and one of them means harm: the others notice nothing.
load lib

setup_file() {
    [ "$(id -u)" = 0 ] || return 0
    define lab $(seq -f n%.0f 0 31)
    start_broker
    # As the system's broker has it: other users may come in.
    chmod a+x "/run/user/$WORLD_UID" "/run/user/$WORLD_UID/vmnet-broker"
    chmod a+rw "/run/user/$WORLD_UID/vmnet-broker/broker.sock"
}

define() { # NETWORK... -> with nothing but a bridge, and gone when nobody holds it
    local name directory
    directory=$(user_home)/.config/vmnet-broker.d
    as_user mkdir -p "$directory"
    for name; do
        as_user tee "$directory/$name.json" <<<'{ "mode": "host", "dhcp": false,
            "dns_proxy": false, "router_advertisement": false, "idle_timeout": 0 }' >/dev/null
    done
}

teardown() {
    tell_what_happened
}

teardown_file() {
    [ "$(id -u)" = 0 ] || return 0
    stop_everything
    nothing_is_left
}

scene() { # NAME
    [ "$(id -u)" = 0 ] || skip "optional: only root can be several users"
    timeout --kill-after=5 100 python3 "$WORLD/checkout/tests/system/hostile_clients.py" \
        "/run/user/$WORLD_UID/vmnet-broker/broker.sock" "$1"
}

@test "10,000 silent connections of one user: 512 are let in, each other one is told why" {
    scene silent
}

@test "10,000 silent connections of many users are kept, and cost little" {
    scene silent_of_many_users
}

@test "a flood of connections: everybody else is answered, and the log stays short" {
    scene connecting
}

@test "slow writers and slow readers wait for themselves" {
    scene slow
}

@test "400 connections full of requests: everybody else is answered" {
    scene full_of_requests
}

@test "a flood of descriptors: all are closed at once" {
    scene descriptors
}

@test "every request of the fuzzers' corpora in sequence" {
    scene corpora
}

@test "one user has 128 interfaces and 1024 queues, and no more" {
    scene interfaces
}

@test "one user holds 32 networks, and no more" {
    scene networks
}

@test "one user monitors from 8 connections, and whether these listen is their own affair" {
    scene watching
}

@test "TAPs that their clients never fetch keep nobody else from theirs" {
    scene never_fetched
}

@test "one user lets 256 requests wait, and no more" {
    scene waiting
}

@test "nobody takes another user's machine, network or broker" {
    scene identities
}
