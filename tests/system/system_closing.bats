#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a definition forbids is over for connections that were open before, too: they outlive the guest
# that began them, in the kernel's memory, and the guest comes back with the same address and ports.
load lib
load system
load hosts

setup_file() {
    [ "$(id -u)" = 0 ] || return 0
    make_system_users
    mkdir -p /etc/vmnet-broker.d
    start_system --idle-timeout 1
    start_chatterer
}

teardown() {
    tell_what_happened_in_system
}

teardown_file() {
    [ "$(id -u)" = 0 ] || return 0
    stop_guests web
    end_holders
    stop_system
    nft flush ruleset # the empty tables that iptables leaves
    nothing_is_left_of_system
}

# Says which datagrams it gets, and sends whoever sent the first others without end.
start_chatterer() {
    nsenter --net=/run/netns/internet -- python3 -uc '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("203.0.113.80", 69))
data, guest = s.recvfrom(2000)
s.setblocking(False)
while True:
    s.sendto(b"and another thing", guest)
    if data:
        print(data)
    try:
        data = s.recv(2000)
    except BlockingIOError:
        data = None
    time.sleep(0.1)' >"$WORLD/log/chatterer" 2>&1 </dev/null 3>&- 4>&- 5>&- &
}

define() { # JSON -> of network `lab`
    echo "$1" >/etc/vmnet-broker.d/.new
    mv /etc/vmnet-broker.d/.new /etc/vmnet-broker.d/lab.json
}

end_holders() {
    local pid
    for pid in $(processes_of 4101 vmnet-brokerctl); do kill "$pid"; done
}

lab_is_gone() {
    not as alice network_exists lab
} 2>/dev/null

web_comes() {
    as alice start_guest web --network lab
    wait_guests web
    in_guest web 'echo 5555 5555 >/proc/sys/net/ipv4/ip_local_port_range'
}

says() { # FILE-NAME -> web does, by the way that it had on a network with a way out
    in_guest web "timeout 3 tftp -g -l /tmp/$1 -r $1 203.0.113.80 || true"
}

is_heard() { # FILE-NAME -> out there
    grep -q "$1" "$WORLD/log/chatterer"
}

unwanted() { # -> datagrams that have come to web, where nobody listens any more
    in_guest web 'grep "^Udp: [0-9]" /proc/net/snmp | cut -d" " -f3'
}

hears_more() { # THAN
    [ "$(unwanted)" -gt "$1" ]
}

@test "a network that its definition closes is closed for connections that were open before" {
    as alice hold shared # by which the kernel's way out stays
    define '{ "mode": "shared", "idle_timeout": 0 }'
    web_comes
    eventually 15 uplink_is lab ok
    says first
    eventually 10 is_heard first
    eventually 10 hears_more 0
    stop_guests web
    eventually 10 lab_is_gone
    define '{ "mode": "host", "idle_timeout": 0 }'
    web_comes
    in_guest web "ip route replace default via $(as alice status_of lab "n['status']['network']['ipv4_gateway']")"
    says second
    is "$(unwanted)" 0
    not is_heard second
}

masqueraded() { # -> as whom web leaves, says the namespace
    ip netns exec vmnet-broker sed -n 's/.* dport=69 .* dst=169.254.255.*/by the kernel/p
        s/.* dport=69 .* dst=169.254.*/by another/p' /proc/net/nf_conntrack
}

is_forgotten() {
    is "$(masqueraded)" ""
}

goes_out() { # FILE-NAME
    says "$1"
    is_heard "$1"
}

@test "where the host turns the kernel's uplink away, what went by it is forgotten, and goes on by an engine" {
    stop_guests web
    eventually 10 lab_is_gone
    define '{ "mode": "shared", "idle_timeout": 0 }'
    web_comes
    eventually 15 uplink_is lab ok
    eventually 10 goes_out third
    is "$(masqueraded)" "by the kernel"
    docker_comes
    eventually 15 problem_is "ip filter FORWARD (policy drop)"
    eventually 20 is_forgotten
    eventually 20 goes_out fourth
    is "$(masqueraded)" "by another"
    docker_goes
}
