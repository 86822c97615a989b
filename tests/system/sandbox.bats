#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What each process still may, as the kernel says. That a call beyond that ends it is told
# by tests/unit/test_sandbox.c; that nothing else does, by all the other system tests.
load lib

teardown() {
    tell_what_happened
    eventually 5 all_are_killed
    rm -rf "/run/user/$WORLD_UID/vmnet-broker" "$(user_home)/.local"
}

# Not at once: until it is killed itself, netd sees to it that others come back.
all_are_killed() {
    local line
    while read -r line; do
        kill -KILL "${line%% *}" 2>/dev/null || true
    done < <(ours)
    nothing_runs
}

none=0000000000000000
network=0000000000003400 # CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW

pid_of() { # NAME -> of the one process of that name and of user $owner
    local pid
    for pid in $(processes "$1"); do
        [ "$(stat -c %u "/proc/$pid")" != "${owner:-$WORLD_UID}" ] || echo "$pid"
    done
}

says() { # NAME FIELD
    sed -n "s/^$2:[[:space:]]*//p" "/proc/$(pid_of "$1")/status"
}

confined() { # NAME CAPABILITIES...
    local set name=$1
    is "$(says "$name" Seccomp)" 2
    is "$(says "$name" NoNewPrivs)" 1
    shift
    for set in CapEff CapPrm CapInh CapAmb; do
        is "$name $set $(says "$name" "$set")" "$name $set $1"
        [ $# = 1 ] || shift
    done
}

everybody_is_there() {
    local name
    for name in vmnet-broker vmnet-starter vmnet-netd vmnet-anchor vmnet-spawner vmnet-relay; do
        running "$name"
    done
}

can_read_memory_of() { # NAME -> with the namespace's capabilities, as dnsmasq has them
    ctl exec -- sh -c "exec </proc/$(pid_of "$1")/mem"
}

sanitized() {
    grep -q __asan_init "$(command -v vmnet-broker)"
}

@test "every process has a filter, no way to more privileges, and only capabilities that it uses" {
    hold shared
    eventually 10 everybody_is_there
    confined vmnet-broker "$none"
    confined vmnet-starter "$none"
    confined vmnet-anchor "$none"
    confined vmnet-spawner "$none"
    confined vmnet-relay "$none"
    confined vmnet-netd "$network" "$network" "$none" "$none"
    confined dnsmasq "$network"
    is "$(says vmnet-netd CapBnd)" "$network"
}

@test "whoever takes dnsmasq over finds netd's memory closed, and the anchor still lets netd in" {
    sanitized && skip "optional: the sanitizers look into netd themselves"
    hold shared
    eventually 10 everybody_is_there
    can_read_memory_of vmnet-anchor
    not can_read_memory_of vmnet-netd
    kill -KILL "$(processes vmnet-netd)"
    eventually 10 running vmnet-netd
    eventually 10 ctl run --network shared --name web -- true
    not can_read_memory_of vmnet-netd
}

@test "a broker that comes to its end ends by itself, and well" {
    local broker
    as_user_in_background foreground timeout 60 vmnet-broker --user
    broker=$!
    eventually 10 test -S "/run/user/$WORLD_UID/vmnet-broker/broker.sock"
    ctl run --network shared --name web -- true
    ctl status >/dev/null
    eventually 10 ctl stop
    wait "$broker"
    eventually 20 nothing_is_left
}

@test "a broker whose starter was killed serves on, and makes way when it needs netd" {
    local broker
    hold shared
    broker=$(broker_pid)
    kill -KILL "$(processes vmnet-starter)"
    ctl run --network host --name a -- true
    is "$(broker_pid)" "$broker"
    kill -KILL "$(processes vmnet-netd)"
    eventually 5 not kill -0 "$broker" 2>/dev/null
    ctl run --network shared --name a -- true
    eventually 10 everybody_is_there
}

@test "root's broker and relay have no capability either, and root's guests get a network" {
    [ "$(id -u)" = 0 ] || skip "optional: we are not root"
    local root=$WORLD/root owner=0
    mkdir -p "$root/run" "$root/state"
    export XDG_RUNTIME_DIR=$root/run XDG_STATE_HOME=$root/state
    timeout 60 vmnet-brokerctl --user acquire shared >"$WORLD/log/root" 2>&1 3>&- 4>&- &
    eventually 10 everybody_is_there
    confined vmnet-broker "$none"
    confined vmnet-anchor "$none"
    confined vmnet-relay "$none"
    confined vmnet-netd "$network" "$network" "$none" "$none"
    vmnet-brokerctl --user run --network shared --name web -- true
    kill "$(processes vmnet-brokerctl | head -n 1)"
    eventually 10 vmnet-brokerctl --user stop
    eventually 20 nothing_runs
    rm -rf "$root"
}
