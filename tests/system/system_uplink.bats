#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pasta in a system instance, by its units: a user of its own, unprivileged, and nobody's orphan.
# Guests, alice's, on a network whose way out is pasta: web; then db, where vmnet-uplink is missing, and
# kern, when it is back.
load lib
load system
load hosts
export UNITS=yes

setup_file() {
    [ "$(id -u)" = 0 ] || skip "optional: a system instance has several users, and only root has them"
    make_system_users
    mkdir -p "$WORLD/definitions"
    echo '{ "mode": "shared", "uplink": "user" }' >"$WORLD/definitions/out.json"
    chmod -R a+rX "$WORLD/definitions"
    start_system --config-dir "$WORLD/definitions" --idle-timeout 1
    as alice start_guest web --network out
    wait_guests web
}

teardown() {
    tell_what_happened_in_system
}

teardown_file() {
    [ "$(id -u)" = 0 ] || return 0
    stop_guests web db kern
    stop_system
    nothing_is_left_of_system && is "$(engines)" ""
}

reaches_the_internet() { # [GUEST]
    reaches "${1:-web}" "$FOUR" && reaches "${1:-web}" "$SIX"
}

# The one engine there is, which is not the one named.
other_engine() { # PID
    [ "$(engines | wc -l)" = 1 ] && [ "$(engines)" != "$1" ]
} 2>/dev/null

is_of() { # PID NAME -> real, effective, saved and file system's ids, and no other group
    local uid gid
    uid=$(id -u "$2") gid=$(id -g "$2")
    is "$(status_field "$1" Uid | tr -s '\t' ' ')" "$uid $uid $uid $uid"
    is "$(status_field "$1" Gid | tr -s '\t' ' ')" "$gid $gid $gid $gid"
    is "$(status_field "$1" Groups | tr -d ' ')" ""
}

is_replaced_after() { # ENGINE
    eventually 20 other_engine "$1"
    eventually 20 reaches_the_internet
    is_of "$(engines)" vmnet-uplink
}

acquire() { # NETWORK -> a client that holds it until it is killed; its pid in $!
    as alice as_user_in_background "hold-$1" vmnet-brokerctl acquire "$1"
}

@test "pasta is a user of its own, with no right over the host" {
    eventually 15 reaches_the_internet
    local engine
    engine=$(engines)
    is_of "$engine" vmnet-uplink
    is_of "$(processes vmnet-anchor)" vmnet-uplink
    # What it has holds over the namespace of netd's networks only; it speaks in the host's network.
    not is "$(readlink "/proc/$engine/ns/user")" "$(readlink /proc/self/ns/user)"
    is "$(readlink "/proc/$engine/ns/user")" "$(readlink "/proc/$(processes vmnet-anchor)/ns/user")"
    is "$(readlink "/proc/$engine/ns/net")" "$(readlink /proc/self/ns/net)"
    # 400 NET_BIND_SERVICE, 200000 SYS_ADMIN: with which it enters the network namespace.
    is $((0x$(status_field "$engine" CapEff) & ~0x200400)) 0
    is "$(status_field "$engine" CapAmb)$(status_field "$engine" CapInh)" "$(printf %032d 0)"
    is "$(status_field "$engine" NoNewPrivs)$(status_field "$engine" Seccomp)" 12
}

@test "nobody of ours keeps the right to become another user" {
    local name pid field
    for name in vmnet-netd vmnet-hostside vmnet-spawner vmnet-relay vmnet-anchor dnsmasq; do
        pid=$(system_process "$name")
        [ -n "$pid" ]
        for field in CapEff CapPrm CapInh CapAmb; do # c0: SETUID, SETGID
            is "$name $field $((0x$(status_field "$pid" $field) & 0xc0))" "$name $field 0"
        done
    done
}

@test "an engine that is killed, or stopped, is replaced" {
    local engine
    engine=$(engines)
    kill -KILL "$engine"
    is_replaced_after "$engine"
    engine=$(engines)
    kill -STOP "$engine"
    is_replaced_after "$engine"
}

@test "an anchor that is killed is replaced, by the same user, and engines enter by that" {
    local anchor engine
    anchor=$(processes vmnet-anchor) engine=$(engines)
    kill -KILL "$anchor"
    eventually 10 another_anchor "$anchor"
    is_of "$(processes vmnet-anchor)" vmnet-uplink
    kill -KILL "$engine" 2>/dev/null || true
    is_replaced_after "$engine"
}

another_anchor() { # PID
    [ "$(processes vmnet-anchor | wc -l)" = 1 ] && [ "$(processes vmnet-anchor)" != "$1" ]
} 2>/dev/null

@test "after kill -9 of netd, or of its spawner, the next netd has an engine, and that alone" {
    local who engine
    for who in vmnet-netd vmnet-spawner; do
        engine=$(engines)
        kill -KILL "$(processes "$who")"
        is_replaced_after "$engine"
    done
}

@test "the engine of an interface of the host's ends with netd" {
    echo '{ "mode": "shared", "uplink": "user", "external_interface": "eth0" }' \
        >"$WORLD/definitions/by.json"
    chmod a+r "$WORLD/definitions/by.json"
    local holder engine netd
    acquire by
    holder=$!
    eventually 40 engines_are 2
    engine=$(pgrep -f -- '--outbound-if4 eth0')
    is_of "$engine" vmnet-uplink
    netd=$(processes vmnet-netd)
    kill -KILL "$netd" "$(processes vmnet-spawner)"
    eventually 20 is_no_process "$engine"
    eventually 40 engines_are 2
    kill "$holder"
    eventually 40 engines_are 1
    eventually 20 reaches_the_internet
}

engines_are() { # HOW-MANY
    [ "$(engines | wc -l)" = "$1" ]
}

is_no_process() { # PID
    [ ! -e "/proc/$1/exe" ]
}

@test "with the journal lost, all of theirs is found and ended, the other user's too" {
    stop_guests web
    eventually 20 system_is_over # so that what we find is not what just ends
    acquire out
    local holder=$! engine anchor
    eventually 40 engines_are 1
    engine=$(engines) anchor=$(processes vmnet-anchor)
    kill -KILL "$(processes vmnet-netd)" "$(processes_of "$SYSTEM_BROKER_UID" vmnet-broker)" "$holder"
    rm /var/lib/vmnet-netd/netd/journal{,.copy}
    eventually 20 system_answers
    as alice ctl run --network out -- true
    is_no_process "$engine"
    is_no_process "$anchor"
    eventually 20 system_is_over
    is "$(engines)" ""
}

@test "without that user pasta is netd's, and the log names the remedy" {
    grep -v '^vmnet-uplink:' /etc/passwd >"$WORLD/passwd"
    mount --bind "$WORLD/passwd" /etc/passwd
    as alice start_guest db --network out
    wait_guests db
    eventually 15 reaches_the_internet db
    is "$(status_field "$(engines)" Uid | cut -f 1)" "$SYSTEM_NETD_UID"
    grep "pasta will be the same user as we are: the user vmnet-uplink is not there (systemd-sysusers" \
        "$SYSTEM_LOG"
    umount /etc/passwd
    # The user comes, the namespaces stay.
    local engine
    engine=$(engines)
    kill -KILL "$(processes vmnet-netd)"
    eventually 20 other_engine "$engine"
    is "$(status_field "$(engines)" Uid | cut -f 1)" "$SYSTEM_NETD_UID"
    grep "since the namespaces are an earlier vmnet-netd's" "$SYSTEM_LOG"
    stop_guests db
    eventually 20 system_is_over
    as alice start_guest kern --network out
    wait_guests kern
    eventually 15 reaches_the_internet kern
    is_of "$(engines)" vmnet-uplink
}
