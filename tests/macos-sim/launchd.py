#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""launchd.py - a stand-in for launchd that runs one job from its property list.

    launchd.py PLIST PROGRAM [ARGUMENT ...]     (SIM_DIR in the environment)

Holds the job's Mach services ($SIM_DIR/NAME.sock), starts PROGRAM (in place of the
plist's Program, with ARGUMENTs after those of the plist) when somebody connects, and once more after it has exited. What
launchd.plist(5) says of EnableTransactions, ExitTimeOut and ThrottleInterval is
done, in time scaled by SIM_TIME_SCALE. Commands come as lines on standard input,
each answered by a line on standard output:

    pid         the job's process id, 0 when it does not run
    active      how many transactions the job has open
    stop        as `launchctl stop`: SIGKILL at once to an inactive job; else SIGTERM,
                and SIGKILL after ExitTimeOut
    kill NAME   sends a signal to the job, as `launchctl kill` does
    terminate   memory pressure: TERMINATION_IMMINENT to the job
    last        how the job ended last: "exit 0", "signal 9", "never"
    starts      how often it was started
"""
import os
import plistlib
import select
import signal
import socket
import subprocess
import sys
import time

SCALE = float(os.environ.get("SIM_TIME_SCALE", "1"))


class Job:
    def __init__(self, plist, program, arguments):
        self.program = [program] + plist.get("ProgramArguments", ["-"])[1:] + arguments
        self.env = {**os.environ, **plist.get("EnvironmentVariables", {})}
        self.transactions = bool(plist.get("EnableTransactions") or plist.get("EnablePressuredExit"))
        self.exit_timeout = plist.get("ExitTimeOut", 20)
        self.throttle = plist.get("ThrottleInterval", 10)
        self.services = {name: self.listen(name) for name in plist["MachServices"]}
        self.process = self.line = None
        self.kill_at = None
        self.active = self.starts = 0
        self.not_before = 0
        self.last = "never"

    @staticmethod
    def listen(name):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.path.join(os.environ["SIM_DIR"], name + ".sock")
        sock.bind(path)
        os.chmod(path, 0o666)  # any user may look up a system service
        sock.listen(1024)
        return sock

    def start(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = [s.fileno() for s in self.services.values()]
        env = dict(self.env)
        env["SIM_MACH_SERVICES"] = " ".join(f"{n}={s.fileno()}" for n, s in self.services.items())
        env["SIM_LAUNCHD"] = str(theirs.fileno())
        self.process = subprocess.Popen(self.program, env=env, pass_fds=fds + [theirs.fileno()],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        theirs.close()
        self.line = ours
        self.starts += 1
        self.active = 0
        self.kill_at = None
        # "Jobs are not spawned more than once every N seconds."
        self.not_before = time.monotonic() + self.throttle / SCALE

    def hear(self):
        """All that the job has said, so that `active` is true now."""
        while self.line:
            try:
                text = self.line.recv(64, socket.MSG_DONTWAIT)
            except (BlockingIOError, ConnectionResetError):
                return
            if not text:
                self.hang_up()
                return
            self.active = int(text.split()[1])

    def hang_up(self):
        if self.line:
            self.line.close()
        self.line = None

    def reap(self):
        if not self.process or self.process.poll() is None:
            return
        code = self.process.returncode
        self.last = f"exit {code}" if code >= 0 else f"signal {-code}"
        self.process = None
        self.hang_up()  # what it said since we listened last is about nobody
        self.active = 0

    def stop(self):
        if not self.process:
            return
        self.hear()
        if self.transactions and self.active == 0:
            self.process.kill()
            return
        self.process.terminate()
        self.kill_at = time.monotonic() + self.exit_timeout / SCALE

    def tick(self):
        self.hear()
        self.reap()
        if self.process and self.kill_at and time.monotonic() >= self.kill_at:
            self.process.kill()
            self.kill_at = None

    def wanted(self):
        """The descriptors to wait for: the services, while nobody serves them."""
        if self.process or time.monotonic() < self.not_before:
            return []
        return list(self.services.values())


def command(job, words):
    job.tick()
    if words[0] == "pid":
        return str(job.process.pid if job.process else 0)
    if words[0] == "active":
        return str(job.active)
    if words[0] == "stop":
        job.stop()
    elif words[0] == "kill" and job.process:
        job.process.send_signal(getattr(signal, "SIG" + words[1]))
    elif words[0] == "terminate" and job.line:
        try:
            job.line.send(b"terminate")
        except OSError:
            pass  # it has just ended
    elif words[0] == "last":
        return job.last
    elif words[0] == "starts":
        return str(job.starts)
    return "ok"


def main():
    with open(sys.argv[1], "rb") as f:
        job = Job(plistlib.load(f), sys.argv[2], sys.argv[3:])
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([sys.stdin] + job.wanted(), [], [], 0.01)
        job.tick()
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:  # whoever ran us is gone
                break
            print(command(job, line.split()), flush=True)
        elif ready and not job.process:
            job.start()
    if job.process:
        job.process.kill()
        job.process.wait()


main()
