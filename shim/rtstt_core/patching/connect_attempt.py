"""One attempt to open a connection: from the call of a client's `connect` to the answer to its handshake.

websockets creates the protocol, whose frames are watched, only once a TCP connection is open. So its `connect` is
watched too. Both share one `Watch`, and a failure is reported once, by whichever sees it first; the URL is decided
about once, when the attempt starts.
"""

from __future__ import annotations

from collections.abc import Generator
from contextvars import ContextVar
from time import monotonic
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.targets import require_attributes, require_callable
from rtstt_core.url_rule import fix_url

if TYPE_CHECKING:
    from rtstt_core.patching.guard import PatchContext
    from rtstt_core.url_rule import Decision
    from rtstt_core.watch import Watch

__all__ = ["ConnectAttempt", "current_attempt", "patch_awaitable", "report_failure", "start_attempt"]

# An endpoint that answers at all does so in a fraction of this.
_TIMEOUT_SECONDS = 0.5
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
        self._started = monotonic()
        self._outer: ConnectAttempt | None = None
        self.cancels_at_once = True
        self.finished = False

    def decide(self, url: str) -> Decision:
        """Return the decision about the URL of the attempt's next connection.

        Args:
            url: The URL.
        """
        if url == self.url:
            return self.decision
        # After a redirect it is another URL; until then it is the same one, without user information or a default port.
        return self._context.decide(url) if self._connected else fix_url(url)

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
            elif self.cancels_at_once or isinstance(error, Exception):
                report_failure(watch, error, self._started)
            else:
                watch.given_up()


def report_failure(watch: Watch, error: BaseException, started: float) -> None:
    """Report why an attempt failed before the server answered.

    A timeout of the application's own (`asyncio.wait_for`, `trio.move_on_after`) cancels the attempt. So does an
    application that no longer wants the connection, which is not a failure; it does so early.

    Args:
        watch: The watch of the attempt.
        error: The exception that ended it.
        started: When it started, in seconds of `time.monotonic`.
    """
    seconds = monotonic() - started
    if isinstance(error, Exception):
        watch.failed_to_connect(error)
    elif type(error).__name__ in ("CancelledError", "Cancelled") and seconds >= _TIMEOUT_SECONDS:
        watch.failed_to_connect(TimeoutError(f"the application cancelled the attempt after {seconds:.1f} s"))
    else:
        watch.given_up()


def start_attempt(url: str, context: PatchContext) -> ConnectAttempt | None:
    """Return an attempt to connect to a URL, or None if its connection is not watched.

    Args:
        url: The URL that the client was given.
        context: The target's context.
    """
    decision = context.decide(url)
    return ConnectAttempt(url, decision, context) if decision.watched else None


def current_attempt() -> ConnectAttempt | None:
    """Return the attempt that a new connection belongs to; None if its client's `connect` is not watched."""
    attempt = _current.get()
    # Callbacks of an open connection keep the context that it was opened in.
    return None if attempt is None or attempt.finished else attempt


def patch_awaitable(
    module: ModuleType, name: str, attribute: str, context: PatchContext, *, cancels_at_once: bool = True
) -> None:
    """Patch a class whose instances open a connection when they are awaited.

    Args:
        module: The module.
        name: The class.
        attribute: The attribute of its instances that holds the URL.
        context: The target's context.
        cancels_at_once: Whether an attempt that is cancelled ends at once, so that its duration tells a timeout.

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
                attempt.cancels_at_once = cancels_at_once
                return _run(attempt, steps)
        return steps

    context.wrap(module, path, wrapper)


def _run(attempt: ConnectAttempt, steps: Any) -> Generator[Any, Any, Any]:
    with attempt:
        return (yield from steps)
