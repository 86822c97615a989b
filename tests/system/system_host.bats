#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The host on the networks of a system instance, with real guests: web is alice's, on `shared`, lab
# is bob's, on `host`, apart is isolated. The host forwards for others, as Docker makes it.
# Frame by frame, and without a broker: netd_host.py.
load lib
load system

setup_file() {
    [ "$(id -u)" = 0 ] || return 0
    make_system_users
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    nft add table inet others
    eventually 10 addresses_are_settled
    the_host >"$BATS_FILE_TMPDIR/before"
    serve
    start_system
    as alice start_guest web --network shared
    as bob start_guest lab --network host
    as bob start_guest apart --network shared,isolated
    wait_guests web lab apart
}

teardown() {
    tell_what_happened_in_system
}

teardown_file() {
    [ "$(id -u)" = 0 ] || return 0
    stop_guests web lab apart
    stop_system
    the_host >"$BATS_FILE_TMPDIR/after"
    diff -u "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after"
}

# A service of the host's that listens everywhere, on port 8000.
serve() {
    mkdir -p "$WORLD/www"
    echo "the host's page" >"$WORLD/www/index.html"
    python3 -m http.server --bind :: --directory "$WORLD/www" 8000 \
        >"$WORLD/log/served" 2>&1 </dev/null 3>&- 4>&- 5>&- &
    eventually 10 curl -s -o /dev/null http://127.0.0.1:8000/
}

link_of() { # GUEST -> the host's link to its network
    ip -o route get "$(address_of "$1")" | sed 's/.* dev \([^ ]*\).*/\1/'
}

host_on() { # GUEST [6] -> the host's address on its network
    ip "-${2:-4}" -o addr show dev "$(link_of "$1")" scope global |
        sed -n 's,.* inet6\? \([^/ ]*\)/.*,\1,p' | head -n 1
}

link_local_of() { # LINK
    ip -6 -o addr show dev "$1" scope link | sed -n 's,.* inet6 \([^/]*\)/.*,\1,p'
}

@test "guests of either mode reach the host by its address on their network, IPv4 and IPv6" {
    local guest
    for guest in web lab apart; do
        is "$(fetch "$guest" "http://$(host_on "$guest"):8000/")" "the host's page"
        is "$(fetch "$guest" "http://[$(host_on "$guest" 6)]:8000/")" "the host's page"
        in_guest "$guest" ping -c 1 -W 5 "$(host_on "$guest")"
        in_guest "$guest" ping6 -c 1 -W 5 "$(host_on "$guest" 6)"
    done
    has "$(host_on web)" ".254"
}

@test "while the host is on the networks, no process of ours has set itself an alarm" {
    eventually 20 alarms_are ""
}

@test "status says which addresses the host has on a network" {
    is "$(as alice status_of shared "n['host_ipv4_address']")" "$(host_on web)"
    is "$(as alice status_of shared "n['host_ipv6_address']")" "$(host_on web 6)"
    is "$(as bob status_of host "n['host_ipv4_address']")" "$(host_on lab)"
    has "$(as bob ctl status host)" "  host      $(host_on lab), $(host_on lab 6)"
}

@test "the host reaches guests of either mode, IPv4 and IPv6" {
    local guest
    for guest in web lab; do
        is "$(curl -s --max-time 5 "http://$(address_of "$guest")/")" "a guest's page"
        is "$(curl -s --max-time 5 "http://[$(address_of "$guest" 6)]/")" "a guest's page"
    done
}

@test "host.vmnet.internal is the host, in either mode" {
    is "$(fetch web http://host.vmnet.internal:8000/)" "the host's page"
    is "$(fetch lab http://host.vmnet.internal:8000/)" "the host's page"
    has "$(in_guest web nslookup -type=a host.vmnet.internal)" "$(host_on web)"
    has "$(in_guest web nslookup -type=aaaa host.vmnet.internal)" "$(host_on web 6)"
    has "$(in_guest lab nslookup -type=a host.host.vmnet.internal)" "$(host_on lab)"
}

@test "the host looks up a guest's name at its gateway, as docs/system.md says" {
    local gateway
    gateway=$(as alice status_of shared "n['status']['network']['ipv4_gateway']")
    is "$(busybox nslookup -type=a web.shared.vmnet.internal "$gateway" |
        sed -n 's/^Address: *//p' | tail -n 1)" "$(address_of web)"
}

@test "from host nothing else of the host is reached, whatever way a guest takes" {
    local host other
    host=$(host_on lab) other=$(host_on web)
    in_guest lab "ip route replace default via $host; ip -6 route replace default via $(host_on lab 6)"
    not fetch lab http://198.51.100.2:8000/
    not fetch lab "http://$other:8000/"
    not fetch lab 'http://[2001:db8:1::2]:8000/'
    not fetch lab "http://[$(host_on web 6)]:8000/"
    not in_guest lab ping -c 1 -W 2 198.51.100.2
    not in_guest lab ping -c 1 -W 2 "$other"
    not in_guest lab ping6 -c 1 -W 2 2001:db8:1::2
    not fetch lab "http://[$(link_local_of "$(link_of lab)")%eth0]:8000/"
    is "$(fetch lab "http://$host:8000/")" "the host's page"
}

@test "nor anything through the host, which forwards for others: not outside, not another network" {
    on_internet nft "add table inet spy { counter strangers { }
        chain c { type filter hook prerouting priority -300
            ip saddr $(address_of lab) counter name strangers
            ip6 saddr $(address_of lab 6) counter name strangers; }; }"
    not fetch lab http://203.0.113.80/
    not fetch lab 'http://[2001:db8:ff::80]/'
    has "$(on_internet nft list counter inet spy strangers)" "packets 0 " # nobody could answer these
    on_internet nft delete table inet spy
    not fetch lab "http://$(address_of web)/"
    not fetch lab "http://[$(address_of web 6)]/"
    in_guest web "ip route replace $(address_of lab) via $(host_on web)
        ip -6 route replace $(address_of lab 6) via $(host_on web 6)"
    not fetch web "http://$(address_of lab)/"
    not fetch web "http://[$(address_of lab 6)]/"
    is "$(fetch web http://203.0.113.80/four)" "the internet has /four for 198.51.100.2"
}

@test "an isolated guest reaches the host and no other guest" {
    in_guest apart ping -c 1 -W 5 "$(host_on apart)"
    not in_guest apart ping -c 1 -W 2 "$(address_of web)"
    in_guest apart ping -c 1 -W 5 "$(as bob status_of shared "n['status']['network']['ipv4_gateway']")"
}

@test "nobody outside reaches a guest through the host" {
    local address
    address=$(address_of web)
    on_internet ip route add "$address" via 198.51.100.2
    is "$(on_internet curl -s --max-time 5 http://198.51.100.2:8000/)" "the host's page"
    not on_internet curl -s --max-time 2 "http://$address/"
    on_internet ip route del "$address"
}

@test "whatever somebody deletes in the host is back, and VMs reach the host again" {
    local link host
    link=$(link_of lab) host=$(host_on lab)
    nft flush ruleset
    eventually 15 rules_are_there
    nft add table inet others
    ip addr flush dev "$link"
    eventually 15 host_is_reached_from lab "$host"
    ip link del "$link"
    eventually 15 host_is_reached_from lab "$host"
    not fetch lab http://198.51.100.2:8000/
    has "$(cat "$SYSTEM_LOG")" "nftables table inet vmnet_broker: put back"
    has "$(cat "$SYSTEM_LOG")" "deleted or renamed the host's link $link"
}

rules_are_there() {
    nft list table inet vmnet_broker | grep -q 'oifname @links drop'
} 2>/dev/null

host_is_reached_from() { # GUEST ADDRESS
    is "$(fetch "$1" "http://$2:8000/")" "the host's page"
} 2>/dev/null

@test "everything of ours may be killed: the host stays on the networks, and the next netd takes over" {
    local host pid
    host=$(host_on lab)
    for pid in $(processes_of "$SYSTEM_NETD_UID" vmnet-hostside) \
        $(processes_of "$SYSTEM_NETD_UID" vmnet-netd); do
        kill -KILL "$pid"
    done
    is "$(fetch lab "http://$host:8000/")" "the host's page"
    eventually 20 running vmnet-hostside
    eventually 20 broker_knows_both
    is "$(host_on lab)" "$host"
    is "$(fetch lab "http://$host:8000/")" "the host's page"
    is "$(curl -s --max-time 5 "http://$(address_of web)/")" "a guest's page"
}

broker_knows_both() {
    is "$(vmnet-brokerctl --system status --json |
        pick "sorted(i['name'] for n in d['networks'] for i in n['interfaces'])")" \
        "['apart', 'lab', 'web']"
} 2>/dev/null

broker_is_well() {
    is "$(vmnet-brokerctl --system status --json | pick "d['broker']['problems']")" "[]" &&
        broker_knows_both
} 2>/dev/null

hostside_is_another() { # PID
    [ -n "$(processes vmnet-hostside)" ] && [ "$(processes vmnet-hostside)" != "$1" ]
}

# A network that did not exist before has the host on it.
new_network() { # NAME
    mkdir -p /etc/vmnet-broker.d
    echo '{ "mode": "host", "idle_timeout": 0 }' >"/etc/vmnet-broker.d/$1.json"
    as alice ctl acquire "$1" -- vmnet-brokerctl status --json "$1" |
        pick "d['networks'][0]['status']['network']['ipv4_gateway']" >"$WORLD/log/gateway"
}

# What VMs have goes on. Who asks for something new just then gets it, or is told to ask again.
another_hostside_follows() { # SIGNAL
    local host before said new=new-${1,,}
    host=$(host_on lab) before=$(processes vmnet-hostside)
    kill "-$1" "$before"
    said=$(new_network "$new" 2>&1) || has "$said" "try again"
    is "$(fetch lab "http://$host:8000/")" "the host's page"
    is "$(curl -s --max-time 5 "http://$(address_of web)/")" "a guest's page"
    is "$(fetch web http://203.0.113.80/four)" "the internet has /four for 198.51.100.2"
    eventually 20 hostside_is_another "$before"
    eventually 20 broker_is_well
    new_network "$new"
    is "$(host_on lab)" "$host"
    is "$(fetch lab "http://$host:8000/")" "the host's page"
    not fetch lab http://198.51.100.2:8000/
}

@test "a hostside that is killed is followed by another, and VMs notice nothing" {
    another_hostside_follows KILL
    has "$(cat "$SYSTEM_LOG")" "the hostside has ended"
}

@test "one that hangs while somebody waits for it is killed, and followed by another" {
    another_hostside_follows STOP
}

@test "one that hangs is killed, though nobody needs it" {
    local before
    before=$(processes vmnet-hostside)
    kill -STOP "$before"
    eventually 20 hostside_is_another "$before"
    eventually 20 broker_is_well
    has "$(cat "$SYSTEM_LOG")" "hostside: process $before has been stopped; killing it"
}

@test "a network that is built anew has its subnet again, though the host had routes to it" {
    local gateway
    run as alice ctl run --network shared --name late -- echo '{ip}'
    is "$status" 0
    stop_guests lab
    eventually 20 network_is_idle host
    gateway=$(vmnet-brokerctl --system status host --json |
        pick "d['networks'][0]['status']['network']['ipv4_gateway']")
    as bob start_guest lab --network host
    wait_guests lab
    is "$(as bob status_of host "n['status']['network']['ipv4_gateway']")" "$gateway"
}

network_is_idle() {
    is "$(vmnet-brokerctl --system list --json |
        pick "[n['clients'] for n in d if n['name'] == '$1']")" "[0]"
} 2>/dev/null

@test "link managers are told to leave the host's links alone, by the name that they have" {
    local lib=/usr/local/lib link
    link=$(link_of web)
    python3 - "$lib" "$link" <<'END'
import configparser, fnmatch, sys
lib, link = sys.argv[1:]
nm, networkd = configparser.ConfigParser(), configparser.ConfigParser()
assert nm.read(f"{lib}/NetworkManager/conf.d/90-vmnet-broker.conf")
assert networkd.read(f"{lib}/systemd/network/10-vmnet-broker.network")
device = nm["device-vmnet-broker"]
kind, pattern = device["match-device"].split(":")
assert kind == "interface-name" and fnmatch.fnmatch(link, pattern) and device["managed"] == "0"
assert fnmatch.fnmatch(link, networkd["Match"]["Name"])
assert networkd["Link"]["Unmanaged"] == "yes"
for other in ("eth0", "docker0", "virbr0", "vmnet8", "wlan0"):
    assert not fnmatch.fnmatch(other, pattern)
END
}

@test "in a user's own instance there is no host, and no name for it" {
    local before
    before=$(ip -o link | grep -c vmb)
    as carol start_guest own --network shared
    wait_guests own
    not in_guest own nslookup -type=a host.vmnet.internal
    is "$(as carol ctl --user status --json | pick "'host_ipv4_address' in d['networks'][0]")" False
    is "$(ip -o link | grep -c vmb)" "$before"
    stop_guests own
    eventually 10 as carol ctl --user stop # her `run` may need a moment, too
    eventually 20 carol_has_nothing
}

carol_has_nothing() {
    is "$(processes_of 4103 vmnet-netd)" ""
} 2>/dev/null
