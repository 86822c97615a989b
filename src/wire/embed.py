#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py OUTPUT FILE... - interface files as C strings, named after their interface.

The text is embedded byte for byte: GetInterfaceDescription returns what stands in the source.
"""
import pathlib
import sys


def c_string(text):
    """One C literal a line of the file, so that a diff of the output can be read."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return "\n".join(f'      "{line}\\n"' for line in escaped.splitlines())


def main(output, files):
    entries = []
    for path in sorted(map(pathlib.Path, files)):
        text = path.read_text(encoding="ascii")
        if not text.endswith("\n"):
            sys.exit(f"{path}: the last line has no end")
        entries.append(f'    {{ "{path.stem}",\n{c_string(text)} }},\n')
    pathlib.Path(output).write_text(
        f"/* Made by embed.py; do not edit. */\n"
        '#include "interface.h"\n\n'
        "const struct embedded_interface embedded_interfaces[] = {\n"
        + "".join(entries) + "    { 0, 0 },\n};\n", encoding="ascii")


main(sys.argv[1], sys.argv[2:])
