"""The faults of a script at the events that a client sends."""

from __future__ import annotations

from collections.abc import Callable

from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.script.faults import Fault, FaultPlan
from rtstt_testkit.mock.session.outbox import Outbox, ending_of

__all__ = ["ClientFaults"]


class ClientFaults:
    """The faults of one session at the client's events.

    Args:
        plan: The faults of the session.
        record: Where triggered faults are recorded.
        outbox: What the session sends.
        opened: The time at which the session opened, in seconds.
        emit_error: Emits an ``error`` event.
    """

    def __init__(
        self,
        plan: FaultPlan,
        record: SessionRecord,
        outbox: Outbox,
        opened: float,
        emit_error: Callable[[ApiError], None],
    ) -> None:
        self._plan = plan
        self._record = record
        self._outbox = outbox
        self._opened = opened
        self._emit_error = emit_error

    def handle(self, type_: str, handle: Callable[[], None]) -> None:
        """Handle an event with its faults before it, on it and after it.

        Args:
            type_: The event's type.
            handle: Handles the event.
        """
        matched = self._plan.match(type_, "client")
        for fault in matched:
            self._record.add_fault(self._outbox.now - self._opened, fault.action, type_)
        for fault in matched:
            if fault.before is not None and self._trigger(fault):
                return
        if any(fault.action == "drop" for fault in matched):
            return
        handle()
        for fault in matched:
            if fault.after is not None and (self._outbox.ended or self._trigger(fault)):
                return

    def _trigger(self, fault: Fault) -> bool:
        """Apply a fault after what was emitted so far; return whether it ends the session."""
        if fault.action == "delay":
            self._outbox.hold(self._outbox.now + fault.seconds)
        elif fault.action in {"error", "expire"}:
            self._emit_error(fault.error)
        ending = ending_of(fault)
        if ending is None:
            return False
        self._outbox.end(ending, by_fault=True)
        return True
