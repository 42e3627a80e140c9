"""One session on each transport: connect, read until the end, and return what the application saw."""

from __future__ import annotations

import asyncio
import json
import warnings
from typing import Any

Seen = tuple[list[Any], BaseException | None]


def websockets_asyncio(url: str) -> Seen:
    from websockets.asyncio.client import connect

    async def talk() -> Seen:
        seen: list[Any] = []
        try:
            async with connect(url) as connection:
                while True:
                    seen.append(json.loads(await connection.recv()))
        except Exception as error:
            return seen, error

    return asyncio.run(talk())


def websockets_sync(url: str) -> Seen:
    from websockets.sync.client import connect

    seen: list[Any] = []
    try:
        with connect(url) as connection:
            while True:
                seen.append(json.loads(connection.recv()))
    except Exception as error:
        return seen, error


def websockets_legacy(url: str) -> Seen:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from websockets.legacy.client import connect

    async def talk() -> Seen:
        seen: list[Any] = []
        try:
            async with connect(url) as connection:
                while True:
                    seen.append(json.loads(await connection.recv()))
        except Exception as error:
            return seen, error

    return asyncio.run(talk())


def aiohttp_session(url: str) -> Seen:
    import aiohttp

    async def talk() -> Seen:
        seen: list[Any] = []
        try:
            async with aiohttp.ClientSession() as session, session.ws_connect(url, compress=15) as connection:
                async for message in connection:
                    seen.append(json.loads(message.data))
        except Exception as error:
            return seen, error
        return seen, None

    return asyncio.run(talk())


def websocket_client(url: str) -> Seen:
    import websocket

    seen: list[Any] = []
    connection = websocket.WebSocket()
    try:
        connection.connect(url, timeout=60)
        while text := connection.recv():
            seen.append(json.loads(text))
    except Exception as error:
        return seen, error
    finally:
        connection.shutdown()
    return seen, None


def websocket_client_app(url: str) -> Seen:
    import websocket

    seen: list[Any] = []
    errors: list[BaseException] = []
    sockets: list[Any] = []
    app = websocket.WebSocketApp(
        url,
        on_open=lambda app: sockets.append(app.sock),
        on_message=lambda _, text: seen.append(json.loads(text)),
        on_error=lambda _, error: errors.append(error),
    )
    app.run_forever()
    for connection in sockets:  # the library leaves a socket open that the server closed
        connection.shutdown()
    return seen, errors[0] if errors else None


TRANSPORTS = {
    "websockets asyncio": (websockets_asyncio, "websockets"),
    "websockets sync": (websockets_sync, "websockets"),
    "websockets legacy": (websockets_legacy, "websockets"),
    "aiohttp": (aiohttp_session, "aiohttp"),
    "websocket-client": (websocket_client, "websocket-client"),
    "websocket-client app": (websocket_client_app, "websocket-client"),
}
