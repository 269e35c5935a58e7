# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 server without TLS, of the h2 package and blocking sockets.

    h2_server.py PORT

A thread for each connection. It answers a request with the octets of its body,
or with 100,000 octets where there is none.
"""
import socket
import sys
import threading

import h2.config
import h2.connection
import h2.events


def serve(sock):
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    conn.initiate_connection()
    sock.sendall(conn.data_to_send())
    bodies, waiting = {}, {}

    def more():
        for stream in list(waiting):
            while waiting[stream]:
                room = min(conn.local_flow_control_window(stream), conn.max_outbound_frame_size)
                if room <= 0:
                    break
                conn.send_data(stream, waiting[stream][:room])
                waiting[stream] = waiting[stream][room:]
            if not waiting[stream]:
                conn.end_stream(stream)
                del waiting[stream]

    while data := sock.recv(65536):
        for event in conn.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                bodies[event.stream_id] = b""
            elif isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id] += event.data
                conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                body = bodies.pop(event.stream_id) or b"x" * 100_000
                conn.send_headers(event.stream_id, [(":status", "200"), ("content-length", str(len(body)))])
                waiting[event.stream_id] = body
        more()
        sock.sendall(conn.data_to_send())
    sock.close()


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
