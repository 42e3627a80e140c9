"""Drives one session: messages and time go in, what the session sends goes out; one timer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from rtstt_testkit.mock.inspect.record import Closed, SessionRecord
from rtstt_testkit.mock.protocol.events import plain_append
from rtstt_testkit.mock.server.websocket import WebSocket
from rtstt_testkit.mock.session.output import Close, Output, RawFrame, Reset, Send, Stall, Trickle
from rtstt_testkit.mock.session.replay import ReplaySession
from rtstt_testkit.mock.session.session import Session

__all__ = ["Clock", "SessionDriver"]

_TRICKLE_PIECES = 20
_BATCH = 64 * 1024  # bytes of events in one write

_logger = logging.getLogger("rtstt_testkit.mock")


class Clock(Protocol):
    """The server's time."""

    def now(self) -> float:
        """Return the clock, in seconds."""

    def wall(self) -> float:
        """Return the time of day, in seconds since 1970."""

    @property
    def virtual_time(self) -> bool:
        """Whether time moves only in `RealtimeServer.advance`."""


class SessionDriver:
    """Connects a session with its WebSocket and the server's clock.

    Args:
        clock: The server's time.
        session: The session.
        ended: Called when the session is over, with the seconds since it opened.
    """

    __slots__ = (
        "_appends",
        "_clock",
        "_ended",
        "_loop",
        "_now",
        "_opened",
        "_outputs",
        "_session",
        "_timer",
        "_timer_due",
        "_trickle",
        "_trickling",
        "_websocket",
    )

    def __init__(
        self, clock: Clock, session: Session | ReplaySession, ended: Callable[[SessionDriver, float], None]
    ) -> None:
        self._clock = clock
        self._session = session
        self._ended: Callable[[SessionDriver, float], None] | None = ended
        self._loop = asyncio.get_running_loop()
        self._websocket: WebSocket | None = None
        self._now = self._opened = clock.now()
        self._appends: list[bytes] = []
        self._outputs: deque[Output] = deque()
        self._trickle: asyncio.TimerHandle | None = None
        self._trickling: Trickle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due: float | None = None

    @property
    def record(self) -> SessionRecord:
        """The record of the session."""
        return self._session.record

    @property
    def next_due(self) -> float | None:
        """When there is something to send next, None when there is nothing or it cannot be sent."""
        return self._session.next_due if self._websocket is not None and self._websocket.can_send else None

    def start(self, websocket: WebSocket) -> None:
        """Open the session on a WebSocket."""
        self._websocket = websocket
        try:
            self._session.start(self._clock.wall())
        except Exception as error:
            self.failed(error)
        self.flush()

    # -- what the WebSocket calls

    def begin(self) -> None:
        """Take the time at which the messages until `settle` arrived."""
        self._now = self._clock.now()

    def receive_text(self, payload: bytes) -> bool:
        """Give the session a TEXT message; return False when it is not UTF-8."""
        if self._session.accepts_appends and (audio := plain_append(payload)) is not None:
            self._appends.append(audio)
            return True
        try:
            text = str(payload, "utf-8")
        except UnicodeDecodeError:
            return False
        self.before_control()
        self._receive_frame(text)
        return True

    def receive_binary(self, payload: bytes) -> None:
        """Give the session a BINARY message."""
        self.before_control()
        self._receive_frame(payload)

    def before_control(self) -> None:
        """Give the session the appends that were collected."""
        if self._appends:
            appends, self._appends = self._appends, []
            try:
                self._session.append_audio(appends, self._now)
            except Exception as error:
                self.failed(error)

    def ping_sent(self) -> None:
        """Record a PING of the server's."""
        self._session.record.add_ping(self._clock.now() - self._opened)

    def pong_received(self) -> None:
        """Record the PONG that answers it."""
        self._session.record.add_pong(self._clock.now() - self._opened)

    def settle(self) -> None:
        """Send what is due, or set the timer."""
        self.before_control()
        due = self._session.next_due
        if due is not None and due <= self._now:
            self.flush()
        elif due != self._timer_due:
            self._set_timer()

    def writable(self) -> None:
        """Send what became due while the client did not read."""
        self.flush()

    def closed(self, close: Closed) -> None:
        """End the session; what was planned is dropped."""
        self._cancel_timer()
        if self._trickle is not None:
            self._trickle.cancel()
            self._trickle = None
        if self._trickling is not None:
            self._outputs.appendleft(self._trickling)
            self._trickling = None
        unsent, self._outputs = self._outputs, deque()
        self._websocket = None
        self._session.unsent(list(unsent))
        self._session.closed(close)
        self.record.closed_at = self._clock.now() - self._opened
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self, self._clock.now() - self._opened)

    # -- sending

    def flush(self) -> None:
        """Send what is due, as far as the client reads it."""
        while self._trickle is None and self._websocket is not None and self._websocket.can_send:
            if not self._outputs:
                try:
                    self._outputs.extend(self._session.poll(self._clock.now()))
                except Exception as error:
                    self.failed(error)
                    return
                if not self._outputs:
                    break
            self._send(self._websocket)
        self._set_timer()

    def _send(self, websocket: WebSocket) -> None:
        """Send events that are due together with one write, or carry out the next output."""
        outputs = self._outputs
        texts: list[bytes] = []
        size = 0
        while outputs and isinstance(outputs[0], Send) and size < _BATCH:
            text = outputs.popleft().text.encode()  # type: ignore[union-attr]
            texts.append(text)
            size += len(text)
        if texts:
            websocket.send_texts(texts)
        else:
            self._carry_out(websocket, outputs.popleft())

    def _carry_out(self, websocket: WebSocket, output: Output) -> None:
        if isinstance(output, Close):
            websocket.close(output.code, output.reason)
        elif isinstance(output, RawFrame):
            websocket.send_frame(output.payload, binary=output.binary)
        elif isinstance(output, Trickle):
            self._trickling = output
            self._send_slowly(websocket, websocket.frame(output.payload, binary=output.binary), output.seconds)
        elif isinstance(output, Stall):
            websocket.stall()
        elif isinstance(output, Reset):
            if output.part is None:
                websocket.reset()
            else:
                data = websocket.frame(output.part)
                websocket.write_part(data[: len(data) // 2], last=False)
                websocket.transport.close()

    def _send_slowly(self, websocket: WebSocket, data: bytes, seconds: float) -> None:
        """Send a frame in pieces; what follows waits."""
        size = len(data) if self._clock.virtual_time else max(1, -(-len(data) // _TRICKLE_PIECES))
        pause = seconds * size / len(data)

        def send_next(at: int) -> None:
            self._trickle = None
            if at < len(data):
                last = at + size >= len(data)
                if last:
                    self._trickling = None
                websocket.write_part(data[at : at + size], last=last)
                if not self._clock.virtual_time:
                    self._trickle = self._loop.call_later(pause, send_next, at + size)
            else:
                self.flush()

        send_next(0)

    # -- time

    def _set_timer(self) -> None:
        due = self.next_due
        if due == self._timer_due or self._clock.virtual_time:
            return
        self._cancel_timer()
        if due is not None:
            self._timer = self._loop.call_at(due, self._on_timer)
            self._timer_due = due

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_due = None

    def _on_timer(self) -> None:
        self._timer = self._timer_due = None
        self.flush()

    # -- failures

    def _receive_frame(self, frame: str | bytes) -> None:
        try:
            self._session.receive_frame(frame, self._now)
        except Exception as error:
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Log an exception of the mock itself, and end the session with CLOSE 1011."""
        record = self._session.record
        record.internal_error = f"{type(error).__name__}: {error}"
        _logger.error("internal error of the mock in session %d", record.number, exc_info=error)
        if self._websocket is not None:
            self._websocket.close(1011, "internal error of the mock")
