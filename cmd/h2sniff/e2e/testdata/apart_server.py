# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 servers that do not receive for a connection just before they decrypt
for it, so that a thread's last receive is mostly another connection's.

    apart_server.py batch PORT CERT KEY     one thread receives from all sockets
                                            before it decrypts what came
    apart_server.py threads PORT CERT KEY   threads receive for one connection
                                            and decrypt for another
"""
import queue
import select
import socket
import ssl
import sys
import threading

HEADERS = 1
SETTINGS = bytes.fromhex("000000 04 00 00000000")
PREFACE = 24
THREADS = 4


class Connection:
    def __init__(self, context, sock):
        self.sock, self.received, self.plain = sock, b"", b""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.open = False

    def receive(self):
        try:
            self.received = self.sock.recv(65536)
        except OSError:
            self.received = b""

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


def batches(accept, listeners):
    connections = {}

    def enter(connection):
        connections[connection.sock] = connection

    while True:
        ready, _, _ = select.select(listeners + list(connections), [], [])
        for sock in ready:
            if sock in listeners:
                enter(accept(sock))
        batch = [sock for sock in ready if sock in connections]
        for sock in batch:
            connections[sock].receive()
        for sock in batch:
            if not connections[sock].decrypt():
                del connections[sock]
                sock.close()


def threads(accept, listeners):
    """What a thread has received the next one decrypts."""
    poll, connections = select.epoll(), {listener.fileno(): listener for listener in listeners}
    inboxes = [queue.SimpleQueue() for _ in range(THREADS)]
    once = select.EPOLLIN | select.EPOLLONESHOT
    for listener in listeners:
        poll.register(listener, select.EPOLLIN)

    def decrypt(fd):
        if connections[fd].decrypt():
            poll.modify(fd, once)
        else:
            connections.pop(fd).sock.close()

    def work(i):
        while True:
            fd, receive = inboxes[i].get()
            if receive:
                connections[fd].receive()
                inboxes[(i + 1) % THREADS].put((fd, False))
            else:
                decrypt(fd)

    for i in range(THREADS):
        threading.Thread(target=work, args=(i,), daemon=True).start()
    turn = 0
    while True:
        for fd, _ in poll.poll():
            if connections[fd] in listeners:
                connection = accept(connections[fd])
                connections[connection.sock.fileno()] = connection
                poll.register(connection.sock, once)
            else:
                turn = (turn + 1) % THREADS
                inboxes[turn].put((fd, True))


def main(mode, port, *certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2"])
    listeners = [socket.create_server((host, int(port)), family=family)
                 for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))]

    def accept(listener):
        return Connection(context, listener.accept()[0])

    {"batch": batches, "threads": threads}[mode](accept, listeners)


main(*sys.argv[1:])
