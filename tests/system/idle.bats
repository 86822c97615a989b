#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who has nothing to do sleeps: what there is to notice, the kernel tells.
load lib

setup() {
    RUNTIME=/run/user/$WORLD_UID # which a login mounts, and a logout takes away
    mount -t tmpfs -o "mode=700,uid=$WORLD_UID,gid=$WORLD_UID" runtime "$RUNTIME"
    start_broker
}

teardown() {
    tell_what_happened
    all_is_forgotten "$RUNTIME"
}

sockets() { # -> those that are there
    find "$RUNTIME" -type s -printf '%f\n' | sort | tr '\n' ' '
}

both_sockets() {
    is "$(sockets)" "broker.sock netd.sock "
} 2>/dev/null

@test "a runtime directory that is unmounted or renamed under the sockets comes back, with the networks" {
    local broker netd
    hold shared
    broker=$(broker_pid) netd=$(processes vmnet-netd)
    umount -l "$RUNTIME"
    eventually 10 both_sockets
    mv "$RUNTIME/vmnet-broker" "$RUNTIME/away"
    rm -r "$RUNTIME/away"
    eventually 10 both_sockets
    network_exists shared
    is "$(broker_pid)" "$broker"
    kill "$broker"
    eventually 20 network_exists shared
    is "$(processes vmnet-netd)" "$netd"
}

# How often each process of ours has gone to sleep, and so been woken: "NAME PID TIMES" each.
# dnsmasq and the uplink's engine are not ours.
sleeps() {
    local name pid
    for name in vmnet-{broker,netd,spawner,relay,forwarder,anchor}; do
        for pid in $(processes "$name"); do
            echo "$name $pid $(sed -n 's/^voluntary_ctxt_switches:\s*//p' "/proc/$pid/status")"
        done
    done
}

# For a while. What the kernel has to tell (an address that is found to be nobody else's, a
# neighbour) wakes whom it concerns, but not for ever: one such while in a minute is enough.
all_sleep() {
    local before
    for _ in {1..10}; do
        before=$(sleeps)
        sleep 6
        [ "$(sleeps)" != "$before" ] || return 0
        diff <(echo "$before") <(sleeps) >&2 || true
    done
    return 1
}

@test "no process of ours wakes while a network is held, a VM is on it and a port leads to that" {
    as_user_in_background vm vmnet-brokerctl run --network shared --name web -p 2222:22 -- \
        sleep 600
    eventually 20 running vmnet-forwarder
    eventually 20 uplink_is_ok
    all_sleep
    eventually 10 alarms_are "" # nor later: a period may be longer than the while
}

uplink_is_ok() {
    is "$(status_of shared "n['status']['network']['uplink']")" ok
} 2>/dev/null

@test "nor while nobody holds a network, before they leave" {
    hold shared
    kill "$(processes vmnet-brokerctl)"
    all_sleep
    alarms_are "vmnet-broker timer *" # when the network has been idle for long enough
    running vmnet-netd
}
