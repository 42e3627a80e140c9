"""websocket-client: `create_connection` and `WebSocketApp` both open their connection with `WebSocket.connect`."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.targets import require_attributes, require_callable, require_parameter

if TYPE_CHECKING:
    from rtstt_core.patching.guard import PatchContext
    from rtstt_core.watch import Watch

__all__ = ["patch"]

_TEXT = 0x1


def patch(module: ModuleType, context: PatchContext) -> None:
    """Patch ``websocket._core``.

    Args:
        module: The module.
        context: The target's context.

    Raises:
        ShapeError: `WebSocket` lacks something that is used here.
    """
    parameter = require_parameter(require_callable(module, "WebSocket.connect"), "url")
    require_callable(module, "WebSocket.recv_frame")
    require_parameter(require_callable(module, "WebSocket.send"), "payload")
    require_attributes(module.WebSocket, "connected")

    def wrapper(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        watch = None
        with context.capture_internal_errors():
            decision = context.decide(parameter.get(args, kwargs))
            if decision.changed:
                args, kwargs = parameter.put(args, kwargs, decision.url)
            if decision.watched:
                watch = context.watch(decision)
            # The object may be connected again, to another URL.
            for method in ("recv_frame", "send"):
                vars(connection).pop(method, None)
        if watch is None:
            return wrapped(*args, **kwargs)
        with context.capture_internal_errors():
            context.trace_request(watch, _headers(kwargs))
        try:
            result = wrapped(*args, **kwargs)
        except Exception as error:
            with context.capture_internal_errors():
                status = getattr(error, "status_code", None)
                if status is not None:
                    watch.refused(status, bytes(getattr(error, "resp_body", None) or b"").decode(errors="replace"))
                else:
                    watch.failed_to_connect(error)
            raise
        with context.capture_internal_errors():
            _observe(connection, watch, context)
        return result

    context.wrap(module, "WebSocket.connect", wrapper)


def _observe(connection: Any, watch: Watch, context: PatchContext) -> None:
    next_frame, receive = connection.recv_frame, watch.message

    def recv_frame() -> Any:
        # `connected` is cleared when the client closes, but also when it finds the connection gone.
        was_connected = connection.connected
        try:
            frame = next_frame()
        except Exception as error:
            with context.capture_internal_errors():
                if isinstance(error, ConnectionError) or type(error).__name__ == "WebSocketConnectionClosedException":
                    watch.lost(by_client=not was_connected)
            raise
        try:
            # Nearly every frame is one; a client in a loop may cause thousands of error events a second.
            if frame.opcode == _TEXT and frame.fin:
                receive(frame.data)
            else:
                context.pass_frame(watch, frame, by_client=not connection.connected)
        except Exception as error:
            context.record_internal_error(error)
        return frame

    connection.recv_frame = recv_frame
    context.trace_call(
        connection,
        "send",
        watch,
        lambda trace, payload, opcode=_TEXT: trace.frame("client", opcode, True, payload),
    )
    context.observe_sent(connection, "send", "payload", watch)


def _headers(options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the headers that the options of `connect` ask for: only these are known outside the library."""
    header = options.get("header") or ()
    if isinstance(header, dict):
        yield from header.items()
    else:
        for line in header:
            name, _, value = line.partition(":")
            yield name.strip(), value.strip()
    for name in ("host", "origin", "cookie"):
        if options.get(name):
            yield name, options[name]
    if options.get("subprotocols"):
        yield "sec-websocket-protocol", ", ".join(options["subprotocols"])
