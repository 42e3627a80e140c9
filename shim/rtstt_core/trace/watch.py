"""A watch that also traces what it receives."""

from __future__ import annotations

from collections.abc import Callable

from rtstt_core.connect_error import cause_of, describe
from rtstt_core.report import ConnectionInfo
from rtstt_core.trace.file import trace_file
from rtstt_core.trace.session import SessionTrace
from rtstt_core.url_rule import Decision
from rtstt_core.watch import Watch

__all__ = ["TracedWatch", "traced_watch"]

_TEXT = 0x1


def traced_watch(info: ConnectionInfo, on: Callable[[], bool], decision: Decision, setting: str) -> Watch:
    """Return a watch that traces its connection; a plain one if the trace cannot be written.

    Args:
        info: The connection.
        on: Returns whether the shim is still installed.
        decision: The decision about the connection's URL.
        setting: The value of ``RTSTT_SHIM_TRACE``.
    """
    file = trace_file(setting)
    if file is None or not file.writable:
        return Watch(info, on, decision.session)
    details = {"kind": decision.session, "library": f"{info.library} {info.version}".rstrip()}
    if decision.changed:
        details["corrected"] = decision.reason
    trace = SessionTrace(file, info.url, details, answers_pings=info.library == "websockets")
    return TracedWatch(info, on, decision, trace)


class TracedWatch(Watch):
    """A watch that passes what it receives to a trace as well.

    Args:
        info: The connection.
        on: Returns whether the shim is still installed; once it is not, nothing is traced.
        decision: The decision about the connection's URL.
        trace: The connection's trace.
    """

    __slots__ = ("_in_frame", "_traced_on", "trace")

    def __init__(self, info: ConnectionInfo, on: Callable[[], bool], decision: Decision, trace: SessionTrace) -> None:
        super().__init__(info, on, decision.session)
        self._traced_on = on
        self._in_frame = False
        self.trace = trace

    def frame(self, opcode: int, fin: bool, data: bytes | bytearray | memoryview) -> None:
        """Receive one frame from the server; see `Watch.frame`."""
        if self._traced_on():
            self.trace.frame("server", opcode, fin, data)
        self._in_frame = True
        try:
            super().frame(opcode, fin, data)
        finally:
            self._in_frame = False

    def message(self, data: str | bytes | bytearray | memoryview) -> None:
        """Receive one whole text message from the server; see `Watch.message`."""
        if not self._in_frame and self._traced_on():
            self.trace.frame("server", _TEXT, True, data)
        super().message(data)

    def closed(self, code: int, reason: str, *, by_client: bool = False) -> None:
        """Receive the end of the connection; see `Watch.closed`."""
        if self._traced_on():
            self.trace.closed(code, reason, "client" if by_client else "server")
        super().closed(code, reason, by_client=by_client)

    def refused(self, status: int, body: str = "") -> None:
        """Receive a response to the handshake other than 101; see `Watch.refused`."""
        if self._traced_on():
            self.trace.refused(status, body)
        super().refused(status, body)

    def failed_to_connect(self, error: BaseException) -> None:
        """Receive an exception that was raised before the server answered; see `Watch.failed_to_connect`."""
        if self._traced_on():
            self.trace.failed(describe(error), cause_of(error))
        super().failed_to_connect(error)

    def given_up(self) -> None:
        """Receive the end of a connect attempt that the application cancelled; see `Watch.given_up`."""
        if self._traced_on():
            self.trace.failed("the application cancelled the attempt", "cancelled")
        super().given_up()
