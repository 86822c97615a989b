#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""as_unit UNIT [OPTION...] - become what a unit file says, as systemd would where it is process 1.

Reads the service's file and applies to this process what a process can apply to itself: user,
groups, capabilities, no_new_privs, the file system's view, filters of system calls, address
families and namespaces. Then it executes ExecStart, with the options added, as the same process, so
that sockets passed by activate.py stay its own. What needs a control group (DevicePolicy, IPAddressDeny,
KillMode, Restart) is left out, and whatever else is unknown ends it: nothing is ignored by mistake.
"""

import ctypes
import os
import pwd
import shlex
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]

RDONLY, NOSUID, NODEV, NOEXEC, BIND, REC, SLAVE = 1, 2, 4, 8, 4096, 16384, 1 << 19
NEWNS, NEWUTS, NEWIPC = 0x20000, 0x4000000, 0x8000000
NAMESPACES = {"cgroup": 0x2000000, "ipc": NEWIPC, "net": 0x40000000, "mnt": NEWNS,
              "pid": 0x20000000, "user": 0x10000000, "uts": NEWUTS, "time": 0x80}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_PACKET": 17}
CAPABILITIES = {"CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12,
                "CAP_NET_RAW": 13}
NOT_HERE = {"Type", "NotifyAccess", "Restart", "RestartSec", "KillMode", "SendSIGKILL",
            "OOMPolicy", "RemoveIPC", "LimitNOFILE", "DevicePolicy", "DeviceAllow",
            "IPAddressDeny", "KeyringMode", "SystemCallArchitectures", "SystemCallErrorNumber",
            "ProtectClock", "ProtectKernelLogs", "LockPersonality", "RestrictRealtime",
            "RestrictSUIDSGID", "PrivateMounts", "StateDirectoryMode", "ExecStopPost"}


def check(result, what):
    if result < 0:
        err = ctypes.get_errno()
        sys.exit(f"as_unit: {what}: {os.strerror(err)}")
    return result


def read_unit(path, wanted):
    """One section: each key with the list of its values."""
    keys, section = {}, ""
    with open(path, encoding="ascii") as unit:
        for line in unit:
            line = line.strip()
            if line.startswith("["):
                section = line
            elif line and line[0] != "#" and section == wanted:
                key, _, value = line.partition("=")
                keys.setdefault(key, []).append(value)
    return keys


class Unit:
    def __init__(self, path):
        self.keys = read_unit(path, "[Service]")
        self.used = set()

    def all(self, key):
        self.used.add(key)
        return self.keys.get(key, [])

    def words(self, key):
        return " ".join(self.all(key)).split()

    def one(self, key, default=None):
        return (self.all(key) or [default])[-1]

    def yes(self, key):
        return self.one(key) == "yes"


# --- what it sees of the file system ---------------------------------------------------------


def mount(source, target, kind, flags, data=None):
    encoded = [None if a is None else a.encode() for a in (source, target, kind)]
    check(LIBC.mount(*encoded, flags, data.encode() if data else None), f"mount {target}")


def set_readonly(path, readonly):
    class Attr(ctypes.Structure):
        _fields_ = [(n, ctypes.c_uint64) for n in ("set", "clear", "propagation", "userns")]

    attr = Attr(RDONLY if readonly else 0, 0 if readonly else RDONLY, 0, 0)
    flags = 0x8000 if readonly else 0  # AT_RECURSIVE
    check(LIBC.syscall(442, -100, path.encode(), flags, ctypes.byref(attr), ctypes.sizeof(attr)),
          f"mount_setattr {path}")


def private_devices():
    mount("/dev", "/run/world/dev-there", None, BIND | REC)
    mount("dev", "/dev", "tmpfs", NOSUID, "mode=0755")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        with open(f"/dev/{name}", "w", encoding="ascii"):
            pass
        mount(f"/run/world/dev-there/{name}", f"/dev/{name}", None, BIND)
    check(LIBC.umount2(b"/run/world/dev-there", 2), "umount")


def change_view(unit):
    flags = NEWNS | (NEWUTS if unit.yes("ProtectHostname") else 0)
    flags |= NEWIPC if unit.yes("PrivateIPC") else 0
    check(LIBC.unshare(flags), "unshare")
    mount(None, "/", None, REC | SLAVE)
    writable = unit.words("ReadWritePaths")
    writable += [f"/var/lib/{name}" for name in unit.words("StateDirectory")]
    if unit.yes("PrivateDevices"):
        os.makedirs("/run/world/dev-there", exist_ok=True)
        private_devices()
    if unit.yes("PrivateTmp"):
        writable += ["/tmp", "/var/tmp"]
        for path in "/tmp", "/var/tmp":
            mount("tmp", path, "tmpfs", NOSUID | NODEV, "mode=1777")
    if unit.yes("ProtectHome"):
        for path in "/home", "/root", "/run/user":
            mount("home", path, "tmpfs", NOSUID | NODEV, "mode=0000")
    if unit.yes("ProtectKernelModules") and os.path.isdir("/usr/lib/modules"):
        mount("modules", "/usr/lib/modules", "tmpfs", NOSUID | NODEV, "mode=0000")
    proc = [f"hidepid={unit.one('ProtectProc')}"] if unit.one("ProtectProc") else []
    proc += [f"subset={unit.one('ProcSubset')}"] if unit.one("ProcSubset") else []
    if proc:
        mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC, ",".join(proc))
    make_readonly(unit, writable)


def make_readonly(unit, writable):
    tunables = ["/proc/sys", "/sys"] if unit.yes("ProtectKernelTunables") else []
    tunables += ["/sys/fs/cgroup"] if unit.yes("ProtectControlGroups") else []
    for path in tunables + writable:
        if os.path.exists(path):
            mount(path, path, None, BIND | REC)
    if unit.one("ProtectSystem") == "strict":
        set_readonly("/", True)
        for path in "/dev", "/proc", "/sys":
            if os.path.ismount(path):
                set_readonly(path, False)
    for path in tunables:
        if os.path.exists(path):
            set_readonly(path, True)
    for path in writable:
        if os.path.exists(path):
            set_readonly(path, False)


# --- who it is -------------------------------------------------------------------------------


def make_directories(unit, user):
    for name in unit.words("StateDirectory"):
        path = f"/var/lib/{name}"
        os.makedirs(path, exist_ok=True)
        os.chmod(path, int(unit.one("StateDirectoryMode", "0755"), 8))
        os.chown(path, user.pw_uid, user.pw_gid)


def become(unit, user):
    prctl = LIBC.prctl
    bounding = {CAPABILITIES[c] for c in unit.words("CapabilityBoundingSet")}
    ambient = {CAPABILITIES[c] for c in unit.words("AmbientCapabilities")}
    unit.one("Group")
    os.umask(int(unit.one("UMask", "0022"), 8))
    for capability in range(64):
        if capability not in bounding and prctl(23, capability, 0, 0, 0) >= 0:
            check(prctl(24, capability, 0, 0, 0), "bounding set")
    check(prctl(8, 1, 0, 0, 0), "keep capabilities")
    os.initgroups(user.pw_name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    bits = sum(1 << c for c in ambient)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)
    check(LIBC.capset(header, data), "capset")
    for capability in ambient:
        check(prctl(47, 2, capability, 0, 0), "ambient set")
    if unit.yes("NoNewPrivileges"):
        check(prctl(38, 1, 0, 0, 0), "no_new_privs")


# --- which system calls it may make ----------------------------------------------------------


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64),
                ("b", ctypes.c_uint64)]


NE, EQ, MASKED_EQ = 1, 4, 7
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EPERM, EAFNOSUPPORT = 1, 97


class Filter:
    def __init__(self, default):
        self.lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.lib.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
        self.lib.seccomp_load.argtypes = [ctypes.c_void_p]
        self.context = self.lib.seccomp_init(default)

    def add(self, action, name, *comparisons):
        number = self.lib.seccomp_syscall_resolve_name(name.encode())
        array = (Comparison * max(1, len(comparisons)))(*comparisons)
        if number >= 0:
            self.lib.seccomp_rule_add_array(self.context, action, number, len(comparisons), array)

    def load(self):
        if self.lib.seccomp_load(self.context) < 0:
            sys.exit("as_unit: cannot load a filter")


def expand(name):
    if name[0] != "@":
        return {name}
    text = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], check=True,
                          capture_output=True, text=True).stdout
    calls = set()
    for line in text.splitlines()[1:]:
        if line.strip() and not line.strip().startswith("#"):
            calls |= expand(line.strip())
    return calls


def allowed_calls(unit):
    allowed = expand("@default")
    for line in unit.all("SystemCallFilter"):
        names = set().union(*(expand(n) for n in line.lstrip("~").split()))
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def filters(unit):
    calls = Filter(ERRNO | EPERM)
    for name in allowed_calls(unit):
        calls.add(ALLOW, name)
    yield calls
    families = Filter(ALLOW)
    wanted = {FAMILIES[f] for f in unit.words("RestrictAddressFamilies")}
    for family in set(range(46)) - wanted:
        families.add(ERRNO | EAFNOSUPPORT, "socket", Comparison(0, EQ, family, 0))
    yield families
    namespaces = Filter(ALLOW)
    kept = unit.one("RestrictNamespaces").split()
    for name, flag in NAMESPACES.items():
        if name not in kept:
            for call, arg in ("unshare", 0), ("clone", 0), ("setns", 1):
                namespaces.add(ERRNO | EPERM, call, Comparison(arg, MASKED_EQ, flag, flag))
    namespaces.add(ERRNO | EPERM, "setns", Comparison(1, EQ, 0, 0))
    namespaces.add(ERRNO | 38, "clone3")
    yield namespaces
    if unit.yes("MemoryDenyWriteExecute"):
        memory = Filter(ALLOW)
        memory.add(ERRNO | EPERM, "mmap", Comparison(2, MASKED_EQ, 6, 6))
        memory.add(ERRNO | EPERM, "mprotect", Comparison(2, MASKED_EQ, 4, 4))
        memory.add(ERRNO | EPERM, "pkey_mprotect", Comparison(2, MASKED_EQ, 4, 4))
        yield memory


def prepare(unit):
    """What root does before, and nobody's sandbox hinders."""
    for command in unit.all("ExecStartPre"):
        if command[0] != "+":
            sys.exit(f"as_unit: ExecStartPre={command}: as whom?")
        subprocess.run(shlex.split(command[1:]), check=True, timeout=10)


def main():
    unit = Unit(sys.argv[1])
    prepare(unit)
    user = pwd.getpwnam(unit.one("User"))
    command = shlex.split(unit.one("ExecStart")) + sys.argv[2:]
    loaded = list(filters(unit))
    make_directories(unit, user)
    change_view(unit)
    become(unit, user)
    unknown = set(unit.keys) - unit.used - NOT_HERE
    if unknown:
        sys.exit(f"as_unit: {sys.argv[1]}: what is {', '.join(sorted(unknown))}?")
    os.chdir("/")
    for each in reversed(loaded):  # the list of calls last: it may forbid seccomp() itself
        each.load()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
