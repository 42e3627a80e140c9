"""The audio of a recording: WAV files that grow while a session is recorded, and byte ranges of them.

A file holds the audio as it was sent, so G.711 stays G.711. The audio is complete for every line that refers to it even
if the program is killed, since the lines are written after it; the length in the header may be that of a second before.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rtstt_testkit.cassette.format import CassetteError

__all__ = [
    "HEADER",
    "WRITE_ONLY",
    "AudioRange",
    "Encoding",
    "WavWriter",
    "encoding_of",
    "header",
    "range_of",
    "read_range",
    "session_encoding",
    "silence_of",
]

HEADER = 44
"""The length of the header, in bytes; the audio follows it (RIFF WAVE, one ``fmt`` and one ``data`` chunk)."""

WRITE_ONLY = os.O_WRONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""The flags that open a file to write bytes as they are."""

_LARGEST = 0xFFFFFFFF - HEADER


class Encoding(NamedTuple):
    """How audio is encoded.

    Attributes:
        name: ``pcm``, ``pcmu`` or ``pcma``.
        rate: Samples per second.
    """

    name: str
    rate: int

    @property
    def width(self) -> int:
        """Bytes per sample."""
        return 2 if self.name == "pcm" else 1

    @property
    def bytes_per_second(self) -> int:
        """Bytes per second."""
        return self.rate * self.width


_TAGS = {"pcm": 1, "pcma": 6, "pcmu": 7}  # RFC 2361
_TAG = 20  # its position in the header
_SILENCE = {1: b"\x00", 6: b"\xd5", 7: b"\xff"}


class AudioRange(NamedTuple):
    """A byte range of a WAV file's audio.

    Attributes:
        file: The name of the file.
        start: The position of its first byte in the audio, without the header.
        size: Its length, in bytes.
    """

    file: str
    start: int
    size: int


def encoding_of(format_: object) -> Encoding | None:
    """Return the encoding that a session's ``format`` describes; None for one that is not known.

    Args:
        format_: ``{"type": "audio/pcm", "rate": 24000}``, or the Beta's ``pcm16``, ``g711_ulaw`` and ``g711_alaw``.
    """
    if isinstance(format_, str):
        return {"pcm16": Encoding("pcm", 24000), "g711_ulaw": Encoding("pcmu", 8000)}.get(
            format_, Encoding("pcma", 8000) if format_ == "g711_alaw" else None
        )
    if not isinstance(format_, dict):
        return None
    kind, rate = format_.get("type"), format_.get("rate")
    if kind == "audio/pcm":
        return Encoding("pcm", rate if isinstance(rate, int) and 0 < rate < 1_000_000 else 24000)
    return {"audio/pcmu": Encoding("pcmu", 8000), "audio/pcma": Encoding("pcma", 8000)}.get(str(kind))


def session_encoding(event: dict[str, Any], direction: Literal["input", "output"] = "input") -> Encoding | None:
    """Return the encoding of the audio that an event with a ``session`` describes; None if it describes none.

    Args:
        event: The event.
        direction: That of the audio.
    """
    session = event.get("session")
    if not isinstance(session, dict):
        return None
    audio = session.get("audio")
    side = audio.get(direction) if isinstance(audio, dict) else None
    return encoding_of(side.get("format") if isinstance(side, dict) else session.get(f"{direction}_audio_format"))


def header(encoding: Encoding, size: int) -> bytes:
    """Return the header of a WAV file.

    Args:
        encoding: The encoding.
        size: The length of the audio, in bytes; one that the format cannot express becomes the largest it can.
    """
    size = min(size, _LARGEST)
    rate, width = encoding.rate, encoding.width
    fmt = struct.pack("<HHIIHH", _TAGS[encoding.name], 1, rate, rate * width, width, 8 * width)
    return (
        struct.pack("<4sI4s4sI", b"RIFF", size + HEADER - 8, b"WAVE", b"fmt ", len(fmt))
        + fmt
        + struct.pack("<4sI", b"data", size)
    )


def silence_of(head: bytes) -> bytes:
    """Return one byte of silence in the encoding of a WAV file.

    Args:
        head: The file's header.
    """
    return _SILENCE.get(int.from_bytes(head[_TAG : _TAG + 2], "little"), b"\x00")


def range_of(event: dict[str, Any]) -> AudioRange:
    """Return where the audio of an event is.

    Args:
        event: An event with ``wav``, ``audio_start`` and ``audio_bytes``.

    Raises:
        CassetteError: They do not name a byte range of a file in the same folder; the message has no place.
    """
    name, start, size = event.get("wav"), event.get("audio_start"), event.get("audio_bytes")
    if not isinstance(name, str) or name in ("", "..") or Path(name).name != name or "\\" in name:
        raise CassetteError(f"`wav` is {name!r}; it must be the name of a file in the same folder")
    if not (isinstance(start, int) and isinstance(size, int) and start >= 0 and size >= 0):
        raise CassetteError("`audio_start` and `audio_bytes` must be numbers of bytes")
    return AudioRange(name, start, size)


def read_range(folder: Path, range_: AudioRange) -> bytes:
    """Return the audio of a byte range.

    Args:
        folder: The folder of the recording.
        range_: The range.

    Raises:
        CassetteError: The file cannot be read or is too short.
    """
    path = folder / range_.file
    try:
        with path.open("rb") as file:
            file.seek(HEADER + range_.start)
            audio = file.read(range_.size)
    except OSError as error:
        raise CassetteError(f"cannot read {path}, the audio of the recording: {error.strerror}") from None
    if len(audio) < range_.size:
        held = max(0, os.path.getsize(path) - HEADER)  # noqa: PTH202 - one call, no object
        needed = range_.start + range_.size
        raise CassetteError(f"{path} holds {held} bytes of audio, and the recording needs {needed}; restore the file")
    return audio


class WavWriter:
    """A WAV file that grows.

    Args:
        path: The file, which is made when the first audio is written.
        encoding: How the audio is encoded.

    Attributes:
        path: The file.
        planned: The bytes of audio that were given to the writer.
    """

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self.path = path
        self.planned = 0
        self._encoding = encoding
        self._file: int | None = None
        self._size = 0

    def write(self, audio: bytes) -> None:
        """Append audio; if it does not fit on the disk, what is there of it is removed.

        Raises:
            OSError: It cannot be written.
        """
        if self._file is None:
            self._file = os.open(self.path, WRITE_ONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _write_all(self._file, audio if self._size else header(self._encoding, len(audio)) + audio)
        except OSError:
            os.ftruncate(self._file, HEADER + self._size if self._size else 0)
            raise
        self._size += len(audio)

    def write_header(self) -> None:
        """Write the length into the header, if that is possible; players alone need it."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.lseek(self._file, 0, os.SEEK_SET)
                _write_all(self._file, header(self._encoding, self._size))
            os.lseek(self._file, HEADER + self._size, os.SEEK_SET)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
