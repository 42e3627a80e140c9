"""What a session has yet to say: events with their due times, and the faults that befall them on the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from rtstt_testkit.mock.inspect.record import Closed, SessionRecord
from rtstt_testkit.mock.protocol.events import Failure, failure_fields
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.secrets import has_key, mask_keys
from rtstt_testkit.mock.script.faults import Fault, FaultPlan

__all__ = ["Close", "Outbox", "Output", "RawFrame", "Reset", "Send", "Stall", "Trickle"]


_ENCODE = json.JSONEncoder(separators=(",", ":")).encode  # one for all events: making one costs as much as encoding


class Send(NamedTuple):
    """A TEXT frame to send."""

    text: str


class Close(NamedTuple):
    """The CLOSE frame to send; nothing follows it."""

    code: int
    reason: str


class Reset(NamedTuple):
    """End the TCP connection without a CLOSE frame.

    Attributes:
        part: The payload of a TEXT frame of which half is sent first, or None.
    """

    part: bytes | None = None


class Stall(NamedTuple):
    """Keep the socket open; read nothing and send nothing any more."""


class RawFrame(NamedTuple):
    """A frame that no client should have to expect: BINARY, or TEXT that is not UTF-8."""

    payload: bytes
    binary: bool


class Trickle(NamedTuple):
    """A frame whose bytes are spread over some seconds."""

    payload: bytes
    seconds: float
    binary: bool = False


Output = Send | Close | Reset | Stall | RawFrame | Trickle
Last = Close | Reset | Stall


class _Encounter(NamedTuple):
    """An event and what has yet to go wrong with it; without the event, after it."""

    event: dict[str, Any] | None
    before: list[Fault]
    on: list[Fault]
    after: list[Fault]


Planned = dict[str, Any] | Close | Reset | Stall | _Encounter | Callable[[float], None]


class Outbox:
    """The planned events of one session.

    Args:
        record: Where what is sent is noted.
        ids: Where identifiers come from.
        faults: What goes wrong.
        now: When the session opens.

    Attributes:
        ended: Whether the last thing was planned or done.
        free: From when on the next event in order may be sent.
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
        self.free = now
        self.ended = False

    @property
    def next_due(self) -> float | None:
        """When `poll` has something to do next, None when nothing is planned."""
        return max(self._queue[0][0], self._held_until) if self._queue else None

    # -- planning

    def say(self, due: float, type_: str, fields: dict[str, Any]) -> None:
        """Plan an event; those said this way keep their order whatever their times."""
        self.free = max(self.free, due)
        self.plan(self.free, self.event(type_, fields))

    def later(self, due: float, type_: str, fields: dict[str, Any]) -> None:
        """Plan an event that comes after what was said until now, and lets what is said next overtake it."""
        self.plan(max(due, self.free), self.event(type_, fields))

    def end(self, last: Last) -> None:
        """Plan the last thing."""
        self.ended = True
        self.plan(self.free, last)

    def plan(self, due: float, planned: Planned) -> None:
        """Plan an event, the end, or a call that gets the time."""
        if self._paused and isinstance(planned, dict):
            due = max(due, self._paused_until(planned))
        self._pushed += 1
        heappush(self._queue, (due, self._pushed, planned))

    def event(self, type_: str, fields: dict[str, Any]) -> dict[str, Any]:
        """An event with its id."""
        return {"type": type_, "event_id": self._ids.new("event"), **fields}

    def hold(self, until: float) -> None:
        """Send nothing before that time."""
        self._held_until = max(self._held_until, until)

    def drop_all(self) -> None:
        """Forget what was planned: the socket is gone."""
        self.ended = True
        self._queue.clear()

    # -- sending

    def poll(self, now: float) -> list[Output]:
        """What to send now, in order."""
        outputs: list[Output] = []
        while self._queue and self._queue[0][0] <= now and self._held_until <= now:
            due, number, planned = heappop(self._queue)
            if isinstance(planned, dict):
                if self._faults:
                    self._go_on(self._meet(planned), due, number, now, outputs)
                else:
                    outputs.append(self._send(planned, now))
            elif isinstance(planned, _Encounter):
                self._go_on(planned, due, number, now, outputs)
            elif callable(planned):
                planned(max(due, self._opened))
            else:
                self._finish(planned, outputs)
        return outputs

    def _send(self, event: dict[str, Any], now: float) -> Send:
        text = _ENCODE(event)
        # An error may repeat what the client sent.
        shown = json.loads(mask_keys(text)) if event["type"] == "error" and has_key(text) else event
        self._record.add("server", now - self._opened, shown)
        return Send(text)

    def _finish(self, last: Last, outputs: list[Output]) -> None:
        self.drop_all()
        if isinstance(last, Close):
            self._record.close = Closed(last.code, last.reason, "server")
        elif isinstance(last, Reset):
            self._record.close = Closed(1006, "", "server")
        outputs += [*self._overtaken, last]
        self._overtaken = []

    # -- faults

    def _meet(self, event: dict[str, Any]) -> _Encounter:
        struck = self._faults.match(event["type"])
        before, on, after = (
            [fault for fault in struck if getattr(fault, place) is not None] for place in ("before", "on", "after")
        )
        return _Encounter(event, before, on, after)

    def _go_on(self, encounter: _Encounter, due: float, number: int, now: float, outputs: list[Output]) -> None:
        """Send an event with what goes wrong before it, to it and after it; comes back to what has to wait."""
        event, before, on, after = encounter
        while before:
            fault = before.pop(0)
            if fault.action == "delay":
                self.hold(now + fault.seconds)
                heappush(self._queue, (due, number, encounter))
                return
            if fault.action == "pause" and event is not None:
                self._pause(event, now + fault.seconds)
                heappush(self._queue, (max(due, self._paused_until(event)), number, encounter))
                return
            if self._strike(fault, now, outputs):
                return
        if event is not None and self._deliver(event, on, now, outputs):
            return
        while after:
            fault = after.pop(0)
            if fault.action == "delay":
                self.hold(now + fault.seconds)
                if after:
                    heappush(self._queue, (due, number, encounter._replace(event=None)))
                return
            if fault.action == "pause":
                if event is not None:
                    self._pause(event, now + fault.seconds)
            elif self._strike(fault, now, outputs):
                return

    def _pause(self, event: dict[str, Any], until: float) -> None:
        """Nothing more of this item's transcription before that time; all else in time."""
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

    def _strike(self, fault: Fault, now: float, outputs: list[Output]) -> bool:
        """Do what a fault before or after an event does; True when that was the end."""
        if fault.action in {"error", "expire"}:
            outputs.append(self._send(self.event("error", {"error": fault.error.body()}), now))
        last = last_act(fault)
        if last is None:
            return False
        self._finish(last, outputs)
        return True

    def _deliver(self, event: dict[str, Any], changes: list[Fault], now: float, outputs: list[Output]) -> bool:
        """Send an event as what happens to it has left it; True when that was the end."""
        for fault in changes:
            if fault.action == "fail":
                event = _failed(event, fault)
        frames = [_Frame(self._send(event, now).text.encode())]
        actions = {fault.action for fault in changes}
        for fault in changes:
            if fault.action in _CHANGES:
                frames = _CHANGES[fault.action](frames, fault)
        delivered = [frame.output() for frame in frames]
        if "truncate" in actions and frames:
            outputs += delivered[:-1]
            self._finish(Reset(frames[-1].payload), outputs)
            return True
        overtaken, self._overtaken = self._overtaken, []
        if "reorder" in actions:
            self._overtaken = delivered
        else:
            outputs += delivered
        outputs += overtaken
        return False


class _Frame(NamedTuple):
    """An event on its way through what happens to it."""

    payload: bytes
    binary: bool = False
    valid: bool = True
    seconds: float | None = None

    def output(self) -> Output:
        if self.seconds is not None:
            return Trickle(self.payload, self.seconds, self.binary)
        if self.binary or not self.valid:
            return RawFrame(self.payload, self.binary)
        return Send(self.payload.decode())


_TRANSCRIPTION = "conversation.item.input_audio_transcription."

_CHANGES: dict[str, Callable[[list[_Frame], Fault], list[_Frame]]] = {
    "drop": lambda frames, fault: [],
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


def _failed(event: dict[str, Any], fault: Fault) -> dict[str, Any]:
    """The failure of an item in place of its transcript."""
    failure = Failure(fault.said, None if fault.code is None else str(fault.code))
    where = {name: event[name] for name in ("event_id", "item_id", "content_index")}
    return {"type": f"{_TRANSCRIPTION}failed", **where, "error": failure_fields(failure, event["item_id"])}


def last_act(fault: Fault) -> Last | None:
    """How a fault ends the session, None for one that does not."""
    if fault.action == "close":
        return Close(1011 if fault.code is None else int(fault.code), fault.reason)
    if fault.action == "expire":
        return Close(1001, fault.error.message)
    if fault.action == "reset":
        return Reset()
    return Stall() if fault.action == "stall" else None
