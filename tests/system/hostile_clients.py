#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hostile_clients.py SOCKET SCENE - what one user's programs can do to the broker of many.

Root connects as whoever it likes, for a socket keeps the user who connected it. In every scene
an honest user holds a network before, is answered meanwhile on that connection and on a new one,
gets an interface, and finds everything as it was afterwards.
"""
import contextlib
import os
import pathlib
import resource
import select
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "wire"))
from varlink_client import BROKER, TIMEOUT, Client, Closed, message  # noqa: E402

SOCKET = sys.argv[1]
HONEST, EVIL = 5000, 5001
CROWD = 10_000
CONNECTIONS, NETWORKS, INTERFACES, QUEUES = 512, 32, 128, 1024  # vmnet-broker(8)
WAITING, WATCHERS = 256, 8
SCENES = {}


def scene(function):
    SCENES[function.__name__] = function
    return function


@contextlib.contextmanager
def being(uid):
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def client(uid):
    with being(uid):
        return Client(SOCKET)


def network(reply):
    return reply["parameters"]["network"]["name"]


def refused(reply, *words):
    """NotAllowed, with the limit and the remedy."""
    assert reply.get("error") == f"{BROKER}.NotAllowed", reply
    assert reply["parameters"]["code"] == 3, reply
    for word in words:
        assert word in reply["parameters"]["message"], (word, reply)


def start(who, **wishes):
    return who.call("StartInterface", {"network_name": "shared", **wishes})


def started(who, **wishes):
    """Its interface, as soon as the one before has gone."""
    reply = start(who, **wishes)
    for _ in range(400):
        if "error" not in reply:
            return reply["parameters"]["interface"]
        assert "in use by a running VM" in reply["parameters"]["message"], reply
        time.sleep(0.05)
        reply = start(who, **wishes)
    raise AssertionError(reply)


class Broker:
    """The broker as root sees it."""

    def __init__(self):
        self.root = client(0)
        self.pid = self.status()["broker"]["pid"]
        self.log = pathlib.Path(self.status()["broker"]["log"])

    def status(self):
        return self.root.call("Status")["parameters"]

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def most_files(self):
        limits = pathlib.Path(f"/proc/{self.pid}/limits").read_text()
        soft, hard = next(line.split()[3:5] for line in limits.splitlines()
                          if line.startswith("Max open files"))
        assert soft == hard, "it may have as many files as it is allowed to ask for"
        return int(soft)

    def memory(self):
        """In KiB; 0 where nobody can tell, since the sanitizer keeps what was freed."""
        if "libasan" in pathlib.Path(f"/proc/{self.pid}/maps").read_text():
            return 0
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines()
                    if line.startswith("VmRSS"))

    def settles(self, files):
        """Until as many descriptors are open; how many there are."""
        for _ in range(400):
            if self.files() == files:
                break
            time.sleep(0.05)
        return self.files()

    def netd(self):
        for entry in pathlib.Path("/proc").glob("[0-9]*/comm"):
            with contextlib.suppress(OSError):
                if entry.read_text() == "vmnet-netd\n":
                    return int(entry.parent.name)
        raise AssertionError("there is no netd")


class Honest:
    """Holds a network through all that follows."""

    def __init__(self):
        self.held = client(HONEST)
        assert network(self.held.acquire()) == "shared"
        self.is_served()

    def is_served(self):
        assert network(self.held.acquire()) == "shared"
        assert "networks" in self.held.call("List")["parameters"]
        with client(HONEST) as new:
            assert network(new.acquire()) == "shared"
            reply = start(new)
            assert len(new.fds) == 1 and "interface" in reply["parameters"], reply


@contextlib.contextmanager
def process_of(uid, action):
    """action(), over and over, by a process of this user."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            while True:
                with contextlib.suppress(OSError, Closed):
                    action()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def first_error(clients):
    """Requests that come at the same time have no order: it is any one's answer."""
    while True:
        ready = select.select([one.sock for one in clients], [], [], TIMEOUT)[0]
        assert ready, "nobody is told of an error"
        for reply in (one.receive() for one in clients if one.sock in ready):
            if "error" in reply:
                return reply


def close_all(clients):
    for one in clients:
        one.close()


# ---- connections ---------------------------------------------------------------------------


@scene
def silent(broker, honest):
    """10,000 connections of one user that never say a word."""
    first = client(EVIL)
    assert network(first.acquire("shared")) == "shared"
    crowd = [client(EVIL) for _ in range(CROWD)]
    honest.is_served()
    assert broker.files() < CONNECTIONS + 100, "the broker keeps those it refuses"
    refused(crowd[-1].receive(), f"uid {EVIL} has {CONNECTIONS} connections", "end programs")
    assert crowd[-1].is_closed()
    refused(crowd[CONNECTIONS].call("List"), "connections")  # one of those that are kept to ask
    assert "networks" in crowd[0].call("List")["parameters"], "who is inside stays inside"
    assert network(first.acquire("shared")) == "shared"
    close_all([first, *crowd])


@scene
def silent_of_many_users(broker, honest):
    """As many connections as the broker can have, of users who each keep to their limits."""
    before = broker.memory()
    spare = broker.most_files() - 128
    most = min(CROWD, spare - spare // 4 - 50)
    each = min(CONNECTIONS, spare // 4)
    crowd = [client(EVIL + i // each) for i in range(most)]
    honest.is_served()
    assert broker.files() >= most, "these are connections that it has"
    honest.is_served()
    grown = broker.memory() - before
    assert grown < 6 * most, f"{grown} KiB for {most} connections"
    close_all(crowd)


@scene
def connecting(broker, honest):
    """Connects and hangs up, connects and stays, connects and goes while it waits."""
    kept = []

    def stay():
        if len(kept) > 2000:
            close_all(kept)
            kept.clear()
        kept.append(Client(SOCKET))

    def ask_and_go():
        with Client(SOCKET) as one:
            one.send(message("Acquire", {"network_name": "shared"}), message("Status"))

    before = broker.log.stat().st_size
    with process_of(EVIL, lambda: Client(SOCKET).close()), process_of(EVIL + 1, stay), \
            process_of(EVIL + 2, ask_and_go):
        for _ in range(10):
            honest.is_served()
            time.sleep(0.1)
        broker.status()  # root's, too
    lines = broker.log.read_bytes()[before:].decode()
    for uid in range(EVIL, EVIL + 3):
        n = lines.count(f"uid {uid}]")
        assert n < 3 * 601, f"{n} lines of the log are about uid {uid}"


# ---- requests ------------------------------------------------------------------------------


@scene
def slow(broker, honest):
    """Byte by byte, half a request, and answers that nobody reads."""
    before = broker.memory()
    request = message("Acquire", {"network_name": "shared"})
    writers = [client(EVIL) for _ in range(200)]
    readers = [client(EVIL + 1) for _ in range(200)]
    for reader in readers:
        assert network(reader.acquire("shared")) == "shared"
        reader.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                reader.sock.send(message("Status") * 50)
    for i in range(len(request) - 1):
        for writer in writers:
            writer.send(request[i:i + 1])
        if i % 10 == 0:
            honest.is_served()
    for writer in writers[::2]:
        writer.send(request[-1:])
    for writer in writers[::2]:
        assert network(writer.receive()) == "shared"
    honest.is_served()
    grown = broker.memory() - before
    assert grown < 64_000, f"{grown} KiB for 200 slow writers and 200 slow readers"
    close_all(writers + readers)


@scene
def full_of_requests(broker, honest):
    """400 connections with requests waiting all the time."""
    inside = []

    def talk():
        if not inside:
            inside.extend(Client(SOCKET) for _ in range(400))
            for one in inside:
                one.sock.setblocking(False)
        for one in inside:
            with contextlib.suppress(BlockingIOError):
                one.sock.send(message("Status") + message("Acquire", {"network_name": "shared"}))
            with contextlib.suppress(BlockingIOError):
                one.sock.recv(1 << 20)

    with process_of(EVIL, talk):
        for _ in range(10):
            honest.is_served()
            time.sleep(0.1)


@scene
def descriptors(broker, honest):
    """Descriptors where none belong, as many as a message can carry."""
    with open("/dev/null", "rb") as null:
        for _ in range(500):
            with client(EVIL) as one:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    for _ in range(3):
                        one.send_fds(message("List"), [null.fileno()] * 253)
                assert one.is_closed()
    honest.is_served()


@scene
def corpora(broker, honest):
    """Every request of the fuzzers' corpora: each on a connection of its own, then all that
    can be in sequence on one, with an honest request in between."""
    seeds = HERE.parent / "fuzz" / "seeds"
    requests = [path.read_bytes()[1:] for path in sorted((seeds / "transport").iterdir())]
    requests += [path.read_bytes() for path in sorted((seeds / "varlink").iterdir())]
    assert len(requests) > 30, "the corpora are not where they were"
    for request in requests:
        with client(EVIL) as one:
            hear_all(one, request)
        honest.is_served()
    one = client(EVIL)
    for request in requests:
        if not hear_all(one, request):
            one.close()
            one = client(EVIL)
    one.close()


def hear_all(one, request):
    """False: the broker has hung up."""
    one.sock.settimeout(0.1)
    try:
        with contextlib.suppress(TimeoutError):
            one.send(request)
        while True:
            one.receive()
    except TimeoutError:
        return True
    except (Closed, OSError):
        return False


# ---- limits --------------------------------------------------------------------------------


@scene
def interfaces(broker, honest):
    """As many interfaces as one user may have, and one more; then as many queues."""
    one = client(EVIL)
    one.acquire("shared")
    for _ in range(INTERFACES):
        assert "interface" in start(one)["parameters"]
    refused(start(one), f"uid {EVIL} has {INTERFACES} interfaces", "end a VM")
    honest.is_served()
    assert network(one.acquire("shared")) == "shared"
    with client(EVIL + 1) as other:
        other.acquire("shared")
        for _ in range(QUEUES // 16):
            assert "interface" in start(other, queues=16)["parameters"]
        refused(start(other), f"uid {EVIL + 1} would have {QUEUES + 1} queues", "ask for fewer")
    honest.is_served()
    one.close()


@scene
def networks(broker, honest):
    """As many networks as one user may hold, over two connections, and one more."""
    one, two = client(EVIL), client(EVIL)
    for i in range(NETWORKS):
        assert network((one, two)[i % 2].acquire(f"n{i}")) == f"n{i}"
    refused(one.acquire("lab"), f"uid {EVIL} has {NETWORKS} networks", "release one")
    assert network(two.acquire("n0")) == "n0", "what one has already is no network more"
    honest.is_served()
    assert network(honest.held.acquire("lab")) == "lab"
    honest.held.call("Release", {"network_name": "lab"})
    close_all([one, two])


@scene
def watching(broker, honest):
    """Connections that want to hear of everything, and do not listen."""
    crowd = [client(EVIL) for _ in range(WATCHERS + 1)]
    for one in crowd:
        one.send(message("Monitor", more=True))
    refused(first_error(crowd), f"uid {EVIL} has {WATCHERS} connections that monitor", "end one")
    before = broker.memory()
    for _ in range(500):
        with client(HONEST) as new:
            assert network(new.acquire()) == "shared"
    grown = broker.memory() - before
    assert grown < 16_000, f"{grown} KiB for events that nobody reads"
    close_all(crowd)


@scene
def never_fetched(broker, honest):
    """TAPs that nobody takes from the socket: the kernel counts them as the broker's."""
    crowd = [client(EVIL) for _ in range(100)]
    for one in crowd:
        one.acquire("shared")
    for one in crowd:
        one.send(message("StartInterface", {"network_name": "shared", "queues": 16}))
    deadline = time.monotonic() + 20
    while sum(n["interfaces"] for n in listed(broker)) < QUEUES // 16:
        assert time.monotonic() < deadline, listed(broker)
        time.sleep(0.1)
    honest.is_served()
    close_all(crowd)


def listed(broker):
    return broker.root.call("List")["parameters"]["networks"]


@scene
def waiting(broker, honest):
    """More requests than one user may have waiting, while the helper does not answer."""
    crowd = [client(EVIL) for _ in range(WAITING + 20)]
    netd = broker.netd()
    os.kill(netd, signal.SIGSTOP)
    try:
        for one in crowd:
            one.send(message("Acquire", {"network_name": "lab"}))
        answered, _, _ = select.select([one.sock for one in crowd], [], [], 10)
        while len(answered) < 20:
            answered, _, _ = select.select([one.sock for one in crowd], [], [], 10)
        assert len(answered) == 20, f"{len(answered)} of {len(crowd)} do not wait"
        patient = [one for one in crowd if one.sock not in answered]
        (*_, refused_one) = (one for one in crowd if one.sock in answered)
        for one in crowd:
            if one.sock in answered:
                refused(one.receive(), f"uid {EVIL} has {WAITING} requests", "try again")
        assert network(honest.held.acquire()) == "shared"
        with client(HONEST) as new:
            assert network(new.acquire()) == "shared"
        reply = refused_one.acquire("shared")
        assert network(reply) == "shared", "what need not wait is answered"
        honest.held.send(message("Acquire", {"network_name": "lab"}))
    finally:
        os.kill(netd, signal.SIGCONT)
    assert network(honest.held.receive()) == "lab"
    honest.held.call("Release", {"network_name": "lab"})
    for one in patient:
        assert network(one.receive()) == "lab", "who was waiting is answered, too"
    close_all(crowd)


# ---- who is who ----------------------------------------------------------------------------


@scene
def identities(broker, honest):
    """Another user's machine, by id, name and MAC; their networks; their broker."""
    wishes = ({"interface_id": "honest-1"}, {"name": "honest"},
              {"mac_address": "52:54:00:aa:bb:cc"})
    evil, theirs = client(EVIL), client(HONEST)
    evil.acquire("shared")
    theirs.acquire("shared")
    before = started(theirs, **{k: v for wish in wishes for k, v in wish.items()})
    for wish in wishes:  # while it runs
        refused(start(evil, **wish), "belongs to another user")
    theirs.close()
    theirs = client(HONEST)
    theirs.acquire("shared")
    again = started(theirs, interface_id="honest-1")
    theirs.close()
    for wish in wishes:  # and when it does not
        refused(start(evil, **wish), "belongs to another user")
    same = ("mac_address", "ipv4_address", "name")
    assert all(again[k] == before[k] for k in same), (before, again)
    (status,) = evil.call("Status", {"network_name": "shared"})["parameters"]["networks"]
    assert {c["uid"] for c in status["clients"]} == {EVIL}, status
    assert status["interfaces"] == [], status
    assert status["status"]["clients"] >= 2, "counts are everybody's"
    refused(evil.call("Stop"), f"uid {EVIL} may not stop")
    assert network(honest.held.acquire()) == "shared"
    reply = evil.call("Release", {"network_name": "shared"})
    assert reply == {"parameters": {}}, reply
    assert evil.call("Release", {"network_name": "shared"})["error"].endswith("InvalidRequest")
    honest.is_served()
    evil.close()


def main():
    play = SCENES[sys.argv[2]]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    broker, honest = Broker(), Honest()
    files = broker.settles(broker.files())
    play(broker, honest)
    honest.is_served()
    now = broker.settles(files)
    assert now <= files, f"{now} descriptors instead of {files}"
    with contextlib.closing(broker.root):
        holders = lambda: [n["clients"] for n in listed(broker) if n["name"] == "shared"]
        for _ in range(400):  # somebody's end may not have been heard of yet
            if holders() == [1]:
                break
            time.sleep(0.05)
        assert holders() == [1], f"who holds 'shared' now: {holders()}"
    honest.held.close()


if __name__ == "__main__":
    main()
