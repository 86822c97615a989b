#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# How the services of a system instance come and go, by their units: with the first client, when
# nobody has used a network for a while, and by being stopped under running VMs. A VM is a program
# with a TAP here.
load lib
load system
load hosts
export UNITS=yes

setup_file() {
    [ "$(id -u)" = 0 ] || return 0
    make_system_users
    start_system --idle-timeout 1
}

teardown() {
    tell_what_happened_in_system
}

teardown_file() {
    [ "$(id -u)" = 0 ] || return 0
    stop_system
    nothing_is_left_of_system
}

vm_of_alice() { # NAME
    as alice as_user_in_background "vm-$1" vmnet-brokerctl run --network shared --name "$1" -- \
        sleep 600
    eventually 10 alice_has "$1"
    eventually 10 vm_runs alice # its interface comes first
}

alice_has() { # NAME
    [ "$(as alice status_of shared "'$1' in [i['name'] for i in n['interfaces']]")" = True ]
} 2>/dev/null

end_vms() {
    local pid
    for pid in $(processes sleep); do
        [ "$(stat -c %u "/proc/$pid")" != 4101 ] || kill "$pid"
    done
}

@test "both services leave when nobody has used a network for the idle time, and come with the next client" {
    as alice ctl run --network shared -- true
    eventually 20 system_is_over
    is "$(ip -o link show type veth | grep -c vmb)" 0
    as bob ctl --system run --network shared -- true
    eventually 20 system_is_over
}

@test "stopped one after the other under a running VM, the services come back and have it" {
    vm_of_alice web
    local identity
    identity=$(as alice status_of shared "[(i['mac_address'], i['ipv4_address']) for i in n['interfaces']]")
    kill "$(processes vmnet-netd)"
    eventually 20 alice_has web
    kill "$(processes vmnet-broker)"
    eventually 20 alice_has web
    kill "$(processes vmnet-broker)" "$(processes vmnet-netd)"
    eventually 20 alice_has web
    is "$(as alice status_of shared "[(i['mac_address'], i['ipv4_address']) for i in n['interfaces']]")" \
        "$identity"
    end_vms
    eventually 30 system_is_over
}

kill_everything() {
    local pid
    while read -r pid _; do kill -KILL "$pid" 2>/dev/null || true; done < <(system_processes)
}

host_is_clean() {
    is "$(ip -o link | cut -d: -f2 | tr -d ' ' | sort | tr '\n' ' ')" "eth0@if2 lo " &&
        is "$(nft list ruleset)" ""
} 2>/dev/null

@test "after kill -9 of everything, the VM too, the next start leaves nothing in the host" {
    local round
    for round in 1 2 3; do
        vm_of_alice "web$round"
        kill_everything
        end_vms
        eventually 20 system_answers
        eventually 20 system_is_over
        eventually 20 host_is_clean
    done
}

@test "after kill -9 of everything but the VM, others get networks, and nothing is left when it ends" {
    vm_of_alice web
    kill_everything
    eventually 20 system_answers
    as bob ctl run --network shared -- true
    end_vms
    eventually 30 system_is_over
    host_is_clean
}

shared_is_gone() {
    not as alice network_exists shared
} 2>/dev/null

no_problem() {
    is "$(problems)" ""
} 2>/dev/null

@test "a warning of what overlapped a network ends with that network, while the instance lives on" {
    local holder
    as alice hold host
    holder=$!
    vm_of_alice web
    overlap_comes "$(as alice status_of shared "n['status']['network']['ipv4_subnet']")"
    eventually 15 problem_is "overlaps a network's subnet"
    end_vms
    eventually 20 shared_is_gone
    eventually 20 no_problem
    vpn_goes
    vm_of_alice web
    eventually 15 uplink_is shared ok
    eventually 15 no_problem
    end_vms
    kill "$holder"
    eventually 30 system_is_over
    host_is_clean
}

# Once, which is all that systemd-socket-activate does.
activate_once() { # UNIT SOCKET OPTION...
    systemd-socket-activate -E NOTIFY_SOCKET="$WORLD/notify" --listen="$2" "${@:3}" \
        python3 "$WORLD/scripts/as_unit.py" "$UNIT_DIR/$1.service" --idle-timeout 1 \
        >>"$SYSTEM_LOG" 2>&1 </dev/null 3>&- 4>&- 5>&- &
    eventually 10 test -S "$2"
    chown "$(setting "$1.socket" SocketUser):$(setting "$1.socket" SocketGroup)" "$2"
    chmod "$(setting "$1.socket" SocketMode)" "$2"
}

@test "systemd-socket-activate, too, starts each service with its first client" {
    stop_units
    activate_once vmnet-netd /run/vmnet-netd/netd.sock --seqpacket
    activate_once vmnet-broker /run/vmnet-broker/broker.sock
    not running vmnet-broker
    as alice ctl run --network shared -- true
    eventually 20 system_is_over
    rm /run/vmnet-broker/broker.sock /run/vmnet-netd/netd.sock
    host_is_clean
}
