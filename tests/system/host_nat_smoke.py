#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host_nat_smoke.py DRIVER - the host's side of the kernel uplink, on hosts of all kinds.

    inside (a namespace) --- cable --- host --- eth0 --- outside (a namespace)
                                            --- tun0 --- (nobody)

Each story changes something of the host's as Docker, ufw or an administrator would, and says
whether the probe passes, who is named where it does not, and what a packet that is none of
ours may do. Everything is a namespace below a process namespace of our own. Needs root.
"""
import difflib
import os
import re
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
from netd_smoke import eventually  # noqa: E402

CABLE = ("vmbup", None), ("uplink8", "inside")
failures = []


def sh(line, check=True, inside=None):
    words = (["ip", "netns", "exec", inside] if inside else []) + line.split()
    return subprocess.run(words, check=check, timeout=20, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def nft(text):
    subprocess.run(["nft", "-f", "-"], input=text, check=True, timeout=20, text=True)


def knob(path, value=None):
    with open("/proc/sys/net/" + path, "w" if value is not None else "r", encoding="ascii") as f:
        if value is None:
            return f.read().strip()
        f.write(value)
        return value


def python(inside, program):
    return subprocess.run(["ip", "netns", "exec", inside, sys.executable, "-c", program],
                          check=True, timeout=40, stdout=subprocess.PIPE, text=True).stdout.strip()


# ---- the world ----------------------------------------------------------------------

def enter_world(driver):
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                          "--mount-proc", "--propagation", "private", sys.executable,
                          os.path.abspath(__file__), driver, "--inside",
                          os.readlink("/proc/self/ns/net")])


def make_world(outer):
    assert os.readlink("/proc/self/ns/net") != outer, "still in the machine's own network"
    sh("mount -t tmpfs none /run")
    for which in "all", "default":  # or addresses are tentative at first, and not later
        knob(f"ipv6/conf/{which}/accept_dad", "0")
    sh("ip link set lo up")
    for name in "inside", "outside":
        sh(f"ip netns add {name}")
        sh("ip link set lo up", inside=name)
    sh("ip link add eth0 type veth peer name out0 netns outside")
    sh("ip addr add 198.51.100.2/24 dev eth0")
    sh("ip addr add 2001:db8:1::2/64 dev eth0 nodad")
    sh("ip link set eth0 up")
    sh("ip addr add 198.51.100.1/24 dev out0", inside="outside")
    sh("ip addr add 2001:db8:1::1/64 dev out0 nodad", inside="outside")
    sh("ip link set out0 up", inside="outside")
    sh("ip link add tun0 type veth peer name tun1 netns outside")
    sh("ip addr add 10.9.0.1/24 dev tun0")
    sh("ip link set tun0 up")
    sh("ip link set tun1 up", inside="outside")
    sh("ip addr add 10.9.0.2/24 dev tun1", inside="outside")
    sh("ip route add default via 198.51.100.1")
    sh("ip -6 route add default via 2001:db8:1::1")
    for link in "eth0", "tun0":  # the kernel hears of a cable, and gives addresses, a moment later
        eventually(lambda link=link: "state UP" in sh(f"ip link show {link}") and
                   "inet6 fe80" in sh(f"ip addr show {link}"))


def describe():
    """What of the host must be as before in the end."""
    links = sh("ip -o link").replace("state UP", "")
    knobs = [f"{f}/{k}/{link}={knob(f'{f}/conf/{link}/{k}')}" for f, k in
             (("ipv4", "forwarding"), ("ipv6", "force_forwarding"), ("ipv6", "forwarding"))
             for link in ("all", "default", "eth0", "tun0", "lo")
             if os.path.exists(f"/proc/sys/net/{f}/conf/{link}/{k}")]
    return "\n".join([links, sh("ip -4 route show table all"), sh("ip -6 route show table all"),
                      sh("ip addr"), sh("nft list ruleset")] + knobs)


class Driver:
    def __init__(self, path):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([path, "/run/netns/inside"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        return self.process.stdout.readline().strip()

    def make(self):
        """As netd does it: plan, make, and connect the other end."""
        plan = self.ask("plan")
        made = self.ask("make")
        self.ask("inside")
        base, last = plan.split()[0].rsplit(".", 1)
        sh(f"ip route replace default via {base}.{int(last) + 1}", inside="inside")
        sh("ip -6 route replace default via fd76:6d6e:6574:ff::1", inside="inside")
        return plan, made

    def probe(self):
        """Both probes, and if one does not pass, both again and traced."""
        for how in "arm", "trace":
            self.ask(how)
            for _ in range(20):  # the other end may need a moment to come up
                send_probes()
                answer = self.ask("look")
                if "?" not in answer:
                    break
                self.ask(how)
            if "?" not in answer:
                break
        self.ask("rest")
        return answer


def send_probes():
    python("inside", """
import socket, time
for family, to in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "100::1")):
    try:
        socket.socket(family, socket.SOCK_DGRAM).sendto(b"", (to, 9))
    except OSError:
        pass
time.sleep(0.05)
""")


def expect(what, got, wanted):
    good = wanted in got
    print(f"{'ok' if good else 'not ok'} {what}" + ("" if good else f": {got!r} lacks {wanted!r}"))
    if not good:
        failures.append(what)


def passes(inside, to, wait=15):
    """Is there an answer, even if it is that nobody listens?"""
    return python(inside, f"""
import socket
try:
    socket.create_connection(("{to}", 9), {wait})
except ConnectionRefusedError:
    print("yes")
except OSError:
    print("no")
""")


# ---- stories ------------------------------------------------------------------------

def usual_host(driver):
    plan, made = driver.make()
    expect("the cable has addresses that nobody else has", plan, "169.254.255.0 default4=1")
    expect("only links that did not forward are switched on", plan, "on4=eth0,tun0")
    expect("it can be made", made, "made")
    expect("both probes pass", driver.probe(), "4:passed 6:passed")
    expect("inside reaches the outside", passes("inside", "198.51.100.1"), "yes")
    expect("inside reaches it in IPv6", passes("inside", "2001:db8:1::1"), "yes")
    expect("and by the other link", passes("inside", "10.9.0.2"), "yes")
    expect("made again, nothing needs mending", driver.make()[1], "made 0")


def crosses_the_host():
    """Does a neighbour's packet for another link of the host's leave by it?"""
    nft("table ip spy { chain c { type filter hook postrouting priority 0;"
        " oifname tun0 ip daddr 10.9.0.9 counter; }; }")
    passes("outside", "10.9.0.9", 1)
    counted = "packets 0" not in sh("nft list table ip spy")
    nft("delete table ip spy")
    return "yes" if counted else "no"


def no_router(driver):
    """What comes by eth0 goes nowhere but to us, as before we came."""
    driver.make()
    sh("ip route add 10.9.0.9 via 198.51.100.2", inside="outside")
    sh("ip neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev tun0 nud permanent")
    expect("the host is no router for its neighbours", crosses_the_host(), "no")
    nft("flush chain inet vmnet_broker_uplink forward")
    expect("and would be one without our rules", crosses_the_host(), "yes")
    driver.make()
    sh("ip neigh del 10.9.0.9 dev tun0")
    sh("ip route add 169.254.255.0/30 via 198.51.100.2", inside="outside")
    expect("neighbours do not reach us", passes("outside", "169.254.255.2", 1), "no")


def between_probes(driver):
    """Nobody waits for probes, and one that comes late does not leave."""
    driver.make()
    expect("the host's packets pass no chain for probes", hooks(), "forward postrouting")
    driver.ask("arm")
    expect("but while there are some", hooks(), "forward input postrouting postrouting")
    driver.ask("rest")
    nft("table inet spy { chain c { type filter hook postrouting priority 2147483647;"
        " meta l4proto udp oifname eth0 counter; }; }")
    send_probes()
    expect("a late probe does not leave", sh("nft list table inet spy"), "packets 0")
    nft("flush chain inet vmnet_broker_uplink late")
    send_probes()
    eventually(lambda: "packets 2" in sh("nft list table inet spy"))
    expect("and would without our rules", sh("nft list table inet spy"), "packets 2")
    nft("delete table inet spy")
    driver.make()


def hooks():
    table = sh("nft list table inet vmnet_broker_uplink")
    return " ".join(sorted(re.findall(r"hook (\w+)", table)))


def docker(driver):
    sh("iptables -P FORWARD DROP")
    expect("Docker's policy is named", driver.probe(),
           "4:ip filter FORWARD (policy drop) 6:passed")
    sh("ip6tables -P FORWARD DROP")
    expect("that of IPv6, too", driver.probe(), "6:ip6 filter FORWARD (policy drop)")
    sh("iptables -P FORWARD ACCEPT")
    sh("ip6tables -P FORWARD ACCEPT")
    expect("without it all is well", driver.probe(), "4:passed 6:passed")


def neighbour_discovery(driver):
    """Neither end of the cable asks who the other is."""
    for table, what in (("inet", "meta l4proto ipv6-icmp"), ("inet", "icmpv6 type nd-neighbor-solicit"),
                        ("inet", "icmpv6 type nd-neighbor-advert"), ("arp", "")):
        for hook, link in (("input", "iifname"), ("output", "oifname")):
            nft(f"table {table} admin {{ chain {hook} {{ type filter hook {hook} priority 0;"
                f" {link} vmbup {what} drop; }}; }}")
            forget_neighbours()
            name = f"whose firewall drops {what or 'ARP'} in {hook}"
            expect(f"{name}: both probes pass", driver.probe(), "4:passed 6:passed")
            for to in "2001:db8:1::1", "198.51.100.1":
                forget_neighbours("vmbup")  # of whom the probe asked: answers still come
                expect(f"{name}: and so does what {to} answers", passes("inside", to), "yes")
            nft(f"delete table {table} admin")


def forget_neighbours(*ends):
    """What was learnt is forgotten; not what is known for good."""
    for link, inside in CABLE:
        for version in "-4", "-6":
            if link in (ends or (link,)):
                sh(f"ip {version} neigh flush dev {link}", check=False, inside=inside)


def known_for_good(driver):
    """What somebody changes of it is mended, and nothing else touched."""
    cable = describe_cable()
    for line in ("ip neigh del 169.254.255.2 dev vmbup",
                 "ip neigh del fd76:6d6e:6574:ff::2 dev vmbup",
                 "ip neigh replace 169.254.255.2 lladdr 02:00:00:00:00:01 dev vmbup nud permanent",
                 "ip neigh change fd76:6d6e:6574:ff::2 lladdr 02:76:75:00:00:02 dev vmbup nud reachable"):
        sh(line)
        expect(f"{line} is mended", driver.make()[1], "made 1")
        expect("and all is as it was", describe_cable(), cable)
    sh("ip link set vmbup address 02:00:00:00:00:01")
    expect("so is another MAC, with which the host forgets its neighbours", driver.make()[1], "made 3")
    expect("and all is as it was", describe_cable(), cable)
    expect("made again, nothing needs mending", driver.make()[1], "made 0")
    expect("nor inside", driver.ask("inside"), "inside 0")


def describe_cable():
    return "\n".join(sh(f"ip {what} show dev {link}", inside=inside)
                     for link, inside in CABLE
                     for what in ("-br link", "neigh", "addr"))


def left_by_an_earlier_one(driver):
    """A netd from before there were MACs and neighbours of our choice: its cable becomes ours."""
    cable = describe_cable()
    for link, inside in CABLE:
        sh(f"ip link set {link} address 02:00:00:00:00:0{len(link)}", inside=inside)
    expect("without neighbours", sh("ip neigh show dev vmbup nud permanent") or "none", "none")
    index = str(socket.if_nametoindex("vmbup"))
    later = Driver(driver.process.args[0])
    expect("it is nobody's quarrel", later.make()[1], "made 0")
    expect("the cable stays", str(socket.if_nametoindex("vmbup")), index)
    expect("and is as it must be", describe_cable(), cable)
    later.process.stdin.close()
    later.process.wait(timeout=20)
    driver.make()
    expect("both probes pass", driver.probe(), "4:passed 6:passed")


def ufw(driver):
    for tool in "iptables", "ip6tables":
        for line in ("-N ufw-reject", "-A ufw-reject -j REJECT", "-A FORWARD -j ufw-reject"):
            sh(f"{tool} {line}")
    expect("a rule far below is named", driver.probe(), "4:ip filter ufw-reject (rule")
    nft("flush ruleset")
    expect("a flush takes our table too", sh("nft list tables") or "none", "none")
    expect("which is noticed", driver.ask("arm"), "error")
    expect("and mended", driver.make()[1], "made")
    expect("so that probes pass again", driver.probe(), "4:passed 6:passed")


def switched_off(driver):
    for link in "eth0", "vmbup":
        knob(f"ipv4/conf/{link}/forwarding", "0")
    expect("somebody's switching off is mended", driver.make()[1], "made 2")
    expect("and the way is open again", driver.probe(), "4:passed")


def taken_addresses(driver):
    sh("ip route add 169.254.255.2/32 dev tun0")
    plan, _ = driver.make()
    expect("who comes to have our addresses has them", plan, "169.254.255.4 ")
    expect("and we have others", driver.probe(), "4:passed")
    sh("ip route del 169.254.255.2/32 dev tun0")


def no_way(driver):
    sh("ip route del default")
    sh("ip -6 route del default")
    expect("a host without a way out is known as such", driver.ask("plan"), "default4=0 default6=0")
    sh("ip route add default via 198.51.100.1")
    sh("ip -6 route add default via 2001:db8:1::1")
    sh("ip route add 0.0.0.0/1 dev tun0")
    expect("a VPN's half is a way out", driver.make()[0], "default4=1")
    sh("ip route del 0.0.0.0/1 dev tun0")


def router_by_will(driver):
    knob("ipv4/ip_forward", "1")
    expect("whose host is a router needs nothing switched on", driver.make()[0], "on4 on6")
    expect("end", driver.ask("end"), "ended")
    expect("and keeps it when we go", knob("ipv4/conf/eth0/forwarding"), "1")
    knob("ipv4/ip_forward", "0")


def main():
    driver_path = os.path.abspath(sys.argv[1])
    if "--inside" not in sys.argv:
        enter_world(driver_path)
    make_world(sys.argv[3])
    before = describe()
    driver = Driver(driver_path)
    for story in (usual_host, no_router, between_probes, docker, neighbour_discovery, known_for_good,
                  left_by_an_earlier_one, ufw, switched_off, taken_addresses, no_way):
        print(f"# {story.__name__}")
        story(driver)
    expect("end", driver.ask("end"), "ended")
    nft("flush ruleset")  # iptables leaves its empty tables
    after = describe()
    changes = [line for line in difflib.unified_diff(before.split("\n"), after.split("\n"), n=0)]
    expect("nothing is left in the host", "\n".join(changes) or "nothing", "nothing")
    router_by_will(driver)
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
