# SPDX-License-Identifier: Apache-2.0
"""deaths_world.py - two guests under traffic, a third being started, and what must hold.

Used by deaths.py. Everything runs as an ordinary user inside a world (tests/system/world), so
that each process which looks like one of ours is one of ours.
"""

import array
import json
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
import time

from deaths_guest import SERVICES, SIZE, Board, Guest

BROKER = "com.github.nirs.vmnet-broker"
RUNTIME = os.environ["XDG_RUNTIME_DIR"] + "/vmnet-broker"
STATE = os.environ["XDG_STATE_HOME"] + "/vmnet-broker"
PROGRAM = os.environ["HOME"] + "/vmnet-broker"  # a link to another broker than the installed one
IDLE = 2  # seconds; no story waits for the default of two minutes
# The design's 2 s are measured and told (bench/soak); here it is only never or at last, for
# others may be using this machine.
PATIENCE = 20.0
# What a broker in use consists of. The starter is wanted by the broker only.
PARTS = {"broker", "netd", "dnsmasq", "engine", "relay", "anchor", "spawner", "forwarder"}
PORTS = {"alpha": 7001, "beta": 7002}  # of the host, which lead to these guests
CLIENTS = {"client", "vmm"}

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

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

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
        request = {"method": f"{BROKER}.{method}", "parameters": parameters}
        self.sock.sendall(json.dumps(request).encode() + b"\0")
        return self.receive()


def start_broker(*prefix):
    """As the library does it: whoever finds the lock taken has lost a race, no more."""
    program = PROGRAM if os.path.islink(PROGRAM) else "vmnet-broker"
    subprocess.run([*prefix, program, "--user", "--background", "--idle-timeout", str(IDLE)],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   timeout=30, check=False)


def connect(patience=PATIENCE):
    end = time.monotonic() + patience
    while True:
        try:
            return Connection()
        except OSError:
            if time.monotonic() > end:
                raise
        start_broker()


def acquire(network):
    """Holds it for a moment."""
    with connect() as connection:
        connection.call("Acquire", network_name=network)


# ---- processes -----------------------------------------------------------------------------


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def alive(pid):
    stat = read(f"/proc/{pid}/stat") if pid > 0 else ""
    return bool(stat) and stat.rpartition(")")[2].split()[0] not in ("Z", "X")


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


def the(kind):
    """The one process of this kind, waited for if it is only just being started."""
    found = []
    wait_until(f"there is a {kind}", lambda: found.extend(pids(kind)) or found)
    return found[0]


def kill(pid, sig=signal.SIGKILL):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def kill_all(victims):
    """All at once; they are dead when this returns."""
    for pid in victims:
        kill(pid)
    end = time.monotonic() + PATIENCE
    while any(alive(pid) for pid in victims) and time.monotonic() < end:
        time.sleep(0.001)


def wait_until(what, condition, seconds=PATIENCE):
    """Whoever is asked may just be ending: it is asked again."""
    def holds():
        try:
            return condition()
        except (OSError, Refused):
            return False

    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            fail(f"not within {seconds:g} s: {what}")
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
        run(*args)
    except (OSError, Refused, ValueError) as e:
        os.write(2, f"({os.getpid()}: {e})\n".encode() if os.environ.get("VERBOSE") else b"")
        os._exit(1)
    finally:
        os._exit(0)


# ---- clients and guests --------------------------------------------------------------------


def vmm_main(fd, reply, network, board, name, peer_name):
    os.setsid()  # as a VMM that its manager has let go
    os.closerange(3, fd)
    os.closerange(fd + 1, 256)
    Guest(fd, reply["interface"], network["network"], board, peer_name,
          PORTS.get(name, 0)).run()


def forward_ports(connection, name, interface_id):
    for protocol in ("udp", "tcp"):
        connection.call("AddForward", network_name="shared", interface_id=interface_id,
                        protocol=protocol, listen_address="127.0.0.1", external_port=PORTS[name],
                        internal_port=7)


def start_vmm(connection, name, board, peer_name):
    network, _ = connection.call("Acquire", network_name="shared")
    reply, fds = connection.call("StartInterface", network_name="shared", name=name, offload=False)
    if name in PORTS:
        forward_ports(connection, name, reply["interface"]["id"])
    fork(vmm_main, fds[0], reply, network, board, name, peer_name)
    os.close(fds[0])


def client_main(name, board, holder, peer_name=""):
    """The one that holds the network; its VM is another process."""
    connection = connect()
    start_vmm(connection, name, board, peer_name)
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
        with connect() as connection:
            try:
                connection.call("Acquire", network_name="shared")
                hold(connection, holder)
            except (OSError, Refused):
                time.sleep(0.02)


# ---- the world -----------------------------------------------------------------------------


class World:
    """Two guests with a holder each, and a third guest with its client."""

    def __init__(self):
        self.memory = mmap.mmap(-1, 8 * SIZE)
        self.guests = {"alpha": Board(self.memory, 0), "beta": Board(self.memory, 1)}
        self.third, self.third_client = Board(self.memory, 2), Board(self.memory, 3)
        self.holders = [Board(self.memory, 4), Board(self.memory, 5)]
        self.holder_pids = [0, 0]
        self.third_pid = 0
        self.identities = {}  # by name: MAC and address, as they were the first time

    # ---- beginning and end ----

    def begin(self, broker_prefix=()):
        start_broker(*broker_prefix)
        peers = dict(zip(self.guests, reversed(self.guests)))
        clients = [fork(client_main, name, board, Board(self.memory, 6), peers[name])
                   for name, board in self.guests.items()]
        wait_until("two guests have addresses",
                   lambda: all(b.get("leased") for b in self.guests.values()), 20)
        alpha, beta = self.guests.values()
        alpha.set("peer", beta.get("ip"))
        beta.set("peer", alpha.get("ip"))
        self.keep_holders()
        wait_until("holders hold", self.holding)
        kill_all(clients)
        # They knew neither each other's MAC nor, for a moment, each other's name.
        self.check_status("the beginning")
        wait_until("the beginning: guests are served", lambda: not self.late(1, SERVICES))
        self.take_outages()
        return self

    def keep_holders(self):
        for i, holder in enumerate(self.holders):
            if not alive(self.holder_pids[i]):
                holder.clear()
                self.holder_pids[i] = fork(holder_main, holder)

    def holding(self):
        return all(h.get("leased") for h in self.holders)

    def finish(self, broker_first=False):
        """Kills all that uses networks; the rest must go by itself. Without a broker it is netd
        that sees when the time has come."""
        kill_all([p for p in (*self.holder_pids, self.third_pid) if alive(p)])
        if broker_first:
            for pid in pids("broker"):
                kill(pid, signal.SIGTERM)
            wait_until("the broker ends", lambda: not pids("broker"))
        kill_all([p for p in (self.third.get("pid"), *(g.get("pid") for g in self.guests.values()))
                  if alive(p)])
        self.reap()
        wait_until("everything ends by itself", lambda: not ours(), 3 * IDLE + PATIENCE)
        for pid, kind in ours().items():
            fail(f"left behind: {kind}, process {pid}")
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
        if self.third.get("pid"):
            vmm = alive(self.third.get("pid"))
            return "none" if not vmm else "up" if self.third.get("leased") else "starting"
        return "starting" if alive(self.third_pid) else "none"

    def start_third(self):
        kill_all([p for p in (self.third_pid, self.third.get("pid")) if alive(p)])
        self.reap()
        self.third.clear()
        self.third_client.clear()
        self.third_pid = fork(client_main, "third", self.third, self.third_client)

    def need_third(self, what):
        """A new guest gets all it needs; who failed while something died may try again."""
        end = time.monotonic() + PATIENCE
        while self.third_state() != "up" and time.monotonic() < end:
            if self.third_state() == "none":
                self.start_third()
            time.sleep(0.01)
        if self.third_state() != "up":
            fail(f"{what}: a third guest cannot be started any more")

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

    def settle(self, what, services=SERVICES, patience=PATIENCE):
        """Waits until all is as it should be, and says what the guests noticed since the last
        time: {service: seconds}."""
        self.check_status(what, patience)
        return self.check_services(what, services, patience)

    def late(self, since, services):
        """Which services have not yet answered a question that was asked after `since`."""
        return [f"{s} of {g}" for g, board in self.guests.items() for s in services
                if board.get(s + ":ok") < since]

    def check_services(self, what, services=SERVICES, patience=PATIENCE):
        since = time.monotonic_ns()
        wait_until(f"{what}: guests are served", lambda: not self.late(since, services), patience)
        if missing := self.late(since, services):
            fail(f"{what}: no " + ", no ".join(missing))
        for name, board in self.guests.items():
            if not alive(board.get("pid")):
                fail(f"{what}: guest {name} has died")
            if lost := board.get("layer 2:lost"):
                fail(f"{what}: guest {name} lost {lost} pings to the other")
            if wrong := board.get("wrong"):
                fail(f"{what}: guest {name} got {wrong} wrong answers")
        return self.take_outages()

    def take_outages(self):
        boards = self.guests.values()
        outages = {s: max(b.get(s + ":outage") for b in boards) / 1e9 for s in SERVICES}
        for board in boards:
            board.set("wrong", 0)
            for s in SERVICES:
                board.set(s + ":outage", 0)
                board.set(s + ":lost", 0)
        return outages

    def wanted(self):
        """(clients, {name: (mac, address)}, [ports]) that live, as `status` should have it."""
        clients = sum(h.get("leased") for h in self.holders)
        if alive(self.third_pid) and self.third_client.get("leased"):
            clients += 1
        boards = dict(self.guests, third=self.third)
        up = {name: (b.get("mac"), b.get("ip")) for name, b in boards.items() if alive(b.get("pid"))}
        ports = sorted((PORTS[name], protocol) for name in up if name in PORTS
                       for protocol in ("tcp", "udp"))
        return clients, up, ports

    @staticmethod
    def got():
        """The same, as `status` has it."""
        with connect(1) as connection:
            reply, _ = connection.call("Status", network_name="shared")
            forwards, _ = connection.call("ListForwards", network_name="shared")
        (network,) = reply["networks"]
        uplink = network["status"].get("network", {}).get("uplink")
        up = {i["name"]: (int(i["mac_address"].replace(":", ""), 16),
                          int.from_bytes(socket.inet_aton(i["ipv4_address"]), "big"))
              for i in network["interfaces"]}
        ports = sorted((f["external_port"], f["protocol"]) for f in forwards["forwards"]
                       if f["state"] == "listening")
        return network["status"]["clients"], up, ports, uplink

    def check_status(self, what, patience=PATIENCE):
        """References, interfaces and their addresses are those of the processes that live, and
        nothing of ours is missing."""
        end, got = time.monotonic() + patience, None
        while time.monotonic() < end:
            self.reap()
            missing = PARTS - set(ours().values())
            try:
                got = self.got()
                if got == (*self.wanted(), "ok") and not missing and self.holding() and \
                        self.third_state() != "starting":
                    self.check_identities(what, got[1])
                    return
            except (OSError, Refused, ValueError, LookupError, TypeError) as e:  # half there
                got = e
            time.sleep(0.02)
        fail(f"{what}: status says {got}, alive are {self.wanted()}"
             + "".join(f", there is no {part}" for part in sorted(missing)))

    def check_identities(self, what, up):
        for name, identity in up.items():
            if self.identities.setdefault(name, identity) != identity:
                fail(f"{what}: {name} had {self.identities[name]} (MAC, address), has {identity}")
