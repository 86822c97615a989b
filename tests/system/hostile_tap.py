#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hostile_tap.py PATH/TO/vmnet-netd - what a TAP's holder can do with nothing but the descriptor.

The holder is a process of another user, without privileges, outside netd's namespaces. Where
netd itself is the rule, the attack is first shown while netd is stopped."""
import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from hostile import MARK, check, drain, hears, in_namespace_of, smoke, tell, udp4  # noqa: E402
from netd_smoke import PATIENCE, PREFIX, mac_bytes  # noqa: E402

TUNSETIFF, TUNSETPERSIST, TUNSETOWNER, TUNSETGROUP = 0x400454CA, 0x400454CB, 0x400454CC, 0x400454CE
TUNSETOFFLOAD, TUNSETSNDBUF, TUNSETVNETHDRSZ = 0x400454D0, 0x400454D4, 0x400454D8
TUNSETQUEUE, TUNSETVNETLE, TUNSETVNETBE, TUNSETCARRIER = (0x400454D9, 0x400454DC, 0x400454DE,
                                                          0x400454E2)
SIOCSIFHWADDR, SIOCGSKNS = 0x8924, 0x894C
TAP, NO_PI, VNET_HDR, MULTI_QUEUE = 2, 0x1000, 0x4000, 0x100
ATTACH_QUEUE, DETACH_QUEUE = 0x200, 0x400
STRANGER = 5000


def as_stranger(action):
    """Runs it in a process of another user. True: it went through."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(STRANGER, STRANGER, STRANGER)
            os.setresuid(STRANGER, STRANGER, STRANGER)
            action()
            status = 0
        except OSError:
            pass
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def number(value):
    return struct.pack("=i", value)


def named(name, flags):
    return struct.pack("=16sh22x", name.encode(), flags)


def hardware(name, mac):
    return struct.pack("=16sH6s16x", name.encode(), 1, mac_bytes(mac))


def has_link(scene, tap):
    """The name alone does not tell: netd gives it to the next TAP that it makes in advance."""
    return os.path.exists(f"/proc/{scene.netd.anchor}/root") and tap in smoke.taps(scene.netd, True)


def has_link_for(scene, tap, seconds):
    until = time.monotonic() + seconds
    while has_link(scene, tap):
        if time.monotonic() > until:
            return True
        time.sleep(0.05)
    return False


@contextlib.contextmanager
def stopped(scene):
    """netd does not watch; what it would have heard waits for it."""
    os.kill(scene.netd.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(scene.netd.process.pid, signal.SIGCONT)


def removed(scene, guest, what):
    """Within a moment, and reported like any TAP that goes."""
    gone = scene.broker.event(smoke.TAP_GONE)
    check(gone and guest.tap in smoke.INTERFACE.unpack(gone)[3].decode() and
          not has_link(scene, guest.tap), f"netd removes it: {what}")


def forget(scene, guest):
    """What was removed under its holder, who lets go of it at last."""
    scene.guests.remove(guest)
    for fd in guest.fds:
        os.close(fd)
    guest.fds = []


def reaches(sender, receiver, seconds=PATIENCE):
    """A frame for this neighbour alone, not for everybody."""
    drain(receiver)
    sender.send(0x0800, udp4(sender.ip, receiver.ip, 9, 9, MARK), dst=receiver.mac)
    return any(MARK in frame for frame in receiver.frames(seconds))


def known_by_bridge(*guests):
    for guest in guests:
        guest.arp(guest.ip)


# ---- the TAP itself ------------------------------------------------------------------------


def a_neighbours_mac(scene, db, web):
    evil = scene.guest("one", 9, "evil")
    known_by_bridge(db, web)
    check(reaches(web, db), "web reaches db")
    with stopped(scene):
        fd = evil.fds[0]
        # The ioctl of a network device, which a TAP's descriptor takes as well.
        done = as_stranger(lambda: fcntl.ioctl(fd, SIOCSIFHWADDR, hardware(evil.tap, db.mac)))
        check(done and not reaches(web, db, 0.3), "works while netd sleeps: with its MAC on a TAP the "
              "neighbour is silenced")
    removed(scene, evil, "the TAP with a neighbour's MAC")
    check(reaches(web, db), "... and the neighbour hears again, though it has said nothing")
    forget(scene, evil)
    refused = smoke.refused
    refused(lambda: scene.broker.open_tap("one", "x", "192.168.64.99", "02:76:74:61:70:00"), 17,
            "that of the TAPs themselves")


def persistence(scene):
    evil = scene.guest("one", 9, "evil")
    with stopped(scene):
        done = as_stranger(lambda: fcntl.ioctl(evil.fds[0], TUNSETPERSIST, 1))
        evil.close()
        time.sleep(1.2)  # the kernel tells of a lost carrier at most once a second
        check(done and has_link(scene, evil.tap), "works while netd sleeps: a TAP without a holder")
    scene.guests.remove(evil)
    removed(scene, evil, "the TAP that nobody holds")
    evil = scene.guest("one", 9, "evil")
    as_stranger(lambda: fcntl.ioctl(evil.fds[0], TUNSETPERSIST, 1))
    as_stranger(lambda: fcntl.ioctl(evil.fds[0], TUNSETCARRIER, number(0)))
    scene.guests.remove(evil)
    removed(scene, evil, "one that plays dead")
    os.close(evil.fds[0])


def another_owner(scene):
    for what, request in (("user", TUNSETOWNER), ("group", TUNSETGROUP)):
        evil = scene.guest("one", 9, "evil")
        with stopped(scene):
            check(as_stranger(lambda: fcntl.ioctl(evil.fds[0], request, STRANGER)),
                  f"works while netd sleeps: a TAP that another {what} may attach to")
        removed(scene, evil, f"the TAP of another {what}")
        forget(scene, evil)


def a_neighbours_queue(scene):
    """A descriptor whose TAP was removed is free for the next: for a neighbour's, if that one
    has several queues and no owner, and for the way out, if no engine holds it just then."""
    def free_descriptor():
        evil = scene.guest("one", 9, "evil")
        as_stranger(lambda: fcntl.ioctl(evil.fds[0], TUNSETPERSIST, 1))
        as_stranger(lambda: fcntl.ioctl(evil.fds[0], TUNSETCARRIER, number(0)))
        scene.broker.event(smoke.TAP_GONE)
        scene.guests.remove(evil)
        return evil.fds[0]

    def attaches(name, flags):
        fd = free_descriptor()
        done = as_stranger(lambda: fcntl.ioctl(fd, TUNSETIFF, named(name, flags)))
        os.close(fd)
        return done

    queues = TAP | NO_PI | VNET_HDR | MULTI_QUEUE
    with in_namespace_of(scene.netd.anchor), open("/dev/net/tun", "r+b", buffering=0) as bare:
        fcntl.ioctl(bare, TUNSETIFF, named("bare", queues))
        check(attaches("bare", queues), "works without the rule: attaching to a TAP of several queues")
    with in_namespace_of(scene.netd.anchor), open("/dev/net/tun", "r+b", buffering=0) as bare:
        fcntl.ioctl(bare, TUNSETIFF, named("bare", TAP | NO_PI | VNET_HDR))
        fcntl.ioctl(bare, TUNSETPERSIST, 1)
    check(attaches("bare", TAP | NO_PI | VNET_HDR),
          "works without the rule: attaching to a TAP that nobody holds")
    scene.netd.inside("ip", "link", "del", "bare")
    spare = smoke.spare_of(scene.netd)
    check(spare and not attaches(spare, TAP | NO_PI | VNET_HDR),
          "fails: attaching to the TAP that the next VM gets", str(spare))
    victim = scene.guest("one", 8, "victim", queues=2)
    check(not attaches(victim.tap, queues), "fails: attaching to a neighbour's TAP")
    scene.leave(victim)
    fd = free_descriptor()
    with stopped(scene):
        for line in smoke.children(scene.netd):
            if "pasta" in line or "slirp4netns" in line:
                os.kill(int(line.split()[0]), signal.SIGKILL)
        time.sleep(0.2)
        check(not as_stranger(lambda: fcntl.ioctl(fd, TUNSETIFF, named("uplink", TAP | NO_PI))),
              "fails: taking the place of a dead engine")
    os.close(fd)


def the_namespace_behind(scene):
    """A TAP's descriptor names the network namespace that it is in, for those with power there."""
    evil = scene.guest("one", 9, "evil")
    here = os.stat(f"/proc/{scene.netd.anchor}/ns/net").st_ino
    fd = fcntl.ioctl(evil.fds[0], SIOCGSKNS)
    check(os.fstat(fd).st_ino == here, "works for root: the namespace of a TAP")
    os.close(fd)
    check(not as_stranger(lambda: fcntl.ioctl(evil.fds[0], SIOCGSKNS)),
          "fails: the namespace of a TAP, for who has nothing but the descriptor")
    scene.leave(evil)


def queue_games(scene, db):
    """Detaching, attaching and closing queues in any order harms nobody and loses nothing."""
    evil = scene.guest("one", 9, "evil", queues=4)
    for _ in range(50):
        for fd in evil.fds:
            fcntl.ioctl(fd, TUNSETQUEUE, named("", DETACH_QUEUE))
        for fd in reversed(evil.fds):
            fcntl.ioctl(fd, TUNSETQUEUE, named("", ATTACH_QUEUE))
    for fd in evil.fds:
        fcntl.ioctl(fd, TUNSETQUEUE, named("", DETACH_QUEUE))
    check(evil.tap in scene.broker.stats(), "a TAP with all queues detached is still in use")
    smoke.refused(lambda: scene.broker.remove("one"), 16, "in use")
    fcntl.ioctl(evil.fds[2], TUNSETQUEUE, named("", ATTACH_QUEUE))
    for i in (0, 1, 3):
        os.close(evil.fds[i])
    evil.fds = [evil.fds[2]]
    check(hears(evil, db, lambda: evil.send(0x0800, udp4(evil.ip, db.ip, 9, 9, MARK))),
          "... and the last queue of four still works")
    scene.leave(evil)


def header_games(scene, web, db):
    """Sizes, byte orders and offloads that fit nothing, with garbage sent in between."""
    evil = scene.guest("one", 9, "evil")
    fd = evil.fds[0]
    games = [(TUNSETVNETHDRSZ, (10, 12, 4, 0, 65535, 20000, -1)), (TUNSETVNETLE, (1, 0, 7)),
             (TUNSETVNETBE, (1, 0)), (TUNSETSNDBUF, (0, 1, -1, 2**31 - 1)),
             (TUNSETCARRIER, (0, 1))]
    for request, values in games:
        for value in values:
            with contextlib.suppress(OSError):
                fcntl.ioctl(fd, request, number(value))
            garbage(fd, 50)
    for offload in (*range(0x80), -1):
        with contextlib.suppress(OSError):
            fcntl.ioctl(fd, TUNSETOFFLOAD, offload)
        garbage(fd, 5)
    drain(db)
    known_by_bridge(web, db)
    check(reaches(web, db), "header and offload games do not disturb the neighbours")
    scene.leave(evil)


def garbage(fd, frames, random=os.urandom):
    """Random frames; some with a header that asks for things."""
    for i in range(frames):
        noise = random(1 + i * 37 % 3000)
        if i % 3 == 0:
            vnet = struct.pack("=BBHHHH", i & 3, (0, 1, 4, 3, 5, 0x81)[i % 6], i * 7 & 0xFFFF,
                               i & 0x7FF, i * 5 & 0xFFF, i * 3 & 0xFFF)
            noise = vnet + b"\xff" * 6 + mac_bytes("52:54:00:ab:cd:ef") + b"\x08\x00" + noise
        elif i % 3 == 1:
            noise = bytes(10) + noise
        with contextlib.suppress(OSError):
            os.write(fd, noise)


def full_speed(scene, web, db):
    """Two processes of another user write garbage as fast as they can."""
    writers = []
    for i in (9, 10):
        evil = scene.guest("one", i, f"evil{i}")
        pid = os.fork()
        if pid == 0:
            os.setresuid(STRANGER, STRANGER, STRANGER)
            end = time.monotonic() + 3 * PATIENCE  # it is ended before
            pool = os.urandom(1 << 16)
            while time.monotonic() < end:
                garbage(evil.fds[0], 200, lambda n: pool[n:2 * n])
            os._exit(0)
        writers.append((pid, evil))
    known_by_bridge(web, db)
    lost = sum(not reaches(web, db) for _ in range(10))
    check(lost == 0, "garbage at full speed: the neighbours hear each other", f"{lost} of 10 lost")
    start = time.monotonic()
    scene.broker.stats()
    took = time.monotonic() - start
    check(took < PATIENCE, f"... netd answers ({took * 1000:.0f} ms)")
    for _, evil in writers:
        check(smoke.eventually(lambda evil=evil: scene.dropped(evil) > 100),
              "... and has counted what it dropped")
    for pid, evil in writers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        scene.leave(evil)


def toggling(scene, web, db):
    """Changes without end: netd hears of them, and has time for others all the same."""
    evil = scene.guest("one", 9, "evil")
    fd = evil.fds[0]
    enough, say_enough = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(say_enough)
        while not select.select([enough], [], [], 0)[0]:
            for i in range(100):
                with contextlib.suppress(OSError):
                    fcntl.ioctl(fd, TUNSETPERSIST, i & 1 ^ 1)
        os._exit(0)
    worst = 0
    for _ in range(10):
        start = time.monotonic()
        scene.broker.stats()
        worst = max(worst, time.monotonic() - start)
        time.sleep(0.05)
    check(worst < PATIENCE, f"changes without end: netd answers within {worst * 1000:.0f} ms")
    os.close(say_enough)
    os.waitpid(pid, 0)
    os.close(enough)
    check(reaches(web, db), "... and the neighbours hear each other")
    check(has_link(scene, evil.tap), "... and a TAP that is as before stays")
    scene.leave(evil)


def passed_on(scene, db):
    """A descriptor that travels to another process in other namespaces is a TAP in use."""
    gift = scene.guest("one", 9, "gift")
    ours, theirs = socket.socketpair()
    script = ("import os, socket; s = socket.socket(fileno=%d); _, (fd,), _, _ = "
              "socket.recv_fds(s, 1, 1); s.send(b'!'); f = s.recv(2000); os.write(fd, f); "
              "s.recv(1)" % theirs.fileno())
    child = subprocess.Popen(["unshare", "--net", "--mount", "--ipc", "setpriv", "--reuid",
                              str(STRANGER), "--clear-groups", sys.executable, "-c", script],
                             pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    socket.send_fds(ours, [b"x"], gift.fds)
    ours.recv(1)
    packet = udp4(gift.ip, db.ip, 9, 9, MARK)
    frame = gift.header + mac_bytes(db.mac) + mac_bytes(gift.mac) + b"\x08\x00" + packet
    for fd in gift.fds:
        os.close(fd)
    gift.fds = []
    drain(db)
    ours.send(frame)
    check(any(MARK in f for f in db.frames(PATIENCE)), "a TAP passed on to another namespace works")
    smoke.refused(lambda: scene.broker.remove("one"), 16, "in use")
    check(gift.tap in scene.broker.stats(), "... and counts as in use")
    ours.close()
    child.wait(PATIENCE)
    scene.guests.remove(gift)
    check(scene.broker.event(smoke.TAP_GONE) is not None, "... until its last holder ends")


def while_netd_was_away(scene, db, web):
    """The next netd has a look at what it adopts."""
    evil, fine = scene.guest("one", 9, "evil"), scene.guest("one", 10, "fine", queues=2)
    scene.netd.process.kill()
    scene.netd.process.wait()
    scene.broker.close()
    fcntl.ioctl(evil.fds[0], SIOCSIFHWADDR, hardware(evil.tap, db.mac))
    scene.netd.start()
    scene.broker = smoke.Broker(scene.netd)
    if evil.tap in scene.broker.taps: # netd's look may come before the broker's, or after
        removed(scene, evil, "the TAP that got a neighbour's MAC while no netd lived")
    else:
        check(not has_link_for(scene, evil.tap, PATIENCE),
              "netd removes it: the TAP that got a neighbour's MAC while no netd lived")
    forget(scene, evil)
    known_by_bridge(web, db)
    check(has_link(scene, fine.tap) and reaches(web, db), "... and the others live on")


def the_bridge_keeps_its_mac(scene, web):
    mac = lambda: open(f"/proc/{scene.netd.anchor}/net/if_inet6").read()
    before = mac()
    link = scene.netd.inside("ip", "-o", "link", "show", "vb0")
    check(web.bridge_mac in link and before == mac(), "the bridge's own MAC is the one it began with")


def story(scene):
    scene.broker.build("one", smoke.ONE, PREFIX)
    web, db = scene.guest("one", 2, "web"), scene.guest("one", 3, "db")
    a_neighbours_mac(scene, db, web)
    persistence(scene)
    another_owner(scene)
    a_neighbours_queue(scene)
    the_namespace_behind(scene)
    queue_games(scene, db)
    header_games(scene, web, db)
    full_speed(scene, web, db)
    toggling(scene, web, db)
    passed_on(scene, db)
    while_netd_was_away(scene, db, web)
    the_bridge_keeps_its_mac(scene, web)


if __name__ == "__main__":
    sys.exit(tell(story))
