"""Recordings for the tests, written as the recorder writes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from websockets.sync.client import connect as connect_impatiently

from rtstt_testkit.cassette.writer import CassetteWriter
from rtstt_testkit.mock.protocol.handshake import Request

KEY = "sk-proj-Canary0123456789abcdefgh"
TIMEOUT = 60.0
"""Seconds that an answer may take on a busy machine."""
connect = partial(connect_impatiently, open_timeout=TIMEOUT, close_timeout=TIMEOUT)
TRANSCRIPTION = "conversation.item.input_audio_transcription"
ITEM = "item_Dz2pejXANEggVQM2GUcY5"


def frame(**event: Any) -> bytes:
    """A TEXT message, as clients encode it."""
    return json.dumps(event).encode()


def append(audio: bytes) -> bytes:
    return frame(type="input_audio_buffer.append", audio=base64.b64encode(audio).decode())


def loud(milliseconds: int) -> bytes:
    """Samples that count as speech, 16-bit PCM at 24 kHz."""
    return b"\x00\x40\x00\xc0" * (12 * milliseconds)


def update(model: str = "gpt-4o-transcribe", **transcription: Any) -> bytes:
    audio = {"input": {"transcription": {"model": model, **transcription}, "turn_detection": None}}
    return frame(type="session.update", session={"type": "transcription", "audio": audio})


def events() -> Iterable[tuple[float, str, bytes]]:
    """A session in which the client commits: when, who, what."""
    yield (
        0.01,
        "server",
        frame(
            type="session.created",
            event_id="event_Dz2pexehVShfFs2eddZLh",
            session={"id": "sess_Dz2pePC2uaIsPJZhPYNjH", "type": "transcription", "expires_at": 1783444866},
        ),
    )
    yield 0.02, "client", update()
    yield (
        0.30,
        "server",
        frame(
            type="session.updated",
            event_id="event_Dz2per48ptNbCqM5PbADK",
            session={"id": "sess_Dz2pePC2uaIsPJZhPYNjH", "type": "transcription", "expires_at": 1783444866},
        ),
    )
    for index in range(10):
        yield 0.40 + index / 10, "client", append(loud(100))
    yield 1.41, "client", frame(type="input_audio_buffer.commit")
    yield (
        1.60,
        "server",
        frame(
            type="input_audio_buffer.committed",
            event_id="event_Dz2pev6r9t9bpfpf922Vi",
            item_id=ITEM,
            previous_item_id=None,
        ),
    )
    yield (
        2.10,
        "server",
        frame(type=f"{TRANSCRIPTION}.delta", event_id="event_Dz2pePg8vOcz0yCvveZ3g", item_id=ITEM, delta="Hello"),
    )
    yield (
        2.20,
        "server",
        frame(
            type=f"{TRANSCRIPTION}.completed", event_id="event_Dz2pewwIxcesS5Nk4UJxZ", item_id=ITEM, transcript="Hello"
        ),
    )


def record(path: Path, frames: Iterable[tuple[float, str, bytes]] = (), *, end: bool = True, sessions: int = 1) -> Path:
    """Write a recording as the recorder does."""
    writer = CassetteWriter(path, url="wss://api.openai.com/v1/realtime", client="python app.py")
    for _ in range(sessions):
        request = Request("/v1/realtime?intent=transcription", [("Authorization", f"Bearer {KEY}")])
        lines = writer.session("api.openai.com", request, 1_795_000_000.0)
        lines.accepted(0.005)
        at = 0.0
        for at, sender, payload in frames or events():
            lines.text(sender, payload, at)  # type: ignore[arg-type]
        if end:
            lines.closed(1000, "", "client", at + 0.1)
    writer.close()
    assert writer.failure is None
    return path
