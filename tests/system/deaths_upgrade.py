# SPDX-License-Identifier: Apache-2.0
"""deaths_upgrade.py - other versions of broker and netd come while guests run; told by deaths.py.

$LATER is a directory with a broker and a netd that speak a later version of the messages
between the two (tests/meson.build). Which broker the next client starts is a link's affair, as
it is a package's on a real machine; a broker prefers the netd beside itself.
"""

import os
import re
import signal
import socket
import struct
import time

from deaths_stories import problems, refused_with_words, tell
from deaths_world import (PROGRAM, RUNTIME, World, acquire, alive, fail, kill, pids, say, the,
                          wait_until)

# struct netd_header and netd_hello (src/wire/netd_msg.h), which every version has.
HEADER, HELLO = struct.Struct("=IHHIIiI"), struct.pack("=II", 1, 0)
MAGIC = 0x76626E64


def hello(version):
    """Says hello to netd as a broker of this version; returns netd's version, and its error."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(10)
        sock.connect(RUNTIME + "/netd.sock")
        sock.send(HEADER.pack(MAGIC, version, 1, 7, 0, 0, 0) + HELLO)
        _, theirs, _, _, _, err, _ = HEADER.unpack_from(sock.recv(4096))
        return theirs, os.strerror(-err)


def install(later):
    """From now on this broker is started."""
    if os.path.islink(PROGRAM):
        os.unlink(PROGRAM)
    if later:
        os.symlink(os.environ["LATER"] + "/vmnet-broker", PROGRAM)


def end(kind, sig):
    the(kind)
    ended = pids(kind)  # while clients come, there may be one that only starts another
    for pid in ended:
        kill(pid, sig)
    wait_until(f"{kind} ends by {sig.name}", lambda: not any(alive(pid) for pid in ended))


def change(world, what, kind, sig, version):
    """Ends a process; what follows serves all, and netd is of this version."""
    world.take_outages()
    end(kind, sig)
    tell(what, world.settle(what))
    if (got := hello(1)[0]) != version:
        fail(f"{what}: netd is of version {got}, not {version}")
    world.need_third(what)


def story_upgrade(_):
    world = World().begin()
    ours = hello(1)[0]
    change(world, "the next broker of the same version", "broker", signal.SIGTERM, ours)
    change(world, "the next netd of the same version", "netd", signal.SIGTERM, ours)
    install(later=True)
    change(world, "a later broker", "broker", signal.SIGTERM, later := 60000)
    nobody_ends_netd_beside_its_broker()
    install(later=False)
    an_older_broker_says_what_to_do(world, later)
    install(later=True)
    change(world, "a later broker, as it was told", "broker", signal.SIGTERM, later)
    install(later=False)
    an_older_broker_says_what_to_do(world, later)
    change(world, "back to an older netd", "netd", signal.SIGTERM, ours)
    install(later=True)
    change(world, "a later broker, after a kill -9", "broker", signal.SIGKILL, later)
    world.finish()


def nobody_ends_netd_beside_its_broker():
    before = pids("netd")
    say(f"somebody who claims to be newer is told: {hello(65000)[1]}")
    if pids("netd") != before or problems():
        fail(f"somebody who claims to be newer disturbed netd: {problems()}")


def an_older_broker_says_what_to_do(world, version):
    end("broker", signal.SIGTERM)
    wait_until("an older broker names the netd that is newer",
               lambda: f"newer than this broker (messages {version}" in problems())
    say(f"an older broker: {problems()}")
    if int(re.search(r"end this broker \(kill (\d+)\)", problems())[1]) not in pids("broker"):
        fail("its words name another process")
    refused_with_words("an older broker, asked for a network", lambda: acquire("host"))
    time.sleep(1)
    world.check_services("an older broker")
    if hello(1)[0] != version:
        fail("an older broker has driven the newer netd away")
