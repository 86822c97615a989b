#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hostile_frames.py PATH/TO/vmnet-netd - what a guest's root can put on the wire.

`web` attacks, `db` is its neighbour on network `one` (anti_spoofing: strict)."""
import os
import struct
import sys
import time

sys.dont_write_bytecode = True
from hostile import (MARK, check, drain, gone, hears, open_end, reconfigured,  # noqa: E402
                     serial, settle, smoke, tell, udp4)
from netd_smoke import PREFIX, eui64, ip4_packet, ip6_packet, ipaddress, mac_bytes  # noqa: E402

STRANGER = "52:54:00:ab:cd:ef"
ALL = "ff02::1"
GATEWAY6 = "fd00:64::1"


def packed(address):
    return ipaddress.ip_address(address).packed


def udp6(source, sport=9, dport=9, before=None):
    body = struct.pack("!HHHH", sport, dport, 8 + len(MARK), 0) + MARK
    whole = ip6_packet(source, ALL, 17, body, 6)
    return whole if before is None else ext6(whole, before)


def tcp4(source, destination):
    """A segment in the middle of a connection: most of all frames are such."""
    return ip4_packet(source, destination, 6,
                      struct.pack("!HHIIBBHHH", 9, 9, 1, 1, 0x50, 0x10, 512, 0, 0) + MARK)


def tcp6(source, destination):
    return ip6_packet(source, destination, 6,
                      struct.pack("!HHIIBBHHH", 9, 9, 1, 1, 0x50, 0x10, 512, 0, 0) + MARK, 16)


def icmp6(source, kind, body=MARK, destination=ALL, code=0):
    return ip6_packet(source, destination, 58, struct.pack("!BBH", kind, code, 0) + body)


def neighbour(source, kind, target, mac, destination=ALL, flags=0x20000000):
    """135 solicitation, 136 advertisement; the link-layer address is what poisons."""
    option = struct.pack("!BB", 1 if kind == 135 else 2, 1) + mac_bytes(mac)
    return icmp6(source, kind, struct.pack("!I", flags if kind == 136 else 0) + packed(target) +
                 option, destination) + MARK


def ext6(packet, *headers):
    """The packet with extension headers in front of its payload: (number, 8 bytes)."""
    first, rest = packet[6], packet[40:]
    for number, body in reversed(headers):
        rest, first = bytes([first]) + body[1:] + rest, number
    return packet[:4] + struct.pack("!HB", len(rest), first) + packet[7:40] + rest


OPTIONS = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # a hop-by-hop or destination header of padding


def fragment(offset, more):
    return 44, struct.pack("!BBHI", 0, 0, offset | more, 0x1234)


def fragment4(packet, offset):
    head = packet[:6] + struct.pack("!H", offset) + packet[8:10] + b"\0\0" + packet[12:20]
    return head[:10] + struct.pack("!H", smoke.checksum(head)) + head[12:] + packet[20:]


def with_options(packet):
    """IPv4 with options: a router alert, and an end."""
    head = b"\x47" + packet[1:2] + struct.pack("!H", len(packet) + 8) + packet[4:10] + b"\0\0" + \
        packet[12:20] + b"\x94\4\0\0" + bytes(4)
    return head[:10] + struct.pack("!H", smoke.checksum(head)) + head[12:] + packet[20:]


def with_payload(packet, first, payload):
    return packet[:4] + struct.pack("!HB", len(payload), first) + packet[7:40] + payload


def arp(op, sender_mac, sender_ip, target_ip, kind=(1, 0x0800, 6, 4), target_mac=bytes(6)):
    return struct.pack("!HHBBH", *kind, op) + mac_bytes(sender_mac) + packed(sender_ip) + \
        target_mac + packed(target_ip) + MARK


# ---- frames for the neighbour: (what, rules in the way, [(ether type, packet, how)]) ------


def forged_senders(web, db):
    own = udp4(web.ip, "192.168.64.255", 9, 9, MARK)
    prefix, db6 = str(eui64(PREFIX, web.mac)), str(eui64(PREFIX, db.mac))
    gateway_local = str(eui64("fe80::", web.bridge_mac))
    source6 = gone("n0", "ip6 saddr { ")
    arp_end = open_end("guest_arp")
    return [
        ("another source MAC", [gone("n0", "ether saddr")], [(0x0800, own, dict(src=STRANGER))]),
        ("the gateway's MAC", [gone("n0", "ether saddr")],
         [(0x0800, own, dict(src=web.bridge_mac))]),
        ("a neighbour's IPv4 address", [gone("guest_ip4", "ip saddr != @ip4")],
         [(0x0800, udp4(db.ip, "192.168.64.255", 9, 9, MARK), {})]),
        ("the gateway's IPv4 address", [gone("guest_ip4", "ip saddr != @ip4")],
         [(0x0800, udp4("192.168.64.1", "192.168.64.255", 9, 9, MARK), {})]),
        ("TCP with another source MAC", [gone("n0", "ether saddr")],
         [(0x0800, tcp4(web.ip, db.ip), dict(src=STRANGER, dst=db.mac))]),
        ("TCP from the gateway's IPv4 address", [gone("guest_ip4", "ip saddr != @ip4")],
         [(0x0800, tcp4("192.168.64.1", db.ip), dict(dst=db.mac))]),
        ("TCP over IPv6 with another source MAC", [gone("n0", "ether saddr")],
         [(0x86DD, tcp6(prefix, db6), dict(src=STRANGER, dst=db.mac))]),
        ("TCP from the gateway's IPv6 address", [source6],
         [(0x86DD, tcp6(GATEWAY6, db6), dict(dst=db.mac))]),
        ("ARP with another sender MAC", [gone("guest_arp", "!= @macs")],
         [(0x0806, arp(1, STRANGER, web.ip, db.ip), {})]),
        ("ARP in a neighbour's name", [arp_end], [(0x0806, arp(2, web.mac, db.ip, db.ip), {})]),
        ("ARP in the gateway's name", [arp_end],
         [(0x0806, arp(2, web.mac, "192.168.64.1", db.ip), {})]),
        ("an ARP probe that makes the neighbour give up its address", [arp_end],
         [(0x0806, arp(1, web.mac, "0.0.0.0", db.ip), {})]),
        ("ARP of another hardware type", [gone("guest_arp", "@nh,0,48")],
         [(0x0806, arp(2, web.mac, web.ip, db.ip, (6, 0x0800, 6, 4)), {})]),
        ("an IPv6 source outside the prefix", [gone("n0", "ip6 saddr != {")],
         [(0x86DD, udp6("2001:db8::1"), {})]),
        ("the gateway's IPv6 address", [source6], [(0x86DD, udp6(GATEWAY6), {})]),
        ("the gateway's link-local address", [source6], [(0x86DD, udp6(gateway_local), {})]),
        ("a solicitation that says where the gateway is", [source6],
         [(0x86DD, neighbour(gateway_local, 135, str(eui64(PREFIX, db.mac)), web.mac), {})]),
        ("data without an IPv6 address", [open_end("nameless6")], [(0x86DD, udp6("::"), {})]),
        ("an advertisement of the gateway's address", [gone("n0", "@th,64,128")],
         [(0x86DD, neighbour(prefix, 136, GATEWAY6, web.mac), {})]),
        ("an advertisement of the gateway's link-local address", [gone("n0", "@th,64,128")],
         [(0x86DD, neighbour(web.link_local, 136, gateway_local, web.mac), {})]),
        ("... behind extension headers", [gone("n0", "@th,64,128")],
         [(0x86DD, ext6(neighbour(prefix, 136, GATEWAY6, web.mac), (0, OPTIONS), (60, OPTIONS)),
           {})]),
    ]


def tags(web, db):
    own = udp4(web.ip, "192.168.64.255", 9, 9, MARK)
    # Two rules have to go: what a tag hides is no IPv6 packet either.
    both = [gone("n0", "ether type != {"), open_end("guest_ip6")]
    return [(what, both, [(kind, inner + own, {})]) for what, kind, inner in (
        ("a VLAN tag", 0x8100, b"\x00\x05\x08\x00"),
        ("a priority tag", 0x8100, b"\xe0\x00\x08\x00"),
        ("a provider tag", 0x88A8, b"\x00\x05\x08\x00"),
        ("QinQ", 0x88A8, b"\x00\x05\x81\x00\x00\x06\x08\x00"),
        ("the old QinQ", 0x9100, b"\x00\x05\x81\x00\x00\x06\x08\x00"),
        ("PPPoE", 0x8864, b"\x11\x00\x00\x01\x00\x20\x00\x21"),
        ("an 802.3 length", 100, b"\xaa\xaa\x03\x00\x00\x00\x08\x00"))]


def rogues(web, db):
    local = web.link_local
    ra = icmp6(local, 134, bytes(12) + MARK)
    redirect6 = icmp6(local, 137, bytes(4) + packed(GATEWAY6) + packed("2001:db8::5") + MARK)
    router6 = gone("guest_ip6", "nd-router-advert")
    server = [gone("udp4", "udp dport vmap"), gone("udp4", "udp sport 67")]
    return [
        ("a DHCP server's answer", [server[1]],
         [(0x0800, udp4(web.ip, "192.168.64.255", 67, 9, MARK), {})]),
        ("a DHCP server's answer from another port", [server[0]],
         [(0x0800, udp4(web.ip, "192.168.64.255", 4011, 68, MARK), {})]),
        ("... behind IPv4 options", [server[0]],
         [(0x0800, with_options(udp4(web.ip, "192.168.64.255", 4011, 68, MARK)), {})]),
        ("... the first fragment of it", [server[0]],
         [(0x0800, fragment4(udp4(web.ip, "192.168.64.255", 4011, 68, MARK), 0x2000), {})]),
        ("an IPv4 redirect behind options", [gone("guest_ip4", "icmp type")],
         [(0x0800, with_options(ip4_packet(web.ip, db.ip, 1, b"\5\1\0\0" + MARK * 4)), {})]),
        ("a DHCPv6 server's answer", [gone("udp6", "udp sport 547")],
         [(0x86DD, udp6(local, 547, 9), {})]),
        ("a DHCPv6 server's answer from another port", [gone("udp6", "udp dport 546")],
         [(0x86DD, udp6(local, 9, 546), {})]),
        ("... behind a destination header", [gone("udp6", "udp dport 546")],
         [(0x86DD, udp6(local, 9, 546, (60, OPTIONS)), {})]),
        ("an IPv4 redirect", [gone("guest_ip4", "icmp type")],
         [(0x0800, ip4_packet(web.ip, db.ip, 1, b"\5\1\0\0" + MARK * 4), {})]),
        ("an IPv4 router's advertisement", [gone("guest_ip4", "icmp type")],
         [(0x0800, ip4_packet(web.ip, db.ip, 1, b"\x09\0\0\0" + MARK * 4), {})]),
        ("a router advertisement", [router6], [(0x86DD, ra, {})]),
        ("an IPv6 redirect", [router6], [(0x86DD, redirect6, {})]),
        ("a router advertisement behind a hop-by-hop header", [router6],
         [(0x86DD, ext6(ra, (0, OPTIONS)), {})]),
        ("... behind destination and routing headers", [router6],
         [(0x86DD, ext6(ra, (60, OPTIONS), (43, bytes([0, 0, 4, 0, 0, 0, 0, 0])), (60, OPTIONS)),
           {})]),
    ]


def fragments(web, db):
    """What is cut so that no piece shows what it is."""
    local = web.link_local
    ra = icmp6(local, 134, bytes(12) + MARK)
    hidden = ra[40:]
    opened = [("fragments6", "{ udp, ipv6-icmp } goto", "accept")]
    headers = [gone("fragments6", "frag nexthdr { ip, ipv6-route")]

    def piece(first, offset, more, payload):
        return 0x86DD, ext6(with_payload(ra, first, payload), fragment(offset, more)), {}

    return [
        ("a router advertisement as a whole fragment (RFC 6980)", opened,
         [(0x86DD, ext6(ra, fragment(0, 0)), {})]),
        ("... behind a hop-by-hop header", opened,
         [(0x86DD, ext6(ra, (0, OPTIONS), fragment(0, 0)), {})]),
        ("... the first half of it", opened, [piece(58, 0, 1, hidden[:16] + MARK)]),
        ("a DHCPv6 server's answer, the first half", opened,
         [piece(17, 0, 1, struct.pack("!HHHH", 9, 546, 64, 0) + MARK)]),
        ("a second fragment that begins with a header", headers, [piece(60, 8, 0, hidden)]),
        ("a first fragment with a header before the real one", headers + opened,
         [(0x86DD, ext6(ra, fragment(0, 1), (60, OPTIONS)), {})]),
        ("fragments in fragments", headers + opened,
         [(0x86DD, ext6(ra, fragment(0, 0), fragment(8, 0)), {})]),
        ("IPv6 that claims to be longer than its frame", [open_end("guest_ip6")],
         [(0x86DD, ra[:4] + struct.pack("!H", 9000) + ra[6:], {})]),
        ("IPv4 that claims to be longer than its frame", [open_end("guest_ip4")],
         [(0x0800, b"\x45\0\x23\x28" + udp4(web.ip, "192.168.64.255", 67, 68, MARK)[4:], {})]),
        ("IPv6 called IPv4", [open_end("guest_ip4")],
         [(0x0800, b"\x60" + udp4(web.ip, "192.168.64.255", 67, 68, MARK)[1:], {})]),
    ]


# ---- checksums that somebody else is to write ----------------------------------------------


def completed_to(frame, start, place, wanted):
    """The frame with a header that asks for its checksum from `start` at `place`, and an end
    that makes it the wanted two bytes."""
    frame += bytes(len(frame) % 2) + b"\0\0"
    sum_, want = ~smoke.checksum(frame[start:]) & 0xFFFF, ~struct.unpack("!H", wanted)[0] & 0xFFFF
    end = struct.pack("!H", (want - sum_) % 0xFFFF)
    return struct.pack("=BBHHHH", 1, 0, 0, 0, start, place - start) + frame[:-2] + end


def late_checksums(scene):
    """Whose kernel writes the checksums of what it gets, as late as it can: one without a vnet
    header, and one whose driver has not asked for more, as none has before it is there."""
    scene.broker.build("mixed", "192.168.68.0/24", "fd00:68::")
    new = scene.guest("mixed", 2, "new")
    victims = [scene.guest("mixed", 3, "old", offload=0), scene.guest("mixed", 5, "booting")]
    ethernet = mac_bytes("ff:ff:ff:ff:ff:ff") + mac_bytes(new.mac)
    reply = ethernet + b"\x08\x06" + arp(2, new.mac, new.ip, victims[0].ip)
    datagram = ethernet + b"\x08\x00" + udp4(new.ip, "192.168.68.255", 9, 9, MARK)
    segment = ethernet + b"\x86\xdd" + ip6_packet(new.link_local, ALL, 6, b"\x86" + bytes(19) + MARK,
                                                        16)
    echo = ethernet + b"\x86\xdd" + icmp6(new.link_local, 128, bytes(12) + MARK)
    gateway, server = packed("192.168.68.1")[2:], struct.pack("!H", 68)
    forgeries = [
        ("an ARP reply that becomes the gateway's", reply, 20, 30, gateway),
        ("... a neighbour's", reply, 28, 30, packed("192.168.68.77")[2:]),
        ("a datagram that becomes the gateway's", datagram, 24, 28, gateway),
        ("... a DHCP server's", datagram, 34, 36, server),
        ("an echo that becomes a router advertisement", echo, 54, 54, b"\x86\x00"),
        ("a TCP segment that becomes one", segment, 20, 20, b"\x3a\xff"),
    ]

    def harm(forgery, victim):
        _, frame, start, place, wanted = forgery
        forged = completed_to(frame, start, place, wanted)
        drain(victim)
        return hears(new, victim, lambda: os.write(new.fds[0], forged),
                     lambda got: got[place:place + 2] == wanted and MARK in got)

    scene.netd.inside("tc", "qdisc", "del", "dev", new.tap, "clsact")
    for victim in victims:
        for forgery in forgeries:
            check(harm(forgery, victim), f"works without the detour: {forgery[0]} ({victim.tap})")
    scene.leave(new)
    new = scene.guest("mixed", 2, "new")
    for victim in victims:
        for forgery in forgeries:
            before = scene.dropped(new)
            check(not harm(forgery, victim), f"fails: {forgery[0]} ({victim.tap})")
            check(scene.dropped(new) > before, "... and is counted")
    for victim in victims:
        check(not [w for w, send in cut_up(new, victim) if hears(new, victim, send, forged_of(new))],
              f"fails: any of them in a frame that is to be cut up ({victim.tap})")
    honest_ones(scene, new, victims[0])
    honest_ones(scene, new, victims[1])


def forged_of(guest):
    """Does a frame with the mark say that it is somebody else's, or something else than data
    from port 9? Of a fragment but the first only the sender can be told."""
    senders = {b"\x08\0": (26, packed(guest.ip), 23, 34),
               b"\x86\xdd": (22, packed(guest.link_local), 20, 54)}

    def match(frame):
        if MARK not in frame:
            return False
        if frame[6:12] != mac_bytes(guest.mac) or frame[12:14] not in senders:
            return True
        at, sender, protocol, ports = senders[frame[12:14]]
        if frame[at:at + len(sender)] != sender:
            return True
        if frame[12:14] == b"\x08\0" and struct.unpack("!H", frame[20:22])[0] & 0x1FFF:
            return frame[protocol] != 17
        if frame[12:14] == b"\x86\xdd" and frame[protocol] == 44:
            return frame[54] != 17
        return frame[protocol] not in (6, 17) or frame[ports:ports + 2] != b"\0\x09"

    return match


def cut_up(guest, victim):
    """Long frames of every kind of segmentation, whose checksum is asked for in any place."""
    data = MARK * 500
    tcp = struct.pack("!HHIIBBHHH", 9, 9, 1, 1, 0x50, 0x10, 1000, 0, 0) + data
    udp = struct.pack("!HHHH", 9, 9, 8 + len(data), 0) + data
    head = mac_bytes(victim.mac) + mac_bytes(guest.mac)
    packets = [head + b"\x08\0" + ip4_packet(guest.ip, victim.ip, n, body)
               for n, body in ((6, tcp), (17, udp))]
    packets += [head + b"\x86\xdd" + ip6_packet(guest.link_local, victim.link_local, n, body, at)
                for n, body, at in ((6, tcp, 16), (17, udp, 6))]
    for packet in packets:
        for kind in (0, 1, 3, 4, 5):
            for start in (6, 14, 20, 24, 26, 34, 54):
                for place in (6, 10, 12, 20, 22, 23, 26, 28, 34, 36, 54):
                    if place >= start:
                        vnet = struct.pack("=BBHHHH", 1, kind, 54, 1400, start, place - start)
                        yield (kind, start, place), lambda: accepted(guest, vnet + packet)


def accepted(guest, frame):
    """The kernel refuses some of them at once."""
    try:
        os.write(guest.fds[0], frame)
    except OSError:
        pass


def honest_ones(scene, new, old):
    """By the detour: a checksum that belongs where it is written, and a frame to be cut up."""
    drain(old)
    mark = b"honest%08d" % next(serial)  # what was refused before may still be on its way
    whole = udp4(new.ip, old.ip, 9, 9, mark)
    frame = mac_bytes(old.mac) + mac_bytes(new.mac) + b"\x08\x00" + whole
    got = []
    header = struct.pack("=BBHHHH", 1, 0, 0, 0, 34, 6)
    hears(new, old, lambda: os.write(new.fds[0], header + frame),
          lambda f: mark in f and got.append(f[40:42]))
    check(len(got) == 1 and got[0] != b"\0\0", "passes: a checksum where it belongs", str(got))
    data = MARK * 5000
    head = struct.pack("!HHIIBBHHH", 9, 9, 1, 1, 0x50, 0x10, 1000, 0, 0)
    frame = frame[:14] + ip4_packet(new.ip, old.ip, 6, head + data)
    vnet, got = struct.pack("=BBHHHH", 1, 1, 54, 1460, 34, 16), []
    hears(new, old, lambda: os.write(new.fds[0], vnet + frame),
          lambda f: f[23] == 6 and got.append(f[54:]))
    check(b"".join(got) == data, "passes: a frame of 40 kB, cut up", f"{len(got)} pieces")


def neighbours_are_safe(scene, web, db):
    for attacks in (forged_senders, tags, rogues, fragments):
        for what, rules, frames in attacks(web, db):
            def harm(_, frames=frames):
                return hears(web, db, lambda: [web.send(k, p, **how) for k, p, how in frames])

            scene.attack(what, rules, harm, counted=web)


def every_ether_type(scene, web, db):
    before = scene.dropped(web)
    kinds = [k for k in range(0x10000) if k not in (0x0800, 0x0806, 0x86DD)]
    got = hears(web, db, lambda: [web.send(k, MARK * 6) for k in kinds])
    check(not got, f"none of the {len(kinds)} other ether types arrives")
    check(scene.dropped(web) - before == len(kinds), "... and each frame is counted")


# ---- DHCP --------------------------------------------------------------------------------


def bootp(mac, kind, options=b"", ciaddr="0.0.0.0", giaddr="0.0.0.0", head=(1, 1, 6, 0)):
    packet = struct.pack("!BBBBIHH", *head, 0x1234ABCD, 0, 0x8000) + packed(ciaddr) + bytes(8) + \
        packed(giaddr) + mac_bytes(mac)
    return packet.ljust(236, b"\0") + b"\x63\x82\x53\x63\x35\x01" + bytes([kind]) + options + b"\xff"


def leases(scene):
    with open(f"{scene.netd.dir}/state/netd/0/leases") as f:
        return f.read()


CLIENT = ("dhcp", "goto refuse", "accept")  # who is not itself is accepted, too


def dhcp_in_anothers_name(scene, web, db, prey):
    gateway = packed("192.168.64.1")
    server = b"\x36\x04" + gateway
    for guest in (web, db, prey):
        drain(guest)
        got = guest.lease()
        check(got and got[1] == guest.ip, f"{guest.ip} has its lease", str(got))

    def release(victim):
        web.send(0x0800, udp4(web.ip, "192.168.64.1", 68, 67,
                              bootp(victim.mac, 7, server, victim.ip)), dst=web.bridge_mac)
        settle(web)
        return victim.mac not in leases(scene)

    def decline(victim):
        web.send(0x0800, udp4("0.0.0.0", "255.255.255.255", 68, 67, bootp(
            victim.mac, 4, server + b"\x32\x04" + packed(victim.ip))))
        settle(web)
        return not victim.lease(4 if victim is prey else smoke.PATIENCE)

    def patience(victim):
        """Where the attack works, an answer comes; where it fails, the counter tells."""
        return smoke.PATIENCE if victim is prey else 0.3

    def discover(victim):
        drain(web)
        return web.dhcp(1, seconds=patience(victim), chaddr=victim.mac) is not None

    def request(victim):
        """For a neighbour: whoever sees the answer knows its address and lease."""
        drain(web)
        got = web.dhcp(3, b"\x32\x04" + packed(victim.ip) + server, patience(victim), victim.mac)
        return got and got[0] == 5

    def relay(victim):
        """The answer to a relay goes to port 67 of whatever address it says it has."""
        web.send(0x0800, udp4("0.0.0.0", "255.255.255.255", 68, 67,
                              bootp(web.mac, 1, giaddr=victim.ip)))
        return victim.wait_for(lambda k, p: victim.answer_arp(p) if k == 0x806 and p[7] == 1 else
                               k == 0x800 and p[12:16] == gateway and p[22:24] == b"\0\x43",
                               patience(victim))

    scene.attack("a RELEASE in a neighbour's name", [CLIENT], release, (prey, db), counted=web)
    prey.lease()
    scene.attack("a DISCOVER in a neighbour's name", [CLIENT], discover, (prey, db), counted=web)
    drain(db, prey)
    scene.attack("a REQUEST in a neighbour's name", [CLIENT], request, (prey, db), counted=web)
    drain(db, prey)
    scene.attack("a request as somebody's relay", [gone("dhcp", "@th,256,32")], relay, (prey, db),
                 counted=web)
    drain(db, prey)
    scene.attack("a DECLINE in a neighbour's name", [CLIENT], decline, (prey, db), counted=web)
    by_its_identifier(scene, web, db, server)
    before = scene.dropped(web)
    for what, head in (("an answer", (2, 1, 6, 0)), ("another hardware", (1, 6, 6, 0)),
                       ("no address at all", (1, 1, 0, 0))):
        web.send(0x0800, udp4("0.0.0.0", "255.255.255.255", 68, 67, bootp(web.mac, 1, head=head)))
    check(scene.dropped(web) == before + 3, "malformed requests go nowhere")


def by_its_identifier(scene, web, db, server):
    """With a MAC of one's own and a neighbour's client identifier. The rule is an option of
    dnsmasq's, and that it gives to each MAC what the broker said."""
    as_db = b"\x3d\x07\x01" + mac_bytes(db.mac)
    check(db.lease(), "db has its lease again")
    for what, kind, dst in (("RELEASE", 7, web.bridge_mac), ("DECLINE", 4, "ff:ff:ff:ff:ff:ff")):
        web.send(0x0800, udp4(web.ip, "192.168.64.1", 68, 67, bootp(
            web.mac, kind, server + as_db + b"\x32\x04" + packed(db.ip), db.ip)), dst=dst)
        settle(web)
        check(db.mac in leases(scene) and db.ip in leases(scene),
              f"fails: a {what} with a neighbour's identifier and address")
    drain(web)
    got = web.dhcp(3, as_db + b"\x32\x04" + packed(db.ip) + server, 3)
    check(not got or got[0] != 5, "fails: a REQUEST for a neighbour's address", str(got))
    check(db.lease(), "... and it keeps its lease")


def names_of_ones_own_choice(scene, first, second, db):
    """What a guest calls itself. The rule is an option of dnsmasq's: it is taken from the file
    that netd wrote, and dnsmasq started again."""
    def call_itself(guest, name):
        """As an option that asks for a name, and as one that puts it into DNS."""
        option = bytes([12, len(name)]) + name
        fqdn = bytes([81, 3 + len(name)]) + b"\1\0\0" + name
        drain(guest)
        assert guest.lease(extra=option + fqdn), f"{guest.ip} gets no lease"

    def taken(guest, *names):
        found = []
        for name in names:
            call_itself(guest, name.encode())
            if guest.ip in str(db.ask(name + ".one.vmnet.internal")):
                found.append(name)
        return found

    original = reconfigured(scene, 0, lambda text: text.replace("dhcp-ignore-names\n", ""))
    check(taken(first, "host") == ["host"], "works without the rule: a guest that calls itself host")
    reconfigured(scene, 0, lambda text: original)
    got = taken(second, "host", "gateway", "wpad", "localhost", "db", "other")
    check(not got, "a guest is called nothing but what the broker says", str(got))
    check(db.ask("db") == (0, [db.ip]), "... and its neighbour keeps its name")


# ---- floods ------------------------------------------------------------------------------


def learnt(scene, bridge):
    return scene.netd.inside("bridge", "fdb", "show", "br", bridge).count("master")


def mac_floods(scene, web, lab):
    def harm(guest):
        packet = udp4(guest.ip, "192.168.64.2", 9, 9, MARK)
        before = learnt(scene, "vb0")
        for i in range(300):
            guest.send(0x0800, packet, src=f"52:54:00:77:{i >> 8:02x}:{i & 255:02x}")
        return learnt(scene, "vb0") - before > 250

    scene.attack("300 MACs on one port", [gone("n0", "ether saddr")], harm, (web, web), counted=web)
    for i in range(6000):
        lab.send(0x0800, udp4(lab.ip, "192.168.67.1", 9, 9, MARK), dst=lab.bridge_mac,
                 src=f"52:54:00:{i >> 16 | 0x60:02x}:{i >> 8 & 255:02x}:{i & 255:02x}")
    got = learnt(scene, "vb1")
    check(1000 < got < 5000, "without anti-spoofing a bridge learns some thousand MACs at most",
          str(got))


def bridge_received(scene, bridge):
    with open(f"/proc/{scene.netd.anchor}/net/dev") as f:
        line = next(line for line in f if line.strip().startswith(bridge + ":"))
    return int(line.split(":")[1].split()[1])


def storm(send):
    """2,000 more than a port may have copied to everybody (filter.c), which is the more the longer
    this machine takes for them. Returns how many it may."""
    start = time.monotonic()
    may, sent = 8000, 0
    while sent < may + 2000:
        for _ in range(100):
            send()
        sent += 100
        took = time.monotonic() - start
        may = 8000 + 4000 * took
        assert took < 40, f"this machine sends no storm: {sent} frames in {took:.0f} s"
    return may


def storms(scene, web, db, lab):
    def harm(guest, bridge, dst):
        before = bridge_received(scene, bridge)
        packet = udp4(guest.ip, guest.ip.rpartition(".")[0] + ".255", 9, 9, MARK)
        may = storm(lambda: guest.send(0x0800, packet, dst=dst))
        return bridge_received(scene, bridge) - before > may + 1000

    def refused(packet, dst):
        before = scene.dropped(web)
        storm(lambda: web.send(0x0800, packet, dst=dst))
        return scene.dropped(web) - before

    scene.attack("a storm of broadcasts", [gone("flood", "@floods")],
                 lambda _: harm(web, "vb0", "ff:ff:ff:ff:ff:ff"), counted=web)
    scene.attack("... of multicasts, without anti-spoofing", [gone("flood", "@floods")],
                 lambda _: harm(lab, "vb1", "01:00:5e:00:00:05"), counted=lab)
    time.sleep(2)  # in which a port has its whole share again
    drain(db)
    quiet = scene.guest("one", 9, "quiet")  # whom the bridge cannot have learnt
    check(hears(web, quiet, lambda: web.send(0x0800, udp4(web.ip, quiet.ip, 9, 9, MARK),
                                             dst=quiet.mac)), "who was never heard is found")
    scene.leave(quiet)
    nobody = b"nobody%08d" % next(serial)
    for what, packet in (("a frame", udp4(web.ip, "192.168.64.99", 9, 9, nobody)),
                         ("TCP", tcp4(web.ip, "192.168.64.99") + nobody)):
        for mac, heard in (("52:54:00:12:34:56", False), (db.mac, True)):
            check(hears(web, db, lambda: web.send(0x0800, packet, dst=mac),
                        lambda frame: nobody in frame) == heard,
                  f"{what} for {'a neighbour arrives' if heard else 'nobody goes nowhere'}")
    check(refused(udp4(web.ip, db.ip, 9, 9, MARK), db.mac) == 0,
          "frames for a neighbour or the gateway are no storm")
    drain(db)


def many_addresses(scene, web):
    def harm(_):
        base = f"fd00:64::{next(serial):x}:0:"
        for i in range(500):
            web.send(0x86DD, neighbour(base + f"{i:x}", 135, GATEWAY6, web.mac, GATEWAY6),
                     dst=web.bridge_mac)
        known = scene.netd.inside("ip", "-6", "neigh", "show", "dev", "vb0")
        return known.count(base[:-1]) > 400

    scene.attack("500 addresses that the gateway has to remember",
                 [gone("newcomer", "@newcomers")], harm, counted=web)


# ---- what must pass ------------------------------------------------------------------------


def honest(scene, web, db):
    local, prefix = web.link_local, str(eui64(PREFIX, web.mac))
    private = "fd00:64::dead:beef:1:2"
    router_alert = bytes([0, 0, 5, 2, 0, 0, 1, 0])
    mld = ext6(icmp6("::", 143, struct.pack("!HH", 0, 1) + b"\4\0\0\0" + packed("ff02::1:ff00:1") +
                     MARK, "ff02::16"), (0, router_alert))
    echo = icmp6(private, 128, MARK * 200)
    pieces = [ext6(with_payload(echo, 58, echo[40:840]), fragment(0, 1)),
              ext6(with_payload(echo, 58, b"\x86\0\0\0" + echo[844:]), fragment(800, 0))]
    passes = [
        ("duplicate address detection", 0x86DD,
         icmp6("::", 135, bytes(4) + packed(prefix) + MARK)),
        ("multicast listener reports, before and after", 0x86DD, mld),
        ("a privacy address", 0x86DD, udp6(private)),
        ("an announcement of one's own IPv6 address", 0x86DD,
         neighbour(private, 136, private, web.mac)),
        ("a solicitation for the gateway", 0x86DD, neighbour(prefix, 135, GATEWAY6, web.mac)),
        ("extension headers on data", 0x86DD, udp6(prefix, 9, 9, (60, OPTIONS))),
        ("an ARP probe for one's own address", 0x0806, arp(1, web.mac, "0.0.0.0", web.ip)),
        ("a gratuitous ARP request", 0x0806, arp(1, web.mac, web.ip, web.ip)),
        ("a gratuitous ARP reply", 0x0806, arp(2, web.mac, web.ip, web.ip)),
        ("an IPv4 fragment, the first", 0x0800, fragment4(udp4(web.ip, db.ip, 9, 9, MARK), 0x2000)),
        ("... one that looks like a DHCP server's answer", 0x0800,
         fragment4(udp4(web.ip, db.ip, 67, 68, MARK), 1)),
        ("an IPv6 fragment, the first", 0x86DD, pieces[0]),
        ("... the last", 0x86DD, pieces[1]),
        ("any protocol over IPv4 (GRE)", 0x0800, ip4_packet(web.ip, db.ip, 47, MARK)),
        ("any protocol over IPv6 (SCTP)", 0x86DD, ip6_packet(prefix, ALL, 132, MARK * 2, 8)),
    ]
    for what, kind, packet in passes:
        check(hears(web, db, lambda: web.send(kind, packet)), f"passes: {what}")
    got = renew(web)
    check(got, "passes: a DHCP renewal, unicast from one's own address")


def renew(web):
    """As a client does it: asking again when nobody answers. The gateway may have looked for web
    when nobody heard it, and looks again a second later."""
    request = udp4(web.ip, "192.168.64.1", 68, 67, bootp(web.mac, 3, ciaddr=web.ip))

    def match(kind, p):
        if kind == 0x0806 and p[7] == 1:
            web.answer_arp(p)
        if kind == 0x0800 and p[9] == 17 and p[20:24] == struct.pack("!HH", 67, 68):
            return web.parse_dhcp(p[28:])[0] == 5

    for _ in range(5):
        web.send(0x0800, request, dst=web.bridge_mac)
        if web.wait_for(match, 2):
            return True
    return False


def nested(lab, lab2):
    """`anti_spoofing: off` is for guests that have guests."""
    inner = udp4("10.9.8.7", "10.9.8.255", 9, 9, MARK)
    send = lambda: [lab.send(0x0800, inner, src=STRANGER)]
    check(hears(lab, lab2, send), "without anti-spoofing: another MAC and address pass")
    check(hears(lab, lab2, lambda: lab.send(0x8100, b"\0\5\x08\0" + inner)), "... and VLAN tags")


def giants(web, peer):
    """64 KiB in one frame, which the peer can take as it is."""
    import fcntl
    for guest in (web, peer):
        fcntl.ioctl(guest.fds[0], 0x400454D0, 0x1 | 0x2 | 0x4)  # TUNSETOFFLOAD: CSUM, TSO4, TSO6
    head = struct.pack("!HHIIBBHHH", 9, 9, 1, 1, 0x50, 0x10, 1000, 0, 0)
    body = head + MARK + bytes(65400 - len(MARK))
    ends = mac_bytes(peer.mac) + mac_bytes(web.mac)
    for what, segmentation, start, frame in (
            ("IPv4", 1, 34, ends + b"\x08\x00" + ip4_packet(web.ip, peer.ip, 6, body)),
            ("IPv6", 4, 54, ends + b"\x86\xdd" + ip6_packet(web.link_local, peer.link_local, 6,
                                                           body, 16))):
        drain(peer)
        vnet = struct.pack("=BBHHHH", 1, segmentation, start + 20, 1440, start, 16)
        got = []
        hears(web, peer, lambda: os.write(web.fds[0], vnet + frame),
              lambda f: MARK in f and got.append(len(f)))
        check(got == [len(frame)], f"passes: a frame of 64 KiB, in one piece ({what})", str(got))


def story(scene):
    broker = scene.broker
    broker.build("one", smoke.ONE, PREFIX)
    broker.build("lab", "192.168.67.0/24", flags=smoke.DHCP, spoof=2)
    web, db = scene.guest("one", 2, "web"), scene.guest("one", 3, "db", offload=0)
    prey, peer = scene.guest("one", 4, "prey"), scene.guest("one", 5, "peer")
    nameless = scene.guest("one", 6, ""), scene.guest("one", 7, "")
    lab, lab2 = scene.guest("lab", 2, "lab"), scene.guest("lab", 3, "lab2")
    honest(scene, web, db)
    giants(web, peer)
    nested(lab, lab2)
    neighbours_are_safe(scene, web, db)
    late_checksums(scene)
    every_ether_type(scene, web, db)
    dhcp_in_anothers_name(scene, web, db, prey)
    names_of_ones_own_choice(scene, *nameless, db)
    mac_floods(scene, web, lab)
    storms(scene, web, db, lab)
    many_addresses(scene, web)
    drain(web)
    honest(scene, db, web)


if __name__ == "__main__":
    sys.exit(tell(story))
