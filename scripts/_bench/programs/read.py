"""A bare websockets server: it discards messages, decodes them as a test's, or answers: `read.py [decode|answer]`."""

import asyncio
import base64
import json
import logging
import sys

from websockets.asyncio.server import serve


async def discard(connection):
    async for _ in connection:
        pass


async def decode(connection):
    audio = bytearray()
    async for message in connection:
        event = json.loads(message)
        if event["type"] == "input_audio_buffer.append":
            audio += base64.b64decode(event["audio"])
            del audio[:-1_000_000]


async def answer(connection):
    async for _ in connection:
        await connection.send('{"type":"answer"}')


async def main(handler):
    async with serve(handler, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None) as server:
        print(f"listening on ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await server.wait_closed()


logging.getLogger("websockets").setLevel(logging.CRITICAL)
asyncio.run(main({"decode": decode, "answer": answer}.get(sys.argv[-1], discard)))
