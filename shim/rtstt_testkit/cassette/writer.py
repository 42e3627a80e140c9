"""The file that a recording is written to.

Lines and audio go through a bounded queue to a thread, so that a slow disk never delays a frame. If the queue is full,
the recording fails: a file with a gap would replay wrongly. Except during a write, the file always ends with a complete
line; the audio that a line refers to is written before the line.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Any

from rtstt_core.masking import mask_keys
from rtstt_testkit.cassette.format import FORMAT, VERSION, CassetteError, stem_of
from rtstt_testkit.cassette.lines import SessionLines, encode
from rtstt_testkit.cassette.reader import read_lines
from rtstt_testkit.cassette.wav import WRITE_ONLY, AudioRange, Encoding, WavWriter
from rtstt_testkit.mock.protocol.events import Sender
from rtstt_testkit.mock.protocol.handshake import Request

if sys.platform != "win32":  # there, a file that is open cannot be replaced
    import fcntl

__all__ = ["CassetteWriter"]

_QUEUE = 64 * 1024 * 1024
_GATHER = 0.05  # seconds: a wake-up of the thread costs the loop that passes frames on more than a line does
_HEADERS_EVERY = 1.0  # seconds until the headers of WAV files have the length of what was written, at the latest
_LONGEST_HEADER = 64 * 1024


class CassetteWriter:
    """A recording that is being written.

    Args:
        path: The file, by convention ``NAME.rtstt.jsonl``.
        url: The endpoint, for the first line.
        client: The client, for the first line, such as ``python app.py``; without secrets.
        replace: Whether a file that exists is replaced.
        append: Whether to append to the sessions of an existing file.
        about: What else the first line has.
        queue: The bytes that may wait for the disk.

    Attributes:
        path: The file.
        failure: Why the recording failed, in words, or None.
        written: The number of lines that were written.
        dropped: The number of lines that were not written.

    Raises:
        CassetteError: The file exists, another recording writes it, or it cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        url: str,
        client: str = "",
        replace: bool = False,
        append: bool = False,
        about: Mapping[str, Any] | None = None,
        queue: int = _QUEUE,
    ) -> None:
        self.path = Path(path)
        self.failure: str | None = None
        self.written = self.dropped = 0
        self._stem = stem_of(self.path)
        self._sessions = _last_session(self.path) if append else 0
        self._file = _open(self.path) if append else _create(self.path, replace)
        self._size = os.lseek(self._file, 0, os.SEEK_END)
        self._wavs: dict[tuple[int, Sender, Encoding], WavWriter] = {}
        self._grown: set[WavWriter] = set()
        self._headers_at = 0.0
        self._limit = queue
        self._waiting = 0
        self._queue: deque[tuple[WavWriter | None, bytes]] = deque()
        self._changed = threading.Condition()
        self._idle = self._closing = False
        self._started = time.monotonic()
        header_line = {
            "format": FORMAT,
            "version": VERSION,
            "time": round(time.time(), 3),
            "source": "record",
            "made_by": f"rtstt-shim {version('rtstt-shim')}",
            "client": mask_keys(client),
            "url": url,
            "audio": True,
            **(about or {}),
        }
        try:
            if not append:
                self._append_lines(encode(header_line))
        except OSError as error:
            os.close(self._file)
            self.path.unlink()
            raise CassetteError(f"cannot write {self.path}: {error.strerror}") from None
        self.written = 0
        self._thread = threading.Thread(target=self._run, name="rtstt-recording", daemon=True)
        self._thread.start()

    # -- what is recorded

    def session(self, host: str, request: Request, wall: float | None = None) -> SessionLines:
        """Return the lines of a new session.

        Args:
            host: The host that the client connected to.
            request: The opening handshake.
            wall: The time of day, in seconds since 1970; None for now.
        """
        self._sessions += 1
        return SessionLines(self, self._sessions, host, request, wall)

    def exchange(self, exchange: dict[str, Any]) -> None:
        """Write an HTTP request and its response.

        Args:
            exchange: From `rtstt_testkit.cassette.lines.masked_exchange`.
        """
        self.line(encode({"at": round(time.monotonic() - self._started, 6), "http": exchange}))

    def fail(self, reason: str) -> None:
        """Fail the recording; nothing more is written.

        Args:
            reason: Why, in words.
        """
        with self._changed:
            self.failure = self.failure or reason

    def line(self, data: bytes) -> None:
        """Write a line, line feed included; it never blocks and never raises."""
        if not self._put(None, data):
            self.dropped += 1

    def audio(self, session: int, sender: Sender, encoding: Encoding, audio: bytes) -> AudioRange:
        """Write audio; see `line`.

        Args:
            session: The number of the session.
            sender: Who sent it.
            encoding: How it is encoded.
            audio: The bytes.

        Returns:
            Where it is.
        """
        wav = self._wavs.get((session, sender, encoding))
        if wav is None:
            kind = "" if encoding == Encoding("pcm", 24000) else f".{encoding.name}"
            if encoding.name == "pcm" and encoding.rate != 24000:
                kind = f".{encoding.rate}"
            name = f"{self._stem}.{session}.{sender}{kind}.wav"
            wav = self._wavs[session, sender, encoding] = WavWriter(self.path.parent / name, encoding)
        place = AudioRange(wav.path.name, wav.planned, len(audio))
        wav.planned += len(audio)
        self._put(wav, audio)
        return place

    # -- the end

    def close(self) -> None:
        """Write what is queued, and close the files.

        If lines were dropped, the last line says how many and why. Closing twice has no effect.
        """
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._write_headers()
        try:
            if self.failure is not None:
                self._append_lines(encode({"dropped": self.dropped, "reason": self.failure}))
        except OSError:  # the disk is full: the last whole line is the end
            pass
        finally:
            os.close(self._file)
            for wav in self._wavs.values():
                wav.close()

    # -- the thread

    def _put(self, wav: WavWriter | None, data: bytes) -> bool:
        with self._changed:
            if self.failure is None and not self._closing:
                if self._waiting + len(data) <= self._limit:
                    self._waiting += len(data)
                    self._queue.append((wav, data))
                    if self._idle:
                        self._idle = False
                        self._changed.notify()
                    return True
                mebibytes = self._limit / 1024 / 1024
                self.failure = f"the disk is too slow: {mebibytes:g} MiB waited to be written"
            return False

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _GATHER)
                batch, self._queue = self._queue, deque()
                if self._closing and not batch:
                    return
            if batch:
                self._store(batch)
            else:
                self._write_headers()
                self._wait()

    def _wait(self) -> None:
        """Wait until something is to be written."""
        with self._changed:
            self._idle = not self._queue
            self._changed.wait_for(lambda: self._closing or not self._idle)

    def _store(self, batch: deque[tuple[WavWriter | None, bytes]]) -> None:
        before = self.written
        try:
            self._write(batch)
        except OSError as error:
            with self._changed:
                self.failure = self.failure or f"{self.path} cannot be written: {error.strerror or error}"
                waiting, self._queue = self._queue, deque()
                self._waiting -= sum(len(data) for _, data in waiting)
                self.dropped += sum(wav is None for wav, _ in (*batch, *waiting)) - (self.written - before)
        finally:
            with self._changed:
                self._waiting -= sum(len(data) for _, data in batch)

    def _write(self, batch: deque[tuple[WavWriter | None, bytes]]) -> None:
        """Write the audio, then the lines that refer to it; of audio that does not fit on the disk, those before it."""
        pieces: dict[WavWriter, list[bytes]] = {}
        for wav, data in batch:
            if wav is not None:
                pieces.setdefault(wav, []).append(data)
        missing = set(pieces)
        try:
            for wav, audio in pieces.items():
                wav.write(b"".join(audio))
                missing.remove(wav)
                self._grown.add(wav)
        finally:
            kept = takewhile(lambda piece: piece[0] not in missing, batch)
            lines = b"".join(data for wav, data in kept if wav is None)
            if lines:
                self._append_lines(lines)
        if time.monotonic() >= self._headers_at:
            self._write_headers()

    def _write_headers(self) -> None:
        """Write the lengths of the WAV files that grew; only players need them."""
        for wav in self._grown:
            wav.write_header()
        self._grown.clear()
        self._headers_at = time.monotonic() + _HEADERS_EVERY

    def _append_lines(self, data: bytes) -> None:
        """Append lines; of those that do not fit on the disk, the whole ones stay."""
        view, done = memoryview(data), 0
        try:
            while done < len(data):
                done += os.write(self._file, view[done:])
        finally:
            whole = data.rfind(b"\n", 0, done) + 1
            if whole < done:
                os.ftruncate(self._file, self._size + whole)
                os.lseek(self._file, 0, os.SEEK_END)
            self._size += whole
            self.written += data.count(b"\n", 0, whole)


def _create(path: Path, replace: bool) -> int:
    """Open a new file that no other recording writes."""
    exists = f"{path} exists; choose another file, or replace it with --force (in code: replace=True)"
    try:
        if replace and path.exists():
            if not _is_recording(path):
                raise CassetteError(f"{path} is not a recording, so it is not replaced; choose another file")
            old = os.open(path, WRITE_ONLY)
            try:
                _lock(old, path)
                _remove(path)
            finally:
                os.close(old)
        file = os.open(path, WRITE_ONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CassetteError(exists) from None
    except OSError as error:
        raise CassetteError(f"cannot write {path}: {error.strerror}") from None
    _lock(file, path)
    return file


def _is_recording(path: Path) -> bool:
    """Return whether a file begins as a recording does, or is empty."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(_LONGEST_HEADER)
    return not first or FORMAT.encode() in first


def _open(path: Path) -> int:
    """Open a file to append to it."""
    try:
        file = os.open(path, WRITE_ONLY)
    except OSError as error:
        raise CassetteError(f"cannot write {path}: {error.strerror}") from None
    _lock(file, path)
    return file


def _last_session(path: Path) -> int:
    """Return the number of the last session in a file, which must end with a whole line."""
    problems: list[str] = []
    last = max((line["session"] for _, line in read_lines(path, problems.append) if "session" in line), default=0)
    if problems:
        raise CassetteError(f"{path} cannot be continued: {problems[0]}")
    return int(last)


def _remove(path: Path) -> None:
    """Remove a recording with its audio."""
    name = re.compile(rf"{re.escape(stem_of(path))}\.\d+\.(client|server)(\.\w+)?\.wav")
    for wav in path.parent.iterdir():
        if name.fullmatch(wav.name):
            wav.unlink()
    path.unlink()


def _lock(file: int, path: Path) -> None:
    """Hold a lock on the file as long as it is open."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            busy = f"another recording is writing {path}; wait for its end, or choose another file"
            raise CassetteError(busy) from None
