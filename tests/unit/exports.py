#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""exports.py HEADER LIBRARY... - each library exports what the header declares, and no more."""
import re
import subprocess
import sys

header, *libraries = sys.argv[1:]
text = re.sub(r"/\*.*?\*/", "", open(header, encoding="utf-8").read(), flags=re.DOTALL)
declared = set(re.findall(r"\b(vmnet_broker_\w+)\(", text))
assert len(declared) > 10, declared

for library in libraries:
    dynamic = [] if library.endswith(".a") else ["-D"]
    lines = subprocess.check_output(["nm", *dynamic, "-g", "--defined-only", "-P", library],
                                    text=True).splitlines()
    names = {line.split()[0].split("@")[0] for line in lines if len(line.split()) > 2
             and line.split()[1] != "A"}
    if names != declared:
        sys.exit(f"{library}: too much {names - declared}, missing {declared - names}")
