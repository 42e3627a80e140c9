"""The mock for synchronous code: the same server, in a thread with its own event loop.

Other threads read what happened while the loop goes on. What they are given is collected in the loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from rtstt_testkit.mock.inspect.record import Event, SessionRecord
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.script.script import Script, ScriptCursor
from rtstt_testkit.mock.server.examined import Examined
from rtstt_testkit.mock.server.server import RealtimeServer

__all__ = ["ThreadedRealtimeServer"]

T = TypeVar("T")


class ThreadedRealtimeServer(Examined):
    """A `RealtimeServer` for ``with``: the same arguments and methods, without ``await``.

    Args:
        **options: The arguments of `RealtimeServer`.
    """

    def __init__(self, **options: Any) -> None:
        self._server = RealtimeServer(**options)
        self._strict = options.get("strict", True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    @property
    def url(self) -> str:
        """The WebSocket address, such as ``ws://127.0.0.1:40123/v1/realtime``."""
        return self._server.url

    @property
    def base_url(self) -> str:
        """The address of the API, such as ``http://127.0.0.1:40123/v1``, for a client's ``base_url``."""
        return self._server.base_url

    @property
    def sessions(self) -> list[SessionRecord]:
        """What happened on each connection, in the order in which the clients connected: a new list every time."""
        return self._call(lambda: list(self._server.sessions))

    @property
    def cursor(self) -> ScriptCursor:
        """The position in the script."""
        return self._server.cursor

    def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: The address cannot be bound, for example because the port is in use.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rtstt-mock", daemon=True)
        self._thread.start()
        try:
            self._run(self._server.start())
        except BaseException:
            self._end_thread()
            raise

    def stop(self) -> None:
        """Close every session with CLOSE 1001, cut the connections that do not answer, and stop listening."""
        if self._loop is not None:
            self._run(self._server.stop())
            self._end_thread()

    def wait_for(self, type_: str, *, count: int = 1, timeout: float = 5.0) -> Event:
        """Wait until events of a type were sent or received on any connection; past ones count.

        Args:
            type_: The type, such as ``conversation.item.input_audio_transcription.completed``.
            count: The number of events to wait for.
            timeout: Seconds to wait.

        Returns:
            The ``count``-th event.

        Raises:
            TimeoutError: There were fewer; the message shows what was sent and received instead.
            RuntimeError: The server is not running.
        """
        return self._run(self._server.wait_for(type_, count=count, timeout=timeout))

    def verify(self) -> None:
        """Check that the script was used up, and that no client connected that was not expected.

        Raises:
            ScriptNotFollowed: It was not; the message says what was expected, what happened and how to relax it.
            CassetteMismatch: A client did something else than the recorded one.
        """
        __tracebackhide__ = True
        self._call(self._server.verify)

    def replays(self, request: Request) -> bool:
        """Return whether the recording has a session for a request left.

        Args:
            request: The client's handshake.
        """
        return self._call(lambda: self._server.player is not None and self._server.player.has(request.record()))

    def explain(self) -> str:
        """Return the outcome of each session, in words; see `RealtimeServer.explain`."""
        return self._call(self._server.explain)

    def _elapsed(self) -> float:
        return self._server._elapsed()

    def load(self, script: Script) -> None:
        """Replace the script; its faults apply to connections made from now on.

        Args:
            script: The new script.

        Raises:
            RuntimeError: The server is not running.
        """
        self._run_now(lambda: self._server.load(script))

    def reset(self) -> None:
        """Drop the sessions that ended, and start the script again."""
        self._run_now(self._server.reset)

    def advance(self, seconds: float) -> None:
        """Move virtual time; what is due in between happens in order, at its own time.

        Args:
            seconds: How far.

        Raises:
            RuntimeError: The server is not running, or its time is not virtual.
        """
        self._run(self._server.advance(seconds))

    def __enter__(self) -> ThreadedRealtimeServer:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        self.stop()
        if exc_type is None and self._strict:
            self.verify()

    def _call(self, function: Callable[[], T]) -> T:
        """Return what a function returns, called in the loop while that runs."""
        __tracebackhide__ = True
        if self._loop is None or threading.current_thread() is self._thread:
            return function()
        return self._run_now(function)

    def _run_now(self, function: Callable[[], T]) -> T:
        __tracebackhide__ = True

        async def run() -> T:
            __tracebackhide__ = True
            return function()

        return self._run(run())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        __tracebackhide__ = True
        if self._loop is None:
            work.close()
            raise RuntimeError("the server is not running; use it in a `with` block, or call start()")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end_thread(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
