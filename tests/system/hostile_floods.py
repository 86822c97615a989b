#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hostile_floods.py PATH/TO/vmnet-netd - one guest wants all of what its network shares.

`web` attacks, on network `one`; `db` is its neighbour, and `far` on another network. Each wants an
address, a name or to get out meanwhile."""
import os
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
from hostile import (MARK, check, drain, gone, heard_by, reconfigured, serial, settle,  # noqa: E402
                     smoke, tap_on_link, tell, udp4)
from hostile_host import Resolver, ways_out_are_known, with_a_resolver, resolvers  # noqa: E402
from netd_smoke import (PREFIX, checksum, dns_answers, dns_question, ip4_packet,  # noqa: E402
                        ip6_packet, ipaddress, mac_bytes)

INET = ("inet", "vmnet")
GATEWAY = "192.168.64.1"
REFUSED = 5  # RFC 1035, 4.1.1
OUTSIDE4, OUTSIDE6 = "203.0.113.80", "2001:db8:ff::80"
LONG_AND_SHORT = smoke.PATIENCE, 1  # for what must come, and for what must not


def frame_of(guest, kind, packet):
    return guest.header + mac_bytes(guest.bridge_mac) + mac_bytes(guest.mac) + \
        struct.pack("!H", kind) + packet


# ---- the way out ---------------------------------------------------------------------------


def tracked(scene, words):
    """How many connections with these words the namespace knows of. Others end meanwhile."""
    return scene.netd.inside("cat", "/proc/net/nf_conntrack").count(words)


def from_every_port(guest, destination, n):
    """Datagrams to one place outside, each from another port."""
    frame = bytearray(frame_of(guest, 0x0800, udp4(guest.ip, destination, 1, 7, MARK)))
    at = len(frame) - len(MARK) - 8
    for port in range(1024, 1024 + n):
        struct.pack_into("!H", frame, at, port)
        os.write(guest.fds[0], frame)


def from_many_addresses(guest, n):
    """TCP segments that begin connections, from addresses of its own choice, others each time.
    What is in all of these, as conntrack writes them."""
    block = next(serial)
    for i in range(n):
        head = struct.pack("!HHIIBBHHH", 1024 + i // 40, 80, 1, 0, 0x50, 2, 1000, 0, 0)
        packet = ip6_packet(f"fd00:64::{block:x}:{i % 40 + 1:x}", OUTSIDE6, 6, head, 16)
        os.write(guest.fds[0], frame_of(guest, 0x86DD, packet))
    return f"src=fd00:0064:0000:0000:0000:0000:{block:04x}:"


def gets_out(guest, destination, uplink):
    """To the place that is so popular. Who is unlucky tries again."""
    mark = b"honest%08d" % next(serial)
    packets = [udp4(guest.ip, destination, 1024 + next(serial), 7, mark) for _ in range(3)]
    return any(heard_by(uplink, lambda: guest.send(0x0800, p, dst=guest.bridge_mac), 1, mark)
               for p in packets)


def connections(scene, web, db, far):
    limit = gone("leaving0", "ct state new*add @flows")
    uplink = tap_on_link(scene.netd, "uplink")
    # The kernel forgets such a connection after 30 s, in which a busy machine may not make them all.
    scene.netd.inside("sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=600")

    def harm(destination):
        from_every_port(web, destination, 40000)
        return tracked(scene, f"src={web.ip} dst={destination} "), \
            [g.tap for g in (db, far) if not gets_out(g, destination, uplink)]

    with scene.rules.without(limit, table=INET):
        got, kept = harm("203.0.113.80")
        check(got > 20000 and len(kept) == 2,
              f"works without the rule: {got} connections of one guest keep the others from a server",
              str(kept))
        got = tracked(scene, from_many_addresses(web, 8000))
        check(got > 7000, f"works without the rule: {got} connections from 40 addresses")
    start = time.monotonic()
    got, kept = harm("203.0.113.81")
    took = time.monotonic() - start
    check(got < 5000 and not kept, f"fails: {got} connections, {took:.1f} s, and the others get out",
          str(kept))
    got = tracked(scene, from_many_addresses(web, 8000))
    check(got < 1000, "fails: more of them from other addresses", str(got))
    uplink.close()


# ---- names ---------------------------------------------------------------------------------


def ask_in_vain(guest, n, pause=0.005):
    """Names that nobody ever answers for, from a few ports, as fast as a socket takes them."""
    for i in range(n):
        if i % 100 == 99:
            time.sleep(pause)
        name = f"never{next(serial)}.example"
        guest.send(0x0800, udp4(guest.ip, GATEWAY, 2000 + next(serial) % 50, 53,
                                dns_question(name, 1)), dst=guest.bridge_mac)


def resolves(guest, patience=3):
    """A name of the outside, asked for as a resolver does it: again when nobody answers."""
    name = f"honest{next(serial)}.example"
    for _ in range(patience):
        drain(guest)
        answer = guest.ask(name)
        if answer == (0, ["192.0.2.7"]):
            return True
    return False


def ask_as_heard(guest, n):
    """No more at a time than dnsmasq's socket has room for, be the machine ever so busy."""
    for _ in range(0, n, 150):
        ask_in_vain(guest, 150)
        drain(guest)
        settle(guest)


def is_stopped_by(web, db, n):
    """dnsmasq has no room left: it refuses whatever it would have to ask others, to web as well. It
    forgets a question after 10 s, so that a machine too slow for that has to try once more."""
    for _ in range(5):
        ask_as_heard(web, n)
        if web.ask(f"never{next(serial)}.example") == (REFUSED, []) and not resolves(db, 1):
            return True
    return False


def questions(scene, web, db):
    """dnsmasq's own limit, and ours in front of it. Each time it starts with an empty memory."""
    check(resolves(db, 10), "db resolves names")
    original = reconfigured(scene, 0, lambda text: text.replace("dns-forward-max=9000\n", ""))
    check(resolves(db, 10), "... after dnsmasq has started again, too")
    check(is_stopped_by(web, db, 400),
          "works without the rule: 400 questions that nobody answers")
    # With room for what one guest may ask in 10 s.
    reconfigured(scene, 0, lambda text: original.replace("max=9000", "max=3000"))
    with scene.rules.without(gone("services", "udp dport 53*@asking"), table=INET):
        check(resolves(db, 10), "db resolves names again")
        check(is_stopped_by(web, db, 3000), "works without the rule: 3,000 of them")
    reconfigured(scene, 0, lambda text: original.replace("max=9000", "max=3000"))
    check(resolves(db, 10), "db resolves names again")
    ask_in_vain(web, 12000, 0.02)
    check(resolves(db), "fails: 400, or 12,000, questions that nobody answers")
    denied = scene.broker.stats()
    check(denied[web.tap]["denied_questions"] > 5000 and denied[db.tap]["denied_questions"] == 0,
          "... and it is counted who asked them", denied)
    reconfigured(scene, 0, lambda text: original)


# ---- streams -------------------------------------------------------------------------------


class Stream:
    """A TCP connection to the gateway's port 53, of which a guest's kernel knows nothing."""

    def __init__(self, guest):
        self.guest, self.port, self.seq, self.ack = guest, 30000 + next(serial) % 30000, 1, 0

    def send(self, flags, data=b""):
        g = self.guest
        head = struct.pack("!HHIIBBHHH", self.port, 53, self.seq, self.ack, 0x50, flags, 8000, 0, 0)
        sum_ = checksum(ipaddress.ip_address(g.ip).packed + ipaddress.ip_address(GATEWAY).packed +
                        struct.pack("!HH", 6, 20 + len(data)) + head + data)
        packet = ip4_packet(g.ip, GATEWAY, 6, head[:16] + struct.pack("!H", sum_) + head[18:] + data)
        g.send(0x0800, packet, dst=g.bridge_mac)
        self.seq += len(data) + (flags & 2) // 2

    def hears(self, match, seconds):
        def ours(kind, p):
            if kind == 0x0806 and p[7] == 1:
                self.guest.answer_arp(p)
            if kind == 0x0800 and p[9] == 6 and p[22:24] == struct.pack("!H", self.port):
                return match(p[20:])
            return None

        return self.guest.wait_for(ours, seconds)

    def opens(self, seconds):
        """Who has no answer says so again, as TCP does, but sooner."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.seq = 1
            self.send(2)
            got = self.hears(lambda t: t[13] == 0x12 and struct.unpack("!I", t[4:8])[0] + 1, 0.3)
            if got:
                self.ack = got
                self.send(0x10)
                return True
        return False

    def asks(self, name, seconds):
        question = dns_question(name, 1)
        self.send(0x18, struct.pack("!H", len(question)) + question)
        return bool(self.hears(lambda t: len(t) > 30 and t[13] & 8, seconds))


def silent_streams(scene, web, db):
    def harm(_):
        silent = [s for s in (Stream(web) for _ in range(30)) if s.opens(0.6)]
        honest = Stream(db)
        answered = honest.opens(8) and honest.asks("gateway.one.vmnet.internal", 8)
        for s in (*silent, honest):
            s.send(4)  # reset: so that dnsmasq's child ends
        return not answered

    scene.attack("30 TCP connections to dnsmasq that say nothing",
                 [gone("services", "tcp dport 53*@streams")], harm, table=INET)


# ---- addresses -----------------------------------------------------------------------------


def hundreds(guest, other, match, seconds):
    """Do more than 200 packets come in that match? Those that come late are nobody else's then."""
    seen = 0
    for frame in guest.frames(seconds):
        seen += bool(match(frame))
        if seen > 200:
            await_silence(guest, other, match)
            return True
    return False


def await_silence(guest, other, match):
    """Between two questions of the other's dnsmasq takes one of what waits for it."""
    heard = True
    while heard:
        settle(other)
        heard = [frame for frame in guest.frames(0) if match(frame)]


def gets_address(guest):
    drain(guest)
    got = guest.lease()
    return bool(got) and got[1] == guest.ip


def discover(guest, xid):
    bootp = struct.pack("!BBBBIHH", 1, 1, 6, 0, xid, 0, 0) + bytes(16) + mac_bytes(guest.mac)
    bootp = bootp.ljust(236, b"\0") + b"\x63\x82\x53\x63\x35\x01\x01\xff"
    return udp4("0.0.0.0", "255.255.255.255", 68, 67, bootp)


def discovers(scene, web, db):
    """Sent to the gateway's MAC, so that they are no storm of broadcasts."""
    def harm(seconds):
        drain(web)
        for xid in range(1, 501):
            web.send(0x0800, discover(web, xid * 7919), dst=web.bridge_mac)
            if xid % 50 == 0:
                time.sleep(0.01)
        return hundreds(web, db, lambda f: f[12:14] == b"\x08\0" and f[34:38] == b"\0\x43\0\x44",
                        seconds)

    scene.attack("500 DISCOVERs, each another transaction",
                 [gone("services", "udp dport { 67, 547 }")], harm, LONG_AND_SHORT, table=INET)
    check(gets_address(db), "... and the neighbour gets its address")


def solicitations(scene, web, db):
    """Those of one who has no address yet are answered to everybody."""
    packet = ip6_packet("::", "ff02::2", 58, b"\x85" + bytes(7))

    def harm(seconds):
        drain(db)
        for i in range(500):
            web.send(0x86DD, packet, dst="33:33:00:00:00:02")
            if i % 50 == 0:
                time.sleep(0.01)
        return hundreds(db, web, lambda f: f[12:14] == b"\x86\xdd" and f[54] == 134, seconds)

    scene.attack("500 router solicitations", [gone("services", "nd-router-solicit update")], harm,
                 LONG_AND_SHORT, table=INET)
    check(db.solicit_router(), "... and the neighbour finds its router")


def everything_at_once(scene, web, db, far):
    """For some seconds web does what it can; db and far do what a guest does when it starts."""
    end = threading.Event()

    def attack():
        while not end.is_set():
            ask_in_vain(web, 300)
            for xid in range(100):
                web.send(0x0800, discover(web, next(serial)), dst=web.bridge_mac)
            from_every_port(web, "203.0.113.82", 300)

    attacker = threading.Thread(target=attack, daemon=True)
    attacker.start()
    try:
        for guest in (db, far):
            check(gets_address(guest), f"amid all of it: an address for {guest.ip}")
        check(resolves(db, 5), "... and names")
    finally:
        end.set()
        attacker.join()


def story(scene):
    scene.broker.build("one", smoke.ONE, PREFIX)
    scene.broker.build("two", smoke.TWO, "fd00:65::")
    web, db = scene.guest("one", 2, "web"), scene.guest("one", 3, "db")
    far = scene.guest("two", 2, "far")
    ways_out_are_known(scene)
    connections(scene, web, db, far)
    questions(scene, web, db)
    silent_streams(scene, web, db)
    discovers(scene, web, db)
    solicitations(scene, web, db)
    everything_at_once(scene, web, db, far)


if __name__ == "__main__":
    sys.exit(tell(story, prepare=with_a_resolver))
