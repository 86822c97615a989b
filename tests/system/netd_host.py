#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""netd_host.py PATH/TO/vmnet-netd - the host on its networks, as a system instance has it.

Runs `vmnet-netd --system` as an ordinary user with ambient CAP_NET_ADMIN, in a network namespace
that plays the host, and plays broker and guests. Of what must not arrive nothing is waited for:
something that may is sent behind it, and when that is there, what came before is looked at."""
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from netd_smoke import (DHCP, ISOLATED, LEAVE, NAT44, RA, Broker, Netd, Refused,  # noqa: E402
                        check, checksum, eui64, ip4_packet, ip6_packet, ipaddress, mac_bytes,
                        private_namespaces, udp4)
import netd_smoke as smoke  # noqa: E402

UID = 4001
ONE, TWO = "192.168.64.0/24", "192.168.65.0/24"
ONE6, TWO6 = "fd00:64::", "fd00:65::"
HOST1, HOST2 = "192.168.64.254", "192.168.65.254"
HOST1_6, HOST2_6 = (p + "ffff:ffff:ffff:fffe" for p in ("fd00:64:0:0:", "fd00:65:0:0:"))
MAC1, MAC2 = "02:76:68:c0:a8:40", "02:76:68:c0:a8:41"
ELSEWHERE, ELSEWHERE6 = "198.51.100.2", "2001:db8:1::2"  # the host's, too
OUTSIDE, OUTSIDE6 = "203.0.113.80", "2001:db8:ff::80"
WEB, DB, LAB = ("52:54:00:00:00:%02x" % i for i in (1, 2, 3))


def sh(command):
    done = subprocess.run(command, shell=True, timeout=20, capture_output=True, text=True)
    return done.stdout + done.stderr


def eventually(what, condition, seconds=15, detail=lambda: ""):
    end = time.monotonic() + seconds
    while not (ok := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return check(ok, what, "" if ok else str(detail()))


class SystemNetd(Netd):
    def start(self):
        who = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups",
               "--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*who, self.program, "--system", "--state-dir", self.dir + "/state",
                 "--runtime-dir", self.dir + "/run"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + smoke.PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                self.connect().close()
                return self
            time.sleep(0.02)
        raise RuntimeError("netd does not answer; its log:\n" + self.said())

    def connect(self):
        """As root, who may, too."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(smoke.PATIENCE)
        sock.connect(self.dir + "/run/netd.sock")
        return sock

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def processes(self, *names):
        """Those of this netd that are called so; without names: whatever runs as its user. One that
        has ended, but for its parent's asking, is not among them; one that is ending is, which has no
        namespaces any more but still what it had open."""
        for pid in [int(p) for p in os.listdir("/proc") if p.isdigit()]:
            with contextlib.suppress(OSError):
                comm = open(f"/proc/{pid}/comm").read().strip()
                if os.stat(f"/proc/{pid}").st_uid == UID and (not names or comm in names) and \
                        mount_namespace(pid) in ("", mount_namespace("self")) and has_not_ended(pid):
                    yield pid

    def kill(self, *names):
        """Until they have ended: one that takes its time still holds the namespaces open, and the
        next netd would find them. All of them may have started another one meanwhile."""
        end = time.monotonic() + 10
        left = first = set(self.processes(*names))
        while left:
            assert time.monotonic() < end, left
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
            left = set(self.processes(*names))
            if names:  # those that netd starts instead are to live
                left &= first
        if not names or "vmnet-netd" in names:
            self.process.wait(smoke.PATIENCE)


def mount_namespace(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return ""


def has_not_ended(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] not in "ZX"


# ---- the host -----------------------------------------------------------------------------


def make_users(place):
    """The two of a system instance, whom the machine does not know."""
    for name, lines in (("passwd", "vmnet-netd:x:4001:4001::/nonexistent:/usr/sbin/nologin\n"
                         "vmnet-broker:x:4002:4002::/nonexistent:/usr/sbin/nologin\n"),
                        ("group", "vmnet-netd:x:4001:\nvmnet-broker:x:4002:\n")):
        shutil.copy("/etc/" + name, place)
        with open(f"{place}/{name}", "a") as file:
            file.write(lines)
        subprocess.run(["mount", "--bind", f"{place}/{name}", "/etc/" + name], check=True,
                       timeout=10)


def make_host():
    """Another interface with other addresses, and a kernel that forwards for others: Docker's."""
    for command in ("ip link add wire type veth peer name out0p",
                    "ip link set wire up", "ip link set out0p master out0 up",
                    "ip addr add 2001:db8:1::2/64 dev out0 nodad",
                    "ip neigh add 198.51.100.1 lladdr 02:00:00:00:00:01 dev out0",
                    "ip neigh add 2001:db8:1::1 lladdr 02:00:00:00:00:01 dev out0",
                    "ip -6 route add default via 2001:db8:1::1",
                    "nft add table inet others",
                    "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"):
        said = sh(command)
        assert not said, (command, said)
    # The kernel gives a link its own address a moment after it is up, and confirms it in a second.
    for link in ("wire", "out0p", "out0"):
        assert smoke.eventually(lambda link=link: "state UP" in sh(f"ip link show {link}") and
                                "inet6 fe80" in sh(f"ip -6 addr show {link} -tentative")), link


def snapshot():
    return sh("ip -br -d link | sort; ip -br addr | sort; ip route show table all;"
              "ip -6 route show table all | sed 's/ expires [^ ]*//'; ip rule; ip -6 rule;"
              "nft list ruleset; sysctl -a --pattern '^net.ipv[46].conf' 2>/dev/null")


class Ear:
    """A service of the host's that listens everywhere."""

    def __init__(self, port):
        self.port = port
        self.sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("::", port))
        self.sock.settimeout(smoke.PATIENCE)

    def until(self, last):
        """What arrives, up to and without this."""
        heard = []
        while True:
            try:
                data, sender = self.sock.recvfrom(2000)
            except socket.timeout:
                return heard + [b"nothing more, not even " + last]
            if data == last:
                return heard
            heard.append(data)

    def close(self):
        self.sock.close()


def udp6(src, dst, sport, dport, data):
    return ip6_packet(src, dst, 17, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data, 6)


def advertise(guest, source, target):
    body = b"\x88\0\0\0\x20\0\0\0" + ipaddress.ip_address(target).packed
    guest.send(0x86DD, ip6_packet(source, "ff02::1", 58, body + b"\x02\x01" + mac_bytes(guest.mac)),
               dst="33:33:00:00:00:01")


def global6(guest, prefix):
    return str(eui64(prefix, guest.mac))


# ---- the stories --------------------------------------------------------------------------


def on_it(netd, b):
    b.build("one", ONE, ONE6)
    b.build("two", TWO, TWO6, mode=1, flags=DHCP | RA)
    addresses = sh("ip -br addr")
    check(re.search(rf"vmb0\S* +UP .*{HOST1}/24 .*fd00:64::ffff:ffff:ffff:fffe/64", addresses) and
          re.search(rf"vmb1\S* +UP .*{HOST2}/24 .*fd00:65::ffff:ffff:ffff:fffe/64", addresses),
          "the host has the last address of each network", addresses)
    check(MAC1 in sh("ip link show vmb0"), "... and a MAC that is the network's")
    b.stats()
    check(b.host == {"one": 3, "two": 3}, "... of which the broker hears", b.host)
    status = open(f"/proc/{pid_of('vmnet-hostside')}/status").read()
    caps = re.search(r"CapPrm:\s*(\w+)", status).group(1), re.search(r"CapEff:\s*(\w+)", status).group(1)
    check(caps == ("0000000000001000",) * 2 and re.search(r"NoNewPrivs:\s*1", status) and
          re.search(r"Seccomp:\s*2", status), "hostside has CAP_NET_ADMIN and no more", status)
    for name in ("vmnet-netd", "vmnet-spawner", "vmnet-anchor", "dnsmasq"):
        pid = pid_of(name)
        of_host = os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")
        caps = re.search(r"CapPrm:\s*(\w+)", open(f"/proc/{pid}/status").read()).group(1)
        check(not of_host or int(caps, 16) == 0, f"{name} has no capability over the host", caps)


def pid_of(comm):
    """netd does not wait for its children to be what they become."""
    return smoke.eventually(lambda: running(comm))


def running(comm):
    for pid in [p for p in os.listdir("/proc") if p.isdigit()]:
        with contextlib.suppress(OSError):
            if open(f"/proc/{pid}/comm").read().strip() == comm and \
                    os.stat(f"/proc/{pid}").st_uid == UID and \
                    os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
                return pid
    return None


def reaching(web, lab):
    """Addresses, both ways. What the host answers goes back by the same way."""
    for guest, host, mac, host6, prefix in ((web, HOST1, MAC1, HOST1_6, ONE6),
                                            (lab, HOST2, MAC2, HOST2_6, TWO6)):
        check(guest.resolve(host) == mac,
              f"{host} is resolved to the host's MAC")
        guest.gateway_mac = guest.bridge_mac = mac
        ear = Ear(7001)
        guest.send(0x0800, udp4(guest.ip, host, 4000, 7001, b"four"), dst=mac)
        check(ear.until(b"four") == [], f"a guest reaches the host at {host}")
        guest.send(0x86DD, udp6(global6(guest, prefix), host6, 4000, 7001, b"six"), dst=mac)
        check(ear.until(b"six") == [], f"... and at {host6}")
        to = (global6(guest, prefix), 5000)
        ear.sock.sendto(b"hello", to)
        check(guest.wait_for(lambda k, p: k == 0x86DD and p[6] == 17 and p[48:] == b"hello"),
              "the host reaches the guest over IPv6")
        ear.sock.sendto(b"hello", ("::ffff:" + guest.ip, 5000))

        def match(kind, p, guest=guest):
            if kind == 0x0806 and p[6:8] == b"\0\1":
                guest.answer_arp(p)
            return kind == 0x0800 and p[9] == 17 and p[28:] == b"hello" and \
                str(ipaddress.ip_address(p[12:16]))

        check(guest.wait_for(match) == host, "... and over IPv4, from its address there")
        ear.close()


def nothing_else(web, lab, out):
    """To the host's MAC, addressed as the guest likes."""
    ear = Ear(7002)
    mine6 = global6(lab, TWO6)
    tries = [("another address of the host's", ELSEWHERE, ELSEWHERE6),
             ("the host's address on another network", HOST1, HOST1_6),
             ("the host's loopback", "127.0.0.1", "::1"),
             ("everybody", "255.255.255.255", "ff02::1"),
             ("everybody of the subnet", "192.168.65.255", "ff02::fb"),
             ("the host's link-local address", "224.0.0.251", str(eui64("fe80::", MAC2)))]
    for what, four, six in tries:
        for dst in (MAC2, "ff:ff:ff:ff:ff:ff"):
            lab.send(0x0800, udp4(lab.ip, four, 4000, 7002, what.encode()), dst=dst)
            lab.send(0x86DD, udp6(mine6, six, 4000, 7002, what.encode()), dst=dst)
        lab.send(0x86DD, udp6(lab.link_local, six, 4000, 7002, what.encode()), dst=MAC2)
        lab.send(0x0800, udp4(lab.ip, HOST2, 4000, 7002, b"end"), dst=MAC2)
        check(ear.until(b"end") == [], f"not from a guest: {what}")
    for guest, mac, mine in ((lab, MAC2, mine6), (web, MAC1, global6(web, ONE6))):
        host = HOST2 if guest is lab else HOST1
        other = (WEB, "192.168.64.2", global6(web, ONE6)) if guest is lab else \
            (LAB, "192.168.65.2", mine6)
        for four, six in ((OUTSIDE, OUTSIDE6), other[1:]):
            guest.send(0x0800, udp4(guest.ip, four, 4000, 7002, b"through"), dst=mac)
            guest.send(0x86DD, udp6(mine, six, 4000, 7002, b"through"), dst=mac)
        guest.send(0x0800, udp4(guest.ip, host, 4000, 7002, b"end"), dst=mac)
        check(ear.until(b"end") == [] and not on_wire(out, b"through"),
              "nothing goes through the host, which forwards for others")
    for guest in (web, lab):
        check(not any(b"through" in f for f in guest.frames(0.05)), "... nor to another network")
    ear.close()


def on_wire(out, mark):
    found = False
    with contextlib.suppress(BlockingIOError):
        while True:
            found |= mark in out.recv(2000)
    return found


def from_outside(web):
    """Somebody on the host's LAN who knows the way."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind(("wire", 0))
    mac = mac_bytes(re.search(r"ether (\S+)", sh("ip link show out0")).group(1))
    stranger = mac + mac_bytes("02:00:00:00:00:01")
    ear = Ear(7008)
    wire.send(stranger + b"\x08\0" + udp4(OUTSIDE, web.ip, 4000, 5000, b"inward"))
    wire.send(stranger + b"\x86\xdd" + udp6(OUTSIDE6, global6(web, ONE6), 4000, 5000, b"inward"))
    wire.send(stranger + b"\x08\0" + udp4(OUTSIDE, ELSEWHERE, 4000, 7008, b"end"))
    check(ear.until(b"end") == [], "(what comes from outside is heard)")
    ear.sock.sendto(b"behind", ("::ffff:" + web.ip, 5000))
    seen = []

    def match(kind, p):
        seen.append(p)
        if kind == 0x0806 and p[6:8] == b"\0\1":
            web.answer_arp(p)
        return p[-6:] == b"behind"

    check(web.wait_for(match) and not any(b"inward" in p for p in seen),
          "nothing comes to a guest through the host")
    wire.close()
    ear.close()


def deceiving(web, db):
    """A guest that would be the host."""
    ear = Ear(7003)
    mine6 = global6(web, ONE6)
    web.arp(HOST1, sender_ip=HOST1)
    advertise(web, web.link_local, HOST1_6)
    advertise(web, web.link_local, str(eui64("fe80::", MAC1)))
    advertise(web, HOST1_6, HOST1_6)
    web.send(0x0800, udp4(HOST1, db.ip, 4000, 7003, b"false"), dst=DB)
    web.send(0x86DD, udp6(HOST1_6, global6(db, ONE6), 4000, 7003, b"false"), dst=DB)
    web.send(0x0800, udp4(web.ip, db.ip, 4000, 7003, b"false"), dst=DB, src=MAC1)
    web.send(0x86DD, udp6(mine6, global6(db, ONE6), 4000, 7003, b"true"), dst=DB)
    seen = []
    db.wait_for(lambda k, p: seen.append((k, p)) or p[-4:] == b"true")
    # The host itself may ask for a guest at any time.
    wrong = [p for k, p in seen if b"false" in p or p[40:41] == b"\x88" or
             (k == 0x0806 and p[14:18] == ipaddress.ip_address(HOST1).packed and
              p[8:14] != mac_bytes(MAC1))]
    check(seen and not wrong, "no guest is the host: not its MAC, IPv4 or IPv6 address", wrong)
    ear.close()


def refusing(b):
    for what, call in (("its address", lambda: b.open_tap("one", "x", HOST1, "52:54:00:00:00:99")),
                       ("its MAC", lambda: b.open_tap("one", "x", "192.168.64.9", MAC1)),
                       ("its name", lambda: b.open_tap("one", "x", "192.168.64.9",
                                                       "52:54:00:00:00:99", "host"))):
        try:
            call()
            check(False, f"no VM gets {what}")
        except Refused as e:
            check(True, f"no VM gets {what}: {e.args[1]}")
    try:
        b.reserve("one", ("52:54:00:00:00:99", HOST1, "x"))
        check(False, "no reservation gets its address")
    except Refused as e:
        check(True, f"no reservation gets its address: {e.args[1]}")


def names(web):
    for name in ("host.vmnet.internal", "host.one.vmnet.internal"):
        check(web.ask(name) == (0, [HOST1]), f"{name} is the host", web.ask(name))
        six = web.ask(name, 28)
        check(six == (0, [str(ipaddress.ip_address(HOST1_6))]), "... over IPv6, too", six)


def the_host_asks(web):
    """As the host's resolver does when it is told to."""
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.settimeout(smoke.PATIENCE)
    asker.sendto(smoke.dns_question("web.one.vmnet.internal", 1), ("192.168.64.1", 53))
    check(smoke.dns_answers(asker.recv(512)) == (0, [web.ip]),
          "the host looks up a guest's name at the gateway")
    asker.close()


def dhcp_stays_inside(web):
    """A DHCP server on the host that takes raw packets from every link, as they do."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.bind(("vmb0", 0))
    raw.setblocking(False)
    check(web.lease()[1] == "192.168.64.2", "a guest has its lease")
    web.send(0x86DD, udp6(web.link_local, "ff02::1:2", 546, 547, b"solicit"),
             dst="33:33:00:01:00:02")
    web.send(0x0800, udp4(web.ip, HOST1, 4000, 7004, b"last"), dst=MAC1)
    ear_end, heard = time.monotonic() + smoke.PATIENCE, []
    while time.monotonic() < ear_end and not any(b"last" in f for f in heard):
        with contextlib.suppress(BlockingIOError):
            heard.append(raw.recv(2000))
    asked = [f for f in heard if b"solicit" in f or
             (f[12:14] == b"\x08\0" and f[23] == 17 and f[36:38] == b"\0\x43")]
    check(heard and not asked, "... and no server of the host's was asked", asked)
    raw.close()


def isolated_and_lenient(netd, b):
    b.build("apart", "192.168.66.0/24", "fd00:66::", flags=NAT44 | DHCP | RA | ISOLATED)
    b.build("open", "192.168.67.0/24", "fd00:67::", spoof=2)
    a = b.open_tap("apart", "a", "192.168.66.2", "52:54:00:00:01:01")
    o = b.open_tap("open", "o", "192.168.67.2", "52:54:00:00:01:02")
    ear = Ear(7005)
    a.send(0x0800, udp4(a.ip, "192.168.66.254", 4000, 7005, b"apart"), dst=a.resolve("192.168.66.254"))
    check(ear.until(b"apart") == [], "an isolated guest reaches the host")
    mac = o.resolve("192.168.67.254")
    for source in ("192.168.64.2", ELSEWHERE, "203.0.113.9"):
        o.send(0x0800, udp4(source, "192.168.67.254", 4000, 7005, b"false"), dst=mac)
    for source in (global6(o, ONE6), "2001:db8:9::1"):
        o.send(0x86DD, udp6(source, "fd00:67::ffff:ffff:ffff:fffe", 4000, 7005, b"false"), dst=mac)
    sh("sysctl -qw net.ipv6.conf.vmb3.accept_ra=2")  # even then
    ra = b"\x86\0\0\0\x40\0\x07\x08" + bytes(8) + b"\x03\x04\x40\xc0" + b"\0\1\0\0" * 3 + \
        ipaddress.ip_address("2001:db8:bad::").packed
    o.send(0x86DD, ip6_packet(o.link_local, "ff02::1", 58, ra), dst="33:33:00:00:00:01")
    o.send(0x0800, udp4(o.ip, "192.168.67.254", 4000, 7005, b"true"), dst=mac)
    check(ear.until(b"true") == [], "without anti_spoofing nobody is answered to another network")
    routes = sh("ip -6 route; ip -6 addr show vmb3")
    check("bad" not in routes and "default via fe80" not in routes,
          "... and the host believes no guest that it is a router", routes)
    for guest in (a, o):
        guest.close()
    ear.close()
    for name in ("apart", "open"):
        for _ in range(400):
            with contextlib.suppress(Refused):
                b.remove(name)
                break
            time.sleep(0.05)
    check("vmb2" not in sh("nft list ruleset; ip link"), "a removed network leaves nothing")


def mending(netd, web):
    rules = sh("nft list table inet vmnet_broker")
    sh("nft flush ruleset")
    eventually("after `nft flush ruleset` our table is there again",
               lambda: sh("nft list table inet vmnet_broker") == rules,
               detail=lambda: sh("nft list ruleset"))
    sh("nft add rule inet vmnet_broker input accept")
    eventually("... and a rule that somebody adds to it is gone",
               lambda: sh("nft list table inet vmnet_broker") == rules)
    sh("nft add table inet others")
    sh(f"ip addr del {HOST1}/24 dev vmb0; ip addr del {HOST1_6}/64 dev vmb0")
    eventually("addresses that somebody takes away are back",
               lambda: HOST1 in sh("ip addr show vmb0") and
               "fd00:64::ffff:ffff:ffff:fffe" in sh("ip addr show vmb0"))
    sh("ip link set vmb0 down")
    eventually("a link that somebody takes down is up, with all its addresses",
               lambda: "fd00:64::ffff" in sh("ip addr show vmb0 up"))
    sh("ip link del vmb0")
    eventually("a link that somebody deletes is made again",
               lambda: HOST1 in sh("ip addr show vmb0"), detail=netd.said)
    ear = Ear(7006)
    web.send(0x0800, udp4(web.ip, HOST1, 4000, 7006, b"again"), dst=MAC1)
    eventually("... and guests reach the host by it", lambda: heard_again(web, ear))
    ear.close()
    for words in ("nftables table inet vmnet_broker: put back", "host's link vmb0 (up, addresses",
                  "deleted or renamed the host's link vmb0", "the host is on it again"):
        eventually(f"it is said: {words}", lambda words=words: words in netd.said())


def heard_again(web, ear):
    web.send(0x0800, udp4(web.ip, HOST1, 4000, ear.port, b"again"), dst=MAC1)
    ear.sock.settimeout(0.2)
    try:
        return ear.sock.recv(100) == b"again"
    except socket.timeout:
        return False


def dying(netd, web):
    """Everything of ours is killed but the anchor, and another netd comes."""
    index = sh("cat /sys/class/net/vmb0/ifindex || ip -o link show vmb0").split(":")[0]
    netd.kill("vmnet-hostside")
    eventually("without hostside netd makes way for another one",
               lambda: netd.process.poll() is not None)
    netd.start()
    b = Broker(netd)
    check(sorted(b.networks) == ["one", "two"] and len(b.taps) == 3, "which has all networks")
    check(index in sh("ip -o link show vmb0"), "... and the same links", sh("ip -o link"))
    ear = Ear(7007)
    eventually("... by which a guest still reaches the host", lambda: heard_again(web, ear))
    ear.close()
    b.close()
    netd.kill("vmnet-netd", "vmnet-hostside", "vmnet-spawner", "dnsmasq")
    sh("ip link add vmb77 type veth peer name vmb77p; ip link add vmb78 type veth peer name vmb78p;"
       "ip link set vmb77 address 02:76:68:00:00:01")
    netd.start()
    b = Broker(netd)
    links = sh("ip -br link")
    check("vmb0@" in links and "vmb1@" in links and "vmb77@" not in links,
          "a link of ours that no network has is swept", links)
    check("vmb78@" in links, "... and one that is called so by somebody else is not", links)
    sh("ip link del vmb78")
    return b


def stranding(netd):
    """Everything is killed, and VMs keep a namespace alive that nobody can enter any more."""
    netd.kill()
    links = sh("ip -br link")
    check("vmb0@" in links, "(the host's links outlive us there)", links)
    netd.start()
    b = Broker(netd)
    links = sh("ip -br link; ip route; nft list tables")
    check("vmb" not in links and "192.168.64" not in links and "vmnet_broker" not in links,
          "the host leaves a network that is lost with its namespace", links)
    b.build("anew", "192.168.80.0/24", "fd00:80::")
    check("192.168.80.254" in sh("ip addr"), "... and is on those that are made then")
    b.remove("anew")
    return b


def somebody_elses(b):
    sh("ip link add vmb2 type bridge")
    try:
        b.build("three", "192.168.70.0/24", "fd00:70::")
        check(False, "a link of somebody else's is in the way")
    except Refused as e:
        check("not ours" in e.args[1], f"refused: {e.args[1]}")
    check("vmb2" in sh("ip link"), "... and it stays")
    sh("ip link del vmb2")
    sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1")
    b.build("three", "192.168.70.0/24", "fd00:70::")
    t = b.open_tap("three", "t", "192.168.70.2", "52:54:00:00:02:01")
    check(t.ask("host.vmnet.internal") == (0, ["192.168.70.254"]) and
          t.ask("host.vmnet.internal", 28) == (0, []) and "inet6" not in sh("ip addr show vmb2"),
          "a host without IPv6 is on the network without it", sh("ip addr show vmb2"))
    b.stats()
    check(b.host["three"] == 1, "... of which the broker hears", b.host)
    sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=0")
    t.close()


def leave(b):
    for _ in range(400):
        with contextlib.suppress(Refused):
            b.call(LEAVE)
            return True
        time.sleep(0.05)
    return False


def story(netd, out, before):
    b = Broker(netd)
    on_it(netd, b)
    web = b.open_tap("one", "web", "192.168.64.2", WEB, "web")
    db = b.open_tap("one", "db", "192.168.64.3", DB, "db")
    lab = b.open_tap("two", "lab", "192.168.65.2", LAB, "lab")
    reaching(web, lab)
    sh(f"ip route get {OUTSIDE}")
    probe = Ear(7010)
    probe.sock.sendto(b"through", ("::ffff:" + OUTSIDE, 9))
    check(on_wire_soon(out, b"through"), "(what does leave is seen)")
    nothing_else(web, lab, out)
    from_outside(web)
    deceiving(web, db)
    refusing(b)
    names(web)
    the_host_asks(web)
    dhcp_stays_inside(web)
    isolated_and_lenient(netd, b)
    mending(netd, web)
    b.close()
    b = dying(netd, web)
    somebody_elses(b)
    b.close()
    b = stranding(netd)
    for guest in (web, db, lab):
        guest.close()
    check(leave(b), "netd leaves")
    netd.process.wait(smoke.PATIENCE)
    check(unchanged(before), "and the host is as it was", difference(before, snapshot()))
    probe.close()


def on_wire_soon(out, mark):
    end = time.monotonic() + smoke.PATIENCE
    while time.monotonic() < end:
        if on_wire(out, mark):
            return True
        time.sleep(0.02)
    return False


def difference(before, after):
    old, new = before.splitlines(), after.splitlines()
    return [f"-{line}" for line in old if line not in new] + \
        [f"+{line}" for line in new if line not in old]


def killed_at_random(netd, before, seed):
    """All of it, at any moment of a build, and nobody has a TAP: one restart clears."""
    chance = random.Random(seed)
    for _ in range(8):
        netd.start()
        b = Broker(netd)
        b.build("one", ONE, ONE6)
        net = ipaddress.ip_network(TWO)
        body = smoke.NETWORK.pack(b"two", b"id-two", 0, 0, NAT44 | DHCP | RA, 1500,
                                  int(net.network_address), net.prefixlen,
                                  ipaddress.ip_address(TWO6).packed, 64, 30, 0, 0, b"", b"", b"")
        b.send(smoke.BUILD, body)
        if chance.random() < 0.3:
            b.send(smoke.REMOVE, b"one".ljust(64, b"\0"))
        time.sleep(chance.random() * 0.03)
        netd.kill()
        netd.start()
        b = Broker(netd)
        if not (leave(b) and netd.process.wait(smoke.PATIENCE) == 0):
            check(False, "after everything was killed, the next netd leaves", f"seed {seed}")
        if not unchanged(before):
            check(False, "killed at any moment, the host is as it was", f"seed {seed}: " +
                  str(difference(before, snapshot())))
            return
    check(True, f"killed at any moment (seed {seed}), the host is as it was after one restart")


def unchanged(before):
    end = time.monotonic() + 15
    while snapshot() != before:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def main():
    if os.geteuid() != 0:
        print("netd_host: needs root (namespaces and a private /dev/net/tun)", file=sys.stderr)
        return 77
    place = private_namespaces()
    program = place + "/vmnet-netd"
    shutil.copy(sys.argv[1], program)
    os.chmod(program, 0o755)
    make_users(place)
    make_host()
    before = snapshot()
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    out.bind(("out0", 0))
    out.setblocking(False)
    netd = SystemNetd(program, place, UID)
    try:
        netd.start()
        story(netd, out, before)
        check(not re.search("runtime error:|Sanitizer:", netd.said()), "no sanitizer complains",
              netd.said())
        killed_at_random(netd, before, int(os.environ.get("SEED", time.time())))
    except Exception:
        print(netd.said(), file=sys.stderr)
        raise
    finally:
        with contextlib.suppress(Exception):
            netd.kill()
    subprocess.run(["umount", "-l", "/dev/net/tun", "/etc/passwd", "/etc/group", place], timeout=10)
    os.rmdir(place)
    print(f"{smoke.failures} failures")
    return min(smoke.failures, 76)


if __name__ == "__main__":
    sys.exit(main())
