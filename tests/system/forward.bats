#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ports of the host that lead to guests: by `run -p`, by `forward`, by definitions. What the
# forwarder carries, and how well, is told by forward_smoke.py.
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
        -p 2225:25 -p 2299:99 -p 2253:53/udp -p 127.0.0.1:2207:7
    start_guest inner --network host -p 2380:80
    wait_guests web inner
    # A page that says who asks, a server that speaks first, one that repeats what it hears,
    # and who asks by UDP.
    in_guest web 'mkdir -p /www/cgi-bin
        printf "#!/bin/sh\necho; echo \"\${REMOTE_ADDR}\"\n" >/www/cgi-bin/who
        chmod +x /www/cgi-bin/who
        nc -ll -p 25 -e echo "220 web" >/dev/null 2>&1 </dev/null &
        nc -ll -p 7 -e cat >/dev/null 2>&1 </dev/null &
        udp_who 53 >/dev/null 2>&1 </dev/null &'
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

# A datagram from the internet, again until it is answered -> whom the guest takes us for.
udp_who() { # ADDRESS PORT
    local who
    who=$(on_internet timeout 20 python3 -c 'import socket, sys
for _ in range(10):
    family = socket.getaddrinfo(sys.argv[1], None)[0][0]
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.connect((sys.argv[1], int(sys.argv[2])))
        try:
            s.send(b"who am I?")
            print(s.recv(99).decode())
            break
        except OSError as e:
            refused = e
else:
    sys.exit(str(refused))' "$1" "$2") || return
    echo "${who#::ffff:}"
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

@test "UDP, too, with the client's address" {
    is "$(udp_who $HOST 2253)" $OUTSIDE
    is "$(udp_who $HOST6 2253)" 192.168.42.1
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
        "[(2207, False, 'listening'), (2225, False, 'listening'), (2253, False, 'listening'), (2280, False, 'listening'), (2281, False, 'listening'), (2299, False, 'listening'), (2380, False, 'listening'), (8042, True, 'listening'), (8042, True, 'listening')]"
    has "$(ctl forward list lab)" "*        2280/tcp  192.168.42.10"
    not has "$(ctl forward list lab)" 2380/tcp
}

@test "nothing is open on the host but what is forwarded" {
    local wanted="0.0.0.0:2225 0.0.0.0:2280 0.0.0.0:2299 0.0.0.0:8042 127.0.0.1:2207
        127.0.0.1:2281 127.0.0.1:2380 [::]:2225 [::]:2280 [::]:2299 [::]:8042"
    is "$(open_ports -tln)" "$(sorted "$wanted")"
    is "$(open_ports -uln)" "$(sorted "0.0.0.0:2253 [::]:2253")"
}

# What listens inside is for guests, and asked for by nobody: not even the engine publishes it.
@test "what merely listens in the namespace is not published" {
    local before listener='import socket, time
for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
    for family in socket.AF_INET6, socket.AF_INET:
        s = socket.socket(family, kind)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind(("", 3900))
        kind == socket.SOCK_STREAM and s.listen()
        globals()[f"{kind} {family}"] = s
print("listening", flush=True)
time.sleep(600)'
    before=$(open_ports -tuln)
    as_user_in_background inside vmnet-brokerctl exec python3 -c "$listener"
    eventually 10 grep -q listening "$WORLD/log/inside"
    has "$(ctl exec ss -Htuln)" "[[]::]:3900"
    sleep 2 # pasta looks once a second, when it is told to
    is "$(open_ports -tuln)" "$before"
    is "$(talk 3900)" ConnectionRefusedError
    kill "$!"
}

open_ports() { # SS-OPTIONS -> of the host, but for the resolver's
    sorted "$(ss -H "$@" | awk '{print $(NF - 1)}' | grep -v ':53$')"
}

sorted() { # WORDS
    # shellcheck disable=SC2086 # words
    printf '%s\n' $1 | sort | tr '\n' ' '
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

# Edits the definition as an editor would, by whatever words of its own.
edit() { # PYTHON-STATEMENT about the definition `d` and its list of forwards `f`
    as_user python3 -c 'import json, os, sys
path = os.path.expanduser("~/.config/vmnet-broker.d/lab.json")
d = json.load(open(path))
f = d["port_forwarding"]
exec(sys.argv[1])
with open(path + ".new", "w") as new:
    json.dump(d, new)
os.rename(path + ".new", path)' "$1"
}

@test "a definition that is edited while the guest runs has its ports at once, and harms none" {
    local id stream
    id=$(status_of lab "n['status']['network']['id']")
    talk_on 2207
    stream=$!
    eventually 10 grep -q heard "$WORLD/log/stream"
    edit 'f.append({"protocol": "tcp", "external_port": 3700,
        "address": "192.168.42.10", "internal_port": 80})
f.append({"protocol": "udp", "external_port": 3700,
        "address": "192.168.42.10", "internal_port": 53})
f.append({"protocol": "udp", "external_port": 3700,
        "address": "fd00:42::5054:ff:fe00:4210", "internal_port": 53})'
    eventually 10 answers 3700
    is "$(udp_who $HOST 3700)" $OUTSIDE
    is "$(udp_who $HOST6 3700)" 2001:db8:1::1
    edit 'f[2]["internal_port"] = 25' # another place at the same port
    eventually 10 says_first 3700
    edit 'del f[2:]'
    eventually 10 is_closed 3700
    eventually 10 not udp_who $HOST 3700
    is "$(who "http://$HOST:8042")" $OUTSIDE
    is "$(status_of lab "n['status']['network']['id']")" "$id"
    is "$(cat "$WORLD/log/stream")" heard # and not "broken", too
    kill "$stream"
}

# In the background, a connection that is used all the time, until it breaks.
talk_on() { # PORT at the loopback address
    python3 -c 'import socket, sys, time
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as s:
    s.sendall(b"!")
    said = False
    while s.recv(1) == b"!":
        said or print("heard", flush=True)
        said = True
        time.sleep(0.1)
        s.sendall(b"!")
print("broken", flush=True)' "$1" >"$WORLD/log/stream" 2>&1 </dev/null 3>&- &
}

@test "several hundred ports are opened at once, lead there, and are closed again" {
    edit 'f += [{"protocol": "tcp", "external_port": 10000 + i,
        "address": "192.168.42.10", "internal_port": 25} for i in range(400)]'
    eventually 20 has_listening 402
    is "$(open_ports -tln | tr ' ' '\n' | grep -c ':10[0-3]..$')" 400
    for port in 10000 10111 10222 10399; do
        is "$(talk $port)" "220 web"
    done
    edit 'del f[2:]'
    eventually 20 has_listening 2
    eventually 20 no_port_is_open
}

no_port_is_open() { # of the several hundred
    is "$(open_ports -tln | tr ' ' '\n' | grep -c ':10[0-3]..$')" 0
}

has_listening() { # NUMBER of a definition's ports
    [ "$(ctl forward list lab --json |
        pick "sum(f['defined'] and f['state'] == 'listening' for f in d)")" = "$1" ]
}

says_first() { # PORT
    [ "$(talk "$1")" = "220 web" ]
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
    eventually 10 no_socket_is_left
}

no_socket_is_left() {
    is "$(find "$(user_home)/.local/state" -name 'forwarder*')" ""
}
