"""What the wrappers of one patched target share: decisions, watches, and a guard against the shim's own errors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

from rtstt_core.patching.messages import describe, log
from rtstt_core.patching.targets import Target
from rtstt_core.patching.wrapping import Wrappers
from rtstt_core.url_rule import Decision, fix_url

if TYPE_CHECKING:
    from rtstt_core.watch import Watch

__all__ = ["Counters", "PatchContext", "State"]

_CLOSE = 0x8

State = Literal["waiting", "patched", "skipped", "failed", "off"]


class Counters:
    """What an installation did so far.

    Attributes:
        corrected: How many URLs it corrected.
        watched: How many connections it watched.
    """

    def __init__(self) -> None:
        self.corrected = 0
        self.watched = 0


class PatchContext:
    """One target as it is patched now.

    Args:
        target: The target.
        version: The library's version.
        counters: Where corrections and watches are counted.
        module: The target's module.

    Attributes:
        state: The state of the target.
        detail: The reason for the state; may be empty.
        enabled: Whether the wrappers are on. Switched off before they are removed, because an open session may hold a
            wrapped method for hours.
        spec: The module's import spec, by which a reload is recognized: it keeps the module and gives it another spec.
        wrap: Wraps a function of the target; see `Wrappers.wrap`.
    """

    def __init__(self, target: Target, version: str, counters: Counters, module: ModuleType | None = None) -> None:
        self.target = target
        self.version = version
        self.spec = getattr(module, "__spec__", None)
        self.state: State = "patched"
        self.detail = ""
        self.enabled = True
        self._counters = counters
        self._wrappers = Wrappers(self.is_enabled)
        self._guard = _Guard(self)
        self.wrap = self._wrappers.wrap

    def __str__(self) -> str:
        """Return the target and its version, for a log line."""
        return f"{self.target.name} {self.version or '(version unknown)'}"

    def is_enabled(self) -> bool:
        """Return whether the wrappers are on."""
        return self.enabled

    def undo(self) -> None:
        """Switch the wrappers off and remove them."""
        self.enabled = False
        self.detail = self._wrappers.unwrap() or self.detail
        self.state = "off"

    def decide(self, url: object) -> Decision:
        """Apply the URL rule; count a correction, and log the first one of the process.

        Args:
            url: The URL that the client is about to connect to. A value that is not a string is left for the client to
                reject.
        """
        decision = fix_url(url if isinstance(url, str) else "")
        if decision.changed:
            self._counters.corrected += 1
            if self._counters.corrected == 1:
                from rtstt_core.redact import redact_url

                log(
                    "info",
                    f"corrected the URL of a {self.target.library} connection from {redact_url(str(url))} "
                    f"to {redact_url(decision.url)}: {decision.reason}",
                )
        return decision

    def watch(self, decision: Decision) -> Watch:
        """Return a watch for a new connection.

        Args:
            decision: The decision about its URL.
        """
        from rtstt_core.report import ConnectionInfo
        from rtstt_core.watch import Watch

        self._counters.watched += 1
        info = ConnectionInfo(self.target.library, self.version, decision.url, decision.native)
        setting = os.environ.get("RTSTT_SHIM_TRACE")
        if setting:
            with self.capture_internal_errors():
                from rtstt_core.trace.watch import traced_watch

                return traced_watch(info, self.is_enabled, decision, setting)
        return Watch(info, self.is_enabled, decision.session)

    def trace_call(self, connection: Any, method: str, watch: Watch, receive: Callable[..., None]) -> None:
        """Pass the calls of a method to the trace of a connection; without a trace the method stays as it is.

        Args:
            connection: The client's object, which gets an attribute of the method's name.
            method: The method.
            watch: The watch of the connection.
            receive: Called before the method, with the trace and the method's arguments.
        """
        # A plain watch has none, and its module does not know that there are others.
        trace = getattr(watch, "trace", None)
        if trace is None:
            return
        call = getattr(connection, method)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if self.enabled:
                with self.capture_internal_errors():
                    receive(trace, *args, **kwargs)
            return call(*args, **kwargs)

        setattr(connection, method, wrapper)

    def trace_request(self, watch: Watch, headers: Iterable[tuple[str, str]]) -> None:
        """Pass the headers of a handshake to the trace of its connection, if there is one.

        Args:
            watch: The watch of the connection.
            headers: Names and values in order.
        """
        trace = getattr(watch, "trace", None)
        if trace is not None:
            trace.request(headers)

    def pass_frame(self, watch: Watch, frame: Any, *, by_client: bool) -> None:
        """Pass a frame of the server to a watch.

        Args:
            watch: The watch.
            frame: The client's own object; it has the attributes `opcode`, `fin` and `data` (RFC 6455 section 5.2).
            by_client: Whether the client has begun to close the connection.
        """
        try:
            if frame.opcode == _CLOSE:
                watch.close_frame(frame.data, by_client=by_client)
            else:
                watch.frame(frame.opcode, bool(frame.fin), frame.data)
        except Exception as error:
            self.record_internal_error(error)

    def observe_sent(self, connection: Any, method: str, parameter: str, watch: Watch) -> None:
        """Pass the text messages that a client sends to a watch, for as long as the watch needs them.

        Args:
            connection: The client's object, which gets an attribute of the method's name until then.
            method: The method that sends a message.
            parameter: Its first parameter, which takes the message.
            watch: The watch.
        """
        if not watch.wants_sent:
            return
        send = getattr(connection, method)
        own = vars(connection).get(method)  # a trace keeps its wrapper

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                message = args[0] if args else kwargs.get(parameter)
                if not watch.wants_sent:
                    vars(connection).pop(method, None)
                    if own is not None:
                        setattr(connection, method, own)
                elif isinstance(message, (str, bytes)):
                    watch.sent(message)
            except Exception as error:
                self.record_internal_error(error)
            return send(*args, **kwargs)

        setattr(connection, method, wrapper)

    def capture_internal_errors(self) -> _Guard:
        """Return a context manager that keeps the shim's own exceptions from the application and records them.

        It swallows every `Exception` that is raised in it, and nothing that ends a program.
        """
        return self._guard

    def record_internal_error(self, error: Exception) -> None:
        """Record an exception of the shim's own code; log the first one.

        Args:
            error: The exception.
        """
        if self.state != "failed":
            self.state, self.detail = "failed", describe(error)
            log("warning", f"internal error on {self}; the client is unaffected: {self.detail}")


class _Guard(contextlib.AbstractContextManager[None]):
    """See `PatchContext.capture_internal_errors`."""

    def __init__(self, context: PatchContext) -> None:
        self._context = context

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Record an `Exception` and swallow it."""
        if isinstance(error, Exception):
            self._context.record_internal_error(error)
            return True
        return False
