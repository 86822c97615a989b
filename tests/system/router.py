#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""router.py LINK PREFIX LIFETIME - a router that advertises itself and a /64 on a link.

Every second (more often than RFC 4861 has it, to keep tests short), and once more with a
lifetime of zero when it is ended, which is a router's farewell. Stopped (SIGSTOP) it is a router
that has fallen silent.
"""

import signal
import socket
import struct
import sys
import time

ROUTER_ADVERTISEMENT, PREFIX_INFORMATION = 134, 3
ON_LINK_AND_AUTONOMOUS = 0xC0


def advertisement(prefix, lifetime):
    """The kernel fills in the checksum."""
    header = struct.pack("!BBHBBHII", ROUTER_ADVERTISEMENT, 0, 0, 64, 0, lifetime, 0, 0)
    option = struct.pack("!BBBBIII", PREFIX_INFORMATION, 4, 64, ON_LINK_AND_AUTONOMOUS,
                         7200, 3600, 0)
    return header + option + socket.inet_pton(socket.AF_INET6, prefix)


def main():
    link, prefix, lifetime = sys.argv[1], sys.argv[2], int(sys.argv[3])
    router = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    everybody = ("ff02::1", 0, 0, socket.if_nametoindex(link))

    def farewell(*_):
        router.sendto(advertisement(prefix, 0), everybody)
        sys.exit(0)

    signal.signal(signal.SIGTERM, farewell)
    while True:
        router.sendto(advertisement(prefix, lifetime), everybody)
        time.sleep(1)


main()
