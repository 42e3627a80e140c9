"""A message on a socket that is not watched runs no code of the shim, on any transport."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from websockets.sync.server import ServerConnection, serve

import rtstt_core

PACKAGE = str(Path(rtstt_core.__file__).parent)

pytestmark = pytest.mark.usefixtures("shim")


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of an echo server."""

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/socket"
        server.shutdown()
        thread.join()


def websockets_sync(url: str, messages: int) -> None:
    from websockets.sync.client import connect

    with connect(url, proxy=None) as connection:
        for _ in range(messages):
            connection.send("hello")
            assert connection.recv() == "hello"


def websockets_asyncio(url: str, messages: int) -> None:
    from websockets.asyncio.client import connect

    async def echo() -> None:
        async with connect(url, proxy=None) as connection:
            for _ in range(messages):
                await connection.send("hello")
                assert await connection.recv() == "hello"

    asyncio.run(echo())


def aiohttp_session(url: str, messages: int) -> None:
    import aiohttp

    async def echo() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as connection:
            for _ in range(messages):
                await connection.send_str("hello")
                assert await connection.receive_str() == "hello"

    asyncio.run(echo())


def websocket_client(url: str, messages: int) -> None:
    import websocket

    connection = websocket.create_connection(url, timeout=60)
    for _ in range(messages):
        connection.send("hello")
        assert connection.recv() == "hello"
    connection.close()


def calls_of_the_shim(work: Callable[[], None]) -> Counter[str]:
    """Count the calls of the shim's functions while something runs, in its threads too."""
    calls: Counter[str] = Counter()
    gc.collect()  # what other tests left ends now

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls[f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"] += 1

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return calls


@pytest.mark.parametrize("transport", [websockets_sync, websockets_asyncio, aiohttp_session, websocket_client])
def test_more_messages_are_not_more_calls(transport: Callable[[str, int], None], url: str) -> None:
    transport(url, 1)  # what is imported or cached once
    few = calls_of_the_shim(lambda: transport(url, 2))
    many = calls_of_the_shim(lambda: transport(url, 20))
    assert many == few
    assert few, "the connect attempt passes the shim"
