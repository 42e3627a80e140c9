"""websockets' sync `connect`, for what fails before its connection stands: DNS, TCP, TLS, time."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.targets import Parameter, Wrap, require_method, require_parameter

if TYPE_CHECKING:
    from rtstt_core.patching.installation import Connections

__all__ = ["patch"]


def patch(module: ModuleType, wrap: Wrap, connections: Connections) -> None:
    """Patch ``websockets.sync.client``.

    Up to 16 `connect` is a function: one that was imported by name before the shim stays unwatched until its connection
    stands. From 17 on it is a function over the class `reconnect`.

    Args:
        module: The module.
        wrap: Wraps one of its functions.
        connections: Decides about URLs and watches connections.

    Raises:
        ShapeError: It has neither.
    """
    parameter = None
    path = "reconnect.connect" if hasattr(module, "reconnect") else "connect"
    opener = require_method(module, path)
    if path == "connect":
        position, name = require_parameter(opener, "uri")
        parameter = Parameter(position + 1, name)  # a function has no `self`

    def connect(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        opening = None
        with connections:
            opening = connections.opening(instance.uri if parameter is None else parameter.get(args, kwargs))
        if opening is None:
            return wrapped(*args, **kwargs)
        with opening:
            return wrapped(*args, **kwargs)

    wrap(module, path, connect)
