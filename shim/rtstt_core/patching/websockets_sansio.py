"""websockets' asyncio, sync and trio clients: all of them open a connection with one sans-I/O `ClientProtocol`.

Wrapping its constructor corrects the URL no matter how, when and from where `connect` was imported, subclassed or
wrapped, and on every attempt of a reconnecting client. What the server sends is watched through the protocol's
documented `events_received` and `receive_eof`, on the watched connection alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.connect_attempt import current_attempt
from rtstt_core.patching.targets import Parameter, require_attributes, require_callable, require_parameter

if TYPE_CHECKING:
    from rtstt_core.patching.guard import PatchContext
    from rtstt_core.watch import Watch

__all__ = ["correct_call", "patch", "require_uri"]

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def patch(module: ModuleType, context: PatchContext) -> None:
    """Patch ``websockets.client``.

    Args:
        module: The module.
        context: The target's context.

    Raises:
        ShapeError: The sans-I/O client lacks something that is used here.
    """
    protocol_class = require_callable(module, "ClientProtocol")
    parameter = require_parameter(protocol_class.__init__, "uri", "wsuri")
    require_uri(module)
    for method in ("events_received", "receive_eof"):
        require_callable(module, f"ClientProtocol.{method}")
    require_parameter(require_callable(module, "ClientProtocol.send_text"), "data")
    # The close codes are public, but not who began the closing handshake, until the connection is closed.
    require_attributes(protocol_class, "handshake_exc", "close_rcvd", "close_sent", "close_rcvd_then_sent")

    def wrapper(wrapped: Any, protocol: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        watch = None
        with context.capture_internal_errors():
            args, kwargs, watch = correct_call(parameter, args, kwargs, context)
        wrapped(*args, **kwargs)
        if watch is not None:
            with context.capture_internal_errors():
                _observe(protocol, watch, context, current_attempt() is not None)

    context.wrap(module, "ClientProtocol.__init__", wrapper)


def require_uri(module: ModuleType) -> None:
    """Check the shape of the parsed URL.

    Args:
        module: A module that has `WebSocketURI`.

    Raises:
        ShapeError: `WebSocketURI` lacks something that is used here.
    """
    uri = require_callable(module, "WebSocketURI")
    require_attributes(uri, "secure", "host", "port", "resource_name", "query", "__dataclass_fields__")


def correct_call(
    parameter: Parameter, args: tuple[Any, ...], kwargs: dict[str, Any], context: PatchContext
) -> tuple[tuple[Any, ...], dict[str, Any], Watch | None]:
    """Correct the URL in a call that takes a parsed `WebSocketURI`.

    Args:
        parameter: The parameter that takes it.
        args: The call's positional arguments.
        kwargs: Its keyword arguments.
        context: The target's context.

    Returns:
        The arguments to call with, and a watch if the connection is watched.
    """
    uri = parameter.get(args, kwargs)
    url = _text(uri)
    attempt = current_attempt()
    decision = context.decide(url) if attempt is None else attempt.decide(url)
    if decision.changed:
        uri = dataclasses.replace(uri, query=decision.url.partition("?")[2])
        args, kwargs = parameter.put(args, kwargs, uri)
    if not decision.watched:
        return args, kwargs, None
    return args, kwargs, context.watch(decision) if attempt is None else attempt.watch(decision)


def _text(uri: Any) -> str:
    """Return the URL of a `WebSocketURI`, without its user information."""
    scheme, default = ("wss", 443) if uri.secure else ("ws", 80)
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    port = "" if uri.port == default else f":{uri.port}"
    return f"{scheme}://{host}{port}{uri.resource_name}"


def _observe(protocol: Any, watch: Watch, context: PatchContext, in_attempt: bool) -> None:
    next_events, end = protocol.events_received, protocol.receive_eof
    answered = False

    def events_received() -> list[Any]:
        events: list[Any] = next_events()
        try:
            for event in events:
                observe(event)
        except Exception as error:
            context.record_internal_error(error)
        return events

    def receive_eof() -> None:
        end()
        with context.capture_internal_errors():
            if answered and protocol.handshake_exc is None:
                watch.lost(by_client=protocol.close_sent is not None)
            elif not in_attempt:
                # Otherwise the attempt reports what the client raises.
                watch.failed_to_connect(protocol.handshake_exc or EOFError("the connection ended before a response"))

    def observe(event: Any) -> None:
        nonlocal answered
        if not answered:
            answered = True
            if event.status_code != 101:
                watch.refused(event.status_code, bytes(event.body or b"").decode(errors="replace"))
        elif event.opcode == _CLOSE:
            close = protocol.close_rcvd
            watch.closed(close.code, close.reason, by_client=not protocol.close_rcvd_then_sent)
        else:
            watch.frame(event.opcode, event.fin, event.data)

    protocol.events_received, protocol.receive_eof = events_received, receive_eof
    _trace_sent(protocol, watch, context)
    context.observe_sent(protocol, "send_text", "data", watch)


def _trace_sent(protocol: Any, watch: Watch, context: PatchContext) -> None:
    """Pass what the client sends to the trace, if there is one."""

    def sent(opcode: int) -> Callable[..., None]:
        return lambda trace, data, fin=True: trace.frame("client", opcode, fin, data)

    context.trace_call(
        protocol, "send_request", watch, lambda trace, request: trace.request(request.headers.raw_items())
    )
    for method, opcode in (
        ("send_text", _TEXT),
        ("send_binary", _BINARY),
        ("send_continuation", _CONTINUATION),
        ("send_ping", _PING),
        ("send_pong", _PONG),
    ):
        context.trace_call(protocol, method, watch, sent(opcode))
