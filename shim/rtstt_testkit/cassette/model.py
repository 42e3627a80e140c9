"""The sessions of a recording, as they are read."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtstt_testkit.cassette.lines import APPEND
from rtstt_testkit.cassette.wav import AudioRange, Encoding, read_range, session_encoding
from rtstt_testkit.mock.protocol.events import Sender, b64decode

__all__ = ["Cassette", "Exchange", "Frame", "RecordedClose", "RecordedSession"]


@dataclass
class Frame:
    """One event, or a run of appends.

    Attributes:
        line: The number of its line in the file, from 1.
        at: When it was sent or received, in seconds since the connection opened.
        sender: Who sent it.
        event: The event; a run of appends has its type alone.
        until: When the last append of a run was sent; the same as ``at`` for every other event.
        count: How many appends a run has; 1 for every other event.
        seconds: The length of an append's audio, in seconds.
        ranges: Where its audio is, in order.
    """

    line: int
    at: float
    sender: Sender
    event: dict[str, Any]
    until: float = 0.0
    count: int = 1
    seconds: float = 0.0
    ranges: list[AudioRange | bytes] = field(default_factory=list)

    @property
    def type(self) -> str:
        """The event's type."""
        return str(self.event.get("type"))

    @property
    def is_audio(self) -> bool:
        """Whether it is a run of appends; one that the endpoint refuses is an event like others."""
        return self.sender == "client" and len(self.event) == 1 and self.event["type"] == APPEND

    def add(self, other: Frame) -> None:
        """Add an append to a run."""
        self.count += other.count
        self.until = other.until
        self.seconds += other.seconds
        last = self.ranges[-1] if self.ranges else None
        for range_ in other.ranges:
            if (
                isinstance(last, AudioRange)
                and isinstance(range_, AudioRange)
                and last.file == range_.file
                and last.start + last.size == range_.start
            ):
                last = self.ranges[-1] = AudioRange(last.file, last.start, last.size + range_.size)
            else:
                self.ranges.append(range_)
                last = range_


@dataclass(frozen=True)
class RecordedClose:
    """How a connection ended.

    Attributes:
        at: When, in seconds since it opened.
        code: The close code; 1006 without a CLOSE frame.
        reason: The close reason.
        by: Who closed it.
    """

    at: float
    code: int
    reason: str
    by: Sender


@dataclass
class RecordedSession:
    """One connection.

    Attributes:
        number: Its number in the file.
        line: The number of its first line.
        opened: When it was opened, in seconds since 1970; 0 if that is not known.
        host: The host that the client connected to.
        path: The path of the request.
        query: Every value of every parameter.
        headers: The headers of the request, by lower-case name, secrets masked.
        subprotocols: Those that the client offered.
        http_status: The status of the response; 0 if there was none.
        http_message: The body of a refusal.
        failed: Why there was no connection, or None.
        frames: What was sent; consecutive appends are one frame.
        close: How it ended, None if that was not recorded.
    """

    number: int
    line: int
    opened: float = 0.0
    host: str = ""
    path: str = ""
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    subprotocols: list[str] = field(default_factory=list)
    http_status: int = 0
    http_message: Any = ""
    failed: str | None = None
    frames: list[Frame] = field(default_factory=list)
    close: RecordedClose | None = None

    @property
    def target(self) -> str:
        """The request's path and query."""
        query = "&".join(f"{name}={value}" for name, values in self.query.items() for value in values)
        return f"{self.path}?{query}" if query else self.path

    @property
    def complete(self) -> bool:
        """Whether its end was recorded."""
        return self.close is not None or self.failed is not None or self.http_status not in (0, 101)

    @property
    def seconds(self) -> float:
        """The length of the client's audio, in seconds."""
        return sum(frame.seconds for frame in self.frames if frame.is_audio)

    def appends(self) -> Iterator[tuple[Frame, Encoding]]:
        """Yield the client's audio in order, each run with its encoding."""
        encoding = Encoding("pcm", 24000)
        for frame in self.frames:
            if frame.is_audio:
                yield frame, encoding
            else:
                encoding = session_encoding(frame.event) or encoding


@dataclass(frozen=True)
class Exchange:
    """An HTTP request that creates an ephemeral secret, and its response; secrets masked.

    Attributes:
        line: The number of its line.
        path: The request's path.
        request: The request's body.
        status: The status of the response.
        response: The response's body.
    """

    line: int
    path: str
    request: Any
    status: int
    response: Any


@dataclass
class Cassette:
    """A recording.

    Attributes:
        path: The file.
        header: The first line.
        sessions: The connections, in the order in which they were opened.
        exchanges: The HTTP requests, in order.
        problems: What is wrong with the file without making it useless: one sentence each.
    """

    path: Path
    header: dict[str, Any]
    sessions: list[RecordedSession] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def audio(self, frame: Frame) -> Iterator[bytes]:
        """Yield the audio of a frame, range by range.

        Raises:
            CassetteError: A WAV file cannot be read or is too short.
        """
        for range_ in frame.ranges:
            yield range_ if isinstance(range_, bytes) else self.bytes_of(range_)

    def bytes_of(self, range_: AudioRange) -> bytes:
        """Return the audio of a byte range.

        Raises:
            CassetteError: The WAV file cannot be read or is too short.
        """
        return read_range(self.path.parent, range_)

    def event(self, frame: Frame) -> dict[str, Any]:
        """Return the event of a frame with the audio in it, as it was sent.

        Raises:
            CassetteError: A WAV file cannot be read or is too short.
        """
        event: dict[str, Any] = self._with_audio(frame.event)
        return event

    def _with_audio(self, data: Any) -> Any:
        if isinstance(data, list):
            return [self._with_audio(value) for value in data]
        if not isinstance(data, dict):
            return data
        event = {name: self._with_audio(value) for name, value in data.items()}
        if "wav" not in event or "audio_start" not in event:
            return event
        range_ = AudioRange(event.pop("wav"), event.pop("audio_start"), event.pop("audio_bytes"))
        event.pop("audio_ms", None)
        name = "delta" if str(event.get("type")).endswith("audio.delta") else "audio"
        event[name] = base64.b64encode(read_range(self.path.parent, range_)).decode()
        return event


def inline_audio(event: dict[str, Any]) -> bytes | None:
    """Return the audio that an append of a trace has in it, or None."""
    audio = event.get("audio")
    if not isinstance(audio, str):
        return None
    try:
        return b64decode(audio)
    except ValueError:
        return None
