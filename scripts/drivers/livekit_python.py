"""Stream speech with `livekit-plugins-openai`, as a LiveKit agent does: audio frames in, speech events out."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from typing import Any

from talk import CHUNK_MS, KEY, MODEL, RATE, SECONDS, Outcome, arguments, chunks, run


def recognizer(args: Namespace) -> Any:
    from livekit.plugins import openai

    base_url = args.base_url.replace("wss:", "https:")
    if args.azure:
        return openai.STT.with_azure(
            model=MODEL, api_key=args.key, api_version="2025-04-01-preview", base_url=base_url, use_realtime=True
        )
    return openai.STT(
        model=args.transcription_model, language="en", api_key=args.key, base_url=base_url, use_realtime=True
    )


async def stream_outside_job(args: Namespace, outcome: Outcome) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        stt = recognizer(args)
        # Outside a LiveKit job there is no session to borrow.
        stt._ensure_session = lambda: session
        await stream(stt, args, outcome)


async def stream(stt: Any, args: Namespace, outcome: Outcome) -> None:
    from livekit import rtc
    from livekit.agents import APIConnectOptions

    speech = stt.stream(conn_options=APIConnectOptions(max_retry=0))
    samples = RATE * CHUNK_MS // 1000
    for chunk in chunks(args):
        speech.push_frame(rtc.AudioFrame(chunk, RATE, 1, samples))

    async def listen() -> None:
        async for event in speech:
            outcome.events[event.type.name] += 1
            if event.type.name == "FINAL_TRANSCRIPT":
                outcome.transcript = event.alternatives[0].text
                return

    try:
        await asyncio.wait_for(listen(), SECONDS)
    finally:
        await speech.aclose()
        await stt.aclose()


def parser(description: str) -> ArgumentParser:
    parser = arguments(description)
    parser.add_argument("--azure", action="store_true", help="STT.with_azure()")
    parser.add_argument("--key", default=KEY, help="the API key")
    parser.add_argument("--transcription-model", default=MODEL, help="default: %(default)s")
    return parser


if __name__ == "__main__":
    run(parser(__doc__ or ""), "livekit-plugins-openai", stream_outside_job)
