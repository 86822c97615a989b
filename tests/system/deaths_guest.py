# SPDX-License-Identifier: Apache-2.0
"""deaths_guest.py - a guest that is one small process, for stories of many deaths.

It answers ARP and ping as a VM would, and all the time asks for everything that a network
promises: the other guest's answer (over layer 2 alone), a DHCP renewal, the other guest's
name, an outside name, a datagram and a TCP handshake with a server outside; and as a program of
the host's it comes to itself by forwarded ports (Visitor). What became of the questions stands
in memory shared with whoever looks on (Board).

An outage is counted from the first question without an answer to the next answer, so that a
machine that is busy with something else, and asks less, does not look like one that fails.
"""

import collections
import fcntl
import ipaddress
import os
import random
import select
import socket
import struct
import time

SERVER_UDP, SERVER_TCP = "203.0.113.53", "203.0.113.80"  # of the world's internet
SERVICES = ("layer 2", "dhcp", "names", "dns", "outside udp", "outside tcp", "port udp", "port tcp")
PORT = 7  # of the guest, where forwarded ports lead
ASK_EVERY = 0.1
OPEN_MAX = 4000  # questions remembered; more than ten minutes of pings would be another story

# What stands in the shared memory, each a signed 64-bit number (times in ns). Of each service:
# when the last question was asked that was answered, the longest outage, and how many were
# never answered although a later one was. "wrong": answers that are not what it should be.
FACTS = ("ok", "outage", "lost")
SLOTS = ("pid", "ip", "mac", "peer", "leased", "wrong",
         *(f"{service}:{fact}" for service in SERVICES for fact in FACTS))
SIZE = 8 * len(SLOTS)


class Board:
    """One guest's slots in a shared mapping."""

    def __init__(self, memory, index):
        self.memory, self.at = memory, index * SIZE

    def get(self, slot):
        return struct.unpack_from("=q", self.memory, self.at + 8 * SLOTS.index(slot))[0]

    def set(self, slot, value):
        struct.pack_into("=q", self.memory, self.at + 8 * SLOTS.index(slot), int(value))

    def clear(self):
        self.memory[self.at : self.at + SIZE] = bytes(SIZE)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def dns_question(ident, name):
    labels = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"
    return struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", 1, 1)


class Questions:
    """What was asked of one service and is not answered yet, in the order of asking."""

    def __init__(self, board, service):
        self.board, self.service = board, service
        self.open = collections.deque(maxlen=OPEN_MAX)

    def asked(self, key):
        self.open.append((key, time.monotonic_ns()))

    def waits_for(self, key):
        return any(k == key for k, _ in self.open)

    def answered(self, key):
        """Answers come in order: what was asked before and has none will not get one."""
        if not self.waits_for(key):
            return
        first, lost = self.open[0][1], 0
        while True:
            k, when = self.open.popleft()
            if k == key:
                break
            lost += 1
        outage = time.monotonic_ns() - first
        self.raise_to("outage", outage)
        self.raise_to("ok", when)
        self.put("lost", self.fact("lost") + lost)

    def fact(self, name):
        return self.board.get(f"{self.service}:{name}")

    def put(self, name, value):
        self.board.set(f"{self.service}:{name}", value)

    def raise_to(self, name, value):
        if value > self.fact(name):
            self.put(name, value)


class Visitor:
    """A program of the host that comes to a guest by this port of the host."""

    def __init__(self, port, questions):
        self.there, self.questions = ("127.0.0.1", port), questions
        self.udp = self.socket(socket.SOCK_DGRAM)
        self.waiting = collections.deque()  # (connection, key)

    def socket(self, kind):
        sock = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        sock.connect_ex(self.there)
        return sock

    def sockets(self):
        return [self.udp, *(sock for sock, _ in self.waiting)]

    def ask_udp(self, key):
        for _ in range(2):  # the first hears that the last one found nobody
            try:
                self.udp.send(struct.pack("!H", key))
                return
            except OSError:
                pass

    def ask_tcp(self, key):
        self.waiting.append((self.socket(socket.SOCK_STREAM), key))
        if len(self.waiting) > 20:
            self.waiting.popleft()[0].close()

    def listen(self, ready):
        if self.udp in ready:
            try:
                self.questions["port udp"].answered(struct.unpack("!H", self.udp.recv(2))[0])
            except OSError:
                pass  # nobody was there
        for sock, key in [one for one in self.waiting if one[0] in ready]:
            try:
                if sock.recv(8) == b"here":
                    self.questions["port tcp"].answered(key)
            except OSError:
                pass
            self.waiting.remove((sock, key))
            sock.close()


class Guest:
    """peer_name: whom to look up by name; "": nobody. port: of the host, which leads here; 0:
    none."""

    ping_every = 0.01

    def __init__(self, fd, interface, network, board, peer_name="", port=0):
        self.fd, self.board, self.peer_name = fd, board, peer_name
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
        self.mac = bytes.fromhex(interface["mac_address"].replace(":", ""))
        self.ip = packed(interface["ipv4_address"])
        self.gateway = packed(network["ipv4_gateway"])
        self.macs = {}  # of addresses in our subnet
        self.questions = {service: Questions(board, service) for service in SERVICES}
        self.visitor = Visitor(port, self.questions) if port else None
        self.count = random.randrange(60000)
        board.set("ip", int.from_bytes(self.ip, "big"))
        board.set("mac", int.from_bytes(self.mac, "big"))
        board.set("pid", os.getpid())

    # ---- sending ----

    def frame(self, kind, payload, to=b"\xff" * 6):
        try:
            os.write(self.fd, to + self.mac + struct.pack("!H", kind) + payload)
        except OSError:
            pass  # a full queue; a TAP that is being taken away

    def ip4(self, destination, protocol, payload, source=None, mac=None):
        self.count = (self.count + 1) & 0xFFFF
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), self.count, 0, 64,
                           protocol, 0, source or self.ip, destination)
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        local = destination[:3] == self.ip[:3]
        via = destination if local else self.gateway
        mac = mac or self.macs.get(via)
        if mac:
            self.frame(0x0800, head + payload, mac)
        else:
            self.arp(1, via)

    def arp(self, operation, target, target_mac=bytes(6)):
        body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, self.mac, self.ip,
                           target_mac, target)
        self.frame(0x0806, body, b"\xff" * 6 if operation == 1 else target_mac)

    def udp(self, destination, sport, dport, data):
        self.ip4(destination, 17, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data)

    # ---- asking ----

    def ask(self, service):
        """A new key, written down as a question to this service; dnsmasq is asked for two, and
        its answers must tell them apart."""
        key = random.randrange(1, 32768) * 2 + (service == "names")
        self.questions[service].asked(key)
        return key

    def ping_peer(self):
        peer = self.board.get("peer")
        if peer:
            body = struct.pack("!HHQ", os.getpid() & 0xFFFF, self.ask("layer 2"), 0)
            body = b"\x08\0" + struct.pack("!H", checksum(b"\x08\0\0\0" + body)) + body
            self.ip4(peer.to_bytes(4, "big"), 1, body)

    def ask_dhcp(self):
        body = struct.pack("!BBBBIHH4s4s4s4s16s64s128s", 1, 1, 6, 0, self.ask("dhcp"), 0, 0x8000,
                           bytes(4), bytes(4), bytes(4), bytes(4), self.mac + bytes(10), b"", b"")
        body += b"\x63\x82\x53\x63" + b"\x35\x01\x03" + b"\x32\x04" + self.ip + b"\xff"
        data = struct.pack("!HHHH", 68, 67, 8 + len(body), 0) + body
        self.ip4(b"\xff" * 4, 17, data, source=bytes(4), mac=b"\xff" * 6)

    def ask_name(self, service, name):
        question = dns_question(self.ask(service), name)
        self.udp(self.gateway, random.randrange(20000, 60000), 53, question)

    def ask_all(self):
        self.ask_dhcp()
        if self.peer_name and self.board.get("peer"):
            self.ask_name("names", self.peer_name + ".shared.vmnet.internal")
        self.ask_name("dns", f"x{random.getrandbits(40):x}.four.example.test")
        question = dns_question(self.ask("outside udp"), "four.example.test")
        self.udp(packed(SERVER_UDP), 4500, 53, question)  # one port, as a tunnel has
        self.connect()
        if self.visitor:
            self.visitor.ask_udp(self.ask("port udp"))
            self.visitor.ask_tcp(self.ask("port tcp"))

    def connect(self):
        """A SYN; the answer to it is proof enough, and is reset."""
        sport = random.randrange(20000, 60000)
        self.questions["outside tcp"].asked(sport)
        self.tcp(packed(SERVER_TCP), sport, 80, 1000, 0, 0x02)

    def tcp(self, destination, sport, dport, seq, ack, flags, data=b""):
        head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 65535, 0, 0)
        pseudo = self.ip + destination + struct.pack("!HH", 6, len(head) + len(data))
        head = head[:16] + struct.pack("!H", checksum(pseudo + head + data)) + head[18:]
        self.ip4(destination, 6, head + data)

    # ---- receiving ----

    def wrong(self):
        self.board.set("wrong", self.board.get("wrong") + 1)

    def got_arp(self, body):
        operation, mac, ip, _, target = struct.unpack("!6xH6s4s6s4s", body[:28])
        self.macs[ip] = mac
        if operation == 1 and target == self.ip:
            self.arp(2, ip, mac)

    def got_ip4(self, packet):
        source, protocol, body = packet[12:16], packet[9], packet[20:]
        if protocol == 1 and body[0] == 8:
            body = b"\0\0\0\0" + body[4:]
            self.ip4(source, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])
        elif protocol == 1 and body[0] == 0:
            self.questions["layer 2"].answered(struct.unpack("!H", body[6:8])[0])
        elif protocol == 17:
            self.got_udp(source, *struct.unpack("!HH", body[:4]), body[8:])
        elif protocol == 6:
            self.got_tcp(source, body)

    def got_udp(self, source, sport, dport, data):
        if sport == 67 and dport == 68 and len(data) > 243:
            self.got_dhcp(data)
        elif sport == 53 and len(data) > 12:
            self.got_dns(source, struct.unpack("!H", data[:2])[0], data)
        elif dport == PORT:
            self.udp(source, PORT, sport, data)

    def got_dhcp(self, data):
        key = struct.unpack("!I", data[4:8])[0]
        if data[28:34] != self.mac or not self.questions["dhcp"].waits_for(key):
            return  # the other guest's: they are broadcast
        if data[240:243] == b"\x35\x01\x05" and data[16:20] == self.ip:
            self.board.set("leased", 1)
            self.questions["dhcp"].answered(key)
        else:
            self.wrong()

    def got_dns(self, source, key, data):
        good = data[3] & 15 == 0 and data[6:8] != b"\0\0"
        if source != self.gateway:
            if good:
                self.questions["outside udp"].answered(key)
        elif self.questions["names"].waits_for(key):
            if good and data[-4:] == self.board.get("peer").to_bytes(4, "big"):
                self.questions["names"].answered(key)
            else:
                self.wrong()
        elif good:
            self.questions["dns"].answered(key)

    def got_tcp(self, source, body):
        sport, dport, seq, ack, _, flags = struct.unpack("!HHIIBB", body[:14])
        if sport == 80 and flags & 0x12 == 0x12:
            self.questions["outside tcp"].answered(dport)
            self.tcp(source, dport, 80, 1001, seq + 1, 0x14)
        elif dport == PORT:
            self.serve(source, sport, seq, ack, flags)

    def serve(self, source, sport, seq, ack, flags):
        """Whoever is connected hears one word, and then nothing more."""
        if flags & 0x02:
            self.tcp(source, PORT, sport, 0, seq + 1, 0x12)
        elif flags & 0x01:
            self.tcp(source, PORT, sport, ack, seq + 1, 0x14)
        elif flags & 0x10 and ack == 1:
            self.tcp(source, PORT, sport, 1, seq, 0x19, b"here")

    def receive(self):
        for _ in range(64):
            try:
                frame = os.read(self.fd, 2048)
            except BlockingIOError:
                return
            kind, to = struct.unpack("!H", frame[12:14])[0], frame[:6]
            if kind == 0x0806:
                self.got_arp(frame[14:])
            elif kind == 0x0800 and to in (self.mac, b"\xff" * 6):
                self.got_ip4(frame[14:])

    def run(self):
        sockets = self.visitor.sockets if self.visitor else list
        next_ping = next_ask = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= next_ping:
                next_ping = now + self.ping_every
                self.ping_peer()
            if now >= next_ask:
                next_ask = now + ASK_EVERY
                self.ask_all()
            wait = max(0, min(next_ping, next_ask) - time.monotonic())
            ready = select.select([self.fd, *sockets()], [], [], wait)[0]
            if self.fd in ready:
                self.receive()
            if self.visitor:
                self.visitor.listen(ready)
