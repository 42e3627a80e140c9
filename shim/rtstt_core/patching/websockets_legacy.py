"""websockets' legacy client (``websockets.connect`` up to 13.1, still used by LiteLLM 1.74.9 to 1.79.3)."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.connect_attempt import patch_awaitable
from rtstt_core.patching.targets import require_attributes, require_callable, require_parameter
from rtstt_core.patching.websockets_sansio import correct_call, require_uri

if TYPE_CHECKING:
    from rtstt_core.patching.guard import PatchContext
    from rtstt_core.watch import Watch

__all__ = ["patch"]

_TEXT, _BINARY = 0x1, 0x2


def patch(module: ModuleType, context: PatchContext) -> None:
    """Patch ``websockets.legacy.client``.

    Args:
        module: The module.
        context: The target's context.

    Raises:
        ShapeError: The legacy client lacks something that is used here.
    """
    parameter = require_parameter(require_callable(module, "WebSocketClientProtocol.handshake"), "wsuri")
    require_uri(module)
    require_callable(module, "WebSocketClientProtocol.read_frame")
    require_parameter(require_callable(module, "WebSocketClientProtocol.send"), "message")
    require_attributes(module.WebSocketClientProtocol, "close_sent")

    def wrapper(wrapped: Any, protocol: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with context.capture_internal_errors():
            args, kwargs, watch = correct_call(parameter, args, kwargs, context)
            if watch is not None:
                # No frame is read before the response to the handshake.
                _observe(protocol, watch, context)
        return wrapped(*args, **kwargs)

    context.wrap(module, "WebSocketClientProtocol.handshake", wrapper)
    # For the response to the handshake, and for failures before there is a protocol. `_uri` is private, but the one
    # place where the legacy `Connect` holds its URL; the legacy client is deprecated and no longer changes.
    # A cancelled attempt waits up to 10 s for the server to close.
    patch_awaitable(module, "Connect", "_uri", context, cancels_at_once=False)


def _observe(protocol: Any, watch: Watch, context: PatchContext) -> None:
    next_frame = protocol.read_frame

    async def read_frame(max_size: int | None) -> Any:
        try:
            frame = await next_frame(max_size)
        except (EOFError, OSError):
            with context.capture_internal_errors():
                watch.lost(by_client=protocol.close_sent is not None)
            raise
        context.pass_frame(watch, frame, by_client=protocol.close_sent is not None)
        return frame

    protocol.read_frame = read_frame
    context.trace_call(
        protocol, "write_http_request", watch, lambda trace, path, headers: trace.request(headers.raw_items())
    )
    context.trace_call(protocol, "send", watch, _trace_message)
    context.observe_sent(protocol, "send", "message", watch)


def _trace_message(trace: Any, message: Any) -> None:
    # Other messages are fragments that an iterable yields, which the client sends one by one.
    if isinstance(message, str):
        trace.frame("client", _TEXT, True, message)
    elif isinstance(message, (bytes, bytearray, memoryview)):
        trace.frame("client", _BINARY, True, message)
