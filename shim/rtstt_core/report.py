"""The warning: one readable log record for each failure, not for each retry.

A failure that repeats (a client that reconnects in a loop) is logged once, then counted. The next record comes at the
earliest a minute later and gives the count; counts that remain are logged when the process exits.
"""

from __future__ import annotations

import atexit
import logging
import threading
from time import monotonic
from typing import Any, NamedTuple

from rtstt_core.diagnosis import Diagnosis, Symptom, diagnose
from rtstt_core.forking import call_in_forked_child
from rtstt_core.redact import redact, redact_url
from rtstt_core.url_rule import is_native

__all__ = ["ConnectionInfo", "report"]

_INTERVAL_SECONDS = 60.0
_MAX_REPORTED = 256


class ConnectionInfo(NamedTuple):
    """The connection that a report is about.

    Attributes:
        library: The client library's name on PyPI.
        version: Its version; empty if unknown.
        url: The URL connected to, with its secrets; it is never logged as it is.
    """

    library: str
    version: str
    url: str

    def __repr__(self) -> str:
        """Mask secrets: error trackers show the variables of a traceback's functions."""
        return f"ConnectionInfo({self.library!r}, {self.version!r}, {redact_url(self.url)!r})"


class _Reported:
    """A failure that was logged, and how often it has repeated since."""

    __slots__ = ("line", "logged_at", "repeats")

    def __init__(self, line: str, logged_at: float) -> None:
        self.line = line
        self.logged_at = logged_at
        self.repeats = 0


_reported: dict[tuple[object, ...], _Reported] = {}
_lock = threading.Lock()


def report(info: ConnectionInfo, symptom: Symptom, *, by_client: bool = False) -> None:
    """Log a failure, or count it if the same one was logged within the last minute.

    Args:
        info: The connection that failed.
        symptom: What the server or the network did; `Symptom.native` is set here.
        by_client: Whether the client closed the connection after an ``error`` event.
    """
    symptom = symptom._replace(native=is_native(info.url), **_redacted(symptom))
    diagnosis = diagnose(symptom)
    line = _line(info, symptom, diagnosis, by_client)
    now = monotonic()
    key = (
        info.library,
        redact_url(info.url),
        diagnosis.id,
        *(getattr(symptom, name) for name in ("kind", "code", "param", "close_code", "status")),
    )
    with _lock:
        reported = _reported.get(key)
        if reported is not None and now - reported.logged_at < _INTERVAL_SECONDS:
            reported.repeats += 1
            return
        repeats = reported.repeats if reported is not None else 0
        if reported is None and len(_reported) >= _MAX_REPORTED:
            del _reported[next(iter(_reported))]
        _reported[key] = _Reported(line, now)
    _log(line + _count(repeats), _fields(info, symptom, diagnosis, repeats))


def _redacted(symptom: Symptom) -> dict[str, Any]:
    texts = {name: getattr(symptom, name) for name in ("type", "code", "message", "param", "close_reason")}
    return {name: redact(text) for name, text in texts.items() if text is not None}


def _log_remaining_counts() -> None:
    with _lock:
        remaining = [(reported.line, reported.repeats) for reported in _reported.values() if reported.repeats]
        _reported.clear()
    for line, repeats in remaining:
        _log(line + _count(repeats), {"rtstt_more": repeats})


def _log(line: str, fields: dict[str, object]) -> None:
    # Get the logger now, not at import: `logging.config.dictConfig` disables the loggers that exist before it.
    logging.getLogger("rtstt_shim").warning("%s", line, extra=fields)


def _count(repeats: int) -> str:
    return f" (and {repeats} more like it)" if repeats else ""


def _line(info: ConnectionInfo, symptom: Symptom, diagnosis: Diagnosis, by_client: bool) -> str:
    if symptom.kind == "failed":
        lead = "realtime transcription item failed"
    elif diagnosis.fatal:
        lead = "realtime transcription session failed"
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


def _fields(info: ConnectionInfo, symptom: Symptom, diagnosis: Diagnosis, repeats: int) -> dict[str, object]:
    return {
        "rtstt_library": info.library,
        "rtstt_version": info.version,
        "rtstt_url": redact_url(info.url),
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
