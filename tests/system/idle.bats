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
    eventually 10 all_are_killed
    ! mountpoint -q "$RUNTIME" || umount -l "$RUNTIME"
    rm -rf "$RUNTIME/vmnet-broker" "$(user_home)/.local"
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
