#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The system instance: one broker for every user of the machine, no root for any of them.
# alice and bob are in group vmnet, carol is not. Guests: web is alice's, db is bob's.
load lib
load system

setup_file() {
    [ "$(id -u)" = 0 ] || skip "optional: a system instance has several users, and only root has them"
    make_system_users
    start_system
    as alice start_guest web --network shared
    as bob start_guest db --network shared
    wait_guests web db
}

teardown() {
    tell_what_happened_in_system
}

teardown_file() {
    [ "$(id -u)" = 0 ] || return 0
    stop_guests web db
    stop_system
    nothing_is_left_of_system
}

# UID of who runs it, then CapEff, CapPrm, CapBnd, CapAmb without leading zeros, NoNewPrivs, Seccomp
privileges() { # PROCESS
    local pid field
    pid=$(processes "$1" | head -n 1)
    [ -n "$pid" ] || return 1
    is "$(status_field "$pid" Uid | tr -s '\t' '\n' | sort -u | wc -l)" 1
    echo -n "$(id -nu "$(stat -c %u "/proc/$pid")")"
    for field in CapEff CapPrm CapBnd CapAmb; do
        printf ' %x' "0x$(status_field "$pid" $field)"
    done
    echo " $(status_field "$pid" NoNewPrivs) $(status_field "$pid" Seccomp)"
}

@test "guests of two users on one network ping each other by name" {
    in_guest web ping -c 1 -W 5 db
    in_guest db ping -c 1 -W 5 web
    in_guest db ping -c 1 -W 5 web.shared.vmnet.internal
}

@test "guests of every user reach the internet" {
    has "$(fetch web http://203.0.113.80/four)" "the internet has /four for"
    has "$(fetch db http://203.0.113.80/four)" "the internet has /four for"
}

@test "each process is an unprivileged user with what it needs, and cannot get more" {
    # 400 NET_BIND_SERVICE, 1000 NET_ADMIN, 2000 NET_RAW. Those of netd and dnsmasq hold over the
    # namespace only, as does whatever pasta has in one of its own.
    is "$(privileges vmnet-broker)" "vmnet-broker 0 0 0 0 1 2"
    is "$(privileges vmnet-starter)" "vmnet-netd 0 1400 1400 1400 1 2"
    is "$(privileges vmnet-netd)" "vmnet-netd 3400 3400 3400 0 1 2"
    is "$(privileges vmnet-hostside)" "vmnet-netd 1000 1000 1400 0 1 2"
    is "$(privileges vmnet-spawner)" "vmnet-netd 400 400 1400 0 1 2"
    is "$(privileges vmnet-anchor)" "vmnet-netd 0 0 0 0 1 2"
    is "$(privileges vmnet-relay)" "vmnet-netd 0 0 1400 0 1 2"
    is "$(privileges dnsmasq)" "vmnet-netd 3400 3400 3400 3400 1 2"
    is "$(status_field "$(processes pasta | head -n 1)$(processes passt.avx2)" Uid | cut -f 1)" \
        "$SYSTEM_NETD_UID"
    not grep -q . <<<"$(root_of_ours)"
}

root_of_ours() {
    local pid
    for pid in /proc/[0-9]*; do
        [[ $(readlink "$pid/exe") =~ /(vmnet-(broker|netd)|dnsmasq|pasta.*|passt.*)$ ]] || continue
        [ "$(stat -c %u "$pid")" != 0 ] || grep -q 'listen-address' "$pid/cmdline" || echo "$pid"
    done
}
