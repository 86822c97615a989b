#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Forwarded ports as netd and its forwarder carry them, without a broker and without QEMU.

    forward_smoke.py PATH/TO/vmnet-netd [UID ...]

Plays the broker, the VMs (processes with a
network namespace of their own behind the TAPs that netd gives) and the clients: some on the
host, some beyond it at 198.51.100.1 and 2001:db8:1::1. One line a behaviour; the exit status is
the number of failures. Needs root, for namespaces and a private /dev/net/tun.
"""
import contextlib
import ctypes
import fcntl
import hashlib
import ipaddress
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import netd_smoke as smoke  # noqa: E402
from netd_smoke import FORWARD, FORWARD_CHANGED, check, eventually, refused  # noqa: E402

ADD_FORWARD, REMOVE_FORWARD = 10, 11
TCP, UDP = 0, 1
V4, V6 = 1, 2
DEFINED, LIVE = 1, 2
HOST4, HOST4B, HOST6 = "198.51.100.2", "198.51.100.3", "2001:db8:1::2"
OUT4, OUT6 = "198.51.100.1", "2001:db8:1::1"
WEB4, WEB6, GATE4, GATE6 = "192.168.64.2", "fd00:64::2", "192.168.64.1", "fd00:64::1"
DB4 = "192.168.64.3"
ECHO, PEER, SINK, NOBODY = 7, 13, 9, 4444  # the VM's ports
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WAIT_ALL = 0x4206, 0x4207, 17, 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
may_read = os.pipe()  # what VMs wait for that do not read at once; known to all of them


# ---- namespaces and who lives in them ----------------------------------------------------------


def fork(func, *args):
    """A process of ours; it ends with us."""
    pid = os.fork()
    if pid:
        return pid
    libc.prctl(1, signal.SIGKILL)
    status = 1
    try:
        func(*args)
        status = 0
    except BaseException:  # it must not go on as the test
        import traceback
        traceback.print_exc()
    finally:
        os._exit(status)


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def sh(line, pid=None):
    command = ["nsenter", "-t", str(pid), "-n", *line.split()] if pid else line.split()
    subprocess.run(command, check=True, timeout=10)


def unshare_net():
    if libc.unshare(0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def in_netns(pid, func, *args):
    """The result of func() there."""
    with open(f"/proc/{pid}/ns/net") as there, open("/proc/self/ns/net") as here:
        libc.setns(there.fileno(), 0x40000000)
        try:
            return func(*args)
        finally:
            libc.setns(here.fileno(), 0x40000000)


def idle(ready):
    unshare_net()
    os.write(ready, b"x")
    signal.pause()


def make_internet():
    """Beyond the host's bridge out0."""
    ours, its = os.pipe()
    pid = fork(idle, its)
    os.read(ours, 1)
    os.close(ours), os.close(its)
    sh("ip link add to-net type veth peer name eth0")
    sh("ip link set to-net master out0 up")
    sh(f"ip link set eth0 netns {pid}")
    sh("ip link set lo up", pid)
    sh(f"ip addr add {OUT4}/24 dev eth0", pid)
    sh("ip addr add 198.51.100.9/24 dev eth0", pid)
    sh(f"ip addr add {OUT6}/64 dev eth0 nodad", pid)
    sh("ip link set eth0 up", pid)
    sh(f"ip addr add {HOST4B}/24 dev out0")
    sh(f"ip addr add {HOST6}/64 dev out0 nodad")
    return pid


# ---- a VM: what QEMU would be ------------------------------------------------------------------


def open_tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000 | 0x4000))
    return fd


def pump(source, sink):
    while True:
        frame = os.read(source, 70000)
        try:
            os.write(sink, frame)
        except OSError:
            pass


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def vm_tcp(address, port, serve):
    sock = socket.socket(family(address), socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen(1024)

    def loop():
        while True:
            client, peer = sock.accept()
            threading.Thread(target=serve, args=(client, peer), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def echo(client, _):
    """Echoes, and after the client's end still says how much that was."""
    total = 0
    with contextlib.suppress(OSError), client:
        while data := client.recv(1 << 16):
            total += len(data)
            client.sendall(data)
        client.sendall(b"end:%d" % total)


def say_peer(client, peer):
    with client:
        client.sendall(f"{peer[0]} {peer[1]}".encode())


def sink(client, _):
    """Reads nothing until it is told to, then all, and says its hash."""
    with contextlib.suppress(OSError), client:
        os.read(may_read[0], 1)
        digest = hashlib.sha256()
        while data := client.recv(1 << 16):
            digest.update(data)
        client.sendall(digest.hexdigest().encode())


def vm_udp(address, port):
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.bind((address, port))

    def loop():
        while True:
            data, peer = sock.recvfrom(65535)
            sock.sendto(f"{peer[0]} {peer[1]} ".encode() + data, peer)

    threading.Thread(target=loop, daemon=True).start()


def vm(queue, mac, addresses, gateways, ready):
    unshare_net()
    tap = open_tap("eth0")
    sh("ip link set lo up")
    sh(f"ip link set eth0 address {mac} up")
    for address in addresses:
        sh(f"ip addr add {address} dev eth0" + (" nodad" if ":" in address else ""))
    for gateway in gateways:
        sh(f"ip route add default via {gateway}")
    for pair in ((tap, queue), (queue, tap)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
    for address in (a.split("/")[0] for a in addresses):
        vm_tcp(address, ECHO, echo)
        vm_tcp(address, PEER, say_peer)
        vm_tcp(address, SINK, sink)
        vm_udp(address, ECHO)
    os.write(ready, b"x")
    signal.pause()


def start_vm(broker, ident, mac, addresses, gateways):
    guest = broker.open_tap("lab", ident, addresses[0].split("/")[0], mac, name=ident)
    fcntl.fcntl(guest.fds[0], fcntl.F_SETFL, 0)
    ours, its = os.pipe()
    pid = fork(vm, guest.fds[0], mac, addresses, gateways, its)
    guest.close()
    os.close(its)
    assert os.read(ours, 1), f"VM {ident} did not start"
    os.close(ours)
    return pid


# ---- the broker's part -------------------------------------------------------------------------


def mapped(address):
    """Sixteen bytes; "" for any."""
    a = ipaddress.ip_address(address or "::")
    return a.packed if a.version == 6 else b"\0" * 10 + b"\xff\xff" + a.packed


def message(kind, port, target, inner, network="lab", interface="", listen="", families=None,
            flags=0, uid=0):
    if families is None:
        families = V4 | V6 if not listen else V6 if ":" in listen else V4
    return FORWARD.pack(network.encode(), interface.encode(), uid, flags, kind, families, port,
                        inner, mapped(listen), mapped(target))


def add(broker, kind, port, target, inner, **more):
    body = message(kind, port, target, inner, **more)
    broker.call(ADD_FORWARD, body)
    return body


def remove(broker, body):
    broker.call(REMOVE_FORWARD, body)


# ---- clients -----------------------------------------------------------------------------------


def connect(address, port, source=None, timeout=smoke.PATIENCE):
    sock = socket.socket(family(address), socket.SOCK_STREAM)
    sock.settimeout(timeout)
    if source:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(source)
    sock.connect((address, port))
    return sock


def everything(sock):
    got = b""
    with sock:
        while data := sock.recv(1 << 16):
            got += data
    return got.decode()


def seen_by_vm(address, port, source=None):
    """Whom the VM takes the client for."""
    return everything(connect(address, port, source)).split()


def datagram(address, port, data=b"hello", source=None, timeout=smoke.PATIENCE):
    """(what came back, from whom), or None."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        if source:
            sock.bind(source)
        sock.sendto(data, (address, port))
        try:
            got, peer = sock.recvfrom(65535)
        except TimeoutError:
            return None
        return got.split(b" ", 2), peer[0]


def is_reset(address, port):
    """The end of a connection to where nobody is."""
    try:
        everything(connect(address, port))
    except ConnectionResetError:
        return True
    except ConnectionRefusedError:
        return "refused"
    return "a good end"


def is_refused(address, port):
    try:
        connect(address, port, timeout=2).close()
    except ConnectionRefusedError:
        return True
    except OSError:  # a listener that is just being closed
        pass
    return False


def ping(sock, data=b"ping"):
    try:
        sock.sendall(data)
        return sock.recv(100) == data
    except OSError:
        return False


# ---- the stories -------------------------------------------------------------------------------


def addresses(broker, net):
    forward = add(broker, TCP, 2013, WEB4, PEER)
    six = add(broker, TCP, 2613, WEB6, PEER)
    check(in_netns(net, seen_by_vm, HOST4, 2013, (OUT4, 40001)) == [OUT4, "40001"],
          "a client's address and port are what the VM sees")
    check(in_netns(net, seen_by_vm, HOST6, 2613, (OUT6, 40002)) == [OUT6, "40002"],
          "the same over IPv6")
    check(in_netns(net, seen_by_vm, HOST4, 2013, (OUT4, 900))[0] == OUT4,
          "a privileged port is changed, the address is not")
    check(in_netns(net, seen_by_vm, HOST4B, 2013, (OUT4, 40001)) == [OUT4, "40001"],
          "the same port at the host's other address")
    check(in_netns(net, seen_by_vm, HOST6, 2013)[0] == GATE4,
          "an IPv6 client of an IPv4 forward is the gateway")
    check(in_netns(net, seen_by_vm, HOST4, 2613)[0] == GATE6,
          "an IPv4 client of an IPv6 forward is the gateway")
    check(seen_by_vm("127.0.0.1", 2013)[0] == GATE4, "a loopback client is the gateway")
    check(seen_by_vm("::1", 2613)[0] == GATE6, "the same over IPv6")
    check(seen_by_vm(HOST4, 2013)[0] == HOST4, "the host itself, by its own address")
    one = in_netns(net, connect, HOST4, 2013, (OUT4, 40003))
    two = in_netns(net, connect, HOST4B, 2013, (OUT4, 40003))
    got = sorted(everything(s).split()[0] for s in (one, two))
    check(got == [OUT4, OUT4], "two connections with one address and port at once", str(got))
    remove(broker, forward)
    check(is_refused(HOST4, 2013), "a removed port is closed")
    for _ in range(50):
        remove(broker, add(broker, TCP, 2013, WEB4, PEER))
    check(is_refused(HOST4, 2013), "and can be forwarded again at once, many times")
    remove(broker, six)
    check(is_refused(HOST6, 2613), "so is the last one's")


def datagrams(broker, net):
    four, six = add(broker, UDP, 2007, WEB4, ECHO), add(broker, UDP, 2607, WEB6, ECHO)
    ask = lambda *a, **k: in_netns(net, lambda: datagram(*a, **k))
    got = ask(HOST4, 2007, source=(OUT4, 41001))
    check(got == ([OUT4.encode(), b"41001", b"hello"], HOST4), "UDP: address and port are kept",
          str(got))
    check(ask(HOST4B, 2007, source=(OUT4, 41001))[1] == HOST4B,
          "UDP: the answer comes from the address that was asked")
    check(ask(HOST6, 2607, source=(OUT6, 41002)) == ([OUT6.encode(), b"41002", b"hello"], HOST6),
          "UDP: IPv6")
    check(datagram("127.0.0.1", 2007)[0][0] == GATE4.encode(), "UDP: a loopback client")
    check(ask(HOST6, 2007)[0][0] == GATE4.encode(), "UDP: from IPv6 to IPv4")
    big = os.urandom(40000)
    got = ask(HOST4, 2007, big)
    check(got and got[0][2] == big, "UDP: a datagram of 40000 bytes")
    remove(broker, four)
    check(udp_refused(2007), "UDP: a removed port is closed")
    remove(broker, six)


def udp_refused(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect((HOST4, port))
        sock.send(b"x")
        try:
            sock.recv(10)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            pass
        return False


def connections(broker, net):
    bodies = [add(broker, TCP, 2007, WEB4, ECHO), add(broker, TCP, 2009, WEB4, SINK),
              add(broker, TCP, 2444, WEB4, NOBODY)]
    sock = in_netns(net, connect, HOST4, 2007)
    sock.sendall(b"abc")
    sock.shutdown(socket.SHUT_WR)
    check(everything(sock) == "abcend:3", "an end of one direction leaves the other open")
    check(in_netns(net, is_reset, HOST4, 2444) is True,
          "a connection that the VM refuses ends with a reset")
    slow_reader(net)
    many = [in_netns(net, connect, HOST4, 2007) for _ in range(300)]
    for i, sock in enumerate(many):
        sock.sendall(b"%d" % i)
    check(all(sock.recv(9) == b"%d" % i for i, sock in enumerate(many)), "300 connections at once")
    for sock in many:
        sock.close()
    sock = in_netns(net, connect, HOST4, 2007)
    check(ping(sock), "a connection before its forward goes")
    for body in bodies:
        remove(broker, body)
    check(eventually(lambda: not ping(sock)), "it is cut with its forward")


def slow_reader(net):
    """While the VM reads nothing the client must not get rid of more than what buffers hold,
    and in the end nothing must be lost."""
    data = os.urandom(48 << 20)
    sock = in_netns(net, connect, HOST4, 2009)
    sock.settimeout(0.7)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < len(data):
            sent += sock.send(data[sent : sent + (1 << 20)])
    check(sent < len(data), "a VM that does not read makes its client wait", f"{sent} bytes")
    os.write(may_read[1], b"x")
    sock.settimeout(60)
    sock.sendall(data[sent:])
    sock.shutdown(socket.SHUT_WR)
    check(everything(sock) == hashlib.sha256(data).hexdigest(), "and nothing is lost")


def refusals(broker):
    web = lambda **k: add(broker, TCP, 2022, WEB4, 22, **k)
    refused(lambda: add(broker, TCP, 2022, "192.168.65.2", 22), 22, "no VM's address")
    refused(lambda: add(broker, TCP, 2022, GATE4, 22), 22, "no VM's address")
    refused(lambda: add(broker, TCP, 2022, "192.168.64.255", 22), 22, "no VM's address")
    refused(lambda: add(broker, TCP, 2022, "fd00:65::2", 22), 22, "no VM's address")
    refused(lambda: web(network="none"), 2, "does not exist")
    refused(lambda: web(interface="none"), 2, "no interface")
    refused(lambda: web(listen="198.51.100.77"), 99, "no such address")
    with socket.create_server(("127.0.0.1", 2022)):
        refused(web, 98, "TCP port 2022 of the host is in use")
    with socket.create_server(("::1", 2022), family=socket.AF_INET6):
        refused(web, 98, "TCP port 2022 of the host is in use")
    if broker.netd.uid != 0:
        refused(lambda: add(broker, TCP, 80, WEB4, 22), 13, "ip_unprivileged_port_start")
    refused(lambda: add(broker, TCP, 2022, "192.168.80.2", 22, network="alone"), 1,
            "for this host only")
    body = web()
    refused(web, 98, "forwarded to a VM of network 'lab' already")
    remove(broker, body)
    check(is_refused(HOST4, 2022), "after all that nothing listens")
    refused(lambda: remove(broker, body), 2, "not forwarded")
    lone = add(broker, TCP, 2022, "192.168.80.2", 22, network="alone", listen="127.0.0.1")
    check(True, "a network for this host is reached from its loopback")
    remove(broker, lone)


def crowd(broker, net):
    """Several hundred, each of both families."""
    began = time.monotonic()
    bodies = [add(broker, TCP, 20000 + i, WEB4, PEER) for i in range(400)]
    took = time.monotonic() - began
    got = [in_netns(net, seen_by_vm, HOST4, 20000 + i)[0] for i in range(0, 400, 7)]
    check(set(got) == {OUT4}, f"400 forwards", f"{set(got)}")
    print(f"        (made in {took:.2f} s)")
    for body in bodies:
        remove(broker, body)
    check(is_refused(HOST4, 20399) and is_refused(HOST4, 20000), "and all are gone")


def only_what_is_forwarded(netd, broker):
    listing = lambda: {line.split()[4] for line in subprocess.run(
        ["ss", "-Htuln"], capture_output=True, text=True, timeout=10).stdout.splitlines()}
    before = listing()
    inside = netd.inside("ss", "-Htln")
    check(":53" in inside, "something listens in the namespace")
    body = add(broker, TCP, 2022, WEB4, 22)
    opened = {"0.0.0.0:2022", "[::]:2022"}
    check(eventually(lambda: listing() - before >= opened) and listing() - before == opened,
          "nothing but the forwarded port is open on the host", str(listing() - before))
    remove(broker, body)


def with_its_vm(broker, net):
    pid = start_vm(broker, "db", "52:54:00:00:00:03", [DB4 + "/24"], [GATE4])
    add(broker, TCP, 2103, DB4, PEER, interface="db")
    stays = add(broker, TCP, 2104, DB4, PEER)
    check(in_netns(net, seen_by_vm, HOST4, 2103)[0] == OUT4, "a forward to a VM's interface")
    end(pid)
    check(broker.event(smoke.TAP_GONE) is not None, "the VM has gone")
    check(eventually(lambda: is_refused(HOST4, 2103)), "its forward with it")
    check(not is_refused(HOST4, 2104), "one to an address stays")
    remove(broker, stays)


def child_of(netd, name):
    """The process of that name in netd's namespace."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat") as stat:
                words = stat.read()
                dead = words.rpartition(")")[2].split()[0] in "ZX"
                if f"({name})" in words and not dead and \
                        os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/{netd.anchor}/ns/net"):
                    return int(pid)
    return None


def forwarder_of(netd):
    """It bears its name a moment after netd has started it."""
    return eventually(lambda: child_of(netd, "vmnet-forwarder"))


def kill_and_wait(pid):
    fd = os.pidfd_open(pid)
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    select.select([fd], [], [], smoke.PATIENCE)
    os.close(fd)


def new_netd(netd, broker):
    """netd is killed, and another one comes."""
    netd.process.kill()
    netd.process.wait()
    broker.close()
    return netd.start


def live(broker):
    return sorted((FORWARD.unpack(f)[6], bool(FORWARD.unpack(f)[3] & LIVE))
                  for f in broker.forwards)


def deaths(netd, broker, net):
    body = add(broker, TCP, 2007, WEB4, ECHO)
    sock = in_netns(net, connect, HOST4, 2007)
    check(ping(sock), "a connection before netd dies")

    restart = new_netd(netd, broker)
    check(ping(sock), "it goes on without netd")
    check(ping(in_netns(net, connect, HOST4, 2007)), "new ones come without netd")
    restart()
    broker = smoke.Broker(netd)
    check(live(broker) == [(2007, True)], "the next netd has the forward", str(live(broker)))
    check(ping(sock), "and the connection goes on")
    kill_and_wait(forwarder_of(netd))
    check([flags(broker.event(FORWARD_CHANGED)) for _ in "12"] == [0, LIVE],
          "a dead forwarder is replaced, and its ports are open again")
    check(eventually(lambda: not ping(sock)), "what it carried is gone")
    sock = in_netns(net, connect, HOST4, 2007)
    check(ping(sock), "and then all is as before")

    restart = new_netd(netd, broker)
    kill_and_wait(forwarder_of(netd))
    restart()
    broker = smoke.Broker(netd)
    check(live(broker) == [(2007, True)], "netd and forwarder dead: the next netd opens the port",
          str(live(broker)))
    check(ping(in_netns(net, connect, HOST4, 2007)), "which leads to the VM")

    restart = new_netd(netd, broker)
    kill_and_wait(forwarder_of(netd))
    with socket.create_server((HOST4, 2007)):
        restart()
        broker = smoke.Broker(netd)
        check(live(broker) == [(2007, False)], "a port that somebody has taken meanwhile")
    check(flags(broker.event(FORWARD_CHANGED)) == LIVE, "is opened as soon as it is free")
    check(ping(in_netns(net, connect, HOST4, 2007)), "and leads to the VM again")
    remove(broker, body)
    return broker


def flags(event):
    return event and FORWARD.unpack(event)[3]


def vm_goes_unseen(netd, broker, net):
    """A VM that ends while there is no netd takes its forward along all the same."""
    pid = start_vm(broker, "db", "52:54:00:00:00:03", [DB4 + "/24"], [GATE4])
    add(broker, TCP, 2103, DB4, PEER, interface="db")
    stays = add(broker, TCP, 2007, WEB4, ECHO)
    sock = in_netns(net, connect, HOST4, 2007)
    check(ping(sock), "a connection to another VM")  # and the forwarder has it
    restart = new_netd(netd, broker)
    end(pid)
    restart()
    broker = smoke.Broker(netd)
    check(live(broker) == [(2007, True)], "a VM that went while nobody looked", str(live(broker)))
    check(eventually(lambda: is_refused(HOST4, 2103)), "its port is closed")
    check(ping(sock), "the others' connections go on")
    remove(broker, stays)
    return broker


def ptrace(request, pid):
    """Holds a process without a signal, which netd would hear of."""
    if libc.ptrace(request, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace({request:#x}, {pid})")


def hung(netd, broker):
    """A forwarder that does nothing costs netd nothing."""
    first = add(broker, TCP, 2007, WEB4, ECHO)
    pid = forwarder_of(netd)
    ptrace(PTRACE_SEIZE, pid)
    ptrace(PTRACE_INTERRUPT, pid)
    os.waitpid(pid, WAIT_ALL)
    began = time.monotonic()
    bodies = [add(broker, TCP, 21000 + i, WEB4, PEER, families=V4) for i in range(300)]
    broker.stats()
    took = time.monotonic() - began
    check(took < smoke.PATIENCE, f"300 forwards for a forwarder that hangs ({took:.2f} s)")
    ptrace(PTRACE_DETACH, pid)
    check(seen_by_vm(HOST4, 21299)[0] == HOST4, "it takes them up when it goes on")
    for body in [first, *bodies]:
        remove(broker, body)


def the_end(netd, broker):
    add(broker, TCP, 2007, WEB4, ECHO)
    check(forwarder_of(netd) is not None, "a forwarder at the end")
    broker.remove("alone")
    broker.remove("lab")
    check(eventually(lambda: is_refused(HOST4, 2007)), "a network that goes takes its forwards along")
    check(eventually(lambda: child_of(netd, "vmnet-forwarder") is None),
          "and with the last one the forwarder goes")
    broker.call(smoke.LEAVE)
    check(netd.wait() == 0, "netd leaves")
    left = [name for _, _, names in os.walk(netd.dir + "/state") for name in names
            if not name.endswith((".lock", ".log"))]
    check(left == [], "nothing is left", str(left))


def story(program, place, uid, net):
    print(f"==== uid {uid}", flush=True)
    netd = smoke.Netd(program, place, uid).start()
    vms = []
    try:
        broker = smoke.Broker(netd)
        broker.build("lab", "192.168.64.0/24", "fd00:64::")
        broker.build("alone", "192.168.80.0/24", flags=smoke.DHCP, mode=1)
        vms.append(start_vm(broker, "web", "52:54:00:00:00:02", [WEB4 + "/24", WEB6 + "/64"],
                            [GATE4, GATE6]))
        addresses(broker, net)
        datagrams(broker, net)
        connections(broker, net)
        refusals(broker)
        only_what_is_forwarded(netd, broker)
        crowd(broker, net)
        with_its_vm(broker, net)
        hung(netd, broker)
        broker = deaths(netd, broker, net)
        broker = vm_goes_unseen(netd, broker, net)
        end(vms.pop())
        broker.event(smoke.TAP_GONE)
        the_end(netd, broker)
    except Exception as e:  # a broken step ends the story, not the report
        import traceback
        traceback.print_exc()
        check(False, "the story goes to its end", repr(e))
    finally:
        for pid in vms:
            end(pid)
        if netd.process and netd.process.poll() is None:
            netd.process.kill()
            netd.process.wait()
        smoke.end_children(netd)
    if smoke.failures:
        print("---- its log\n" + open(netd.log).read(), flush=True)


def main():
    if os.geteuid() != 0:
        print("forward_smoke: needs root (namespaces and a private /dev/net/tun)", file=sys.stderr)
        return 77
    place = smoke.private_namespaces()
    program = place + "/vmnet-netd"
    shutil.copy(sys.argv[1], program)
    os.chmod(program, 0o755)
    net = make_internet()
    for uid in [int(u) for u in sys.argv[2:]] or [0, 4000]:
        story(program, place, uid, net)
    end(net)
    subprocess.run(["umount", "-l", "/dev/net/tun", place], timeout=10)
    os.rmdir(place)
    print(f"{smoke.failures} failures")
    return min(smoke.failures, 76)


if __name__ == "__main__":
    sys.exit(main())
