#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ports of the host that lead to guests: by `run -p`, by `forward`, by definitions. What the
# forwarder carries, and how, is told by forward_smoke.py, UDP too.
load lib

HOST=198.51.100.2 HOST6=2001:db8:1::2
OUTSIDE=198.51.100.1 # as whom the internet comes

setup_file() {
    as_user sh -c 'echo "$1" | vmnet-brokerctl add lab' define '{
        "mode": "shared", "subnet": "192.168.42.1", "ipv6_prefix": "fd00:42::",
        "description": "a lab",
        "dhcp_reservations": [
            { "mac": "52:54:00:00:42:10", "address": "192.168.42.10", "name": "web" } ],
        "port_forwarding": [
            { "protocol": "tcp", "external_port": 8042,
              "address": "192.168.42.10", "internal_port": 80 },
            { "protocol": "tcp", "external_port": 8042,
              "address": "fd00:42::5054:ff:fe00:4210", "internal_port": 80 } ] }'
    start_guest web --network lab,mac=52:54:00:00:42:10 -p 2280:80 -p 127.0.0.1:2281:80 \
        -p 2225:25 -p 2299:99
    start_guest inner --network host -p 2380:80
    wait_guests web inner
    # A page that says who asks, and a server that speaks first.
    in_guest web 'mkdir -p /www/cgi-bin
        printf "#!/bin/sh\necho; echo \"\${REMOTE_ADDR}\"\n" >/www/cgi-bin/who
        chmod +x /www/cgi-bin/who
        nc -ll -p 25 -e echo "220 web" >/dev/null 2>&1 </dev/null &'
}

teardown() {
    tell_what_happened
}

teardown_file() {
    stop_guests web inner
    stop_everything
    nothing_is_left
}

who() { # URL [from_here] -> whom the guest takes the client for
    local who
    who=$(${2:-on_internet} curl -gsS -m 10 "$1/cgi-bin/who") || return
    who=${who#\[} who=${who%\]}
    echo "${who#::ffff:}"
}

from_here() {
    "$@"
}

# One connection from the internet: "what is said to us", or how it ended without a word.
talk() { # PORT
    on_internet timeout 20 python3 -c 'import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as s:
        print(s.recv(99).decode().strip() or "end")
except OSError as e:
    print(type(e).__name__)' "$HOST" "$1"
}

listens() { # ADDRESS:PORT as ss has it
    [ -n "$(ss -Htln "src = $1")" ]
}

forwards() { # EXPRESSION -> about each forward, as `f`
    ctl forward list --json | pick "sorted($1 for f in d)"
}

state_of() { # PORT
    ctl forward list --json | pick "[f['state'] for f in d if f['external_port'] == $1][0]"
}

@test "a port of run -p leads to the guest, which sees who asks" {
    is "$(who "http://$HOST:2280")" $OUTSIDE
}

@test "over IPv6 it leads to the guest's IPv4 address, from its gateway" {
    is "$(who "http://[$HOST6]:2280")" 192.168.42.1
}

@test "a definition's ports lead there, over IPv4 and IPv6, and keep the client's address" {
    is "$(who "http://$HOST:8042")" $OUTSIDE
    is "$(who "http://[$HOST6]:8042")" 2001:db8:1::1
}

@test "a port at the host's loopback is only there" {
    is "$(who http://127.0.0.1:2281 from_here)" 192.168.42.1
    is "$(talk 2281)" ConnectionRefusedError
}

@test "a server that speaks first is heard" {
    is "$(talk 2225)" "220 web"
}

@test "a port where the guest has nobody ends in a reset, at once" {
    is "$(talk 2299)" ConnectionResetError
}

@test "a network for this host only is reached from the host, and from nowhere else" {
    has "$(curl -sS -m 10 http://127.0.0.1:2380/)" "a guest's page"
    is "$(talk 2380)" ConnectionRefusedError
    run ctl forward add host 0.0.0.0:2381:inner:80
    [ "$status" != 0 ]
    has "$output" "is for this host only"
}

@test "forward list says what leads where, as a table and as JSON" {
    is "$(forwards "(f['external_port'], f['defined'], f['state'])")" \
        "[(2225, False, 'listening'), (2280, False, 'listening'), (2281, False, 'listening'), (2299, False, 'listening'), (2380, False, 'listening'), (8042, True, 'listening'), (8042, True, 'listening')]"
    has "$(ctl forward list lab)" "*        2280/tcp  192.168.42.10"
    not has "$(ctl forward list lab)" 2380/tcp
}

@test "nothing is open on the host but what is forwarded" {
    is "$(ss -Htln | awk '{print $4}' | grep -v ':53$' | sort | tr '\n' ' ')" \
        "$(printf '%s ' 0.0.0.0:2225 0.0.0.0:2280 0.0.0.0:2299 0.0.0.0:8042 127.0.0.1:2281 \
            127.0.0.1:2380 '[::]:2225' '[::]:2280' '[::]:2299' '[::]:8042' | tr ' ' '\n' |
            sort | tr '\n' ' ' | sed 's/^ //')"
}

@test "forward add and remove work while the guest runs, by its name or address" {
    ctl forward add lab 3000:web:80
    ctl forward add lab 3001:192.168.42.10:80/tcp
    is "$(who "http://$HOST:3000")" $OUTSIDE
    is "$(who "http://$HOST:3001")" $OUTSIDE
    ctl forward remove lab 3000
    ctl forward remove lab 3001
    is "$(talk 3000)" ConnectionRefusedError
    run ctl forward remove lab 3000
    [ "$status" != 0 ]
    has "$output" "not forwarded"
}

@test "a port that is taken is refused, with who has it" {
    local holder
    as_user_in_background holder python3 -m http.server 3100
    holder=$!
    eventually 10 listens :3100
    run ctl forward add lab 3100:web:80
    [ "$status" != 0 ]
    has "$output" "TCP port 3100 of the host is in use by a process of user"
    has "$output" "process $holder (python3)"
    kill "$holder"
    run ctl forward add lab 2280:web:80
    [ "$status" != 0 ]
    has "$output" "forwarded to a VM of network 'lab' already"
}

@test "a port of root's is refused, with the remedy" {
    run ctl forward add lab 81:web:80
    [ "$status" != 0 ]
    has "$output" "ip_unprivileged_port_start"
}

@test "a forward that makes no sense is refused" {
    run ctl forward add lab 3200:192.168.43.10:80
    [ "$status" != 0 ]
    run ctl forward add lab 3200:nobody:80
    [ "$status" != 0 ]
    has "$output" "no VM of yours"
    run ctl forward add nowhere 3200:192.168.42.10:80
    [ "$status" != 0 ]
    run ctl forward add lab 3200:web
    [ "$status" = 2 ]
    run ctl forward add lab 70000:web:80
    [ "$status" = 2 ]
}

@test "a run whose port is taken starts nothing" {
    run ctl run --network lab --name other -p 2280:80 -- touch "$(user_home)/started"
    [ "$status" = 125 ]
    [ ! -e "$(user_home)/started" ]
    eventually 10 vms_are lab web
}

vms_are() { # NETWORK NAME...
    local network=$1
    shift
    is "$(status_of "$network" "' '.join(sorted(i['name'] for i in n['interfaces']))")" "$*"
} 2>/dev/null

@test "--save writes the definition, and the network has it at once; remove takes it out again" {
    ctl forward add --save lab 3300:192.168.42.10:80
    is "$(who "http://$HOST:3300")" $OUTSIDE
    is "$(ctl show --json lab | pick "[f['external_port'] for f in d['definition']['port_forwarding']]")" \
        "[8042, 8042, 3300]"
    is "$(ctl show --json lab | pick "d['definition']['description']")" "a lab"
    run ctl forward remove lab 3300
    [ "$status" != 0 ]
    has "$output" "--save"
    ctl forward remove --save lab 3300
    eventually 10 is_closed 3300
    is "$(who "http://$HOST:8042")" $OUTSIDE
}

is_closed() { # PORT
    [ "$(talk "$1")" = ConnectionRefusedError ]
}

@test "what a definition cannot have is not written" {
    run ctl forward add --save lab 8042:192.168.42.10:80
    [ "$status" != 0 ]
    has "$output" "already"
    run ctl forward add --save lab 3301:10.1.1.1:80
    [ "$status" != 0 ]
    run ctl forward add --save lab 3301:web:80
    [ "$status" != 0 ]
    is "$(ctl show --json lab | pick "len(d['definition']['port_forwarding'])")" 2
}

@test "a definition's port that is taken is said, and opened when it is free" {
    local holder
    as_user_in_background holder python3 -m http.server 3400
    holder=$!
    eventually 10 listens :3400
    run ctl forward add --save lab 3400:192.168.42.10:80
    [ "$status" != 0 ]
    has "$output" "written down, but"
    has "$output" "in use"
    has "$(ctl status)" "3400"
    kill "$holder"
    eventually 20 is_listening 3400
    is "$(who "http://$HOST:3400")" $OUTSIDE
    ctl forward remove --save lab 3400
    eventually 10 is_closed 3400
}

is_listening() { # PORT
    [ "$(state_of "$1" 2>/dev/null)" = listening ]
}

@test "broker, netd and forwarder may be killed: ports stay, or are open again in a moment" {
    kill -KILL "$(broker_pid)" # another one is started by who runs the guests
    is "$(who "http://$HOST:2280")" $OUTSIDE
    eventually 10 is_listening 2280
    kill -KILL "$(processes vmnet-netd)"
    is "$(who "http://$HOST:2280")" $OUTSIDE
    eventually 10 is_listening 8042
    kill -KILL "$(processes vmnet-forwarder)"
    eventually 10 answers 2280
    eventually 10 answers 8042
    kill -KILL "$(broker_pid)" "$(processes vmnet-netd)" "$(processes vmnet-forwarder)"
    eventually 10 is_listening 2280
    eventually 10 answers 2280
    ctl forward add lab 3500:web:80
    is "$(who "http://$HOST:3500")" $OUTSIDE
    ctl forward remove lab 3500
    is "$(talk 3500)" ConnectionRefusedError
}

answers() { # PORT
    [ "$(who "http://$HOST:$1" 2>/dev/null)" = "$OUTSIDE" ]
}

@test "a guest's ports go with it, killed or not, and with no other" {
    start_guest doomed --network lab -p 3600:80
    wait_guests doomed
    has "$(on_internet curl -sS -m 10 http://$HOST:3600/)" "a guest's page"
    kill -KILL "$(cat "$GUEST_DIR/doomed.pid")"
    eventually 10 is_closed 3600
    is "$(who "http://$HOST:2280")" $OUTSIDE
}

@test "when the last guest goes, so do the forwarder and its socket" {
    stop_guests web inner
    eventually 10 is_closed 2280
    ctl forward remove --save lab 8042
    eventually 10 not running vmnet-forwarder
    is "$(find "$(user_home)/.local/state" -name 'forwarder*')" ""
}
