# SPDX-License-Identifier: Apache-2.0
"""A peer like peer.c, with Python's ssl: a command a line on standard input,
each answered with a line that begins with "ok".

    open PORT           connects to 127.0.0.1
    accept              listens, answers with the port, and accepts
    calls FILE LEN...   sends FILE in calls of those lengths, the last one again
                        and again; without a length in one call
    read N              receives N octets
    close               ends the connection
    unload FILE N       loads a library and unloads it, N times

The argument chooses the library's way to the socket: "socket" or "memory"
(ssl.MemoryBIO, as asyncio has it).
"""
import _ctypes
import os
import socket
import ssl
import sys


class Memory:
    """A TLS connection whose octets the program itself moves to the socket."""

    def __init__(self, context, sock, server_side):
        self.sock, self.incoming, self.outgoing = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side)
        self.run(self.tls.do_handshake)

    def run(self, call, *args):
        while True:
            try:
                result = call(*args)
                break
            except ssl.SSLWantReadError:
                self.flush()
                self.incoming.write(self.sock.recv(65536))
        self.flush()
        return result

    def flush(self):
        self.sock.sendall(self.outgoing.read())

    def send(self, data):
        return self.run(self.tls.write, data)

    def recv(self, n):
        return self.run(self.tls.read, n)

    def close(self):
        self.sock.close()


def wrap(sock, server_side, certificate=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    if server_side:
        context.load_cert_chain(*certificate)
    else:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if sys.argv[1] == "memory":
        return Memory(context, sock, server_side)
    return context.wrap_socket(sock, server_side=server_side)


def answer(*words):
    print("ok", *words, flush=True)


def send(conn, path, lengths):
    with open(path, "rb") as file:
        data = file.read()
    n = 0
    while data:
        n = lengths.pop(0) if lengths else n or len(data)
        piece, data = data[:n], data[n:]
        if conn.send(piece) != len(piece):
            sys.exit("a call did not send all of its octets")


def main():
    conn = None
    answer(os.getpid())
    for line in sys.stdin:
        command, *args = line.split()
        if command == "open":
            conn = wrap(socket.create_connection(("127.0.0.1", int(args[0]))), False)
        elif command == "accept":
            with socket.create_server(("127.0.0.1", 0)) as listener:
                answer(listener.getsockname()[1])
                conn = wrap(listener.accept()[0], True, args)
        elif command == "calls":
            send(conn, args[0], [int(n) for n in args[1:]])
        elif command == "read":
            left = int(args[0])
            while left:
                data = conn.recv(min(left, 65536))
                if not data:
                    sys.exit("the connection ended")
                left -= len(data)
        elif command == "close":
            conn.close()
            conn = None
        elif command == "unload":
            for _ in range(int(args[1])):
                _ctypes.dlclose(_ctypes.dlopen(args[0], os.RTLD_NOW))
        else:
            sys.exit("unknown command " + command)
        answer()


main()
