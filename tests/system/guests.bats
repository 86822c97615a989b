#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Two guests on `shared`, booted as a user boots them: what a network must give to a VM.
load lib

setup_file() {
    start_guest web --network shared
    start_guest db --network shared
    wait_guests web db
}

teardown() {
    tell_what_happened
}

teardown_file() {
    stop_guests web db
    stop_everything
    nothing_is_left
}

# Everything that status says about one guest's interface: promised EXPRESSION about `i`.
promised() { # NAME EXPRESSION
    status_of shared "[$2 for i in n['interfaces'] if i['name'] == '$1'][0]"
}

network() { # EXPRESSION about the Network `w`
    status_of shared "(lambda w: $1)(n['status']['network'])"
}

@test "DHCP gives each guest the address that the broker promised, and the MAC is the promised one" {
    for name in web db; do
        is "$(address_of $name)" "$(promised $name "i['ipv4_address']")"
        is "$(in_guest $name cat /sys/class/net/eth0/address)" "$(promised $name "i['mac_address']")"
    done
    not is "$(address_of web)" "$(address_of db)" 2>/dev/null
}

@test "the default route and the resolver are the network's gateway" {
    local gateway
    gateway=$(network "w['ipv4_gateway']")
    has "$(in_guest web ip route)" "default via $gateway dev eth0"
    is "$(in_guest web "sed -n 's/nameserver //p' /etc/resolv.conf")" "$gateway"
    is "$(in_guest web "sed -n 's/search //p' /etc/resolv.conf")" "shared.vmnet.internal"
}

@test "each guest makes itself an IPv6 address in the network's prefix" {
    local prefix
    prefix=$(network "w['ipv6_prefix']")
    has "$(address_of web 6)" "${prefix%::/64}:"
    has "$(in_guest web ip -6 route)" "default via fe80:"
}

@test "the guest's MTU is the network's, and a frame of that size gets through" {
    is "$(in_guest web cat /sys/class/net/eth0/mtu)" "$(network "w['mtu']")"
    in_guest web "ping -c 1 -W 5 -s 1472 $(address_of db)"
    in_guest web "ping6 -c 1 -W 5 -s 1452 $(address_of db 6)"
}

@test "guests ping each other by short name and by full name" {
    in_guest web ping -c 1 -W 5 db
    in_guest db ping -c 1 -W 5 web
    in_guest web ping -c 1 -W 5 db.shared.vmnet.internal
    has "$(in_guest web ping -4 -c 1 -W 5 db)" "($(address_of db))"
}

@test "a guest's name leads to its IPv6 address too, once it has used it" {
    # dnsmasq pings the address that follows from the MAC before it believes in it.
    eventually 20 in_guest web ping6 -c 1 -W 5 db
}

@test "guests ping each other over IPv6" {
    in_guest web ping6 -c 1 -W 5 "$(address_of db 6)"
    in_guest db ping6 -c 1 -W 5 "$(address_of web 6)"
}

@test "a guest serves another over TCP" {
    in_guest db 'echo rows >/www/table'
    is "$(fetch web http://db/table)" rows
    is "$(fetch web "http://[$(address_of db 6)]/table")" rows
}

@test "a guest reaches the internet over TCP, IPv4 and IPv6, and appears there as the host" {
    is "$(fetch web http://203.0.113.80/four)" \
        "the internet has /four for 198.51.100.2"
    is "$(fetch web 'http://[2001:db8:ff::80]/six')" \
        "the internet has /six for 2001:db8:1::2"
}

@test "a guest reaches the internet over UDP, IPv4 and IPv6" {
    has "$(in_guest web nslookup -type=a four.example.test 203.0.113.53)" 203.0.113.80
    has "$(in_guest web nslookup -type=aaaa six.example.test 2001:db8:ff::53)" 2001:db8:ff::80
}

@test "a guest pings the internet, IPv4 and IPv6" {
    in_guest web ping -c 1 -W 5 203.0.113.80
    in_guest web ping6 -c 1 -W 5 2001:db8:ff::80
}

@test "outside names are looked up at the host's resolver, on the host's loopback as elsewhere" {
    has "$(fetch web http://www.example.test/name)" "the internet has /name for"
    use_resolver 203.0.113.53
    has "$(in_guest web nslookup -type=a four.example.test)" 203.0.113.80
    use_resolver 127.0.0.53
    has "$(in_guest web nslookup -type=aaaa six.example.test)" 2001:db8:ff::80
}

@test "a name that does not exist is said not to exist, inside the network and outside" {
    has "$(in_guest web nslookup -type=a nobody.shared.vmnet.internal 2>&1 || true)" NXDOMAIN
    has "$(in_guest web nslookup -type=a nobody.example.test 2>&1 || true)" NXDOMAIN
    has "$(in_guest web nslookup -type=a host.vmnet.internal 2>&1 || true)" NXDOMAIN
}

@test "a guest does not reach what listens on the host's loopback" {
    local gateway address
    gateway=$(network "w['ipv4_gateway']")
    as_user_in_background secret python3 -m http.server --bind 127.0.0.1 8000
    local secret=$!
    eventually 10 grep -q 0100007F:1F40 /proc/net/tcp
    for address in "$gateway" 169.254.10.1 10.0.2.2 127.0.0.1; do
        not fetch web "http://$address:8000/"
    done
    kill "$secret"
}

@test "list and status show the network, who holds it, and what its interfaces carried" {
    is "$(ctl list --json | pick "[(n['name'], n['mode'], n['clients'], n['interfaces']) for n in d]")" \
        "[('shared', 'shared', 2, 2)]"
    has "$(ctl list)" shared
    is "$(status_of shared "n['status']['state']")" ready
    is "$(status_of shared "sorted(i['name'] for i in n['interfaces'])")" "['db', 'web']"
    is "$(promised web "i['rx_bytes'] > 1000 and i['tx_bytes'] > 1000")" True
    is "$(network "w['uplink']")" ok
    has "$(ctl status)" "$(address_of web)"
    has "$(ctl status shared)" web
}

@test "exec runs a command inside the namespace, from where guests can be reached" {
    has "$(ctl exec -- ip -o addr)" "$(network "w['ipv4_gateway']")"
    in_guest db 'echo hello >/www/hello'
    is "$(ctl exec -- python3 -c 'import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode().strip())' \
        "http://$(address_of db)/hello")" hello
}

# What leases say of a guest: EXPRESSION about `l`.
lease() { # NAME EXPRESSION
    ctl leases --json shared | pick "[$2 for l in d if l.get('name') == '$1'][0]"
}

@test "leases show who has which address, and until when" {
    is "$(lease web "l['ipv4_address']")" "$(address_of web)"
    is "$(lease web "l['mac_address']")" "$(promised web "i['mac_address']")"
    is "$(lease web "l['state']")" live
    [ "$(lease web "l['expires']")" -gt "$(date +%s)" ]
    has "$(ctl leases)" "$(address_of db)"
}

@test "a guest that is killed loses its interface, and nobody else notices" {
    local pid
    as_user_in_background monitor vmnet-brokerctl monitor
    start_guest doomed --network shared
    wait_guests doomed
    eventually 10 grep -q "interface_started .*doomed" "$WORLD/log/monitor"
    eventually 10 grep -q "address_given .*doomed" "$WORLD/log/monitor"
    pid=$(cat "$GUEST_DIR/doomed.pid")
    is "$(status_of shared "len(n['interfaces'])")" 3
    kill -KILL "$pid"
    eventually 10 guests_are 2
    eventually 10 grep -q "interface_stopped .*doomed" "$WORLD/log/monitor"
    is "$(lease doomed "l['state']")" remembered
    in_guest web ping -c 1 -W 5 db
    kill "$(processes vmnet-brokerctl | xargs -I@ sh -c 'grep -qaw monitor /proc/@/cmdline && echo @')"
}

guests_are() {
    is "$(status_of shared "(len(n['interfaces']), n['status']['clients'])")" "($1, $1)" 2>/dev/null
}
