"""A client that reads from stdin how many messages to echo or to parse: `client.py LIBRARY with|without URL`."""

import asyncio
import json
import sys
import time
from json import loads

TEXT = json.dumps({"type": "message", "text": "x" * 160})
WINDOW = 16


def websockets_sync(url):
    from websockets.sync.client import connect

    socket = connect(url, compression=None, proxy=None)
    return socket.send, socket.recv


def websocket_client(url):
    import websocket

    # The validation is Python code that takes ten times as long as all the rest, and hides it in its noise.
    socket = websocket.create_connection(url, enable_multithread=False, skip_utf8_validation=True)
    return socket.send, socket.recv


async def websockets_asyncio(url):
    from websockets.asyncio.client import connect

    socket = await connect(url, compression=None, proxy=None)
    return socket.send, socket.recv


async def aiohttp(url):
    from aiohttp import ClientSession

    socket = await ClientSession().ws_connect(url)
    return socket.send_str, socket.receive_str


SYNC = {"websockets, sync": websockets_sync, "websocket-client": websocket_client}
ASYNC = {"websockets, asyncio": websockets_asyncio, "aiohttp": aiohttp}
"""By library: a function that opens a WebSocket, and returns what sends and what receives a text."""


def sync_round(send, receive, kind, count):
    if kind == "echo":
        for _ in range(count // WINDOW):
            for _ in range(WINDOW):
                send(TEXT)
            for _ in range(WINDOW):
                receive()
    else:
        send(str(count))
        for _ in range(count):
            loads(receive())


async def async_round(send, receive, kind, count):
    if kind == "echo":
        for _ in range(count // WINDOW):
            for _ in range(WINDOW):
                await send(TEXT)
            for _ in range(WINDOW):
                await receive()
    else:
        await send(str(count))
        for _ in range(count):
            loads(await receive())


def orders():
    for line in sys.stdin:
        kind, count = line.split()
        yield kind, int(count)


def answer(begun):
    print(json.dumps({"cpu": time.process_time() - begun}), flush=True)


def synchronous(opened):
    for kind, count in orders():
        begun = time.process_time()
        sync_round(*opened, kind, count)
        answer(begun)


async def asynchronous(opening):
    opened = await opening
    for kind, count in orders():
        begun = time.process_time()
        await async_round(*opened, kind, count)
        answer(begun)


def main(library, shim, url):
    if shim == "with":
        import rtstt_shim

        assert rtstt_shim.status().active
    if library in SYNC:
        synchronous(SYNC[library](url))
    else:
        asyncio.run(asynchronous(ASYNC[library](url)))


if __name__ == "__main__":
    main(*sys.argv[1:])
