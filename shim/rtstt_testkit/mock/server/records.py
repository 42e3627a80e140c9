"""What is kept of a server's sessions, and who is notified of their events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtstt_core.masking import mask_keys
from rtstt_testkit.mock.inspect.record import Event, SessionRecord
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.server.observing import ObserverThread

__all__ = ["Records"]


class Records:
    """The records of a server's sessions.

    Args:
        keep_sessions: The number of sessions to keep; the oldest that ended is dropped first.
        keep_audio: The number of bytes of audio that each keeps, None for all.
        share_audio: The number of bytes of audio that the sessions share equally, if the share is more than that.
        observer: Gets every event, None for no observer.
        before_drop: Called with a session's record before its oldest audio is dropped.

    Attributes:
        sessions: The records, in the order in which the clients connected.
        count: The number of clients that connected since the last `reset`.
        unexpected: The numbers of the connections for which the script had no transcript left.
    """

    def __init__(
        self,
        keep_sessions: int,
        keep_audio: int | None,
        observer: ObserverThread | None,
        share_audio: int = 0,
        before_drop: Callable[[SessionRecord], None] | None = None,
    ) -> None:
        self._keep_sessions = keep_sessions
        self._keep_audio = keep_audio
        self._share_audio = share_audio
        self._before_drop = before_drop
        self._observer = observer
        self._first: float | None = None
        self._waiters: list[_Waiter] = []
        self.sessions: list[SessionRecord] = []
        self.count = 0
        self.unexpected: list[int] = []

    def add(self, request: Request, now: float, wall: float) -> SessionRecord:
        """Make the record of a client that connects.

        Args:
            request: Its opening handshake.
            now: The clock, in seconds.
            wall: The time of day, in seconds since 1970.
        """
        self.count += 1
        keep = self._keep_audio
        if keep is not None:
            keep = max(keep, self._share_audio // (len(self.sessions) + 1))
        record = SessionRecord(self.count, request.record(), keep)
        record.notify = self._notify
        record.before_drop = self._before_drop
        self._first = now if self._first is None else self._first
        record.opened_at = now - self._first
        record.opened_wall = wall
        self.sessions.append(record)
        if len(self.sessions) > self._keep_sessions:
            ended = next((index for index, session in enumerate(self.sessions) if not session.open), None)
            if ended is not None:
                del self.sessions[ended]
        return record

    def since_first(self, now: float) -> float:
        """Return the time since the first client connected, in seconds.

        Args:
            now: The clock, in seconds.
        """
        return 0.0 if self._first is None else now - self._first

    def reset(self) -> None:
        """Drop the sessions that ended."""
        self.sessions = [session for session in self.sessions if session.open]
        self.count = max((session.number for session in self.sessions), default=0)
        self.unexpected = []

    async def wait_for(self, type_: str, count: int, timeout: float) -> Event | None:
        """Return the ``count``-th event of a type, past ones included; None if it does not arrive in time."""
        events = (event for session in self.sessions for event in session.events)
        seen = [event for event in events if event.type == type_ and event.dropped is None]
        if len(seen) >= count:
            return seen[count - 1]
        waiter = _Waiter(type_, count - len(seen))
        self._waiters.append(waiter)
        try:
            await asyncio.wait({waiter.future}, timeout=timeout)
        finally:
            self._waiters.remove(waiter)
        done = waiter.future.done() and not waiter.future.cancelled()
        return waiter.future.result() if done else None

    def stop_waiting(self) -> None:
        """Let every `wait_for` return."""
        for waiter in self._waiters:
            waiter.future.cancel()

    def ended(self, record: SessionRecord, at: float) -> None:
        """Show the observer how a session ended, as an event of the type ``(closed)``.

        Args:
            record: Of the session.
            at: Seconds since it opened.
        """
        close = record.close
        if self._observer is not None and close is not None:
            data = {"type": "(closed)", "code": close.code, "reason": mask_keys(close.reason)}
            self._observer.put(record, Event(close.by, at, "(closed)", data))

    def _notify(self, record: SessionRecord, event: Event) -> None:
        if self._observer is not None:
            self._observer.put(record, event)
        for waiter in self._waiters:
            waiter.receive(event)


class _Waiter:
    """A call of `Records.wait_for`."""

    def __init__(self, type_: str, missing: int) -> None:
        self.type = type_
        self.missing = missing
        self.future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

    def receive(self, event: Event) -> None:
        if event.type == self.type:
            self.missing -= 1
            if self.missing == 0 and not self.future.done():
                self.future.set_result(event)
