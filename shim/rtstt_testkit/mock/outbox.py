"""What a session has yet to say: events with their due times, and the faults that befall them on the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, NamedTuple

from rtstt_testkit.mock.errors import ApiError
from rtstt_testkit.mock.faults import Fault, FaultPlan
from rtstt_testkit.mock.ids import Ids
from rtstt_testkit.mock.record import Closed, SessionRecord

__all__ = ["Close", "Odd", "Outbox", "Output", "Reset", "Send", "Stall", "Trickle"]


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
        part: The text of a frame of which half is sent first, or None.
    """

    part: str | None = None


class Stall(NamedTuple):
    """Keep the socket open; read nothing and send nothing any more."""


class Odd(NamedTuple):
    """A frame that no client should have to expect: BINARY, or TEXT that is not UTF-8."""

    payload: bytes
    binary: bool


class Trickle(NamedTuple):
    """A TEXT frame whose bytes are spread over some seconds."""

    text: str
    seconds: float


Output = Send | Close | Reset | Stall | Odd | Trickle
Last = Close | Reset | Stall
Planned = dict[str, Any] | Close | Reset | Stall | Callable[[float], None]


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
        self._delayed: int | None = None
        self._overtaken: Send | None = None
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
                    self._meet(planned, due, number, now, outputs)
                else:
                    outputs.append(self._send(planned, now))
            elif callable(planned):
                planned(max(due, self._opened))
            else:
                outputs.append(self._finish(planned))
        return outputs

    def _send(self, event: dict[str, Any], now: float) -> Send:
        self._record.add("server", now - self._opened, event)
        return Send(json.dumps(event, separators=(",", ":")))

    def _finish(self, last: Last) -> Output:
        self.drop_all()
        if isinstance(last, Close):
            self._record.close = Closed(last.code, last.reason, "server")
        elif isinstance(last, Reset):
            self._record.close = Closed(1006, "", "server")
        return last

    # -- faults

    def _meet(self, event: dict[str, Any], due: float, number: int, now: float, outputs: list[Output]) -> None:
        """Send an event with what goes wrong before it, to it and after it."""
        struck = []
        if number == self._delayed:
            self._delayed = None
        else:
            struck = self._faults.meet(event["type"])
        for fault in struck:
            if fault.before is not None:
                if fault.action == "delay":
                    self.hold(now + fault.seconds)
                    self._delayed = number
                    heappush(self._queue, (due, number, event))
                    return
                if self._strike(fault, now, outputs):
                    return
        self._deliver(event, [fault for fault in struck if fault.on is not None], now, outputs)
        for fault in struck:
            if fault.after is not None:
                if fault.action == "delay":
                    self.hold(now + fault.seconds)
                elif self._strike(fault, now, outputs):
                    return

    def _strike(self, fault: Fault, now: float, outputs: list[Output]) -> bool:
        """Do what a fault before or after an event does; True when that was the end."""
        last = last_act(fault)
        if last is not None:
            outputs.append(self._finish(last))
            return True
        outputs.append(self._send(self.event("error", {"error": fault_error(fault).body()}), now))
        return False

    def _deliver(self, event: dict[str, Any], changes: list[Fault], now: float, outputs: list[Output]) -> None:
        send = self._send(event, now)
        overtaken, self._overtaken = self._overtaken, None
        fault = changes[0] if changes else None
        if fault is None:
            outputs.append(send)
        elif fault.action == "reorder":
            self._overtaken = send
        elif fault.action == "truncate":
            outputs.append(self._finish(Reset(send.text)))
        else:
            outputs += _CHANGES[fault.action](send, fault)
        if overtaken is not None:
            outputs.append(overtaken)


_CHANGES: dict[str, Callable[[Send, Fault], list[Output]]] = {
    "drop": lambda send, fault: [],
    "duplicate": lambda send, fault: [send, send],
    "malformed": lambda send, fault: [Send(send.text[: len(send.text) // 2])],
    "invalid_utf8": lambda send, fault: [Odd(send.text.encode()[:-1] + b"\xff\xfe}", False)],
    "binary": lambda send, fault: [Odd(send.text.encode(), True)],
    "trickle": lambda send, fault: [Trickle(send.text, fault.seconds)],
}


def fault_error(fault: Fault) -> ApiError:
    """The error that an ``error`` fault sends: a server's, unless it has a code."""
    if fault.code is None:
        return ApiError(fault.message, type="server_error")
    return ApiError(fault.message, str(fault.code))


def last_act(fault: Fault) -> Last | None:
    """How a fault ends the session, None for one that does not."""
    if fault.action == "close":
        return Close(1011 if fault.code is None else int(fault.code), fault.reason)
    if fault.action == "reset":
        return Reset()
    return Stall() if fault.action == "stall" else None
