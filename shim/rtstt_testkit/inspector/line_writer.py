"""Write lines to a stream whose reader may be slow or gone."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

__all__ = ["line_writer", "write_line"]

_LINES = 10_000  # that wait for a slow reader
_SECONDS = 1.0  # for the last of them to be written at the end


@contextlib.contextmanager
def line_writer(stream: TextIO, dropped: Callable[[int], str]) -> Iterator[Callable[[str], None]]:
    """Return a function that writes a line in a thread, so that a slow or missing reader never delays a session.

    Lines that do not fit in the queue are dropped and counted.

    Args:
        stream: The stream; it is written past its buffer.
        dropped: Returns the last line, from the number of lines that were dropped.
    """
    lines: queue.Queue[str | None] = queue.Queue(_LINES)
    missing = 0

    def put(line: str) -> None:
        nonlocal missing
        try:
            lines.put_nowait(line)
        except queue.Full:
            missing += 1

    def write() -> None:
        try:
            file, encoding = stream.fileno(), stream.encoding or "utf-8"
            while (line := lines.get()) is not None:
                write_line(file, line, encoding)
            if missing:
                write_line(file, dropped(missing), encoding)
        except (OSError, ValueError):  # the reader is gone
            while lines.get() is not None:
                pass

    writer = threading.Thread(target=write, name="rtstt-log", daemon=True)
    writer.start()
    try:
        yield put
    finally:
        with contextlib.suppress(queue.Full):
            lines.put(None, timeout=_SECONDS)
        writer.join(_SECONDS)


def write_line(file: int, line: str, encoding: str = "utf-8") -> None:
    """Write a line to a file descriptor, past the buffer of the stream.

    Workers share stderr, and a line that is one write does not mix with theirs. Python flushes its buffer at the end of
    the process, and a reader that is slow or gone would hold or fail that.

    Args:
        file: The file descriptor.
        line: The line, without its end.
        encoding: How it is encoded.

    Raises:
        OSError: It cannot be written.
    """
    data = (line + "\n").encode(encoding, "backslashreplace")
    while data:
        data = data[os.write(file, data) :]
