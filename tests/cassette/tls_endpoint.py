"""The endpoint of the tests: a mock in a process of its own, behind a certificate of its own.

    python tls_endpoint.py FOLDER [SETTINGS]

It prints its port, writes its CA to FOLDER/ca.pem, and ends with its standard input. SETTINGS are arguments of
`RealtimeServer` as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
from pathlib import Path

import trustme

from rtstt_testkit import RealtimeServer

READ = 65536


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(READ):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(folder: Path, settings: dict[str, object]) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    async with RealtimeServer(**{"strict": False, "ping_interval": None, **settings}) as mock:  # type: ignore[arg-type]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", mock.port)
            await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        server.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}))
