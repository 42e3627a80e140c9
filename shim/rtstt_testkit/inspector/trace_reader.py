"""Sessions read from a file: a trace of the shim, the JSON lines of a mock, or a recording.

What is whole in a damaged file is read, and `ReadTraces.notes` has the rest in words.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast, get_args

from rtstt_core.trace.file import FORMAT, VERSION
from rtstt_testkit.cassette.format import CassetteError
from rtstt_testkit.cassette.wav import range_of, read_range
from rtstt_testkit.inspector.trace_words import sentences_of
from rtstt_testkit.mock.audio.formats import FORMATS
from rtstt_testkit.mock.inspect.record import APPEND, Closed, Dropped, SessionRecord
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.events import Sender
from rtstt_testkit.mock.protocol.handshake import Handshake

__all__ = ["MAX_FILE", "ReadTraces", "UnreadableTraceError", "read_traces"]

MAX_FILE = 512 * 1024 * 1024
"""The bytes of the longest file that is read; a trace of the shim is half as long at most."""

_MAX_LINE = 32 * 1024 * 1024
# The close codes by which the endpoint refuses a session (PROTOCOL.md section 1).
_REFUSALS = (1013, 3000, 4000, 4004)


class UnreadableTraceError(Exception):
    """A file cannot be shown; the message is one sentence."""


class ReadTraces(NamedTuple):
    """What was read from files.

    Attributes:
        sessions: The sessions, in the order in which they were opened.
        notes: What is missing, as sentences.
    """

    sessions: list[SessionRecord]
    notes: list[str]


def read_traces(paths: list[Path]) -> ReadTraces:
    """Read the sessions of files.

    Args:
        paths: The files.

    Raises:
        UnreadableTraceError: A file cannot be read, holds no session, is too long or of a newer format.
    """
    found: list[_Session] = []
    notes: list[str] = []
    for path in paths:
        sessions, more = _read(path)
        found += sessions
        notes += more
    found.sort(key=lambda session: session.wall)
    first = found[0].wall
    return ReadTraces([session.finish(number, first) for number, session in enumerate(found, 1)], notes)


def _read(path: Path) -> tuple[list[_Session], list[str]]:
    try:
        if not path.is_file():
            raise UnreadableTraceError(f"{path} is not a file" if path.exists() else f"there is no file {path}")
        size = path.stat().st_size
        if size > MAX_FILE:
            raise UnreadableTraceError(
                f"{path} has {size / 1024**3:.1f} GiB, and the inspector reads up to {MAX_FILE // 1024**2} MiB; "
                "split it into shorter files"
            )
        if not size:
            raise UnreadableTraceError(f"{path} is empty")
        with path.open("rb") as file:
            lines = _Lines(path, file)
            sessions = lines.sessions()
    except OSError as error:
        raise UnreadableTraceError(f"cannot read {path}: {error.strerror or error}") from None
    if not sessions:
        reason = "no line of it is one of a trace" if lines.broken and not lines.headers else "no connection was traced"
        raise UnreadableTraceError(f"{path} has no session: {reason}")
    return sessions, lines.notes()


class _Lines:
    """The lines of one file."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._cut = False
        self._full = False
        self._dropped: str | None = None
        self.broken = 0
        self.headers = 0

    def sessions(self) -> list[_Session]:
        sources: dict[Any, Any] = {}
        found: dict[tuple[Any, Any], _Session] = {}
        for line in self._objects():
            process = line.get("process")
            if "format" in line:
                self._check(line)
                sources[process] = line.get("source")
            elif "full" in line:
                self._full = True
            elif "dropped" in line:
                self._dropped = f"{line['dropped']} lines were not recorded ({line.get('reason')})"
            elif "http" in line:
                pass  # how a client got its ephemeral secret
            elif "session" in line or "event" in line:
                key = (str(process), str(line.get("session")))
                if key not in found:
                    # Lines of `--json-log` and of a recording have no header.
                    source = sources.get(process, "mock" if "session" in line else "recording")
                    found[key] = _Session(source, self._path.parent)
                try:
                    found[key].add(line)
                except (TypeError, ValueError, KeyError, AttributeError):
                    self.broken += 1
            else:
                self.broken += 1
        return [session for session in found.values() if session.lines]

    def _objects(self) -> Iterator[dict[str, Any]]:
        while data := self._file.readline(_MAX_LINE):
            text = data.strip()
            if not text:
                continue
            try:
                line = json.loads(text, parse_float=_finite, parse_constant=_finite)
            except (ValueError, RecursionError):
                line = None
            if isinstance(line, dict):
                yield line
            else:
                self.broken += 1
                self._cut = not data.endswith(b"\n")

    def _check(self, header: dict[str, Any]) -> None:
        self.headers += 1
        version = header.get("version")
        if header["format"] != FORMAT or not isinstance(version, int):
            raise UnreadableTraceError(f"{self._path} is not a trace of rtstt-shim")
        if version > VERSION:
            raise UnreadableTraceError(
                f"{self._path} has version {version} of the format, and this rtstt-shim reads version {VERSION}; "
                "update rtstt-shim"
            )

    def notes(self) -> list[str]:
        """Return what is missing, as sentences."""
        notes = []
        broken = self.broken - self._cut
        if broken:
            lines = "1 line is broken" if broken == 1 else f"{broken} lines are broken"
            notes.append(f"{self._path}: {lines} and left out.")
        if self._cut:
            notes.append(f"{self._path}: the last line is cut off and left out.")
        if self._dropped is not None:
            notes.append(f"{self._path}: {self._dropped}.")
        if self._full:
            notes.append(f"{self._path}: the trace reached its size limit, and what followed is not in it.")
        return notes


def _finite(text: str) -> float:
    """Return a number; JSON has no infinite ones, and the page could not read them."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return value


class _Session:
    """One session while its lines are read."""

    def __init__(self, source: Any, folder: Path) -> None:
        self._by_mock = source == "mock"
        self._folder = folder
        self._record = SessionRecord(0, Handshake("/v1/realtime", {}, {}, []))
        self._cause = "other"
        self._corrected = ""
        self._at = 0.0
        self.wall = 0.0
        self.lines = 0

    def add(self, line: dict[str, Any]) -> None:
        """Add a line.

        Raises:
            TypeError, ValueError, KeyError, AttributeError: It is not one of a trace.
        """
        record = self._record
        at = self._at = max(self._at, float(line.get("at", self._at)))
        if "time" in line:
            self.wall = float(line["time"])
        record.client = str(line.get("library", record.client))
        self._corrected = str(line.get("corrected", self._corrected))
        if line.get("kind") in ("transcription", "conversation"):
            record.kind = "transcription" if line["kind"] == "transcription" else "realtime"
        if "handshake" in line:
            self._handshake(line["handshake"])
        if "http_status" in line:
            record.http_status = int(line["http_status"])
            record.http_message = str(line.get("message", ""))
        if "failed" in line:
            record.http_status, record.http_message = 0, str(line["failed"])
            self._cause = str(line.get("cause"))
        if "event" in line:
            sender = line.get("sender", line.get("from"))
            if sender not in get_args(Sender):
                raise ValueError(sender)
            self._event(cast(Sender, sender), at, line)
        elif line.get("frame") == "ping" and line.get("sender") == "server":
            record.add_ping(at)
        elif line.get("frame") == "pong" and line.get("sender") == "client":
            record.add_pong(at)
        if "close" in line:
            close = line["close"]
            by: Sender = "client" if close["by"] == "client" else "server"
            record.close = Closed(int(close["code"]), str(close["reason"]), by)
            record.closed_at = at
        self.lines += 1

    def _handshake(self, found: dict[str, Any]) -> None:
        before = self._record.handshake
        headers = {str(name): str(value) for name, value in found.get("headers", before.headers).items()}
        offered = headers.get("sec-websocket-protocol", "")
        query = {
            str(name): [str(value) for value in values] for name, values in found.get("query", before.query).items()
        }
        self._record.handshake = Handshake(
            str(found.get("path", before.path)), query, headers, [word.strip() for word in offered.split(",") if word]
        )

    def _event(self, sender: Sender, at: float, line: dict[str, Any]) -> None:
        record, event = self._record, line["event"]
        type_ = event.setdefault("type", "(no event)")
        if not isinstance(type_, str):
            raise TypeError(type_)
        if type_ == APPEND and sender == "client":
            self._append(at, event, int(line.get("count", 1)), float(line.get("until", at)))
            return
        if type_ == "error" or type_.endswith(".failed"):
            event["error"] = {"type": None, "code": None, "message": "", "param": None, **event["error"]}
        if type_.endswith(".completed"):
            event["transcript"] = str(event.get("transcript", ""))
        if sender == "server" and type_ in ("session.created", "session.updated"):
            self._update(event["session"])
        dropped = line.get("dropped")
        record.add(sender, at, event, dropped if dropped in get_args(Dropped) else None)

    def _append(self, at: float, event: dict[str, Any], count: int, until: float) -> None:
        try:
            audio = base64.b64decode(str(event.get("audio", "")), validate=True)
        except binascii.Error:
            audio = b""
        if "wav" in event:
            audio = self._recorded_audio(event)
        if audio:
            self._record.add_audio(at, audio, count)
        elif isinstance(event.get("audio_bytes"), int):
            self._record.add_audio_size(at, event["audio_bytes"], count)
        else:
            self._record.add("client", at, event)
        if count > 1:
            self._record.events[-1].until = max(at, until)

    def _recorded_audio(self, event: dict[str, Any]) -> bytes:
        """Return the audio of an append, which is beside a recording; nothing if it is not there."""
        try:
            return read_range(self._folder, range_of(event))
        except CassetteError:
            return b""

    def _update(self, session: dict[str, Any]) -> None:
        record = self._record
        audio = session.get("audio") or {}
        audio_input = audio.get("input") or {}
        for name in ("transcription", "turn_detection", "format"):
            if not isinstance(audio_input.get(name), dict | None):
                raise TypeError(name)
        record.session = {**session, "audio": {**audio, "input": audio_input}}
        if record.kind is None:
            record.kind = "transcription" if session.get("type") == "transcription" else "realtime"
        name = str((audio_input.get("format") or {}).get("type"))
        record.audio_format = FORMATS.get(name, record.audio_format)

    def finish(self, number: int, first: float) -> SessionRecord:
        """Return the record.

        Args:
            number: Its number.
            first: When the first session was opened, in seconds since 1970.
        """
        record = self._record
        record.number = number
        record.opened_wall = self.wall
        record.opened_at = self.wall - first
        close, sent = record.close, record.sent
        if close is not None and close.by == "server" and close.code in _REFUSALS and not record.transcripts:
            errors = [event["error"] for event in sent if event["type"] == "error"]
            error = errors[-1] if errors else {"message": close.reason, "code": None, "param": None, "type": None}
            record.refusal = ApiError(
                str(error["message"]), error["code"], error["param"], str(error["type"]), close.code
            )
        if not self._by_mock:
            record.explanation = sentences_of(record, self._cause, self._corrected)
        return record
