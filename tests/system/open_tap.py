#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""open_tap.py TAP [SECONDS] - opens a TAP by its name as Firecracker and libkrun do: one queue,
without IFF_MULTI_QUEUE, with IFF_VNET_HDR, and no more capabilities than it was given.

Says what it can do and that it has it, and keeps it open for so long, or until it is killed.
"""

import fcntl
import os
import struct
import sys
import time

TUNSETIFF, TUNSETVNETHDRSZ, TUNSETOFFLOAD = 0x400454CA, 0x400454D8, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM = 1


def capabilities():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(line.split()[1] for line in status if line.startswith("CapEff:"))


def main():
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", sys.argv[1].encode(), flags))
    fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM)
    fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", 12))
    print(f"{sys.argv[1]} is open, with capabilities {capabilities()}", flush=True)
    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 3600)


if __name__ == "__main__":
    main()
