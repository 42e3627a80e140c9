"""Stream speech with the `openai` SDK, the way its GA realtime API is used.

2.0.1 and older cannot leave `model` out; from 2.1.0 on the bug needs an application that passes both arguments.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from talk import KEY, MODEL, Outcome, arguments, client_events, start


def options(args: Any) -> dict[str, Any]:
    given = {"extra_query": {"intent": "transcription"}}
    return given if args.no_model else {"model": MODEL, **given}


async def stream(args: Any, outcome: Outcome) -> None:
    from openai import AsyncOpenAI
    from websockets.exceptions import ConnectionClosed

    async with (
        AsyncOpenAI(api_key=KEY, base_url=args.base_url.replace("wss:", "https:")) as client,
        client.realtime.connect(**options(args)) as connection,
    ):
        with suppress(ConnectionClosed):  # what is read next says why
            for event in client_events():
                await connection.send(event)  # type: ignore[arg-type]
        async for answer in connection:
            if outcome.take(answer.model_dump()):
                return


def stream_sync(args: Any, outcome: Outcome) -> None:
    from openai import OpenAI
    from websockets.exceptions import ConnectionClosed

    with (
        OpenAI(api_key=KEY, base_url=args.base_url.replace("wss:", "https:")) as client,
        client.realtime.connect(**options(args)) as connection,
    ):
        with suppress(ConnectionClosed):
            for event in client_events():
                connection.send(event)  # type: ignore[arg-type]
        for answer in connection:
            if outcome.take(answer.model_dump()):
                return


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--sync", action="store_true", help="the sync client")
    parser.add_argument("--no-model", action="store_true", help="leave `model` out, as the endpoint wants it")
    args = parser.parse_args()
    start(args)
    outcome = Outcome("openai")
    try:
        if args.sync:
            stream_sync(args, outcome)
        else:
            asyncio.run(stream(args, outcome))
    except Exception as error:
        outcome.end(error)
    outcome.print()


if __name__ == "__main__":
    main()
