# SPDX-License-Identifier: Apache-2.0
"""batch_server.py PORT CERT KEY: an HTTP/2 server that receives from all its
sockets before it decrypts what came: the last receive before a TLS call is
mostly another connection's.
"""
import select
import socket
import ssl
import sys

HEADERS = 1
SETTINGS = bytes.fromhex("000000 04 00 00000000")
PREFACE = 24


class Connection:
    def __init__(self, context, sock):
        self.sock, self.received, self.plain = sock, b"", b""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.open = False

    def step(self):
        if not self.open:
            self.tls.do_handshake()
            self.tls.write(SETTINGS)
            self.open = True
        data = self.tls.read(65536)
        if not data:
            raise ssl.SSLZeroReturnError
        self.plain += data
        at = PREFACE
        while len(self.plain) >= at + 9:
            length, kind, stream = int.from_bytes(self.plain[at:at + 3], "big"), self.plain[at + 3], self.plain[at + 5:at + 9]
            if len(self.plain) < at + 9 + length:
                break
            self.plain = self.plain[:at] + self.plain[at + 9 + length:]
            if kind == HEADERS:
                self.tls.write(bytes.fromhex("000001 01 05") + stream + b"\x88")

    def decrypt(self):
        """Whether the connection goes on."""
        self.incoming.write(self.received)
        if not self.received:
            self.incoming.write_eof()
        try:
            while True:
                self.step()
        except ssl.SSLWantReadError:
            self.sock.sendall(self.outgoing.read())
            return True
        except (ssl.SSLError, OSError):
            return False


def main(port, *certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2"])
    listeners = [socket.create_server((host, int(port)), family=family)
                 for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))]
    connections = {}
    while True:
        ready, _, _ = select.select(listeners + list(connections), [], [])
        for sock in ready:
            if sock in listeners:
                accepted = sock.accept()[0]
                connections[accepted] = Connection(context, accepted)
        batch = [sock for sock in ready if sock in connections]
        for sock in batch:
            try:
                connections[sock].received = sock.recv(65536)
            except OSError:
                connections[sock].received = b""
        for sock in batch:
            if not connections[sock].decrypt():
                del connections[sock]
                sock.close()


main(*sys.argv[1:])
