#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the keys of a definition mean on the wire, with vmnet-netd spoken to directly.

    netd_keys.py PATH/TO/vmnet-netd [UID ...]

As netd_smoke.py, whose namespaces, broker and guests it uses. Each key is set to something
else than its default, and a guest sees the difference.
"""
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import netd_smoke as smoke  # noqa: E402 - beside this file, and nothing to be left there
from netd_smoke import Broker, DHCP, DNS, NAT44, NAT66, Netd, RA, check, refused  # noqa: E402

ISOLATED, HOST, LENIENT = 32, 1, 2
A, B, NESTED, OTHER = ("52:54:00:00:07:%02x" % i for i in (1, 2, 3, 4))


def guest(netd, b, network, ident, ip, mac, name=""):
    g = b.open_tap(network, ident, ip, mac, name)
    smoke.learn_bridge(netd, g)
    return g


def option(got, number):
    return got[2].get(number) if got else None


def addresses(data):
    return [str(ipaddress.ip_address(data[i : i + 4])) for i in range(0, len(data or b""), 4)]


def ask(g, gateway, name, kind=1):
    answer = g.udp(gateway, 53, smoke.dns_question(name, kind))
    return smoke.dns_answers(answer) if answer else "no answer"


# ---- the stories ----------------------------------------------------------------------------


def refusals(b):
    refused(lambda: b.build("k", "192.168.70.0/24", uplink=2), 95, "needs the system instance")


def ways_out(netd, b):
    """Seven interfaces of the host's at most, whether they are there or not."""
    for i in range(7):
        b.build(f"k{i}", f"192.168.{100 + i}.0/24", flags=NAT44, external=f"eth{i}")
    refused(lambda: b.build("k7", "192.168.107.0/24", flags=NAT44, external="eth7"), 122,
            "by 7 interfaces of the host's already")
    b.build("again", "192.168.108.0/24", flags=NAT44, external="eth6")
    links = netd.inside("ip", "-o", "link")
    check("uplink7" in links and "uplink:" not in links, "each has an uplink of its own", links)
    rules = netd.inside("ip", "rule")
    check("iif vb7 lookup 207" in rules and rules.count("iif vb") == 8, "... and its networks' routes",
          rules)
    state = uplink_state(b, "eth6")
    check(state == "failed: the host has no interface 'eth6'", "... or says why not", str(state))
    for name in [f"k{i}" for i in range(7)] + ["again"]:
        b.remove(name)
    left = netd.inside("ip", "-o", "link") + netd.inside("ip", "rule") + netd.inside(
        "ip", "-6", "rule")
    check("uplink" not in left and "iif" not in left, "nothing is left of them", left)


def uplink_state(b, interface):
    """The one that it settles at, which is not "checking"; None: it never does."""
    until = time.monotonic() + smoke.PATIENCE
    while time.monotonic() < until:
        data = b.event(smoke.UPLINK, 1)
        if not data:
            continue
        _, about, _, state, _ = map(smoke.text, smoke.UPLINK_NEWS.unpack(data))
        if about == interface and state != "checking":
            return state
    return None


def a_lab(netd, b):
    """Everything that DHCP and advertisements tell: MTU, resolvers, domain; a wide subnet."""
    b.build("lab", "10.0.0.0/8", "fd00:70::", flags=NAT44 | NAT66 | DHCP | RA, mtu=1400,
            dns=("203.0.113.53", "2001:db8::53", "203.0.113.54"), domain="lab.example")
    web = guest(netd, b, "lab", "web", "10.200.0.2", A, "web")
    got = web.lease()
    check(got and got[1] == "10.200.0.2" and addresses(option(got, 1)) == ["255.0.0.0"],
          "an address anywhere in a /8", str(got))
    check(option(got, 26) == struct.pack("!H", 1400), "DHCP: the definition's MTU", str(got))
    check(addresses(option(got, 6)) == ["203.0.113.53", "203.0.113.54"],
          "DHCP: dns_servers instead of the gateway", str(got))
    check(option(got, 15) == b"lab.example", "DHCP: the domain", str(got))
    check(b"\x03lab\x07example" in (option(got, 119) or b"") and
          b"\x05vmnet\x08internal" in (option(got, 119) or b""), "DHCP: both are searched", str(got))
    ra = web.solicit_router()
    check(ra and ra[5][4:] == struct.pack("!I", 1400), "RA: the MTU", str(ra))
    rdnss = (ra or {}).get(25, b"")
    check(rdnss[8:] == ipaddress.ip_address("2001:db8::53").packed, "RA: dns_servers", str(ra))
    check(b"\x03lab\x07example" in (ra or {}).get(31, b""), "RA: the domain", str(ra))
    check(ask(web, "10.0.0.1", "web.lab.example") == (0, ["10.200.0.2"]), "a name in the domain")
    check(ask(web, "10.0.0.1", "web.lab.vmnet.internal") == (0, ["10.200.0.2"]),
          "... and in the network's own")
    check(ask(web, "10.0.0.1", "www.example.test")[1] == [], "without DNS proxy nothing outside")
    mtus = [netd.inside("ip", "-o", "link", "show", "dev", link) for link in ("vb0", web.tap)]
    check(all(" mtu 1400 " in mtu for mtu in mtus), "bridge and TAP have the MTU", str(mtus))
    return web


def only_ipv4_servers(netd, b):
    b.build("four", "172.16.5.0/28", "fd00:71::", flags=DHCP | RA,
            dns=("203.0.113.53",), mtu=65521)
    g = guest(netd, b, "four", "g", "172.16.5.2", B)
    got = g.lease()
    check(addresses(option(got, 1)) == ["255.255.255.240"], "a /28", str(got))
    check(option(got, 26) == struct.pack("!H", 65521), "the largest MTU", str(got))
    ra = g.solicit_router()
    check(ra and 25 not in ra, "no RDNSS of ours beside servers that are all IPv4", str(ra))
    return g


def a_quiet_one(netd, b):
    """No DHCP, no advertisements: addresses by hand, and everything else works."""
    b.build("quiet", "192.168.90.8/29", "fd00:72::", flags=0, mode=HOST)
    g = guest(netd, b, "quiet", "g", "192.168.90.10", A, "box")
    check(g.dhcp(1, seconds=1) is None, "dhcp off: nobody answers")
    check(g.solicit_router(1.5) is None, "router_advertisement off: nobody answers")
    check(g.resolve("192.168.90.9") == g.bridge_mac, "the gateway is there")
    got = soon(lambda: ask(g, "192.168.90.9", "box.quiet.vmnet.internal"), (0, ["192.168.90.10"]))
    check(got == (0, ["192.168.90.10"]), "... and answers for names", str(got))
    src = str(smoke.eui64("fd00:72::", A))
    echo = smoke.ip6_packet(src, "fd00:72::1", 58, b"\x80\0\0\0\0\7\0\1ping")
    g.send(0x86DD, echo, dst=g.bridge_mac)
    check(g.wait_for(lambda k, p: k == 0x86DD and p[6] == 58 and p[40] == 129), "so does IPv6's")
    g.arp("192.168.90.9", sender_ip="192.168.90.9")
    before = b.stats()[g.tap]["dropped"]
    g.send(0x0800, smoke.udp4("192.168.90.9", "192.168.90.15", 9, 9, b"x"), dst=g.bridge_mac)
    check(b.stats()[g.tap]["dropped"] == before + 1, "an address by hand is the assigned one only")
    return g


def told_unreachable(g, network, gateway, src, dst, prefix):
    """The lab beside it keeps the uplink's link there."""
    g.resolve(gateway)  # so that it is known where the answer goes
    g.send(0x0800, smoke.udp4(src, dst, 4000, 9, b"out"), dst=g.bridge_mac)
    got = g.wait_for(lambda k, p: k == 0x0800 and p[9] == 1 and p[20] == 3)
    check(got, f"{network}: without nat44 a guest is told at once")
    src6 = str(smoke.eui64(prefix, g.mac))
    g.send(0x86DD, smoke.ip6_packet(src6, "2001:db8:ff::80", 17,
                                    struct.pack("!HHHH", 4000, 9, 11, 0) + b"out", 6),
           dst=g.bridge_mac)
    got = g.wait_for(lambda k, p: k == 0x86DD and p[6] == 58 and p[40] == 1)
    check(got, f"{network}: without nat66, too")


class NameServer:
    """Of the host's: whatever is asked has one address."""

    def __init__(self, where, address):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((where, 53))
        self.address = ipaddress.ip_address(address).packed
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            question, whom = self.sock.recvfrom(4096)
            answer = question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:].split(b"\0\0\x29")[0]
            answer += b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + self.address
            self.sock.sendto(answer, whom)


def own_servers(netd, b):
    """With DNS proxy: VMs ask the gateway, and that the network's servers; here ones of the
    host's loopback, where the gateway itself cannot reach."""
    NameServer("127.0.0.99", "203.0.113.99")
    NameServer("127.0.0.98", "203.0.113.98")
    b.build("ask", "192.168.95.0/24", flags=DHCP | DNS, mode=HOST, dns=("127.0.0.99",))
    b.build("ask2", "192.168.96.0/24", flags=DHCP | DNS, mode=HOST, dns=("127.0.0.98",))
    one = guest(netd, b, "ask", "one", "192.168.95.2", A, "one")
    two = guest(netd, b, "ask2", "two", "192.168.96.2", A, "two")
    got = one.lease()
    check(addresses(option(got, 6)) == ["192.168.95.1"], "dns_proxy on: VMs ask the gateway", str(got))
    for g, gw, want in ((one, "192.168.95.1", "203.0.113.99"), (two, "192.168.96.1", "203.0.113.98")):
        got = soon(lambda: ask(g, gw, "www.example.test"), (0, [want]))
        check(got == (0, [want]), f"... which asks the network's own servers: {want}", str(got))
    check(ask(one, "192.168.95.1", "one.ask.vmnet.internal") == (0, ["192.168.95.2"]),
          "... but not for VMs")
    find = lambda: [p for p in os.listdir("/proc") if p.isdigit() and name_of(p) == "vmnet-relay"]
    check(soon(lambda: len(find()), 2) == 2, "one relay each", str(find()))
    relays = find()
    two.close()
    b.event(smoke.TAP_GONE)
    b.remove("ask2")
    left = soon(lambda: len([p for p in relays if name_of(p) == "vmnet-relay"]), 1)
    check(left == 1, "... which goes with its network", str(left))
    return one


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as f, open(f"/proc/{pid}/ns/net"):
            return f.read().strip() if os.readlink(f"/proc/{pid}/ns/net") == os.readlink(
                "/proc/self/ns/net") else ""
    except OSError:
        return ""


def isolated(netd, b):
    b.build("alone", "192.168.91.0/24", flags=DHCP | ISOLATED)
    one = guest(netd, b, "alone", "one", "192.168.91.2", A)
    two = guest(netd, b, "alone", "two", "192.168.91.3", B)
    check(one.resolve("192.168.91.1") and two.resolve("192.168.91.1"), "isolation: the gateway ...")
    one.arp("192.168.91.3")
    check(two.wait_for(lambda k, p: k == 0x806 and p[24:28] == bytes([192, 168, 91, 3]), 0.4) is None,
          "... and nobody else")
    one.send(0x0800, smoke.udp4(one.ip, "192.168.91.255", 9, 9, b"hello-all"))
    check(smoke.hears(two, b"hello-all", 0.3) is None, "... not even by broadcast")
    return one, two


def lease_of(g, mac, patience=smoke.PATIENCE):
    """What a nested guest with this MAC gets: (type, address, options) or None."""
    return g.lease(patience, chaddr=mac)


def soon(look, want):
    """What it is in the end; dnsmasq hears of a change in a moment."""
    end = time.monotonic() + smoke.PATIENCE
    while (got := look()) != want and time.monotonic() < end:
        time.sleep(0.1)
    return got


def reservations(netd, b):
    b.build("res", "192.168.92.0/24", flags=NAT44 | DHCP, spoof=LENIENT, domain="lab")
    outer = guest(netd, b, "res", "outer", "192.168.92.2", A, "outer")
    gw = "192.168.92.1"
    check(lease_of(outer, NESTED, 3) is None, "a MAC that nobody knows gets no address")
    b.reserve("res", (NESTED, "192.168.92.50", "inner"))
    got = lease_of(outer, NESTED)
    check(got and got[0] == 5 and got[1] == "192.168.92.50",
          "a nested guest with a reserved MAC gets its address", str(got))
    for name in ("inner", "inner.lab", "inner.res.vmnet.internal"):
        check(ask(outer, gw, name) == (0, ["192.168.92.50"]), f"... and its name: {name}")
    refused(lambda: b.open_tap("res", "x", "192.168.92.50", B), 98, "reserved for another MAC")
    own = guest(netd, b, "res", "own", "192.168.92.50", NESTED, "inner")
    got = own.lease()
    check(got and got[1] == "192.168.92.50", "the MAC on a TAP has it, too", str(got))
    own.close()
    b.event(smoke.TAP_GONE)

    b.reserve("res", (OTHER, "192.168.92.50", "heir"), (NESTED, "192.168.92.51", "inner"))
    got = lease_of(outer, OTHER)
    check(got and got[1] == "192.168.92.50", "another one gets an address that was leased", str(got))
    got = soon(lambda: ask(outer, gw, "heir"), (0, ["192.168.92.50"]))
    check(got == (0, ["192.168.92.50"]), "... and the name changes", str(got))
    got = lease_of(outer, NESTED)
    check(got and got[1] == "192.168.92.51", "who had it gets the new one", str(got))

    b.reserve("res", *[("52:54:00:00:08:%02x" % i, f"192.168.92.{100 + i}", f"n{i}")
                       for i in range(40)])
    got = lease_of(outer, "52:54:00:00:08:27")
    check(got and got[1] == "192.168.92.139", "40 reservations", str(got))
    check(soon(lambda: ask(outer, gw, "heir")[1], []) == [], "... in the place of the others")
    refused(lambda: b.reserve("res", (B, "192.168.92.1", "")), 22, "not for a VM")
    refused(lambda: b.reserve("res", (B, "192.168.93.7", "")), 22, "not in the subnet")
    refused(lambda: b.reserve("res", (B, "192.168.92.7", "gateway")), 22, "reserved")
    refused(lambda: b.reserve("res", (B, "192.168.92.7", ""), (B, "192.168.92.8", "")), 17,
            "same MAC")
    refused(lambda: b.reserve("res", (B, "192.168.92.7", ""), (NESTED, "192.168.92.7", "")), 17,
            "same address")
    refused(lambda: b.reserve("none"), 2, "does not exist")
    check(ask(outer, gw, "n39") == (0, ["192.168.92.139"]), "a bad list changes nothing")
    return outer


def survives(netd, b, outer, asker):
    netd.process.kill()
    netd.process.wait()
    b.close()
    netd.start()
    b = Broker(netd)
    check("res" in b.networks, "the next netd adopts the networks", str(b.networks))
    got = soon(lambda: ask(asker, "192.168.95.1", "new.example.test"), (0, ["203.0.113.99"]))
    check(got == (0, ["203.0.113.99"]), "... with their DNS servers", str(got))
    os.kill(child_of(netd, "res"), 9)  # the next one reads what the next netd wrote
    got = soon(lambda: (lease_of(outer, "52:54:00:00:08:01") or ("", ""))[1], "192.168.92.101")
    check(got == "192.168.92.101", "... with their reservations", str(got))
    b.reserve("res")
    check(soon(lambda: ask(outer, "192.168.92.1", "n2")[1], []) == [], "an empty list clears them")
    return b


def child_of(netd, name):
    for entry in os.listdir(netd.dir + "/state/netd"):
        conf = f"{netd.dir}/state/netd/{entry}/dnsmasq.conf"
        if os.path.exists(conf) and f"/{name}.vmnet.internal" in open(conf).read().replace(
                "search,", "/").replace(",", "/"):
            return smoke.child_of(netd, entry)
    raise LookupError(name)


def story(program, place, uid):
    print(f"---- netd as uid {uid}", flush=True)
    netd = Netd(program, place, uid)
    try:
        netd.start()
        b = Broker(netd)
        refusals(b)
        ways_out(netd, b)
        guests = [a_lab(netd, b), only_ipv4_servers(netd, b), a_quiet_one(netd, b)]
        told_unreachable(guests[1], "four", "172.16.5.1", "172.16.5.2", "203.0.113.80", "fd00:71::")
        told_unreachable(guests[2], "quiet", "192.168.90.9", "192.168.90.10", "203.0.113.80",
                         "fd00:72::")
        guests += isolated(netd, b)
        guests.append(own_servers(netd, b))
        outer = reservations(netd, b)
        b = survives(netd, b, outer, guests[-1])
        for g in guests + [outer]:
            g.close()
        for _ in guests + [outer]:
            b.event(smoke.TAP_GONE)
        b.call(smoke.LEAVE)
        check(netd.wait() == 0 and not smoke.left_of(netd), "everything goes")
    except Exception as e:  # a broken step ends the story, not the report
        import traceback
        traceback.print_exc()
        check(False, "the story goes to its end", repr(e))
    finally:
        if netd.process and netd.process.poll() is None:
            netd.process.kill()
            netd.process.wait()
        smoke.end_children(netd)
    if smoke.failures:
        print("---- its log\n" + open(netd.log).read(), flush=True)


def main():
    if os.geteuid() != 0:
        print("netd_keys: needs root (namespaces and a private /dev/net/tun)", file=sys.stderr)
        return 77
    place = smoke.private_namespaces()
    program = place + "/vmnet-netd"
    shutil.copy(sys.argv[1], program)
    os.chmod(program, 0o755)
    for uid in [int(u) for u in sys.argv[2:]] or [4000]:
        story(program, place, uid)
    subprocess.run(["umount", "-l", "/dev/net/tun", place], timeout=10)
    os.rmdir(place)
    print(f"{smoke.failures} failures")
    return min(smoke.failures, 76)


if __name__ == "__main__":
    sys.exit(main())
