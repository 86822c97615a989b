#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""varlink_talker.py - on Linux, what xpc_client.c is on the simulated Mac: a client that a
test tells what to say. It acquires through the library, as programs do, and asks what no
library would ask on a connection of its own."""
import ctypes
import json
import os
import socket
import subprocess
import sys

BROKER = "com.github.nirs.vmnet-broker"
lib = ctypes.CDLL("libvmnet-broker.so.1")
lib.vmnet_broker_acquire_network.restype = ctypes.c_void_p
lib.vmnet_broker_acquire_network.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)]
lib.vmnet_broker_network_id.restype = ctypes.c_char_p
lib.vmnet_broker_network_id.argtypes = [ctypes.c_void_p]
lib.vmnet_broker_start_interface.restype = ctypes.c_void_p
lib.vmnet_broker_start_interface.argtypes = [ctypes.c_void_p, ctypes.c_void_p,
                                             ctypes.POINTER(ctypes.c_int)]
lib.vmnet_broker_interface_free.argtypes = [ctypes.c_void_p]

PATIENCE = 180  # more than the test has, who says what it waited for
networks = []  # the last two
raw = None


def acquire(name):
    status = ctypes.c_int(0)
    network = lib.vmnet_broker_acquire_network(name.encode(), ctypes.byref(status))
    if not network:
        return f"error {status.value}"
    networks.append(network)
    return "network"


def connection():
    global raw
    if raw is None:
        raw = socket.socket(socket.AF_UNIX)
        path = os.path.join(os.environ["XDG_RUNTIME_DIR"], "vmnet-broker/broker.sock")
        try:
            raw.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):  # then start one, as the library does
            subprocess.run([os.environ["VMNET_BROKER_PROGRAM"], "--user", "--background"],
                           check=True, stdin=subprocess.DEVNULL)
            raw.connect(path)
    return raw


def message(method, parameters):
    return json.dumps({"method": f"{BROKER}.{method}", "parameters": parameters}).encode() + b"\0"


def replies(sock, count):
    got, buffer = [], b""
    while len(got) < count:
        data = sock.recv(1 << 16)
        if not data:
            raise SystemExit("the broker closed the connection")
        *whole, buffer = (buffer + data).split(b"\0")
        got += [json.loads(text) for text in whole]
    return got


def outcome(reply):
    code = reply.get("parameters", {}).get("code")
    if "error" in reply:
        return f"error {code}" if code else f"odd: {reply['error']}"
    return "network" if "network" in reply["parameters"] else "odd: no network"


KINDS = {"string": str, "int64": int, "uint64": int, "bool": lambda text: text == "true",
         "array": lambda text: [text], "null": lambda text: None}


def request(words):
    """The command is Acquire, whatever it is called here; see linux_world.py."""
    fields = {}
    for word in words.split():
        key, _, value = word.partition("=")
        kind, _, text = value.partition(":")
        fields[key] = KINDS[kind](text)
    fields.pop("command", None)
    connection().sendall(message("Acquire", fields))
    return outcome(replies(raw, 1)[0])


def flood(words):
    count, name = words.split()
    sock = connection()
    sock.settimeout(PATIENCE)
    burst = message("Acquire", {"network_name": name})
    child = os.fork()  # writes while we read: neither side may wait for the other
    if child == 0:
        sock.sendall(burst * int(count))
        os._exit(0)
    got = [outcome(reply) for reply in replies(sock, int(count))]
    os.waitpid(child, 0)
    ok, refused = got.count("network"), got.count("error 3")
    return f"network={ok} error3={refused} error={len(got) - ok - refused}"


def use():
    interface = lib.vmnet_broker_start_interface(networks[-1], None, None)
    lib.vmnet_broker_interface_free(interface)
    return "usable" if interface else "gone"


def same():
    ids = [lib.vmnet_broker_network_id(network) for network in networks[-2:]]
    return "same" if len(ids) == 2 and ids[0] == ids[1] else "different"


def answer(line):
    word, _, rest = line.rstrip("\n").partition(" ")
    if word in ("acquire", "raw", "flood"):
        return {"acquire": acquire, "raw": request, "flood": flood}[word](rest)
    return {"use": use, "same": same}[word]()


for line in sys.stdin:
    print(answer(line), flush=True)
