"""One client's attempt to connect: its record, the faults of the opening handshake, and whether it is admitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rtstt_core.masking import mask_keys
from rtstt_testkit.cassette.model import RecordedSession
from rtstt_testkit.mock.inspect.record import Closed, SessionRecord
from rtstt_testkit.mock.protocol.admission import Admission, HttpRefusal
from rtstt_testkit.mock.script.faults import Fault, FaultPlan

__all__ = ["ConnectAttempt"]


class ConnectAttempt:
    """An opening handshake that is not answered yet.

    Args:
        record: The record of the session.
        faults: The faults at the handshake, in order.
        admit: Returns whether the client is admitted, faults aside.
        recorded: The recorded session that answers the client, or None.

    Attributes:
        recorded: The recorded session that answers the client, or None.
        delay: Seconds until it is answered.
        reset: Whether the connection is cut then.
    """

    def __init__(
        self,
        record: SessionRecord,
        faults: Sequence[Fault],
        admit: Callable[[], Admission | HttpRefusal],
        recorded: RecordedSession | None = None,
    ) -> None:
        self.record = record
        self.recorded = recorded
        self._faults = faults
        self._admit = admit
        actions = [fault.action for fault in faults]
        self.reset = "reset" in actions
        before = faults[: actions.index("reset")] if self.reset else faults
        self.delay = sum(fault.seconds for fault in before if fault.action == "delay")

    def decide(self) -> Admission | HttpRefusal:
        """Return what the client is admitted to, or the response that refuses it."""
        return FaultPlan.refusal(self._faults) or self._admit()

    def refused(self, status: int, message: str) -> None:
        """Record the response that refused the client."""
        self.record.http_status, self.record.http_message = status, mask_keys(message)
        self.record.closed_at = self.delay

    def failed(self, error: Exception) -> None:
        """Record an exception inside the mock."""
        self.record.internal_error = f"{type(error).__name__}: {error}"
        self.refused(500, f"{self.record.internal_error}; this is a bug of the mock.")

    def lost(self) -> None:
        """Record that the client left before it was answered."""
        if self.record.open:
            self.record.close = Closed(1006, "", "server" if self.reset else "client")
            self.record.closed_at = self.delay
