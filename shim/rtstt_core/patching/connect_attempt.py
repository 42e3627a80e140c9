"""From the call of a client's `connect` to the answer: what goes wrong before there is a connection to be watched.

websockets makes the protocol, whose frames are watched, only when a TCP connection stands. So its `connect` is watched
too, and both share one `Watch`: a failure is reported once, by whichever sees it first.
"""

from __future__ import annotations

from collections.abc import Generator
from contextvars import ContextVar
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.targets import Wrap, require_method

if TYPE_CHECKING:
    from rtstt_core.patching.installation import Connections
    from rtstt_core.watch import Watch

__all__ = ["Opening", "watch_await", "watch_for"]

# A context is a task's own and a thread's own, and so is one opening of a connection.
_current: ContextVar[Opening | None] = ContextVar("rtstt_shim.opening", default=None)


class Opening:
    """One attempt to open a connection, redirects included; a context manager around the client's own.

    Args:
        url: The URL the client was given, corrected.
        connections: Makes watches, and takes what fails in our own code.
    """

    def __init__(self, url: str, connections: Connections) -> None:
        self._url = url
        self._connections = connections
        self._watch = self._fresh(url)
        self._taken = False
        self._around: Opening | None = None
        self.over = False

    def _fresh(self, url: str) -> Watch:
        watch = self._connections.watch(url)
        watch.connecting = True
        return watch

    def watch(self, url: str) -> Watch:
        """The watch of the next connection; after a redirect there is another.

        Args:
            url: The URL connected to.
        """
        if self._taken:
            self._watch = self._fresh(url)
        self._taken = True
        return self._watch

    def __enter__(self) -> Opening:
        """Be the opening that protocols made from here on belong to."""
        self._around = _current.get()
        _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Report what the client raises, which goes on to the application."""
        # Not `reset()`: a generator that is thrown away may be closed in another context, where that would raise.
        _current.set(self._around)
        self.over = True
        if error is None:
            return
        with self._connections:
            # A redirect that could not be followed is a failure of its own.
            watch = self._fresh(self._url) if self._watch.redirected else self._watch
            # The legacy client's only; of the others the protocol sees the answer.
            status = getattr(error, "status_code", None)
            if isinstance(status, int):
                watch.refused(status)
            elif isinstance(error, Exception):
                watch.failed_to_connect(error)
            else:
                watch.given_up()


def watch_for(url: str, connections: Connections) -> Watch:
    """The watch for a connection to `url`: that of the opening it belongs to, or else one of its own.

    Args:
        url: The URL connected to.
        connections: Makes watches.
    """
    opening = _current.get()
    # Callbacks of an open connection keep the context that it was opened in.
    return connections.watch(url) if opening is None or opening.over else opening.watch(url)


def watch_await(module: ModuleType, name: str, attribute: str, wrap: Wrap, connections: Connections) -> None:
    """Patch a class whose instances open a connection when they are awaited.

    Args:
        module: The module.
        name: The class.
        attribute: The attribute of its instances that holds the URL.
        wrap: Wraps one of the module's functions.
        connections: Decides about URLs and watches connections.

    Raises:
        ShapeError: The class is not what it was.
    """
    path = f"{name}.__await__"
    require_method(module, path)

    def awaited(wrapped: Any, connect: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        steps = wrapped(*args, **kwargs)
        with connections:
            opening = connections.opening(getattr(connect, attribute))
            if opening is not None:
                return _within(opening, steps)
        return steps

    wrap(module, path, awaited)


def _within(opening: Opening, steps: Any) -> Generator[Any, Any, Any]:
    with opening:
        return (yield from steps)
