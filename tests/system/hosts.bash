# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# hosts.bash - hosts that make life hard for a router on them: `load lib`, `load system`, then
# `load hosts`. What comes changes the world's host as the real thing would; what goes takes
# that back.

FOUR=http://203.0.113.80/four
SIX="http://[2001:db8:ff::80]/six"
export FOUR SIX

# Docker: everything that is forwarded and not a container's is dropped; its own chain for the
# administrator's rules is asked first.
docker_comes() {
    local tool
    for tool in iptables ip6tables; do
        $tool -w -N DOCKER-USER
        $tool -w -A DOCKER-USER -j RETURN
        $tool -w -A FORWARD -j DOCKER-USER
        $tool -w -P FORWARD DROP
    done
}

docker_goes() {
    local tool
    for tool in iptables ip6tables; do
        $tool -w -P FORWARD ACCEPT
        $tool -w -F FORWARD
        $tool -w -F DOCKER-USER
        $tool -w -X DOCKER-USER
    done
}

# ufw: chains of chains; what comes in or is forwarded is refused in the last of them.
ufw_comes() {
    local tool
    for tool in iptables ip6tables; do
        $tool -w -N ufw-user-input
        $tool -w -A ufw-user-input -i lo -j RETURN
        $tool -w -A ufw-user-input -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
        # As ufw does: without neighbour discovery no IPv6 address is found, nor a router.
        [ $tool = iptables ] || $tool -w -A ufw-user-input -p icmpv6 -j RETURN
        $tool -w -A ufw-user-input -j DROP
        $tool -w -A INPUT -i vmb+ -j ufw-user-input
        $tool -w -N ufw-user-forward
        $tool -w -A ufw-user-forward -j REJECT
        $tool -w -A FORWARD -j ufw-user-forward
    done
}

ufw_goes() {
    local tool
    for tool in iptables ip6tables; do
        $tool -w -F INPUT
        $tool -w -F FORWARD
        $tool -w -F ufw-user-input
        $tool -w -F ufw-user-forward
        $tool -w -X ufw-user-input
        $tool -w -X ufw-user-forward
    done
}

# An administrator's rules against all ICMPv6 and ARP on our cable: neither end can ask any more who
# the other is.
discovery_goes() {
    nft -f - <<END
table inet admin {
    chain input {
        type filter hook input priority filter; policy accept;
        iifname vmbup meta l4proto ipv6-icmp drop
    }
    chain output {
        type filter hook output priority filter; policy accept;
        oifname vmbup meta l4proto ipv6-icmp drop
    }
}
table arp admin {
    chain input {
        type filter hook input priority filter; policy accept;
        iifname vmbup drop
    }
    chain output {
        type filter hook output priority filter; policy accept;
        oifname vmbup drop
    }
}
END
}

discovery_comes() {
    nft delete table inet admin
    nft delete table arp admin
}

# A VPN: a link of its own, and by it half the world twice, which beats any default route.
vpn_comes() {
    ip link add tun0 type veth peer name vpn0 netns internet
    on_internet ip addr add 10.99.0.1/24 dev vpn0
    on_internet ip link set vpn0 up
    ip addr add 10.99.0.2/24 dev tun0
    ip link set tun0 up
    ip route add 0.0.0.0/1 via 10.99.0.1
    ip route add 128.0.0.0/1 via 10.99.0.1
}

vpn_goes() {
    ip link del tun0
}

# Another VPN, whose subnet is a network's.
overlap_comes() { # SUBNET
    ip link add tun0 type veth peer name vpn0 netns internet
    ip link set tun0 up
    ip route add "$1" dev tun0 metric 50
}

routes_go() {
    ip route del default
    ip -6 route del default
}

routes_come() {
    ip route add default via 198.51.100.1
    ip -6 route add default via 2001:db8:1::1
}

forwarding_goes() {
    local knob
    for knob in /proc/sys/net/ipv4/conf/{eth0,vmbup}/forwarding \
        /proc/sys/net/ipv6/conf/{eth0,vmbup}/force_forwarding; do
        [ ! -e "$knob" ] || echo 0 >"$knob"
    done
}

# Somebody else's services, and a LAN where our first choice would be.
busy_host() {
    ip link add lan0 type veth peer name lan1 netns internet
    ip addr add 192.168.64.7/24 dev lan0
    ip link set lan0 up
    on_internet ip link set lan1 up
    python3 -c '
import socket, time
held = []
for kind, port in ((socket.SOCK_DGRAM, 53), (socket.SOCK_STREAM, 53), (socket.SOCK_DGRAM, 67)):
    s = socket.socket(socket.AF_INET, kind)
    s.bind(("198.51.100.2" if port == 53 else "0.0.0.0", port))
    held.append(s)
print("taken", flush=True)
time.sleep(3600)' >"$WORLD/log/taken" 2>&1 </dev/null 3>&- 4>&- 5>&- &
    eventually 20 grep -q taken "$WORLD/log/taken"
}

# --- asking ---------------------------------------------------------------------------

# What of the host must be in the end as it was in the beginning.
host_settings() {
    local knob
    # Only what was there in the beginning, and link-local addresses come when they like.
    for knob in /proc/sys/net/ipv4/{ip_forward,conf/*/forwarding} \
        /proc/sys/net/ipv6/conf/*/{forwarding,force_forwarding}; do
        [ ! -e "$knob" ] || echo "$knob $(cat "$knob")"
    done
    ip rule
    ip -4 route show table all | sed 's/expires [0-9]*sec//'
    ip -6 route show table all | sed 's/expires [0-9]*sec//' | grep -vE 'fe80|multicast'
}

uplink_of() { # NETWORK
    vmnet-brokerctl --system status --json |
        pick "[n['status']['network']['uplink'] for n in d['networks'] if n['status']['name'] == '$1'][0]"
}

uplink_is() { # NETWORK PATTERN
    has "$(uplink_of "$1")" "$2"
}

problems() {
    vmnet-brokerctl --system status --json | pick "' | '.join(d['broker']['problems'])"
}

problem_is() { # PATTERN
    has "$(problems)" "$1"
}

reaches() { # GUEST URL
    has "$(fetch "$1" "$2")" "the internet has"
} 2>/dev/null

# Throughout, whatever the host does: addresses, names, each other.
guests_have_each_other() {
    in_guest web ping -c 1 -W 5 db
    in_guest db ping -c 1 -W 5 web.shared.vmnet.internal
    in_guest web "nslookup db.shared.vmnet.internal"
    is "$(address_of web)" "$WEB_ADDRESS"
}

engines() {
    processes pasta
    processes passt
    processes passt.avx2
    processes pasta.avx2
    processes slirp4netns
}
