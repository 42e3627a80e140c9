"""Send what a recorded client sent to another server, and record the answers.

The client's frames are sent in order, each after the server events that precede it in the recording. With a recording
of the endpoint this shows what the mock does differently. The server must answer without delays.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from rtstt_testkit.cassette.ids import Placeholders, each_id
from rtstt_testkit.cassette.lines import APPEND, BINARY, parsed, unparsed
from rtstt_testkit.cassette.model import Cassette, Frame, RecordedSession
from rtstt_testkit.cassette.reader import load_cassette
from rtstt_testkit.mock.protocol.admission import Profile
from rtstt_testkit.mock.protocol.events import Failure
from rtstt_testkit.mock.script.script import Script, Transcript
from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer
from rtstt_testkit.recording.drift import Drift, compare_sessions
from rtstt_testkit.recording.recorder import Recorder

__all__ = ["mock_drift", "reenact"]

_KEY, _BAD_KEY = "sk-reenacted-" + "0" * 32, "sk-bad-" + "0" * 32
_AUTHENTICATION = 3000  # the close code
_TURNS = 100  # of the event loop, in which the messages before a PONG are read
_CHUNK = 4800  # bytes of audio in an append, 100 ms of 24 kHz PCM
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
#: Events of the answers in conversations; the mock sends only their outline.
_ANSWERS = ("response.", "rate_limits.", "output_audio_buffer.")


def mock_drift(cassette: Cassette) -> list[Drift]:
    """Return what the mock does differently from a recorded endpoint, session by session.

    The mock has the transcripts of the recording. What concerns the answers in conversations is not compared.

    Args:
        cassette: The recording.

    Raises:
        CassetteError: Its audio cannot be read.
    """
    found: dict[Drift, None] = {}
    for session in cassette.sessions:
        if not session.http_status:
            continue  # there was no connection
        with (
            tempfile.TemporaryDirectory(prefix="rtstt-reenact-") as folder,
            ThreadedRealtimeServer(
                script=_script(session), profile=_profile(session), strict=False, ping_interval=None
            ) as mock,
        ):
            path = Path(folder, "mock.rtstt.jsonl")
            with Recorder(path, to=mock.url) as recorder:
                reenact(cassette, session, f"ws://127.0.0.1:{recorder.address[1]}")
            (again,) = load_cassette(path).sessions
        again.number = session.number
        found.update(dict.fromkeys(compare_sessions(_relevant(session), _relevant(again))))
    return list(found)


def _profile(session: RecordedSession) -> Profile:
    return "azure" if session.path.startswith("/openai/") else "openai"


def _relevant(session: RecordedSession) -> RecordedSession:
    """Return a session without the answers of a conversation."""
    items = {
        frame.event["item"].get("id")
        for frame in session.frames
        if isinstance(frame.event.get("item"), dict) and frame.event["item"].get("role", "assistant") == "assistant"
    }
    return RecordedSession(
        **{
            **vars(session),
            "frames": [
                frame
                for frame in session.frames
                if not frame.type.startswith(_ANSWERS)
                and not (isinstance(frame.event.get("item"), dict) and frame.event["item"].get("id") in items)
            ],
        }
    )


def _script(session: RecordedSession) -> Script:
    """Return the transcripts of a session in the order of its items."""
    texts: dict[str, str | Failure] = {}
    items: dict[str, None] = {}
    for frame in session.frames:
        item = str(frame.event.get("item_id"))
        if frame.type == "input_audio_buffer.committed" and frame.sender == "server":
            items[item] = None
        elif frame.type == f"{_TRANSCRIPTION}.completed":
            texts[item] = str(frame.event.get("transcript", ""))
        elif frame.type == f"{_TRANSCRIPTION}.failed":
            error = frame.event.get("error") or {}
            texts[item] = Failure(code=error.get("code"), type=str(error.get("type")), param=error.get("param"))
    answers = [texts.get(item, "") for item in items]
    return Script(tuple(Transcript(failure=one) if isinstance(one, Failure) else Transcript(one) for one in answers))


def reenact(cassette: Cassette, session: RecordedSession, origin: str, key: str | None = None) -> None:
    """Do what a recorded client did.

    Args:
        cassette: The recording.
        session: The session.
        origin: The server, such as ``ws://127.0.0.1:8765``; path and query are those of the recording.
        key: The API key; None for one of the mock.
    """
    asyncio.run(_Client(cassette, session).run(origin, key or _key(session)))


def _key(session: RecordedSession) -> str:
    refused = session.close is not None and session.close.code == _AUTHENTICATION
    return _BAD_KEY if refused or session.http_status == 401 else _KEY


class _Client:
    def __init__(self, cassette: Cassette, session: RecordedSession) -> None:
        self._cassette = cassette
        self._session = session
        self._ids = Placeholders()
        self._seen: Counter[str] = Counter()

    async def run(self, origin: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        if "openai-beta" in self._session.headers:
            headers["OpenAI-Beta"] = self._session.headers["openai-beta"]
        offered = [Subprotocol(word) for word in self._session.subprotocols if "insecure-api-key" not in word]
        options: dict[str, Any] = {"proxy": None} if "proxy" in inspect.signature(connect.__init__).parameters else {}
        try:
            async with connect(
                origin + self._session.target,
                additional_headers=headers,
                subprotocols=offered or None,
                ping_interval=None,
                max_size=None,
                **options,
            ) as connection:
                await self._converse(connection)
        except (InvalidHandshake, ConnectionClosed):
            pass  # it is recorded

    async def _converse(self, connection: ClientConnection) -> None:
        reading = asyncio.ensure_future(self._read(connection))
        expected: Counter[str] = Counter()
        try:
            for frame in self._session.frames:
                if frame.sender == "client":
                    for payload in self._payloads(frame):
                        await connection.send(payload)
                elif not (frame.type.startswith(_ANSWERS) or frame.type.endswith(".delta")):
                    expected[frame.type] += 1
                    await self._until(connection, reading, frame.type, expected[frame.type])
            if self._session.close is not None and self._session.close.by == "server":
                await self._settled(connection, reading)
        finally:
            reading.cancel()

    async def _read(self, connection: ClientConnection) -> None:
        """Receive events until the connection ends."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._note(await connection.recv())

    async def _until(self, connection: ClientConnection, reading: asyncio.Future[None], type_: str, count: int) -> None:
        """Wait until an event came as often as in the recording, or does not come."""
        if self._seen[type_] < count:
            await self._settled(connection, reading)

    async def _settled(self, connection: ClientConnection, reading: asyncio.Future[None]) -> None:
        """Wait until the server has sent everything that it has to send.

        A server answers a PING after what it received before; the mock, without delays, has sent its events by the
        second.
        """
        for _ in range(2):
            pong = await connection.ping()
            answered: asyncio.Future[Any] = asyncio.ensure_future(pong)
            await asyncio.wait([answered, reading], return_when=asyncio.FIRST_COMPLETED)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _note(self, message: str | bytes) -> None:
        """Count an event, and give its identifiers the placeholders that a recording of it would have."""
        event = {"type": BINARY} if isinstance(message, bytes) else parsed(message)
        self._ids.replace(event)
        self._seen[event["type"]] += 1

    def _payloads(self, frame: Frame) -> Iterator[str | bytes]:
        if frame.is_audio:
            for audio in self._cassette.audio(frame):
                for start in range(0, len(audio), _CHUNK):
                    yield _append(audio[start : start + _CHUNK])
        else:
            event = each_id(
                self._cassette.event(frame), lambda field, value: self._ids.original(value), lambda text: text
            )
            self._ids.replace(event)
            yield unparsed(event)


def _append(audio: bytes) -> str:
    return json.dumps({"type": APPEND, "audio": base64.b64encode(audio).decode()})
