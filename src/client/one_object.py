#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""one_object.py OUTPUT.a DIRECTORY ARCHIVE... - an archive that exports vmnet_broker_* only.

The first archive is taken whole, the others as far as it needs them; the linker joins
them into one object, and objcopy makes every name local but the library's own.
"""
import os
import subprocess
import sys

output, directory, first, *others = sys.argv[1:]
os.makedirs(directory, exist_ok=True)
joined = os.path.join(directory, "vmnet-broker.o")
linker = os.environ.get("CC", "cc").split()
subprocess.check_call([*linker, "-nostdlib", "-r", "-o", joined,
                       "-Wl,--whole-archive", first, "-Wl,--no-whole-archive",
                       "-Wl,--start-group", *others, "-Wl,--end-group"])
subprocess.check_call(["objcopy", "--wildcard", "--keep-global-symbol=vmnet_broker_*", joined])
if os.path.exists(output):
    os.unlink(output)
subprocess.check_call(["ar", "rcsD", output, joined])
