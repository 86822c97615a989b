#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""outages.py - how long a guest was without the outside.

  ask ADDRESS4 ADDRESS6    asks both over UDP (echo), 20 times a second, each time from a new socket,
                           so that no connection of before answers for the way that there is now.
                           Prints family and time (/proc/uptime's) of each ask that was answered
  longest FILE SINCE       reads that, waits until all is well again, and prints for each family the
                           longest time since then in which no ask was answered
  table FILE               lines of WHAT|FAMILY|SECONDS as a table

An ask is answered if that comes within a second.
"""

import collections
import os
import select
import socket
import statistics
import sys
import time

EVERY, ANSWER, ECHO = 0.05, 1.0, 7
FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}
AIM = 5.0
WELL, AT_LEAST, AT_MOST = 2.0, AIM + 1, 30.0  # seconds


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# --- asking ------------------------------------------------------------------------------------


def send(family, address):
    """The socket, or None where the guest itself knows of no way."""
    sock = socket.socket(FAMILIES[family], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect((address, ECHO))
        sock.send(b"?")
        return sock
    except OSError:
        sock.close()
        return None


def answered(sock):
    try:
        return sock.recv(16) == b"?"
    except OSError:  # somebody says that there is no way
        return False


def ask(*addresses):
    poll, open_asks, due = select.epoll(), collections.OrderedDict(), now()
    while True:
        for family, address in zip(FAMILIES, addresses):
            if sock := send(family, address):
                poll.register(sock, select.EPOLLIN)
                open_asks[sock.fileno()] = family, now(), sock
        due += EVERY
        while (left := due - now()) > 0:
            for fd, _ in poll.poll(left):
                family, when, sock = open_asks.pop(fd)
                if answered(sock):
                    print(family, f"{when:.3f}", flush=True)
                sock.close()
        while open_asks and next(iter(open_asks.values()))[1] < now() - ANSWER:
            open_asks.popitem(last=False)[1][2].close()


# --- judging -----------------------------------------------------------------------------------


def read(file, since):
    times = {family: [] for family in FAMILIES}
    with open(file, encoding="ascii") as lines:
        for line in lines:
            if line.endswith("\n"):
                family, when = line.split()
                if float(when) >= since:
                    times[family].append(float(when))
    return times


def all_is_well(times, until):
    wanted = 0.8 * WELL / EVERY
    return all(sum(until - WELL <= t <= until for t in asked) >= wanted for asked in times.values())


def longest(file, since):
    since = float(since)
    while True:
        until = now() - ANSWER
        times = read(file, since)
        if until - since > AT_LEAST and all_is_well(times, until) or until - since > AT_MOST:
            break
        time.sleep(0.2)
    for family, asked in times.items():
        points = [since, *sorted(t for t in asked if t < until), until]
        print(family, f"{max(b - a for a, b in zip(points, points[1:])):.2f}")


def table(file):
    figures = collections.defaultdict(list)
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            what, family, seconds = line.rstrip("\n").split("|")
            figures[what, family].append(float(seconds))
    for (what, family), seconds in figures.items():
        worst = max(seconds)
        print(f"{what:<58} IPv{family} {statistics.median(seconds):6.2f} "
              f"[{min(seconds):.2f}..{worst:.2f}] s, {len(seconds)} times (aim {AIM:.0f})"
              f"{'' if worst <= AIM else '  MISSED'}")


if __name__ == "__main__":
    try:
        {"ask": ask, "longest": longest, "table": table}[sys.argv[1]](*sys.argv[2:])
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)
