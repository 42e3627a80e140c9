"""The observer of a server, in its own thread: a slow or failing observer never delays a session."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from rtstt_testkit.mock.inspect.record import Event, SessionRecord

__all__ = ["Observer", "ObserverThread"]

Observer = Callable[[SessionRecord, Event], None]

_EVENTS = 10_000  # that wait for a slow observer; those beyond are missed
_END_SECONDS = 1.0  # for the last of them to be observed when the server stops

_logger = logging.getLogger("rtstt_testkit.mock")


class ObserverThread:
    """Calls an observer with one event after the other.

    Args:
        observer: The observer.

    Attributes:
        errors: The number of exceptions that it raised.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._events: queue.Queue[tuple[SessionRecord, Event] | None] = queue.Queue(_EVENTS)
        self._missed: tuple[SessionRecord, Event] | None = None
        self._thread: threading.Thread | None = None
        self._ended = False
        self.errors = 0

    def put(self, record: SessionRecord, event: Event) -> None:
        """Hand over an event; while the observer is far behind, only count it.

        Args:
            record: The session's record.
            event: The event; the observer gets a copy of it, because a run of appends grows.
        """
        if self._thread is None:
            self._ended = False
            self._thread = threading.Thread(target=self._run, name="rtstt-mock-observer", daemon=True)
            self._thread.start()
        try:
            if self._missed is not None:
                self._events.put_nowait(self._missed)
                self._missed = None
            self._events.put_nowait((record, replace(event, data=dict(event.data))))
        except queue.Full:
            if self._missed is None:
                self._missed = record, Event("server", event.at, "(missed)", {"type": "(missed)", "count": 0})
            self._missed[1].data["count"] += 1

    def end(self) -> None:
        """Let the thread end when the observer has got every event."""
        self._ended = True
        with suppress(queue.Full):
            self._events.put_nowait(None)

    def join(self) -> None:
        """Wait for that, unless the observer is too slow."""
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_END_SECONDS)

    def _run(self) -> None:
        while not (self._ended and self._events.empty()):
            entry = self._events.get()
            if entry is not None:
                self._observe(*entry)
        if self._missed is not None:
            self._observe(*self._missed)

    def _observe(self, record: SessionRecord, event: Event) -> None:
        try:
            self._observer(record, event)
        except Exception as error:
            self.errors += 1
            if self.errors == 1:
                _logger.error("the observer raised an exception; further ones are only counted", exc_info=error)
