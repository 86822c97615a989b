#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tap_run.py NETWORK JSON COMMAND... - what `vmnet-brokerctl run` has no option for.

Acquires NETWORK, starts an interface with the parameters of JSON (say {"queues": 4}),
replaces {fds} (the descriptors, joined by colons) and {mac} in COMMAND and runs it. With no
COMMAND it prints the reply and holds everything until it is killed. It speaks plain Varlink with the
descriptors beside it, so it is also the proof that any language can.
"""

import array
import json
import os
import socket
import subprocess
import sys

INTERFACE = "com.github.nirs.vmnet-broker"


def connect():
    path = os.environ.get("VMNET_BROKER_SOCKET",
                          os.environ.get("XDG_RUNTIME_DIR", "") + "/vmnet-broker/broker.sock")
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(path)
    return sock


def call(sock, method, parameters):
    """Returns the reply's parameters and the passed descriptors."""
    request = {"method": f"{INTERFACE}.{method}", "parameters": parameters}
    sock.sendall(json.dumps(request).encode() + b"\0")
    seen, fds = b"", array.array("i")
    while not seen.endswith(b"\0"):
        piece, control, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(32 * fds.itemsize))
        if not piece:
            sys.exit(f"{method}: the broker hung up")
        seen += piece
        for _, _, data in control:
            fds.frombytes(data)
    reply = json.loads(seen[:-1])
    if "error" in reply:
        sys.exit(f"{method}: {reply['error']}: {reply['parameters'].get('message')}")
    return reply.get("parameters", {}), list(fds)


def main():
    network, options, command = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
    sock = connect()
    call(sock, "Acquire", {"network_name": network})
    reply, fds = call(sock, "StartInterface", {"network_name": network, **options})
    interface = reply["interface"]
    if not command:
        print(json.dumps(interface), flush=True)
        sock.settimeout(None)
        sock.recv(1)
        sys.exit("the broker hung up")
    words = {"{fds}": ":".join(map(str, fds)), "{mac}": interface["mac_address"]}
    for key, value in words.items():
        command = [word.replace(key, value) for word in command]
    sys.exit(subprocess.run(command, pass_fds=fds, check=False).returncode)


if __name__ == "__main__":
    main()
