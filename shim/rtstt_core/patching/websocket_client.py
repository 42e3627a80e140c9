"""websocket-client: `create_connection` and `WebSocketApp` both open their connection with `WebSocket.connect`."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.targets import Wrap, require_method, require_parameter

if TYPE_CHECKING:
    from rtstt_core.patching.installation import Connections
    from rtstt_core.watch import Watch

__all__ = ["patch"]

_CLOSE = 0x8


def patch(module: ModuleType, wrap: Wrap, connections: Connections) -> None:
    """Patch ``websocket._core``.

    Args:
        module: The module.
        wrap: Wraps one of its functions.
        connections: Decides about URLs and watches connections.

    Raises:
        ShapeError: `WebSocket` is not what it was.
    """
    parameter = require_parameter(require_method(module, "WebSocket.connect"), "url")
    require_method(module, "WebSocket.recv_frame")

    def connect(wrapped: Any, socket: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        watch = None
        with connections:
            decision = connections.decide(parameter.get(args, kwargs))
            if decision.changed:
                args, kwargs = parameter.put(args, kwargs, decision.url)
            if decision.transcription:
                watch = connections.watch(decision.url)
            # The object may be connected again, to somewhere else.
            vars(socket).pop("recv_frame", None)
        if watch is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except Exception as error:
            with connections:
                status = getattr(error, "status_code", None)
                if status is not None:
                    watch.refused(status, bytes(getattr(error, "resp_body", None) or b"").decode(errors="replace"))
                else:
                    watch.failed_to_connect(error)
            raise
        with connections:
            _observe(socket, watch, connections)
        return result

    wrap(module, "WebSocket.connect", connect)


def _observe(socket: Any, watch: Watch, connections: Connections) -> None:
    take_frame = socket.recv_frame

    def recv_frame() -> Any:
        # `connected` is cleared when the client closes, but also when it finds the connection gone.
        open_before = socket.connected
        try:
            frame = take_frame()
        except Exception as error:
            with connections:
                if isinstance(error, ConnectionError) or type(error).__name__ == "WebSocketConnectionClosedException":
                    watch.lost(by_client=not open_before)
            raise
        try:
            if frame.opcode == _CLOSE:
                watch.close_frame(frame.data, by_client=not socket.connected)
            else:
                watch.frame(frame.opcode, bool(frame.fin), frame.data)
        except Exception as error:
            connections.failed(error)
        return frame

    socket.recv_frame = recv_frame
