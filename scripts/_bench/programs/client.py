"""A client that reads from stdin how many messages to echo or to parse: `client.py LIBRARY with|without URL`."""

import asyncio
import json
import sys
import time
from json import loads

TEXT = json.dumps({"type": "message", "text": "x" * 160})
WINDOW = 16


class WebsocketsSync:
    def __init__(self, url):
        from websockets.sync.client import connect

        self.socket = connect(url, compression=None, proxy=None).__enter__()
        self.send, self.receive = self.socket.send, self.socket.recv


class WebsocketClient:
    def __init__(self, url):
        import websocket

        # The validation is Python code that takes ten times as long as all the rest, and hides it in its noise.
        self.socket = websocket.create_connection(url, enable_multithread=False, skip_utf8_validation=True)
        self.send, self.receive = self.socket.send, self.socket.recv


class WebsocketsAsyncio:
    async def open(self, url):
        from websockets.asyncio.client import connect

        self.socket = await connect(url, compression=None, proxy=None)
        self.send, self.receive = self.socket.send, self.socket.recv


class Aiohttp:
    async def open(self, url):
        import aiohttp

        self.session = aiohttp.ClientSession()
        self.socket = await self.session.ws_connect(url)
        self.send, self.receive = self.socket.send_str, self.socket.receive_str


def sync_round(client, kind, count):
    send, receive = client.send, client.receive
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


async def async_round(client, kind, count):
    send, receive = client.send, client.receive
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


def answer(begun, cpu):
    print(json.dumps({"wall": time.perf_counter() - begun, "cpu": time.process_time() - cpu}), flush=True)


async def asynchronous(client, url):
    await client.open(url)
    for kind, count in orders():
        begun, cpu = time.perf_counter(), time.process_time()
        await async_round(client, kind, count)
        answer(begun, cpu)


def main(library, shim, url):
    if shim == "with":
        import rtstt_shim

        assert rtstt_shim.status().active
    if library in ("websockets, asyncio", "aiohttp"):
        asyncio.run(asynchronous(WebsocketsAsyncio() if library != "aiohttp" else Aiohttp(), url))
    else:
        client = WebsocketsSync(url) if library == "websockets, sync" else WebsocketClient(url)
        for kind, count in orders():
            begun, cpu = time.perf_counter(), time.process_time()
            sync_round(client, kind, count)
            answer(begun, cpu)


if __name__ == "__main__":
    main(*sys.argv[1:])
