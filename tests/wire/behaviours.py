#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""behaviours.py NULL_BROKER FILE.varlink... - what a broker does with what clients send.

Drives a real broker process over its socket, a line of output a behaviour. Exits with 1 when
one of them is not as its title says.
"""
import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import sys
import tempfile
import time
import traceback

from varlink_client import BROKER, SERVICE, Broker, Client, Closed, message

PROGRAM = sys.argv[1]
INTERFACES = {path.stem: path.read_text(encoding="ascii")
              for path in map(pathlib.Path, sys.argv[2:])}
BEHAVIOURS = []

ACQUIRE = message("Acquire", {"network_name": "shared"})
LIST = message("List")


def behaviour(title, **settings):
    def add(function):
        BEHAVIOURS.append((title, settings, function))
        return function
    return add


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: {got!r} instead of {want!r}")


def error_of(reply):
    """("InvalidRequest", 4) of a failure; fails for a success."""
    interface, _, name = reply["error"].rpartition(".")
    if interface == BROKER:
        equal(sorted(reply["parameters"]), ["code", "message"])
        return name, reply["parameters"]["code"]
    return reply["error"], reply["parameters"]


def others_are_served(broker):
    with broker.client() as other:
        assert "networks" in other.call("List")["parameters"]
        assert "error" not in other.acquire("host")


def ended_with_one_log_line(broker, text, send):
    """send(client) ends this connection, with one line that names the peer."""
    before = broker.log()
    with broker.client() as bystander, broker.client() as client:
        bystander.acquire("host")
        try:
            send(client)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.is_closed(), "the connection is still open"
        others_are_served(broker)
        equal(bystander.call("Stop", {"x": 1})["error"], f"{BROKER}.InvalidRequest")
    lines = [line for line in broker.log()[len(before):].splitlines()
             if "connection closed" in line]
    equal(len(lines), 1, f"log lines {lines}")
    assert f"pid {os.getpid()}" in lines[0] and text in lines[0], lines[0]


# ---- framing ----

@behaviour("a message may be split at any byte")
def split(broker):
    with broker.client() as client:
        for cut in range(1, len(ACQUIRE)):
            client.send(ACQUIRE[:cut])
            client.send(ACQUIRE[cut:] + LIST[:cut])
            client.send(LIST[cut:])
            assert "network" in client.receive()["parameters"]
            assert "networks" in client.receive()["parameters"]


@behaviour("a message may come byte by byte")
def byte_by_byte(broker):
    with broker.client() as client:
        for byte in ACQUIRE:
            client.send(bytes([byte]))
        equal(client.receive()["parameters"]["network"]["name"], "shared")


@behaviour("pipelined calls are answered in order")
def pipelined(broker):
    with broker.client() as client:
        names = [f"no-{i}" for i in range(500)]
        client.send(*(message("Acquire", {"network_name": name}) for name in names))
        for name in names:
            reply = client.receive()
            equal(error_of(reply), ("NotFound", 5))
            assert f"'{name}'" in reply["parameters"]["message"], reply


@behaviour("pipelined calls wait for a creation under way", NULL_DELAY_MS="100")
def pipelined_behind_creation(broker):
    with broker.client() as client:
        client.send(ACQUIRE, message("Acquire", {"network_name": "host"}), LIST)
        equal(client.receive()["parameters"]["network"]["name"], "shared")
        equal(client.receive()["parameters"]["network"]["name"], "host")
        networks = client.receive()["parameters"]["networks"]
        equal([n["name"] for n in networks], ["host", "shared"])


@behaviour("oneway calls are carried out and never answered, not even wrong ones")
def oneway(broker):
    with broker.client() as client:
        client.send(message("Acquire", {"network_name": "shared"}, oneway=True),
                    message("Acquire", {"network_name": "../x"}, oneway=True),
                    message("Acquire", {}, oneway=True),
                    message("Nothing", oneway=True),
                    message("org.example.Nothing", oneway=True),
                    message(f"{SERVICE}.GetInfo", oneway=True), LIST)
        networks = client.receive()["parameters"]["networks"]
        equal([(n["name"], n["clients"]) for n in networks], [("shared", 1)])


@behaviour("more: one network a reply, and one empty reply for none")
def more(broker):
    with broker.client() as client:
        equal(client.call("List", more=True), {"parameters": {}})
        client.acquire("shared")
        client.acquire("host")
        first = client.call("List", more=True)
        second = client.receive()
        equal((first["continues"], first["parameters"]["network"]["name"]), (True, "host"))
        equal(("continues" in second, second["parameters"]["network"]["name"]), (False, "shared"))
        assert "network" in client.acquire("host")["parameters"]


@behaviour("monitor tells what happens, until the one who watches has gone")
def monitor(broker):
    with broker.client() as watcher, broker.client() as client:
        watcher.send(message("Monitor", more=True))
        client.let_others_go_first()
        client.acquire("shared")
        client.call("Release", {"network_name": "shared"})
        events = [watcher.receive() for _ in range(3)]
        equal([e["parameters"]["event"]["what"] for e in events],
              ["network_created", "client_came", "client_left"])
        assert all(e["continues"] for e in events), events
        equal(events[1]["parameters"]["event"]["client"]["uid"], os.getuid())
    with broker.client() as client:
        equal(client.call("Monitor")["error"], f"{SERVICE}.ExpectedMore")
        client.acquire("host")


@behaviour("a slow reader gets every reply")
def slow_reader(broker):
    with broker.client() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.acquire()
        calls = 300
        client.send(message("Status") * calls)
        for _ in range(calls):
            reply = client.receive(size=100)
            equal(reply["parameters"]["networks"][0]["status"]["name"], "shared")


@behaviour("a client that closes its sending side hears its answers, then the end",
           NULL_DELAY_MS="50")
def half_closed(broker):
    fds = broker.open_fds()
    with broker.client() as client:
        client.send(ACQUIRE, LIST * 100)
        client.sock.shutdown(socket.SHUT_WR)
        assert "network" in client.receive()["parameters"]
        for _ in range(100):
            equal(client.receive()["parameters"]["networks"][0]["clients"], 1)
        assert client.is_closed()
    equal(broker.settled_fds(fds), fds, "descriptors")


@behaviour("a request may have 64 KiB, and not a byte more")
def size_limit(broker):
    padded = ACQUIRE[:-1].ljust(65536) + b"\0"
    with broker.client() as client:
        client.send(padded, padded)
        assert "network" in client.receive()["parameters"]
        assert "network" in client.receive()["parameters"]
    ended_with_one_log_line(broker, "over 64 KiB",
                            lambda c: c.send(ACQUIRE[:-1].ljust(65537) + b"\0"))
    ended_with_one_log_line(broker, "over 64 KiB", lambda c: c.send(b"x" * 10_000_000))


# ---- what ends a connection ----

BAD_BYTES = {
    "an empty message": b"\0",
    "a truncated object": b'{"method":"x"\0',
    "two objects": b"{}{}\0",
    "an array": b"[]\0",
    "a string": b'"x"\0',
    "not JSON": b"GET / HTTP/1.1\r\n\r\n\0",
    "10,000 brackets": b'{"method":' + b"[" * 10_000 + b"]" * 10_000 + b"}\0",
    "10,000 objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"\0",
    "a byte that is not UTF-8": b'{"method":"' + b"\xff" + b'"}\0',
    "an overlong UTF-8 sequence": b'{"method":"\xc0\xae"}\0',
    "a lone surrogate": b'{"method":"\\ud800"}\0',
    "a key twice": b'{"method":"a.b","method":"a.b"}\0',
    "a parameter twice": ACQUIRE.replace(b'{"network_name"', b'{"network_name": "x", "network_name"'),
    "NUL in a key": b'{"method\\u0000":"a.b"}\0',
    "a number beyond 64 bits": b'{"method":99999999999999999999}\0',
    "a number beyond a double": b'{"method":1e999}\0',
}


@behaviour("what is no JSON object ends the connection, with one log line, and harms nobody")
def bad_bytes(broker):
    for what, data in BAD_BYTES.items():
        try:
            ended_with_one_log_line(broker, "no JSON object", lambda c, d=data: c.send(d))
        except Exception as error:
            raise AssertionError(f"{what}: {error}") from error


@behaviour("a request without a method ends the connection")
def no_method(broker):
    for data in (b"{}\0", b'{"method":null}\0', b'{"method":7}\0', b'{"method":["a.b"]}\0',
                 b'{"method":"' + f"{BROKER}.List".encode() + b'\\u0000"}\0'):
        ended_with_one_log_line(broker, "without a method", lambda c, d=data: c.send(d))


@behaviour("a client that ends in the middle of a request leaves one log line")
def truncated(broker):
    def send(client):
        client.send(ACQUIRE[:20])
        client.sock.shutdown(socket.SHUT_WR)
    ended_with_one_log_line(broker, "in the middle of a request", send)


@behaviour("descriptors that a client sends are closed at once and end its connection")
def descriptors(broker):
    fds = broker.open_fds()
    with open("/dev/null", "rb") as null, tempfile.TemporaryFile() as other:
        for data, sent in ((ACQUIRE, [null.fileno()]), (ACQUIRE[:5], [null.fileno()]),
                           (ACQUIRE * 3, [null.fileno()] * 16), (b"{", [other.fileno()] * 253)):
            ended_with_one_log_line(broker, "descriptors",
                                    lambda c, d=data, s=sent: c.send_fds(d, s))
            equal(broker.settled_fds(fds), fds, "descriptors")


# ---- errors ----

@behaviour("wrong and unknown parameters get InvalidRequest, and the connection goes on")
def invalid_requests(broker):
    calls = [
        ("Acquire", None, {}), ("Acquire", {}, {}), ("Acquire", [], {}), ("Acquire", 7, {}),
        ("Acquire", {"network_name": None}, {}), ("Acquire", {"network_name": 1}, {}),
        ("Acquire", {"network_name": ["shared"]}, {}),
        ("Acquire", {"network_name": {"a": 1}}, {}),
        ("Acquire", {"network_name": "shared", "wish": 1}, {}),
        ("Acquire", {"network_name": "shared"}, {"wish": 1}),
        ("Acquire", {"network_name": "shared"}, {"oneway": 0}),
        ("Acquire", {"network_name": "shared"}, {"more": "yes"}),
        ("Acquire", {"network_name": "shared"}, {"upgrade": True}),
        ("Release", {"network_name": "shared"}, {}),
        ("StartInterface", {}, {}),
        ("StartInterface", {"network_name": "shared"}, {}),  # not held
        ("StartInterface", {"network_name": "host", "queues": "2"}, {}),
        ("StartInterface", {"network_name": "host", "queues": 2.5}, {}),
        ("StartInterface", {"network_name": "host", "queues": 0}, {}),
        ("StartInterface", {"network_name": "host", "queues": 17}, {}),
        ("StartInterface", {"network_name": "host", "queues": -2**63}, {}),
        ("StartInterface", {"network_name": "host", "queues": 2**32 + 1}, {}),
        ("StartInterface", {"network_name": "host", "offload": 1}, {}),
        ("StartInterface", {"network_name": "host", "mac_address": "x"}, {}),
        ("StartInterface", {"network_name": "host", "mac_address": "01:00:5e:00:00:01"}, {}),
        ("StartInterface", {"network_name": "host", "interface_id": ""}, {}),
        ("StartInterface", {"network_name": "host", "interface_id": "a b"}, {}),
        ("StartInterface", {"network_name": "host", "interface_id": "x" * 64}, {}),
        ("StartInterface", {"network_name": "host", "name": "gateway"}, {}),
        ("List", {"all": True}, {}), ("Status", {"network_name": 3}, {}), ("Stop", {"now": 1}, {}),
    ]
    with broker.client() as client:
        client.acquire("host")
        for method, params, members in calls:
            reply = client.call(method, params, **members)
            equal(error_of(reply), ("InvalidRequest", 4), f"{method} {params} {members}")
        assert "network" in client.acquire("shared")["parameters"]


@behaviour("malformed names of networks and VMs get InvalidRequest")
def malformed_names(broker):
    names = ["", "x" * 64, "x" * 60_000, "..", "../shared", "/etc/passwd", "a/b", "shared\0",
             "\0", "a\0b", "gr\u00fc\u00df", "\U0001f600", "Shared", "-a", "a-", "a.b", "a b",
             "a\nb", "%s%n", " shared"]
    with broker.client() as client:
        client.acquire("shared")
        for name in names:
            equal(error_of(client.acquire(name)), ("InvalidRequest", 4), repr(name[:20]))
            reply = client.call("StartInterface", {"network_name": "shared", "name": name})
            equal(error_of(reply), ("InvalidRequest", 4), repr(name[:20]))
            reply = client.call("Status", {"network_name": name})
            equal(error_of(reply), ("InvalidRequest", 4), repr(name[:20]))
    assert "\n\n" not in broker.log()


@behaviour("unknown methods and interfaces get Varlink's own errors")
def unknown_methods(broker):
    with broker.client() as client:
        for method in (f"{BROKER}.Destroy", f"{BROKER}.acquire", f"{BROKER}.", f"{SERVICE}.Nothing",
                       "", "Acquire"):
            client.send(json.dumps({"method": method}).encode() + b"\0")
            equal(error_of(client.receive()), (f"{SERVICE}.MethodNotFound", {"method": method}))
        for interface in ("org.example", f"{BROKER}.x", "com", "gr\u00fc\u00df", "x" * 60_000):
            reply = client.call(f"{interface}.Get")
            equal(error_of(reply), (f"{SERVICE}.InterfaceNotFound", {"interface": interface}))
        reply = client.call(f"{SERVICE}.GetInterfaceDescription", {"interface": "org.example"})
        equal(error_of(reply), (f"{SERVICE}.InterfaceNotFound", {"interface": "org.example"}))
        for params, bad in (({}, "interface"), ({"interface": 1}, "interface"),
                            ({"interface": SERVICE, "x": 1}, "x")):
            reply = client.call(f"{SERVICE}.GetInterfaceDescription", params)
            equal(error_of(reply), (f"{SERVICE}.InvalidParameter", {"parameter": bad}))


@behaviour("every code of the protocol has its error", NULL_FAIL="shared", NULL_BREAK="host")
def every_code(broker):
    with broker.client() as client:
        client.acquire("host")
        equal(error_of(client.call("Stop")), ("NotAllowed", 3))
        equal(error_of(client.acquire("a/b")), ("InvalidRequest", 4))
        equal(error_of(client.acquire("lab")), ("NotFound", 5))
        equal(error_of(client.acquire("shared")), ("CreateFailure", 6))
        reply = client.call("StartInterface", {"network_name": "host"})
        equal(error_of(reply), ("InternalError", 7))


@behaviour("GetInfo and the interface files are complete, to the byte")
def introspection(broker):
    with broker.client() as client:
        info = client.call(f"{SERVICE}.GetInfo")["parameters"]
        equal(sorted(info), ["interfaces", "product", "url", "vendor", "version"])
        equal(info["product"], "vmnet-broker")
        equal(sorted(info["interfaces"]), sorted(INTERFACES))
        for name, text in INTERFACES.items():
            reply = client.call(f"{SERVICE}.GetInterfaceDescription", {"interface": name})
            equal(reply["parameters"], {"description": text})


# ---- references ----

def clients_of(client, name):
    networks = client.call("List")["parameters"]["networks"]
    return next((n["clients"] for n in networks if n["name"] == name), None)


@behaviour("the same network twice on one connection is one reference and one answer")
def twice(broker):
    with broker.client() as client:
        equal(client.acquire(), client.acquire())
        equal(clients_of(client, "shared"), 1)
        equal(client.call("Release", {"network_name": "shared"}), {"parameters": {}})
        equal(clients_of(client, "shared"), 0)


@behaviour("an interface comes with a descriptor a queue")
def interface(broker):
    fds = broker.open_fds()
    with broker.client() as client:
        client.acquire()
        reply = client.call("StartInterface", {"network_name": "shared", "queues": 16})
        interface = reply["parameters"]["interface"]
        equal(interface["fds"], list(range(16)))
        equal(interface["max_packet_size"], interface["mtu"] + 14)
        equal(len(client.fds), 16)
        client.call("StartInterface", {"network_name": "shared"})
        equal(len(client.fds), 17)
    equal(broker.settled_fds(fds), fds, "descriptors")


@behaviour("a killed client loses what it held, and nothing else happens")
def killed(broker):
    with broker.client() as watcher:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            client = Client(broker.path)
            client.acquire()
            os.write(writer, b"x")
            signal.pause()
        try:
            os.read(reader, 1)
            equal(clients_of(watcher, "shared"), 1)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reader)
            os.close(writer)
        deadline = time.monotonic() + 20
        while clients_of(watcher, "shared") and time.monotonic() < deadline:
            time.sleep(0.01)
        equal(clients_of(watcher, "shared"), 0)


@behaviour("several clients waiting for one creation get its one outcome", NULL_DELAY_MS="200")
def one_creation(broker):
    clients = [broker.client() for _ in range(10)]
    for client in clients:
        client.send(ACQUIRE)
    replies = [client.receive()["parameters"]["network"]["id"] for client in clients]
    equal(len(set(replies)), 1)
    for client in clients:
        client.close()


@behaviour("status names the clients and their networks")
def status(broker):
    with broker.client() as client:
        client.acquire()
        reply = client.call("Status", {"network_name": "shared"})["parameters"]
        equal(reply["broker"]["pid"], broker.process.pid)
        (network,) = reply["networks"]
        equal([c["pid"] for c in network["clients"]], [os.getpid()])
        assert network["clients"][0]["user"] and network["clients"][0]["command"]


# ---- nobody waits for somebody else ----

@behaviour("while a network's creation hangs, everything else is answered at once",
           NULL_HANG="shared")
def hung_creation(broker):
    fds = broker.open_fds()
    waiting = [broker.client() for _ in range(5)]
    for client in waiting:
        client.send(ACQUIRE)
    for _ in range(50):
        others_are_served(broker)
    with broker.client() as client:
        networks = client.call("List")["parameters"]["networks"]
        equal([n["state"] for n in networks if n["name"] == "shared"], ["creating"])
        client.call("Status")
    for client in waiting:
        client.close()
    equal(broker.settled_fds(fds), fds, "descriptors")


@behaviour("300 silent connections harm nobody")
def silent(broker):
    fds, rss = broker.open_fds(), broker.rss_kib()
    silent_ones = [broker.client() for _ in range(300)]
    for client in silent_ones[::2]:
        client.send(ACQUIRE[:10])  # half of them stopped in the middle of a word
    others_are_served(broker)
    grown = broker.rss_kib() - rss
    assert grown < 16_000, f"300 silent connections cost {grown} KiB"
    for client in silent_ones:
        client.close()
    equal(broker.settled_fds(fds), fds, "descriptors")


def send_until_full(client, data):
    client.sock.setblocking(False)
    sent, full = 0, 0
    while full < 20 and sent < 200_000_000:
        try:
            sent += client.sock.send(data)
            full = 0
        except BlockingIOError:
            full += 1
            time.sleep(0.01)
    assert full, "the broker read 200 MB and was never full"


@behaviour("clients that send and never read cost bounded memory, and harm nobody")
def never_reads(broker):
    rss = broker.rss_kib()
    clients = [broker.client() for _ in range(20)]
    for client in clients:
        send_until_full(client, ACQUIRE + message("Status") * 100)
    others_are_served(broker)
    grown = broker.rss_kib() - rss
    assert grown < 40_000, f"20 of them cost {grown} KiB"
    assert broker.becomes_quiet(), "the broker is busy with them"
    for client in clients:
        client.close()


def only_50_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))


@behaviour("without descriptors the broker waits instead of spinning, and recovers",
           limits=only_50_descriptors)
def out_of_descriptors(broker):
    with broker.client() as early:
        early.acquire()
        crowd = [broker.client() for _ in range(100)]
        assert broker.becomes_quiet(1), "the broker spins"
        assert "networks" in early.call("List")["parameters"]
        for client in crowd:
            client.close()
        others_are_served(broker)
        equal(broker.log().count("cannot accept"), 1, "log lines")


@behaviour("whom the limit of connections refuses is told why, however many; the others stay")
def too_many_connections(broker):
    clients = []
    for _ in range(600):
        clients.append(broker.client())
    assert "networks" in clients[0].call("List")["parameters"]
    equal(error_of(clients[520].call("List")), ("NotAllowed", 3))
    assert clients[520].is_closed()
    for client in clients[530:]:  # whose words nobody waits for
        with contextlib.suppress(BrokenPipeError):
            client.send(LIST)
        reply = client.receive()
        equal(error_of(reply), ("NotAllowed", 3))
        assert "512 connections" in reply["parameters"]["message"], reply
        assert client.is_closed()
    assert broker.open_fds() < 560, "the refused are bounded, too"
    for client in clients:
        client.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with broker.client() as client, contextlib.suppress(Closed, BrokenPipeError):
            if "error" not in client.call("List"):
                return
    raise AssertionError("nobody is let in after they have gone")


def run(title, settings, function, directory):
    broker = None
    try:
        with Broker(PROGRAM, directory, **settings) as broker:
            function(broker)
    except Exception:  # whatever it is: a failure of this behaviour, and the next one's turn
        print(f"not ok - {title}", flush=True)
        traceback.print_exc()
        if broker:
            print("".join(broker.log().splitlines(keepends=True)[-20:]), file=sys.stderr)
        return False
    print(f"ok - {title}", flush=True)
    return True


def main():
    with tempfile.TemporaryDirectory(prefix="wire.") as directory:
        results = [run(*b, directory) for b in BEHAVIOURS]
    print(f"{results.count(True)} of {len(results)} behaviours are as they should be")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
