#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""uplink_smoke.py DRIVER - the way out of a rootless instance, in a private world.

    guest a1, a2 --- bridge vb0 --+                                +-- eth0 --+
                                  |  vmnet namespace --- engine -- host       internet
    guest h1     --- bridge vb1 --+  (network 'host')              +-- eth1 --+

Everything is a namespace below a process namespace of our own: it ends with us, and no
packet leaves it. The guests are veth pairs, since what matters here is behind the bridge.
The script is root, and enters the namespaces thread by thread; DRIVER
(uplink_driver.c) runs as root and as an ordinary user, with each engine. Needs root.
"""
import ctypes
import errno
import os
import queue
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

USER = 4000
CLONE_NEWNET = 0x40000000
TCP_REPAIR = 19
SO_RCVBUFFORCE = 33
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
libc = ctypes.CDLL(None, use_errno=True)
HOST4, HOST6 = "198.51.100.2", "2001:db8::2"
NET4, NET6 = "203.0.113.1", "2001:db8:1::1"
PATIENCE = 20  # for what must come, on a machine that has other things to do
THIRD_TRY = 3  # s, when TCP begins a connection once more: after one, and another two
RELAY_PATIENCE = 2  # s, with a resolver that is not the last (UDP_PATIENCE)
SLOW = 203  # answers of the resolver that takes its time end in this
failures = []


# ---- namespaces ---------------------------------------------------------------------

def sh(line, check=True):
    return subprocess.run(line.split(), check=check, timeout=20, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def within(ns, func, *args, **kwargs):
    """func(...) in a thread that has entered ns (a path); its value, or its exception."""
    answer = queue.Queue()

    def run():
        try:
            with open(ns) as handle:
                if libc.setns(handle.fileno(), CLONE_NEWNET) < 0:
                    raise OSError(ctypes.get_errno(), "setns " + ns)
            answer.put((func(*args, **kwargs), None))
        except Exception as problem:  # handed over below
            answer.put((None, problem))

    threading.Thread(target=run, daemon=True).start()
    value, problem = answer.get(timeout=60)
    if problem:
        raise problem
    return value


def netns(name):
    return "/run/netns/" + name


def background(serve, sock, *args):
    threading.Thread(target=serve, args=(sock, *args), daemon=True).start()


# ---- servers ------------------------------------------------------------------------

def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listener(kind, address, port):
    sock = socket.socket(family(address), kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)  # for all that waits meanwhile
    sock.bind((address, port))
    if kind == socket.SOCK_STREAM:
        sock.listen(400)
    return sock


def serve_tcp(sock):
    """Says who called, then echoes."""
    def talk(conn, peer):
        try:
            conn.sendall(("hello " + peer[0] + "\n").encode())
            while True:
                data = conn.recv(65536)
                if not data:
                    return
                conn.sendall(data)
        except OSError:
            pass
        finally:
            conn.close()
    while True:
        threading.Thread(target=talk, args=sock.accept(), daemon=True).start()


def serve_udp(sock):
    while True:
        data, peer = sock.recvfrom(65536)
        sock.sendto(data, peer)


def dns_answer(query, last):
    """Every name has the address 192.0.2.LAST: so an answer names its resolver."""
    end = query.index(b"\0", 12) + 5
    head = query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
    return head + query[12:end] + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + bytes([192, 0, 2, last])


def serve_dns_udp(sock, last, delay=0.0):
    def reply(data, peer):
        sock.sendto(dns_answer(data, last), peer)
    while True:
        data, peer = sock.recvfrom(4096)
        if last == 0:  # silent
            continue
        if delay:
            threading.Timer(delay, reply, (data, peer)).start()
        else:
            reply(data, peer)


def serve_dns_tcp(sock, last):
    while True:
        conn, _ = sock.accept()
        try:
            size = struct.unpack("!H", conn.recv(2))[0]
            answer = dns_answer(conn.recv(size), last)
            conn.sendall(struct.pack("!H", len(answer)) + answer)
        except (OSError, struct.error):
            pass
        conn.close()


# ---- what a guest tries -------------------------------------------------------------

def tcp(address, port=80, timeout=PATIENCE):
    """The greeting, or the name of the error."""
    sock = socket.socket(family(address), socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect((address, port))
        return sock.recv(100).decode().strip()
    except socket.timeout:
        return "timeout"
    except OSError as problem:
        return errno.errorcode[problem.errno]
    finally:
        sock.close()


def udp(address, data=b"x" * 100, port=80, timeout=PATIENCE, source=0):
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.settimeout(timeout)
    try:
        sock.bind(("", source))
        sock.connect((address, port))
        sock.send(data)
        return "ok" if sock.recv(65536) == data else "garbled"
    except socket.timeout:
        return "timeout"
    except OSError as problem:
        return errno.errorcode[problem.errno]
    finally:
        sock.close()


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def ping(address, timeout=PATIENCE):
    v6 = ":" in address
    sock = socket.socket(family(address), socket.SOCK_RAW, 58 if v6 else 1)
    sock.settimeout(timeout)
    ident = os.urandom(2) + b"\0\1" + b"smoke test"
    kind, expect = (128, 129) if v6 else (8, 0)
    message = bytes([kind, 0, 0, 0]) + ident
    if not v6:
        message = bytes([kind, 0]) + struct.pack("!H", checksum(message)) + ident
    deadline = time.monotonic() + timeout
    try:
        sock.sendto(message, (address, 0))
        while time.monotonic() < deadline:
            data, _ = sock.recvfrom(2000)
            data = data if v6 else data[20:]
            if data[0] == expect and data[4:] == ident:
                return "ok"
        return "timeout"
    except socket.timeout:
        return "timeout"
    except OSError as problem:
        return errno.errorcode[problem.errno]
    finally:
        sock.close()


def query(number=0):
    return os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0\4test\7example\0\0\1\0\1"


def dns(server="127.0.0.54", over_tcp=False, timeout=PATIENCE):
    """Which resolver answered (the last number of the address), or the error."""
    question = query()
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM)
    sock.settimeout(timeout)
    try:
        sock.connect((server, 53))
        if over_tcp:
            sock.sendall(struct.pack("!H", len(question)) + question)
            data = b""
            while len(data) < 2 or len(data) < 2 + struct.unpack("!H", data[:2])[0]:
                part = sock.recv(4096)
                if not part:
                    return "closed"
                data += part
            data = data[2:]
        else:
            sock.send(question)
            data = sock.recv(4096)
        return data[-1] if data[:2] == question[:2] else "garbled"
    except socket.timeout:
        return "timeout"
    except OSError as problem:
        return errno.errorcode[problem.errno]
    finally:
        sock.close()


def await_read():
    """Until the relay has taken all questions (/proc/net/udp: tx_queue:rx_queue)."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with open("/proc/thread-self/net/udp") as file:
            sockets = [line.split() for line in file]
        queues = [words[4] for words in sockets if words[1] == "3600007F:0035"]  # 127.0.0.54:53
        if not any(int(queue.split(":")[1], 16) for queue in queues):
            return
        time.sleep(0.002)


def dns_many(count):
    """count questions at the same time, each from a port of its own."""
    socks = []
    for i in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.54", 53))
        sock.send(query())
        if i % 50 == 49:  # a stock receive buffer holds some 270 datagrams, and a busy
            await_read()  # machine lets a burst wait there
        socks.append(sock)
    good, deadline = 0, time.monotonic() + 8
    for sock in socks:
        try:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            good += len(sock.recv(4096)) > 12
        except OSError:
            pass
        sock.close()
    return good


# ---- the driver ---------------------------------------------------------------------

class Driver:
    def __init__(self, program, uid, engine):
        env = dict(os.environ, VMNET_BROKER_UPLINK_ENGINE=engine or "")
        command = [program]
        if uid:
            command = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups",
                       "--"] + command
        self.log = open("/run/driver.log", "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, bufsize=1, env=env)
        self.lines, self.engine, self.state, self.states = [], 0, "", []
        self.engine_name = ""
        self.news = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        self.anchor = int(self.wait("anchor").split()[1])
        self.relay = int(self.wait("relay").split()[1])
        self.ns = "/proc/%d/ns/net" % self.anchor

    def read(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.strip())
                if line.startswith("engine "):
                    self.engine = int(line.split()[1])
                    if self.engine and self.state == "ok":
                        self.state = ""  # that was said of the last one
                if line.startswith("state "):
                    _, self.engine_name, self.state = line.strip().split(" ", 2)
                    self.states.append(self.state)
                self.news.notify_all()

    def wait(self, start, timeout=PATIENCE):
        def found():
            return next((line for line in self.lines if line.startswith(start)), None)
        with self.news:
            if not self.news.wait_for(found, timeout):
                raise SystemExit("driver: no '%s' in time" % start)
            return found()

    def wait_state(self, state, timeout=PATIENCE):
        with self.news:
            return self.news.wait_for(lambda: self.state == state, timeout)

    def wait_other_engine(self, pid, timeout=2 * PATIENCE):
        with self.news:
            return self.news.wait_for(lambda: self.engine not in (0, pid) and self.state == "ok",
                                      timeout)

    def tell(self, line):
        with self.news:
            self.lines = [old for old in self.lines if not old.startswith("done")]
        self.process.stdin.write(line + "\n")
        self.wait("done")

    def quit(self):
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE)
        self.log.close()


def check(title, got, expect=True):
    good = expect(got) if callable(expect) else got == expect
    print("%s - %s%s" % ("ok" if good else "NOT OK", title, "" if good else ": %r" % (got,)))
    sys.stdout.flush()
    if not good:
        failures.append(title)


# ---- the world ----------------------------------------------------------------------

def make_world():
    sh("mount -t tmpfs -o mode=755 world /run")
    os.makedirs("/run/netns")
    os.makedirs("/run/dev")
    sh("mknod -m 666 /run/dev/tun c 10 200")
    sh("mount --bind /run/dev/tun /dev/net/tun")
    open("/run/resolv.conf", "w").close()
    os.chmod("/run/resolv.conf", 0o644)
    sh("mount --bind /run/resolv.conf " + os.path.realpath("/etc/resolv.conf"))
    open("/proc/sys/net/ipv4/ping_group_range", "w").write("0 2147483647")
    for name in ("internet", "a1", "a2", "h1"):
        sh("ip netns add " + name)
        sh("ip -n %s link set lo up" % name)
    sh("ip link set lo up")
    for link, four, six in (("eth0", "198.51.100.%d/25", "2001:db8::%d/64"),
                            ("eth1", "198.51.100.%d/25", "2001:db8:0:1::%d/64")):
        offset = 0 if link == "eth0" else 128
        sh("ip link add %s type veth peer name %s netns internet" % (link, link))
        for ns, number in (("", 2), ("-n internet ", 1)):
            sh("ip %saddr add %s dev %s" % (ns, four % (number + offset), link))
            sh("ip %saddr add %s dev %s nodad" % (ns, six % number, link))
            sh("ip %slink set %s up" % (ns, link))
    for address in (NET4 + "/32", "203.0.113.53/32", "203.0.113.54/32", NET6 + "/128"):
        sh("ip -n internet addr add %s dev lo" % address)
    default_routes(True, True)


def default_routes(four, six, link="eth0"):
    """What stays is not touched: netd may look at any moment, and takes what it misses for gone."""
    for version, wanted, gateway in (
            ("-4", four, "198.51.100.%d" % (1 if link == "eth0" else 129)),
            ("-6", six, "2001:db8:%s:1" % ("" if link == "eth0" else "0:1:"))):
        if wanted:
            sh("ip %s route replace default via %s" % (version, gateway))
        else:
            sh("ip %s route del default" % version, check=False)


def start_servers():
    host = "/proc/self/ns/net"
    internet = netns("internet")
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    for address in ("127.0.0.1", "::1"):
        background(serve_tcp, listener(stream, address, 8080))
    for address in (NET4, NET6):
        background(serve_tcp, within(internet, listener, stream, address, 80))
        background(serve_udp, within(internet, listener, datagram, address, 80))
    for ns, address, last in ((host, "127.0.0.53", 53), (host, "::1", 6),
                              (internet, "203.0.113.53", 1)):
        background(serve_dns_udp, within(ns, listener, datagram, address, 53), last)
        background(serve_dns_tcp, within(ns, listener, stream, address, 53), last)
    background(serve_dns_udp, listener(datagram, "127.0.0.55", 53), 0)
    background(serve_dns_udp, listener(datagram, "127.0.0.56", 53), SLOW, 3.5)


def resolvers(*addresses):
    with open("/run/resolv.conf", "w") as file:
        for address in addresses:
            file.write("nameserver %s\n" % address)


def add_guest(driver, name, bridge, four, six, gateway4, gateway6):
    sh("ip link add v%s type veth peer name eth0 netns %s" % (name, name))
    sh("ip link set v%s netns %d" % (name, driver.anchor))
    def plug():
        sh("ip link set v%s master %s up" % (name, bridge))
    within(driver.ns, plug)
    sh("ip -n %s addr add %s/24 dev eth0" % (name, four))
    sh("ip -n %s addr add %s/64 dev eth0 nodad" % (name, six))
    sh("ip -n %s link set eth0 up" % name)
    sh("ip -n %s route add default via %s" % (name, gateway4))
    sh("ip -n %s route add default via %s" % (name, gateway6))


NETWORKS = ("vb0 shared 192.168.64.0 fd12:0:0:1::", "vb1 host 192.168.65.0 fd12:0:0:2::")


def start(program, uid, engine):
    driver = Driver(program, uid, engine)
    for network in NETWORKS:
        driver.tell("add " + network)
    for name, number in (("a1", 2), ("a2", 3)):
        add_guest(driver, name, "vb0", "192.168.64.%d" % number, "fd12:0:0:1::%d" % number,
                  "192.168.64.1", "fd12:0:0:1::1")
    add_guest(driver, "h1", "vb1", "192.168.65.2", "fd12:0:0:2::2", "192.168.65.1",
              "fd12:0:0:2::1")
    return driver


def guest(name, func, *args, **kwargs):
    return within(netns(name), func, *args, **kwargs)


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def left_of(pids, timeout=PATIENCE):
    """Those that are still there when they have had time to go."""
    deadline = time.monotonic() + timeout
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [pid for pid in pids if alive(pid)]


# ---- the stories --------------------------------------------------------------------

def is_hello(text):
    return text.startswith("hello")


def story_outside(driver):
    check("tcp, IPv4", guest("a1", tcp, NET4), "hello " + HOST4)
    check("tcp, IPv6", guest("a1", tcp, NET6), "hello " + HOST6)
    check("udp, IPv4", guest("a1", udp, NET4), "ok")
    check("udp, IPv6", guest("a1", udp, NET6), "ok")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.bind(("::", 40123))
        check("udp from a port that the host uses", guest("a1", udp, NET4, source=40123), "ok")
        check("by IPv6, too", guest("a1", udp, NET6, source=40123), "ok")
    check("udp in fragments arrives whole or not at all",
          guest("a1", udp, NET4, b"y" * 4000,
                timeout=1 if driver.engine_name == "pasta" else PATIENCE),
          "timeout" if driver.engine_name == "pasta" else "ok")
    check("ping, IPv4", guest("a1", ping, NET4), "ok")
    if driver.engine_name == "pasta":
        check("ping, IPv6", guest("a1", ping, NET6), "ok")
    else: # which logs every attempt, if we let it
        check("no ping, IPv6", guest("a1", ping, NET6, timeout=0.5), lambda got: got != "ok")
        check("nor a word about it", open("/run/driver.log").read(),
              lambda text: "icmpv6" not in text)


def story_isolation(driver):
    check("neighbours on a network reach each other", guest("a1", ping, "192.168.64.3"), "ok")
    check("a guest reaches its gateway", guest("a1", ping, "192.168.64.1"), "ok")
    check("and by IPv6", guest("a1", ping, "fd12:0:0:1::1"), "ok")
    check("a guest of 'host' reaches its own", guest("h1", ping, "192.168.65.1"), "ok")
    for name, target in (("a1", "192.168.65.1"), ("a1", "192.168.65.2"), ("h1", "192.168.64.1"),
                         ("h1", "192.168.64.2"), ("a1", "fd12:0:0:2::1"),
                         ("a1", "fd12:0:0:2::2"), ("h1", "fd12:0:0:1::2"), ("h1", NET4),
                         ("h1", NET6), ("a1", "169.254.10.100"), ("a1", "fd76:6d6e:6574::64")):
        check("%s does not reach %s" % (name, target), guest(name, ping, target, timeout=0.4),
              lambda got: got != "ok")
    for target, error in ((NET4, "EHOSTUNREACH"), (NET6, "EACCES")):
        # Without a wire in between the answer is there before connect() has let go of the
        # socket, and only the next segment's counts, after a second.
        check("'host' has no way out, and a guest hears it: %s" % target,
              guest("h1", tcp, target), error)


def story_loopback(driver):
    check("the relay is out of a guest's reach",
          guest("a1", dns, "169.254.10.100", timeout=0.5), lambda got: got != 53)
    for target in ("169.254.10.2", "169.254.10.1", "169.254.10.100", "192.168.64.1", "10.0.2.2",
                   "fd00::2", "fd76:6d6e:6574::64", "fd12:0:0:1::1"):
        check("the host's loopback does not answer as %s" % target,
              guest("a1", tcp, target, 8080, timeout=0.5), lambda got: not is_hello(got))
    check("nor does 127.0.0.54 by force", guest("a1", force_loopback), "nothing")


def force_loopback():
    """A guest that sends frames for 127.0.0.54 to its gateway, which no system does."""
    with open("/proc/sys/net/ipv4/conf/all/route_localnet", "w") as file:
        file.write("1")
    sh("ip route replace 127.0.0.54/32 via 192.168.64.1 table 99")
    sh("ip rule add to 127.0.0.54 lookup 99 pref 0")
    sh("ip rule add pref 1 lookup local")
    sh("ip rule del pref 0 lookup local")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(0.7)
    sock.bind(("192.168.64.2", 0))
    try:
        sock.sendto(query(), ("127.0.0.54", 53))
        sock.recv(4096)
        return "answered"
    except OSError:
        return "nothing"
    finally:
        sock.close()


def links_and_routes(driver):
    def read():
        return sh("ip -4 addr show uplink") + sh("ip route") + sh("ip -6 route show dev uplink")
    text = within(driver.ns, read)
    text = re.sub(r" (linkdown|state \w+|NO-CARRIER,|,LOWER_UP)|NO-CARRIER,|,LOWER_UP", "", text)
    return text


def hold():
    sock = socket.create_connection((NET4, 80), PATIENCE)
    assert sock.recv(100).startswith(b"hello")
    return sock


def ask(sock):
    try:
        sock.sendall(b"still there?")
        return "echo" if sock.recv(100) else "closed"
    except socket.timeout:
        return "timeout"
    except OSError as problem:
        return errno.errorcode[problem.errno]


def hold_udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.connect((NET4, 80))
    return sock


def wait_hello(name, timeout=PATIENCE):
    end = time.monotonic() + timeout
    while not is_hello(guest(name, tcp, NET4, timeout=0.3)):
        if time.monotonic() > end:
            return False
    return True


def story_kill(driver):
    flow, datagrams = guest("a1", hold), guest("a1", hold_udp)
    check("a flow and a datagram flow are alive", (ask(flow), ask(datagrams)), ("echo", "echo"))
    before, old = links_and_routes(driver), driver.engine
    os.kill(old, 9)
    began = time.monotonic()
    time.sleep(0.03)
    check("killed: addresses and routes stay", links_and_routes(driver), before)
    check("killed: dns goes on", within(driver.ns, dns), 53)
    check("killed: another engine comes", driver.wait_other_engine(old))
    check("killed: traffic is back", wait_hello("a1"))
    print("# traffic was back %.0f ms after the kill" % ((time.monotonic() - began) * 1000))
    check("killed: the old flow is reset at once", ask(flow), "ECONNRESET")
    check("killed: datagrams flow on from the same port", ask(datagrams), "echo")
    check("killed: addresses and routes are the same", links_and_routes(driver), before)
    flow.close()
    datagrams.close()


def hold_from(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(PATIENCE)
    sock.bind(("", port))
    try:
        sock.connect((NET4, 80))
        return sock, sock.recv(100).decode().strip()
    except OSError as problem:
        return sock, errno.errorcode.get(problem.errno, str(problem))


def forget(sock):
    """What a guest that is reset says of its connections: nothing."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    sock.close()


def story_same_port(driver):
    """A guest's ports begin anew when it is reset, or are its program's choice."""
    flow, hello = guest("a1", hold_from, 7000)
    check("a flow from a port of the guest's choice", hello, is_hello)
    old = driver.engine
    os.kill(old, 9)
    check("same port: another engine comes", driver.wait_other_engine(old))
    forget(flow)
    check("same port: the new engine carries traffic", wait_hello("a1"))
    flow, hello = guest("a1", hold_from, 7000)
    check("same port: a connection after the engine's death is a new one", hello, is_hello)
    check("same port: and goes on", ask(flow), "echo")
    flow.close()


def freeze(pid):
    """It lives, but does nothing, and its parent is not told: as good as an endless loop."""
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, pid, None, None) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0)


def await_end(pid):
    """Whoever traces a process is told of its end before its parent is."""
    os.kill(pid, 9)  # nothing new, if all is well
    while not os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
        pass


def story_hang(driver):
    old = driver.engine
    freeze(old)
    within(driver.ns, sh, "ip neigh flush dev uplink")  # not to wait until the kernel asks again
    check("hangs: nothing goes out", is_hello(guest("a1", tcp, NET4, timeout=1)), False)
    check("hangs: another engine comes", driver.wait_other_engine(old, 60))
    await_end(old)
    check("hangs: which works", wait_hello("a1"))


def story_tap_deleted(driver):
    old = driver.engine
    within(driver.ns, sh, "ip link del uplink")
    check("deleted: the TAP comes back, with an engine", driver.wait_other_engine(old))
    check("deleted: and works", guest("a1", tcp, NET4), is_hello)


def story_dns(driver):
    def through_relay(**kwargs):
        return within(driver.ns, dns, **kwargs)
    check("dns by udp", through_relay(), 53)
    check("dns by tcp", through_relay(over_tcp=True), 53)
    check("300 at a time", within(driver.ns, dns_many, 300), 300)
    check("600 at a time do no harm", within(driver.ns, dns_many, 600), lambda n: n >= 300)
    resolvers("203.0.113.53")
    check("another resolver is taken up", through_relay(), 1)
    check("another resolver by tcp", through_relay(over_tcp=True), 1)
    resolvers("::1")
    check("an IPv6 resolver", (through_relay(), through_relay(over_tcp=True)), (6, 6))
    resolvers("127.0.0.99", "127.0.0.53")
    check("a resolver that refuses is passed over", through_relay(), 53)
    check("by tcp, too", through_relay(over_tcp=True), 53)
    resolvers("127.0.0.55", "203.0.113.53")
    check("a silent resolver is passed over", through_relay(), 1)
    began = time.monotonic()
    check("and is not asked first again", (through_relay(), time.monotonic() - began < RELAY_PATIENCE),
          (1, True))
    resolvers("127.0.0.56")
    check("a slow only resolver gets its time", through_relay(), SLOW)
    resolvers()
    check("no resolver: 127.0.0.1, refused or silent", through_relay(timeout=0.5), "timeout")
    resolvers("127.0.0.53")
    check("and back", through_relay(), 53)


def story_routes(driver):
    old = driver.engine
    sh("ip link set eth1 up")
    default_routes(True, True, "eth1")
    time.sleep(0.6)  # for what netd may want to do, and must not
    check("default route moved: new flows follow", guest("a1", tcp, NET4), "hello 198.51.100.130")
    check("default route moved: IPv6, too", guest("a1", tcp, NET6), "hello 2001:db8:0:1::2")
    check("default route moved: udp", guest("a1", udp, NET4), "ok")
    default_routes(False, False)
    check("no route: it is said",
          driver.wait_state("failed: the host has no default route"))
    began = time.monotonic()
    check("no route: a guest hears it", guest("a1", tcp, NET4),
          lambda got: got in ("ENETUNREACH", "EHOSTUNREACH"))
    check("no route: within a second", time.monotonic() - began, lambda t: t < THIRD_TRY)
    check("no route: dns lives", within(driver.ns, dns), 53)
    default_routes(True, True)
    check("route back: ok", driver.wait_state("ok"))
    check("route back: tcp", guest("a1", tcp, NET4), "hello " + HOST4)
    check("all that without a new engine", driver.engine, old)


def story_late(driver):
    """Begins without any route, and gets one family after the other."""
    default_routes(False, False)
    driver.tell("start")
    check("late: no route is said",
          driver.wait_state("failed: the host has no default route"))
    check("late: no engine yet", driver.engine, 0)
    default_routes(True, False)
    check("late: IPv4 came", driver.wait_state("ok"))
    check("late: tcp", guest("a1", tcp, NET4), "hello " + HOST4)
    began = time.monotonic()
    check("late: IPv6 is refused", guest("a1", tcp, NET6),
          lambda got: got in ("ENETUNREACH", "EHOSTUNREACH"))
    # Guest and router are one kernel here: an ICMP error may arrive while connect() still
    # holds its socket, and then it is the first retransmission that notices.
    check("late: within a second", time.monotonic() - began, lambda t: t < THIRD_TRY)
    old = driver.engine
    default_routes(True, True)
    check("late: IPv6 came: another engine", driver.wait_other_engine(old))
    check("late: tcp over IPv6", guest("a1", tcp, NET6), "hello " + HOST6)


def story_broken(driver):
    """The engine ends at once, then is not there at all, then works again."""
    program = shutil.which(driver.engine_name)
    sh("mount --bind %s %s" % (shutil.which("false"), program))
    os.kill(driver.engine, 9)
    words = "failed: %s ends as soon as it starts; its reason is in the log" % driver.engine_name
    check("broken engine: it is said", driver.wait_state(words))
    check("broken engine: a guest hears it", guest("a1", tcp, NET4),
          lambda got: got in ("ENETUNREACH", "EHOSTUNREACH"))
    check("broken engine: dns lives", within(driver.ns, dns), 53)
    # Over the other: netd may try at any moment, and must not find the real one.
    sh("mount --bind /dev/null " + program)  # which nobody can execute
    words = "failed: VMNET_BROKER_UPLINK_ENGINE names no engine that is installed"
    check("no engine: it is said", driver.wait_state(words))
    default_routes(True, False)
    for _ in range(2):
        sh("umount --lazy " + program)  # netd may just be trying it
    default_routes(True, True)  # a change of routes shortens the wait
    check("engine back: ok", driver.wait_state("ok"))
    check("engine back: tcp", wait_hello("a1"))  # once more if it began without IPv6


def story_stop(driver):
    pid = driver.engine
    driver.tell("stop")
    check("stop: nothing is left of the TAP", within(driver.ns, sh, "ip -br link"),
          lambda text: "uplink" not in text)
    check("stop: nor of the engine", left_of([pid]), [])
    check("stop: dns lives", within(driver.ns, dns), 53)
    default_routes(False, True)
    driver.tell("start")
    check("start again on a host with IPv6 only", driver.wait_state("ok"))
    check("IPv6 only: tcp", guest("a1", tcp, NET6), is_hello)
    check("IPv6 only: no IPv4", guest("a1", tcp, NET4, timeout=2), lambda got: not is_hello(got))
    old = driver.engine
    default_routes(True, True)
    check("IPv4 came: another engine", driver.wait_other_engine(old))
    check("IPv4 came: tcp", guest("a1", tcp, NET4), is_hello)
    driver.tell("remove " + NETWORKS[1])
    def rules():
        return subprocess.run(["nft", "list", "table", "inet", "vmnet"], text=True, timeout=10,
                              stdout=subprocess.PIPE).stdout
    check("a removed network has left the rules", within(driver.ns, rules),
          lambda text: "vb0" in text and "vb1" not in text)


def run(program, uid, engine):
    print("# --- %s as %s" % (engine or "the engine of choice", "root" if uid == 0 else uid))
    default_routes(True, True)
    resolvers("127.0.0.53")
    open("/run/driver.log", "w").close()
    driver = start(program, uid, engine)
    before = len(failures)
    try:
        story_late(driver)
        story_outside(driver)
        story_isolation(driver)
        story_loopback(driver)
        story_dns(driver)
        story_kill(driver)
        story_same_port(driver)
        story_hang(driver)
        story_tap_deleted(driver)
        story_routes(driver)
        story_broken(driver)
        story_stop(driver)
    finally:
        pids = (driver.engine, driver.relay, driver.anchor)
        driver.quit()
        check("end: no process is left", left_of(pids), [])
        check("end: the driver is content", driver.process.returncode, 0)
        for name in ("a1", "a2", "h1"):
            sh("ip -n %s link del eth0" % name, check=False)
            sh("ip -n %s rule flush" % name, check=False)
            sh("ip netns del %s" % name)
            sh("ip netns add %s" % name)
            sh("ip -n %s link set lo up" % name)
        if len(failures) > before:
            print("# the driver's log:\n" + open("/run/driver.log").read())


def inside(program, variants):
    make_world()
    start_servers()
    shutil.copy(program, "/run/driver")
    os.chmod("/run/driver", 0o755)
    for variant in variants:
        engine, uid = variant.split(":")
        run("/run/driver", int(uid), engine)
    print("# %s" % ("all is well" if not failures else "%d failed" % len(failures)))
    return 1 if failures else 0


def main():
    if sys.argv[1] == "--inside":
        return inside(sys.argv[2], sys.argv[3:])
    if os.geteuid() != 0:
        print("needs root")
        return 77
    variants = sys.argv[2:] or ["pasta:0", "pasta:%d" % USER, "slirp4netns:%d" % USER]
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                          "--mount-proc", "--propagation", "private", "--", sys.executable,
                          os.path.abspath(__file__), "--inside", os.path.abspath(sys.argv[1])]
              + variants)


if __name__ == "__main__":
    sys.exit(main())
