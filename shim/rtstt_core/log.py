"""The shim's log records, emitted one at a time.

A logging handler of the application may itself open a connection that is watched, and wait for it. If the failure of
that connection were logged by the thread that reads it, both threads would wait for each other: one holds the handler's
lock, the other needs it. So a record that is logged while another is being emitted is left to the thread that emits.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Mapping

from rtstt_core.forking import call_in_forked_child

__all__ = ["flush", "log"]

_queue: deque[tuple[int, str, Mapping[str, object]]] = deque()
_lock = threading.RLock()
_idle = threading.Event()
_idle.set()


def log(level: int, line: str, fields: Mapping[str, object]) -> None:
    """Log a record with the logger ``rtstt_shim``, now or when the record that is being emitted is done.

    An exception of a handler or a filter does not reach the caller.

    Args:
        level: The record's level.
        line: Its message.
        fields: Its additional attributes.
    """
    with _lock:
        _queue.append((level, line, fields))
        if not _idle.is_set():
            return
        _idle.clear()
    try:
        while True:
            with _lock:
                if not _queue:
                    _idle.set()
                    return
                level, line, fields = _queue.popleft()
            with contextlib.suppress(Exception):
                # Get the logger now, not at import: `logging.config.dictConfig` disables those that exist before it.
                logging.getLogger("rtstt_shim").log(level, "%s", line, extra=dict(fields))
    except BaseException:  # a handler ends the program
        _idle.set()
        raise


def flush(timeout: float) -> None:
    """Wait until another thread has emitted the records that were left to it.

    Args:
        timeout: How long to wait at most, in seconds.
    """
    _idle.wait(timeout)


def _reset() -> None:
    global _lock, _idle
    _lock, _idle = threading.RLock(), threading.Event()
    _idle.set()
    _queue.clear()


call_in_forked_child(_reset)
