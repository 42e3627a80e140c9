"""websockets' asyncio, sync and trio clients: all of them open a connection with one sans-I/O `ClientProtocol`.

Wrapping its constructor corrects the URL no matter how, when and from where `connect` was imported, subclassed or
wrapped, and on every attempt of a reconnecting client. What the server sends is watched through the protocol's
documented `events_received` and `receive_eof`, on the watched connection alone.
"""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.connect_attempt import watch_for
from rtstt_core.patching.targets import Parameter, Wrap, require_method, require_parameter

if TYPE_CHECKING:
    from rtstt_core.patching.installation import Connections
    from rtstt_core.watch import Watch

__all__ = ["corrected_call", "patch"]

_CLOSE = 0x8


def corrected_call(
    parameter: Parameter, args: tuple[Any, ...], kwargs: dict[str, Any], connections: Connections
) -> tuple[tuple[Any, ...], dict[str, Any], Watch | None]:
    """Apply the URL rule to a call that takes a parsed `WebSocketURI`.

    Args:
        parameter: Where the call takes it.
        args: The call's positional arguments.
        kwargs: Its keyword arguments.
        connections: Decides about URLs and watches connections.

    Returns:
        The arguments to call with, and a watch if the connection is a realtime transcription session.
    """
    uri = parameter.get(args, kwargs)
    decision = connections.decide(_text(uri))
    if decision.changed:
        uri = dataclasses.replace(uri, query=decision.url.partition("?")[2])
        args, kwargs = parameter.put(args, kwargs, uri)
    return args, kwargs, watch_for(decision.url, connections) if decision.transcription else None


def _text(uri: Any) -> str:
    """The URL of a `WebSocketURI`, without its user information."""
    scheme, default = ("wss", 443) if uri.secure else ("ws", 80)
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    port = "" if uri.port == default else f":{uri.port}"
    return f"{scheme}://{host}{port}{uri.resource_name}"


def patch(module: ModuleType, wrap: Wrap, connections: Connections) -> None:
    """Patch ``websockets.client``.

    Args:
        module: The module.
        wrap: Wraps one of its functions.
        connections: Decides about URLs and watches connections.

    Raises:
        ShapeError: The sans-I/O client is not what it was.
    """
    constructor = require_method(module, "ClientProtocol.__init__")
    require_method(module, "ClientProtocol.events_received")
    require_method(module, "ClientProtocol.receive_eof")
    parameter = require_parameter(constructor, "uri", "wsuri")

    def init(wrapped: Any, protocol: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        watch = None
        with connections:
            args, kwargs, watch = corrected_call(parameter, args, kwargs, connections)
        wrapped(*args, **kwargs)
        if watch is not None:
            with connections:
                _observe(protocol, watch, connections)

    wrap(module, "ClientProtocol.__init__", init)


def _observe(protocol: Any, watch: Watch, connections: Connections) -> None:
    from rtstt_core.watch import DELTA

    take_events, take_eof = protocol.events_received, protocol.receive_eof
    answered = False
    size = len(DELTA)

    def events_received() -> list[Any]:
        events: list[Any] = take_events()
        try:
            for event in events:
                # A delta, of which there are many, costs this comparison and nothing else.
                if not answered or event.data[:size] != DELTA:
                    see(event)
        except Exception as error:
            connections.failed(error)
        return events

    def receive_eof() -> None:
        take_eof()
        with connections:
            if answered and protocol.handshake_exc is None:
                watch.lost(by_client=protocol.close_sent is not None)
            elif not watch.connecting:
                watch.failed_to_connect(protocol.handshake_exc or EOFError("the connection ended before an answer"))

    def see(event: Any) -> None:
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
