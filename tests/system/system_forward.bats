#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ports of the host where several users meet: whose VM they may lead to, and who closes whose. web
# is alice's, db is bob's, on a network for which root has written down port 80. What a port
# carries, and how it lives: forward.bats.
load lib
load system

HOST=198.51.100.2 HOST6=2001:db8:1::2
OUTSIDE=198.51.100.1 # as whom the internet comes

setup_file() {
    [ "$(id -u)" = 0 ] || return 0
    make_system_users
    mkdir -m 0755 "$WORLD/definitions"
    cat >"$WORLD/definitions/site.json" <<END
{ "mode": "shared", "subnet": "192.168.44.1",
  "dhcp_reservations": [
    { "mac": "52:54:00:00:44:10", "address": "192.168.44.10", "name": "web" },
    { "mac": "52:54:00:00:44:11", "address": "192.168.44.11", "name": "db" } ],
  "port_forwarding": [
    { "protocol": "tcp", "external_port": 80, "address": "192.168.44.10", "internal_port": 80 } ] }
END
    start_system --config-dir "$WORLD/definitions"
    as alice start_guest web --network site -p 8080:80
    as bob start_guest db --network site -p 8081:80
    wait_guests web db
    in_guest web 'mkdir -p /www/cgi-bin
        printf "#!/bin/sh\necho; echo \"\${REMOTE_ADDR}\"\n" >/www/cgi-bin/who
        chmod +x /www/cgi-bin/who'
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

who() { # PORT -> whom web takes a client outside for
    local who
    who=$(on_internet curl -gsS -m 10 "http://$HOST:$1/cgi-bin/who") || return
    who=${who#\[} who=${who%\]}
    echo "${who#::ffff:}"
}

refused() { # NAME WORDS COMMAND... -> NAME's command is, with these words
    local name=$1 words=$2
    shift 2
    run as "$name" ctl "$@"
    [ "$status" = 1 ]
    has "$output" "$words"
}

ports() { # NAME -> those that NAME is shown
    as "$1" ctl forward list --json | pick "sorted(f['external_port'] for f in d)"
}

@test "each user's ports lead to that user's VM, which sees who asks" {
    is "$(who 8080)" $OUTSIDE
    has "$(on_internet curl -sS -m 10 "http://$HOST:8081/")" "a guest's page"
    has "$(on_internet curl -gsS -m 10 "http://[$HOST6]:8081/")" "a guest's page"
}

@test "root's definition opens a port of root's, and has no more rights for it than that" {
    local forwarder
    is "$(who 80)" $OUTSIDE
    forwarder=$(processes vmnet-forwarder)
    is "$(stat -c %u "/proc/$forwarder")" "$SYSTEM_NETD_UID"
    is "$(status_field "$forwarder" CapEff)" 0000000000002000 # NET_RAW
    is "$(status_field "$forwarder" CapAmb)" 0000000000000000
}

@test "a user opens none of root's ports" {
    refused alice "port 81 of the host is for root only" forward add site 81:web:80
    run as alice ctl run --network site -p 443:443 -- true
    is "$status" 125
    has "$output" "for root only"
    vmnet-brokerctl --system forward add site 81:192.168.44.10:80
    is "$(who 81)" $OUTSIDE
    refused alice "ask that user, or root" forward remove site 81
    vmnet-brokerctl --system forward remove site 81
}

@test "a user leads no port to another's VM, nor to an address where none is" {
    refused bob "no VM of yours is running that is called 'web'" forward add site 8082:web:80
    refused bob "this one is another user's" forward add site 8082:192.168.44.10:80
    refused bob "no VM is there" forward add site 8082:192.168.44.77:80
    as bob ctl forward add site 8082:192.168.44.11:80
    as bob ctl forward remove site 8082
}

@test "a user closes no other's port, and no definition's" {
    refused bob "ask that user, or root" forward remove site 8080
    refused bob "by the definition of network 'site'" forward remove site 80
    refused alice "to a VM of network 'site' already" forward add site 8081:web:80
    is "$(who 8080)" $OUTSIDE
}

@test "a user sees definitions' ports and one's own; root sees all" {
    is "$(ports alice)" "[80, 8080]"
    is "$(ports bob)" "[80, 8081]"
    is "$(ports carol)" "[]"
    is "$(vmnet-brokerctl --system forward list --json |
        pick "sorted((f['external_port'], f['uid']) for f in d if not f['defined'])")" \
        "[(8080, $(id -u alice)), (8081, $(id -u bob))]"
}

@test "ports are there again after netd and forwarder were killed, root's as well" {
    kill -KILL "$(processes vmnet-netd)" "$(processes vmnet-forwarder)"
    eventually 10 leads 80
    eventually 10 leads 8080
}

leads() { # PORT
    [ "$(who "$1")" = $OUTSIDE ]
} 2>/dev/null
