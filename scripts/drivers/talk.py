"""What the Python drivers share: the speech they stream, and the results they print, a line of JSON for each session.

A driver uses a client as an application does: once for each list of arguments that it reads from stdin (a JSON list a
line), or once with its own arguments. The demo and the tests judge the results.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import importlib.util
import inspect
import json
import os
import socket
import sys
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

RATE = 24000
CHUNK_MS = 50
MODEL = "gpt-4o-mini-transcribe"
KEY = "sk-" + "demo" * 4
SECONDS = 30
"""Seconds that a driver waits for a transcript."""


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Reserve a port for a program that takes the number of the port it listens on.

    The socket stays bound, so that the system gives the port to nobody else; the program has to bind it with
    SO_REUSEADDR, as servers do.
    """
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def chunks(args: argparse.Namespace) -> Iterator[bytes]:
    """Yield the recording between silences: 16-bit mono PCM, in pieces of 50 ms."""
    with wave.open(str(args.wav)) as file:
        speech = file.readframes(file.getnframes())
    audio = bytes(RATE // 5 * 2) + speech + bytes(RATE * 3 // 2 * 2)
    step = RATE * CHUNK_MS // 1000 * 2
    for start in range(0, len(audio), step):
        yield audio[start : start + step].ljust(step, b"\0")


def session_update() -> dict[str, Any]:
    """Return the event with the settings of a transcription session."""
    audio_input = {
        "format": {"type": "audio/pcm", "rate": RATE},
        "transcription": {"model": MODEL, "language": "en"},
        "turn_detection": {"type": "server_vad"},
    }
    return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio_input}}}


def client_events(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the events of a client that updates its session and streams the audio."""
    yield session_update()
    for chunk in chunks(args):
        yield {"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()}


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every driver."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--shim", action="store_true", help="import rtstt_shim first")
    parser.add_argument("--cases", action="store_true", help="read lists of further arguments from stdin")
    parser.add_argument("--base-url", default="wss://api.openai.com/v1", help="default: %(default)s")
    parser.add_argument("--wav", type=Path, default=_bundled(), help="what to stream (default: a bundled recording)")
    return parser


def _bundled() -> Path | None:
    """Return the path of the recording `hello` without importing the test kit."""
    kit = importlib.util.find_spec("rtstt_testkit")
    return Path(kit.origin).parent / "speech" / "hello.wav" if kit and kit.origin else None


@dataclass
class Outcome:
    """The result of one session.

    Attributes:
        library: The client's name on PyPI.
        events: How often each event came, by its name.
        transcript: The first transcript that was completed.
        error: The code of the last error event.
        closed: The code of the close.
        raised: The exception that ended the session.
    """

    library: str
    events: Counter[str] = field(default_factory=Counter)
    transcript: str | None = None
    error: str | None = None
    closed: int | None = None
    raised: str | None = None

    def receive_event(self, event: dict[str, Any]) -> bool:
        """Record a server event; return whether it is the last one to wait for."""
        self.events[event["type"]] += 1
        if event["type"] == "conversation.item.input_audio_transcription.completed":
            self.transcript = event["transcript"]
            return True
        if event["type"] == "error":
            self.error = event["error"]["code"]
        return False

    def record_exception(self, error: BaseException) -> None:
        """Record the exception that ended the session."""
        self.raised = f"{type(error).__name__}: {error}"
        received = getattr(error, "rcvd", None)
        self.closed = getattr(received, "code", None)
        body = getattr(error, "body", None)
        if isinstance(body, dict):
            self.error = body.get("code")

    def line(self) -> str:
        """Return the result as JSON."""
        return json.dumps({"version": metadata.version(self.library), **vars(self)})


def activate_routes() -> None:
    """Activate the test kit's routing, if the environment asks for it."""
    if os.environ.get("RTSTT_TESTKIT_ROUTES"):
        from rtstt_testkit.routing import activate_from_env

        activate_from_env()


Session = Callable[[argparse.Namespace, Outcome], Any]


def run(parser: argparse.ArgumentParser, library: str | Callable[[argparse.Namespace], str], session: Session) -> None:
    """Run one session after another, and print a result for each.

    Args:
        parser: The parser of the driver's arguments.
        library: The client's name on PyPI, or a function of the arguments that returns it.
        session: A function or coroutine function that runs a session.
    """
    # What a client prints goes to stderr: stdout is for the results.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    args = parser.parse_args()
    # Before everything else.
    activate_routes()
    if args.shim:
        import rtstt_shim  # noqa: F401
    for words in map(json.loads, sys.stdin) if args.cases else [[]]:
        case = parser.parse_args([*sys.argv[1:], *words])
        outcome = Outcome(library if isinstance(library, str) else library(case))
        try:
            running = session(case, outcome)
            if inspect.iscoroutine(running):
                asyncio.run(running)
        except Exception as error:
            outcome.record_exception(error)
        print(outcome.line(), file=out, flush=True)
