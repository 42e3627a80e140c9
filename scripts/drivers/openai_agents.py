"""Stream speech with the voice part of `openai-agents`, as its `VoicePipeline` does: audio in, turns of text out."""

from __future__ import annotations

import asyncio
from argparse import Namespace

from talk import KEY, MODEL, SECONDS, Outcome, arguments, chunks, run


async def stream(args: Namespace, outcome: Outcome) -> None:
    import numpy as np
    from agents import set_tracing_disabled
    from agents.voice import OpenAISTTModel, StreamedAudioInput, STTModelSettings
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    query = {"model": MODEL} if args.model == "default_query" else None
    async with AsyncOpenAI(
        api_key=KEY, base_url=args.base_url.replace("wss:", "https:"), default_query=query
    ) as client:
        audio = StreamedAudioInput()
        settings = STTModelSettings(turn_detection={"type": "server_vad"})
        session = await OpenAISTTModel(MODEL, client).create_session(audio, settings, False, False)
        for chunk in chunks(args):
            await audio.add_audio(np.frombuffer(chunk, dtype=np.int16))

        async def listen() -> None:
            async for text in session.transcribe_turns():
                outcome.events["turn"] += 1
                outcome.transcript = text
                return

        try:
            await asyncio.wait_for(listen(), SECONDS)
        finally:
            await session.close()


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument(
        "--model", choices=["omitted", "default_query"], default="omitted", help="in the client's query"
    )
    run(parser, "openai-agents", stream)


if __name__ == "__main__":
    main()
