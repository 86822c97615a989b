#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vmnet-netd, spoken to directly: what a guest sees of its network, frame by frame.

    netd_smoke.py PATH/TO/vmnet-netd [UID ...]

Runs netd as root and as an ordinary user (4000), in a network and mount namespace of
its own, and plays broker and guests: it builds networks over netd's socket and pumps
crafted frames through the TAPs that it gets. One line a behaviour; the exit status is
the number of failures (at most 100). Needs root, for namespaces and a private /dev/net/tun.
"""
import array
import contextlib
import ctypes
import errno
import fcntl
import ipaddress
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

VERSION = 4
HELLO, INVENTORY, READY, BUILD, REMOVE, OPEN_TAP, STATS, LEAVE, UPDATE = range(1, 10)
TAP_GONE, NETWORK_LOST, UPLINK, ANCHOR, LEASE, FORWARD_CHANGED = range(100, 106)
NAT44, NAT66, DHCP, DNS, RA, ISOLATED = 1, 2, 4, 8, 16, 32
MORE = 1
HEADER = struct.Struct("=IHHIIiI")
NETWORK = struct.Struct("=64s64sIIIIII16sIIII64s16s256s")
INTERFACE = struct.Struct("=64s64s64s16sII6sBBIB3x")
RESERVATION = struct.Struct("=64sI6s2x")
UPDATE_HEAD = struct.Struct("=64sIIII")
STAT = struct.Struct("=64s16sQQQQQQQII")
UPLINK_NEWS = struct.Struct("=64s16s16s200s200s")
FORWARD = struct.Struct("=64s64sIIIIII16s16s")
MAGIC = 0x76626E64

# For what must come; a busy machine lets it wait. What must not come is waited for much less.
PATIENCE = 20


def eventually(condition, seconds=PATIENCE):
    """What it is as soon as it is true, or in the end."""
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return found

failures = 0


def check(ok, what, detail=""):
    global failures
    if not ok:
        failures += 1
    print(("ok      " if ok else "NOT OK  ") + what + (f"   [{detail}]" if detail and not ok else ""),
          flush=True)
    return ok


# ---- a place of our own ------------------------------------------------------------------


def private_namespaces():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000 | 0x00020000) != 0:  # CLONE_NEWNET | CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")
    run = lambda *a: subprocess.run(a, check=True, timeout=10)
    run("mount", "--make-rprivate", "/")
    place = tempfile.mkdtemp(prefix="netd-smoke.")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", place)
    run("mknod", "-m", "666", place + "/tun", "c", "10", "200")
    run("mount", "--bind", place + "/tun", "/dev/net/tun")
    run("ip", "link", "set", "lo", "up")
    # An invented way out, so that there is a default route; nobody answers there.
    run("ip", "link", "add", "out0", "type", "bridge")
    run("ip", "addr", "add", "198.51.100.2/24", "dev", "out0")
    run("ip", "link", "set", "out0", "up")
    run("ip", "route", "add", "default", "via", "198.51.100.1")
    return place


# ---- netd and the broker's side of its socket ----------------------------------------------


class Netd:
    def __init__(self, program, place, uid, *options):
        self.program, self.uid, self.options = program, uid, options
        self.dir = f"{place}/{uid}"
        self.log = f"{place}/{uid}.log"
        if not os.path.isdir(self.dir):
            os.mkdir(self.dir, 0o700)
            os.chown(self.dir, uid, uid)
        self.process, self.anchor = None, 0

    def start(self):
        who = [] if self.uid == 0 else ["setpriv", "--reuid", str(self.uid), "--regid",
                                        str(self.uid), "--clear-groups"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*who, self.program, "--user", "--state-dir", self.dir + "/state", "--runtime-dir",
                 self.dir + "/run", "--log-level", "debug", *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                self.connect().close()
                return self
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("netd does not answer; its log:\n" + open(self.log).read())

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(PATIENCE)
        os.seteuid(self.uid)
        try:
            sock.connect(self.dir + "/run/netd.sock")
        finally:
            os.seteuid(0)
        return sock

    def wait(self):
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return None

    def inside(self, *command):
        done = subprocess.run(["nsenter", "-t", str(self.anchor), "-n", *command], timeout=30,
                              capture_output=True, text=True)
        return done.stdout + done.stderr


def taps(netd, up):
    """The TAPs of VMs, or those that netd has made in advance. One that it is just making is on no
    bridge yet, and neither."""
    links = re.findall(r"^\d+: (vt[\d.]+): <(.*?)>.* master ", netd.inside("ip", "-o", "link"), re.M)
    return [name for name, flags in links if ("UP" in flags.split(",")) == up]


def spare_of(netd, index=0, seconds=PATIENCE):
    """The one that the next VM gets; it is made when netd has nothing else to do."""
    end = time.monotonic() + seconds
    while True:
        found = [t for t in taps(netd, False) if t.startswith(f"vt{index}.")]
        if found or time.monotonic() > end:
            return found[0] if len(found) == 1 else ""
        time.sleep(0.01)


class Refused(Exception):
    pass


class Broker:
    def __init__(self, netd, hello=True, idle=30):
        self.netd, self.sock, self.id, self.events = netd, netd.connect(), 0, []
        self.networks, self.taps, self.forwards, self.idle = [], [], [], idle
        self.host = {}  # by network, in which families: as the last stats() saw it
        if hello:
            self.hello()

    def close(self):
        self.sock.close()

    def send(self, op, body=b"", ident=None, version=VERSION):
        self.id += 1
        self.sock.send(HEADER.pack(MAGIC, version, op, ident or self.id, 0, 0, 0) + body)

    def receive(self):
        room = socket.CMSG_SPACE(16 * 4)
        data, control, _, _ = self.sock.recvmsg(4096, room)
        if not data:
            raise EOFError
        fds = array.array("i")
        for _, _, cmsg in control:
            fds.frombytes(cmsg[: len(cmsg) - len(cmsg) % 4])
        magic, version, op, ident, flags, err, zero = HEADER.unpack(data[: HEADER.size])
        assert (magic, version, zero) == (MAGIC, VERSION, 0)
        return op, ident, flags, err, data[HEADER.size :], list(fds)

    def call(self, op, body=b""):
        """Returns [(body, fds)]; events met on the way are kept."""
        self.send(op, body)
        answers = []
        while True:
            got, ident, flags, err, data, fds = self.receive()
            if ident == 0:
                self.events.append((got, data))
                continue
            assert ident == self.id and got == op, (ident, self.id, got, op)
            if err:
                raise Refused(err, data.rstrip(b"\0").decode())
            answers.append((data, fds))
            if not flags & MORE:
                return answers

    def event(self, op, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for i, (got, data) in enumerate(self.events):
                if got == op:
                    del self.events[i]
                    return data
            if select.select([self.sock], [], [], 0.1)[0]:
                got, ident, _, _, data, _ = self.receive()
                assert ident == 0
                self.events.append((got, data))
        return None

    def greet(self, patience=PATIENCE):
        """netd may hear of this broker before it has heard that the last one has gone."""
        end = time.monotonic() + patience
        while True:
            try:
                return self.call(HELLO, struct.pack("=II", self.idle, 0))[0][0]
            except Refused as e:
                if e.args[0] != -errno.EBUSY or time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def hello(self):
        welcome = self.greet()
        self.netd.pid, self.netd.anchor = struct.unpack("=ii", welcome[:8])
        for body, _ in self.call(INVENTORY):
            if len(body) == NETWORK.size:
                self.networks.append(text(NETWORK.unpack(body)[0]))
            elif len(body) == FORWARD.size:
                self.forwards.append(body)
            elif body:
                self.taps.append(text(INTERFACE.unpack(body)[3]))
        self.call(READY)

    def build(self, name, subnet, ipv6=None, flags=NAT44 | NAT66 | DHCP | DNS | RA, spoof=0,
              mtu=1500, mode=0, uplink=0, dns=(), external="", domain=""):
        net = ipaddress.ip_network(subnet)
        v6 = ipaddress.ip_address(ipv6).packed if ipv6 else bytes(16)
        servers = b"".join(dns_server(s) for s in dns)
        self.call(BUILD, NETWORK.pack(name.encode(), b"id-" + name.encode(), mode, spoof, flags,
                                      mtu, int(net.network_address), net.prefixlen, v6,
                                      64 if ipv6 else 0, self.idle, uplink, len(dns), servers,
                                      external.encode(), domain.encode()))

    def reserve(self, network, *reservations):
        """reservations: (MAC, address, name). In messages of at most 16."""
        total, first = len(reservations), 0
        while first < total or not total:
            part = reservations[first : first + 16]
            items = b"".join(RESERVATION.pack(name.encode(), int(ipaddress.ip_address(ip)),
                                              mac_bytes(mac)) for mac, ip, name in part)
            self.call(UPDATE, UPDATE_HEAD.pack(network.encode(), self.idle, total, first, len(part))
                      + items.ljust(16 * RESERVATION.size, b"\0"))
            first += len(part)
            if not total:
                break

    def open_tap(self, network, ident, ip, mac, name="", offload=1, isolated=0, queues=1,
                 by_name=0):
        body = INTERFACE.pack(network.encode(), ident.encode(), name.encode(), b"", self.netd.uid,
                              int(ipaddress.ip_address(ip)) if ip else 0,
                              bytes.fromhex(mac.replace(":", "")), offload, isolated, queues,
                              by_name)
        data, fds = self.call(OPEN_TAP, body)[0]
        return Guest(fds, text(INTERFACE.unpack(data)[3]), mac, ip, offload, queues)

    def remove(self, network):
        self.call(REMOVE, network.encode().ljust(64, b"\0"))

    def stats(self):
        found = {}
        for body, _ in self.call(STATS):
            if body:
                net, tap, rx, tx, rxp, txp, dropped, questions, flows, host, _ = STAT.unpack(body)
                if tap[0]:
                    found[text(tap)] = dict(rx=rxp, tx=txp, dropped=dropped,
                                            denied_questions=questions, denied_flows=flows)
                else:
                    self.host[text(net)] = host
        return found


def dns_server(address):
    packed = ipaddress.ip_address(address).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def text(field):
    return field.split(b"\0")[0].decode()


def refused(action, err, words):
    try:
        action()
    except Refused as e:
        return check(e.args[0] == -err and words in e.args[1], f"refused: {e.args[1]}", str(e.args))
    return check(False, f"refused: {words}", "it was accepted")


# ---- a guest: frames through a TAP -----------------------------------------------------------


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def ip4_packet(src, dst, proto, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0,
                       ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp4(src, dst, sport, dport, data):
    return ip4_packet(src, dst, 17, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data)


def ip6_packet(src, dst, proto, payload, at=2):
    """at: where in the payload its checksum belongs."""
    src, dst = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    c = checksum(src + dst + struct.pack("!II", len(payload), proto) + payload)
    payload = payload[:at] + struct.pack("!H", c) + payload[at + 2 :]
    return struct.pack("!IHBB", 6 << 28, len(payload), proto, 255) + src + dst + payload


def eui64(prefix, mac):
    b = mac_bytes(mac)
    low = bytes([b[0] ^ 2]) + b[1:3] + b"\xff\xfe" + b[3:]
    return ipaddress.ip_address(ipaddress.ip_address(prefix).packed[:8] + low)


def dns_question(name, kind):
    labels = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"
    return struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", kind, 1)


def dns_answers(data):
    """The addresses in an answer, without following names: enough for A and AAAA."""
    rcode, count = data[3] & 15, struct.unpack("!H", data[6:8])[0]
    at, found = 12, []
    while data[at]:
        at += 1 + data[at]
    at += 5
    for _ in range(count):
        at += 2 if data[at] & 0xC0 else data[at:].index(0) + 1
        kind, _, _, size = struct.unpack("!HHIH", data[at : at + 10])
        if size in (4, 16):
            found.append(str(ipaddress.ip_address(data[at + 10 : at + 10 + size])))
        at += 10 + size
    return rcode, found


class Guest:
    def __init__(self, fds, tap, mac, ip, offload, queues):
        self.fds, self.tap, self.mac, self.ip = fds, tap, mac, ip
        self.header = bytes(10) if offload else b""
        assert len(fds) == queues
        for fd in fds:
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def send(self, kind, payload, dst="ff:ff:ff:ff:ff:ff", src=None):
        frame = mac_bytes(dst) + mac_bytes(src or self.mac) + struct.pack("!H", kind) + payload
        os.write(self.fds[0], self.header + frame)

    def frames(self, seconds):
        """Until nothing more is there when the time is over: what came while this process did
        not run is not missed."""
        end = time.monotonic() + seconds
        while ready := select.select(self.fds, [], [], max(0, end - time.monotonic()))[0]:
            for fd in ready:
                yield os.read(fd, 65550)[len(self.header) :]

    def wait_for(self, match, seconds=PATIENCE):
        """The first frame for which match(kind, packet) gives something, and that."""
        for frame in self.frames(seconds):
            kind = struct.unpack("!H", frame[12:14])[0]
            if kind == 0x86DD and self.answers_neighbours(frame[14:]):
                continue
            found = match(kind, frame[14:])
            if found:
                return found
        return None

    # -- IPv4

    def arp(self, target, sender_ip=None, sender_mac=None, src=None):
        self.send(0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1,
                                      mac_bytes(sender_mac or self.mac),
                                      ipaddress.ip_address(sender_ip or self.ip).packed, bytes(6),
                                      ipaddress.ip_address(target).packed), src=src)

    def resolve(self, target, seconds=PATIENCE, **forged):
        """Its MAC; asks again and again, as a kernel does."""
        end = time.monotonic() + seconds
        while not (found := self.resolve_once(target, **forged)) and time.monotonic() < end:
            pass
        return found

    def resolve_once(self, target, **forged):
        self.arp(target, **forged)
        wanted = ipaddress.ip_address(target).packed

        def match(kind, p):
            if kind == 0x0806 and p[6:8] == b"\0\2" and p[14:18] == wanted:
                return p[8:14].hex(":")

        return self.wait_for(match, 0.5)

    def udp(self, dst, dport, data, sport=4000, seconds=5):
        """Sends to the gateway's MAC and waits for the answer to that port."""
        self.send(0x0800, udp4(self.ip, dst, sport, dport, data), dst=self.gateway_mac)

        def match(kind, p):
            if kind == 0x0806 and p[6:8] == b"\0\1":
                self.answer_arp(p)
            if kind == 0x0800 and p[9] == 17 and p[20:24] == struct.pack("!HH", dport, sport):
                return p[28:]

        return self.wait_for(match, seconds)

    def answer_arp(self, p):
        if p[24:28] == ipaddress.ip_address(self.ip).packed:
            self.send(0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + mac_bytes(self.mac) +
                      p[24:28] + p[8:18], dst=p[8:14].hex(":"))

    def ask(self, name, kind=1):
        gateway = str(ipaddress.ip_network(self.ip + "/24", strict=False)[1])
        self.gateway_mac = self.resolve(gateway)
        if not self.gateway_mac:
            return "no gateway"
        answer = self.udp(gateway, 53, dns_question(name, kind))
        return dns_answers(answer) if answer else "no answer"

    def dhcp(self, message, extra=b"", seconds=1.5, chaddr=None):
        """message: 1 DISCOVER, 3 REQUEST. Returns (type, address, options) or None. An offer that
        comes late is no answer to a REQUEST."""
        chaddr = mac_bytes(chaddr or self.mac)
        bootp = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x1234ABCD, 0, 0x8000) + bytes(16) + chaddr
        bootp = bootp.ljust(236, b"\0") + b"\x63\x82\x53\x63\x35\x01" + bytes([message])
        bootp += b"\x0c\x04evil" + b"\x37\x06\x01\x03\x06\x0f\x1a\x77" + extra + b"\xff"
        self.send(0x0800, udp4("0.0.0.0", "255.255.255.255", 68, 67, bootp))

        def match(kind, p):
            if kind == 0x0800 and p[9] == 17 and p[20:24] == struct.pack("!HH", 67, 68):
                got = self.parse_dhcp(p[28:])
                return got if got[0] in ((2,) if message == 1 else (5, 6)) else None

        return self.wait_for(match, seconds)

    @staticmethod
    def parse_dhcp(p):
        options, at = {}, 240
        while p[at] != 255:
            if p[at] == 0:
                at += 1
                continue
            options[p[at]] = p[at + 2 : at + 2 + p[at + 1]]
            at += 2 + p[at + 1]
        return options[53][0], str(ipaddress.ip_address(p[16:20])), options

    def lease(self, patience=PATIENCE, extra=b"", chaddr=None):
        """DISCOVER to ACK, as a client does it: asking again when nobody answers."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            offer = self.dhcp(1, extra, 0.4, chaddr)
            if not offer:
                continue
            want = b"\x32\x04" + ipaddress.ip_address(offer[1]).packed
            if got := self.dhcp(3, extra + want + b"\x36\x04" + offer[2][54], chaddr=chaddr):
                return got
        return None

    # -- IPv6

    @property
    def link_local(self):
        return str(eui64("fe80::", self.mac))

    def answers_neighbours(self, p):
        """A guest's kernel would: solicitations for, and echoes to, our EUI-64 addresses."""
        if p[6] != 58 or p[40] not in (135, 128):
            return False
        if p[40] == 135:
            target = p[48:64]
            if target[8:] != eui64("fe80::", self.mac).packed[8:]:
                return False
            body = b"\x88\0\0\0\x60\0\0\0" + target + b"\x02\x01" + mac_bytes(self.mac)
            src = ipaddress.ip_address(target)
        else:
            body, src = b"\x81\0\0\0" + p[44:], ipaddress.ip_address(p[24:40])
        dst = ipaddress.ip_address(p[8:24])
        if dst.is_unspecified or src.is_multicast:
            return True
        self.send(0x86DD, ip6_packet(src, dst, 58, body), dst=self.bridge_mac)
        return True

    def solicit_router(self, seconds=PATIENCE):
        body = b"\x85\0\0\0\0\0\0\0\x01\x01" + mac_bytes(self.mac)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.send(0x86DD, ip6_packet(self.link_local, "ff02::2", 58, body),
                      dst="33:33:00:00:00:02")
            ra = self.wait_for(lambda k, p: p[40:] if k == 0x86DD and p[40] == 134 else None, 1)
            if ra:
                return self.parse_ra(ra)
        return None

    @staticmethod
    def parse_ra(ra):
        options, at = {"lifetime": struct.unpack("!H", ra[6:8])[0]}, 16
        while at < len(ra):
            options[ra[at]] = ra[at : at + 8 * ra[at + 1]]
            at += 8 * ra[at + 1]
        return options


# ---- the story ---------------------------------------------------------------------------------

ONE, TWO = "192.168.64.0/24", "192.168.65.0/24"
PREFIX = "fd00:64::"
WEB, DB, LONE, OTHER = ("52:54:00:00:00:%02x" % i for i in (1, 2, 3, 4))


def bad_sessions(netd):
    b = Broker(netd, hello=False)
    b.send(BUILD, bytes(NETWORK.size))
    check(ended(b), "a malformed request ends its session")
    b = Broker(netd, hello=False)
    b.send(STATS)
    check(ended(b), "a request before Hello ends its session")
    b = Broker(netd, hello=False)
    b.send(HELLO, struct.pack("=II", 30, 0), version=VERSION - 1)
    check(b.receive()[3] == -errno.EPROTONOSUPPORT and ended(b),
          "an older version is told so, and its session ends")
    b = Broker(netd, hello=False)
    socket.send_fds(b.sock, [HEADER.pack(MAGIC, VERSION, HELLO, 1, 0, 0, 0) + bytes(8)], [0])
    check(ended(b), "a descriptor where none belongs ends its session")
    if netd.uid:
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.connect(netd.dir + "/run/netd.sock")  # as root
            sock.settimeout(PATIENCE)
            check(sock.recv(1) == b"", "another user is turned away")
        except OSError:
            check(True, "another user is turned away")


def ended(broker):
    """Whatever is told meanwhile is no answer."""
    try:
        while broker.receive()[1] == 0:
            pass
        return False
    except (EOFError, ConnectionResetError):
        return True


def building(netd, b):
    start = time.monotonic()
    b.build("one", ONE, PREFIX)
    took = time.monotonic() - start
    check(took < PATIENCE, f"a network is built ({took * 1000:.1f} ms)")
    b.build("two", TWO, "fd00:65::", flags=DHCP | RA)
    refused(lambda: b.build("one", "192.168.70.0/24"), 17, "exists already")
    refused(lambda: b.build("three", "192.168.0.0/16"), 98, "overlaps that of network 'one'")
    refused(lambda: b.build("three", "192.168.70.0/24", PREFIX), 98, "prefix is that of")
    refused(lambda: b.remove("three"), 2, "does not exist")


def opening(netd, b):
    start = time.monotonic()
    web = b.open_tap("one", "web", "192.168.64.2", WEB, "web")
    took = (time.monotonic() - start) * 1000
    check(web.tap.startswith("vt"), f"a TAP is opened ({took:.2f} ms)")
    off = lambda link: netd.inside("cat", f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6").strip()
    check((off(web.tap), off("vb0")) == ("1", "0"), "... without IPv6 on it, which the bridge has",
          off(web.tap) + off("vb0"))
    for words, args in (("MAC address", ("x", "192.168.64.9", WEB, "x")),
                        ("IPv4 address", ("x", "192.168.64.2", DB, "x")),
                        ("name", ("x", "192.168.64.9", DB, "web")),
                        ("interface id", ("web", "192.168.64.9", DB, "x"))):
        refused(lambda: b.open_tap("one", *args), 17, words)
    refused(lambda: b.open_tap("one", "x", "192.168.66.2", DB), 22, "not in the subnet")
    refused(lambda: b.open_tap("one", "x", "192.168.64.1", DB), 22, "not for a VM")
    refused(lambda: b.open_tap("one", "x", "192.168.64.255", DB), 22, "not for a VM")
    refused(lambda: b.open_tap("one", "x", "192.168.64.9", DB, "gateway"), 17, "reserved")
    refused(lambda: b.open_tap("none", "x", "192.168.64.9", DB), 2, "does not exist")
    refused(lambda: b.remove("one"), 16, "in use")
    refused(lambda: b.call(LEAVE), 16, "in use")
    db = b.open_tap("one", "db", "192.168.64.3", DB, "db", offload=0)
    lone = b.open_tap("one", "lone", "192.168.64.4", LONE, "lone", isolated=1, queues=2)
    other = b.open_tap("two", "web", "192.168.65.2", OTHER, "web")
    for guest in (web, db, lone, other):
        learn_bridge(netd, guest)
    return web, db, lone, other


def learn_bridge(netd, guest):
    bridge = guest.tap.replace("t", "b").split(".")[0]
    link = json.loads(netd.inside("ip", "-j", "link", "show", "dev", bridge))[0]
    guest.bridge_mac = guest.gateway_mac = link["address"]


def addresses(web, other):
    got = web.lease()
    check(got and got[0] == 5 and got[1] == "192.168.64.2", "DHCP gives the assigned address",
          str(got))
    o = got[2] if got else {}
    show = lambda n: str(ipaddress.ip_address(o.get(n, bytes(4))))
    check(show(3) == "192.168.64.1" and show(6) == "192.168.64.1", "... gateway and resolver", str(o))
    check(o.get(26) == b"\x05\xdc", "... MTU", str(o))
    check(o.get(15) == b"one.vmnet.internal", "... domain", str(o))
    got = other.lease()
    check(got and got[1] == "192.168.65.2", "DHCP on a second network", str(got))
    check(got and 3 not in got[2], "... which has no way out, and so no default route")
    ra = web.solicit_router()
    check(ra and ra[3][16:32] == ipaddress.ip_address(PREFIX).packed, "RA has the prefix", str(ra))
    if ra:
        check(ra["lifetime"] > 0, "... a router's lifetime")
        check(25 in ra, "... the resolver (RDNSS)", str(ra))
        check(b"\x03one\x05vmnet\x08internal" in ra.get(31, b""), "... the search domain (DNSSL)")
        check(ra.get(5, b"")[4:] == struct.pack("!I", 1500), "... the MTU", str(ra))
    ra = other.solicit_router()
    check(ra and ra["lifetime"] == 0, "RA of a network without a way out is no router's", str(ra))


def names(web, db, other):
    check(db.ask("web.one.vmnet.internal") == (0, ["192.168.64.2"]), "a VM's name",
          str(db.ask("web.one.vmnet.internal")))
    check(db.ask("web") == (0, ["192.168.64.2"]), "its short name", str(db.ask("web")))
    check(db.ask("gateway.one.vmnet.internal") == (0, ["192.168.64.1"]), "the gateway's name")
    check(db.ask("gateway", 28) == (0, ["fd00:64::1"]), "the gateway's IPv6 address")
    check(db.ask("evil")[1] == [], "a name that a guest calls itself is not published",
          str(db.ask("evil")))
    check(other.ask("web") == (0, ["192.168.65.2"]), "each network has its own names")
    check(other.ask("db.one.vmnet.internal")[1] == [], "... and not the other's")
    address = str(eui64(PREFIX, WEB))
    for _ in range(200):  # dnsmasq pings the address before it publishes it
        web.wait_for(lambda k, p: None, 0.2)
        got = db.ask("web.one.vmnet.internal", 28)
        if got == (0, [address]):
            break
    check(got == (0, [address]), "a VM's IPv6 name", str(got))


def hears(guest, marker, seconds=PATIENCE):
    return guest.wait_for(lambda k, p: marker in p, seconds)


def drain(*guests):
    for guest in guests:
        guest.wait_for(lambda k, p: None, 0.05)


def wires(b, web, db, lone, other):
    drain(web, db, lone, other)
    web.send(0x0800, udp4(web.ip, "192.168.64.255", 9, 9, b"hello-all"))
    check(hears(db, b"hello-all"), "guests of one network hear each other")
    check(hears(other, b"hello-all", 0.3) is None, "guests of another do not")
    web.send(0x0800, udp4(web.ip, "192.168.64.255", 9, 9, b"hello-lone"))
    check(hears(lone, b"hello-lone", 0.3) is None, "an isolated port hears no neighbour")
    check(lone.resolve("192.168.64.1"), "... but reaches the gateway")
    check(other.resolve_once("192.168.64.1") is None, "another network's gateway does not answer ARP")
    drain(web, db, lone, other)
    before = b.stats()[web.tap]["dropped"]
    v4 = udp4(web.ip, "192.168.64.255", 9, 9, b"forged!")
    spoof = udp4("192.168.64.9", "192.168.64.255", 9, 9, b"forged!")
    v6 = lambda src: ip6_packet(src, "ff02::1", 17, struct.pack("!HHHH", 9, 9, 15, 0) + b"forged!", 6)
    forged = [
        ("another source MAC", 0x0800, v4, dict(src=DB)),
        ("another source address", 0x0800, spoof, {}),
        ("an IPv6 source outside the prefix", 0x86DD, v6("2001:db8::1"), {}),
        ("a VLAN tag", 0x8100, b"\0\x01\x08\0" + v4, {}),
        ("a QinQ tag", 0x88A8, b"\0\x01\x08\0" + v4, {}),
        ("an unknown ether type", 0x88B5, b"forged!" * 8, {}),
        ("a DHCP server's answer", 0x0800, udp4(web.ip, "192.168.64.255", 67, 68, b"forged!"), {}),
        ("a router advertisement", 0x86DD,
         ip6_packet(web.link_local, "ff02::1", 58, b"\x86\0\0\0" + bytes(12) + b"forged!!"), {}),
        ("an IPv4 redirect", 0x0800, ip4_packet(web.ip, db.ip, 1, b"\5\1\0\0" + b"forged!!" * 3), {}),
    ]
    for what, kind, packet, how in forged:
        web.send(kind, packet, **how)
        check(hears(db, b"forged!", 0.15) is None, f"dropped: {what}")
    for what, how in (("ARP in a neighbour's name", dict(sender_ip=db.ip)),
                      ("ARP with another sender MAC", dict(sender_mac=DB))):
        web.arp("192.168.64.77", **how)
        check(db.wait_for(lambda k, p: k == 0x806 and p[24:28] == bytes([192, 168, 64, 77]), 0.15)
              is None, f"dropped: {what}")
    after = b.stats()[web.tap]["dropped"]
    check(after - before == len(forged) + 2, "every drop is counted for its port",
          f"{after - before} of {len(forged) + 2}")
    web.send(0x86DD, v6(str(eui64(PREFIX, WEB))))
    check(hears(db, b"forged!"), "passes: IPv6 from the prefix")
    web.arp(web.ip, sender_ip="0.0.0.0")
    check(db.wait_for(lambda k, p: k == 0x806 and p[24:28] == bytes([192, 168, 64, 2])),
          "passes: an ARP probe")
    stats = b.stats()[web.tap]
    check(stats["tx"] > 0 and stats["rx"] > 0, "traffic is counted", str(stats))


def reuse(netd, b, web):
    """An address whose last holder had a lease is given to another MAC."""
    web.close()
    check(b.event(TAP_GONE) is not None, "a closed TAP is told")
    heir = b.open_tap("one", "heir", "192.168.64.2", "52:54:00:00:00:09", "heir")
    learn_bridge(netd, heir)
    got = heir.lease()
    check(got and got[1] == "192.168.64.2", "an address that was free again gets its new VM",
          str(got))
    return heir


def child_of(netd, network_dir):
    with open(f"{netd.dir}/state/netd/{network_dir}/pid") as f:
        return int(f.read())


def dnsmasq_dies(netd, guest):
    pid = child_of(netd, 0)
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + PATIENCE
    new = pid
    while new == pid and time.monotonic() < end:
        time.sleep(0.05)
        try:
            new = child_of(netd, 0)
        except (OSError, ValueError):
            pass
    check(new != pid, "dnsmasq is started again")
    got = guest.lease()
    check(got and got[1] == guest.ip, "... and gives the same address", str(got))


def netd_dies(netd, b, guests):
    before = child_of(netd, 0)
    netd.process.kill()
    netd.process.wait()
    b.close()
    netd.start()
    b = Broker(netd)
    check(sorted(b.networks) == ["one", "two"], "the next netd adopts the networks", str(b.networks))
    check(sorted(b.taps) == sorted(g.tap for g in guests), "... and the TAPs in use", str(b.taps))
    check(child_of(netd, 0) == before, "... and the dnsmasq that runs")
    got = guests[0].lease()
    check(got and got[1] == guests[0].ip, "... and DHCP goes on", str(got))
    guests[0].send(0x0800, udp4("192.168.64.9", "192.168.64.255", 9, 9, b"forged!"))
    check(b.stats()[guests[0].tap]["dropped"] == 1, "... and the filter", str(b.stats()))
    return b


def netd_is_stopped(netd, b, guests):
    b.close()
    netd.process.terminate()
    check(netd.wait() == 0, "SIGTERM ends netd while TAPs are in use")
    check("vb0" in netd.inside("ip", "-o", "link"), "... and the networks stay")
    netd.start()
    b = Broker(netd)
    check(len(b.taps) == len(guests), "... and are adopted")
    return b


def children(netd):
    listing = subprocess.run(["ps", "-eo", "pid,stat,args"], capture_output=True, text=True).stdout
    return [line for line in listing.splitlines()
            if (netd.dir in line or f"/proc/{netd.anchor}/ns" in line) and
            "netd_smoke" not in line and " Z" not in line]


def end_children(netd):
    """After a story that broke off. One of those that are listed may just be ending by itself."""
    for line in children(netd):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(line.split()[0]), signal.SIGKILL)


def left_of(netd):
    """Nobody waits for what is killed at the end; it has its time."""
    eventually(lambda: not children(netd))
    return children(netd)


def the_end(netd, b, guests):
    for guest in guests:
        guest.close()
    for _ in guests:
        b.event(TAP_GONE)
    b.remove("two")
    check("vb1" not in netd.inside("ip", "-o", "link"), "a network is removed, links and all")
    check(not os.path.exists(netd.dir + "/state/netd/1"), "... and its directory")
    b.call(LEAVE)
    check(ended(b), "netd leaves when asked")
    check(netd.wait() == 0, "... with a clean exit")
    left = left_of(netd)
    check(not left, "... no process is left", str(left))
    left = sorted(os.listdir(netd.dir + "/state/netd") + os.listdir(netd.dir + "/run"))
    check(left == ["netd.lock"], "... no file but the lock", str(left))


def await_death(pid):
    """A signal is not the end yet: until then the process still shows the way in."""
    for _ in range(100 * PATIENCE):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] in "ZX":
                    return
        except OSError:
            return
        time.sleep(0.01)


def dies_unused(netd):
    netd.start()
    b = Broker(netd)
    b.build("one", ONE, PREFIX)
    netd.process.kill()
    netd.process.wait()
    b.close()
    old = netd.anchor
    netd.start()
    b = Broker(netd)
    check(b.networks == ["one"], "what a dead netd left is adopted, in use or not", str(b.networks))
    os.kill(netd.anchor, signal.SIGTERM)
    told = b.event(ANCHOR)
    check(told and struct.unpack("=ii", told)[0] not in (0, old), "a dead anchor has a successor")
    netd.anchor = struct.unpack("=ii", told)[0]
    netd.process.kill()
    netd.process.wait()
    b.close()
    os.kill(netd.anchor, signal.SIGTERM)
    await_death(netd.anchor)
    netd.start()
    b = Broker(netd)
    check(b.networks == ["one"], "without an anchor dnsmasq shows the way in", str(b.networks))
    old, dnsmasq = netd.anchor, child_of(netd, 0)
    netd.process.kill()
    netd.process.wait()
    b.close()
    os.kill(old, signal.SIGTERM)
    os.kill(dnsmasq, signal.SIGKILL)
    await_death(old)
    await_death(dnsmasq)
    netd.start()
    b = Broker(netd)
    check(netd.anchor != old and b.networks == [], "with nobody inside everything begins afresh")
    b.build("one", ONE, PREFIX)
    check(True, "... and works")
    b.call(LEAVE)
    check(netd.wait() == 0 and not left_of(netd), "... and goes", str(children(netd)))


def without_dnsmasq(netd):
    """netd does not wait for a child's exec(), but hears of its failure."""
    program = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin:/bin")
    subprocess.run(["mount", "--bind", "/dev/null", program], check=True, timeout=10)
    netd.start()
    b = Broker(netd)
    refused(lambda: b.build("one", ONE, PREFIX), 2, "cannot execute dnsmasq")
    check("vb0" not in netd.inside("ip", "-o", "link"), "... and nothing of the network is left")
    subprocess.run(["umount", "--lazy", program], check=True, timeout=10)
    b.build("one", ONE, PREFIX)
    check(True, "... and when it is installed, the network is built")
    b.call(LEAVE)
    netd.wait()


def asks_at_once(netd):
    """The relay starts when the answer is out; what is asked of it before that waits."""
    ask = """import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
s.connect(("127.0.0.54", 53))
try:
    s.send(bytes(12)), s.recv(512)
except TimeoutError:
    print("waits")"""
    netd.start()
    b = Broker(netd)
    b.build("one", ONE, PREFIX)
    os.kill(netd.process.pid, signal.SIGSTOP)
    answer = netd.inside("python3", "-c", ask)
    os.kill(netd.process.pid, signal.SIGCONT)
    check("refused" not in answer, "a name asked for at once is not refused", answer)
    b.call(LEAVE)
    netd.wait()


def no_descriptors(netd):
    """A broker that cannot be let in waits, and costs nothing meanwhile."""
    if netd.uid != 0:  # whose limits only root may set, with a capability
        return
    netd.start()
    Broker(netd).close()  # it serves
    pid = netd.process.pid
    files = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    busy = lambda: sum(map(int, open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, files[1]))
    waiting, before = netd.connect(), busy()
    time.sleep(1)
    spent = (busy() - before) / os.sysconf("SC_CLK_TCK")
    check(spent < 0.3, f"netd without a free descriptor does not spin ({spent:.2f} s of 1)")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, files)
    waiting.send(HEADER.pack(MAGIC, VERSION, HELLO, 1, 0, 0, 0) + struct.pack("=II", 30, 0))
    check(len(waiting.recv(4096)) > HEADER.size, "... and lets the broker in when there is one")
    waiting.close()
    b = Broker(netd)
    b.call(LEAVE)
    netd.wait()


def ifindex(netd, link):
    return json.loads(netd.inside("ip", "-j", "link", "show", "dev", link))[0]["ifindex"]


def in_advance(netd):
    """A TAP that nobody has yet: it is there, and changes nothing that anybody sees."""
    netd.start()
    b = Broker(netd)
    b.build("one", ONE, PREFIX)
    b.build("two", TWO, flags=DHCP)
    spare = spare_of(netd)
    elements = lambda: netd.inside("nft", "list", "table", "bridge", "vmnet")
    check(spare and spare in netd.inside("bridge", "link") and spare not in elements(),
          "a TAP is made in advance, down and unknown to the filter", str(spare))
    check(b.stats() == {}, "... it is no interface", str(b.stats()))
    many = b.open_tap("one", "many", "192.168.64.8", "52:54:00:00:03:01", queues=2)
    plain = b.open_tap("one", "plain", "192.168.64.9", "52:54:00:00:03:02", offload=0)
    check(spare not in (many.tap, plain.tap) and spare_of(netd) == spare,
          "... who wants several queues or no offload does not get it", f"{many.tap} {plain.tap}")
    index = ifindex(netd, spare)
    web = b.open_tap("one", "web", "192.168.64.2", WEB, "web")
    check((web.tap, ifindex(netd, web.tap)) == (spare, index) and web.tap in elements(),
          "... everybody else gets it, and is in the filter", web.tap)
    learn_bridge(netd, web)
    got = web.lease()
    check(got and got[1] == "192.168.64.2", "... and it works", str(got))
    second = spare_of(netd)
    check(second and second != spare, "... then there is another", str(second))
    netd.inside("ip", "link", "del", second)
    db = b.open_tap("one", "db", "192.168.64.3", DB, "db")
    check(db.tap in taps(netd, True), "one that somebody inside has removed is not missed", db.tap)
    poor = without_descriptors(netd, b)
    b = dies_with_spare(netd, b, [web, db, many, plain, poor])
    b.remove("two")
    check(not spare_of(netd, 1, 0), "a network's goes with it")
    for guest in (web, db, many, plain, poor):
        guest.close()
        b.event(TAP_GONE)
    b.call(LEAVE)
    check(netd.wait() == 0 and not left_of(netd), "... and does not keep netd from leaving",
          str(children(netd)))


def without_descriptors(netd, b):
    """netd can open nothing: it still has a TAP, but cannot tell dnsmasq at once."""
    check(spare_of(netd), "there is a TAP in advance for the next one")
    who = ["setpriv", "--reuid", str(netd.uid), "--regid", str(netd.uid), "--clear-groups"]
    limit = lambda *a: subprocess.run([*who, "prlimit", f"--pid={netd.pid}", *a], check=True,
                                      timeout=10, capture_output=True, text=True).stdout.strip()
    before = limit("--nofile", "--output=SOFT", "--noheadings")
    limit("--nofile=4:")
    poor = b.open_tap("one", "poor", "192.168.64.20", "52:54:00:00:03:03")
    learn_bridge(netd, poor)
    time.sleep(0.2)
    limit(f"--nofile={before}:")
    got = poor.lease()
    check(got and got[1] == "192.168.64.20", "who comes while netd has no descriptors is told of later",
          str(got))
    return poor


def dies_with_spare(netd, b, guests):
    spare = spare_of(netd)
    index = ifindex(netd, spare)
    netd.process.kill()
    netd.process.wait()
    b.close()
    netd.start()
    b = Broker(netd)
    check(sorted(b.taps) == sorted(g.tap for g in guests), "the next netd does not take it for a VM's",
          str(b.taps))
    new = spare_of(netd)
    check(new and ifindex(netd, new) != index, "... and has one of its own", str(new))
    return b


def held_by_another(b, count, first=0):
    """TAPs that only another process has open; its pid, and their names."""
    guests = [b.open_tap("one", f"vm{i}", f"192.168.64.{i + 2}", f"52:54:00:00:02:{i:02x}")
              for i in range(first, first + count)]
    pid = os.fork()
    if pid == 0:
        b.sock.close()
        while True:
            signal.pause()
    for guest in guests:
        guest.close()
    return pid, {guest.tap for guest in guests}


def told_gone(b, count, seconds):
    gone, end = [], time.monotonic() + seconds
    while len(gone) < count and time.monotonic() < end:
        data = b.event(TAP_GONE, 0.5)
        if data:
            gone.append(text(INTERFACE.unpack(data)[3]))
    return gone


def told_gone_in_a_flood(b, seconds):
    """Is a TAP's end told while there is always another request?"""
    in_flight, told, end = 0, False, time.monotonic() + seconds
    while in_flight or not told and time.monotonic() < end:
        while in_flight < 64 and not told and time.monotonic() < end:
            b.send(STATS)
            in_flight += 1
        op, ident, flags, _, _, _ = b.receive()
        told = told or op == TAP_GONE and time.monotonic() < end
        in_flight -= ident != 0 and not flags & MORE
    return told


def taps_left(netd):
    return len(taps(netd, True))


def many_die(netd):
    """A TAP whose end is missed would be in use for ever: netd never left, its address was
    never free again. 60 die while netd looks; of 150 so many die while it does not that
    the kernel runs out of room for the news, and goes on dying while they are read."""
    netd.start()
    b = Broker(netd, idle=1)
    b.build("one", ONE, PREFIX, flags=DHCP)
    pid, taps = held_by_another(b, 60)
    os.kill(pid, signal.SIGKILL)
    gone = told_gone(b, 60, 2 * PATIENCE)
    os.waitpid(pid, 0)
    check(sorted(gone) == sorted(taps), "60 TAPs die with their process, and each is told once",
          f"{len(gone)}, missing {taps - set(gone)}")
    pid, taps = held_by_another(b, 1)
    os.kill(pid, signal.SIGKILL)
    check(told_gone_in_a_flood(b, PATIENCE), "a TAP's end is told though requests never cease")
    os.waitpid(pid, 0)
    pid, taps = held_by_another(b, 110)
    later, more = held_by_another(b, 40, first=110)
    os.kill(netd.process.pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)  # with all that it had open
    left = taps_left(netd)
    os.kill(later, signal.SIGKILL)
    os.kill(netd.process.pid, signal.SIGCONT)
    check(left == 40, "110 of 150 die while netd does not look, and the others after", str(left))
    gone = told_gone(b, 150, 3 * PATIENCE)
    os.waitpid(later, 0)
    check(sorted(gone) == sorted(taps | more), "... and each is told once",
          f"{len(gone)}, missing {(taps | more) - set(gone)}")
    check(b.stats() == {} and taps_left(netd) == 0, "... nothing of them is left", str(b.stats()))
    elements = netd.inside("nft", "list", "table", "bridge", "vmnet")
    check("vt0." not in elements, "... nor in the filter", elements)
    b.close()
    check(netd.wait() == 0 and not left_of(netd), "... and netd goes when it has idled",
          str(children(netd)))


def idles(netd):
    """A broker says how long; netd's own option counts until there is one, who may take its time."""
    netd.start()
    b = Broker(netd, hello=False)
    b.call(HELLO, struct.pack("=II", 1, 0))
    time.sleep(1.5)
    check(netd.process.poll() is None, "a netd with a broker stays")
    second = Broker(netd, hello=False)
    refused(lambda: second.call(HELLO, struct.pack("=II", 1, 0)), 16, "another broker")
    b.close()
    second.idle = 1
    second.greet()
    check(True, "the next broker is served when the last has gone")
    second.close()
    check(netd.wait() == 0, "a netd that nobody uses goes")
    netd.options = ("--idle-timeout", "1")
    with contextlib.suppress(RuntimeError):  # it may have gone before it was seen
        netd.start()
    check(netd.wait() == 0, "so does one that no broker ever came to")


def story(program, place, uid):
    print(f"---- netd as uid {uid}", flush=True)
    netd = Netd(program, place, uid)
    try:
        netd.start()
        bad_sessions(netd)
        b = Broker(netd)
        check(b.networks == [] and b.taps == [], "a fresh netd has nothing")
        building(netd, b)
        web, db, lone, other = opening(netd, b)
        addresses(web, other)
        names(web, db, other)
        wires(b, web, db, lone, other)
        heir = reuse(netd, b, web)
        dnsmasq_dies(netd, heir)
        b = netd_dies(netd, b, [heir, db, lone, other])
        b = netd_is_stopped(netd, b, [heir, db, lone, other])
        the_end(netd, b, [heir, db, lone, other])
        dies_unused(netd)
        without_dnsmasq(netd)
        asks_at_once(netd)
        no_descriptors(netd)
        in_advance(netd)
        many_die(netd)
        idles(netd)
    except Exception as e:  # a broken step ends the story, not the report
        import traceback
        traceback.print_exc()
        check(False, f"the story goes to its end", repr(e))
    finally:
        if netd.process and netd.process.poll() is None:
            netd.process.kill()
            netd.process.wait()
        end_children(netd)
    if failures:
        print("---- its log\n" + open(netd.log).read(), flush=True)


def main():
    if os.geteuid() != 0:
        print("netd_smoke: needs root (namespaces and a private /dev/net/tun)", file=sys.stderr)
        return 77
    place = private_namespaces()
    program = place + "/vmnet-netd"
    shutil.copy(sys.argv[1], program)
    os.chmod(program, 0o755)
    for uid in [int(u) for u in sys.argv[2:]] or [0, 4000]:
        story(program, place, uid)
    subprocess.run(["umount", "-l", "/dev/net/tun", place], timeout=10)
    os.rmdir(place)
    print(f"{failures} failures")
    return min(failures, 76)


if __name__ == "__main__":
    sys.exit(main())
