"""Copies of a recording with some lines changed or left out; the original is replaced last, by one rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rtstt_testkit.cassette.format import CassetteError, stem_of
from rtstt_testkit.cassette.lines import encode
from rtstt_testkit.cassette.reader import read_lines
from rtstt_testkit.cassette.wav import HEADER, range_of, silence_of

__all__ = ["Change", "edit", "hush", "redacted", "trimmed"]

Change = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Returns the line that takes the place of one; None leaves it out."""

_BLOCK = 1024 * 1024


def edit(source: Path, target: Path, change: Change, about: Mapping[str, Any] | None = None) -> int:
    """Write the lines of a recording to a file, each as a function returns it.

    Args:
        source: The recording.
        target: The file to write; the recording itself, or one that does not exist. The audio goes with it.
        change: Called with every line except the header.
        about: Fields of the header to change.

    Returns:
        How many lines were left out.

    Raises:
        CassetteError: The recording cannot be read, or the file cannot be written.
    """
    same = target == source
    if not same and target.exists():
        raise CassetteError(f"{target} exists; choose another file")
    wavs: dict[str, str] = {}
    removed = 0
    temporary = target.with_name(f".{target.name}.{os.getpid()}")

    def moved(data: Any) -> Any:
        if isinstance(data, list):
            return [moved(value) for value in data]
        if not isinstance(data, dict):
            return data
        if isinstance(name := data.get("wav"), str) and Path(name).name == name:
            wavs[name] = name.replace(stem_of(source), stem_of(target), 1) if not same else name
            return {**{key: moved(value) for key, value in data.items()}, "wav": wavs[name]}
        return {key: moved(value) for key, value in data.items()}

    try:
        with temporary.open("xb") as out:
            for number, line in read_lines(source):
                changed = {**line, **(about or {})} if number == 1 else change(line)
                if changed is None:
                    removed += 1
                else:
                    out.write(encode(moved(changed)))
        if not same:
            for old, new in wavs.items():
                if (target.parent / new).exists():
                    raise CassetteError(f"{target.parent / new} exists; choose another file")
                shutil.copyfile(source.parent / old, target.parent / new)
        temporary.replace(target)
    except OSError as error:
        raise CassetteError(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return removed


def trimmed(sessions: set[int] | None, until: float | None) -> Change:
    """Return a change that keeps some sessions, and their beginning.

    Args:
        sessions: The numbers of those to keep; None for all.
        until: The seconds of each to keep; None for all. A session that is shortened has no end.
    """

    def change(line: dict[str, Any]) -> dict[str, Any] | None:
        number = line.get("session")
        if number is not None and sessions is not None and number not in sessions:
            return None
        return None if until is not None and number is not None and line.get("at", 0) > until else line

    return change


def redacted(mask: Callable[[Any], Any], words: list[str]) -> Change:
    """Return a change that masks secrets again, and texts.

    Args:
        mask: Returns JSON data without secrets.
        words: Texts that become ``***`` in every place.
    """

    def without(data: Any) -> Any:
        if isinstance(data, str):
            for word in words:
                data = data.replace(word, "***")
            return data
        if isinstance(data, list):
            return [without(value) for value in data]
        return {without(name): without(value) for name, value in data.items()} if isinstance(data, dict) else data

    return lambda line: without(mask(line))


def hush(path: Path) -> None:
    """Replace the audio of a recording by silence.

    Args:
        path: The recording.

    Raises:
        CassetteError: The recording cannot be read, or a WAV file cannot be written.
    """
    for name in sorted({name for _, line in read_lines(path) for name in _wav_files(line)}):
        wav = path.parent / name
        try:
            with wav.open("r+b") as file:
                silence = silence_of(file.read(HEADER))
                left = os.fstat(file.fileno()).st_size - HEADER
                while left > 0:
                    left -= file.write(silence * min(left, _BLOCK))
        except OSError as error:
            raise CassetteError(f"cannot write {wav}: {error.strerror}") from None


def _wav_files(data: Any) -> Iterator[str]:
    """Yield the names of the WAV files that a line refers to."""
    if isinstance(data, list):
        for value in data:
            yield from _wav_files(value)
    elif isinstance(data, dict):
        if "wav" in data and "audio_start" in data:
            yield range_of(data).file
        for value in data.values():
            yield from _wav_files(value)
