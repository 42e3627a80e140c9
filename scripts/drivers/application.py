"""Stream speech with an application's own code: a URL with both `intent` and `model`, as in many examples."""

from __future__ import annotations

import json
import struct
from argparse import Namespace
from contextlib import suppress
from typing import Any

from talk import KEY, MODEL, Outcome, arguments, client_events, run

HEADERS = {"Authorization": f"Bearer {KEY}"}
ATTEMPTS = 3
"""How often `websockets-reconnecting` connects."""


async def _stream(connection: Any, args: Namespace, outcome: Outcome) -> bool:
    """Stream over an open connection of websockets; return whether the transcript came."""
    from websockets.exceptions import ConnectionClosed

    with suppress(ConnectionClosed):  # the answer has the reason
        for event in client_events(args):
            await connection.send(json.dumps(event))
    async for message in connection:
        if outcome.receive_event(json.loads(message)):
            return True
    return False


async def with_websockets(url: str, args: Namespace, outcome: Outcome) -> None:
    from websockets.asyncio.client import connect

    async with connect(url, additional_headers=HEADERS) as connection:
        await _stream(connection, args, outcome)


async def with_websockets_reconnecting(url: str, args: Namespace, outcome: Outcome) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    attempts = 0
    async for connection in connect(url, additional_headers=HEADERS):
        attempts += 1
        try:
            if await _stream(connection, args, outcome):
                await connection.close()
                return
        except ConnectionClosed as error:
            if attempts == ATTEMPTS:
                raise
            outcome.record_exception(error)


async def with_websockets_legacy(url: str, args: Namespace, outcome: Outcome) -> None:
    from websockets.legacy.client import connect

    async with connect(url, extra_headers=HEADERS) as connection:
        await _stream(connection, args, outcome)


def with_websockets_sync(url: str, args: Namespace, outcome: Outcome) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(url, additional_headers=HEADERS) as connection:
        with suppress(ConnectionClosed):
            for event in client_events(args):
                connection.send(json.dumps(event))
        for message in connection:
            if outcome.receive_event(json.loads(message)):
                return


async def with_aiohttp(url: str, args: Namespace, outcome: Outcome) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=HEADERS) as connection:
        with suppress(ConnectionError):
            for event in client_events(args):
                await connection.send_json(event)
        async for message in connection:
            if outcome.receive_event(message.json()):
                return
        outcome.closed = connection.close_code


def with_websocket_client(url: str, args: Namespace, outcome: Outcome) -> None:
    import websocket

    connection = websocket.create_connection(url, header=HEADERS, timeout=10)
    with suppress(ConnectionError):
        for event in client_events(args):
            connection.send(json.dumps(event))
    while True:
        opcode, data = connection.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            outcome.closed = struct.unpack("!H", data[:2])[0]
            break
        if outcome.receive_event(json.loads(data)):
            break
    connection.shutdown()


def with_websocket_app(url: str, args: Namespace, outcome: Outcome) -> None:
    import websocket

    def on_open(app: Any) -> None:
        with suppress(ConnectionError, websocket.WebSocketException):
            for event in client_events(args):
                app.send(json.dumps(event))

    def on_message(app: Any, message: str) -> None:
        if outcome.receive_event(json.loads(message)):
            app.close()

    def on_close(app: Any, code: int | None, reason: str | None) -> None:
        if outcome.transcript is None:
            outcome.closed = code

    app = websocket.WebSocketApp(url, header=HEADERS, on_open=on_open, on_message=on_message, on_close=on_close)
    app.run_forever()


TRANSPORTS: dict[str, tuple[Any, str]] = {
    "websockets": (with_websockets, "websockets"),
    "websockets-reconnecting": (with_websockets_reconnecting, "websockets"),
    "websockets-sync": (with_websockets_sync, "websockets"),
    "websockets-legacy": (with_websockets_legacy, "websockets"),
    "aiohttp": (with_aiohttp, "aiohttp"),
    "websocket-client": (with_websocket_client, "websocket-client"),
    "websocket-app": (with_websocket_app, "websocket-client"),
}


def session(args: Namespace, outcome: Outcome) -> Any:
    if args.uvloop:
        import asyncio

        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    query = f"?intent=transcription&model={MODEL}" if args.model == "given" else "?intent=transcription"
    return TRANSPORTS[args.transport][0](f"{args.base_url}/realtime{query}", args, outcome)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--transport", choices=TRANSPORTS, default="websockets")
    parser.add_argument("--model", choices=["given", "omitted"], default="given", help="whether the URL holds `model`")
    parser.add_argument("--uvloop", action="store_true", help="on uvloop's event loop")
    run(parser, lambda args: TRANSPORTS[args.transport][1], session)


if __name__ == "__main__":
    main()
