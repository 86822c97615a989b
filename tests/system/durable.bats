#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What happens to the state directory happens to no VM: a full disk, one that cannot be written
# to, a journal that is cut or lost. A VM is a process that holds a TAP here; what guests
# notice of deaths is told by deaths.bats.
load lib

STATE=$(user_home)/.local/state

setup() {
    install -d -m 700 "$(user_home)/.local" "$STATE"
    [ "$(id -u)" != 0 ] || chown "$WORLD_UID:$WORLD_UID" "$(user_home)/.local" "$STATE"
}

teardown() {
    tell_what_happened
    all_is_forgotten "$STATE"
}

# The state directory on a file system of its own, of this many KiB.
small_state() {
    mount -t tmpfs -o "size=$1k,mode=0700,uid=$WORLD_UID,gid=$WORLD_UID" state "$STATE"
}

start_vm() { # NETWORK NAME
    as_user_in_background "vm-$2" vmnet-brokerctl run --network "$1" --name "$2" -- sleep 300
    eventually 10 vm_is_there "$1" "$2"
}

vm_is_there() { # NETWORK NAME
    has " $(vms_on "$1") " " $2 "
} 2>/dev/null

vms_on() { # NETWORK
    status_of "$1" "' '.join(sorted(i['name'] for i in n['interfaces']))"
}

stop_vm() { # NAME -> and with it the sleep
    kill -TERM "$(pgrep -f "vmnet-brokerctl run .* --name $1 ")"
}

vms_are() { # NETWORK NAME...
    local network=$1
    shift
    is "$(vms_on "$network")" "$*"
} 2>/dev/null

# netd and broker, so that both have to find again what there is.
both_die() {
    local broker netd
    broker=$(broker_pid) netd=$(processes vmnet-netd)
    kill -KILL "$broker" "$netd"
    eventually 20 not kill -0 "$broker" 2>/dev/null
    eventually 20 not kill -0 "$netd" 2>/dev/null
}

# Whoever writes there may just be taking a file away.
fill() {
    eventually 20 full 2>/dev/null
}

full() {
    as_user dd if=/dev/zero "of=$STATE/filler" bs=1k oflag=append conv=notrunc || true
    is "$(df --output=avail "$STATE" | tail -n 1 | tr -d ' ')" 0
}

refused_with() { # PATTERN COMMAND...
    local pattern=$1
    shift
    run "$@"
    not is "$status" 0
    has "$output" "$pattern"
} 2>/dev/null

@test "on a full disk nothing new is begun, and what runs goes on, ends and comes back" {
    small_state 700
    start_vm shared a
    start_vm shared b
    fill
    refused_with "cannot write to $STATE/vmnet-broker/netd*: *; make room there" \
        ctl run --network host --name c -- true
    not network_exists host
    stop_vm b
    eventually 10 vms_are shared a
    both_die
    start_broker
    eventually 10 vms_are shared a
    kill -KILL "$(pid_of_dnsmasq)"
    eventually 10 running_dnsmasq
    stop_vm a
    eventually 10 vms_are shared
    rm "$STATE/filler"
    ctl run --network host --name c -- true
    stop_everything
    nothing_is_left
}

@test "on a disk without a byte left a new netd waits for room, and leaves everything as it is" {
    small_state 700
    start_vm shared a
    fill
    kill -STOP "$(broker_pid)"
    kill -KILL "$(processes vmnet-netd)"
    rm "$STATE/vmnet-broker/netd/journal.spare"
    fill
    kill -CONT "$(broker_pid)"
    eventually 10 has_problem "cannot write to $STATE/vmnet-broker/netd: *; make room there"
    running_dnsmasq
    rm "$STATE/filler"
    eventually 20 has_problem "\[\]"
    vms_are shared a
    ctl run --network host --name c -- true
}

has_problem() { # PATTERN
    has "$(ctl status --json | pick "d['broker']['problems']")" "$1"
} 2>/dev/null

@test "a network is removed although the disk is full" {
    small_state 700
    ctl run --network shared --name a -- true
    fill
    stop_everything
    rm "$STATE/filler"
    nothing_is_left
}

@test "a state directory that cannot be written to: nothing new is begun, what runs goes on" {
    start_vm shared a
    chmod 500 "$STATE/vmnet-broker/netd"
    refused_with "cannot write to $STATE/vmnet-broker/netd: *; make it writable" \
        ctl run --network host --name c -- true
    refused_with "make it writable" ctl run --network shared --name b -- true
    vms_are shared a
    chmod 700 "$STATE/vmnet-broker/netd"
    ctl run --network host --name c -- true
    vms_are shared a
}

pid_of_dnsmasq() {
    pgrep -u "$WORLD_UID" -x dnsmasq
}

running_dnsmasq() {
    pid_of_dnsmasq >/dev/null
}

# All by which somebody could enter the namespace, and whoever would make another.
namespace_is_lost() {
    local all
    mapfile -t all < <(broker_pid; processes vmnet-netd; processes vmnet-anchor; pid_of_dnsmasq)
    kill -STOP "${all[@]}"
    kill -KILL "${all[@]}"
    eventually 20 not running vmnet-anchor
}

subnet_of() { # NETWORK
    status_of "$1" "n['status']['network']['ipv4_subnet']"
}

@test "the namespace is lost under a VM: its subnet stays reserved, by status too, until it ends" {
    local before
    start_vm shared a
    start_vm host b
    before=$(subnet_of shared)
    namespace_is_lost
    ctl run --network shared --name c -- true
    has_problem "network 'shared' ($before) was lost with its namespace, and process * still has a VM"
    has_problem "network 'host' * was lost"
    not is "$(subnet_of shared)" "$before" 2>/dev/null
    # A definition that wants just this subnet hears who has it, and netd's own death changes nothing.
    both_die
    start_broker
    eventually 10 has_problem "network 'shared' ($before) was lost"
    stop_vm b
    eventually 10 not has_problem "network 'host'"
    has_problem "network 'shared' ($before) was lost"
    stop_vm a
    eventually 10 has_problem "\[\]"
    stop_everything
    nothing_is_left
}

@test "both copies of the journal are lost with netd: VMs keep their networks, which end with the last" {
    start_vm shared a
    local old
    old=$(processes vmnet-anchor)
    kill -STOP "$(broker_pid)"
    kill -KILL "$(processes vmnet-netd)"
    rm -r "$STATE/vmnet-broker/netd"
    kill -CONT "$(broker_pid)"
    eventually 10 ctl run --network shared --name b -- true
    kill -0 "$old"
    nsenter -t "$old" -n ip -o link show vt0.0 | grep -q UP
    grep -q "journal in $STATE/vmnet-broker/netd was lost" "$STATE/vmnet-broker/netd.log"
    stop_vm a
    eventually 10 not kill -0 "$old" 2>/dev/null
    stop_everything
    nothing_is_left
}

@test "without a VM they end at once" {
    local old
    hold shared
    old=$(processes vmnet-anchor)
    kill -STOP "$(broker_pid)"
    kill -KILL "$(processes vmnet-netd)"
    rm -r "$STATE/vmnet-broker/netd"
    kill -CONT "$(broker_pid)"
    eventually 10 not kill -0 "$old" 2>/dev/null
    kill -TERM "$(pgrep -f 'vmnet-brokerctl acquire')"
    stop_everything
    nothing_is_left
}

@test "a TAP that was opened by name does not keep them" {
    local old run opener
    as_user_in_background vm-named vmnet-brokerctl run --in-namespace --network shared -- \
        python3 "$WORLD/scripts/open_tap.py" '{tap}'
    eventually 10 grep -q "is open" "$WORLD/log/vm-named"
    old=$(processes vmnet-anchor)
    run=$(pgrep -f '^vmnet-brokerctl run --in-namespace')
    opener=$(pgrep -f '^python3 .*open_tap.py vt')
    kill -STOP "$(broker_pid)"
    kill -KILL "$(processes vmnet-netd)"
    rm -r "$STATE/vmnet-broker/netd"
    kill -CONT "$(broker_pid)"
    eventually 10 ctl run --network shared --name b -- true
    kill -0 "$old"
    kill -KILL "$run" "$opener"
    eventually 10 not kill -0 "$old" 2>/dev/null
    stop_everything
    nothing_is_left
}

# As in a container: the same user, program and arguments, with processes and files of its own.
container_runs() { # COMMAND...
    unshare --pid --fork --kill-child --mount --propagation private -- bash -c '
        mount -t proc proc /proc
        for dir in "$0" "/run/user/$WORLD_UID"; do
            mount -t tmpfs -o "mode=0700,uid=$WORLD_UID,gid=$WORLD_UID" inner "$dir"
        done
        . tests/system/world.bash
        (user_shoes "$@")
        exit' "$STATE" "$@" >"$WORLD/log/container" 2>&1 </dev/null 3>&- 4>&- 5>&- &
}

@test "the netd of a container, called as ours is, leaves nobody orphans" {
    export WORLD_UID
    container_runs vmnet-brokerctl run --network shared --name inner -- sleep 300
    local container=$! anchor
    eventually 10 running vmnet-anchor
    eventually 10 running_dnsmasq
    anchor=$(processes vmnet-anchor)
    # Left behind by one that was killed: only then a new netd looks around.
    as_user mkdir -m 700 "/run/user/$WORLD_UID/vmnet-broker"
    as_user python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(sys.argv[1])' \
        "/run/user/$WORLD_UID/vmnet-broker/netd.sock"
    ctl run --network shared --name b -- true
    kill -0 "$anchor"
    not grep "journal.* lost" "$STATE/vmnet-broker/netd.log"
    kill -KILL "$container"
    eventually 10 not kill -0 "$anchor" 2>/dev/null
    stop_everything
    nothing_is_left
}
