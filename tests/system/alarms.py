#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""alarms.py PREFIX - what will wake the processes whose names begin so, though nothing happens.

A line for each timer that is set, with the seconds it has left, and for each wait that has an end
of its own; one for whoever does not wait at all just now. Silence says that they all sleep until
something happens: so it fails where there is none of them, or one cannot be looked into."""
import contextlib
import os
import platform
import re
import sys

# By the system call: which of its arguments ends the wait, and what is in there when none does.
# None: it has none. The kernel shows arguments in full, and of an int only its half counts.
WAITS = {
    0: None, 43: None, 45: None, 47: None, 61: None, 247: None, 288: None,  # read, accept, recv, wait
    7: (2, 0xFFFFFFFF), 232: (3, 0xFFFFFFFF), 281: (3, 0xFFFFFFFF),  # poll, epoll_wait, epoll_pwait
    271: (2, 0), 441: (3, 0), 202: (3, 0), 128: (2, 0),  # ppoll, epoll_pwait2, futex, sigtimedwait
    34: None, 130: None,  # pause, sigsuspend
}


def timers(process):
    for fd in os.listdir(f"{process}/fdinfo"):
        try:
            with open(f"{process}/fdinfo/{fd}") as f:
                found = re.search(r"^it_value: \((\d+), (\d+)\)", f.read(), re.M)
        except FileNotFoundError:
            continue  # closed since
        if found and found.groups() != ("0", "0"):
            yield f"timer {found[1]}"


def waits(process):
    for task in os.listdir(f"{process}/task"):
        with open(f"{process}/task/{task}/syscall") as f:
            words = f.read().split()
        number = int(words[0]) if words[0].isdigit() else -1
        if number not in WAITS:
            yield "busy " + words[0]
        elif WAITS[number]:
            argument, never = WAITS[number]
            value = int(words[1 + argument], 16)
            if value & (never or ~0) != never:
                yield f"wait {number} {value}"


def alarms(process):
    yield from timers(process)
    # Whose numbers these are; and no user sees where a process waits that is nobody's to look into.
    if platform.machine() == "x86_64" and os.geteuid() == 0:
        yield from waits(process)


def names(prefix):
    """(directory, name) of each process that still runs."""
    for process in (f"/proc/{pid}" for pid in os.listdir("/proc") if pid.isdigit()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"{process}/comm") as f:
                name = f.read().strip()
            if name.startswith(prefix) and os.path.exists(f"{process}/exe"):
                yield process, name


def main():
    found = list(names(sys.argv[1]))
    try:
        said = [f"{name} {alarm}" for process, name in found for alarm in alarms(process)]
    except (FileNotFoundError, ProcessLookupError):
        said = ["one has just ended"]
    print(*sorted(said), sep="\n")
    return 0 if found else f"no process is called {sys.argv[1]}*"


sys.exit(main())
