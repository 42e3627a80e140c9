"""Stream speech with pipecat's `OpenAIRealtimeSTTService`, in a pipeline: audio frames in, transcription frames out."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from typing import Any

from talk import KEY, MODEL, RATE, SECONDS, Outcome, arguments, chunks, run


def service(args: Namespace) -> Any:
    from pipecat.services.openai.stt import OpenAIRealtimeSTTService

    named: dict[str, Any] = {"model": MODEL}
    settings = getattr(OpenAIRealtimeSTTService, "Settings", None)
    if settings is not None:
        named = {"settings": settings(model=MODEL)}
    base_url = f"{args.base_url}/realtime" + (f"?model={MODEL}" if args.model == "in the base URL" else "")
    return OpenAIRealtimeSTTService(api_key=KEY, base_url=base_url, turn_detection={"type": "server_vad"}, **named)


async def stream(args: Namespace, outcome: Outcome) -> None:
    from pipecat.frames.frames import (
        ErrorFrame,
        Frame,
        InputAudioRawFrame,
        InterimTranscriptionFrame,
        StartFrame,
        TranscriptionFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.runner import PipelineRunner
    from pipecat.pipeline.task import PipelineParams, PipelineTask
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

    started, over = asyncio.Event(), asyncio.Event()

    class Application(FrameProcessor):
        """The processor before and after the service."""

        async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, InterimTranscriptionFrame):
                outcome.events["INTERIM_TRANSCRIPT"] += 1
            elif isinstance(frame, TranscriptionFrame) and outcome.transcript is None:
                outcome.transcript = frame.text
                over.set()
            elif isinstance(frame, ErrorFrame):
                outcome.raised = outcome.raised or frame.error
                over.set()
            elif isinstance(frame, StartFrame):
                started.set()
            await self.push_frame(frame, direction)

    stt = service(args)
    task = PipelineTask(Pipeline([Application(), stt, Application()]), params=PipelineParams(audio_in_sample_rate=RATE))
    running = asyncio.ensure_future(PipelineRunner(handle_sigint=False).run(task))
    await asyncio.wait_for(started.wait(), SECONDS)
    # As a microphone in a silent room: what comes before the session is set up is dropped.
    while not (stt._session_ready or over.is_set()):
        await task.queue_frame(InputAudioRawFrame(bytes(RATE // 50 * 2), RATE, 1))
        await asyncio.sleep(0.02)
    await task.queue_frames([InputAudioRawFrame(chunk, RATE, 1) for chunk in chunks(args)])
    try:
        await asyncio.wait_for(over.wait(), SECONDS)
    finally:
        await task.cancel()
        await running


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--model", choices=["omitted", "in the base URL"], default="omitted", help="in the URL")
    run(parser, "pipecat-ai", stream)


if __name__ == "__main__":
    main()
