# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# bare_net.bash - what a network of ours is compared with, in the namespace bare-net: for bench/data
# and bench/frames_out, so that both compare with the same.

make_bare_bridge() {
    ip netns exec bare-net sh -c 'sysctl -qw net.ipv4.ip_forward=1
        for k in iptables ip6tables arptables; do
            sysctl -qw net.bridge.bridge-nf-call-$k=0 2>/dev/null || true
        done'
    ip -n bare-net link add br0 type bridge
    ip -n bare-net addr add 10.9.9.1/24 dev br0
    ip -n bare-net link set br0 up
}

# A veth instead of the engine, and one masquerading rule on either side of it.
make_bare_nat() {
    local mss="tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"
    ip link add nat0 type veth peer name nat1 netns bare-net
    ip addr add 10.9.8.1/24 dev nat0
    ip link set nat0 up
    ip -n bare-net addr add 10.9.8.2/24 dev nat1
    ip -n bare-net link set nat1 up
    ip -n bare-net route add default via 10.9.8.1
    ip netns exec bare-net nft -f - <<RULES
table inet bare {
    chain forward { type filter hook forward priority filter; $mss; }
    chain postrouting { type nat hook postrouting priority srcnat; oifname nat1 masquerade; }
}
RULES
    nft -f - <<'RULES'
table ip bare {
    chain postrouting { type nat hook postrouting priority srcnat; ip saddr 10.9.8.2 masquerade; }
}
RULES
}
