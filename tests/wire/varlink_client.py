# SPDX-License-Identifier: Apache-2.0
"""A client of the broker that can misbehave: bytes, JSON and descriptors over a socket."""
import array
import json
import os
import signal
import socket
import subprocess
import time

BROKER = "com.github.nirs.vmnet-broker"
SERVICE = "org.varlink.service"
TIMEOUT = 20


def message(method, params=None, **members):
    call = {"method": method if "." in method else f"{BROKER}.{method}", **members}
    if params is not None:
        call["parameters"] = params
    return json.dumps(call).encode() + b"\0"


class Closed(Exception):
    """The broker closed the connection."""


class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)  # waits, where one with a time-out fails when there is a queue
        self.sock.settimeout(TIMEOUT)
        self.buffer = b""
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def send_fds(self, data, fds):
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        self.sock.sendmsg([data], [rights])

    def receive(self, size=65536):
        """The next reply as a dictionary."""
        while b"\0" not in self.buffer:
            try:
                room = socket.CMSG_SPACE(16 * 4)
                data, ancillary, _, _ = self.sock.recvmsg(size, room)
            except ConnectionResetError:
                raise Closed from None
            for _, _, rights in ancillary:
                self.fds += array.array("i", rights)
            if not data:
                raise Closed
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def call(self, method, params=None, **members):
        self.send(message(method, params, **members))
        return self.receive()

    def acquire(self, name="shared"):
        return self.call("Acquire", {"network_name": name})

    def let_others_go_first(self):
        """What came before a question has its turn before the answer to the next but one."""
        for _ in range(3):
            self.call("List")

    def is_closed(self):
        """Has the broker closed this connection, without another word?"""
        try:
            self.receive()
        except Closed:
            return True
        return False


class Broker:
    """A null_broker process, or a context in which it runs."""

    def __init__(self, program, directory, limits=None, **environment):
        self.path = os.path.join(directory, f"{time.monotonic_ns()}.sock")
        self.log_path = self.path + ".log"
        env = dict(os.environ, ASAN_OPTIONS="quarantine_size_mb=8", **environment)
        env.pop("JOURNAL_STREAM", None)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([program, self.path], env=env, stderr=log,
                                            stdin=subprocess.DEVNULL, preexec_fn=limits)
        deadline = time.monotonic() + TIMEOUT
        while not self.answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"the broker did not start: {self.log()}")
            time.sleep(0.01)
        self.forget_probes()

    def forget_probes(self):
        """Until the broker has closed what answers() opened, and counts can be compared."""
        with self.client() as last:
            last.let_others_go_first()
            others = self.open_fds() - 1
        self.settled_fds(others)

    def answers(self):
        try:
            Client(self.path).close()
        except OSError:
            return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()

    def client(self):
        return Client(self.path)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def settled_fds(self, want):
        """Waits until as many descriptors are open; returns how many there are."""
        deadline = time.monotonic() + TIMEOUT
        while self.open_fds() != want and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.open_fds()

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def becomes_quiet(self, seconds=0.5, share=0.2):
        """Does it, for so long, sleep but for this share of the time? It may have work left."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(seconds)
            if self.cpu_seconds() - before < share * seconds:
                return True
        return False

    def stop(self):
        """Ends it politely; its exit code tells of leaks and other crimes."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        if code != 0:
            raise RuntimeError(f"the broker ended with {code}: {self.log()}")
