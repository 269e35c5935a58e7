# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 connections of asyncio, which gives libssl memory BIOs.

    asyncio_peer.py serve PORT CERT KEY     on 127.0.0.1 and ::1
    asyncio_peer.py visit PORT FILE N       sends FILE on N connections to each

The server answers each HEADERS frame on a stream with one of its own, the
client waits for one.
"""
import asyncio
import ssl
import sys

HOSTS = ["127.0.0.1", "::1"]
HEADERS = 1
SETTINGS = bytes.fromhex("000000 04 00 00000000")


def response(stream):
    return bytes.fromhex("000001 01 05") + stream + b"\x88"  # :status 200


async def next_headers(reader):
    while True:
        head = await reader.readexactly(9)
        await reader.readexactly(int.from_bytes(head[:3], "big"))
        if head[3] == HEADERS:
            return head[5:]


async def serve(reader, writer):
    try:
        await reader.readexactly(24)  # the preface
        writer.write(SETTINGS)
        while True:
            writer.write(response(await next_headers(reader)))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def visit(host, port, octets, context):
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.write(octets)
    await next_headers(reader)
    writer.close()


async def main(command, port, *args):
    if command == "serve":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*args)
        context.set_alpn_protocols(["h2"])
        server = await asyncio.start_server(serve, HOSTS, port, ssl=context)
        await server.serve_forever()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with open(args[0], "rb") as file:
        octets = file.read()
    await asyncio.gather(*(visit(host, port, octets, context) for host in HOSTS for _ in range(int(args[1]))))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
