#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The system instance: one broker for every user of the machine, no root for any of them.
# alice and bob are in group vmnet, carol is not. Guests: web is alice's, db is bob's.
#
# By its other name, system_units.bats, the same by the units of packaging/systemd, sandbox included.
load lib
load system
[[ $BATS_TEST_FILENAME != *units* ]] || UNITS=yes

setup_file() {
    [ "$(id -u)" = 0 ] || return 0
    make_system_users
    start_system
    as alice start_guest web --network shared
    as bob start_guest db --network shared
    wait_guests web db
}

teardown() {
    tell_what_happened_in_system
}

teardown_file() {
    [ "$(id -u)" = 0 ] || return 0
    stop_guests web db
    stop_system
    nothing_is_left_of_system
}

# UID of who runs it, then CapEff, CapPrm, CapBnd, CapAmb without leading zeros, NoNewPrivs, Seccomp
privileges() { # PROCESS
    local pid field
    pid=$(system_process "$1" | head -n 1)
    [ -n "$pid" ] || return 1
    is "$(status_field "$pid" Uid | tr -s '\t' '\n' | sort -u | wc -l)" 1
    echo -n "$(id -nu "$(stat -c %u "/proc/$pid")")"
    for field in CapEff CapPrm CapBnd CapAmb; do
        printf ' %x' "0x$(status_field "$pid" $field)"
    done
    echo " $(status_field "$pid" NoNewPrivs) $(status_field "$pid" Seccomp)"
}

@test "guests of two users on one network ping each other by name" {
    in_guest web ping -c 1 -W 5 db
    in_guest db ping -c 1 -W 5 web
    in_guest db ping -c 1 -W 5 web.shared.vmnet.internal
}

@test "guests of every user reach the internet" {
    has "$(fetch web http://203.0.113.80/four)" "the internet has /four for"
    has "$(fetch db http://203.0.113.80/four)" "the internet has /four for"
}

@test "each process is an unprivileged user with what it needs, and cannot get more" {
    # 2 DAC_OVERRIDE, 20 KILL, 40 SETGID, 80 SETUID, 400 NET_BIND_SERVICE, 1000 NET_ADMIN, 2000 NET_RAW. Those of netd
    # and dnsmasq hold over the namespace only, as does whatever pasta has (system_uplink.bats).
    is "$(privileges vmnet-broker)" "vmnet-broker 0 0 0 0 1 2"
    [ -n "${UNITS:-}" ] || is "$(privileges vmnet-starter)" "vmnet-netd 0 14c0 14c0 14c0 1 2"
    [ -n "${UNITS:-}" ] || is "$(privileges vmnet-netns)" "vmnet-netd 2 2 2 0 1 2"
    is "$(privileges vmnet-netd)" "vmnet-netd 3420 3420 3420 0 1 2"
    is "$(privileges vmnet-hostside)" "vmnet-netd 1000 1000 14c0 0 1 2"
    is "$(privileges vmnet-spawner)" "vmnet-netd 400 400 14c0 0 1 2"
    is "$(privileges vmnet-anchor)" "vmnet-uplink 0 0 0 0 1 2"
    is "$(privileges vmnet-relay)" "vmnet-netd 0 0 14c0 0 1 2"
    is "$(privileges dnsmasq)" "vmnet-netd 3400 3400 3400 3400 1 2"
    not grep -q . <<<"$(root_of_ours)"
}

root_of_ours() {
    local pid
    for pid in /proc/[0-9]*; do
        [[ $(readlink "$pid/exe") =~ /(vmnet-(broker|netd)|dnsmasq|pasta.*|passt.*)$ ]] || continue
        [ "$(stat -c %u "$pid")" != 0 ] || grep -q 'listen-address' "$pid/cmdline" || echo "$pid"
    done
}

@test "a TAP by name is refused, with the remedy" {
    run as bob ctl run --in-namespace --network shared -- true '{tap}'
    is "$status" 125
    has "$output" "(--user)"
}

@test "identities and names belong to their users" {
    run as bob ctl run --network shared --name web -- true
    is "$status" 125
    has "$output" "name 'web' belongs to another user"
    # bob sees his own interface and no more of alice's than that there is one.
    is "$(as bob ctl status --json | pick "[i['name'] for n in d['networks'] for i in n['interfaces']]")" \
        "['db']"
    is "$(as bob ctl list --json | pick "[n['interfaces'] for n in d if n['name'] == 'shared']")" "[2]"
    is "$(vmnet-brokerctl --system status --json |
        pick "sorted(i['name'] for n in d['networks'] for i in n['interfaces'])")" "['db', 'web']"
}

@test "forwards belong to their users" {
    in_guest web 'echo of alice >/www/mine'
    run as bob ctl forward add shared 8080:web:80
    is "$status" 1
    has "$output" "no VM of yours"
    as alice ctl forward add shared 8080:web:80
    is "$(curl -s --max-time 5 http://198.51.100.2:8080/mine)" "of alice"
    run as bob ctl forward remove shared 8080
    is "$status" 1
    is "$(as bob ctl forward list --json | pick "len(d)")" 0
    as alice ctl forward remove shared 8080
}

@test "a port below 1024 is root's to forward, though none of our processes is root" {
    run as alice ctl forward add shared 80:web:80
    is "$status" 1
    vmnet-brokerctl --system forward add shared 80:web:80
    is "$(curl -s --max-time 5 http://198.51.100.2:80/mine)" "of alice"
    vmnet-brokerctl --system forward remove shared 80
}

@test "who is not in the group is told so once, and uses an instance of their own" {
    run --separate-stderr as carol ctl run --network shared --name web -- echo '{ip}'
    is "$status" 0
    # shellcheck disable=SC2154 # bats's own
    is "$(grep -c "the system's broker is not available to you" <<<"$stderr")" 1
    has "$stderr" "usermod -aG vmnet carol"
    [ -n "$(processes_of 4103 vmnet-broker)" ]
    is "$(as carol ctl list --json 2>/dev/null | pick "[n['interfaces'] for n in d if n['name'] == 'shared']")" "[0]"
    run as carol ctl --system list
    is "$status" 1
    has "$output" "usermod -aG vmnet carol"
    as carol ctl --user stop
    eventually 20 carol_has_nothing
}

@test "where the socket is open to everybody, the broker refuses who is not permitted, and says why" {
    chmod 666 /run/vmnet-broker/broker.sock
    run as carol ctl run --network shared -- true
    is "$status" 125
    has "$output" "network 'shared': user 'carol' may not use it"
    has "$output" "usermod -aG vmnet carol"
    mkdir -p /etc/vmnet-broker /etc/vmnet-broker.d
    # A definition decides for its network.
    echo '{ "mode": "shared", "allow": { "users": ["carol"] } }' >/etc/vmnet-broker.d/lab.json
    as carol ctl run --network lab -- true
    run as alice ctl run --network lab -- true
    is "$status" 125
    has "$output" "network 'lab': user 'alice' may not use it"
    # One file decides for all others.
    echo '{ "allow": { "users": ["carol"], "groups": ["vmnet"] } }' >/etc/vmnet-broker/policy.json
    as carol ctl run --network shared -- true
    as alice ctl run --network shared -- true
    echo '{ "allow": "everybody" }' >/etc/vmnet-broker/policy.json
    run as alice ctl run --network shared -- true
    is "$status" 125
    has "$output" "only root may use it until /etc/vmnet-broker/policy.json is mended"
    grep "file 'policy': /etc/vmnet-broker/policy.json:1:12: " "$SYSTEM_LOG"
    vmnet-brokerctl --system run --network shared -- true
    rm -r /etc/vmnet-broker /etc/vmnet-broker.d/lab.json
    chmod 660 /run/vmnet-broker/broker.sock
}

carol_has_nothing() {
    is "$(processes_of 4103 vmnet-netd)" ""
} 2>/dev/null

# What becomes of a connection to netd: "refused" by the kernel, "closed" by netd, or "open".
knock_at_netd() {
    timeout 10 python3 -c 'import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(5)
try:
    s.connect("/run/vmnet-netd/netd.sock")
    print("closed" if s.recv(1) == b"" else "talks")
except PermissionError:
    print("refused")
except ConnectionResetError:
    print("closed")
except TimeoutError:
    print("open")'
}

knock_as() { # NAME
    setpriv --reuid "$1" --regid "$1" --init-groups \
        bash -c "$(declare -f knock_at_netd); knock_at_netd"
}

@test "netd's socket is for the broker and root, whatever its mode" {
    is "$(knock_at_netd)" open
    is "$(knock_as alice)" refused
    chmod 666 /run/vmnet-netd/netd.sock
    is "$(knock_as alice)" closed
    is "$(knock_as vmnet-netd)" closed
    chmod 600 /run/vmnet-netd/netd.sock
}

@test "the namespace has a name for root's ip netns, and exec says so" {
    has "$(ip netns exec vmnet-broker ip -br link)" vb0
    run vmnet-brokerctl --system exec true
    is "$status" 125
    has "$output" "ip netns exec vmnet-broker"
}

@test "doctor looks after the system's users, and names who is not in the group" {
    run vmnet-brokerctl --system doctor
    has "$output" "the system instance answers"
    has "$output" "users and group are there"
    run as carol ctl --system doctor
    is "$status" 1
    has "$output" "usermod -aG vmnet carol"
}

@test "services say when they are ready" {
    local services=1 # without units netd's manager is a process of ours, who asks nobody
    [ -z "${UNITS:-}" ] || services=2
    is "$(grep -c READY=1 "$WORLD/log/notify")" $services
}

@test "broker, netd and who starts it may be killed: VMs stay connected, and root's next broker adopts all" {
    kill -KILL "$(processes_of "$SYSTEM_BROKER_UID" vmnet-broker)"
    eventually 10 not running vmnet-starter
    in_guest web ping -c 1 -W 5 "$(address_of db)"
    start_system
    eventually 20 alice_sees_web
    eventually 20 one_netd_runs
    eventually 20 clients_are_back
    in_guest web ping -c 1 -W 5 db
    kill -KILL "$(processes vmnet-netd)"
    eventually 20 fetch web http://203.0.113.80/four
    eventually 20 in_guest web ping -c 1 -W 5 db
    eventually 20 one_netd_runs
}

# Who takes the name away at the end lives once, and its death is made good by the next broker.
@test "root's ip netns knows the namespace after broker and whoever removes the name were killed" {
    [ -z "${UNITS:-}" ] || return 0 # systemd's business there
    kill -KILL "$(processes_of "$SYSTEM_BROKER_UID" vmnet-broker)"
    eventually 10 not running vmnet-starter
    has "$(ip netns exec vmnet-broker ip -br link)" vb0 # as long as there are VMs
    start_system
    eventually 10 one_removes_the_name
    kill -KILL "$(processes vmnet-netns)" "$(processes_of "$SYSTEM_BROKER_UID" vmnet-broker)"
    eventually 10 not running vmnet-starter
    start_system
    eventually 10 one_removes_the_name
    has "$(ip netns exec vmnet-broker ip -br link)" vb0
    eventually 20 clients_are_back
}

one_removes_the_name() {
    is "$(processes vmnet-netns | wc -l)" 1
} 2>/dev/null

alice_sees_web() {
    is "$(as alice ctl --system status --json |
        pick "[i['name'] for n in d['networks'] for i in n['interfaces']]")" "['web']"
} 2>/dev/null

one_netd_runs() {
    is "$(processes vmnet-netd | wc -l)" 1
} 2>/dev/null

# The clients ask the next broker of the same kind, and start none of their own meanwhile.
clients_are_back() {
    is "$(vmnet-brokerctl --system list --json | pick "[n['clients'] for n in d if n['name'] == 'shared']")" "[2]"
} 2>/dev/null

# Both outlive the broker. One that does not, because somebody kills it or it cannot begin, is waited
# for by nobody.
@test "a child of root's broker that ends before it leaves no zombie" {
    [ -z "${UNITS:-}" ] || return 0 # it has none there
    local broker child
    broker=$(processes_of "$SYSTEM_BROKER_UID" vmnet-broker)
    for child in $(processes vmnet-netns) $(processes vmnet-starter); do
        is "$(status_field "$child" PPid)" "$broker"
        kill -KILL "$child"
        eventually 20 not test -e "/proc/$child" 2>/dev/null
    done
    kill -KILL "$broker"
    eventually 10 not running vmnet-broker
    start_system
    eventually 10 one_removes_the_name
    eventually 20 clients_are_back
}

@test "a second system broker does not disturb the first" {
    run timeout 10 vmnet-broker --system
    is "$status" 3
    has "$output" "another broker"
    in_guest web ping -c 1 -W 5 db
    as bob ctl run --network shared -- true
}

@test "kill -9 of everything of one user leaves the other's alone" {
    local pid
    for pid in /proc/[0-9]*; do
        [ "$(stat -c %u "$pid" 2>/dev/null)" != 4102 ] || kill -KILL "${pid#/proc/}" || true # or it has just ended
    done
    eventually 20 only_web
    in_guest web "ping -c 1 -W 5 $(as alice status_of shared "n['status']['network']['ipv4_gateway']")"
    is "$(fetch web http://203.0.113.80/four)" "the internet has /four for 198.51.100.2"
    as bob start_guest db --network shared
    wait_guests db
    in_guest db ping -c 1 -W 5 web
}

only_web() {
    is "$(as alice ctl list --json | pick "[n['interfaces'] for n in d if n['name'] == 'shared']")" "[1]"
} 2>/dev/null
