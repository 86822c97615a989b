#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""frames.py CHECK - frames that no honest guest sends, and what becomes of them.

Two interfaces of `shared` without offload: `evil` sends, `good` looks at what arrives. Each
check first shows that an honest frame of its kind gets through, so that silence means
"dropped" and not "broken".
"""

import select
import struct
import subprocess
import sys
import time
import os

sys.dont_write_bytecode = True
from tap_run import call, connect  # noqa: E402 - beside this file, and nothing to be left there

BROADCAST = b"\xff" * 6


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def ip_bytes(text):
    return bytes(map(int, text.split(".")))


class Port:
    """One interface, as a VM's end of it."""

    def __init__(self, name):
        self.sock = connect()
        self.network = call(self.sock, "Acquire", {"network_name": "shared"})[0]["network"]
        reply, fds = call(self.sock, "StartInterface",
                          {"network_name": "shared", "name": name, "offload": False})
        self.name, self.fd = name, fds[0]
        self.mac = mac_bytes(reply["interface"]["mac_address"])
        self.ip = ip_bytes(reply["interface"]["ipv4_address"])

    def send(self, frame):
        os.write(self.fd, frame.ljust(60, b"\0"))

    def receives(self, wanted, seconds=1.0):
        """The first frame for which wanted() is true, or None. What came in time is looked at, even
        by a process that did not run then."""
        deadline = time.monotonic() + seconds
        while select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
            frame = os.read(self.fd, 70000)
            if wanted(frame):
                return frame
        return None

    def counters(self):
        details = call(self.sock, "Status", {"network_name": "shared"})[0]["networks"][0]
        return next(i for i in details["interfaces"] if i.get("name") == self.name)

    def dropped(self):
        return self.counters()["dropped"]

    def denied(self):
        counters = self.counters()
        return counters["denied_questions"], counters["denied_connections"]

    def gateway_mac(self):
        gateway = ip_bytes(self.network["ipv4_gateway"])
        for _ in range(10):
            self.send(ether(BROADCAST, self.mac, 0x0806, arp_request(self.mac, self.ip, gateway)))
            frame = self.receives(lambda f: f[12:14] == b"\x08\x06" and f[28:32] == gateway)
            if frame:
                return frame[22:28]
        raise AssertionError("the gateway does not answer")


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ether(to, sender, kind, payload):
    return to + sender + struct.pack("!H", kind) + payload


def udp4(source, destination, mark, ports=(9999, 9)):
    """An IPv4 packet with a recognisable payload, to the discard port."""
    udp = struct.pack("!HHHH", *ports, 8 + len(mark), 0) + mark
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + source + destination
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def arp_request(sender_mac, sender_ip, target_ip):
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + sender_mac + sender_ip + b"\0" * 6 + target_ip


def arrives(evil, good, frame, mark, seconds=0.7):
    evil.send(frame)
    return good.receives(lambda f: mark in f, seconds) is not None


def expect(evil, good, honest, hostile):
    """honest and hostile: lists of (description, frame, mark)."""
    for what, frame, mark in honest:
        assert any(arrives(evil, good, frame, mark, 2) for _ in range(4)), \
            f"an honest frame does not arrive: {what}"
    good.receives(lambda f: False, 0.3)  # one that was late and sent again
    for what, frame, mark in hostile:
        before = evil.dropped()
        assert not arrives(evil, good, frame, mark), f"it arrived: {what}"
        assert evil.dropped() > before, f"dropped, but not counted: {what}"


def check_ethertype(evil, good):
    packet = udp4(evil.ip, good.ip, b"etherkind")
    tagged = struct.pack("!HH", 5, 0x0800) + packet
    expect(evil, good,
           [("IPv4", ether(good.mac, evil.mac, 0x0800, packet), b"etherkind")],
           [("VLAN tag", ether(good.mac, evil.mac, 0x8100, tagged), b"etherkind"),
            ("provider VLAN tag", ether(good.mac, evil.mac, 0x88A8, tagged), b"etherkind"),
            ("experimental type", ether(good.mac, evil.mac, 0x88B5, b"etherkind"), b"etherkind"),
            ("a length, 802.3", ether(good.mac, evil.mac, 60, b"etherkind"), b"etherkind")])


def check_source_mac(evil, good):
    packet = udp4(evil.ip, good.ip, b"whosemac")
    stranger = bytes.fromhex("525400abcdef")
    expect(evil, good,
           [("own MAC", ether(good.mac, evil.mac, 0x0800, packet), b"whosemac")],
           [("a stranger's MAC", ether(good.mac, stranger, 0x0800, packet), b"whosemac"),
            ("the receiver's own MAC", ether(good.mac, good.mac, 0x0800, packet), b"whosemac")])


def check_source_address(evil, good):
    def from_address(address, mark):
        return ether(good.mac, evil.mac, 0x0800, udp4(address, good.ip, mark)), mark

    def asks_as(address, mac=None, about=good.ip):
        mac = mac or evil.mac
        return ether(BROADCAST, evil.mac, 0x0806, arp_request(mac, address, about)), mac + address

    gateway = ip_bytes(evil.network["ipv4_gateway"])
    neighbour = good.ip[:3] + bytes([good.ip[3] + 40])
    expect(evil, good,
           [("own address", *from_address(evil.ip, b"whoseip")), ("own ARP", *asks_as(evil.ip)),
            ("an ARP probe", *asks_as(bytes(4), about=evil.ip))],
           [("a free address", *from_address(neighbour, b"whoseip")),
            ("the gateway's address", *from_address(gateway, b"whoseip")),
            ("an outside address", *from_address(ip_bytes("203.0.113.80"), b"whoseip")),
            ("ARP for the gateway's address", *asks_as(gateway)),
            ("ARP for the neighbour's address", *asks_as(good.ip)),
            ("an ARP probe for the neighbour's address", *asks_as(bytes(4))),
            ("ARP with a stranger's MAC", *asks_as(evil.ip, bytes.fromhex("525400abcdef")))])


def link_local(mac):
    return bytes.fromhex("fe80") + b"\0" * 6 + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]


def icmp6(source, destination, body):
    pseudo = source + destination + struct.pack("!IxxxB", len(body), 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + destination + body


def options_of(advertisement):
    """{type: [bytes]} of a router advertisement's options."""
    found, rest = {}, advertisement[16:]
    while len(rest) >= 8 and rest[1]:
        found.setdefault(rest[0], []).append(rest[:rest[1] * 8])
        rest = rest[rest[1] * 8:]
    return found


def check_advertisement(evil, good):
    """What a router solicitation is answered with: prefix, MTU, resolver, search domain."""
    all_routers = bytes.fromhex("ff02") + b"\0" * 13 + b"\x02"
    solicit = icmp6(link_local(good.mac), all_routers,
                    struct.pack("!BBHI", 133, 0, 0, 0) + b"\x01\x01" + good.mac)
    advertisement = None
    for _ in range(5):
        good.send(ether(bytes.fromhex("333300000002"), good.mac, 0x86DD, solicit))
        frame = good.receives(lambda f: f[12:14] == b"\x86\xdd" and f[20] == 58 and f[54] == 134, 3)
        if frame:
            advertisement = frame[54:]
            break
    assert advertisement, "no router advertisement"
    options = options_of(advertisement)
    assert 3 in options, "no prefix"
    assert options[3][0][3] & 0xC0 == 0xC0, "the prefix is not on-link and autonomous"
    assert struct.unpack("!I", options[5][0][4:8])[0] == good.network["mtu"], "another MTU"
    assert 25 in options, "no resolver (RDNSS)"
    assert b"\x06shared\x05vmnet\x08internal\x00" in options[31][0], "no search domain (DNSSL)"


def check_shares(evil, good):
    """Who asks, or begins, more than its share is told of it; a neighbour is not counted."""
    router, gateway = evil.gateway_mac(), ip_bytes(evil.network["ipv4_gateway"])
    outside = ip_bytes("203.0.113.80")

    def flood(n, destination, ports):
        for i in range(n):
            evil.send(ether(router, evil.mac, 0x0800, udp4(evil.ip, destination, b"x", ports(i))))

    flood(500, gateway, lambda i: (2000 + i, 53))
    assert evil.denied() == (0, 0), evil.denied()
    flood(4000, gateway, lambda i: (2000 + i, 53))
    questions, connections = evil.denied()
    assert questions > 0 and connections == 0, evil.denied()
    flood(4500, outside, lambda i: (2000 + i, 9))
    assert evil.denied()[0] >= questions and evil.denied()[1] > 300, evil.denied()
    assert good.denied() == (0, 0), good.denied()
    said = subprocess.run(["vmnet-brokerctl", "status", "shared"], timeout=20, check=True,
                          capture_output=True, text=True).stdout
    assert "problem   evil asks DNS or DHCP more than its share" in said, said
    assert "problem   evil has as many connections as its share" in said, said
    assert "problem   good" not in said, said


def main():
    checks = {name.removeprefix("check_"): function for name, function in globals().items()
              if name.startswith("check_")}
    evil, good = Port("evil"), Port("good")
    checks[sys.argv[1]](evil, good)


if __name__ == "__main__":
    main()
