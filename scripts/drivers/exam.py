"""Transcribe a file with a published client, as a small application does: what `exam_field.py` examines.

    python exam.py CLIENT FILE

Final transcripts go to stdout, each as a line `final: …`, and what the client reports to stderr. Each application uses
what its client offers against failures, and repairs nothing itself. Voice agents hear silence when the file is over, as
on a call, and do not end by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
import time
import wave
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from threading import Event
from types import ModuleType
from typing import Any

from talk import MODEL, RATE, session_update

CHUNK = RATE // 20
# Not OPENAI_BASE_URL: under the true host name the clients do what they do at OpenAI.
HOST = "https://api.openai.com/v1"
ITEM = 15.0  # seconds that a transcript may take
END = 60.0  # seconds that all of them may take after the file

Application = Callable[[str], Coroutine[Any, Any, None]]


def show(text: str) -> None:
    print(f"final: {text}", flush=True)


def report(*words: object) -> None:
    print(*words, file=sys.stderr, flush=True)


def chunks(path: str, forever: bool) -> Iterator[bytes]:
    """Yield 50 ms after 50 ms of the file, then silence."""
    with wave.open(path) as file:
        while data := file.readframes(CHUNK):
            yield data.ljust(2 * CHUNK, b"\0")
    while forever:
        yield bytes(2 * CHUNK)


async def microphone(path: str, *, forever: bool = False) -> AsyncIterator[bytes]:
    """Yield the file in real time; what came while the caller was busy is yielded at once."""
    begin = time.monotonic()
    for number, chunk in enumerate(chunks(path, forever), 1):
        await asyncio.sleep(max(begin + number * 0.05 - time.monotonic(), 0))
        yield chunk


class Sdk:
    """An application of the `openai` SDK: it gets the endpoint's events, and sends its own.

    It shows one transcript of each item, in the order of speech, as the events allow, and holds its audio while the SDK
    reconnects.

    Args:
        path: The file.
        base_url: Where the endpoint is.
        model: The model in the URL, None for none.
    """

    def __init__(self, path: str, base_url: str = HOST, model: str | None = None) -> None:
        self._path = path
        self._base_url = base_url
        self._options: dict[str, Any] = {"extra_query": {"intent": "transcription"}}
        if model:
            self._options["model"] = model
        self._ready = asyncio.Event()
        self._spoken = False
        self._cleared = False
        self._order: list[str] = []
        self._texts: dict[str, str] = {}
        self._over = asyncio.Event()

    async def run(self) -> None:
        from openai import AsyncOpenAI

        connect = AsyncOpenAI(base_url=self._base_url).realtime.connect
        if "on_reconnecting" in inspect.signature(connect).parameters:
            self._options["on_reconnecting"] = self._reconnect
        async with connect(**self._options) as connection:
            reading = asyncio.create_task(self._read(connection))
            speaking = asyncio.create_task(self._speak(connection))
            over = asyncio.create_task(self._over.wait())
            done, others = await asyncio.wait({reading, speaking, over}, return_when=asyncio.FIRST_COMPLETED)
            for task in others:
                task.cancel()
            for task in done:
                task.result()

    def _reconnect(self, event: Any) -> None:
        report("reconnecting:", event)
        self._ready.clear()
        for item in self._order:  # their session is gone
            self._texts.setdefault(item, "")
        self._show()

    async def _speak(self, connection: Any) -> None:
        async for chunk in microphone(self._path):
            await self._send(lambda chunk=chunk: connection.input_audio_buffer.append(audio=b64encode(chunk).decode()))
        self._spoken = True
        await self._send(connection.input_audio_buffer.clear)  # its answer comes after the last commit
        await asyncio.sleep(END)
        raise TimeoutError(f"no transcript came {END:.0f} s after the end of the file")

    async def _send(self, send: Callable[[], Awaitable[None]]) -> None:
        """Send an event, and again if the connection ended meanwhile; without a next one the reader ends it."""
        while True:
            await self._ready.wait()
            try:
                return await send()
            except Exception as error:
                report(f"sending failed: {type(error).__name__}: {error}")
                self._ready.clear()

    async def _read(self, connection: Any) -> None:
        async for event in connection:
            item = getattr(event, "item_id", "") or ""
            if event.type == "session.created":
                await connection.send(session_update())
            elif event.type == "session.updated":
                self._ready.set()
                if self._spoken:  # a later session
                    await connection.input_audio_buffer.clear()
            elif event.type == "error":
                report(f"error: {event.error.message}")
                if not self._ready.is_set():
                    raise RuntimeError("the session was refused")
            elif event.type == "input_audio_buffer.committed":
                self._order.append(item)
                asyncio.get_running_loop().call_later(ITEM, self._settle, item, "", "no transcript of it came")
            elif event.type == "input_audio_buffer.cleared":
                self._cleared = True
                self._show()
            elif event.type == "conversation.item.input_audio_transcription.completed":
                self._settle(item, event.transcript)
            elif event.type == "conversation.item.input_audio_transcription.failed":
                self._settle(item, "", f"failed: {event.error.message}")
        raise ConnectionError("the endpoint closed the connection")

    def _settle(self, item: str, text: str, error: str = "") -> None:
        if item not in self._texts:
            if error:
                report(f"{item}: {error}")
            self._texts[item] = text
            self._show()

    def _show(self) -> None:
        while self._order and self._order[0] in self._texts:
            text = self._texts[self._order.pop(0)]
            if text:
                show(text)
        if self._cleared and not self._order:
            self._over.set()


async def openai_agents(path: str) -> None:
    import numpy as np
    from agents import set_tracing_disabled
    from agents.voice import OpenAISTTModel, StreamedAudioInput, STTModelSettings
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    audio = StreamedAudioInput()
    settings = STTModelSettings(turn_detection={"type": "server_vad"})
    session = await OpenAISTTModel(MODEL, AsyncOpenAI(base_url=HOST)).create_session(audio, settings, False, False)

    async def speak() -> None:
        async for chunk in microphone(path):
            await audio.add_audio(np.frombuffer(chunk, dtype=np.int16))
        await audio.add_audio(None)

    speaking = asyncio.create_task(speak())
    async for text in session.transcribe_turns():
        show(text)
    speaking.cancel()


async def pipecat(path: str) -> None:
    from pipecat.frames.frames import ErrorFrame, Frame, InputAudioRawFrame, TranscriptionFrame
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.runner import PipelineRunner
    from pipecat.pipeline.task import PipelineParams, PipelineTask
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.services.openai.stt import OpenAIRealtimeSTTService

    class Printer(FrameProcessor):
        async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, TranscriptionFrame):
                show(frame.text)
            elif isinstance(frame, ErrorFrame):
                report("ErrorFrame:", frame.error)
            await self.push_frame(frame, direction)

    stt = OpenAIRealtimeSTTService(
        api_key=os.environ["OPENAI_API_KEY"],
        turn_detection={"type": "server_vad"},
        settings=OpenAIRealtimeSTTService.Settings(model=MODEL),
    )
    task = PipelineTask(Pipeline([Printer(), stt, Printer()]), params=PipelineParams(audio_in_sample_rate=RATE))

    async def speak() -> None:
        async for chunk in microphone(path, forever=True):
            await task.queue_frame(InputAudioRawFrame(chunk, RATE, 1))

    speaking = asyncio.create_task(speak())
    await PipelineRunner(handle_sigint=False).run(task)
    speaking.cancel()


async def livekit(path: str) -> None:
    import aiohttp
    from livekit import rtc
    from livekit.agents.stt import SpeechEventType
    from livekit.plugins.openai import STT

    async with aiohttp.ClientSession() as http:
        stt: Any = STT(model=MODEL, language="en", use_realtime=True)
        stt._ensure_session = lambda: http  # outside a LiveKit job there is none to borrow
        stt.on("error", lambda event: report(f"error: {event.error} (recoverable: {event.recoverable})"))
        stream = stt.stream()

        async def speak() -> None:
            async for chunk in microphone(path, forever=True):
                stream.push_frame(rtc.AudioFrame(chunk, RATE, 1, CHUNK))

        speaking = asyncio.create_task(speak())
        async for event in stream:
            if event.type is SpeechEventType.FINAL_TRANSCRIPT:
                show(event.alternatives[0].text)
        speaking.cancel()


async def litellm(path: str) -> None:
    """The proxy, a process of its own, and an application of the SDK as its client."""
    from litellm_proxy import Proxy

    with contextlib.closing(Proxy("api.openai.com", shim=True, starter=())) as proxy:
        os.environ["OPENAI_API_KEY"] = proxy.key
        await Sdk(path, f"http://127.0.0.1:{proxy.port}/v1", model="api.openai.com").run()


async def speech_to_speech(path: str) -> None:
    """Its recognizer, used as by its VAD: what is loud is speech, and half a second of silence ends a turn."""
    import numpy as np
    import soxr
    from speech_to_speech.pipeline.messages import Transcription, TranscriptionFailure, VADAudio
    from speech_to_speech.STT.streaming_handler import OpenAIRealtimeSTTHandler

    settings = {"base_url": HOST, "model": MODEL, "language": "en", "audio_sample_rate": RATE}
    handler = OpenAIRealtimeSTTHandler(
        Event(), Queue(), Queue(), setup_kwargs={**settings, "connect_timeout": 10, "final_timeout": ITEM}
    )

    def transcribe(turn: str) -> None:
        for out in handler.process(VADAudio(audio=np.zeros(0), mode="final", turn_id=turn, turn_revision=0)):
            if isinstance(out, Transcription):
                show(out.text)
            elif isinstance(out, TranscriptionFailure):
                report(f"{turn} failed: {out.message}")

    resampled = soxr.ResampleStream(RATE, 16_000, 1, dtype="int16")  # the rate of its pipeline
    turn, count, quiet, before = "", 0, 0, b""
    with ThreadPoolExecutor(1) as pool:  # its pipeline transcribes one turn after the other
        async for chunk in microphone(path):
            samples = np.frombuffer(chunk, dtype=np.int16)
            loud = np.abs(samples).max() > 500
            audio = resampled.resample_chunk(samples).tobytes()
            quiet = 0 if loud else quiet + 1
            if loud and not turn:
                count += 1
                turn = f"turn_{count}"
                handler.start_turn(turn, 0)
                handler.append_audio(before)
            if turn:
                handler.append_audio(audio)
            if turn and quiet == 10:
                handler.commit_boundary(turn, 0)
                pool.submit(transcribe, turn)
                turn = ""
            before = audio
    handler.cleanup()


async def scribe(path: str) -> None:
    """Its recognizer for dictation, which types what it recognizes at once; its microphone needs a sound card."""
    import numpy as np
    import soxr

    sys.modules["sounddevice"] = ModuleType("sounddevice")
    from scribe.backends.openai_realtime import OpenaiRealtimeTranscriber

    class Dictation:
        audio_buffer = b""
        waiting = False
        notify_error = staticmethod(report)
        log = staticmethod(report)

    recognizer: Any = OpenaiRealtimeTranscriber(model=None, language="en")
    recognizer.session = Dictation()
    recognizer.open_session(recognizer.session)
    resampled = soxr.ResampleStream(RATE, recognizer.samplerate, 1, dtype="int16")
    typed = ""
    try:
        async for chunk in microphone(path):
            audio = resampled.resample_chunk(np.frombuffer(chunk, dtype=np.int16)).tobytes()
            for part in recognizer.feed_audio(audio):
                typed += part["text"]
        typed += recognizer.finalize()["text"]
    finally:
        show(typed)
        recognizer.close_session()


async def transcriber_sh(path: str) -> None:
    """All of it but its microphone."""
    microphone_module: Any = ModuleType("transcriber.audio_io")
    microphone_module.mic_frames = lambda: ((b64encode(chunk).decode(), "") for chunk in chunks(path, False))
    sys.modules["transcriber.audio_io"] = microphone_module
    from transcriber.websocket_client import run

    run()


APPLICATIONS: dict[str, Application] = {
    "openai": lambda path: Sdk(path).run(),
    "openai-with-model": lambda path: Sdk(path, model=MODEL).run(),  # up to 2.0.1 `model` is required
    "openai-agents": openai_agents,
    "pipecat": pipecat,
    "livekit": livekit,
    "litellm": litellm,
    "speech-to-speech": speech_to_speech,
    "scribe": scribe,
    "transcriber-sh": transcriber_sh,
}


def main() -> None:
    os.environ.pop("OPENAI_BASE_URL", None)
    try:
        asyncio.run(APPLICATIONS[sys.argv[1]](sys.argv[2]))
    except Exception as error:
        sys.exit(f"ended by {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
