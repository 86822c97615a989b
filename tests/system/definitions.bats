#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the keys of a definition mean for a guest: two guests on four networks, each of which
# is unusual in another way. netd_keys.py looks at the same frame by frame.
load lib

# eth0 of both; what is learned, and how one is called.
LAB='{
  "mode": "shared", "subnet": "10.11.16.1", "mask": "255.255.240.0",
  "ipv6_prefix": "fd00:11::", "mtu": 1400, "domain": "lab.example",
  "dns_servers": [ "127.0.0.99" ], "anti_spoofing": "off",
  "dhcp_reservations": [
    { "mac": "52:54:00:11:00:01", "address": "10.11.20.7", "name": "web" },
    { "mac": "52:54:00:11:00:77", "address": "10.11.20.77", "name": "inner" } ]
}'
# eth1 of both; one way out, and neighbours that do not see each other.
SIX='{
  "mode": "shared", "nat44": false, "isolation": true, "mtu": 9000,
  "dns_proxy": false, "dns_servers": [ "203.0.113.53", "2001:db8:ff::53" ]
}'
# eth2 of the first; the other way out.
FOUR='{ "mode": "shared", "nat66": false, "uplink": "user", "subnet": "192.168.42.0",
        "mask": "255.255.255.248" }'
# eth2 of the second; nothing is learned.
QUIET='{ "mode": "host", "dhcp": false, "router_advertisement": false, "idle_timeout": 1,
         "subnet": "192.168.43.9", "mask": "255.255.255.248", "ipv6_prefix": "fd00:43::" }'
# eth3 of the second; any address, but no other MAC.
LOOSE='{ "mode": "host", "anti_spoofing": "mac", "dhcp": false, "subnet": "192.168.45.1" }'
# eth3 of the first; another cable of the host's.
CABLE='{ "mode": "shared", "subnet": "192.168.44.1", "external_interface": "eth1" }'

directory() {
    echo "$(user_home)/.config/vmnet-broker.d"
}

define() { # NAME JSON -> as an editor would write it
    local file
    file=$(directory)/$1.json
    as_user sh -c 'mkdir -p "${1%/*}" && printf "%s\n" "$2" >"$1.new" && mv "$1.new" "$1"' \
        define "$file" "$2"
}

boot() { # NAME NETWORK...
    local name=$1 command options=() nics=() i=
    shift
    for network; do
        options+=(--network "$network")
        nics+=(--nic "fd={fd$i}/{mac$i}")
        i=$((i + 1))
    done
    mapfile -t command < <("$GUEST" command "$name" "${nics[@]}")
    as_user_in_background "guest-$name" \
        vmnet-brokerctl run "${options[@]}" --name "$name" -- "${command[@]}"
}

setup_file() {
    plug_in
    define cable "$CABLE"
    define lab "$LAB"
    define six "$SIX"
    define four "$FOUR"
    define quiet "$QUIET"
    define loose "$LOOSE"
    # A server of the host's own, on its loopback: no guest and no gateway gets there.
    dnsmasq --no-daemon --conf-file=/dev/null --no-hosts --no-resolv --user= --group= \
        --bind-interfaces --log-facility=- --listen-address=127.0.0.99 \
        --address=/own.example.test/203.0.113.80 '--local=/#/' \
        >"$WORLD/log/own-dns" 2>&1 </dev/null 3>&- 4>&- 5>&- &
    echo $! >"$WORLD/own-dns.pid"
    start_broker # so that there is something to monitor
    as_user_in_background monitor vmnet-brokerctl monitor --json
    as_user_in_background monitor-words vmnet-brokerctl monitor
    eventually 20 both_watch
    boot web lab six four cable
    boot db lab six quiet loose
    "$GUEST" wait web --timeout 180
    "$GUEST" wait db --timeout 180 --without "eth2 eth3"
}

both_watch() { # which they show when something happens
    ctl acquire loose -- true && told client_came
}

teardown() {
    tell_what_happened
}

teardown_file() {
    stop_guests web
    kill "$(cat "$WORLD/own-dns.pid")"
    stop_everything
    ip link del eth1
    nothing_is_left
}

address() { # GUEST LINK [6]
    in_guest "$1" "ip -${3:-4} -o addr show dev $2 scope global" |
        sed -n 's,.* inet6\? \([^ ]*\) .*,\1,p' | head -n 1
}

lease() { # GUEST LINK VARIABLE -> what DHCP said
    in_guest "$1" "sed -n \"s/^$3='\\(.*\\)'\$/\\1/p\" /tmp/lease.$2"
}

interface() { # GUEST NETWORK EXPRESSION about `i`
    status_of "$2" "[$3 for i in n['interfaces'] if i['name'] == '$1'][0]"
}

pings() { # GUEST LINK ADDRESS
    in_guest "$1" "ping -c 1 -W 3 -I $2 $3"
}

@test "subnet, mask and ipv6_prefix are those of the definition" {
    is "$(status_of lab "n['status']['network']['ipv4_subnet']")" 10.11.16.0/20
    is "$(status_of lab "n['status']['network']['ipv4_gateway']")" 10.11.16.1
    is "$(address db eth0)" 10.11.16.2/20
    eventually 30 has_prefix db eth0 fd00:11:0:0: fd00:11::
    is "$(address web eth2)" 192.168.42.2/29
    is "$(lease web eth2 router)" 192.168.42.1
}

has_prefix() { # GUEST LINK PREFIX... -> one of them
    local got prefix
    got=$(address "$1" "$2" 6)
    shift 2
    for prefix; do [[ $got != "$prefix"* ]] || return 0; done
    return 1
}

@test "mtu: the guest learns it by DHCP and router advertisement, and frames are that large" {
    is "$(in_guest db cat /sys/class/net/eth0/mtu)" 1400 # which only DHCP sets
    # A link-local address that is new asks for an advertisement.
    in_guest db "echo 1300 >/proc/sys/net/ipv6/conf/eth0/mtu
        ll=\$(ip -6 -o addr show dev eth0 scope link | sed 's/.*inet6 \([^ ]*\) .*/\1/')
        ip -6 addr del \$ll dev eth0 && ip -6 addr add \$ll dev eth0"
    eventually 30 ra_mtu db eth0 1400
    is "$(in_guest db cat /sys/class/net/eth1/mtu)" 9000
    in_guest db "ping -c 1 -W 5 -s 8900 -I eth1 $(lease db eth1 serverid)"
}

ra_mtu() { # GUEST LINK MTU
    [ "$(in_guest "$1" "cat /proc/sys/net/ipv6/conf/$2/mtu")" = "$3" ]
}

@test "a reservation: who has the name gets MAC and address, in every guest's eyes" {
    is "$(address web eth0)" 10.11.20.7/20
    is "$(in_guest web cat /sys/class/net/eth0/address)" 52:54:00:11:00:01
    is "$(interface web lab "i['ipv4_address']")" 10.11.20.7
    in_guest db "nslookup web.lab.vmnet.internal 10.11.16.1" | grep -q 10.11.20.7
    pings db eth0 10.11.20.7
}

@test "domain: it is searched first, and names are in it as well as in the network's own" {
    has "$(lease db eth0 search)" "lab.example lab.vmnet.internal"
    is "$(lease db eth0 domain)" lab.example
    in_guest db "nslookup web.lab.example 10.11.16.1" | grep -q "10.11.20.7"
    in_guest db "nslookup web.lab.vmnet.internal 10.11.16.1" | grep -q "10.11.20.7"
}

@test "dns_servers with the proxy: the gateway asks them, wherever the host reaches them" {
    is "$(lease db eth0 dns)" 10.11.16.1
    in_guest db "nslookup own.example.test 10.11.16.1" | grep -q 203.0.113.80
    not in_guest db "nslookup www.example.test 10.11.16.1" # which the host's own resolver knows
}

@test "dns_servers without the proxy: guests are told to ask them, the gateway knows VMs only" {
    is "$(lease db eth1 dns)" 203.0.113.53
    not in_guest db "nslookup www.example.test $(lease db eth1 serverid)"
    in_guest db "nslookup web.six.vmnet.internal $(lease db eth1 serverid)" |
        grep -q "$(interface web six "i['ipv4_address']")"
}

@test "nat44 off: no default route, refused at once, and IPv6 gets out" {
    is "$(lease db eth1 router)" ""
    eventually 30 pings db eth1 2001:db8:ff::80 2>/dev/null # once it has an address to do it from
    in_guest db "ip route add 203.0.113.80 via $(lease db eth1 serverid) dev eth1"
    run in_guest db "wget -q -O - http://203.0.113.80/" # no timeout: it need not be waited for
    [ "$status" -ne 0 ] && [ "$status" -ne 125 ]
    in_guest db ip route del 203.0.113.80
}

@test "nat66 off: no default route, and IPv4 gets out" {
    eventually 30 has_prefix web eth0 fd00:11:0:0: fd00:11:: # by an advertisement, which says both
    is "$(in_guest web "ip -6 route | grep '^default' | grep -c eth2")" 0
    is "$(in_guest web "ip -6 route | grep '^default' | grep -c eth0")" 1
    # One of three networks is its default.
    in_guest web ip route add 203.0.113.80 via 192.168.42.1 dev eth2
    pings web eth2 203.0.113.80
    not pings web eth2 2001:db8:ff::80
}

@test "isolation: guests reach the gateway and not each other, IPv4 and IPv6" {
    pings web eth1 "$(lease web eth1 serverid)"
    not pings web eth1 "$(interface db six "i['ipv4_address']")"
    eventually 30 has_prefix db eth1 fd
    local six
    six=$(address db eth1 6)
    not pings web eth1 "${six%/*}"
    pings web eth0 "$(interface db lab "i['ipv4_address']")"
}

@test "dhcp and router_advertisement off: nothing is given, and the decided address works" {
    is "$(address db eth2)" ""
    is "$(address db eth2 6)" ""
    local mine
    mine=$(interface db quiet "i['ipv4_address']")
    is "$mine" 192.168.43.10
    in_guest db "ip addr add $mine/29 dev eth2 && ip -6 addr add fd00:43::5/64 dev eth2"
    pings db eth2 192.168.43.9
    eventually 10 pings db eth2 fd00:43::1 2>/dev/null # once nobody else turned out to have it
    in_guest db "nslookup db.quiet.vmnet.internal 192.168.43.9" | grep -q "$mine"
    in_guest db "ip addr del $mine/29 dev eth2; ip addr add 192.168.43.12/29 dev eth2"
    not pings db eth2 192.168.43.9
}

# As a guest inside the guest would: its frames come through the outer one's TAP.
becomes() { # GUEST MAC -> what DHCP then gives eth0
    in_guest "$1" "
        cp /tmp/lease.eth0 /tmp/own
        ip link set eth0 down; ip link set eth0 address $2; ip link set eth0 up
        udhcpc -i eth0 -s /bin/true -n -q -T 1 -t ${3:-15} 2>&1 |
            sed -n 's/.*lease of \([0-9.]*\).*/\1/p'"
}

@test "anti_spoofing off: a nested guest with a reserved MAC gets its address and name" {
    local own
    own=$(in_guest db cat /sys/class/net/eth0/address)
    is "$(becomes db 52:54:00:11:00:77)" 10.11.20.77
    is "$(becomes db 52:54:00:11:00:78 3)" ""
    in_guest db "ip link set eth0 down; ip link set eth0 address $own; ip link set eth0 up"
    in_guest web "nslookup inner.lab.example 10.11.16.1" | grep -q 10.11.20.77
}

@test "anti_spoofing: with strict no other address is used, with mac any, but no other MAC" {
    local six own
    six=$(lease db eth1 serverid)
    in_guest db "ip addr add ${six%.*}.200/24 dev eth1"
    not in_guest db "ping -c 1 -W 3 -I ${six%.*}.200 $six"
    in_guest db "ip addr del ${six%.*}.200/24 dev eth1"
    pings db eth1 "$six"
    in_guest db "ip addr add 192.168.45.200/24 dev eth3"
    pings db eth3 192.168.45.1
    own=$(in_guest db cat /sys/class/net/eth3/address)
    in_guest db "ip link set eth3 down; ip link set eth3 address 52:54:00:99:99:99; ip link set eth3 up"
    not pings db eth3 192.168.45.1
    in_guest db "ip link set eth3 down; ip link set eth3 address $own; ip link set eth3 up"
    eventually 20 pings db eth3 192.168.45.1
}

@test "a reservation that is written while guests run counts at once, and they notice nothing" {
    local own
    own=$(in_guest db cat /sys/class/net/eth0/address)
    in_guest web "ping -c 30 -i 0.2 10.11.16.1 >/tmp/ping 2>&1 </dev/null &"
    define lab "$(sed 's/00:77/00:78/; s/20\.77/20.78/; s/inner/later/' <<<"$LAB")"
    eventually 15 knows web later.lab.example 10.11.20.78
    is "$(becomes db 52:54:00:11:00:78)" 10.11.20.78
    in_guest db "ip link set eth0 down; ip link set eth0 address $own; ip link set eth0 up"
    eventually 30 in_guest web "grep transmitted /tmp/ping" 2>/dev/null
    has "$(in_guest web cat /tmp/ping)" "30 packets transmitted, 30 packets received"
    is "$(status_of lab "n['pending']")" "[]"
}

knows() { # GUEST NAME ADDRESS
    in_guest "$1" "nslookup $2 10.11.16.1" | grep -q "$3"
}

@test "a reserved address is given to nobody else, and MAC and name do not mix" {
    run ctl run --network lab,mac=52:54:00:11:00:99 --name web -- true
    [ "$status" -ne 0 ]
    has "$output" "reserved for MAC address 52:54:00:11:00:01"
    run ctl run --network lab,mac=52:54:00:11:00:78 --name other -- true
    [ "$status" -ne 0 ]
    has "$output" "reserved for the name 'later'"
    is "$(ctl run --network lab --name later -- echo '{mac} {ip}')" "52:54:00:11:00:78 10.11.20.78"
}

@test "what this instance has no means for is refused, with what to write instead" {
    define kernel '{ "mode": "shared", "uplink": "kernel" }'
    run ctl acquire kernel -- true
    [ "$status" -ne 0 ]
    has "$output" "system instance"
    has "$output" '"user"'
}

@test "allow: only those whom it names, and a change counts at once" {
    define private '{ "mode": "host", "allow": { "users": ["nobody"] } }'
    run ctl acquire private -- true
    [ "$status" -ne 0 ]
    has "$output" "allow"
    define private '{ "mode": "host", "idle_timeout": 1, "allow": { "users": ["'"$WORLD_UID"'"] } }'
    ctl acquire private -- true
}

@test "a subnet that is another network's is refused by its name; beside it there is room" {
    define clash '{ "mode": "host", "subnet": "10.11.17.1" }'
    run ctl acquire clash -- true
    [ "$status" -ne 0 ]
    has "$output" "10.11.17.0/24"
    has "$output" "'lab'"
    define clash '{ "mode": "host", "idle_timeout": 1, "subnet": "192.168.42.9", "mask": "255.255.255.248" }'
    ctl acquire clash -- true
}

@test "a broken definition is none, is logged once a change, and harms no other" {
    local i log
    log=$(user_home)/.local/state/vmnet-broker/broker.log
    define broken '{ "mode": "shared", "mtu": "large" }'
    for i in 1 2 3; do
        run ctl acquire broken -- true
        [ "$status" -ne 0 ]
        has "$output" "broken"
    done
    is "$(grep -c "error: network 'broken': .*broken.json:1:28" "$log")" 1
    define broken '{ "mode": "shared", "mtu": 1 }'
    run ctl acquire broken -- true
    is "$(grep -c "error: network 'broken': .*broken.json:1:28" "$log")" 2
    pings web eth0 10.11.16.1
    ctl acquire lab -- true
    as_user rm "$(directory)/broken.json"
}

@test "external_interface: its networks leave by it, others by the host's routes" {
    local router
    in_guest web ip route replace 203.0.113.80 via 192.168.44.1 dev eth3
    has "$(fetch web http://203.0.113.80/)" "for 198.51.101.2"
    eventually 30 has_prefix web eth3 fd
    router=$(in_guest web "ip -6 route show default dev eth3" | sed -n 's/.*via \([^ ]*\).*/\1/p')
    in_guest web ip -6 route add 2001:db8:ff::80 via "$router" dev eth3
    has "$(fetch web 'http://[2001:db8:ff::80]/')" "for 2001:db8:2::2"
    in_guest web ip route replace 203.0.113.80 via 192.168.42.1 dev eth2
    has "$(fetch web http://203.0.113.80/)" "for 198.51.100.2"
    is "$(status_of cable "n['status']['network']['uplink']")" ok
}

@test "external_interface: without it nothing leaves, and when it is back, all is well" {
    in_guest web ip route replace 203.0.113.80 via 192.168.44.1 dev eth3
    ip link del eth1
    eventually 10 uplink_is cable "failed: the host has no interface 'eth1'"
    not fetch web http://203.0.113.80/
    not fetch web 'http://[2001:db8:ff::80]/'
    uplink_is four ok
    plug_in
    eventually 20 uplink_is cable ok
    eventually 10 fetch web http://203.0.113.80/ >/dev/null 2>&1
    has "$(fetch web http://203.0.113.80/)" "for 198.51.101.2"
}

engines() { # INTERFACE -> pids of those that leave by it
    local pid
    for pid in $(ours | sed -n 's,^\([0-9]*\) .*/pas[^/]*$,\1,p'); do
        ! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "--outbound-if4 $1 " || echo "$pid"
    done
}

has_no_engine() { # INTERFACE
    is "$(engines "$1")" ""
}

@test "external_interface: while nobody could see it go, nothing leaves; the next netd goes on" {
    local broker netd
    broker=$(broker_pid)
    [ -n "$(engines eth1)" ]
    kill -STOP "$broker" # so that no netd follows
    netd=$(processes vmnet-netd)
    kill -KILL "$netd"
    eventually 10 has_no_engine eth1 2>/dev/null
    ip link del eth1
    not fetch web http://203.0.113.80/
    plug_in
    kill -CONT "$broker"
    eventually 20 uplink_is cable ok
    eventually 10 fetch web http://203.0.113.80/ >/dev/null 2>&1
    has "$(fetch web http://203.0.113.80/)" "for 198.51.101.2"
    in_guest web ip route replace 203.0.113.80 via 192.168.42.1 dev eth2
    has "$(fetch web http://203.0.113.80/)" "for 198.51.100.2"
}

uplink_is() { # NETWORK STATE
    [ "$(status_of "$1" "n['status']['network']['uplink']")" = "$2" ]
}

@test "idle_timeout: the network goes when it says, others stay" {
    define short '{ "mode": "host", "idle_timeout": 1 }'
    ctl acquire short -- true
    eventually 15 not network_exists short 2>/dev/null
    network_exists lab
}

@test "monitor tells all that happened: one JSON object each, or one line" {
    local kind
    stop_guests db
    for kind in network_created network_removed client_came client_left interface_started \
        interface_stopped address_given uplink_changed definition_changed definition_broken; do
        eventually 10 told "$kind" || {
            echo "no $kind" >&2
            return 1
        }
    done
    is "$(told_by lab address_given "e['interface']['ipv4_address']" | sort -u | head -n 1)" 10.11.16.2
    is "$(told_by cable uplink_changed "e['message']" | tail -n 1)" ok
    has "$(told_by broken definition_broken "e['message']" | head -n 1)" "broken.json:1:28"
    eventually 10 both_say_as_much
    grep -q 'address_given .* lab .* db .* 10\.11\.16\.2' "$WORLD/log/monitor-words"
}

both_say_as_much() { # since both watched
    is "$(said_since_boot monitor)" "$(said_since_boot monitor-words)"
}

said_since_boot() { # LOG -> how many lines
    sed -n '/interface_started/,$p' "$WORLD/log/$1" | grep -c .
}

told() { # KIND -> in both forms
    grep -q "\"what\":\"$1\"" "$WORLD/log/monitor" && grep -q " $1 " "$WORLD/log/monitor-words"
}

told_by() { # NETWORK KIND EXPRESSION about the event `e`
    python3 -c 'import json, sys
for line in open(sys.argv[1]):
    e = json.loads(line)
    if e.get("network") == sys.argv[2] and e["what"] == sys.argv[3]:
        print(eval(sys.argv[4]))' "$WORLD/log/monitor" "$@"
}
