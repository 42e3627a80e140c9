"""websockets' sync `connect`, for failures before a connection is open: DNS, TCP, TLS, timeouts."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.connect_attempt import start_attempt
from rtstt_core.patching.targets import require_attributes, require_callable, require_parameter

if TYPE_CHECKING:
    from rtstt_core.patching.guard import PatchContext

__all__ = ["patch"]


def patch(module: ModuleType, context: PatchContext) -> None:
    """Patch ``websockets.sync.client``.

    Up to 16 `connect` is a function: one that was imported by name before the shim stays unwatched until its connection
    is open. From 17 on it is a function over the class `reconnect`.

    Args:
        module: The module.
        context: The target's context.

    Raises:
        ShapeError: The module has neither.
    """
    url_of: Callable[[Any, tuple[Any, ...], dict[str, Any]], str]
    if hasattr(module, "reconnect"):
        path = "reconnect.connect"
        require_callable(module, path)
        require_attributes(module.reconnect, "uri")

        def url_of(instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
            return str(instance.uri)
    else:
        path = "connect"
        parameter = require_parameter(require_callable(module, path), "uri", bound=False)

        def url_of(instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
            return str(parameter.get(args, kwargs))

    def wrapper(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        attempt = None
        with context.capture_internal_errors():
            attempt = start_attempt(url_of(instance, args, kwargs), context)
        if attempt is None:
            return wrapped(*args, **kwargs)
        with attempt:
            return wrapped(*args, **kwargs)

    context.wrap(module, path, wrapper)
