"""A session as JSON: a line of the list, and the whole of it for the page."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from rtstt_core.masking import mask_json
from rtstt_testkit.inspector.axis import Axis
from rtstt_testkit.inspector.hints import hints
from rtstt_testkit.inspector.peaks import RATE, Peaks
from rtstt_testkit.inspector.url import url_parts
from rtstt_testkit.mock.inspect.explain import explain
from rtstt_testkit.mock.inspect.findings.finding import Evidence, Finding
from rtstt_testkit.mock.inspect.record import Event, SessionRecord

__all__ = ["Observed", "observed", "sentences", "with_findings", "work_out"]

_TRANSCRIPTION = "conversation.item.input_audio_transcription."
_SHOWN_TRANSCRIPT = 300  # characters, the last
_MOST_EVIDENCE = 10
_MOST_EVENTS = 100_000  # events kept in addition to those of the record, before everything is computed again


class Observed:
    """What the inspector has computed about a session.

    Args:
        record: The session.

    Attributes:
        axis: Its time axis.
        peaks: Its waveform.
        epoch: How often everything was computed again.
    """

    def __init__(self, record: SessionRecord) -> None:
        self._record = weakref.ref(record)  # what is computed is freed together with the session
        self.epoch = 0
        self._begin()

    @property
    def record(self) -> SessionRecord:
        """The session."""
        record = self._record()
        assert record is not None, "the reader of a session holds its record"
        return record

    def _begin(self) -> None:
        self.axis = Axis()
        self.peaks = Peaks(self.record, self.axis)
        self._texts: dict[str, str] = {}
        self._errors = 0

    def update(self) -> None:
        """Compute what is new since the last call."""
        if len(self.axis.placed) > _MOST_EVENTS:
            self.epoch += 1
            self._begin()
        first = self.axis.update(self.record.events, self.record.audio_received)
        for placed in self.axis.placed[first:]:
            event = placed.event
            if event.dropped is not None or event.sender != "server":
                continue
            self._errors += event.type == "error"
            if event.type.startswith(_TRANSCRIPTION):
                self._transcribe(event)

    def _transcribe(self, event: Event) -> None:
        """Keep what was transcribed: the completed texts, and the deltas of those that are not complete."""
        item = str(event.data.get("item_id"))
        if event.type.endswith(".delta"):
            self._texts[item] = self._texts.get(item, "") + str(event.data.get("delta", ""))
        elif event.type.endswith(".completed"):
            self._texts[item] = str(event.data.get("transcript", ""))

    def summary(self) -> dict[str, Any]:
        """Return the session as a line of the list."""
        self.update()
        summary: dict[str, Any] = mask_json(self._summary())
        return summary

    def _summary(self) -> dict[str, Any]:
        record = self.record
        close = record.close
        return {
            "number": record.number,
            "state": _state(record),
            "kind": record.kind,
            "model": _model(record),
            "url": url_parts(record),
            "opened_at": round(record.opened_at, 3),
            "opened_wall": record.opened_wall,
            "epoch": self.epoch,
            "http_status": record.http_status,
            "code": record.refusal.code if record.refusal else None,
            "close": {"code": close.code, "reason": close.reason, "by": close.by} if close else None,
            "events": len(self.axis.placed),
            "audio": round(self.axis.seconds, 3),
            "transcript": " ".join(self._texts.values())[-_SHOWN_TRANSCRIPT:],
            "errors": self._errors,
        }

    def view(self, after: int = 0) -> dict[str, Any]:
        """Return the whole session.

        Args:
            after: The events before this index are left out; the page has them already.
        """
        view: dict[str, Any] = mask_json(self._view(after))
        return view

    def _view(self, after: int) -> dict[str, Any]:
        self.update()
        record, axis = self.record, self.axis
        found = hints(axis)
        return {
            **self._summary(),
            "explanation": [*sentences(record), *found],
            "suspicious": bool(found),
            "findings": [],
            "client": record.client,
            "headers": record.handshake.headers,
            "subprotocols": record.handshake.subprotocols,
            "session": record.session,
            "format": {"type": axis.spans[-1].format.name, "rate": axis.spans[-1].format.rate},
            "peak_rate": RATE,
            "kept_from": round(axis.time_of(record.audio_dropped), 3),
            "end": round(axis.end, 3),
            "lag": round(axis.lag, 3),
            "pieces": [[round(value, 3) for value in piece] for piece in axis.pieces],
            "pings": [
                [round(axis.place_of(ping.at), 3), None if ping.answered is None else round(ping.answered - ping.at, 4)]
                for ping in record.pings
            ],
            "faults": [[round(axis.place_of(fault.at), 3), fault.action, fault.event] for fault in record.faults],
            "first": after,
            "list": [
                {
                    "sender": placed.event.sender,
                    "at": round(placed.event.at, 4),
                    "until": round(placed.event.until, 4),
                    "x": round(placed.x, 3),
                    "width": round(placed.width, 3),
                    "count": placed.event.count,
                    "type": placed.event.type,
                    "dropped": placed.event.dropped,
                    "event": placed.event.data,
                }
                for placed in axis.placed[after:]
            ],
        }


def _state(record: SessionRecord) -> str:
    if record.open:
        return "open"
    return "refused" if record.http_status != 101 or record.refusal is not None else "closed"


def _model(record: SessionRecord) -> str | None:
    """The transcription model of the session, or the model in its URL."""
    transcription = record.session.get("audio", {}).get("input", {}).get("transcription") or {}
    return transcription.get("model") or record.handshake.query.get("model", [None])[0]


def sentences(record: SessionRecord) -> list[str]:
    """Return the outcome of a session, as sentences.

    Args:
        record: The session.
    """
    texts = explain(record) if record.explanation is None else record.explanation
    return [text if "_" in text.split(" ", 1)[0] else text[:1].upper() + text[1:] for text in texts]


def work_out(record: SessionRecord) -> None:
    """Compute the waveform of a session before its oldest audio is dropped.

    Args:
        record: The session.
    """
    seen = observed(record)
    seen.update()
    seen.peaks.read_now()


def with_findings(seen: Observed, view: dict[str, Any], found: Iterable[Finding]) -> dict[str, Any]:
    """Return a session's view with the findings for which the session has evidence.

    Args:
        seen: The session.
        view: Its view.
        found: The findings of its server.
    """
    number = seen.record.number
    own = [finding for finding in found if any(evidence.session == number for evidence in finding.evidence)]
    shown: list[dict[str, Any]] = mask_json([_finding(seen, finding) for finding in own])
    return {**view, "findings": shown, "suspicious": view["suspicious"] or bool(shown)}


def _finding(seen: Observed, finding: Finding) -> dict[str, Any]:
    """Return a finding with its evidence, that of this session first."""
    number = seen.record.number
    evidence = sorted(finding.evidence, key=lambda one: one.session != number)
    return {
        **finding.as_json(),
        "evidence": [{**one.as_json(), **_place(seen, one)} for one in evidence[:_MOST_EVIDENCE]],
        "more": max(len(evidence) - _MOST_EVIDENCE, 0),
    }


def _place(seen: Observed, evidence: Evidence) -> dict[str, Any]:
    """Return where evidence is on the page: its event's index in the list, and its place on the axis."""
    index = x = None
    if evidence.session == seen.record.number:
        placed = seen.axis.placed
        if evidence.event is not None:
            # The record may have dropped its oldest events, which the page still shows.
            index = len(placed) - len(seen.record.events) + evidence.event - 1
            index = index if 0 <= index < len(placed) else None
        if evidence.at is not None:
            x = round(seen.axis.place_of(evidence.at), 3)
    return {"index": index, "x": x}


_observed: weakref.WeakKeyDictionary[SessionRecord, Observed] = weakref.WeakKeyDictionary()


def observed(record: SessionRecord) -> Observed:
    """Return what is computed about a session; it is kept as long as the session."""
    found = _observed.get(record)
    if found is None:
        found = _observed[record] = Observed(record)
    return found
