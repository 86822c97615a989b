# SPDX-License-Identifier: Apache-2.0
"""deaths_stories.py - what can happen to us besides a sudden death; told by deaths.py.

Each story_NAME() begins with two guests under traffic and ends with nothing of ours left.
"""

import contextlib
import ctypes
import os
import random
import shutil
import signal
import subprocess
import time

from deaths_guest import SERVICES, Board, Guest
from deaths_world import (PATIENCE, RUNTIME, STATE, Refused, World, acquire, connect, fail, fork,
                          kill, kill_all, ours, pids, say, the, wait_until)

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207

# What guests miss without it.
NEEDED_FOR = {"dnsmasq": ("dhcp", "names", "dns"), "relay": ("dns",),
              "engine": ("outside udp", "outside tcp"), "forwarder": ("port udp", "port tcp"),
              "spawner": (), "anchor": ()}


def besides(kind):
    return tuple(s for s in SERVICES if s not in NEEDED_FOR[kind])


def problems():
    with connect() as connection:
        return " ".join(connection.call("Status")[0]["broker"]["problems"])


def refused_with_words(what, action):
    try:
        action()
    except Refused as e:
        say(f"{what}: {e}")
    except OSError as e:
        fail(f"{what}: {e} instead of a reason")
    else:
        fail(f"{what}: not refused")


def death(world, *kinds):
    """Of one process of each of these kinds."""
    what = " and ".join(kinds) + " killed"
    world.take_outages()
    kill_all([world.victims(kind)[0] for kind in kinds])
    world.reap()
    world.keep_holders()
    tell(what, world.settle(what))


def tell(what, outages):
    longest = max(outages, key=outages.get)
    say(f"{what}: {longest} was away for at most {outages[longest]:.2f} s")


# ---- processes that hang -------------------------------------------------------------------


def story_stopped(options):
    world = World().begin()
    netd_hangs(world, options.pause)
    for kind in NEEDED_FOR:
        is_replaced(world, kind)
    dnsmasq_hangs_in_another_way(world)
    spawner_hangs_and_is_needed(world)
    starter_hangs_and_is_needed(world)
    for kind in ("netd", "dnsmasq"):  # is no different from one that dies
        pid = the(kind)
        kill(pid, signal.SIGSTOP)
        kill_all([pid])
        tell(f"{kind} stopped and killed", world.settle(f"{kind} stopped and killed"))
    world.need_third("all go on")
    world.finish()


def is_replaced(world, kind):
    """The spawner hears of it, or netd."""
    world.take_outages()
    hung = the(kind)
    kill(hung, signal.SIGSTOP)
    world.check_services(f"{kind} hangs", besides(kind))
    wait_until(f"a {kind} that hangs is replaced", lambda: hung not in pids(kind), 30)
    tell(f"{kind} hung", world.settle(f"{kind} hung"))


def dnsmasq_hangs_in_another_way(world):
    """A debugger holds it: its parent is told nothing, but the guests ask, and that is heard."""
    hung, libc = the("dnsmasq"), ctypes.CDLL(None, use_errno=True)
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(ctypes.c_long(request), hung, None, None) != 0:
            fail(f"cannot hold dnsmasq: {os.strerror(ctypes.get_errno())}")
            return
    wait_until("a dnsmasq that answers nobody is replaced", lambda: hung not in pids("dnsmasq"), 30)
    tell("dnsmasq held", world.settle("dnsmasq held"))


def spawner_hangs_and_is_needed(world):
    """netd waits for it no longer than some seconds; then the next netd has another."""
    hung = the("spawner")
    kill(hung, signal.SIGSTOP)
    try:
        acquire("host")
    except (Refused, OSError) as e:
        say(f"a network while the spawner hangs: {e}")
    wait_until("a spawner that hangs is replaced", lambda: hung not in pids("spawner"), 30)
    tell("spawner hung", world.settle("spawner hung"))
    acquire("host")


def starter_hangs_and_is_needed(world):
    """The broker gives up on it, and leaves it to the next one."""
    hung = the("starter")
    kill(hung, signal.SIGSTOP)
    kill_all([the("netd")])
    world.keep_holders()
    tell("starter hung", world.settle("starter hung", patience=40))
    wait_until("the one that hung has gone", lambda: hung not in pids("starter"), 30)


def netd_hangs(world, pause):
    """What it has made works without it; the broker says who does not answer, and answers."""
    netd = the("netd")
    kill(netd, signal.SIGSTOP)
    time.sleep(pause)
    world.check_services("netd hangs")
    began = time.monotonic()
    acquire("shared")
    with connect() as connection:
        connection.call("List")
    if time.monotonic() - began > PATIENCE:  # its own, with netd, is a second and a half
        fail(f"netd hangs: the broker took {time.monotonic() - began:.1f} s")
    wait_until("netd hangs: status says so", lambda: f"vmnet-netd (pid {netd})" in problems())
    say(f"netd hangs: {problems()}")
    kill(netd, signal.SIGCONT)
    world.settle("netd goes on")
    wait_until("netd goes on: status says no more that it hangs", lambda: not problems())


# ---- the first VM's process group or control group, and a logout -----------------------------


def first_vm(board, client, group):
    """VM and client in one, which starts everything from its own process group, as a shell
    would, and from its own control group, as a container's."""
    os.setpgid(0, 0)
    if group:
        os.mkdir(group)
        with open(group + "/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")
    connection = connect()
    network, _ = connection.call("Acquire", network_name="shared")
    reply, fds = connection.call("StartInterface", network_name="shared", name="third",
                                 offload=False)
    client.set("leased", 1)
    Guest(fds[0], reply["interface"], network["network"], board).run()


def first_vm_dies(what, group, kill_it):
    world = World()
    world.third_pid = fork(first_vm, world.third, world.third_client, group)
    wait_until("the first VM is up", lambda: world.third.get("leased"), 20)
    world.begin()
    started = set(pids("broker") + pids("netd"))
    kill_it(world.third_pid)
    world.reap()
    tell(f"{what} killed", world.settle(f"{what} killed"))
    if started - set(pids("broker") + pids("netd")):
        fail(f"broker or netd died with {what}")
    world.need_third(f"{what} killed")
    world.finish(broker_first=True)


def story_group(_):
    first_vm_dies("the first VM's process group", "", lambda pid: os.killpg(pid, signal.SIGKILL))


def story_cgroup(_):
    def kill_it(_):
        with open(group + "/cgroup.kill", "w", encoding="ascii") as file:
            file.write("1")

    group = os.environ["GROUP"]
    first_vm_dies("the first VM's control group", group, kill_it)


def story_runtime(options):
    """A logout takes the runtime directory away, while VMs go on."""
    world, rng = World().begin(), random.Random(options.seed)
    for kinds in ((), ("broker",), ("netd",), ("broker", "netd"), ("client",)):
        shutil.rmtree(RUNTIME, ignore_errors=True)  # what comes back meanwhile may stay
        time.sleep(rng.random() * options.pause)
        death(world, *kinds)
    world.need_third("the runtime directory came back")
    world.finish()


# ---- all of us at once, as a control group is killed -----------------------------------------


def subnet_of_shared():
    with connect() as connection:
        return connection.call("Acquire", network_name="shared")[0]["network"]["ipv4_subnet"]


def kill_all_at_once():
    """As far as that goes one by one: nobody may start another meanwhile."""
    brokers = pids("broker") + pids("starter")
    for pid in brokers:
        kill(pid, signal.SIGSTOP)
    kill_all(pids("netd"))
    kill_all(pids("spawner"))
    kill_all([pid for pid in ours() if pid not in brokers])
    kill_all(brokers)


def story_everything(options):
    """Nobody can enter the namespace again; its VMs keep each other, and what is new is apart."""
    world, before = World().begin(), subnet_of_shared()
    world.take_outages()
    kill_all_at_once()
    world.keep_holders()
    wait_until("status names the network that was lost", lambda: f"({before}) was lost" in problems())
    say(problems())
    if (after := subnet_of_shared()) == before:
        fail(f"a new network has the subnet of one with VMs: {after}")
    world.need_third("all of us killed")
    time.sleep(options.pause)
    world.check_services("all of us killed", ("layer 2",))
    kill_all([board.get("pid") for board in world.guests.values()])
    wait_until("status forgets what has ended", lambda: not problems())
    world.finish()


# ---- the journal ---------------------------------------------------------------------------


def story_journal(options):
    """One of its files is cut while nobody runs who knows what it said."""
    world, rng = World().begin(), random.Random(options.seed)
    world.need_third("the beginning")
    for i in range(options.cuts, -1, -1):
        cut_journal(world, i / options.cuts, rng)
    world.need_third("all cuts")
    world.finish()


def cut_journal(world, keep, rng):
    brokers = pids("broker")
    for pid in brokers:
        kill(pid, signal.SIGSTOP)  # nobody must start a netd before we have cut
    kill_all(pids("netd"))
    files = sorted(f for f in os.listdir(STATE + "/netd") if f in ("journal", "journal.copy"))
    path = f"{STATE}/netd/{rng.choice(files)}"
    size = os.path.getsize(path)
    os.truncate(path, int(size * keep))
    kill_all(brokers)
    what = f"{os.path.basename(path)} cut to {int(size * keep)} of {size} bytes"
    world.keep_holders()
    tell(what, world.settle(what))


# ---- limits --------------------------------------------------------------------------------


class Limit:
    """While it is entered, a process can have no more of this than `soft`."""

    def __init__(self, pid, resource, soft):
        self.pid, self.resource, self.soft = pid, resource, soft

    def prlimit(self, *arguments):
        return subprocess.run(["prlimit", f"--pid={self.pid}", *arguments], check=True, timeout=5,
                              capture_output=True, text=True).stdout

    def __enter__(self):
        self.before = self.prlimit(f"--{self.resource}", "--output=SOFT", "--noheadings").strip()
        self.prlimit(f"--{self.resource}={self.soft}:")

    def __exit__(self, *_):
        self.prlimit(f"--{self.resource}={self.before}:")


def first_free(pid):
    used = {int(n) for n in os.listdir(f"/proc/{pid}/fd")}
    return next(n for n in range(len(used) + 1) if n not in used)


def open_tap():
    """Like the guests': beside one with checksum offload, frames begin to take a detour, and the
    first that does is overtaken by the last that did not."""
    with connect() as connection:
        connection.call("Acquire", network_name="shared")
        # Without offload it is none that netd has made in advance.
        _, fds = connection.call("StartInterface", network_name="shared", offload=False)
        os.close(fds[0])


def story_limits(_):
    world = World().begin()
    spawner, netd = the("spawner"), the("netd")
    with Limit(spawner, "nproc", 1):
        refused_with_words("the spawner may start no process", lambda: acquire("host"))
        world.settle("the spawner at its limit")
    with Limit(netd, "nofile", 4):  # fewer than it has
        refused_with_words("netd may open no descriptor", open_tap)
        world.settle("netd at its limit")
    acquire("host")
    open_tap()
    broker_without_descriptors(world, the("broker"))
    world.need_third("the limits are gone")
    world.finish()


def broker_without_descriptors(world, broker):
    """Who is connected is served; who is not waits, and no longer than it takes."""
    mine = connect()
    mine.call("List")
    with Limit(broker, "nofile", first_free(broker) + 5):
        crowd = [connect() for _ in range(200)]
        mine.call("Status")
        world.check_services("the broker at its limit")
        for connection in crowd:
            connection.sock.close()
        began = time.monotonic()
        acquire("shared")
        say(f"the broker at its limit: free again after {time.monotonic() - began:.2f} s")
    mine.sock.close()


# ---- the state directory -------------------------------------------------------------------


def story_full(_):
    """STATE is on a small file system of its own."""
    if not os.path.ismount(os.path.dirname(STATE)):
        fail("this would fill a file system that was not made for it")
        return
    world = World().begin()
    blob = STATE + "/blob.log"
    with open(blob, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    say(f"filled with {os.path.getsize(blob) >> 10} KiB")
    for kinds in (("dnsmasq",), ("engine",), ("relay",), ("forwarder",), ("client",), ("netd",),
                  ("broker",), ("broker", "netd"), ("anchor",)):
        death(world, *kinds)
    refused_with_words("another network on a full disk", lambda: acquire("host"))
    os.unlink(blob)
    acquire("host")
    world.settle("there is room again")
    world.need_third("there is room again")
    world.finish()


def set_writable(yes):
    """What a file system that went read-only refuses, modes refuse to its owner as well: to
    make, replace or open for writing. What is open stays so."""
    for directory, _, names in os.walk(STATE):
        os.chmod(directory, 0o700 if yes else 0o500)
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # somebody's new file has its name now
                os.chmod(os.path.join(directory, name), 0o600 if yes else 0o400)


def story_readonly(_):
    world = World().begin()
    set_writable(False)
    acquire("shared")
    refused_with_words("another network in a read-only directory", lambda: acquire("host"))
    for kinds in (("client",), ("engine",), ("relay",), ("anchor",)):
        death(world, *kinds)
    # Without a lock and a journal nothing may start; what runs goes on, and waits.
    kill_all(pids("netd") + pids("broker"))
    time.sleep(1)
    world.check_services("read-only, netd and broker killed")
    # dnsmasq cannot start without its lease file, but guests still have each other.
    kill_all(pids("dnsmasq"))
    time.sleep(1)
    world.check_services("read-only, netd, broker and dnsmasq killed", besides("dnsmasq"))
    set_writable(True)
    world.settle("writable again", patience=30)
    world.need_third("writable again")
    acquire("host")
    world.finish()
