# SPDX-License-Identifier: Apache-2.0
"""linux_world.py - the world of stories.py on Linux: the installed user instance.

Runs inside tests/system/world, so no packet leaves; as root there, with the broker and its
clients as an ordinary user. Each story has a runtime and a state directory of its own.
Time is not scaled by a simulator: the broker's idle timeout is short instead. As on the Mac,
nobody but a client starts a broker.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import world
from world import HERE, PATIENCE, SCALE, Client, Failed

UID = int(os.environ.get("WORLD_UID", "4000"))
DNSMASQ = "/usr/sbin/dnsmasq"


class World(world.World):
    def __init__(self, _):
        self.dir = tempfile.mkdtemp(prefix="linux.", dir="/tmp")
        self.run = os.path.join(self.dir, "run")
        for path in self.dir, self.run, os.path.join(self.dir, "state"):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o700)
            os.chown(path, UID, UID)
        self.log_path = os.path.join(self.dir, "log")
        self.log = open(self.log_path, "ab")
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8",
                    "HOME": self.dir, "XDG_RUNTIME_DIR": self.run,
                    "XDG_STATE_HOME": os.path.join(self.dir, "state"),
                    "LD_LIBRARY_PATH": os.path.dirname(find_library())}
        self.env["VMNET_BROKER_PROGRAM"] = self.make_program()
        self.talkers, self.stopped, self.failing = [], [], False

    def make_program(self):
        """The broker that clients start, with the time that these stories have: a client that
        is slow, or a story that is, may need another one."""
        path = os.path.join(self.dir, "start-broker")
        with open(path, "w") as f:
            f.write(f'#!/bin/sh\nexec vmnet-broker "$@" --idle-timeout {120 // SCALE}\n')
        os.chmod(path, 0o755)
        return path

    def client(self, uid=None):
        talker = Client([sys.executable, os.path.join(HERE, "varlink_talker.py")], self.env,
                        self.log, UID)
        self.talkers.append(talker)
        return talker

    def ask(self, method):
        """Nothing when no broker answers, or when it ends meanwhile."""
        text = b""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            try:
                sock.connect(os.path.join(self.run, "vmnet-broker/broker.sock"))
                sock.sendall(b'{"method": "com.github.nirs.vmnet-broker.%s"}\0' % method.encode())
                while not text.endswith(b"\0"):
                    data = sock.recv(1 << 16)
                    if not data:
                        return None
                    text += data
            except (ConnectionError, FileNotFoundError):
                return None
        return json.loads(text[:-1])["parameters"]

    def listed(self):
        return (self.ask("List") or {}).get("networks") or []

    def networks(self):
        return sum(n["state"] in ("ready", "idle") for n in self.listed())

    def creation_begun(self):
        self.eventually(lambda: any(n["state"] == "creating" for n in self.listed()), 0,
                        "the begin of a creation")

    @staticmethod
    def processes(name):
        return [pid for pid in everybody() if name_of(pid) == name]

    def broker_pid(self):
        return max(self.processes("vmnet-broker"), default=0)

    def fail_creation(self, fail):
        """In the world, whose mounts are its own, there is no dnsmasq."""
        if fail != self.failing:
            subprocess.run(["mount", "--bind", "/dev/null", DNSMASQ] if fail else ["umount", DNSMASQ],
                           check=True)
        self.failing = fail

    def hold_creation(self, hold):
        """The helper is stopped."""
        for pid in self.stopped:
            send(pid, signal.SIGCONT)
        self.stopped = self.processes("vmnet-netd") if hold else []
        for pid in self.stopped:
            send(pid, signal.SIGSTOP)

    def said(self):
        text = super().said()
        log = os.path.join(self.dir, "state/vmnet-broker/broker.log")
        if os.path.exists(log):
            with open(log, errors="replace") as f:
                text += f.read()
        return text

    def check_health(self):
        for bad in ("Sanitizer", "runtime error", "bug:"):
            if bad in self.said():
                raise Failed(f"the log has '{bad}'")

    def end(self):
        try:
            self.check_health()
        finally:
            self.clean_up()

    def clean_up(self):
        self.hold_creation(False)
        self.fail_creation(False)
        for talker in self.talkers:
            if talker.process.poll() is None:
                talker.kill()
        self.eventually(self.nobody_left, 0, "the end of all that the story started")
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def nobody_left(self):
        """Kills what there is: the next story must not meet it, nor what it has just forked."""
        left = [pid for pid in everybody() if self.is_ours(pid)]
        for pid in left:
            send(pid, signal.SIGKILL)
        return not left

    def is_ours(self, pid):
        name = name_of(pid)
        if name == "dnsmasq":  # not the invented internet's
            return self.dir in read(f"/proc/{pid}/cmdline")
        return name.startswith(("vmnet-", "pasta", "passt", "slirp4netns"))


def everybody():
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit()]


def name_of(pid):
    """Nothing of a process that has ended, even if nobody has taken note of it yet."""
    return "" if "\nState:\tZ" in read(f"/proc/{pid}/status") else read(f"/proc/{pid}/comm").strip()


def read(path):
    """Nothing of a process that has ended since it was listed."""
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def send(pid, number):
    """Only ever to the processes of a world: it has process numbers of its own."""
    if not os.path.isdir("/run/world/guests"):
        raise SystemExit("linux_world: not inside tests/system/world")
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def find_library():
    for root, _, files in os.walk("/usr/local"):  # lib, lib64 or lib/TRIPLE
        if "libvmnet-broker.so.1" in files:
            return os.path.join(root, "libvmnet-broker.so.1")
    raise SystemExit("linux_world: run it by tests/system/world --build BUILD-DIRECTORY")
