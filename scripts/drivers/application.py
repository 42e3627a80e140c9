"""Stream speech with an application's own code: a URL with both `intent` and `model`, as half the examples have it."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import suppress
from typing import Any

from talk import KEY, MODEL, Outcome, arguments, client_events, start

HEADERS = {"Authorization": f"Bearer {KEY}"}


async def with_websockets(url: str, outcome: Outcome) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async with connect(url, additional_headers=HEADERS) as connection:
        with suppress(ConnectionClosed):  # what is read next says why
            for event in client_events():
                await connection.send(json.dumps(event))
        async for message in connection:
            if outcome.take(json.loads(message)):
                return


def with_websockets_sync(url: str, outcome: Outcome) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(url, additional_headers=HEADERS) as connection:
        with suppress(ConnectionClosed):
            for event in client_events():
                connection.send(json.dumps(event))
        for message in connection:
            if outcome.take(json.loads(message)):
                return


async def with_websockets_legacy(url: str, outcome: Outcome) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.legacy.client import connect

    async with connect(url, extra_headers=HEADERS) as connection:
        with suppress(ConnectionClosed):  # what is read next says why
            for event in client_events():
                await connection.send(json.dumps(event))
        async for message in connection:
            if outcome.take(json.loads(message)):
                return


async def with_aiohttp(url: str, outcome: Outcome) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=HEADERS) as connection:
        with suppress(ConnectionError):
            for event in client_events():
                await connection.send_json(event)
        async for message in connection:
            if outcome.take(message.json()):
                return
        outcome.closed = connection.close_code


def with_websocket_client(url: str, outcome: Outcome) -> None:
    import websocket

    connection = websocket.create_connection(url, header=HEADERS, timeout=10)
    with suppress(ConnectionError):
        for event in client_events():
            connection.send(json.dumps(event))
    while True:
        opcode, data = connection.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            outcome.closed = struct.unpack("!H", data[:2])[0]
            break
        if outcome.take(json.loads(data)):
            break
    connection.shutdown()


TRANSPORTS: dict[str, tuple[Any, str]] = {
    "websockets": (with_websockets, "websockets"),
    "websockets-sync": (with_websockets_sync, "websockets"),
    "websockets-legacy": (with_websockets_legacy, "websockets"),
    "aiohttp": (with_aiohttp, "aiohttp"),
    "websocket-client": (with_websocket_client, "websocket-client"),
}


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--transport", choices=TRANSPORTS, required=True)
    args = parser.parse_args()
    start(args)
    talk, library = TRANSPORTS[args.transport]
    outcome = Outcome(library)
    url = f"{args.base_url}/realtime?intent=transcription&model={MODEL}"
    try:
        if asyncio.iscoroutinefunction(talk):
            asyncio.run(talk(url, outcome))
        else:
            talk(url, outcome)
    except Exception as error:
        outcome.end(error)
    outcome.print()


if __name__ == "__main__":
    main()
