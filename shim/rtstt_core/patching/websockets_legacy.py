"""websockets' legacy client (``websockets.connect`` up to 13.1, still used by LiteLLM 1.74.9 to 1.79.3)."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.connect_attempt import watch_await
from rtstt_core.patching.targets import Wrap, require_method, require_parameter
from rtstt_core.patching.websockets_sansio import corrected_call

if TYPE_CHECKING:
    from rtstt_core.patching.installation import Connections
    from rtstt_core.watch import Watch

__all__ = ["patch"]

_CLOSE = 0x8


def patch(module: ModuleType, wrap: Wrap, connections: Connections) -> None:
    """Patch ``websockets.legacy.client``.

    Args:
        module: The module.
        wrap: Wraps one of its functions.
        connections: Decides about URLs and watches connections.

    Raises:
        ShapeError: The legacy client is not what it was.
    """
    handshake_method = require_method(module, "WebSocketClientProtocol.handshake")
    require_method(module, "WebSocketClientProtocol.read_frame")
    parameter = require_parameter(handshake_method, "wsuri")

    def handshake(wrapped: Any, protocol: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with connections:
            args, kwargs, watch = corrected_call(parameter, args, kwargs, connections)
            if watch is not None:
                # No frame is read before the answer.
                _observe(protocol, watch, connections)
        return wrapped(*args, **kwargs)

    wrap(module, "WebSocketClientProtocol.handshake", handshake)
    # The answer to the handshake, and what fails before there is a protocol to shake hands with.
    watch_await(module, "Connect", "_uri", wrap, connections)


def _observe(protocol: Any, watch: Watch, connections: Connections) -> None:
    take_frame = protocol.read_frame

    async def read_frame(max_size: int | None) -> Any:
        try:
            frame = await take_frame(max_size)
        except (EOFError, OSError):
            with connections:
                watch.lost(by_client=protocol.close_sent is not None)
            raise
        try:
            if frame.opcode == _CLOSE:
                watch.close_frame(frame.data, by_client=protocol.close_sent is not None)
            else:
                watch.frame(frame.opcode, frame.fin, frame.data)
        except Exception as error:
            connections.failed(error)
        return frame

    protocol.read_frame = read_frame
