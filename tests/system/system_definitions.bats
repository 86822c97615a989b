#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Definitions in a system instance, where several users meet: whom `allow` names, what is there
# from the start, and a way out of its own; web is alice's. definitions.bats has all other keys.
load lib
load system

setup_file() {
    [ "$(id -u)" = 0 ] || return 0
    make_system_users
    plug_in
    mkdir -m 0755 "$(directory)"
    define always '{ "mode": "host", "persistent": true }'
    define club '{ "mode": "host", "allow": { "users": ["bob"], "groups": ["vmnet-netd"] } }'
    define cable '{ "mode": "shared", "subnet": "192.168.44.1", "external_interface": "eth1" }'
    start_system --config-dir "$(directory)"
    as alice start_guest web --network cable
    wait_guests web
}

teardown() {
    tell_what_happened_in_system
}

teardown_file() {
    [ "$(id -u)" = 0 ] || return 0
    stop_guests web
    stop_system
    ip link del eth1
    nothing_is_left_of_system
}

directory() {
    echo "$WORLD/definitions"
}

define() { # NAME JSON -> as root
    echo "$2" >"$(directory)/.$1.new"
    mv "$(directory)/.$1.new" "$(directory)/$1.json"
}

of_all() { # EXPRESSION about the networks that exist, as `d`, in root's eyes
    vmnet-brokerctl --system list --json | pick "$1"
}

@test "allow: whom it names by user or group, and root; the others are told so" {
    as bob ctl acquire club -- true
    vmnet-brokerctl --system acquire club -- true
    run as alice ctl acquire club -- true
    [ "$status" -ne 0 ]
    has "$output" "allow"
    define club '{ "mode": "host", "allow": { "groups": ["alice"] } }'
    as alice ctl acquire club -- true
    run as bob ctl acquire club -- true
    [ "$status" -ne 0 ]
}

@test "persistent: it is there from the start, though nobody has asked" {
    eventually 10 exists always
    is "$(of_all "[n['clients'] for n in d if n['name'] == 'always']")" "[0]"
}

exists() { # NETWORK
    of_all "'$1' in [n['name'] for n in d]" | grep -q True
}

@test "external_interface: it leaves by that one, and by no other when that is gone" {
    has "$(fetch web http://203.0.113.80/)" "for 198.51.101.2"
    has "$(fetch web 'http://[2001:db8:ff::80]/')" "for 2001:db8:2::2"
    ip link del eth1
    eventually 10 uplink_is "failed: the host has no interface 'eth1'"
    not fetch web http://203.0.113.80/
    not fetch web 'http://[2001:db8:ff::80]/'
    plug_in
    eventually 20 uplink_is ok
    eventually 10 fetch web http://203.0.113.80/ >/dev/null 2>&1
    has "$(fetch web http://203.0.113.80/)" "for 198.51.101.2"
}

uplink_is() { # STATE
    is "$(of_all "[n['network']['uplink'] for n in d if n['name'] == 'cable'][0]")" "$1"
} 2>/dev/null
