"""One attempt to open a connection: from the call of a client's `connect` to the answer to its handshake.

websockets creates the protocol, whose frames are watched, only once a TCP connection is open. So its `connect` is
watched too. Both share one `Watch`, and a failure is reported once, by whichever sees it first; the URL is decided
about once, when the attempt starts.
"""

from __future__ import annotations

from collections.abc import Generator
from contextvars import ContextVar
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.targets import require_attributes, require_callable

if TYPE_CHECKING:
    from rtstt_core.patching.guard import PatchContext
    from rtstt_core.url_rule import Decision
    from rtstt_core.watch import Watch

__all__ = ["ConnectAttempt", "current_attempt", "patch_awaitable", "start_attempt"]

# Every task and every thread has a context of its own, and so does every attempt.
_current: ContextVar[ConnectAttempt | None] = ContextVar("rtstt_shim.connect_attempt", default=None)


class ConnectAttempt:
    """One attempt to open a connection, redirects included; a context manager around the client's own code.

    Args:
        url: The URL that the client was given.
        decision: The decision about it.
        context: The target's context.
    """

    def __init__(self, url: str, decision: Decision, context: PatchContext) -> None:
        self.url = url
        self.decision = decision
        self._context = context
        self._watch = context.watch(decision)
        self._connected = False
        self._outer: ConnectAttempt | None = None
        self.finished = False

    def watch(self, decision: Decision) -> Watch:
        """Return the watch for the next connection of the attempt; after a redirect it is another one.

        Args:
            decision: The decision about the URL of the connection.
        """
        if self._connected:
            self._watch = self._context.watch(decision)
        self._connected = True
        return self._watch

    def __enter__(self) -> ConnectAttempt:
        """Make this the attempt that new protocols belong to."""
        self._outer = _current.get()
        _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Report the exception that the client raises, which goes on to the application."""
        # Not `reset()`: an abandoned generator may be closed in another context, where that would raise.
        _current.set(self._outer)
        self.finished = True
        if error is None:
            return
        with self._context.capture_internal_errors():
            # A redirect that could not be followed is a failure of its own.
            watch = self._context.watch(self.decision) if self._watch.redirected else self._watch
            # Of websockets' legacy client; of the others the protocol sees the response.
            status = getattr(error, "status_code", None)
            if isinstance(status, int):
                watch.refused(status)
            elif isinstance(error, Exception):
                watch.failed_to_connect(error)
            else:
                watch.given_up()


def start_attempt(url: str, context: PatchContext) -> ConnectAttempt | None:
    """Return an attempt to connect to a URL, or None if its connection is not watched.

    Args:
        url: The URL that the client was given.
        context: The target's context.
    """
    decision = context.decide(url)
    return ConnectAttempt(url, decision, context) if decision.transcription else None


def current_attempt() -> ConnectAttempt | None:
    """Return the attempt that a new connection belongs to; None if its client's `connect` is not watched."""
    attempt = _current.get()
    # Callbacks of an open connection keep the context that it was opened in.
    return None if attempt is None or attempt.finished else attempt


def patch_awaitable(module: ModuleType, name: str, attribute: str, context: PatchContext) -> None:
    """Patch a class whose instances open a connection when they are awaited.

    Args:
        module: The module.
        name: The class.
        attribute: The attribute of its instances that holds the URL.
        context: The target's context.

    Raises:
        ShapeError: The class has no ``__await__`` or no such attribute.
    """
    path = f"{name}.__await__"
    require_callable(module, path)
    require_attributes(getattr(module, name), attribute)

    def wrapper(wrapped: Any, connect: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        steps = wrapped(*args, **kwargs)
        with context.capture_internal_errors():
            attempt = start_attempt(getattr(connect, attribute), context)
            if attempt is not None:
                return _run(attempt, steps)
        return steps

    context.wrap(module, path, wrapper)


def _run(attempt: ConnectAttempt, steps: Any) -> Generator[Any, Any, Any]:
    with attempt:
        return (yield from steps)
