#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""activate.py UNIT.socket UNIT.service NOTIFY-SOCKET [OPTION...] - listens as the one unit says, and
starts the other (as_unit.py) for who connects, each time that nobody serves.

As systemd does, and systemd-socket-activate does not, it listens all the time: who connects just when
a service has ended waits for the next one.
"""

import grp
import os
import pwd
import select
import socket
import sys

sys.dont_write_bytecode = True
from as_unit import read_unit  # noqa: E402

FIRST = 3  # descriptor of a service's first socket


def owner(keys):
    user, group = keys.get("SocketUser", ["root"]), keys.get("SocketGroup", ["root"])
    return pwd.getpwnam(user[-1]).pw_uid, grp.getgrnam(group[-1]).gr_gid


def listen(keys):
    """Nobody finds the socket under its name before it is as it should be."""
    kind = socket.SOCK_SEQPACKET if "ListenSequentialPacket" in keys else socket.SOCK_STREAM
    path = keys["ListenSequentialPacket" if kind == socket.SOCK_SEQPACKET else "ListenStream"][-1]
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(path + ".new")
    os.chown(path + ".new", *owner(keys))
    os.chmod(path + ".new", int(keys["SocketMode"][-1], 8))
    sock.listen(128)
    os.rename(path + ".new", path)
    return sock


def become(sock, service, notify, options):
    os.dup2(sock.fileno(), FIRST)
    os.set_inheritable(FIRST, True)  # which it is not, if it was there already
    env = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": notify, "LISTEN_FDS": "1",
           "LISTEN_PID": str(os.getpid())}
    as_unit = os.path.join(os.path.dirname(__file__), "as_unit.py")
    os.execve(sys.executable, [sys.executable, as_unit, service, *options], env)


def main():
    unit, service, notify, *options = sys.argv[1:]
    sock = listen(read_unit(unit, "[Socket]"))
    while True:
        select.select([sock], [], [])
        pid = os.fork()
        if pid == 0:
            become(sock, service, notify, options)
        os.waitpid(pid, 0)


main()
