"""Read recordings line by line; the error for a wrong line names its place and the fix."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rtstt_testkit.cassette.format import FORMAT, MAX_LINE, VERSION, CassetteError
from rtstt_testkit.cassette.lines import APPEND
from rtstt_testkit.cassette.model import Cassette, Exchange, Frame, RecordedClose, RecordedSession, inline_audio
from rtstt_testkit.cassette.wav import HEADER, AudioRange, range_of

__all__ = ["Problems", "load_cassette", "read_lines"]

Problems = Callable[[str], None]

_APPEND_LINE = re.compile(
    rb'\{"session":(\d{1,9}),"at":(\d{1,9}\.\d+),"sender":"client","event":\{"type":"input_audio_buffer\.append",'
    rb'"audio_bytes":(\d{1,9}),"audio_ms":(\d{1,9}\.\d+),"wav":"([\x20-\x21\x23-\x2e\x30-\x5b\x5d-\x7e]+)",'
    rb'"audio_start":(\d{1,15})\}\}\n'
)
_FORMAT_HINT = "a recording begins with a line that `rtstt-shim record` writes"


def read_lines(
    path: Path, problem: Problems = lambda text: None, taken: Callable[[int, bytes], bool] = lambda number, raw: False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines of a file with their numbers, the header first; in bounded memory.

    Args:
        path: The file.
        problem: Called with a sentence about what is wrong and does not matter: a last line that is cut, Windows line
            ends.
        taken: Called with each line before it is parsed; returns whether that is done.

    Raises:
        CassetteError: The file cannot be read, is not a recording of this version, or a line is not an object.
    """
    windows = shared = False
    header: dict[str, Any] | None = None
    number = 0
    try:
        with path.open("rb") as file:
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                if len(raw) > MAX_LINE:
                    raise CassetteError(f"{path}, line {number} is longer than {MAX_LINE} bytes; remove it")
                if taken(number, raw):
                    continue
                windows = windows or raw.endswith(b"\r\n")
                if not raw.strip():
                    continue
                # Several processes may write a trace, and one of them may have been killed.
                line = _parse(path, number, raw, header, cut=shared or not raw.endswith(b"\n"))
                if line is None and raw.endswith(b"\n"):
                    problem(f"line {number} is cut: a program was killed that wrote it")
                    continue
                if line is None:
                    problem(
                        f"line {number} is cut, so the recording was interrupted; "
                        f"`rtstt-shim cassette trim {path}` removes it"
                    )
                    break
                if header is None or "format" in line:
                    _check_header(path, number, line)
                    header = header or line
                    shared = header.get("source") == "shim"
                yield number, line
            if header is None:
                raise CassetteError(f"{path} is empty; {_FORMAT_HINT}")
    except OSError as error:
        raise CassetteError(f"cannot read {path}: {error.strerror}") from None
    if windows:
        problem("it has Windows line ends, which are read; save it with line feeds alone")


def _parse(path: Path, number: int, raw: bytes, header: object, *, cut: bool) -> dict[str, Any] | None:
    """Return a line; None for one that is not JSON, if it may be cut."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError) as error:
        if header is None:
            raise CassetteError(f"{path} is not a recording; {_FORMAT_HINT}") from None
        if cut:
            return None
        what = error.msg if isinstance(error, json.JSONDecodeError) else "it is not UTF-8 text"
        raise CassetteError(f"{path}, line {number} is not JSON ({what}); correct or remove it") from None
    if not isinstance(line, dict):
        raise CassetteError(f"{path}, line {number} is not a JSON object; correct or remove it")
    return line


def _check_header(path: Path, number: int, line: dict[str, Any]) -> None:
    if line.get("format") != FORMAT:
        raise CassetteError(f"{path} is not a recording; {_FORMAT_HINT}")
    version = line.get("version")
    if not isinstance(version, int):
        raise CassetteError(f"{path}, line {number}: `version` is {version!r}; it must be a number")
    if version > VERSION:
        raise CassetteError(
            f"{path} has version {version} of the format, and this release reads {VERSION}; "
            "upgrade it with: pip install --upgrade rtstt-shim"
        )


def load_cassette(path: str | Path) -> Cassette:
    """Read a recording, or a trace of the shim.

    Args:
        path: The file.

    Raises:
        CassetteError: The file cannot be read, is not a recording, or has a line that is wrong.
    """
    return _Loader(Path(path)).load()


class _Loader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._problems: list[str] = []
        self._sessions: dict[tuple[str, int], RecordedSession] = {}
        self._wavs: dict[str, int] = {}
        self._number = 0

    def load(self) -> Cassette:
        cassette: Cassette | None = None
        for number, line in read_lines(self._path, self._problems.append, self._take):
            self._number = number
            if cassette is None:
                cassette = Cassette(self._path, line, problems=self._problems)
            elif "format" not in line:
                self._line(cassette, line)
        assert cassette is not None, "read_lines() raises for an empty file"
        cassette.sessions = sorted(self._sessions.values(), key=lambda session: session.line)
        open_ = [session.number for session in cassette.sessions if not session.complete]
        if open_ and not self._problems:
            numbers = ", ".join(map(str, open_))
            self._problems.append(f"the end of session {numbers} is missing, so the recording was interrupted")
        return cassette

    def _take(self, number: int, raw: bytes) -> bool:
        """Add an append to the run before it, as `_event` does, without a JSON parser: nearly all lines are these."""
        match = _APPEND_LINE.fullmatch(raw)
        if match is None:
            return False
        session, at, size, milliseconds, wav, start = match.groups()
        known = self._sessions.get(("", int(session)))
        last = known.frames[-1] if known is not None and known.frames else None
        if last is None or not last.is_audio or not last.ranges:
            return False
        before = last.ranges[-1]
        if isinstance(before, bytes) or before.file != wav.decode() or before.start + before.size != int(start):
            return False
        whole = AudioRange(before.file, before.start, before.size + int(size))
        if whole.start + whole.size > self._wavs[whole.file]:
            return False
        last.ranges[-1] = whole
        last.count += 1
        last.until = float(at)
        last.seconds += float(milliseconds) / 1000
        return True

    def _line(self, cassette: Cassette, line: dict[str, Any]) -> None:
        if "http" in line:
            cassette.exchanges.append(self._exchange(self._table(line, "http")))
        elif "dropped" in line or "full" in line:
            reason = str(line.get("reason", "the file has reached its largest size"))
            lines = f"{line['dropped']} lines are missing" if "dropped" in line else "it ends early"
            self._problems.append(f"{lines} ({reason}); record it again")
        else:
            self._session_line(line)

    def _session_line(self, line: dict[str, Any]) -> None:
        number = line.get("session")
        if not isinstance(number, int) or isinstance(number, bool):
            raise self._error(f"`session` is {number!r}; it must be a number")
        at = line.get("at")
        if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < 1e9:
            raise self._error(f"`at` is {at!r}; it must be a number of seconds")
        key = str(line.get("process", "")), number
        session = self._sessions.get(key)
        if session is None:
            if "handshake" not in line:
                raise self._error(f"session {number} has no line with its `handshake` before this one")
            session = self._sessions[key] = RecordedSession(len(self._sessions) + 1, self._number)
        if "handshake" in line:
            self._handshake(session, line)
        elif "event" in line:
            self._event(session, line, float(at))
        elif "close" in line:
            self._close(session, self._table(line, "close"), float(at))
        elif "http_status" in line:
            status = line["http_status"]
            if not isinstance(status, int):
                raise self._error(f"`http_status` is {status!r}; it must be a number")
            session.http_status, session.http_message = status, line.get("message", "")
        elif "failed" in line:
            session.failed = str(line["failed"])
        elif "frame" not in line:  # a PING or PONG of a trace
            raise self._error("it has none of `handshake`, `http_status`, `event`, `close` and `http`")

    def _handshake(self, session: RecordedSession, line: dict[str, Any]) -> None:
        shake = self._table(line, "handshake")
        session.opened = line.get("time", session.opened)
        session.host = shake.get("host", session.host)
        session.path = shake.get("path", session.path)
        for name in ("query", "headers"):
            value = shake.get(name, getattr(session, name))
            if not isinstance(value, dict):
                raise self._error(f"`handshake.{name}` is {value!r}; it must be an object")
            setattr(session, name, value)
        session.subprotocols = shake.get("subprotocols", session.subprotocols)

    def _event(self, session: RecordedSession, line: dict[str, Any], at: float) -> None:
        sender, event = line.get("sender"), self._table(line, "event")
        if sender not in ("client", "server"):
            raise self._error(f"`sender` is {sender!r}; it must be client or server")
        if not isinstance(event.get("type"), str):
            raise self._error(f"`event.type` is {event.get('type')!r}; it must be a text")
        frame = Frame(self._number, at, sender, event, at)
        if sender == "client" and event["type"] == APPEND:
            self._append(frame)
            last = session.frames[-1] if session.frames else None
            if frame.is_audio and last is not None and last.is_audio:
                last.add(frame)
                return
        elif "wav" in event:
            frame.ranges = [self._range(event)]
        session.frames.append(frame)

    def _append(self, frame: Frame) -> None:
        event = frame.event
        milliseconds = event.get("audio_ms", 0.0)
        if not isinstance(milliseconds, int | float):
            raise self._error(f"`audio_ms` is {milliseconds!r}; it must be a number")
        frame.seconds = milliseconds / 1000
        if "wav" in event:
            frame.ranges = [self._range(event)]
        elif (audio := inline_audio(event)) is not None and "audio_bytes" in event:
            frame.ranges = [audio]
        elif "audio_bytes" not in event:  # an append that the endpoint refuses, written as it was sent
            return
        frame.event = {"type": APPEND}

    def _range(self, event: dict[str, Any]) -> AudioRange:
        try:
            range_ = range_of(event)
        except CassetteError as error:
            raise self._error(str(error)) from None
        name, needed = range_.file, range_.start + range_.size
        held = self._wavs.get(name)
        if held is None:
            try:
                held = (self._path.parent / name).stat().st_size - HEADER
            except OSError as error:
                raise self._error(f"its audio is in {name}, which cannot be read: {error.strerror}") from None
            self._wavs[name] = held
        if needed > held:
            raise self._error(f"{name} holds {held} bytes of audio, and {needed} are needed; restore the file")
        return range_

    def _close(self, session: RecordedSession, close: dict[str, Any], at: float) -> None:
        code, by = close.get("code"), close.get("by")
        if not isinstance(code, int):
            raise self._error(f"`close.code` is {code!r}; it must be a number")
        if by not in ("client", "server"):
            raise self._error(f"`close.by` is {by!r}; it must be client or server")
        session.close = RecordedClose(at, code, str(close.get("reason", "")), by)

    def _exchange(self, http: dict[str, Any]) -> Exchange:
        status = http.get("status")
        if not isinstance(status, int):
            raise self._error(f"`http.status` is {status!r}; it must be a number")
        return Exchange(self._number, str(http.get("path")), http.get("request"), status, http.get("response"))

    def _table(self, line: dict[str, Any], name: str) -> dict[str, Any]:
        value = line[name]
        if not isinstance(value, dict):
            raise self._error(f"`{name}` is {value!r}; it must be an object")
        return value

    def _error(self, problem: str) -> CassetteError:
        return CassetteError(f"{self._path}, line {self._number}: {problem}")
