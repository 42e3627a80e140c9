"""Clients of a mock for the inspector's tests, and what they talk to."""

import base64
import json
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from rtstt_testkit import ThreadedRealtimeServer
from rtstt_testkit.inspector.routes import ROUTES
from rtstt_testkit.speech import load, silence

KEY = "sk-proj-" + "a" * 40 + "ueba"
CANARY = "sk-proj-" + "Canary7" * 8
HELLO = silence(0.3) + load("hello").pcm + silence(1.0)
TIMEOUT = 60.0
"""Seconds that an answer may take on a busy machine."""
COMPLETED = "conversation.item.input_audio_transcription.completed"


def server(**options: Any) -> ThreadedRealtimeServer:
    """A mock that is inspected."""
    return ThreadedRealtimeServer(**{"control": True, "strict": False, "seed": 1, "routes": ROUTES, **options})


def page_url(mock: ThreadedRealtimeServer, path: str = "") -> str:
    return f"http://127.0.0.1:{mock.port}/_mock/{path}"


def get(mock: ThreadedRealtimeServer, path: str) -> bytes:
    with urllib.request.urlopen(page_url(mock, path), timeout=TIMEOUT) as response:
        return bytes(response.read())


def update(**audio_input: Any) -> dict[str, Any]:
    """A session.update that sets the model, and what is given beside it."""
    audio_input.setdefault("transcription", {"model": "gpt-4o-mini-transcribe"})
    return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio_input}}}


def append(audio: bytes) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


class Client:
    """One open connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def send(self, event: dict[str, Any]) -> None:
        self._connection.send(json.dumps(event))

    def audio(self, pcm: bytes, size: int = 9600) -> None:
        """Append audio in pieces."""
        for start in range(0, len(pcm), size):
            self.send(append(pcm[start : start + size]))

    def wait(self, type_: str) -> dict[str, Any]:
        """Read up to an event of this type."""
        while True:
            event: dict[str, Any] = json.loads(self._connection.recv(timeout=TIMEOUT))
            if event["type"] == type_:
                return event

    def received(self) -> None:
        """Wait until the mock has received everything that was sent; only a few events may wait to be read."""
        assert self._connection.ping().wait(TIMEOUT), "the mock did not answer a PING"


@contextmanager
def client(mock: ThreadedRealtimeServer, query: str = "?intent=transcription", key: str = KEY) -> Iterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    # The mock may take long to read what was sent before the CLOSE frame.
    patient = {"open_timeout": TIMEOUT, "close_timeout": TIMEOUT}
    with connect(mock.url + query, additional_headers=headers, max_size=None, **patient) as connection:
        yield Client(connection)


def refused(mock: ThreadedRealtimeServer, query: str = "?intent=transcription&model=gpt-4o-mini-transcribe") -> None:
    """A client that the mock refuses."""
    with client(mock, query) as one:
        try:
            one.wait("no such event")
        except ConnectionClosed:
            return


def audio_first(mock: ThreadedRealtimeServer, pcm: bytes) -> None:
    """A whole session of a client that sends audio before its settings, which is a finding."""
    with client(mock) as one:
        one.audio(pcm)
        one.send(update())
        one.wait("session.updated")
        one.audio(pcm)
        one.wait(COMPLETED)


def talk(mock: ThreadedRealtimeServer, pcm: bytes, *, events: Iterable[dict[str, Any]] = (), turns: int = 1) -> None:
    """A whole session: settings, audio, transcripts, end."""
    with client(mock) as one:
        one.send(update())
        for event in events:
            one.send(event)
        one.wait("session.updated")
        one.audio(pcm)
        for _ in range(turns):
            one.wait(COMPLETED)
