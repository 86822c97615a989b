#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A VM that can only open a TAP by its name runs inside the namespace. Its TAP lives as others
# do: as long as whoever asked for it or the VM itself has it, whatever of ours dies.
load lib

OPEN_TAP=$WORLD/scripts/open_tap.py

setup_file() {
    local command
    start_broker
    mapfile -t command < <("$GUEST" command named \
        --nic 'ifname={tap},script=no,downscript=no/{mac}')
    as_user_in_background guest-named vmnet-brokerctl run --in-namespace --network shared \
        --name named -- "${command[@]}"
    start_guest other --network shared
    wait_guests named other
}

teardown() {
    tell_what_happened
}

teardown_file() {
    stop_guests named other
    stop_everything
    nothing_is_left
}

kept() { # -> the networks' TAPs that stay by themselves
    ctl exec ip -d -o link show type tun | sed -n 's/^[0-9]*: \(vt[0-9.]*n\): .* persist on .*/\1/p'
}

tap_of() { # NAME -> the TAP of the VM of that name
    status_of shared "[i['tap'] for i in n['interfaces'] if i.get('name') == '$1'][0]"
}

vm_lives() { # NAME
    is "$(vms_called "$1")" 1
} 2>/dev/null

vm_is_gone() { # NAME
    is "$(vms_called "$1")" 0
} 2>/dev/null

vms_called() { # NAME -> how many
    status_of shared "len([i for i in n['interfaces'] if i.get('name') == '$1'])"
}

opened() { # LOG
    grep -q "is open" "$WORLD/log/$1"
}

pid_of() { # PATTERN -> of the ordinary user's processes the one whose command line has it
    local pid
    for pid in $(ours | cut -d' ' -f1); do
        tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "$1" && echo "$pid"
    done
    return 0
}

has_pid() { # PATTERN
    [ -n "$(pid_of "$1")" ]
}

start_vm() { # NAME -> one without a guest, which has its TAP open
    as_user_in_background "vm-$1" vmnet-brokerctl run --in-namespace --network shared --name "$1" \
        -- python3 "$OPEN_TAP" '{tap}'
    eventually 20 opened "vm-$1"
}

@test "QEMU opens its TAP by name, gets its address, and finds its neighbours and the internet" {
    is "$(address_of named)" "$(status_of shared \
        "[i['ipv4_address'] for i in n['interfaces'] if i.get('name') == 'named'][0]")"
    in_guest named ping -c 1 -W 5 other
    in_guest other ping -c 1 -W 5 named
    has "$(fetch named http://www.example.test/n)" "the internet has /n"
}

@test "what it may send is watched as that of others" {
    in_guest named ip link set eth0 address 52:54:00:99:99:99
    not in_guest named ping -c 1 -W 2 "$(address_of other)"
    in_guest named ip link set eth0 address "$(status_of shared \
        "[i['mac_address'] for i in n['interfaces'] if i.get('name') == 'named'][0]")"
    eventually 20 in_guest named ping -c 1 -W 2 "$(address_of other)"
}

@test "the command has no capabilities, and may open its TAP again and again" {
    run ctl run --in-namespace --network shared --network host --name again -- sh -c \
        "python3 $OPEN_TAP {tap} 0; python3 $OPEN_TAP {tap1} 0; python3 $OPEN_TAP \$VMNET_TAP_0 0
         echo {mac} \$VMNET_MAC_0 {ip1} \${VMNET_FD_0-none}"
    is "$status" 0
    is "$(grep -c 'capabilities 0000000000000000' <<<"$output")" 3
    [[ ${lines[3]} =~ ^([0-9a-f:]{17})\ ([0-9a-f:]{17})\ 192\.168\.[0-9.]+\ none$ ]]
    is "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    eventually 20 vm_is_gone again
}

@test "several queues are opened by several openers" {
    ctl run --in-namespace --network shared,queues=2 -- python3 -c '
import fcntl, os, struct, sys
fds = [os.open("/dev/net/tun", os.O_RDWR) for _ in range(2)]
for fd in fds:
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", sys.argv[1].encode(), 0x5102))' '{tap}'
}

@test "a command that never opens it leaves no TAP behind" {
    local tap
    tap=$(ctl run --in-namespace --network shared --name never -- echo '{tap}')
    eventually 20 vm_is_gone never
    is "$(kept)" "$(tap_of named)"
    is "$(find "$(user_home)/.local/state" -name "$tap.held")" ""
}

@test "whoever gives its TAP a neighbour's MAC loses it, although it is held" {
    as_user_in_background vm-bent vmnet-brokerctl run --in-namespace --network shared --name bent \
        -- python3 -c '
import fcntl, os, struct, sys, time
fd = os.open("/dev/net/tun", os.O_RDWR)
tap, mac = sys.argv[1].encode(), bytes.fromhex(sys.argv[2].replace(":", ""))
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", tap, 0x5002))
print("bent" if fcntl.ioctl(fd, 0x8924, struct.pack("16sH6s16x", tap, 1, mac)) else "", flush=True)
time.sleep(600)' '{tap}' "$(status_of shared \
        "[i['mac_address'] for i in n['interfaces'] if i.get('name') == 'other'][0]")"
    eventually 10 grep -qx bent "$WORLD/log/vm-bent"
    eventually 20 vm_is_gone bent
    kill -TERM "$(pid_of '^vmnet-brokerctl run .*--name bent')"
    in_guest named ping -c 1 -W 5 other
}

@test "a VM that is killed takes its TAP along" {
    start_vm killed
    kill -KILL "$(pid_of '^python3 .*open_tap')"
    eventually 20 vm_is_gone killed
}

@test "a VM whose run is killed keeps its TAP, and then takes it along" {
    start_vm orphan
    kill -KILL "$(pid_of '^vmnet-brokerctl run .*--name orphan')"
    sleep 1
    vm_lives orphan
    has "$(kept)" "$(tap_of orphan)"
    kill -KILL "$(pid_of '^python3 .*open_tap')"
    eventually 20 vm_is_gone orphan
}

@test "a VM keeps its network when broker, netd or both are killed; so does one yet to come" {
    local tap who
    as_user_in_background later vmnet-brokerctl run --in-namespace --network shared --name later \
        -- sh -c "until [ -e $WORLD/guests/go ]; do sleep 0.1; done; exec python3 $OPEN_TAP {tap}"
    eventually 10 vm_lives later
    tap=$(tap_of later)
    for who in vmnet-broker vmnet-netd both; do
        # shellcheck disable=SC2046 # netd is several processes
        case $who in
        both) kill -KILL $(processes vmnet-broker) $(netd_pid) ;;
        vmnet-netd) kill -KILL $(netd_pid) ;;
        *) kill -KILL $(processes "$who") ;;
        esac
        eventually 20 vm_lives later
        is "$(tap_of later)" "$tap"
        in_guest named ping -c 1 -W 5 other
    done
    : >"$WORLD/guests/go"
    eventually 10 opened later
    kill -KILL "$(pid_of '^python3 .*open_tap')"
    eventually 20 vm_is_gone later
}

@test "what ends while no netd runs is swept by the next" {
    local netd
    as_user_in_background unwatched vmnet-brokerctl run --in-namespace --network shared \
        --name unwatched -- sleep 600
    eventually 10 vm_lives unwatched
    eventually 10 has_pid '^sleep 600' # whose interface comes first
    netd=$(netd_pid)
    kill -STOP "$netd" "$(broker_pid)"
    kill -KILL "$(pid_of '^vmnet-brokerctl run .*--name unwatched')" "$(pid_of '^sleep 600')"
    kill -KILL "$netd" "$(broker_pid)"
    eventually 20 vm_is_gone unwatched
    in_guest named ping -c 1 -W 5 other
}

netd_pid() { # the one that serves: it has the lock
    local pid
    for pid in $(processes vmnet-netd); do
        [ -z "$(find "/proc/$pid/fd" -lname '*/netd.lock' 2>/dev/null)" ] || echo "$pid"
    done
    return 0
}

@test "{tap} and {fd} are refused where they make no sense, with the remedy" {
    run ctl run --network shared -- true '{tap}'
    is "$status" 125
    has "$output" "--in-namespace"
    run ctl run --in-namespace --network shared -- true '{fd}'
    is "$status" 125
    has "$output" "{tap}"
}
