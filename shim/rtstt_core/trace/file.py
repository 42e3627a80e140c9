"""The file that a trace is written to. Several processes may append to it.

Each line is one JSON object, written with one `write` to a file that is open for appending, so lines of several
processes do not mix. Every process begins with a header of its own, and every line names the process that wrote it.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import stat
import threading
import time
from typing import Any

from rtstt_core.forking import call_in_forked_child
from rtstt_core.log import log
from rtstt_core.redact import redact

__all__ = ["FORMAT", "MAX_FILE", "VERSION", "TraceFile", "trace_file"]

FORMAT = "rtstt-trace"
"""The name of the format, in every header."""

VERSION = 1
"""The version of the format, which changes when a reader of the version before would misread a file."""

MAX_FILE = 256 * 1024 * 1024
"""The maximum size of a file, in bytes; a process that reaches it writes one last line and stops."""

# The largest event that an endpoint accepts holds 15 MiB of audio, which is a third longer in base64.
_MAX_LINE = 24 * 1024 * 1024
_AUDIO = ",audio"


class TraceFile:
    """A file that is open for appending.

    Args:
        path: The file; it is created so that its owner alone can read it.
        keep_audio: Whether sessions keep the audio in their events.

    Attributes:
        keep_audio: Whether sessions keep the audio in their events.
        writable: Whether lines are still written.

    Raises:
        OSError: It cannot be opened or is not a regular file.
    """

    def __init__(self, path: str, *, keep_audio: bool) -> None:
        # Opening a pipe without a reader would wait for one; on Windows a line break would become two bytes.
        flags = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | flags, 0o600)
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._file)
            raise OSError("it is not a regular file")
        self._path = path
        self.keep_audio = keep_audio
        self.writable = True
        self._ending = threading.Lock()
        self._sessions = 0
        self._process = f"{os.getpid()}-{secrets.token_hex(3)}"
        header = {
            "format": FORMAT,
            "version": VERSION,
            "process": self._process,
            "time": round(time.time(), 3),
            "source": "shim",
            "runtime": "python",
            "audio": keep_audio,
        }
        # A process that was killed may have left half a line behind.
        self._write((b"\n" if status.st_size else b"") + _encode(header))

    def new_session(self) -> int:
        """Return the number of a new session of this process."""
        with self._ending:
            self._sessions += 1
            return self._sessions

    def write(self, line: dict[str, Any]) -> None:
        """Append a line; it never raises.

        Args:
            line: What JSON can hold, without secrets.
        """
        if not self.writable:
            return
        try:
            self._write(_encode({"process": self._process, **line}))
        except Exception as error:
            self.stop(error)

    def stop(self, error: Exception) -> None:
        """Write nothing more, and log the reason.

        Args:
            error: The reason.
        """
        if self._end():
            _warn(f"the trace {self._path} ends here; the application is unaffected: {type(error).__name__}: {error}")

    def abandon(self) -> None:
        """Close the file in a forked child, for which another one is opened."""
        self.writable = False
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        if len(data) > _MAX_LINE:
            raise ValueError(f"a line of {len(data)} bytes is too long")
        # The size of the file, because other processes append to it as well.
        if os.fstat(self._file).st_size + len(data) <= MAX_FILE:
            os.write(self._file, data)
        elif self._end():
            os.write(self._file, _encode({"process": self._process, "full": MAX_FILE}))
            _warn(f"the trace {self._path} has reached {MAX_FILE // 1024 // 1024} MiB; nothing more is written to it")

    def _end(self) -> bool:
        """Stop writing; return whether this call did it."""
        with self._ending:
            ended, self.writable = self.writable, False
            return ended


def _encode(line: dict[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _warn(text: str) -> None:
    log(logging.WARNING, f"rtstt_shim: {redact(text)}", {})


_files: dict[str, TraceFile | None] = {}
_lock = threading.Lock()


def trace_file(setting: str) -> TraceFile | None:
    """Return the file that a setting names, opened once in each process; None if it cannot be opened.

    The reason is logged once.

    Args:
        setting: The value of ``RTSTT_SHIM_TRACE``: a path, followed by ``,audio`` to keep the audio.
    """
    with _lock:
        if setting in _files:
            return _files[setting]
        error: Exception | None = None
        try:
            _files[setting] = TraceFile(setting.removesuffix(_AUDIO), keep_audio=setting.endswith(_AUDIO))
        except (OSError, ValueError) as failure:  # ValueError: a null byte in the path
            _files[setting], error = None, failure
    if error is not None:
        reason = getattr(error, "strerror", None) or str(error)
        _warn(f"RTSTT_SHIM_TRACE names {setting.removesuffix(_AUDIO)!r}, which cannot be written: {reason}")
    return _files[setting]


def _after_fork() -> None:
    # The child opens the file again, with a header of its own.
    global _lock
    _lock = threading.Lock()
    for file in _files.values():
        if file is not None:
            file.abandon()
    _files.clear()


call_in_forked_child(_after_fork)
