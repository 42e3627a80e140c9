"""Functions called a fixed time later, all of them on one thread that runs only while a call is due."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep

from rtstt_core.forking import call_in_forked_child

__all__ = ["Delay"]


class Delay:
    """Calls functions a fixed time after they were added, in that order.

    A call that raises does not affect the others. No lock is held during a call. What is still due when the process
    exits is called then.

    Args:
        seconds: The time between `add` and the call.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._due: deque[tuple[float, Callable[[], None]]] = deque()
        self._running = False
        # Reentrant: a signal handler or a finalizer may add a call while its thread is in `add`.
        self._lock = threading.RLock()
        atexit.register(self.call_all)
        call_in_forked_child(self._reset)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._due.clear()
        self._running = False

    def add(self, function: Callable[[], None]) -> bool:
        """Add a call.

        Args:
            function: What to call.

        Returns:
            Whether it will be called: False if no thread can be started, as in an interpreter that is exiting.
        """
        with self._lock:
            self._due.append((monotonic() + self.seconds, function))
            if self._running:
                return True
            self._running = True
            try:
                threading.Thread(target=self._run, name="rtstt_shim", daemon=True).start()
            except RuntimeError:
                self._running = False
                self._due.clear()
                return False
            return True

    def call_all(self) -> None:
        """Make all calls now, those included that a call adds."""
        while self._due:
            with contextlib.suppress(IndexError):
                self._call(self._due.popleft()[1])

    @staticmethod
    def _call(function: Callable[[], None]) -> None:
        with contextlib.suppress(Exception):
            function()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._due:
                    self._running = False
                    return
                at, function = self._due[0]
                wait = at - monotonic()
                if wait <= 0:
                    self._due.popleft()
            if wait > 0:
                sleep(wait)
            else:
                self._call(function)
