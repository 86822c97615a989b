#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Brokers and networks come when they are asked for and go when nobody needs them.
load lib

teardown() {
    tell_what_happened
    unset VMNET_BROKER_PROGRAM
    all_is_forgotten
}

# By a client: one that comes a moment after start_broker might find that it has left.
clients_start_broker() { # OPTIONS...
    printf '#!/bin/sh\nexec vmnet-broker "$@" %s\n' "$*" >"$WORLD/broker"
    chmod 755 "$WORLD/broker"
    export VMNET_BROKER_PROGRAM=$WORLD/broker
}

id_of() { # NETWORK
    status_of "$1" "n['status']['network']['id']"
}

state_of() { # NETWORK
    ctl list --json | pick "[n['state'] for n in d if n['name'] == '$1']"
}

@test "the first client starts the broker, and an unused broker stops when asked, leaving nothing" {
    not running vmnet-broker
    hold shared
    running vmnet-broker
    kill -TERM "$(processes vmnet-brokerctl)"
    stop_everything
    nothing_is_left
}

@test "where no broker runs a user has no network, and the system's is missed" {
    local socket=/run/vmnet-broker/broker.sock
    ctl --user list
    ctl --user status
    ctl --user forward list
    the_system_is_missed # there is no socket
    mkdir /run/vmnet-broker
    python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])' $socket
    chmod 666 $socket
    the_system_is_missed # a dead one's is left
    rm -r /run/vmnet-broker
}

the_system_is_missed() {
    local verb got
    for verb in list status "forward list"; do
        # shellcheck disable=SC2086 # two words
        got=$(not ctl --system $verb --json 2>&1)
        has "$got" "the system's broker is not running"
        not has "$got" "[[]" 2>/dev/null # as if there were no network
    done
    ctl --system stop
}

@test "stop refuses while somebody holds a network, and says who" {
    hold shared
    run ctl stop
    not is "$status" 0 2>/dev/null
    has "$output" shared
    running vmnet-broker
}

@test "ten clients racing to start the broker end on one" {
    local i
    for i in 0 1 2 3 4 5 6 7 8 9; do
        as_user_in_background "race-$i" vmnet-brokerctl acquire shared
    done
    eventually 20 clients_are 10
    is "$(broker_pid | wc -l)" 1
    is "$(processes vmnet-netd | wc -l)" 1
}

clients_are() {
    is "$(ctl list --json | pick "sum(n['clients'] for n in d)")" "$1" 2>/dev/null
}

@test "the broker does not die with its first client's process group" {
    local leader
    as_user_in_background session setsid vmnet-brokerctl acquire shared
    eventually 10 network_exists shared
    leader=$(processes vmnet-brokerctl)
    is "$(ps -o pgid= -p "$leader" | tr -d ' ')" "$leader"
    kill -KILL "-$leader"
    eventually 20 clients_are 0
    running vmnet-broker
}

@test "a client killed with SIGKILL releases what it held" {
    start_broker --idle-timeout 60
    hold shared
    is "$(state_of shared)" "['ready']"
    kill -KILL "$(processes vmnet-brokerctl)"
    eventually 20 network_is shared idle
}

network_is() {
    is "$(state_of "$1")" "['$2']" 2>/dev/null
}

@test "whoever holds a network goes on holding it when the broker is killed or ended" {
    local id signal
    hold shared
    as_user_in_background command vmnet-brokerctl acquire shared -- sleep 60
    eventually 10 clients_are 2
    id=$(id_of shared)
    for signal in KILL TERM; do
        kill -"$signal" "$(broker_pid)"
        eventually 10 clients_are 2
        is "$(id_of shared)" "$id"
    done
    kill -TERM "$(processes vmnet-brokerctl | head -n 1)"
    eventually 10 clients_are 1
}

@test "without a broker that can be started, whoever only holds a network says so and fails" {
    hold shared
    chmod 000 "$(user_home)/.local/state/vmnet-broker"
    kill -KILL "$(broker_pid)"
    eventually 20 not running vmnet-brokerctl 2>/dev/null
    chmod 700 "$(user_home)/.local/state/vmnet-broker"
    has "$(cat "$WORLD/log/hold-shared")" "our hold on network 'shared'"
}

@test "a network that nobody uses is removed after the idle timeout, and the broker exits after it" {
    clients_start_broker --idle-timeout 1
    hold shared
    kill -TERM "$(processes vmnet-brokerctl)"
    eventually 10 nothing_runs
    nothing_is_left
}

@test "an acquire within the idle timeout keeps the network" {
    local id
    clients_start_broker --idle-timeout 8 # time enough for us to come
    hold shared
    id=$(id_of shared)
    kill -TERM "$(processes vmnet-brokerctl)"
    eventually 20 network_is shared idle
    hold shared
    sleep 9
    is "$(id_of shared)" "$id"
    is "$(state_of shared)" "['ready']"
}

@test "a TAP that is still open keeps its network, although the client has let go" {
    clients_start_broker --idle-timeout 1
    as_user_in_background tap vmnet-brokerctl run --network shared --name vm -- sleep 60
    eventually 10 network_exists shared
    eventually 10 pgrep -fx "sleep 60" >/dev/null
    kill -KILL "$(processes vmnet-brokerctl)"
    sleep 3
    is "$(status_of shared "len(n['interfaces'])")" 1
    kill -KILL "$(ours | sed -n 's, /.*sleep$,,p')"
    eventually 10 nothing_runs
}

@test "a client that comes while the broker exits gets a network all the same" {
    local i
    for i in 1 2 3; do
        start_broker --idle-timeout 1
        sleep "1.0$i"
        WITHIN=15 ctl acquire shared -- true
        stop_everything
    done
}

@test "who connects at the moment in which the broker leaves is answered, whoever it is" {
    WITHIN=120 as_user python3 "$WORLD/scripts/last_call.py" 300
}

slow_netd() { # PID -> of a netd; $WORLD/slow-netd takes its time to become another one
    printf '#!/bin/sh\nsleep 3\nexec %s "$@"\n' "$(readlink "/proc/$1/exe")" >"$WORLD/slow-netd"
    chmod 755 "$WORLD/slow-netd"
}

@test "a broker that is ended while it starts netd takes that along" {
    local client
    hold shared
    slow_netd "$(processes vmnet-netd)"
    kill "$(processes vmnet-brokerctl)"
    stop_everything
    as_user env VMNET_BROKER_NETD="$WORLD/slow-netd" vmnet-broker --user --background
    as_user_in_background asks vmnet-brokerctl acquire shared
    client=$!
    eventually 10 running slow-netd
    kill -KILL "$client"
    kill "$(broker_pid)"
    eventually 15 nothing_runs # netd by itself would stay for two minutes
}

@test "the network has a new id after it was created anew, and the same subnet" {
    local id subnet
    clients_start_broker --idle-timeout 1
    hold shared
    id=$(id_of shared)
    subnet=$(status_of shared "n['status']['network']['ipv4_subnet']")
    kill -TERM "$(processes vmnet-brokerctl)"
    eventually 10 nothing_runs
    hold shared
    not is "$(id_of shared)" "$id" 2>/dev/null
    is "$(status_of shared "n['status']['network']['ipv4_subnet']")" "$subnet"
}

@test "while the helper hangs, the broker answers: held networks, lists and new connections" {
    local netd
    hold shared
    netd=$(processes vmnet-netd)
    # shellcheck disable=SC2086 # netd and what it keeps beside it, one or several
    kill -STOP $netd
    as_user_in_background waits vmnet-brokerctl acquire host
    sleep 0.3
    WITHIN=8 ctl acquire shared -- true
    WITHIN=8 ctl list --json
    WITHIN=8 ctl status --json
    # shellcheck disable=SC2086
    kill -CONT $netd
    eventually 10 network_is host ready
}

@test "networks that are not defined, misnamed or misspelt are refused, each with its number" {
    run ctl acquire nowhere -- true
    not is "$status" 0 2>/dev/null
    has "$output" nowhere
    run ctl acquire ../shared -- true
    not is "$status" 0 2>/dev/null
    run ctl acquire "" -- true
    not is "$status" 0 2>/dev/null
}

@test "run passes on the command's exit status, and its own failure is another" {
    run ctl run --network shared -- sh -c 'exit 42'
    is "$status" 42
    run -127 ctl run --network shared -- /nonexistent
}

@test "run fills in the descriptor, the MAC, the MTU and the address" {
    run ctl run --network shared --name vm -- sh -c 'echo {mac} {mtu} {ip} $VMNET_MAC_0; test -e /proc/self/fd/{fd}'
    is "$status" 0
    [[ $output =~ ([0-9a-f:]{17})\ 1500\ (192\.168\.[0-9]+\.[0-9]+)\ ([0-9a-f:]{17}) ]]
    is "${BASH_REMATCH[1]}" "${BASH_REMATCH[3]}"
}

@test "a subnet that the host itself has a route to is not taken" {
    ip link add lan type bridge
    ip addr add 192.168.64.7/24 dev lan
    ip link set lan up
    hold shared
    is "$(status_of shared "n['status']['network']['ipv4_subnet']")" 192.168.65.0/24
    ip link del lan
}
