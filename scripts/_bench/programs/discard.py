"""A bare websockets server that reads what comes and discards it."""

import asyncio
import logging

from websockets.asyncio.server import serve


async def discard(connection):
    async for _ in connection:
        pass


async def main():
    async with serve(discard, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None) as server:
        print(f"listening on ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await server.wait_closed()


logging.getLogger("websockets").setLevel(logging.CRITICAL)
asyncio.run(main())
