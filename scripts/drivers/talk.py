"""What the Python drivers share: the audio they stream, and the one line of JSON they end with.

A driver does what an application does with its client and says what came of it; whether that is right is for the demo
and the tests to say.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import os
import struct
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from typing import Any

RATE = 24000
CHUNK_MS = 50
MODEL = "gpt-4o-mini-transcribe"
KEY = "sk-" + "demo" * 4
TRANSCRIPTION = "conversation.item.input_audio_transcription."


def chunks() -> Iterator[bytes]:
    """1.2 s of a swelling tone between silences: 16-bit mono PCM, in pieces of 50 ms."""
    step = RATE * CHUNK_MS // 1000
    for start in range(0, RATE * 3, step):
        samples = []
        for place in range(start, start + step):
            at = place / RATE
            swell = 0.6 + 0.4 * math.sin(2 * math.pi * 4 * at)
            loud = 9000 if 0.2 <= at < 1.4 else 0
            samples.append(int(loud * swell * math.sin(2 * math.pi * 180 * at)))
        yield struct.pack(f"<{step}h", *samples)


def client_events() -> Iterator[dict[str, Any]]:
    """The events of a client that sets its session up and streams the audio."""
    audio_input = {
        "format": {"type": "audio/pcm", "rate": RATE},
        "transcription": {"model": MODEL, "language": "en"},
        "turn_detection": {"type": "server_vad"},
    }
    yield {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio_input}}}
    for chunk in chunks():
        yield {"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()}


def arguments(description: str) -> argparse.ArgumentParser:
    """The options every driver takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--shim", action="store_true", help="import rtstt_shim first")
    parser.add_argument("--base-url", default="wss://api.openai.com/v1", help="default: %(default)s")
    return parser


def start(args: argparse.Namespace) -> None:
    """What the application does before everything else; the test kit's routing, where the environment asks for it."""
    if os.environ.get("RTSTT_TESTKIT_ROUTES"):
        from rtstt_testkit.routing import activate_from_env

        activate_from_env()
    if args.shim:
        import rtstt_shim  # noqa: F401


class Outcome:
    """What came of the session.

    Args:
        library: The client's name on PyPI.
    """

    def __init__(self, library: str) -> None:
        self.library = library
        self.events: Counter[str] = Counter()
        self.deltas = ""
        self.transcript: str | None = None
        self.error: str | None = None
        self.closed: int | None = None
        self.raised: str | None = None

    def take(self, event: dict[str, Any]) -> bool:
        """Take a server event; True when there is nothing more to wait for."""
        self.events[event["type"]] += 1
        if event["type"] == TRANSCRIPTION + "delta":
            self.deltas += event["delta"]
        elif event["type"] == TRANSCRIPTION + "completed":
            self.transcript = event["transcript"]
            return True
        elif event["type"] == "error":
            self.error = event["error"]["code"]
        return False

    def end(self, error: BaseException) -> None:
        """Take the exception that ended the session."""
        self.raised = f"{type(error).__name__}: {error}"
        received = getattr(error, "rcvd", None)
        self.closed = getattr(received, "code", None)

    def print(self) -> None:
        """Print the one line."""
        print(json.dumps({"version": metadata.version(self.library), **vars(self)}))
