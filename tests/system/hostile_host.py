#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hostile_host.py PATH/TO/vmnet-netd - a network that calls itself isolated is isolated.

`spy` is root in a guest on network `priv` of mode `host`, and addresses its packets as it likes.
`web` and `db` are on `one`, which is `shared`."""
import os
import socket
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from hostile import (MARK, check, drain, gone, heard_by, in_namespace_of,  # noqa: E402
                     reconfigured, serial, smoke, tap_on_link, tell, udp4)
from netd_smoke import PREFIX, checksum, eui64, ip4_packet, ip6_packet, ipaddress  # noqa: E402

INET = ("inet", "vmnet")
OUTSIDE4, OUTSIDE6 = "203.0.113.80", "2001:db8:ff::80"
PRIV6 = "fd00:66::"


# What works is waited for as long as it may take: the gateway's question for a guest's MAC is
# asked once a second, and one that was asked while nobody listened is not answered.
PATIENCE = 8


def port():
    """Another one for each packet: to the namespace each is the beginning of something."""
    return 20000 + next(serial) % 40000


def tcp4(source, destination, to):
    head = struct.pack("!HHIIBBHHH", port(), to, 1, 0, 0x50, 2, 1000, 0, 0) + MARK
    pseudo = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    sum_ = checksum(pseudo + struct.pack("!HH", 6, len(head)) + head)
    return ip4_packet(source, destination, 6, head[:16] + struct.pack("!H", sum_) + head[18:])


def echo4(source, destination):
    body = struct.pack("!BBHHH", 8, 0, 0, port(), 1) + MARK
    return ip4_packet(source, destination, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def tcp6(source, destination, to):
    head = struct.pack("!HHIIBBHHH", port(), to, 1, 0, 0x50, 2, 1000, 0, 0) + MARK
    return ip6_packet(source, destination, 6, head, 16)


def udp6(source, destination, to):
    return ip6_packet(source, destination, 17,
                      struct.pack("!HHHH", port(), to, 8 + len(MARK), 0) + MARK, 6)


def echo6(source, destination):
    return ip6_packet(source, destination, 58, struct.pack("!BBHHH", 128, 0, 0, port(), 1) + MARK)


def packets_to(spy, four, six):
    """[(what, ether type, packet)]: a packet of each protocol."""
    local6 = str(eui64(PRIV6, spy.mac))
    return [
        ("TCP", 0x0800, tcp4(spy.ip, four, 80)),
        ("UDP", 0x0800, udp4(spy.ip, four, port(), 7, MARK)),
        ("ping", 0x0800, echo4(spy.ip, four)),
        ("GRE", 0x0800, ip4_packet(spy.ip, four, 47, MARK)),
        ("a fragment", 0x0800, fragment(udp4(spy.ip, four, port(), 7, MARK))),
        ("TCP over IPv6", 0x86DD, tcp6(local6, six, 80)),
        ("UDP over IPv6", 0x86DD, udp6(local6, six, 7)),
        ("ping over IPv6", 0x86DD, echo6(local6, six)),
        ("SCTP over IPv6", 0x86DD, ip6_packet(local6, six, 132, MARK * 2, 8)),
    ]


def fragment(packet):
    """One that is whole by itself as far as its offset goes: more are to follow."""
    head = packet[:6] + b"\x20\x00" + packet[8:10] + b"\0\0" + packet[12:20]
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + packet[20:]


def to_gateway(spy, kind, packet):
    spy.send(kind, packet, dst=spy.bridge_mac)


def one_after_another(spy, where, make, sniffer, opened):
    """opened(): without what stands against it. Nothing waits between the packets that fail."""
    for what, kind, packet in make():
        if what in ("a fragment", "SCTP over IPv6"):
            continue  # one waits for its second half, the other is not translated
        with opened():
            check(heard_by(sniffer, lambda: to_gateway(spy, kind, packet), PATIENCE),
                  f"works without the rule: {what} to {where}")

    packets = make()

    def all_of_them():
        for _, kind, packet in packets:
            to_gateway(spy, kind, packet)

    check(not heard_by(sniffer, all_of_them, 0.3), f"fails: each of these to {where}")
    tags = [(0x8100, struct.pack("!H", 5)), (0x88A8, struct.pack("!HHH", 5, 0x8100, 6))]
    tagged = [(tag, between + struct.pack("!H", kind) + packet)
              for tag, between in tags for _, kind, packet in packets]
    tagged += [(kind, packets[0][2]) for kind in range(0x0600, 0x10000, 13)
               if kind not in (0x0800, 0x0806, 0x86DD)]
    check(not heard_by(sniffer, lambda: [to_gateway(spy, k, p) for k, p in tagged], 0.3),
          "... and with tags, and called something else")


def nothing_leaves(scene, spy):
    uplink = tap_on_link(scene.netd, "uplink")
    one_after_another(spy, "the outside", lambda: packets_to(spy, OUTSIDE4, OUTSIDE6), uplink,
                      lambda: scene.rules.also(INET, "forward", "accept"))
    uplink.close()


def no_other_guest(scene, spy, web):
    """The gateway is told where web is, so that it need not ask."""
    six = str(eui64(PREFIX, web.mac))
    for address in (web.ip, six):
        scene.netd.inside("ip", "neigh", "replace", address, "lladdr", web.mac, "dev", "vb0")
    bridge = tap_on_link(scene.netd, "vb0")
    one_after_another(spy, "a guest of another network", lambda: packets_to(spy, web.ip, six),
                      bridge, lambda: scene.rules.also(INET, "forward", "accept"))
    bridge.close()


def isolated_on_the_wire(scene, lone, db):
    def harm(sender, receiver, seconds):
        drain(receiver)
        sender.send(0x0800, udp4(sender.ip, receiver.ip, 9, 9, MARK), dst=receiver.mac)
        return any(MARK in frame for frame in receiver.frames(seconds))

    for what, words, pair in (("an isolated guest's frame for its neighbour", "iifname @", (lone, db)),
                              ("a neighbour's for an isolated guest", "oifname @", (db, lone))):
        with scene.rules.without(gone("isolation", words)):
            check(harm(*pair, PATIENCE), f"works without the rule: {what}")
        check(not harm(*pair, 0.15), f"fails: {what}")


def keeps_apart(scene):
    return "@isolated" in scene.netd.inside("nft", "list", "table", "bridge", "vmnet")


def isolated_from_neighbours(scene, lone, db):
    """An isolated guest cannot go by the gateway either."""
    scene.netd.inside("ip", "neigh", "replace", db.ip, "lladdr", db.mac, "dev", "vb0")
    bridge = tap_on_link(scene.netd, "vb0")

    def harm(seconds):
        drain(db)
        lone.send(0x0800, udp4(lone.ip, db.ip, 9, 9, MARK), dst=lone.bridge_mac)
        return any(MARK in frame for frame in db.frames(seconds))

    with scene.rules.also(INET, "forward", "accept"):
        check(harm(PATIENCE),
              "works without the rule: from an isolated guest by the gateway to another")
    check(not harm(0.15), "fails: from an isolated guest by the gateway to another")
    bridge.close()


# ---- the gateway itself ---------------------------------------------------------------------


def answered(spy, kind, packet, seconds):
    """Does whoever it is for answer, with whatever? An answer to an earlier TCP segment may be
    repeated meanwhile, and is not what we wait for."""
    drain(spy)
    to_gateway(spy, kind, packet)
    source, target, protocol, head = (slice(12, 16), packet[16:20], 9, 20) if kind == 0x0800 else \
        (slice(8, 24), packet[24:40], 6, 40)

    def match(got, p):
        if got == 0x0806 and p[7] == 1:
            spy.answer_arp(p)
        if got != kind or p[source] != target or p[head] in (135, 136):
            return False
        if p[protocol] == 6:
            return packet[protocol] == 6 and p[head + 2:head + 4] == packet[head:head + 2]
        return packet[protocol] != 6

    return bool(spy.wait_for(match, seconds))


def only_its_own_gateway(scene, spy):
    """The gateway is told where spy is: it has asked before, when nobody listened, and drops a
    connection whose first answer it cannot deliver."""
    local6 = str(eui64(PRIV6, spy.mac))
    for address in (spy.ip, local6):
        scene.netd.inside("ip", "neigh", "replace", address, "lladdr", spy.mac, "dev", "vb1")
    own4, own6 = "192.168.66.1", "fd00:66::1"
    with in_namespace_of(scene.netd.anchor):
        service = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
    uplink4 = scene.netd.inside("ip", "-4", "-o", "addr", "show", "dev", "uplink").split()[3]
    uplink4 = uplink4.split("/")[0]
    attacks = lambda: [
        ("TCP to a service on its own gateway", 0x0800, tcp4(spy.ip, own4, 8080)),
        ("... over IPv6", 0x86DD, tcp6(local6, own6, 8080)),
        ("... to its link-local address", 0x86DD,
         tcp6(spy.link_local, str(eui64("fe80::", spy.bridge_mac)), 8080)),
        ("UDP to a port that is nobody's", 0x0800, udp4(spy.ip, own4, port(), 9, MARK)),
        ("ping to another network's gateway", 0x0800, echo4(spy.ip, "192.168.64.1")),
        ("... over IPv6", 0x86DD, echo6(local6, "fd00:64::1")),
        ("DNS of another network, TCP", 0x0800, tcp4(spy.ip, "192.168.64.1", 53)),
        ("... over IPv6", 0x86DD, tcp6(local6, "fd00:64::1", 53)),
        ("ping to the uplink's address", 0x0800, echo4(spy.ip, uplink4)),
        ("TCP to the uplink's address", 0x0800, tcp4(spy.ip, uplink4, 8080)),
    ]
    for i, (what, _, _) in enumerate(attacks()):
        scene.attack(what, [("input", "iifname @bridges goto guest", "iifname @bridges accept")],
                     lambda seconds, i=i: answered(spy, *attacks()[i][1:], seconds), (PATIENCE, 0.15),
                     table=INET)
    check(answered(spy, 0x0800, echo4(spy.ip, own4), PATIENCE), "passes: ping to its own gateway")
    check(answered(spy, 0x86DD, echo6(local6, own6), PATIENCE), "... over IPv6")
    check(answered(spy, 0x0800, tcp4(spy.ip, own4, 53), PATIENCE), "passes: DNS of its own, TCP")
    service.close()
    loopback(scene, spy)


def loopback(scene, spy):
    """The relay listens on an address of the loopback, which the kernel takes from no wire."""
    harm = lambda seconds=0.3: answered(spy, 0x0800, tcp4(spy.ip, "127.0.0.54", 53), seconds)
    local = lambda on: scene.netd.inside("sysctl", "-q", f"net.ipv4.conf.vb1.route_localnet={on}")
    local(1)
    with scene.rules.without(("input", "@bridges goto guest", "iifname @bridges accept"), table=INET):
        check(harm(PATIENCE), "works without the rules: TCP to the relay")
    check(not harm(), "fails: TCP to the relay, even if the kernel let it")
    local(0)
    check(not harm(), "fails: TCP to the relay")


# ---- names ---------------------------------------------------------------------------------


class Resolver(threading.Thread):
    """The host's resolver: it says 192.0.2.7 to everything but names with "never", and remembers
    the questions."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.asked, self.sock = b"", socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, 53))
        self.start()

    def run(self):
        while True:
            question, whom = self.sock.recvfrom(2000)
            if b"never" in question:
                continue
            self.asked += question
            answer = question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:].split(b"\0", 1)[0] + \
                b"\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\1\0\4\xc0\0\2\7"
            self.sock.sendto(answer, whom)


resolvers = []


def with_a_resolver(place):
    with open(place + "/resolv.conf", "w") as f:
        f.write("nameserver 127.0.0.9\n")
    subprocess.run(["mount", "--bind", place + "/resolv.conf", "/etc/resolv.conf"], check=True,
                   timeout=10)
    for command in ("-6 addr add 2001:db8:1::2/64 dev out0 nodad",
                    "-6 route add default via 2001:db8:1::1 dev out0"):
        subprocess.run(["ip", *command.split()], check=True, timeout=10)
    resolvers.append(Resolver("127.0.0.9"))


def no_tunnel_of_names(scene, spy, web):
    resolver = resolvers[0]

    def asks(guest, name):
        guest.ask(name + ".tunnel.example")
        return name.encode() in resolver.asked

    check(asks(web, "shared"), "a shared network's questions reach the host's resolver")
    original = reconfigured(scene, 1, lambda text: text + "server=127.0.0.54\n")
    check(asks(spy, "opened"), "works without the rule: a tunnel of names")
    reconfigured(scene, 1, lambda text: original)
    check(not asks(spy, "secret"), "fails: a tunnel of names")
    for name in ("web.one.vmnet.internal", "gateway.one.vmnet.internal", "db", "localhost"):
        code, addresses = spy.ask(name)
        check(not [a for a in addresses if not a.startswith("127.")],
              f"{name} is no name here ({code})", str(addresses))


def ways_out_are_known(scene):
    if not smoke.eventually(lambda: not scene.rules.find(INET, "unreachable0", "reject")):
        raise AssertionError("netd does not notice the host's routes")


def story(scene):
    scene.broker.build("one", smoke.ONE, PREFIX)
    scene.broker.build("priv", "192.168.66.0/24", PRIV6, flags=smoke.DHCP | smoke.RA, mode=1)
    web, db = scene.guest("one", 2, "web"), scene.guest("one", 3, "db")
    lone = scene.guest("one", 4, "lone", isolated=1)
    spy = scene.guest("priv", 2, "spy")
    ways_out_are_known(scene)
    nothing_leaves(scene, spy)
    no_other_guest(scene, spy, web)
    isolated_on_the_wire(scene, lone, db)
    isolated_from_neighbours(scene, lone, db)
    scene.leave(lone)
    check(not keeps_apart(scene), "no frame is asked about isolation when no guest is isolated")
    only_its_own_gateway(scene, spy)
    no_tunnel_of_names(scene, spy, web)
    subprocess.run(["umount", "-l", "/etc/resolv.conf"], timeout=10, check=False)


if __name__ == "__main__":
    sys.exit(tell(story, prepare=with_a_resolver))
