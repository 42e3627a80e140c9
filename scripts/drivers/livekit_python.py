"""Stream speech with `livekit-plugins-openai`, as a LiveKit agent does: audio frames in, speech events out."""

from __future__ import annotations

import asyncio
from typing import Any

from talk import CHUNK_MS, KEY, MODEL, RATE, Outcome, arguments, chunks, start


async def stream(args: Any, outcome: Outcome) -> None:
    import aiohttp
    from livekit import rtc
    from livekit.agents import APIConnectOptions
    from livekit.plugins import openai

    async with aiohttp.ClientSession() as session:
        stt = openai.STT(
            model=MODEL,
            language="en",
            api_key=KEY,
            base_url=args.base_url.replace("wss:", "https:"),
            use_realtime=True,
        )
        # Outside a LiveKit job there is no session to borrow.
        stt._ensure_session = lambda: session  # type: ignore[method-assign]
        speech = stt.stream(conn_options=APIConnectOptions(max_retry=0))
        samples = RATE * CHUNK_MS // 1000
        for chunk in chunks():
            speech.push_frame(rtc.AudioFrame(chunk, RATE, 1, samples))
        try:
            async with asyncio.timeout(args.seconds):
                async for event in speech:
                    outcome.events[event.type.name] += 1
                    if event.type.name == "FINAL_TRANSCRIPT":
                        outcome.transcript = event.alternatives[0].text
                        break
        finally:
            await speech.aclose()
            await stt.aclose()


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=15, help="give up after so long (default: %(default)s)")
    args = parser.parse_args()
    start(args)
    outcome = Outcome("livekit-plugins-openai")
    try:
        asyncio.run(stream(args, outcome))
    except Exception as error:
        outcome.end(error)
        body = getattr(error, "body", None)
        if isinstance(body, dict):
            outcome.error = body.get("code")
    outcome.print()


if __name__ == "__main__":
    main()
