#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""act_as.py PID read|write|make PATH, or PID add_key|change_rules - what a process still may.

Makes one system call in the place of a process that runs, as somebody who has taken it over
would, and says what came of it: "fine", the name of an error, or that of the signal which
ended it. The process then goes on with what it did, if it lives. x86-64 only: how a call is
made differs between machines, what is allowed does not.
"""
import ctypes
import errno
import os
import platform
import signal
import sys

GETREGS, SETREGS, SINGLESTEP, DETACH, SEIZE, INTERRUPT = 12, 13, 9, 17, 0x4206, 0x4207
WALL = 0x40000000
SYSCALL = b"\x0f\x05"
AT_FDCWD = -100
NUMBER = {"openat": 257, "add_key": 248, "socket": 41, "close": 3}
REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags "
             "rsp ss fs_base gs_base ds es fs gs").split()
ARGUMENTS = ("rdi", "rsi", "rdx", "r10")
RED_ZONE = 4096  # below the stack's end, what the process may be using


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in REGISTERS]


libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Ended(Exception):
    """By a signal."""


class Puppet:
    def __init__(self, pid):
        self.pid = pid
        self.ptrace(SEIZE)
        self.ptrace(INTERRUPT)
        self.wait()
        self.before = Registers()
        self.ptrace(GETREGS, self.before)
        self.memory = open(f"/proc/{pid}/mem", "r+b", buffering=0)
        self.memory.seek(self.before.rip - len(SYSCALL))
        if self.memory.read(len(SYSCALL)) != SYSCALL:
            raise RuntimeError(f"process {pid} does not wait in a system call")

    def ptrace(self, request, data=None):
        pointer = ctypes.byref(data) if data is not None else None
        if libc.ptrace(request, self.pid, None, pointer) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"ptrace: {os.strerror(number)}")

    def wait(self):
        _, status = os.waitpid(self.pid, WALL)
        if os.WIFSIGNALED(status):
            raise Ended(signal.Signals(os.WTERMSIG(status)).name)

    def text(self, text):
        at = self.before.rsp - RED_ZONE
        self.memory.seek(at)
        self.memory.write(os.fsencode(text) + b"\0")
        return at

    def call(self, name, *arguments):
        now = Registers.from_buffer_copy(self.before)
        now.rax, now.orig_rax = NUMBER[name], 2**64 - 1  # nothing to be made again meanwhile
        now.rip -= len(SYSCALL)
        for register, value in zip(ARGUMENTS, arguments):
            setattr(now, register, value % 2**64)
        self.ptrace(SETREGS, now)
        self.ptrace(SINGLESTEP)
        self.wait()
        self.ptrace(GETREGS, now)
        return ctypes.c_int64(now.rax).value

    def let_go(self):
        self.ptrace(SETREGS, self.before)
        self.ptrace(DETACH)


def act(puppet, what, path=None):
    flags = {"read": os.O_RDONLY, "write": os.O_WRONLY, "make": os.O_WRONLY | os.O_CREAT}
    if what in flags:
        at = puppet.text(path)
        got = puppet.call("openat", AT_FDCWD, at, flags[what] | os.O_NONBLOCK, 0o600)
    elif what == "change_rules":
        got = puppet.call("socket", 16, 3, 12)  # AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER
    else:
        got = puppet.call(what, 0, 0, 0, 0)
    if got < 0:
        return errno.errorcode[-got]
    puppet.call("close", got)
    return "fine"


def main():
    if platform.machine() != "x86_64":
        sys.exit("optional: calls are made for x86-64 only")
    try:
        puppet = Puppet(int(sys.argv[1]))
        result = act(puppet, *sys.argv[2:])
        puppet.let_go()
    except Ended as end:
        result = str(end)
    print(result)


if __name__ == "__main__":
    main()
