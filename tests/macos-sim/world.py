# SPDX-License-Identifier: Apache-2.0
"""world.py - a Mac that holds one broker, for one story.

Everything lives in a SIM_DIR of its own, so stories run side by side. Time is scaled:
`seconds()` and `eventually()` speak of the broker's seconds, not of ours.

The stories of stories.py use nothing of this but the methods of `World` and `Client` that
have a line of documentation: another world with the same methods can tell them too.
"""
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time

SCALE = 40
PATIENCE = float(os.environ.get("SIM_PATIENCE", "120"))  # of ours, for one answer; sanitizers on a busy machine are slow
HERE = os.path.dirname(os.path.abspath(__file__))
PLIST = os.path.join(HERE, "../../packaging/macos/com.github.nirs.vmnet-broker.plist")


class Failed(Exception):
    pass


def expect(actual, wanted, what="got"):
    if actual != wanted:
        raise Failed(f"{what} {actual!r} instead of {wanted!r}")


class Talker:
    """A process that answers each line with a line."""

    def __init__(self, argv, env, log, uid=None):
        wrap = []
        if uid is not None:
            wrap = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
        self.process = subprocess.Popen(wrap + argv, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=log, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def hear(self, patience=PATIENCE):
        try:
            line = self.lines.get(timeout=patience)
        except queue.Empty:
            raise Failed(f"no answer from {self.process.args[0]}") from None
        if line is None:
            raise Failed(f"{self.process.args[0]} ended with {self.process.wait()}")
        return line

    def ask(self, text):
        self.say(text)
        return self.hear()

    def end(self):
        """Says goodbye and returns the exit status."""
        if self.process.poll() is None:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed(f"{self.process.args[0]} does not end") from None

    def kill(self):
        """kill -9"""
        self.process.kill()
        self.process.wait()


class Client(Talker):
    def acquire(self, name):
        """'network', or the error's number, or what became of the connection."""
        return self.outcome(self.ask(f"acquire {name}"))

    def acquire_begin(self, name):
        """Asks without waiting; outcome(hear()) is the answer."""
        self.say(f"acquire {name}")

    def request(self, **fields):
        """A request of any shape; values are (type, text)."""
        words = " ".join(f"{key}={kind}:{text}" for key, (kind, text) in fields.items())
        return self.outcome(self.ask("raw " + words))

    @staticmethod
    def outcome(answer):
        return int(answer[6:]) if answer.startswith("error ") else answer

    def usable(self):
        """Can the network that was acquired last be used?"""
        return self.ask("use") == "usable"

    def same(self):
        """Were the last two acquired networks the same?"""
        return self.ask("same") == "same"

    def flood(self, count, name):
        """That many acquires at once; returns how many were answered."""
        answer = self.ask(f"flood {count} {name}")
        counts = dict(word.split("=") for word in answer.split())
        expect(counts["error"], "0", "requests that broke:")
        return int(counts["network"]) + int(counts["error3"])


class World:
    def __init__(self, bin_dir):
        self.bin = bin_dir
        self.dir = tempfile.mkdtemp(prefix="mac.", dir="/tmp")
        os.chmod(self.dir, 0o777)
        self.definitions = os.path.join(self.dir, "vmnet-broker.d")
        os.mkdir(self.definitions, 0o755)
        self.log_path = os.path.join(self.dir, "log")
        self.held_path = os.path.join(self.dir, "delayed-vmnet_network_create")
        self.log = open(self.log_path, "ab")
        self.env = {**os.environ, "SIM_DIR": self.dir, "SIM_TIME_SCALE": str(SCALE),
                    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1",
                    "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
                    "TSAN_OPTIONS": "halt_on_error=1:abort_on_error=1"}
        self.launchd = Talker([os.path.join(HERE, "launchd.py"), PLIST,
                               os.path.join(self.bin, "vmnet-broker"),
                               "--config-dir", self.definitions], self.env, self.log)
        self.talkers = []
        self.deaths_expected = set()
        expect(self.launchd.hear(), "ready")

    # ---- what stories use ----

    def client(self, uid=None):
        """A new client process."""
        return self.program("xpc-client", Client, uid=uid)

    def now(self):
        """The broker's seconds, counted from some moment on."""
        return time.monotonic() * SCALE

    def seconds(self, n):
        """Lets so many of the broker's seconds pass."""
        time.sleep(n / SCALE)

    def eventually(self, condition, within, what):
        """Waits for a condition, for so many of the broker's seconds and our patience."""
        until = time.monotonic() + within / SCALE + PATIENCE
        while not condition():
            if time.monotonic() > until:
                raise Failed(f"{what}: never happened")
            time.sleep(0.02)

    def networks(self):
        """How many networks exist, as the system sees it."""
        return len(self.reservations())

    def broker_pid(self):
        """0 when it does not run."""
        return int(self.launchd.ask("pid"))

    def kill_broker(self):
        """kill -9"""
        self.deaths_expected.add("signal 9")
        pid = self.broker_pid()
        self.launchd.ask("kill KILL")
        self.eventually(lambda: self.broker_pid() != pid, 0, "the broker's death")

    def fail_creation(self, fail):
        """From now on the system refuses to create networks, or not."""
        self.knob("fail", "vmnet_network_create=1001" if fail else "")

    def hold_creation(self, hold):
        """From now on no creation of a network comes to its end, until this is taken back."""
        if hold and os.path.exists(self.held_path):
            os.unlink(self.held_path)
        self.knob("delay", f"vmnet_network_create={10 ** 7}" if hold else "")

    def creation_begun(self):
        """Waits until a creation is held."""
        self.eventually(lambda: os.path.exists(self.held_path), 0, "the begin of a creation")

    # ---- what is the Mac's own ----

    def knob(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path + ".new", "w") as f:
            f.write(text + "\n")
        os.rename(path + ".new", path)

    def define(self, name, text):
        """Writes a definition, whole, as `vmnet-brokerctl add` would."""
        path = os.path.join(self.definitions, name + ".json")
        with open(path + ".new", "w") as f:
            f.write(text if isinstance(text, str) else json.dumps(text))
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)
        return path

    def reservations(self):
        """The text of each network that exists: it is emptied when the network goes, and
        unlocked when its creator dies."""
        found = {}
        pid = self.broker_pid()
        for name in sorted(os.listdir(self.dir)):
            if not name.startswith("subnet-"):
                continue
            with open(os.path.join(self.dir, name)) as f:
                text = f.read().strip()
            if text and text.endswith(f"pid={pid}"):
                found[name[7:]] = text
        return found

    def program(self, name, kind=Talker, arguments=(), uid=None):
        talker = kind([os.path.join(self.bin, name), *arguments], self.env, self.log, uid)
        self.talkers.append(talker)
        return talker

    def active(self):
        return int(self.launchd.ask("active"))

    def last_exit(self):
        return self.launchd.ask("last")

    def said(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def check_health(self):
        """No sanitizer, misuse or bug spoke up, and the broker died of nothing strange."""
        for bad in ("Sanitizer", "runtime error", "macos-sim: misuse", "bug:"):
            if bad in self.said():
                raise Failed(f"the log has '{bad}'")
        last = self.last_exit()
        if last not in {"never", "exit 0"} | self.deaths_expected:
            raise Failed(f"the broker ended with {last}")

    def end(self):
        """Ends all processes properly, so that leaks are seen, and looks at the log."""
        try:
            for talker in self.talkers:
                if talker.process.poll() is None and isinstance(talker, Client):
                    expect(talker.end(), 0, "a client ended with")
            if self.broker_pid():
                self.launchd.ask("kill TERM")
                self.eventually(lambda: self.broker_pid() == 0, 0, "the broker's exit")
            self.check_health()
        finally:
            self.clean_up()

    def clean_up(self):
        for talker in self.talkers + [self.launchd]:
            if talker is self.launchd:
                talker.end()
            elif talker.process.poll() is None:
                talker.kill()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
