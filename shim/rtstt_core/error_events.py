"""The ``error`` and ``failed`` events of one connection, kept until a close shows whether one ended the session.

A client in a loop may cause thousands of them a second. One that came before is recognised without parsing it, and only
counted; usually by its length and the place of its error object, since all ids are of one length.
"""

from __future__ import annotations

import json
import threading
from time import monotonic
from typing import Any, Literal

from rtstt_core.diagnosis import Symptom
from rtstt_core.forking import call_in_forked_child

__all__ = ["ErrorEvent", "ErrorEvents", "text_of"]

# At most this many different errors are kept; further ones are only counted.
_MAX_EVENTS = 32
_BEGINNING = len('{"type":"error')
# A longer text of a server is cut before it is diagnosed.
_MAX_TEXT = 4096
_FAILED = "conversation.item.input_audio_transcription.failed"

_lock = threading.RLock()


class ErrorEvent:
    """An event and how often it arrived.

    Attributes:
        symptom: What the event reports.
        at: When it first came, in seconds of the monotonic clock.
        count: How often it arrived.
        beginning: The first characters of its message, which hold its type in most cases.
    """

    __slots__ = ("at", "beginning", "count", "symptom")

    def __init__(self, symptom: Symptom, beginning: str | bytes) -> None:
        self.symptom = symptom
        self.beginning = beginning
        self.at = monotonic()
        self.count = 1


class ErrorEvents:
    """The events of one connection that were not reported yet.

    Attributes:
        lengths: By the length of a message: where the part is that does not change when its event comes again, and the
            events by that part. Empty while no event is kept.
    """

    __slots__ = ("_events", "_newest", "lengths")

    def __init__(self) -> None:
        self._events: dict[str | bytes, ErrorEvent] = {}
        self._newest: ErrorEvent | None = None
        self.lengths: dict[int, tuple[int, int, dict[str | bytes, ErrorEvent]]] = {}

    def count(self, data: str | bytes | bytearray) -> bool:
        """Count an event that is kept, if a message looks like it; return whether it does.

        Args:
            data: A message of the server.
        """
        lengths = self.lengths
        known = lengths.get(len(data))
        if known is None:
            return False
        start, end, events = known
        part = data[start:end]
        event = events.get(bytes(part) if isinstance(part, bytearray) else part)
        if event is None:
            return False
        with _lock:
            if lengths is not self.lengths:
                return False
            event.count += 1
            self._newest = event
        return True

    def add(self, data: str | bytes) -> bool:
        """Add an event, or count it if it came before.

        Args:
            data: A message of the server.

        Returns:
            Whether it is the first one that is kept.
        """
        beginning = data[:_BEGINNING]
        with _lock:
            newest = self._newest
            if newest is not None and newest.beginning == beginning and len(self._events) >= _MAX_EVENTS:
                newest.count += 1
                return False
        start, end = _common_part(data)
        key = beginning + data[start:end]  # type: ignore[operator]  # both are of one type
        with _lock:
            known = self._events.get(key)
            if known is not None:
                known.count += 1
                self._newest = known
                self._index(data, start, end, known)
                return False
        symptom = _symptom(data)
        if symptom is None:
            return False
        with _lock:
            first = not self._events
            if len(self._events) >= _MAX_EVENTS and self._newest is not None:
                self._newest.count += 1
                return False
            self._events[key] = self._newest = event = ErrorEvent(symptom, beginning)
            self._index(data, start, end, event)
        return first

    def _index(self, data: str | bytes, start: int, end: int, event: ErrorEvent) -> None:
        """Let `count` find an event."""
        known = self.lengths.get(len(data))
        events = known[2] if known is not None and known[:2] == (start, end) else {}
        events[data[start:end]] = event
        self.lengths[len(data)] = (start, end, events)

    def pop(self, *, until: float | None = None) -> list[ErrorEvent]:
        """Remove and return the events, the newest one last.

        Args:
            until: Keep the newest event if it came after this time, in seconds of the monotonic clock: a close that it
                caused may still follow.
        """
        with _lock:
            events, newest = self._events, self._newest
            self._events, self._newest, self.lengths = {}, None, {}
            kept = newest is not None and until is not None and newest.at > until
            if kept:
                self._events, self._newest = {key: event for key, event in events.items() if event is newest}, newest
        others = [event for event in events.values() if event is not newest]
        return others if newest is None or kept else [*others, newest]

    def __bool__(self) -> bool:
        """Return whether an event is kept."""
        return bool(self._events)


def _common_part(data: str | bytes) -> tuple[int, int]:
    """Return where the part of an event is that is the same when the same error comes again."""
    # Two ids are left out: the event's own, before the error object, and that of the client's event, behind the name at
    # its end.
    if isinstance(data, str):
        start, end = data.find('"error":'), data.rfind('"event_id"')
    else:
        start, end = data.find(b'"error":'), data.rfind(b'"event_id"')
    return max(start, 0), end + len('"event_id"') if end > start >= 0 else len(data)


def _symptom(data: str | bytes) -> Symptom | None:
    """Return what an event reports, or None for an event of another type."""
    try:
        event = json.loads(data)
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("type") not in ("error", _FAILED):
        return None
    kind: Literal["error", "failed"] = "error" if event["type"] == "error" else "failed"
    error = event.get("error")
    # Some gateways send a string as `error`, or the fields of the error object beside it.
    fields: dict[str, Any] = error if isinstance(error, dict) else {**event, "type": None}
    if error is not None and not isinstance(error, dict):
        fields["message"] = error
    type_, code, message, param = (text_of(fields.get(name)) for name in ("type", "code", "message", "param"))
    return Symptom(kind, type=type_, code=code, message=message, param=param)


def text_of(value: Any) -> str | None:
    """Return a value as a text that is short enough to search, or None for None."""
    return None if value is None else str(value)[:_MAX_TEXT]


def _reset_lock() -> None:
    global _lock
    _lock = threading.RLock()


call_in_forked_child(_reset_lock)
