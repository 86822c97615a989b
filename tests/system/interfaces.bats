#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Interfaces of other kinds: isolated, with several queues, two in one guest.
load lib

TAP_RUN=$WORLD/scripts/tap_run.py

setup_file() {
    local command
    start_broker
    mapfile -t command < <("$GUEST" command queues --nic 'fds={fds}/{mac},mq=on')
    as_user_in_background guest-queues python3 "$TAP_RUN" shared '{"name": "queues", "queues": 4}' \
        "${command[@]}"
    mapfile -t command < <("$GUEST" command alone --nic 'fd={fds}/{mac}')
    as_user_in_background guest-alone python3 "$TAP_RUN" shared '{"name": "alone", "isolated": true}' \
        "${command[@]}"
    mapfile -t command < <("$GUEST" command two --nic 'fd={fd}/{mac}' --nic 'fd={fd1}/{mac1}')
    as_user_in_background guest-two vmnet-brokerctl run --network shared,name=two \
        --network host,name=two -- "${command[@]}"
    wait_guests queues alone two
}

teardown() {
    tell_what_happened
}

teardown_file() {
    stop_guests queues alone two
    stop_everything
    nothing_is_left
}

@test "an interface with four queues carries traffic" {
    is "$(status_of shared "[i['queues'] for i in n['interfaces'] if i['name'] == 'queues']")" "[4]"
    # Not by name: of two networks' resolvers `two` has the one that answered last.
    in_guest two ping -c 1 -W 5 "$(address_of queues)"
    is "$(fetch queues http://203.0.113.80/q)" \
        "the internet has /q for 198.51.100.2"
}

@test "an isolated guest reaches the gateway and the internet" {
    in_guest alone ping -c 1 -W 5 "$(status_of shared "n['status']['network']['ipv4_gateway']")"
    has "$(fetch alone http://www.example.test/a)" "the internet has /a"
}

@test "an isolated guest reaches no other VM, and no other VM reaches it" {
    not in_guest alone ping -c 1 -W 2 "$(address_of two)"
    not in_guest alone ping6 -c 1 -W 2 "$(address_of two 6)"
    not in_guest two ping -c 1 -W 2 "$(address_of alone)"
    not in_guest two ping6 -c 1 -W 2 "$(address_of alone 6)"
}

@test "a guest on two networks has an address on each" {
    has "$(in_guest two ip -4 -o addr show dev eth0)" "$(interface_on shared two)"
    has "$(in_guest two ip -4 -o addr show dev eth1)" "$(interface_on host two)"
}

interface_on() { # NETWORK NAME
    status_of "$1" "[i['ipv4_address'] for i in n['interfaces'] if i['name'] == '$2'][0]"
}
