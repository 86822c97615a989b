#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""last_call.py CLIENTS - so many clients one after the other, of a broker that leaves as soon as
nobody is connected: many come in the very moment in which it goes. Nobody whose connection was
accepted by the kernel may lose it before there was an answer; who finds nobody starts the next one.
"""

import os
import socket
import subprocess
import sys

SOCKET = os.path.join(os.environ["XDG_RUNTIME_DIR"], "vmnet-broker/broker.sock")
START = ["vmnet-broker", "--user", "--background", "--idle-timeout", "0"]


def ask(sock):
    sock.sendall(b'{"method":"org.varlink.service.GetInfo"}\0')
    assert sock.recv(65536), "hung up without an answer"


def main():
    answered = started = 0
    while answered < int(sys.argv[1]):
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(SOCKET)
            except (FileNotFoundError, ConnectionRefusedError):
                subprocess.run(START, check=True, timeout=20)
                started += 1
                continue
            ask(sock)
            answered += 1
    print(f"{answered} clients were answered, by {started} brokers")


main()
