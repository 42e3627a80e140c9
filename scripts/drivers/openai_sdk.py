"""Stream speech with the `openai` SDK, the way its GA realtime API is used; or the beta one.

2.0.1 and older cannot leave `model` out; from 2.1.0 on the bug needs an application that passes both arguments.
"""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from typing import Any

from talk import KEY, MODEL, Outcome, arguments, client_events, run


def options(args: Namespace) -> dict[str, Any]:
    """What the application passes to ``connect()``."""
    given: dict[str, Any] = {"extra_query": {"intent": "transcription"}}
    return given if args.model == "omitted" else {**given, "model": MODEL if args.model == "given" else None}


def client(args: Namespace, kind: Any) -> Any:
    """The SDK's client, for a base URL or a region."""
    if args.region:
        return kind(api_key=KEY, data_residency=args.region)
    return kind(api_key=KEY, base_url=args.base_url.replace("wss:", "https:"))


async def stream(args: Namespace, outcome: Outcome) -> None:
    from openai import AsyncOpenAI
    from websockets.exceptions import ConnectionClosed

    async with client(args, AsyncOpenAI) as sdk:
        realtime = sdk.beta.realtime if args.beta else sdk.realtime
        async with realtime.connect(**options(args)) as connection:
            with suppress(ConnectionClosed):  # the answer has the reason
                for event in client_events(args):
                    await connection.send(event)
            async for answer in connection:
                if outcome.receive_event(answer.model_dump()):
                    return


def stream_sync(args: Namespace, outcome: Outcome) -> None:
    from openai import OpenAI
    from websockets.exceptions import ConnectionClosed

    with client(args, OpenAI) as sdk:
        realtime = sdk.beta.realtime if args.beta else sdk.realtime
        with realtime.connect(**options(args)) as connection:
            with suppress(ConnectionClosed):
                for event in client_events(args):
                    connection.send(event)
            for answer in connection:
                if outcome.receive_event(answer.model_dump()):
                    return


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--sync", action="store_true", help="the sync client")
    parser.add_argument("--beta", action="store_true", help="client.beta.realtime")
    parser.add_argument("--model", choices=["given", "omitted", "None"], default="given", help="the argument `model`")
    parser.add_argument("--region", help="data_residency, instead of a base URL")
    run(parser, "openai", lambda args, outcome: (stream_sync if args.sync else stream)(args, outcome))


if __name__ == "__main__":
    main()
