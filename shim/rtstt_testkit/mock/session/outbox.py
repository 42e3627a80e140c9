"""The events that a session has planned, with their due times, and the faults that change them on the way out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from rtstt_core.masking import mask_json
from rtstt_testkit.mock.inspect.record import Closed, Dropped, Event, SessionRecord
from rtstt_testkit.mock.protocol.events import Failure, failure_fields
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.script.faults import Fault, FaultPlan
from rtstt_testkit.mock.session.output import Close, Ending, Output, RawFrame, Reset, Send, Stall, Trickle

__all__ = ["Outbox", "ending_of"]

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode  # one for all events: making one costs as much as encoding


class _FaultedEvent(NamedTuple):
    """An event with the faults still to be applied; ``event`` is None once it was sent."""

    event: dict[str, Any] | None
    before: list[Fault]
    on: list[Fault]
    after: list[Fault]


Planned = dict[str, Any] | Close | Reset | Stall | _FaultedEvent | Callable[[float], None]


class Outbox:
    """The planned events of one session.

    Args:
        record: Where events are recorded when they are sent.
        ids: The source of identifiers.
        faults: The faults of the session.
        now: The time at which the session opens, in seconds.

    Attributes:
        now: The time of the frame that is being handled, in seconds.
        ended: Whether the session's last output is planned or sent.
        ended_by_fault: Whether a fault of the script planned or sent it.
    """

    def __init__(self, record: SessionRecord, ids: Ids, faults: FaultPlan, now: float) -> None:
        self._record = record
        self._ids = ids
        self._faults = faults
        self._opened = now
        self._queue: list[tuple[float, int, Planned]] = []
        self._pushed = 0
        self._held_until = now
        self._paused: dict[str, float] = {}
        self._overtaken: list[Output] = []
        self._free = now  # when the next event that keeps its order may be sent
        self.now = now
        self.ended = False
        self.ended_by_fault = False

    @property
    def next_due(self) -> float | None:
        """When `poll` has something to return next, or None when nothing is planned."""
        return max(self._queue[0][0], self._held_until) if self._queue else None

    # -- planning

    def emit(self, type_: str, delay: float = 0.0, /, **fields: Any) -> None:
        """Plan an event that keeps its place among all events planned this way.

        Args:
            type_: Its type.
            delay: Seconds from `now` on.
            **fields: Its other fields.
        """
        self._free = max(self._free, self.now + delay)
        self._plan(self._free, self.event(type_, fields))

    def emit_unordered(self, type_: str, delay: float, /, **fields: Any) -> None:
        """Plan an event that follows what was planned until now, and that later events may overtake.

        Args:
            type_: Its type.
            delay: Seconds from `now` on.
            **fields: Its other fields.
        """
        self._plan(max(self.now + delay, self._free), self.event(type_, fields))

    def plan(self, event: dict[str, Any], due: float) -> None:
        """Plan a whole event that keeps its place among all events that keep theirs.

        Args:
            event: The event.
            due: The time before which it is not sent, in seconds.
        """
        self._free = max(self._free, due)
        self._plan(self._free, event)

    def end(self, ending: Ending, due: float = 0.0, *, by_fault: bool = False) -> None:
        """Plan the session's last output.

        Args:
            ending: The output.
            due: The time before which it is not sent, in seconds.
            by_fault: Whether a fault of the script ends the session.
        """
        self.ended = True
        self.ended_by_fault = by_fault
        self._plan(max(self._free, due), ending)

    def break_off(self, error: dict[str, Any], ending: Ending) -> None:
        """Send an ``error`` event and end the session at once; what was planned for later is dropped.

        Args:
            error: The event's fields.
            ending: The session's last output.
        """
        self.ended = True
        self._plan(self.now, self.event("error", error))
        self._plan(self.now, ending)

    def call_at(self, due: float, callback: Callable[[float], None]) -> None:
        """Call back when a time has come.

        Args:
            due: The time, in seconds.
            callback: Called with that time.
        """
        self._plan(due, callback)

    def event(self, type_: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return an event with a new identifier."""
        return {"type": type_, "event_id": self._ids.new("event"), **fields}

    def hold(self, until: float) -> None:
        """Send nothing before a time, in seconds."""
        self._held_until = max(self._held_until, until)

    def drop_all(self) -> None:
        """Discard what was planned and record it as dropped."""
        self.ended = True
        why: Dropped = "end" if self.ended_by_fault else "close"
        queue, self._queue = sorted(self._queue, key=lambda entry: entry[:2]), []
        for due, _, planned in queue:
            event = planned.event if isinstance(planned, _FaultedEvent) else planned
            if isinstance(event, dict):
                self._record.add("server", max(due, self.now) - self._opened, _shown(event), why)
        self.unsent(self._overtaken)
        self._overtaken = []

    def abandon(self, type_: str, /, **fields: Any) -> None:
        """Record an event that a commit would have planned, and that the connection's end prevents.

        Args:
            type_: Its type.
            **fields: Its other fields.
        """
        self._record.add("server", self.now - self._opened, self.event(type_, fields), "uncommitted")

    def unsent(self, outputs: Sequence[Output]) -> None:
        """Record that outputs were not written."""
        for output in outputs:
            if isinstance(output, Send | RawFrame | Trickle) and output.event is not None:
                output.event.dropped = "close"

    def _plan(self, due: float, planned: Planned) -> None:
        if self._paused and isinstance(planned, dict):
            due = max(due, self._paused_until(planned))
        self._pushed += 1
        heappush(self._queue, (due, self._pushed, planned))

    # -- sending

    def poll(self, now: float) -> list[Output]:
        """Return what to send now, in order.

        Args:
            now: The current time, in seconds.
        """
        outputs: list[Output] = []
        while self._queue and self._queue[0][0] <= now and self._held_until <= now:
            due, number, planned = heappop(self._queue)
            if isinstance(planned, dict):
                if self._faults:
                    self._apply_faults(self._match_faults(planned, now), due, number, now, outputs)
                else:
                    outputs.append(self._send(planned, now))
            elif isinstance(planned, _FaultedEvent):
                self._apply_faults(planned, due, number, now, outputs)
            elif callable(planned):
                planned(max(due, self._opened))
            else:
                self._end_with(planned, outputs)
        return outputs

    def _send(self, event: dict[str, Any], now: float) -> Send:
        return Send(_ENCODE(event), self._record.add("server", now - self._opened, _shown(event)))

    def _end_with(self, ending: Ending, outputs: list[Output]) -> None:
        outputs += self._overtaken
        self._overtaken = []
        self.drop_all()
        if isinstance(ending, Close):
            self._record.close = Closed(ending.code, ending.reason, "server")
        elif isinstance(ending, Reset):
            self._record.close = Closed(1006, "", "server")
        outputs.append(ending)

    # -- faults

    def _match_faults(self, event: dict[str, Any], now: float) -> _FaultedEvent:
        matched = self._faults.match(event["type"])
        for fault in matched:
            self._record.add_fault(now - self._opened, fault.action, event["type"])
        before, on, after = (
            [fault for fault in matched if getattr(fault, place) is not None] for place in ("before", "on", "after")
        )
        return _FaultedEvent(event, before, on, after)

    def _apply_faults(self, faulted: _FaultedEvent, due: float, number: int, now: float, outputs: list[Output]) -> None:
        """Send an event with its faults before it, on it and after it; put back what has to wait."""
        event, before, on, after = faulted
        while before:
            fault = before.pop(0)
            if fault.action == "delay":
                self.hold(now + fault.seconds)
                heappush(self._queue, (due, number, faulted))
                return
            if ending_of(fault) is not None:
                heappush(self._queue, (due, number, faulted))  # the first to be dropped
            if fault.action == "pause" and event is not None:
                self._pause(event, now + fault.seconds)
                heappush(self._queue, (max(due, self._paused_until(event)), number, faulted))
                return
            if self._trigger(fault, now, outputs):
                return
        if event is not None and self._deliver(event, on, now, outputs):
            return
        while after:
            fault = after.pop(0)
            if fault.action == "delay":
                self.hold(now + fault.seconds)
                if after:
                    heappush(self._queue, (due, number, faulted._replace(event=None)))
                return
            if fault.action == "pause":
                if event is not None:
                    self._pause(event, now + fault.seconds)
            elif self._trigger(fault, now, outputs):
                return

    def _pause(self, event: dict[str, Any], until: float) -> None:
        """Send nothing more of this item's transcription before a time; other events are not delayed."""
        self._paused[event["item_id"]] = until
        self._queue = [
            (max(due, self._paused_until(planned)) if isinstance(planned, dict) else due, number, planned)
            for due, number, planned in self._queue
        ]
        heapify(self._queue)

    def _paused_until(self, event: dict[str, Any]) -> float:
        if not event["type"].startswith(_TRANSCRIPTION):
            return self._opened
        return self._paused.get(event["item_id"], self._opened)

    def _trigger(self, fault: Fault, now: float, outputs: list[Output]) -> bool:
        """Apply a fault before or after an event; return whether it ended the session."""
        if fault.action in {"error", "expire"}:
            outputs.append(self._send(self.event("error", {"error": fault.error.body()}), now))
        ending = ending_of(fault)
        if ending is None:
            return False
        self.ended_by_fault = True
        self._end_with(ending, outputs)
        return True

    def _deliver(self, event: dict[str, Any], changes: list[Fault], now: float, outputs: list[Output]) -> bool:
        """Send an event as its faults have left it; return whether that ended the session."""
        for fault in changes:
            if fault.action == "fail":
                event = _failed(event, fault)
        actions = {fault.action for fault in changes}
        if "drop" in actions:
            self._record.add("server", now - self._opened, _shown(event), "fault")
            frames = []
        else:
            sent = self._send(event, now)
            frames = [_Frame(sent.text.encode(), sent.event)]
        for fault in changes:
            if fault.action in _CHANGES:
                frames = _CHANGES[fault.action](frames, fault)
        delivered = [frame.output() for frame in frames]
        if "truncate" in actions and frames:
            outputs += delivered[:-1]
            if len(frames) == 1 and frames[0].event is not None:
                frames[0].event.dropped = "fault"  # half a frame is not an event
            self.ended_by_fault = True
            self._end_with(Reset(frames[-1].payload), outputs)
            return True
        overtaken, self._overtaken = self._overtaken, []
        if "reorder" in actions:
            self._overtaken = delivered
        else:
            outputs += delivered
        outputs += overtaken
        return False


class _Frame(NamedTuple):
    """An event's frame while faults change it."""

    payload: bytes
    event: Event | None
    binary: bool = False
    valid: bool = True
    seconds: float | None = None

    def output(self) -> Output:
        if self.seconds is not None:
            return Trickle(self.payload, self.seconds, self.binary, self.event)
        if self.binary or not self.valid:
            return RawFrame(self.payload, self.binary, self.event)
        return Send(self.payload.decode(), self.event)


_TRANSCRIPTION = "conversation.item.input_audio_transcription."

_CHANGES: dict[str, Callable[[list[_Frame], Fault], list[_Frame]]] = {
    "duplicate": lambda frames, fault: frames * 2,
    "malformed": lambda frames, fault: [
        frame._replace(payload=frame.payload[: len(frame.payload) // 2]) for frame in frames
    ],
    "invalid_utf8": lambda frames, fault: [
        frame._replace(payload=frame.payload[:-1] + b"\xff\xfe}", valid=False) for frame in frames
    ],
    "binary": lambda frames, fault: [frame._replace(binary=True) for frame in frames],
    "trickle": lambda frames, fault: [frame._replace(seconds=fault.seconds) for frame in frames],
}


def _shown(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event as it is recorded: all but transcripts may repeat a secret that the client sent."""
    if event["type"].startswith(_TRANSCRIPTION):
        return event
    masked: dict[str, Any] = mask_json(event)
    return masked


def _failed(event: dict[str, Any], fault: Fault) -> dict[str, Any]:
    """Return the failure of an item in place of its transcript."""
    failure = Failure(fault.error_message, None if fault.code is None else str(fault.code))
    ids = {name: event[name] for name in ("event_id", "item_id", "content_index")}
    return {"type": f"{_TRANSCRIPTION}failed", **ids, "error": failure_fields(failure, event["item_id"])}


def ending_of(fault: Fault) -> Ending | None:
    """Return how a fault ends the session, or None for one that does not."""
    if fault.action == "close":
        return Close(1011 if fault.code is None else int(fault.code), fault.reason)
    if fault.action == "expire":
        return Close(1001, fault.error.message)
    if fault.action == "reset":
        return Reset()
    return Stall() if fault.action == "stall" else None
