# SPDX-License-Identifier: Apache-2.0
"""What the tests of hostile guests share: a network with its guests, and the proof that an
attack is one.

Each attack happens twice. First with the rule that stands against it taken out of the
namespace's ruleset, where it must work: otherwise its failure would prove nothing. Then
against what netd really loaded, where it must fail and be counted.
"""
import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import netd_smoke as smoke  # noqa: E402
from netd_smoke import check, udp4  # noqa: E402

MARK = b"h0stile!"
serial = itertools.count(1)


class Ruleset:
    """The rules of a netd's namespace, and ways to be without some of them for a moment."""

    def __init__(self, netd):
        self.netd = netd

    def nft(self, *words):
        said = self.netd.inside("nft", *words)
        assert "Error" not in said, f"nft {words}: {said}"
        return said

    def find(self, table, chain, words):
        """[(handle, text)] of the chain's rules that contain all these words."""
        rules = []
        for line in self.nft("-a", "list", "chain", *table, chain).splitlines():
            text, _, handle = line.strip().rpartition(" # handle ")
            if handle and not text.startswith("chain") and all(w in text for w in words.split("*")):
                rules.append((handle, text))
        return rules

    def replace(self, table, chain, handle, text):
        # Listed by another name than the type of its set, and not taken back like that.
        names = ["iifname . ether saddr", "iifname . @ll,48,48"]
        text = text.replace(*(names if table[0] == "bridge" else reversed(names)))
        # nft's own `replace` leaves the sets of a rule empty.
        self.nft("insert", "rule", *table, chain, "position", handle, text)
        self.nft("delete", "rule", *table, chain, "handle", handle)

    @contextlib.contextmanager
    def without(self, *rules, table=("bridge", "vmnet")):
        """rules: (chain, words, what to do there instead). The last rule with these words."""
        undo = []
        try:
            for chain, words, instead in rules:
                found = self.find(table, chain, words)
                assert found, f"no rule '{words}' in chain {chain}"
                handle, text = found[-1]
                mark = f"gone-{next(serial)}"
                self.replace(table, chain, handle, f'{instead} comment "{mark}"')
                undo.insert(0, (chain, mark, text))
            yield
        finally:
            for chain, mark, text in undo:
                self.replace(table, chain, self.find(table, chain, mark)[0][0], text)
            self.nft("flush", "set", "bridge", "vmnet", "sources6")  # what was let through


    @contextlib.contextmanager
    def also(self, table, chain, rule):
        """With one more rule, the first of its chain."""
        mark = f"also-{next(serial)}"
        self.nft("insert", "rule", *table, chain, rule, "comment", f'"{mark}"')
        try:
            yield
        finally:
            self.nft("delete", "rule", *table, chain, "handle",
                     self.find(table, chain, mark)[0][0])


def gone(chain, words):
    return chain, words, "counter"


def open_end(chain):
    """A chain that ends in a refusal ends in an accept."""
    return chain, "goto refuse", "accept"


class Scene:
    """netd with its broker's session, and whoever a test puts on its networks."""

    def __init__(self, netd):
        self.netd, self.rules = netd.start(), Ruleset(netd)
        self.broker, self.guests = smoke.Broker(netd), []

    def guest(self, network, number, name, **options):
        third = {"one": 64, "two": 65, "priv": 66, "lab": 67, "mixed": 68}[network]
        guest = self.broker.open_tap(network, name or f"id{number}", f"192.168.{third}.{number}",
                                     f"52:54:00:00:{third:02x}:{number:02x}", name, **options)
        smoke.learn_bridge(self.netd, guest)
        self.guests.append(guest)
        return guest

    def leave(self, guest):
        self.guests.remove(guest)
        guest.close()
        self.broker.event(smoke.TAP_GONE)

    def dropped(self, guest):
        return self.broker.stats()[guest.tap]["dropped"]

    def attack(self, what, rules, harm, victims=None, table=("bridge", "vmnet"), counted=None):
        """harm(victim): attacks, and says whether it did harm. rules: what stands against it.
        victims: one for each time, where the first is spoilt. counted: whose drops grow."""
        first, second = victims or (None, None)
        with self.rules.without(*rules, table=table):
            check(harm(first), f"works without the rule: {what}")
        before = self.dropped(counted) if counted else 0
        check(not harm(second), f"fails: {what}")
        if counted:
            check(self.dropped(counted) > before, "... and is counted")

    def end(self):
        for guest in list(self.guests):
            self.leave(guest)
        self.broker.call(smoke.LEAVE)
        check(self.netd.wait() == 0, "netd is well, and leaves when asked")


def hears(sender, receiver, send, match=lambda frame: MARK in frame):
    """Does the receiver get a frame that matches, of those that send() sends? An honest one
    follows them, and whatever did not come before it does not come at all."""
    sentinel = b"sentinel%08d" % next(serial)
    send()
    sender.send(0x0800, udp4(sender.ip, sender.ip.rpartition(".")[0] + ".255", 9, 9, sentinel))
    heard = False
    for frame in receiver.frames(smoke.PATIENCE):
        if sentinel in frame:
            return heard
        heard = heard or bool(match(frame))
    raise AssertionError(f"{receiver.tap} does not hear {sender.tap} at all")


def heard_by(sock, send, seconds=0.15, mark=MARK):
    """Does a frame with the mark pass this socket of tap_on_link()?"""
    for _ in frames_of(sock):
        pass
    send()
    end = time.monotonic() + seconds
    while True:
        over = time.monotonic() > end  # but what came before that counts
        if any(mark in frame for frame in frames_of(sock)):
            return True
        if over:
            return False
        time.sleep(0.005)


def settle(guest):
    """dnsmasq has heard all that was sent to it, and acted on it, once it has answered twice: of
    what it finds waiting it looks at questions first. What it knows itself it always answers."""
    answered = 0
    for _ in range(20):
        answered += guest.ask("gateway.one.vmnet.internal") == (0, ["192.168.64.1"])
        if answered == 2:
            return
    raise AssertionError("dnsmasq does not answer")


def drain(*guests):
    for guest in guests:
        for _ in guest.frames(0.02):
            pass


@contextlib.contextmanager
def in_namespace_of(pid):
    """This thread in that process's network; sockets made there stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as ours, open(f"/proc/{pid}/ns/net") as theirs:
        if libc.setns(theirs.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(ours.fileno(), 0x40000000)


def tap_on_link(netd, link):
    """A socket that sees every frame of a link inside netd's namespace."""
    with in_namespace_of(netd.anchor):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sock.bind((link, 3))
    sock.setblocking(False)
    return sock


def frames_of(sock):
    while True:
        try:
            yield sock.recv(70000)
        except BlockingIOError:
            return


def reconfigured(scene, index, edit):
    """dnsmasq's file of the network with this index as edit() has it, and dnsmasq started again
    with it. Returns what was in the file."""
    place = f"{scene.netd.dir}/state/netd/{index}"
    with open(place + "/dnsmasq.conf") as f:
        before = f.read()
    with open(place + "/dnsmasq.conf", "w") as f:
        f.write(edit(before))
    old = smoke.child_of(scene.netd, index)
    os.kill(old, signal.SIGKILL)
    for _ in range(20 * smoke.PATIENCE):
        time.sleep(0.05)
        with contextlib.suppress(OSError, ValueError):
            if smoke.child_of(scene.netd, index) != old:
                return before
    raise AssertionError("dnsmasq does not come back")


def tell(story, uid=4000, prepare=None):
    """story(scene), in a world of its own. For the main program of a test. prepare(place): the
    world's first deed."""
    if os.geteuid() != 0:
        print("needs root (namespaces and a private /dev/net/tun)", file=sys.stderr)
        return 77
    place = smoke.private_namespaces()
    if prepare:
        prepare(place)
    program = place + "/vmnet-netd"
    shutil.copy(sys.argv[1], program)
    os.chmod(program, 0o755)
    netd = smoke.Netd(program, place, uid)
    try:
        scene = Scene(netd)
        story(scene)
        scene.end()
        left = smoke.left_of(netd)
        check(not left, "no process is left", str(left))
    except Exception:
        import traceback
        traceback.print_exc()
        check(False, "the story goes to its end")
    finally:
        if netd.process and netd.process.poll() is None:
            netd.process.kill()
            netd.process.wait()
        smoke.end_children(netd)
    if smoke.failures:
        print("---- its log\n" + open(netd.log).read(), flush=True)
    subprocess.run(["umount", "-l", "/dev/net/tun", place], timeout=10, check=False)
    os.rmdir(place)
    print(f"{smoke.failures} failures")
    return min(smoke.failures, 76)
