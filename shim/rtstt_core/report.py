"""The warning: one readable log record per failure, never one per retry.

A storm of the same failure (a client that reconnects for ever) is logged once, then counted: the next record comes a
minute later at the earliest and says how many there were; what is still uncounted is said when the process ends.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from time import monotonic
from typing import Any, NamedTuple

from rtstt_core.diagnosis import Diagnosis, Failure, diagnose
from rtstt_core.redact import redact, redact_url
from rtstt_core.url_rule import is_native

__all__ = ["Source", "report"]

_STORM_SECONDS = 60.0
_STORMS_KEPT = 256


class Source(NamedTuple):
    """Whose socket it is.

    Attributes:
        library: The client library's name on PyPI.
        version: Its version; empty when unknown.
        url: The URL that was connected to, secrets included; never logged as it is.
    """

    library: str
    version: str
    url: str

    def __repr__(self) -> str:
        """Without secrets: error trackers show the variables of a traceback's functions."""
        return f"Source({self.library!r}, {self.version!r}, {redact_url(self.url)!r})"


class _Storm:
    """What is known of one failure that keeps coming."""

    __slots__ = ("line", "logged_at", "more")

    def __init__(self, line: str, logged_at: float) -> None:
        self.line = line
        self.logged_at = logged_at
        self.more = 0


_storms: dict[tuple[object, ...], _Storm] = {}
_lock = threading.Lock()


def report(source: Source, failure: Failure, *, by_client: bool = False) -> None:
    """Log one failure, or count it when it is one more of a storm.

    Args:
        source: Whose socket it is.
        failure: What was seen; `Failure.native` is filled in here.
        by_client: Whether the client closed the connection after an error event.
    """
    failure = failure._replace(native=is_native(source.url), **_redacted(failure))
    diagnosis = diagnose(failure)
    line = _line(source, failure, diagnosis, by_client)
    now = monotonic()
    key = (
        source.library,
        redact_url(source.url),
        diagnosis.id,
        *(getattr(failure, name) for name in ("kind", "code", "param", "close_code", "status")),
    )
    with _lock:
        storm = _storms.get(key)
        if storm is not None and now - storm.logged_at < _STORM_SECONDS:
            storm.more += 1
            return
        more = storm.more if storm is not None else 0
        if storm is None and len(_storms) >= _STORMS_KEPT:
            del _storms[next(iter(_storms))]
        _storms[key] = _Storm(line, now)
    _log(line + _again(more), _fields(source, failure, diagnosis, more))


def _redacted(failure: Failure) -> dict[str, Any]:
    texts = {name: getattr(failure, name) for name in ("type", "code", "message", "param", "close_reason")}
    return {name: redact(text) for name, text in texts.items() if text is not None}


def _tell_uncounted() -> None:
    with _lock:
        left = [(storm.line, storm.more) for storm in _storms.values() if storm.more]
        _storms.clear()
    for line, more in left:
        _log(line + _again(more), {"rtstt_more": more})


def _log(line: str, fields: dict[str, object]) -> None:
    # The logger is looked up here and not at import: `logging.config.dictConfig` disables those that exist before it.
    logging.getLogger("rtstt_shim").warning("%s", line, extra=fields)


def _again(more: int) -> str:
    return f" (and {more} more like it)" if more else ""


def _line(source: Source, failure: Failure, diagnosis: Diagnosis, by_client: bool) -> str:
    if failure.kind == "failed":
        lead = "realtime transcription item failed"
    elif diagnosis.fatal:
        lead = "realtime transcription session failed"
    elif by_client:
        lead = "realtime transcription error, then the client closed the session"
    else:
        lead = "realtime transcription error, the session stays open"
    seen = []
    if failure.code or failure.type or failure.message:
        seen.append(": ".join(part for part in (failure.code or failure.type, failure.message) if part))
    if failure.status is not None:
        seen.append(f"HTTP {failure.status}")
    if failure.close_code == 1006:
        seen.append("closed 1006 without a close frame")
    elif failure.close_code is not None:
        seen.append(f"closed {failure.close_code} {failure.close_reason or ''}".rstrip())
    evidence = f" ({'; '.join(seen)})" if seen else ""
    client = f"{source.library} {source.version}".rstrip()
    return f"rtstt_shim: {lead}: {diagnosis.what}{evidence}. {diagnosis.do} [{client}, {redact_url(source.url)}]"


def _fields(source: Source, failure: Failure, diagnosis: Diagnosis, more: int) -> dict[str, object]:
    return {
        "rtstt_library": source.library,
        "rtstt_version": source.version,
        "rtstt_url": redact_url(source.url),
        "rtstt_diagnosis": diagnosis.id,
        "rtstt_fatal": diagnosis.fatal,
        "rtstt_kind": failure.kind,
        "rtstt_type": failure.type,
        "rtstt_code": failure.code,
        "rtstt_message": failure.message,
        "rtstt_param": failure.param,
        "rtstt_close_code": failure.close_code,
        "rtstt_close_reason": failure.close_reason,
        "rtstt_status": failure.status,
        "rtstt_cause": failure.cause,
        "rtstt_more": more,
    }


def _after_fork() -> None:
    # Another thread of the parent may have held the lock; its counts are the parent's to tell.
    global _lock
    _lock = threading.Lock()
    _storms.clear()


atexit.register(_tell_uncounted)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
