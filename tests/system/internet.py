#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The servers of the invented internet: a web page, and echoes over TCP and UDP.

  port 80    HTTP: GET /anything answers with one line that names the path and the client
  port 7     TCP and UDP echo

They listen on the addresses given as arguments, IPv4 and IPv6.
"""

import http.server
import socket
import socketserver
import sys
import threading


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        text = f"the internet has {self.path} for {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class EchoDatagram(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data, self.client_address)


def listen(server, address, port, handler):
    """One socket an address, not one for all: a datagram must be answered from the
    address that it was sent to."""

    class Server(server):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        allow_reuse_address = True
        daemon_threads = True

    threading.Thread(target=Server((address, port), handler).serve_forever, daemon=True).start()


def main():
    for address in sys.argv[1:]:
        listen(http.server.ThreadingHTTPServer, address, 80, Page)
        listen(socketserver.ThreadingTCPServer, address, 7, Echo)
        listen(socketserver.ThreadingUDPServer, address, 7, EchoDatagram)
    print("ready", flush=True)
    threading.Event().wait()


main()
