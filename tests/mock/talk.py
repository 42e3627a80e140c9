"""A client of the session, without a socket."""

import array
import base64
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rtstt_testkit.mock.audio.detector import SpeechBoundary, SpeechDetector
from rtstt_testkit.mock.audio.formats import FORMATS, encode_g711
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.protocol.admission import Admission, HttpRefusal, admit
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.secret_store import SecretStore
from rtstt_testkit.mock.script.script import Script, ScriptCursor
from rtstt_testkit.mock.session.latency import LATENCIES
from rtstt_testkit.mock.session.output import Output, RawFrame, Send, Trickle
from rtstt_testkit.mock.session.session import Session, Settings

KEY = "sk-proj-" + "a" * 40 + "ueba"
WALL = 1_800_000_000.0
DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
FAILED = "conversation.item.input_audio_transcription.failed"
SEGMENT = "conversation.item.input_audio_transcription.segment"


def tone(ms: float, rate: int = 24000, loudness: float = 0.25) -> bytes:
    """A 440 Hz square wave, so that every sample has the same loudness."""
    count = round(ms * rate / 1000)
    high = round(loudness * 32767)
    return array.array(
        "h", [high if math.sin(i * 880 * math.pi / rate) >= 0 else -high for i in range(count)]
    ).tobytes()


def silence(ms: float, rate: int = 24000) -> bytes:
    return bytes(2 * round(ms * rate / 1000))


def cut(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Cut data into pieces of these sizes, repeated."""
    start = 0
    for size in itertools.cycle(sizes):
        if start >= len(data):
            return
        yield data[start : start + size]
        start += size


def turns(pieces: Iterable[bytes]) -> list[SpeechBoundary]:
    """Return the boundaries that the detector finds in 16-bit PCM, one piece after the other."""
    found: list[SpeechBoundary] = []
    detector = SpeechDetector(FORMATS["audio/pcm"], 0.5, 200)
    for piece in pieces:
        detector.detect(piece, found.append)
    return found


def append(audio: bytes) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


def update(model: str | None = "gpt-4o-mini-transcribe", **audio_input: Any) -> dict[str, Any]:
    transcription = {} if model is None else {"transcription": {"model": model}}
    return {
        "type": "session.update",
        "session": {"type": "transcription", "audio": {"input": {**transcription, **audio_input}}},
    }


def admission(
    target: str, *headers: tuple[str, str], profile: Any = "openai", refuse: Any = "at-connect", key: str | None = KEY
) -> Any:
    sent = [("Authorization", f"Bearer {key}"), *headers] if key is not None else list(headers)
    request = Request(target, sent)
    return admit(request, profile, refuse, SecretStore(Ids(1), lambda: WALL))


class Talk:
    """A session and its client, with a clock that the test moves."""

    def __init__(
        self,
        target: str = "/v1/realtime?intent=transcription",
        *headers: tuple[str, str],
        transcripts: Any = (),
        script: Script | None = None,
        latency: str = "instant",
        profile: Any = "openai",
        refuse: Any = "at-connect",
        key: str | None = KEY,
        cursor: ScriptCursor | None = None,
        number: int = 1,
        **settings: Any,
    ) -> None:
        answer = admission(target, *headers, profile=profile, refuse=refuse, key=key)
        assert not isinstance(answer, HttpRefusal), answer
        assert isinstance(answer, Admission)
        self.now = 1000.0
        self.close: Output | None = None
        self.raw: list[Output] = []
        self.record = SessionRecord(number, Request(target, headers).record())
        self.cursor = cursor or ScriptCursor(script or Script.of(transcripts))
        self.session = Session(
            answer,
            self.record,
            self.cursor,
            Ids(7),
            Settings(LATENCIES[latency], profile != "openai", **settings),
            self.now,
        )
        self.session.start(WALL)
        self.opening = self.receive()

    def receive(self) -> list[dict[str, Any]]:
        """Return the events that are due now."""
        events = []
        for output in self.session.poll(self.now):
            assert self.close is None, f"{output} after the CLOSE"
            if isinstance(output, Send):
                try:
                    events.append(json.loads(output.text))
                except ValueError:
                    self.raw.append(output)
                    continue
            elif isinstance(output, RawFrame | Trickle):
                self.raw.append(output)
            else:
                self.close = output
        return events

    def send(self, event: Any) -> list[dict[str, Any]]:
        """Send an event, or a frame as it is, and return the events that are due at once."""
        self.session.receive_frame(event if isinstance(event, str | bytes) else json.dumps(event), self.now)
        return self.receive()

    def speak(self, audio: bytes, chunk_ms: float = 50, rate: int = 24000, width: int = 2) -> list[dict[str, Any]]:
        """Append audio in chunks and return the events that are due at once."""
        step = max(1, round(chunk_ms * rate / 1000) * width)
        return [
            event for start in range(0, len(audio), step) for event in self.send(append(audio[start : start + step]))
        ]

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        self.now += seconds
        return self.receive()


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def g711(pcm: bytes, name: str) -> bytes:
    return encode_g711(pcm, name)
