#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deaths.py STORY [OPTION...] - everything of ours dies, and running guests do not notice.

Runs as an ordinary user inside a world (tests/system/world): two guests under traffic on
`shared` (deaths_guest.py), and a third that is being started again and again. Stories:

  random    SIGKILL of whatever there is, alone or in pairs, at random moments
            --deaths N (200), --seconds MAX (120), --seed S, --kinds KIND,KIND...
  each      every kind once alone, and every pair of kinds once
  stopped   dnsmasq and netd hang (SIGSTOP) for a while
  group     the process group of the first VM is killed
  runtime   the runtime directory is removed, then broker or netd dies
  journal   netd and broker die, and the journal is cut
  limits    descriptors and processes run out
  full      the state directory's disk is full (needs a small one: see deaths.bats)
  readonly  the state directory is read-only for a while (with deaths.bats)

What must hold after each death: the two guests' pings to each other never pause for more
than a second; DHCP, DNS and the outside work again within two; references and interfaces in
`status` are those that live. At the end all is killed, and everything goes away by itself.
The exit status is 0 when all of it held.
"""

import argparse
import array
import json
import mmap
import os
import random
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

from deaths_guest import SERVICES, SIZE, Board, Guest

BROKER = "com.github.nirs.vmnet-broker"
RUNTIME = os.environ["XDG_RUNTIME_DIR"] + "/vmnet-broker"
STATE = os.environ["XDG_STATE_HOME"] + "/vmnet-broker"
IDLE = 2  # seconds; no story waits for the default of two minutes
WITHIN = 2.0  # for DHCP, DNS, outside and status
GAP = 1.0  # of layer 2
KINDS = ("client", "vmm", "broker", "netd", "dnsmasq", "engine", "relay", "anchor", "spawner")

failures = []


def fail(words):
    failures.append(words)
    print("NOT OK  " + words, flush=True)


def say(words):
    print("        " + words, flush=True)


# ---- Varlink -------------------------------------------------------------------------------


class Refused(Exception):
    """The broker said no; str() is its reason."""


class Connection:
    def __init__(self, timeout=20):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(RUNTIME + "/broker.sock")
        except OSError:
            self.sock.close()
            raise

    def send(self, method, parameters):
        request = {"method": f"{BROKER}.{method}", "parameters": parameters}
        self.sock.sendall(json.dumps(request).encode() + b"\0")

    def receive(self):
        seen, fds = b"", array.array("i")
        while not seen.endswith(b"\0"):
            piece, control, _, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(32 * fds.itemsize))
            if not piece:
                raise ConnectionError("the broker hung up")
            seen += piece
            for _, _, data in control:
                fds.frombytes(data)
        reply = json.loads(seen[:-1])
        if "error" in reply:
            raise Refused(reply.get("parameters", {}).get("message") or reply["error"])
        return reply.get("parameters", {}), list(fds)

    def call(self, method, **parameters):
        self.send(method, parameters)
        return self.receive()

    def close(self):
        self.sock.close()


def start_broker(*prefix):
    """As the library does it: whoever finds the lock taken has lost a race, no more."""
    subprocess.run([*prefix, "vmnet-broker", "--user", "--background", "--idle-timeout", str(IDLE)],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   timeout=30, check=False)


def connect(patience=8.0):
    end = time.monotonic() + patience
    while True:
        try:
            return Connection()
        except OSError:
            if time.monotonic() > end:
                raise
        start_broker()


# ---- processes -----------------------------------------------------------------------------


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def state_of(pid):
    """One letter; "" when there is no such process."""
    stat = read(f"/proc/{pid}/stat")
    return stat.rpartition(")")[2].split()[0] if stat else ""


def alive(pid):
    return pid > 0 and state_of(pid) not in ("", "Z", "X")


def kind_of(pid):
    comm = read(f"/proc/{pid}/comm").strip()
    if comm.startswith("vmnet-"):
        return comm[6:]
    if comm == "dnsmasq" and "/netd/" in read(f"/proc/{pid}/cmdline"):
        return "dnsmasq"
    if comm.startswith(("pasta", "passt", "slirp4netns")):
        return "engine"
    return ""


def ours():
    """{pid: kind} of everything that the broker and its helper consist of."""
    found = {}
    for name in os.listdir("/proc"):
        try:
            if not name.isdigit() or os.stat("/proc/" + name).st_uid not in (os.getuid(), 0):
                continue
        except OSError:
            continue
        kind = kind_of(int(name))
        if kind and alive(int(name)):
            found[int(name)] = kind
    return found


def pids(kind):
    return [pid for pid, k in ours().items() if k == kind]


def kill(pid, sig=signal.SIGKILL):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def kill_all(pids_):
    """All at once; they are dead when this returns."""
    for pid in pids_:
        kill(pid)
    end = time.monotonic() + 1
    while any(alive(pid) for pid in pids_) and time.monotonic() < end:
        time.sleep(0.001)


def wait_until(what, condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            fail(f"not within {seconds} s: {what}")
            return False
        time.sleep(0.01)
    return True


def fork(run, *args):
    """A child that only runs this; it never returns here."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        run(*args)
    except (OSError, Refused, ValueError) as e:
        os.write(2, f"({os.getpid()}: {e})\n".encode() if os.environ.get("VERBOSE") else b"")
        os._exit(1)
    finally:
        os._exit(0)


# ---- clients and guests --------------------------------------------------------------------


def vmm_main(fd, interface, network, board):
    os.setsid()  # as a VMM that its manager has let go
    for other in range(3, 64):
        if other != fd:
            try:
                os.close(other)
            except OSError:
                pass
    Guest(fd, interface, network, board).run()


def start_vmm(connection, name, board):
    network, _ = connection.call("Acquire", network_name="shared")
    reply, fds = connection.call("StartInterface", network_name="shared", name=name, offload=False)
    fork(vmm_main, fds[0], reply["interface"], network["network"], board)
    os.close(fds[0])


def client_main(name, board, holder):
    """The one that holds the network; its VM is another process."""
    connection = connect()
    start_vmm(connection, name, board)
    hold(connection, holder)


def hold(connection, holder):
    holder.set("leased", 1)
    connection.sock.settimeout(None)
    try:
        connection.sock.recv(1)
    except OSError:
        pass
    holder.set("leased", 0)


def holder_main(holder):
    """A client that comes again whenever the broker has gone."""
    while True:
        connection = connect()
        try:
            connection.call("Acquire", network_name="shared")
            hold(connection, holder)
        except (OSError, Refused):
            time.sleep(0.02)
        connection.close()


class World:
    """Two guests with a holder each, and a third guest with its client."""

    def __init__(self, rng=None):
        self.rng = rng or random.Random(1)
        self.memory = mmap.mmap(-1, 8 * SIZE)
        self.guests = {"alpha": Board(self.memory, 0), "beta": Board(self.memory, 1)}
        self.third, self.third_client = Board(self.memory, 2), Board(self.memory, 3)
        self.holders = [Board(self.memory, 4), Board(self.memory, 5)]
        self.holder_pids = [0, 0]
        self.third_pid = 0
        self.gap = 0

    # ---- beginning and end ----

    def begin(self, broker_prefix=()):
        start_broker(*broker_prefix)
        clients = [fork(client_main, name, board, Board(self.memory, 6))
                   for name, board in self.guests.items()]
        wait_until("two guests have addresses",
                   lambda: all(b.get("leased") for b in self.guests.values()), 15)
        alpha, beta = self.guests.values()
        alpha.set("peer", beta.get("ip"))
        beta.set("peer", alpha.get("ip"))
        self.keep_holders()
        wait_until("holders hold", self.holding, 5)
        kill_all(clients)
        self.settle(time.monotonic_ns(), "the beginning", 10)
        self.forget_gaps()
        return self

    def keep_holders(self):
        for i, holder in enumerate(self.holders):
            if not alive(self.holder_pids[i]):
                holder.clear()
                self.holder_pids[i] = fork(holder_main, holder)

    def holding(self):
        return all(h.get("leased") for h in self.holders)

    def finish(self):
        """Kills all that uses networks; the rest must go by itself."""
        for pid in (*self.holder_pids, self.third_pid, self.third.get("pid"),
                    *(g.get("pid") for g in self.guests.values())):
            if alive(pid):
                kill(pid)
        self.reap()
        wait_until("everything ends by itself", lambda: not ours(), 3 * IDLE + 10)
        for pid, kind in ours().items():
            fail(f"left behind: {kind}, process {pid}, children of {os.getppid()}")
            kill(pid)
        self.check_files()

    @staticmethod
    def check_files():
        left = [f"{d}/{f}" for top in (RUNTIME, STATE) for d, _, names in os.walk(top)
                for f in names if not f.endswith((".log", ".lock")) and f != "memory.json"]
        if left:
            fail("files left behind: " + ", ".join(left))

    @staticmethod
    def reap():
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    # ---- the third guest ----

    def third_state(self):
        if self.third.get("leased") and alive(self.third.get("pid")):
            return "up"
        return "starting" if alive(self.third_pid) else "none"

    def start_third(self):
        self.end_third()
        self.third.clear()
        self.third_client.clear()
        self.third_pid = fork(client_main, "third", self.third, self.third_client)

    def end_third(self):
        kill_all([p for p in (self.third_pid, self.third.get("pid")) if alive(p)])
        self.reap()

    # ---- deaths ----

    def victims(self, kind):
        if kind == "client":
            found = [*self.holder_pids, self.third_pid]
        elif kind == "vmm":
            found = [self.third.get("pid")]
        else:
            found = pids(kind)
        return [pid for pid in found if alive(pid)]

    # ---- what must hold ----

    def late(self, since):
        """Which services have not yet answered a question that was asked after `since`."""
        return [(name, s) for name, b in self.guests.items() for s in SERVICES if b.get(s) < since]

    def settle(self, since, what, limit=WITHIN, patience=6, services=SERVICES):
        """Waits until all works again; returns the seconds since, of the slowest."""
        while missing := [m for m in self.late(since) if m[1] in services]:
            if time.monotonic_ns() - since > patience * 1e9:
                break
            time.sleep(0.01)
        took = (time.monotonic_ns() - since) / 1e9
        if missing:
            fail(f"{what}: not within {patience} s: " + ", ".join(f"{s} of {g}" for g, s in missing))
        elif took > limit:
            fail(f"{what}: all works again after {took:.2f} s only")
        return took

    def forget_gaps(self):
        for board in self.guests.values():
            board.set("worst_gap", 0)

    def check_layer2(self, what):
        for name, board in self.guests.items():
            if not alive(board.get("pid")):
                fail(f"{what}: guest {name} has died")
            silent = (time.monotonic_ns() - board.get("last_ping")) / 1e9
            gap = max(board.get("worst_gap") / 1e9, silent)
            self.gap = max(self.gap, gap)
            if gap > GAP:
                fail(f"{what}: guest {name} heard nothing of the other for {gap:.2f} s")
        self.forget_gaps()

    def wanted_status(self):
        third = alive(self.third.get("pid"))
        clients = sum(h.get("leased") for h in self.holders)
        if alive(self.third_pid) and self.third_client.get("leased"):
            clients += 1
        return clients, 2 + third

    def check_status(self, what, seconds=WITHIN):
        """References and TAPs in use are those of the processes that live."""
        end, got = time.monotonic() + seconds, None
        while time.monotonic() < end:
            try:
                connection = connect(1)
                reply, _ = connection.call("Status", network_name="shared")
                connection.close()
                for n in reply["networks"]:
                    got = n["status"]["clients"], n["status"]["interfaces"]
                if got == self.wanted_status() and self.holding():
                    return
            except (OSError, Refused, json.JSONDecodeError) as e:
                got = e
            time.sleep(0.02)
        fail(f"{what}: status says {got}, alive are {self.wanted_status()} (clients, interfaces)")


# ---- stories -------------------------------------------------------------------------------


class Tally:
    """How long it took, by what died."""

    def __init__(self):
        self.times = {}

    def add(self, names, took):
        self.times.setdefault("+".join(names), []).append(took)

    def tell(self):
        for names in sorted(self.times, key=lambda n: (n.count("+"), n)):
            times = self.times[names]
            say(f"{names:20} {len(times):3} times, all works again after "
                f"{statistics.median(times):.2f} s, at most {max(times):.2f} s")


def one_death(world, kinds, tally):
    """Kills one process of each kind, and looks."""
    world.keep_holders()
    if world.third_state() == "none" or world.rng.random() < 0.3:
        world.start_third()
    time.sleep(world.rng.random() * 0.12)
    found = [(kind, world.victims(kind)) for kind in kinds]
    chosen = [(kind, world.rng.choice(victims)) for kind, victims in found if victims]
    if not chosen:
        return 0
    names = sorted(kind for kind, _ in chosen)
    since = time.monotonic_ns()
    kill_all([pid for _, pid in chosen])
    world.reap()
    what = " and ".join(f"{k} ({p})" for k, p in chosen) + " killed"
    tally.add(names, world.settle(since, what))
    world.keep_holders()
    world.check_layer2(what)
    if world.third_state() == "starting":
        end = time.monotonic() + 3
        while world.third_state() == "starting" and time.monotonic() < end:
            if not world.third_client.get("leased") and not alive(world.third_pid):
                break
            time.sleep(0.01)
    world.check_status(what)
    return len(chosen)


def check_third(world):
    """A new guest still gets all it needs."""
    for _ in range(3):
        world.start_third()
        end = time.monotonic() + 5
        while world.third_state() == "starting" and time.monotonic() < end:
            time.sleep(0.01)
        if world.third_state() == "up":
            return
    fail("a third guest cannot be started any more")


def story_random(options):
    rng = random.Random(options.seed)
    world, tally, deaths = World(rng).begin(), Tally(), 0
    kinds = options.kinds.split(",")
    end = time.monotonic() + options.seconds
    while deaths < options.deaths and time.monotonic() < end and len(failures) < 4:
        n = one_death(world, rng.sample(kinds, min(len(kinds), rng.choice((1, 1, 2)))), tally)
        if deaths // 20 != (deaths + n) // 20:
            check_third(world)
        deaths += n
    check_third(world)
    tally.tell()
    say(f"{deaths} deaths, seed {options.seed}; the longest silence between the two guests: "
        f"{world.gap:.2f} s")
    world.finish()


def story_each(options):
    rng = random.Random(options.seed)
    world, tally = World(rng).begin(), Tally()
    kinds = options.kinds.split(",")
    for i, first in enumerate(kinds):
        for second in kinds[i:]:
            if len(failures) < 4:
                one_death(world, [first] if first == second else [first, second], tally)
    check_third(world)
    tally.tell()
    world.finish()


def story_stopped(options):
    world = World().begin()
    for kind, services in (("dnsmasq", ("outside udp", "outside tcp")), ("netd", SERVICES)):
        pid = pids(kind)[0]
        kill(pid, signal.SIGSTOP)
        since = time.monotonic_ns()
        world.settle(since, f"{kind} stopped", services=services)
        time.sleep(options.pause)
        world.check_layer2(f"{kind} stopped")
        began = time.monotonic()
        connection = connect()
        connection.call("Acquire", network_name="shared")
        connection.call("Status")
        connection.close()
        if time.monotonic() - began > 3:
            fail(f"{kind} stopped: the broker took {time.monotonic() - began:.1f} s")
        kill(pid, signal.SIGCONT)
        world.settle(time.monotonic_ns(), f"{kind} goes on")
        world.check_status(f"{kind} goes on")
    # One that is stopped and then dies is no different from one that dies.
    for kind in ("dnsmasq", "netd"):
        pid = pids(kind)[0]
        kill(pid, signal.SIGSTOP)
        since = time.monotonic_ns()
        kill(pid)
        world.settle(since, f"{kind} stopped and killed")
        world.check_status(f"{kind} stopped and killed")
    check_third(world)
    world.finish()


def first_vm(memory):
    """Starts everything from its own process group, as a shell would."""
    os.setpgid(0, 0)
    connection = connect()
    network, _ = connection.call("Acquire", network_name="shared")
    reply, fds = connection.call("StartInterface", network_name="shared", name="first",
                                 offload=False)
    Guest(fds[0], reply["interface"], network["network"], Board(memory, 2)).run()


def story_group(_):
    world = World()
    first = fork(first_vm, world.memory)
    wait_until("the first VM is up", lambda: world.third.get("leased"), 15)
    world.begin()
    since = time.monotonic_ns()
    os.killpg(first, signal.SIGKILL)
    world.reap()
    world.settle(since, "the first VM's process group killed")
    world.check_layer2("the first VM's process group killed")
    world.check_status("the first VM's process group killed")
    world.finish()


def story_runtime(options):
    world, tally = World().begin(), Tally()
    for kinds in ((), ("broker",), ("netd",), ("broker", "netd"), ("client",)):
        what = "runtime directory removed" + "".join(f", {k} killed" for k in kinds)
        shutil.rmtree(RUNTIME)
        since = time.monotonic_ns()
        if options.pause:
            time.sleep(world.rng.random() * options.pause)
        kill_all([world.victims(kind)[0] for kind in kinds])
        tally.add(kinds or ("nothing",), world.settle(since, what, limit=WITHIN + options.pause))
        world.keep_holders()
        world.check_layer2(what)
        world.check_status(what, 10)
        wait_until("netd.sock is there again", lambda: os.path.exists(RUNTIME + "/netd.sock"), 10)
        check_third(world)
    tally.tell()
    world.finish()


def cut_journal(world, keep, what):
    """netd and broker die, and of the journal only `keep` of its bytes stay."""
    path = STATE + "/netd/journal"
    brokers = pids("broker")
    for pid in brokers:
        kill(pid, signal.SIGSTOP)  # it must not start a netd before we have cut
    for pid in pids("netd"):
        kill(pid)
    wait_until("netd has gone", lambda: not pids("netd"), 2)
    size = os.path.getsize(path)
    os.truncate(path, int(size * keep))
    since = time.monotonic_ns()
    for pid in brokers:
        kill(pid)
    took = world.settle(since, what)
    world.check_layer2(what)
    world.check_status(what)
    return took


def story_journal(options):
    world, tally = World().begin(), Tally()
    for i in range(options.cuts, -1, -1):
        keep = i / options.cuts
        tally.add([f"{keep:.0%} of the journal"], cut_journal(world, keep, f"{keep:.0%} kept"))
        if failures:
            break
    check_third(world)
    tally.tell()
    world.finish()


def limit(pid, resource, soft):
    subprocess.run(["prlimit", f"--pid={pid}", f"--{resource}={soft}:"], check=True, timeout=5)


def soft_limit(pid, name):
    for line in read(f"/proc/{pid}/limits").splitlines():
        if line.startswith(name):
            return line[len(name) :].split()[0]
    return "unlimited"


def refused_with_words(what, action):
    try:
        action()
    except Refused as e:
        say(f"{what}: {e}")
        return
    except OSError as e:
        fail(f"{what}: {e} instead of a reason")
        return
    fail(f"{what}: not refused")


def acquire_host():
    connection = connect()
    try:
        connection.call("Acquire", network_name="host")
    finally:
        connection.close()


def story_limits(_):
    world = World().begin()
    for kind, resource, name in (("spawner", "nproc", "Max processes"),
                                 ("netd", "nofile", "Max open files")):
        pid = pids(kind)[0]
        before = soft_limit(pid, name)
        limit(pid, resource, 1 if resource == "nproc" else len(os.listdir(f"/proc/{pid}/fd")))
        refused_with_words(f"{kind} has no {resource} left", acquire_host)
        world.settle(time.monotonic_ns(), f"{kind} at its limit")
        world.check_layer2(f"{kind} at its limit")
        limit(pid, resource, before)
        connection = connect()
        connection.call("Acquire", network_name="host")
        connection.close()
    broker_out_of_descriptors(world)
    check_third(world)
    world.finish()


def broker_out_of_descriptors(world):
    broker = pids("broker")[0]
    before = soft_limit(broker, "Max open files")
    mine = connect()
    limit(broker, "nofile", len(os.listdir(f"/proc/{broker}/fd")) + 5)
    crowd = []
    for _ in range(20):
        crowd.append(connect())
    mine.call("Status")  # who is connected is served
    world.settle(time.monotonic_ns(), "broker at its limit")
    for connection in crowd:
        connection.close()
    since = time.monotonic()
    connect().call("Acquire", network_name="shared")
    if time.monotonic() - since > WITHIN:
        fail("the broker recovers too slowly from having no descriptors")
    limit(broker, "nofile", before)


def story_full(_):
    """STATE is on a small file system of its own."""
    world = World().begin()
    blob = STATE + "/blob.log"
    with open(blob, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    say(f"filled with {os.path.getsize(blob) >> 10} KiB")
    tally = Tally()
    for kinds in (["dnsmasq"], ["engine"], ["relay"], ["client"], ["netd"], ["broker"],
                  ["broker", "netd"], ["anchor"]):
        one_death(world, kinds, tally)
    try:
        acquire_host()
    except Refused as e:
        say(f"another network on a full disk: {e}")
    os.unlink(blob)
    tally.tell()
    check_third(world)
    acquire_host()
    world.check_status("there is room again")
    world.finish()


def handshake(marker):
    """deaths.bats does what only root may, between two of our steps."""
    open(f"{os.environ['HOME']}/{marker}", "w").close()
    wait_until(f"{marker} done", lambda: os.path.exists(f"{os.environ['HOME']}/{marker}-done"), 20)


def story_readonly(_):
    world = World().begin()
    handshake("make-readonly")
    world.settle(time.monotonic_ns(), "state directory read-only")
    connection = connect()
    connection.call("Acquire", network_name="shared")
    connection.close()
    refused_with_words("another network with a read-only state directory", acquire_host)
    tally = Tally()
    for kinds in (["client"], ["engine"], ["relay"], ["dnsmasq"], ["anchor"]):
        one_death(world, kinds, tally)
    tally.tell()
    # Without a lock and a journal nothing may start; what runs goes on, and waits.
    for kind in ("netd", "broker"):
        for pid in pids(kind):
            kill(pid)
    time.sleep(1)
    world.settle(time.monotonic_ns(), "read-only, netd and broker killed")
    world.check_layer2("read-only, netd and broker killed")
    handshake("make-writable")
    world.check_status("writable again", 15)
    check_third(world)
    acquire_host()
    world.finish()


def show_logs():
    for name in ("broker.log", "netd.log"):
        for line in read(f"{STATE}/{name}").splitlines()[-40:]:
            say(f"{name}: {line}")


def main():
    stories = {name[6:]: run for name, run in globals().items() if name.startswith("story_")}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("story", choices=stories)
    parser.add_argument("--deaths", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--pause", type=float, default=3)
    parser.add_argument("--cuts", type=int, default=8)
    options = parser.parse_args()
    began = time.monotonic()
    try:
        stories[options.story](options)
    finally:
        for pid in ours():  # only what this world's user started here
            if failures:
                kill(pid)
    say(f"{time.monotonic() - began:.1f} s")
    if failures:
        say(f"seed {options.seed}")
        show_logs()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
