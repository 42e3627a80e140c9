"""Run a program within a bounded time, and leave nothing of it running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, NamedTuple

__all__ = ["CannotStart", "Ended", "Feed", "run_program"]

Feed = Literal["wav", "pcm"]
"""What a program reads from stdin: a WAV file, or its samples in real time."""

_MARK = "RTSTT_EXAM_RUN"
_GRACE = 3.0  # seconds between SIGTERM and SIGKILL
_POLL = 0.05
_START = 30.0  # seconds that a program may take to start, beside its time
_READ = 1024 * 1024  # bytes of the beginning, and of the end, of long output
_BYTES_A_SECOND = 48_000
_CHUNK = 0.05  # seconds


class CannotStart(Exception):
    """The program cannot be started; the message says why."""


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
        code: Its exit code, negative for a signal, None when it was stopped.
        stdout: What it wrote to stdout.
        stderr: What it wrote to stderr.
    """

    code: int | None
    stdout: str
    stderr: str


def run_program(
    command: Sequence[str],
    environ: Mapping[str, str],
    seconds: float,
    *,
    stdin: bytes | None = None,
    pace: bool = False,
    begun: Callable[[], bool] = lambda: True,
    enough: Callable[[str], bool] = lambda stdout: False,
    stop: threading.Event | None = None,
) -> Ended:
    """Run a program until it ends, it has done enough, or its time is over.

    Args:
        command: The program and its arguments.
        environ: Its environment.
        seconds: How long it may run after it has begun.
        stdin: What it reads, None for nothing.
        pace: Whether it gets that in real time, as 24 kHz 16-bit samples.
        begun: Returns whether it has begun; it may take half a minute to start.
        enough: Returns for what it wrote to stdout whether to stop it.
        stop: When set, the program is stopped.

    Raises:
        CannotStart: It cannot be started.
    """
    mark = uuid.uuid4().hex
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        try:
            process = subprocess.Popen(
                command,
                env={**environ, _MARK: mark},
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CannotStart(f"cannot start {command[0]}: {reason}") from None
        feeder = threading.Thread(target=_feed, args=(process, stdin or b"", pace), daemon=True)
        try:
            if stdin is not None:
                feeder.start()
            code = _wait(process, seconds, begun, lambda: enough(_read(stdout)), stop)
        finally:
            _end(process, mark)
            if stdin is not None:
                feeder.join()
        return Ended(code, _read(stdout), _read(stderr))


def _wait(
    process: subprocess.Popen[bytes],
    seconds: float,
    begun: Callable[[], bool],
    enough: Callable[[], bool],
    stop: threading.Event | None,
) -> int | None:
    starting = not begun()
    until = time.monotonic() + seconds + (_START if starting else 0.0)
    while time.monotonic() < until and not (stop is not None and stop.is_set()):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_POLL)
        if starting and begun():
            starting, until = False, time.monotonic() + seconds
        if enough():
            return None
    return process.poll()


def _feed(process: subprocess.Popen[bytes], data: bytes, pace: bool) -> None:
    """Write to the program's stdin, in real time if ``pace`` is set."""
    assert process.stdin is not None
    step = round(_BYTES_A_SECOND * _CHUNK) if pace else max(len(data), 1)
    due = time.monotonic()
    with contextlib.suppress(OSError, ValueError):
        for at in range(0, len(data), step):
            process.stdin.write(data[at : at + step])
            process.stdin.flush()
            due += _CHUNK
            if pace:
                time.sleep(max(due - time.monotonic(), 0))
    with contextlib.suppress(OSError):
        process.stdin.close()


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """End the program and everything that it started."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    if os.name == "nt":
        process.kill()
    else:
        _signal_group(process, signal.SIGKILL)
        _kill_marked(mark)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        if os.name == "nt":
            process.terminate()
        else:
            os.killpg(process.pid, number)


def _kill_marked(mark: str) -> None:
    """Kill processes that left the program's process group; on Linux their environment identifies them."""
    wanted = f"{_MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)


def _read(file: IO[bytes]) -> str:
    """Return what was written to a file; of much of it, the beginning and the end."""
    size = os.fstat(file.fileno()).st_size
    if size <= 2 * _READ:
        return _read_at(file, 0, size)
    return f"{_read_at(file, 0, _READ)}\n{_read_at(file, size - _READ, _READ)}"


def _read_at(file: IO[bytes], at: int, size: int) -> str:
    if hasattr(os, "pread"):  # the program writes at the position that seek would move
        data = os.pread(file.fileno(), size, at)
    else:
        file.seek(at)
        data = file.read(size)
    return data.decode("utf-8", "replace")
