"""Checks of what a client does within a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rtstt_testkit.mock.inspect.findings.clients import lasted, reason
from rtstt_testkit.mock.inspect.findings.finding import Evidence, Observation
from rtstt_testkit.mock.inspect.record import APPEND, Event, SessionRecord
from rtstt_testkit.mock.protocol.admission import ACCOUNTS

__all__ = [
    "audio_before_updated",
    "closed_before_completed",
    "ping_ignored",
    "refused_update_ignored",
    "request_refused",
    "session_update_missing_after_reconnect",
]

_UPDATE = "session.update"
_ENOUGH = 1.0  # seconds, and seconds of audio, after which a client cannot have missed what the server answered
_PONG = 10.0  # seconds
#: Close codes of a client that leaves; with another one it reports a failure, for example a message that is too long.
_LEAVING = frozenset({1000, 1001, 1005})
#: Faults after which a client may close although a transcript is still to come.
_SILENCING = frozenset({"stall", "pause", "delay", "drop", "trickle"})


def request_refused(seen: Observation) -> Iterator[Evidence]:
    """Yield sessions of a program that were refused for their URL, headers or key, which no fault did."""
    for record in seen.sessions:
        if seen.outcome is not None and record.refusal is not None and record.refusal not in ACCOUNTS.values():
            yield Evidence(f"{reason(record)}: {record.refusal.message:.200}", record.number, lasted(record))


def session_update_missing_after_reconnect(seen: Observation) -> Iterator[Evidence]:
    """Yield later sessions of a client that got audio and no settings, where its first session got some."""
    for client in seen.clients:
        if not _updates(client[0]):
            continue
        for record in client[1:]:
            if _updates(record) or _transcription(record) is not None:
                continue
            number, event = _first(record, APPEND)
            if event is not None:
                text = f"audio came, and no session.update; session {client[0].number} had sent one"
                yield Evidence(text, record.number, event.at, number)


def audio_before_updated(seen: Observation) -> Iterator[Evidence]:
    """Yield sessions whose audio began before the settings that it needs."""
    for record in seen.sessions:
        audio, first = _first(record, APPEND)
        number, update = _first(record, _UPDATE)
        if record.kind != "transcription" or first is None or update is None or audio > number:
            continue
        seconds = _seconds(record, first.data.get("audio_bytes", 0))
        text = f"audio came before the first session.update (event {number} at {update.at:.3f} s): {seconds:.3f} s"
        yield Evidence(text, record.number, first.at, audio)


def refused_update_ignored(seen: Observation) -> Iterator[Evidence]:
    """Yield sessions that continued to stream after their settings were refused."""
    for record in seen.sessions:
        events = record.events
        error = _refused_update(events)
        if error is None or any(event.type == "session.updated" for event in events):
            continue
        number, event = error
        audio = [later for later in events[number:] if later.type == APPEND]
        seconds = _seconds(record, sum(later.data.get("audio_bytes", 0) for later in audio))
        # A client that sends what it has recorded may send much before it can have read the error.
        goes_on = bool(audio) and max(later.until for later in audio) - event.at >= _ENOUGH
        if goes_on and seconds >= _ENOUGH and not _updates(record, after=number):
            message = str(event.data["error"].get("message"))[:120]
            text = f"session.update was refused ({message}), and {seconds:.1f} s of audio followed"
            yield Evidence(text, record.number, event.at, number)


def closed_before_completed(seen: Observation) -> Iterator[Evidence]:
    """Yield sessions that the client closed while a transcript was on its way."""
    for record in seen.sessions:
        close = record.close
        if close is None or close.by != "client" or close.code not in _LEAVING:
            continue
        if any(fault.action in _SILENCING for fault in record.faults):
            continue
        missing = len(record.unsent_transcripts) + record.unsent_failures
        if missing:
            transcripts = "1 transcript was" if missing == 1 else f"{missing} transcripts were"
            text = f"the client closed {close.code} while {transcripts} on the way"
            yield Evidence(text, record.number, lasted(record))


def ping_ignored(seen: Observation) -> Iterator[Evidence]:
    """Yield sessions with a PING that was not answered."""
    for record in seen.sessions:
        if any(fault.action == "stall" for fault in record.faults):
            continue
        end = min(lasted(record), seen.now - record.opened_at - record.handshake_seconds)
        late = [ping for ping in record.pings if ping.answered is None and end - ping.at >= _PONG]
        if late:
            text = f"a PING was not answered in {end - late[0].at:.1f} s"
            yield Evidence(text, record.number, late[0].at)


def _refused_update(events: list[Event]) -> tuple[int, Event] | None:
    """Return the ``error`` that answers a session.update, with its number."""
    updated = False
    for number, event in enumerate(events, 1):
        updated = updated or (event.sender == "client" and event.type == _UPDATE)
        if not updated or event.type != "error" or event.dropped is not None:
            continue
        error = event.data.get("error") or {}
        if str(error.get("param") or "").startswith("session") or "'session." in str(error.get("message")):
            return number, event
    return None


def _updates(record: SessionRecord, after: int = 0) -> bool:
    return any(event.sender == "client" and event.type == _UPDATE for event in record.events[after:])


def _transcription(record: SessionRecord) -> Any:
    return record.session.get("audio", {}).get("input", {}).get("transcription")


def _first(record: SessionRecord, type_: str) -> tuple[int, Event | None]:
    """Return the first event of a type from the client with its number."""
    for number, event in enumerate(record.events, 1):
        if event.sender == "client" and event.type == type_:
            return number, event
    return 0, None


def _seconds(record: SessionRecord, size: int) -> float:
    return size / record.audio_format.width / record.audio_format.rate
