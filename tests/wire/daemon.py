#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""daemon.py VMNET_BROKER - the program itself: options, locks, sockets, start on demand, exit.

No network is made: nothing here asks for one. Everything lies in a temporary directory.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from fake_systemd import FakeSystemd
from varlink_client import Client

PROGRAM = os.path.abspath(sys.argv[1])
BEHAVIOURS = []
USAGE, LOCKED = 2, 3


def behaviour(title):
    def add(function):
        BEHAVIOURS.append((title, function))
        return function
    return add


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: {got!r} instead of {want!r}")


def eventually(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Home:
    """An environment of its own, and the brokers that were started in it."""

    def __init__(self, directory):
        self.dir = pathlib.Path(tempfile.mkdtemp(dir=directory))
        self.run, self.state = self.dir / "run", self.dir / "state" / "vmnet-broker"
        self.run.mkdir(mode=0o700)
        self.socket = self.run / "vmnet-broker" / "broker.sock"
        self.log = self.state / "broker.log"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.dir),
                    "XDG_RUNTIME_DIR": str(self.run), "XDG_STATE_HOME": str(self.dir / "state")}
        self.pids = set()

    def start(self, *options, **settings):
        """A broker in the foreground, answering."""
        process = subprocess.Popen([PROGRAM, *options], env=self.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **settings)
        self.pids.add(process.pid)
        eventually(lambda: self.answers() or process.poll() is not None, "the broker answers")
        if process.poll() is not None:
            raise AssertionError(process.communicate()[0])
        return process

    def run_program(self, *options, timeout=20):
        return subprocess.run([PROGRAM, *options], env=self.env, timeout=timeout, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def background(self, *options):
        """Starts one on demand; returns its pid."""
        done = self.run_program("--background", *options)
        equal(done.returncode, 0, done.stderr)
        return self.serving()

    def answers(self):
        try:
            Client(str(self.socket)).close()
        except OSError:
            return False
        return True

    def status(self):
        with Client(str(self.socket)) as client:
            return client.call("Status")["parameters"]["broker"]

    def serving(self):
        pid = self.status()["pid"]
        self.pids.add(pid)
        return pid

    def end(self):
        for pid in self.pids:
            if not gone(pid):
                with contextlib.suppress(ProcessLookupError):  # it may be going by itself
                    os.kill(pid, signal.SIGTERM)
        for pid in self.pids:
            eventually(lambda p=pid: gone(p), f"process {pid} ends")


# ---- options ----

@behaviour("--help and --version; what is wrong with an option is said, with exit code 2")
def options(home):
    assert "--idle-timeout SECONDS" in home.run_program("--help").stdout
    assert home.run_program("--version").stdout.startswith("vmnet-broker ")
    for wrong, words in ((["--nonsense"], "--nonsense"), (["extra"], "extra"),
                         (["--idle-timeout", "soon"], "seconds"),
                         (["--idle-timeout", "-1"], "seconds"), (["--idle-timeout"], "argument"),
                         (["--log-level", "loud"], "error, warning"),
                         (["--socket", "here"], "absolute"), (["--state-dir", "x"], "absolute"),
                         (["--system", "--background"], "--background")):
        done = home.run_program(*wrong)
        equal(done.returncode, USAGE, wrong)
        assert words in done.stderr and "--help" in done.stderr, done.stderr


# ---- one broker ----

@behaviour("a second broker names the first, with an exit code of its own")
def second(home):
    first = home.start()
    done = home.run_program()
    equal(done.returncode, LOCKED)
    assert f"process {first.pid}" in done.stderr, done.stderr
    assert home.answers()


@behaviour("another state directory, but the same socket: refused while the first answers")
def same_socket(home):
    home.start()
    done = home.run_program("--state-dir", str(home.dir / "other"))
    equal(done.returncode, 1)
    assert "another broker answers there" in done.stderr, done.stderr
    assert home.answers()


@behaviour("the socket of a broker that was killed is replaced")
def stale(home):
    first = home.start()
    first.kill()
    first.wait()
    assert home.socket.exists()
    equal(home.start().pid, home.serving())
    equal(sorted(p.name for p in home.socket.parent.iterdir()), ["broker.sock"])


@behaviour("SIGTERM and SIGINT end it cleanly, and take its socket away")
def signals(home):
    for number in (signal.SIGTERM, signal.SIGINT):
        broker = home.start()
        broker.send_signal(number)
        equal(broker.wait(20), 0, broker.stdout.read())
        assert not home.socket.exists()


@behaviour("it removes no socket but its own")
def others_socket(home):
    broker = home.start()
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(home.socket) + ".other")
    os.rename(str(home.socket) + ".other", home.socket)  # if it were away, the broker would come back
    broker.terminate()
    equal(broker.wait(20), 0)
    assert home.socket.exists()
    other.close()


@behaviour("a runtime or state directory that is a link, or open to others, is refused")
def bad_directories(home):
    target = home.dir / "target"
    target.mkdir()
    for directory, words in ((home.socket.parent, "cannot listen"), (home.state, "state")):
        directory.parent.mkdir(exist_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
        directory.symlink_to(target)
        done = home.run_program()
        equal(done.returncode, 1)
        assert words in done.stderr, done.stderr
        directory.unlink()
        directory.mkdir()
        directory.chmod(0o777)
        done = home.run_program()
        equal(done.returncode, 1)
        assert "must be ours" in done.stderr, done.stderr
        directory.rmdir()
    equal(list(target.iterdir()), [])


@behaviour("without XDG_STATE_HOME and HOME it asks for --state-dir")
def no_state(home):
    del home.env["HOME"], home.env["XDG_STATE_HOME"]
    done = home.run_program()
    equal(done.returncode, 1)
    assert "--state-dir" in done.stderr, done.stderr
    home.start("--state-dir", str(home.dir / "here"))
    equal(home.status()["state_directory"], str(home.dir / "here"))


@behaviour("a runtime directory that vanishes comes back within a quarter of a minute")
def vanished(home):
    home.start()
    with Client(str(home.socket)) as client:
        # On a busy machine it may come back before all has gone.
        shutil.rmtree(home.run, ignore_errors=True)
        home.run.mkdir(mode=0o700, exist_ok=True)
        eventually(home.answers, "the socket is back", 15)
        assert "parameters" in client.call("List")


# ---- systemd ----

@behaviour("sockets from systemd are used, and it is told when all is ready")
def activation(home):
    path, notify = str(home.dir / "passed.sock"), str(home.dir / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, \
            socket.socket(socket.AF_UNIX) as passed:
        told.bind(notify)
        told.settimeout(20)
        passed.bind(path)
        passed.listen()
        env = dict(home.env, LISTEN_FDS="1", NOTIFY_SOCKET=notify)
        process = subprocess.Popen(
            ["sh", "-c", f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ exec "{PROGRAM}"'], env=env,
            pass_fds=[passed.fileno()], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        home.pids.add(process.pid)
        equal(told.recv(100), b"READY=1")
        with Client(path) as client:
            equal(client.call("Status")["parameters"]["broker"]["pid"], process.pid)
    assert not home.socket.exists()
    process.terminate()
    equal(process.wait(20), 0)
    assert os.path.exists(path), "systemd's socket is not ours to remove"


# ---- start on demand ----

@behaviour("--background returns when the socket answers, with a daemon of nobody's")
def background(home):
    home.env.update(JOURNAL_STREAM="1:2", NOTIFY_SOCKET="/nowhere")
    with open("/dev/null", "rb") as leak:
        os.dup2(leak.fileno(), 170, inheritable=True)
    subprocess.run([PROGRAM, "--background"], env=home.env, timeout=20, check=True,
                   close_fds=False, stdin=subprocess.DEVNULL)
    os.close(170)
    pid = home.serving()
    proc = pathlib.Path(f"/proc/{pid}")
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    assert int(fields[3]) not in (os.getsid(0), pid), "a session that is the caller's"
    equal(os.readlink(proc / "cwd"), "/")
    equal([os.readlink(proc / f"fd/{n}") for n in (0, 1, 2)],
          ["/dev/null", "/dev/null", str(home.log)])
    assert not (proc / "fd" / "170").exists()
    equal(home.status()["log"], str(home.log))
    assert home.log.read_text().startswith("2"), "lines have a time, not a journal's level"


@behaviour("ten clients racing to start a broker end on one")
def race(home):
    racers = [subprocess.Popen([PROGRAM, "--background"], env=home.env, stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE) for _ in range(10)]
    for racer in racers:
        _, words = racer.communicate(timeout=30)
        equal(racer.returncode, 0, words)
    home.serving()
    equal(home.log.read_text().count("is ready"), 1)


@behaviour("a broker started on demand exits when idle, and the next client starts it again")
def idle(home):
    first = home.background("--idle-timeout", "3")  # time enough for us to come
    with Client(str(home.socket)) as client:
        client.call("List")
        time.sleep(3.5)
        assert not gone(first), "it left while somebody was connected"
    eventually(lambda: gone(first), "it leaves")
    assert not home.socket.exists()
    assert home.background() != first


@behaviour("starting again just as the old one leaves never fails")
def leaving(home):
    for _ in range(10):
        done = home.run_program("--background", "--idle-timeout", "0")
        equal(done.returncode, 0, done.stderr)
    eventually(lambda: not home.socket.exists(), "the last one leaves")


@behaviour("why it cannot be started is said to whoever asked")
def cannot_start(home):
    home.state.mkdir(parents=True)
    home.socket.parent.mkdir()
    home.socket.mkdir()  # in the way
    done = home.run_program("--background")
    equal(done.returncode, 1)
    assert "cannot listen" in done.stderr.splitlines()[-1], done.stderr
    home.state.chmod(0o777)
    done = home.run_program("--background")
    equal(done.returncode, 1)
    assert "must be ours" in done.stderr.splitlines()[-1], done.stderr


@behaviour("where systemd's user manager answers, it runs the broker")
def by_systemd(home):
    manager = FakeSystemd(str(home.run / "bus"), "starts")
    try:
        home.env["VMNET_BROKER_TEST"] = "passed"
        home.background("--idle-timeout", "77")
        (child,) = manager.children
        equal(home.status()["pid"], child.pid)
        for word in ("KillMode", "process", "Type", "notify", "CollectMode", "--on-demand",
                     "--idle-timeout", "77", "VMNET_BROKER_TEST=passed",
                     f"XDG_RUNTIME_DIR={home.run}"):
            assert word in manager.properties, (word, manager.properties)
        assert "--background" not in manager.properties
        home.background()
        equal(len(manager.children), 1)
    finally:
        manager.close()


@behaviour("where a bus answers, but no systemd, it starts by itself")
def absent_systemd(home):
    manager = FakeSystemd(str(home.run / "bus"), "absent")
    home.background()
    equal(manager.children, [])
    manager.close()


@behaviour("a bus that says nothing delays the start by some seconds only")
def silent_systemd(home):
    manager = FakeSystemd(str(home.run / "bus"), "silent")
    began = time.monotonic()
    home.background()
    assert time.monotonic() - began < 20, f"{time.monotonic() - began:.1f} s"  # a bus's own is 25
    manager.close()


def run(title, function, directory):
    home = Home(directory)
    try:
        function(home)
        home.end()
    except Exception:  # a failure of this behaviour, and the next one's turn
        print(f"not ok - {title}", flush=True)
        traceback.print_exc()
        if home.log.exists():
            print(home.log.read_text(), file=sys.stderr)
        try:
            home.end()
        except Exception:
            traceback.print_exc()
        return False
    print(f"ok - {title}", flush=True)
    return True


def main():
    with tempfile.TemporaryDirectory(prefix="daemon.") as directory:
        results = [run(*b, directory) for b in BEHAVIOURS]
    print(f"{results.count(True)} of {len(results)} behaviours are as they should be")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
