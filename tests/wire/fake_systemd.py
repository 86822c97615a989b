# SPDX-License-Identifier: Apache-2.0
"""Just enough of a D-Bus daemon with a systemd user manager behind it to start one unit."""
import os
import re
import socket
import struct
import subprocess
import threading

HELLO, START = b"Hello", b"StartTransientUnit"


def aligned(data, to):
    return data + bytes(-len(data) % to)


def text(value):
    return struct.pack("<I", len(value)) + value + b"\0"


def field(code, signature, value):
    return bytes([code, 1]) + signature + b"\0" + value


def answer(kind, serial, extra, signature, body):
    """A method return (kind 2) or an error (3) to the call with this serial."""
    fields = field(5, b"u", struct.pack("<I", serial))
    for one in extra + [field(8, b"g", bytes([len(signature)]) + signature + b"\0")]:
        fields = aligned(fields, 8) + one
    head = struct.pack("<BBBBIII", ord("l"), kind, 1, 1, len(body), 7, len(fields))
    return aligned(head + fields, 8) + body


class FakeSystemd:
    """mode: "starts" units, "absent" (a bus, but no systemd), "silent" (accepts, says nothing)."""

    def __init__(self, path, mode):
        self.mode = mode
        self.properties = []  # the strings of the last StartTransientUnit
        self.children = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        self.clients = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients.append(client)
            if self.mode != "silent":
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        stream = client.makefile("rb")
        stream.read(1)  # the NUL before authentication
        for line in stream:
            if line.startswith(b"BEGIN"):
                break
            if line.startswith(b"NEGOTIATE"):
                client.sendall(b"AGREE_UNIX_FD\r\n")
            elif line.startswith(b"DATA"):
                client.sendall(b"OK " + b"0" * 32 + b"\r\n")
            elif line.startswith(b"AUTH"):
                has_id = len(line.split()) > 2
                client.sendall(b"OK " + b"0" * 32 + b"\r\n" if has_id else b"DATA\r\n")
        while head := stream.read(16):
            body_len, serial, fields_len = struct.unpack("<III", head[4:])
            fields = stream.read(fields_len + -fields_len % 8)
            client.sendall(self.reply(fields, stream.read(body_len), serial))

    def reply(self, fields, body, serial):
        if HELLO in fields:
            return answer(2, serial, [], b"s", text(b":1.1"))
        if self.mode == "absent" or START not in fields:
            name = field(4, b"s", text(b"org.freedesktop.DBus.Error.ServiceUnknown"))
            return answer(3, serial, [name], b"s", text(b"no such name"))
        self.start(body)
        return answer(2, serial, [], b"o", text(b"/org/freedesktop/systemd1/job/1"))

    def start(self, body):
        self.properties = [s.decode() for s in re.findall(rb"[\x20-\x7e]{2,}", body)]
        at = self.properties.index("ExecStart")
        program, *argv = self.properties[at + 2:]
        first = self.properties.index("Environment") + 2
        variables = [v for v in self.properties[first:at] if "=" in v]
        self.children.append(subprocess.Popen(
            argv, executable=program, env=dict(v.split("=", 1) for v in variables),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True))

    def close(self):
        self.listener.close()
        for client in self.clients:
            client.close()
        for child in self.children:
            child.terminate()
            child.wait(10)
