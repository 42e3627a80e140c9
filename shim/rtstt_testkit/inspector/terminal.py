"""The sessions of a running mock as lines of text: one for each event that matters."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TextIO

from rtstt_core.masking import mask_keys
from rtstt_testkit.inspector.axis import added_since
from rtstt_testkit.inspector.view import sentences
from rtstt_testkit.mock.inspect.record import Event, SessionRecord, TriggeredFault

__all__ = ["Line", "LogFormat", "SessionLog", "line_format", "log_sessions"]

#: How lines are written: for people, or as one JSON object each.
LogFormat = Literal["text", "json"]

_EVERY = 0.1  # seconds between two checks for changes
_COLUMN = 10  # letters of the longest kind
_COLOURS = {
    "connected": "36",
    "item": "34",
    "transcript": "32",
    "refused": "31",
    "error": "31",
    "failed": "31",
    "fault": "31",
    "closed": "2",
}
_TRANSCRIPTION = "conversation.item.input_audio_transcription."


class Line(NamedTuple):
    """One line.

    Attributes:
        wall: When it happened, in seconds since 1970.
        session: The number of the session.
        kind: What it is about, such as ``transcript``.
        text: What happened.
    """

    wall: float
    session: int
    kind: str
    text: str

    def as_text(self, colour: bool) -> str:
        """Return the line for people."""
        clock = time.strftime("%H:%M:%S", time.localtime(self.wall)) + f".{int(self.wall * 1000) % 1000:03d}"
        kind = f"{self.kind:<{_COLUMN}}"
        if colour:
            kind = f"\x1b[{_COLOURS[self.kind]}m{kind}\x1b[0m"
        return f"{clock}  {f'#{self.session}':>5}  {kind}  {_printable(self.text)}"

    def as_json(self) -> str:
        """Return the line as one JSON object."""
        return json.dumps({"time": round(self.wall, 3), "session": self.session, "kind": self.kind, "text": self.text})


class SessionLog:
    """Turns what is new in a server's sessions into lines."""

    def __init__(self) -> None:
        self._open: dict[SessionRecord, _Progress] = {}
        self._last: SessionRecord | None = None

    def lines(self, sessions: Sequence[SessionRecord]) -> list[Line]:
        """Return the lines that are new since the last call, in order of time.

        Args:
            sessions: The sessions of the server.
        """
        for record in _after(sessions, self._last):
            self._open[record] = _Progress(record)
            self._last = record
        found: list[Line] = []
        for record, progress in list(self._open.items()):
            found += progress.lines()
            if not record.open:
                del self._open[record]
        return sorted(found, key=lambda line: line.wall)


def _after(sessions: Sequence[SessionRecord], last: SessionRecord | None) -> list[SessionRecord]:
    """The sessions after the last known one; all of them if it is not among them."""
    new: list[SessionRecord] = []
    for record in reversed(sessions):
        if record is last:
            break
        new.append(record)
    return new[::-1]


class _Progress:
    """How far the lines of a session have come."""

    def __init__(self, record: SessionRecord) -> None:
        self._record = record
        self._last: Event | None = None
        self._last_fault: TriggeredFault | None = None
        self._latest = 0.0
        self._committed: dict[str, float] = {}
        self._announced = False

    def lines(self) -> Iterator[Line]:
        record = self._record
        closed = not record.open  # before the events are read: none can follow
        if not self._announced:
            self._announced = True
            yield self._line(0.0, "connected", _target(record))
        for fault in added_since(record.faults, self._last_fault):
            self._last_fault = fault
            yield self._line(fault.at, "fault", f"{fault.action} at {fault.event}")
        for event in added_since(record.events, self._last):
            self._last = event
            self._latest = event.until
            yield from self._of_event(event)
        if closed:
            yield self._end()

    def _line(self, at: float, kind: str, text: str) -> Line:
        return Line(self._record.opened_wall + at, self._record.number, kind, mask_keys(text))

    def _of_event(self, event: Event) -> Iterator[Line]:
        if event.dropped is not None or event.sender == "client":
            return
        data = event.data
        if event.type == "input_audio_buffer.committed":
            self._committed[str(data.get("item_id"))] = event.at
            yield self._line(event.at, "item", str(data.get("item_id")))
        elif event.type == f"{_TRANSCRIPTION}completed":
            late = event.at - self._committed.pop(str(data.get("item_id")), event.at)
            yield self._line(event.at, "transcript", f"“{data.get('transcript')}” {late:.3f} s after the commit")
        elif event.type == f"{_TRANSCRIPTION}failed":
            yield self._line(event.at, "failed", _error(data))
        elif event.type == "error" and self._record.refusal is None:
            yield self._line(event.at, "error", _error(data))

    def _end(self) -> Line:
        record = self._record
        explanation = " ".join(sentences(record))
        if record.http_status != 101 or record.refusal is not None:
            return self._line(self._latest, "refused", explanation)
        close = record.close
        assert close is not None
        return self._line(self._latest, "closed", f"{close.code} by the {close.by}: {explanation}")


def _target(record: SessionRecord) -> str:
    query = "&".join(f"{name}={value}" for name, values in record.handshake.query.items() for value in values)
    return record.handshake.path + (f"?{query}" if query else "")


def _error(data: dict[str, Any]) -> str:
    error = data.get("error") or {}
    return f"{error.get('code') or error.get('type')}: {error.get('message')}"


def _printable(text: str) -> str:
    """The text on one line, without anything that a terminal would act on."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def line_format(stream: TextIO, log: LogFormat | None, quiet: bool) -> Callable[[Line], str] | None:
    """Return the function that formats a line for a stream, or None if nothing is written.

    Args:
        stream: The stream.
        log: The requested format; without one, a terminal gets text and any other stream nothing.
        quiet: Whether to write nothing, whatever the stream.
    """
    terminal = stream.isatty()
    if quiet or (log is None and not terminal):
        return None
    if log == "json":
        return Line.as_json
    colour = terminal and "NO_COLOR" not in os.environ
    return lambda line: line.as_text(colour)


async def log_sessions(sessions: Callable[[], Sequence[SessionRecord]], write: Callable[[Line], None]) -> None:
    """Write lines until cancelled, and then those that are left.

    Args:
        sessions: Returns the server's sessions.
        write: Writes a line.
    """
    seen = SessionLog()
    try:
        while True:
            for line in seen.lines(sessions()):
                write(line)
            await asyncio.sleep(_EVERY)
    finally:
        for line in seen.lines(sessions()):
            write(line)
