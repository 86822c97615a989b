#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""many_flows.py N - one guest of `shared` that wants all the connections there are.

Sends N datagrams to one place outside, each from another port: to a router each is a connection.
"""
import struct
import sys
import time

sys.dont_write_bytecode = True
from frames import BROADCAST, Port, arp_request, ether, ip_bytes, udp4  # noqa: E402

SERVER = "203.0.113.80"
SOURCE_PORT = 14 + 20  # where it is in a frame
BURST = 100            # what the host's queues take at once


def mac_of_gateway(guest):
    gateway = ip_bytes(guest.network["ipv4_gateway"])
    question = ether(BROADCAST, guest.mac, 0x0806, arp_request(guest.mac, guest.ip, gateway))
    for _ in range(10):
        guest.send(question)
        answer = guest.receives(lambda f: f[12:14] == b"\x08\x06" and f[28:32] == gateway)
        if answer:
            return answer[22:28]
    raise AssertionError("the gateway does not answer")


def main():
    guest = Port("greedy")
    frame = bytearray(ether(mac_of_gateway(guest), guest.mac, 0x0800,
                            udp4(guest.ip, ip_bytes(SERVER), b"many")))
    for i in range(int(sys.argv[1])):
        struct.pack_into("!H", frame, SOURCE_PORT, 1024 + i)
        guest.send(frame)
        if i % BURST == BURST - 1:
            time.sleep(0.002)


main()
