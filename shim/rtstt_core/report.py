"""The log records of the shim's findings: one readable record for each failure, not for each retry.

A failure that repeats (a client that reconnects in a loop) is logged once, then counted. The next record comes at the
earliest a minute later and gives the count; counts that remain are logged when the process exits.
"""

from __future__ import annotations

import atexit
import logging
import threading
from time import monotonic
from typing import NamedTuple

from rtstt_core.diagnosis import Diagnosis, Symptom, diagnose
from rtstt_core.forking import call_in_forked_child
from rtstt_core.log import flush, log
from rtstt_core.redact import redact, redact_url
from rtstt_core.url_rule import SessionType

__all__ = ["ConnectionInfo", "failure_count", "report"]

_INTERVAL_SECONDS = 60.0
_MAX_REPORTED = 256
# How long the exit of the process waits for a handler that runs in another thread.
_EXIT_SECONDS = 1.0


class ConnectionInfo(NamedTuple):
    """The connection that a report is about.

    Attributes:
        library: The client library's name on PyPI.
        version: Its version; empty if unknown.
        url: The URL connected to, with its secrets; it is never logged as it is.
        native: Whether its host is one of OpenAI's own, or named by ``RTSTT_SHIM_HOSTS``.
    """

    library: str
    version: str
    url: str
    native: bool = True

    def __repr__(self) -> str:
        """Mask secrets: error trackers show the variables of a traceback's functions."""
        return f"ConnectionInfo({self.library!r}, {self.version!r}, {redact_url(self.url)!r})"


class _Reported:
    """A failure that was logged, and how often it has repeated since."""

    __slots__ = ("level", "line", "logged_at", "repeats")

    def __init__(self, level: int, line: str, logged_at: float) -> None:
        self.level = level
        self.line = line
        self.logged_at = logged_at
        self.repeats = 0


_reported: dict[tuple[object, ...], _Reported] = {}
_failures = 0
_lock = threading.Lock()


def failure_count() -> int:
    """Return how many failures were reported in this process, repeated ones included."""
    return _failures


def report(
    info: ConnectionInfo,
    symptom: Symptom,
    *,
    session: SessionType = "transcription",
    by_client: bool = False,
    count: int = 1,
) -> None:
    """Log a failure, or count it if the same one was logged within the last minute.

    The record's level is WARNING; it is INFO for a session that ended well and without a transcript.

    Args:
        info: The connection that failed.
        symptom: What the server or the network did; `Symptom.native` is set here.
        session: What the connection was to open.
        by_client: Whether the client closed the connection after an ``error`` event.
        count: How often the symptom occurred.
    """
    global _failures
    symptom = symptom._replace(native=info.native)
    diagnosis = diagnose(symptom)
    symptom = _redacted(symptom)
    line = _line(info, symptom, diagnosis, session, by_client)
    level = logging.INFO if symptom.kind == "silent" else logging.WARNING
    now = monotonic()
    key = (
        info.library,
        redact_url(info.url),
        diagnosis.id,
        *(getattr(symptom, name) for name in ("kind", "code", "param", "close_code", "status")),
    )
    with _lock:
        _failures += count if level == logging.WARNING else 0
        reported = _reported.get(key)
        if reported is not None and now - reported.logged_at < _INTERVAL_SECONDS:
            reported.repeats += count
            return
        repeats = reported.repeats if reported is not None else 0
        if reported is None and len(_reported) >= _MAX_REPORTED:
            del _reported[next(iter(_reported))]
        _reported[key] = _Reported(level, line, now)
        _reported[key].repeats = count - 1
    log(level, line + _count(repeats), _fields(info, symptom, diagnosis, session, repeats))


def _redacted(symptom: Symptom) -> Symptom:
    def masked(text: str | None) -> str | None:
        return None if text is None else redact(text)

    return symptom._replace(
        type=masked(symptom.type),
        code=masked(symptom.code),
        message=masked(symptom.message),
        param=masked(symptom.param),
        close_reason=masked(symptom.close_reason),
    )


def _log_remaining_counts() -> None:
    with _lock:
        remaining = [
            (reported.level, reported.line + _count(reported.repeats), {"rtstt_more": reported.repeats})
            for reported in _reported.values()
            if reported.repeats
        ]
        for reported in _reported.values():
            reported.repeats = 0
    for record in remaining:
        log(*record)
    flush(_EXIT_SECONDS)


def _count(repeats: int) -> str:
    return f" (and {repeats} more like it)" if repeats else ""


def _line(info: ConnectionInfo, symptom: Symptom, diagnosis: Diagnosis, session: SessionType, by_client: bool) -> str:
    if symptom.kind == "failed":
        lead = "realtime transcription item failed"
    elif symptom.kind == "silent":
        lead = "realtime transcription session ended without a transcript"
    elif diagnosis.fatal:
        lead = f"realtime {session} session failed"
    elif by_client:
        lead = "realtime transcription error, then the client closed the session"
    else:
        lead = "realtime transcription error, the session stays open"
    parts = []
    if symptom.code or symptom.type or symptom.message:
        parts.append(": ".join(part for part in (symptom.code or symptom.type, symptom.message) if part))
    if symptom.status is not None:
        parts.append(f"HTTP {symptom.status}")
    if symptom.close_code == 1006:
        parts.append("closed 1006 without a close frame")
    elif symptom.close_code is not None:
        parts.append(f"closed {symptom.close_code} {symptom.close_reason or ''}".rstrip())
    evidence = f" ({'; '.join(parts)})" if parts else ""
    client = f"{info.library} {info.version}".rstrip()
    return f"rtstt_shim: {lead}: {diagnosis.what}{evidence}. {diagnosis.do} [{client}, {redact_url(info.url)}]"


def _fields(
    info: ConnectionInfo, symptom: Symptom, diagnosis: Diagnosis, session: SessionType, repeats: int
) -> dict[str, object]:
    return {
        "rtstt_library": info.library,
        "rtstt_version": info.version,
        "rtstt_url": redact_url(info.url),
        "rtstt_session": session,
        "rtstt_diagnosis": diagnosis.id,
        "rtstt_fatal": diagnosis.fatal,
        "rtstt_kind": symptom.kind,
        "rtstt_type": symptom.type,
        "rtstt_code": symptom.code,
        "rtstt_message": symptom.message,
        "rtstt_param": symptom.param,
        "rtstt_close_code": symptom.close_code,
        "rtstt_close_reason": symptom.close_reason,
        "rtstt_status": symptom.status,
        "rtstt_cause": symptom.cause,
        "rtstt_more": repeats,
    }


def _after_fork() -> None:
    # The parent logs its own counts.
    global _lock
    _lock = threading.Lock()
    _reported.clear()


atexit.register(_log_remaining_counts)
call_in_forked_child(_after_fork)
