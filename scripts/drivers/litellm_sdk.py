"""Stream speech with LiteLLM's SDK, as a program that relays a user's socket to OpenAI."""

from __future__ import annotations

import asyncio
import json
import os
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from talk import KEY, MODEL, SECONDS, Outcome, arguments, client_events, run

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it is downloaded


class UsersSocket:
    """The user's side of the relay: the methods of a FastAPI WebSocket that LiteLLM uses."""

    def __init__(self, events: Iterator[dict[str, Any]], outcome: Outcome) -> None:
        self.headers: dict[str, str] = {}
        self.scope: dict[str, Any] = {"type": "websocket", "headers": []}
        self.over = asyncio.Event()
        self._events = events
        self._outcome = outcome

    async def receive_text(self) -> str:
        event = next(self._events, None)
        if event is None:
            await self.over.wait()
            raise ConnectionError("the user has gone")
        return json.dumps(event)

    async def send_text(self, text: str | bytes) -> None:
        # After an error some versions relay nothing more.
        if self._outcome.receive_event(json.loads(text)) or self._outcome.error:
            self.over.set()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self._outcome.closed = code
        self.over.set()


async def relay(args: Namespace, outcome: Outcome) -> None:
    import litellm

    user = UsersSocket(client_events(args), outcome)
    relaying = asyncio.ensure_future(
        litellm._arealtime(
            model=f"openai/{MODEL}",
            websocket=user,
            api_base=args.base_url.replace("wss:", "https:"),
            api_key=KEY,
            query_params={"model": MODEL, "intent": "transcription"},
        )
    )
    over = asyncio.ensure_future(user.over.wait())
    await asyncio.wait([relaying, over], timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
    user.over.set()
    relaying.cancel()
    await asyncio.wait([relaying])
    if not relaying.cancelled() and relaying.exception():
        raise relaying.exception() or AssertionError


if __name__ == "__main__":
    run(arguments(__doc__ or ""), "litellm", relay)
