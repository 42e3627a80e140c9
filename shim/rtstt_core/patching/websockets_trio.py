"""websockets' trio `connect` (17 and newer), for what fails before its connection stands: DNS, TCP, TLS, time."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.targets import Wrap, require_method

if TYPE_CHECKING:
    from rtstt_core.patching.connect_attempt import Opening
    from rtstt_core.patching.installation import Connections

__all__ = ["patch"]


def patch(module: ModuleType, wrap: Wrap, connections: Connections) -> None:
    """Patch ``websockets.trio.client``.

    Args:
        module: The module.
        wrap: Wraps one of its functions.
        connections: Decides about URLs and watches connections.

    Raises:
        ShapeError: `connect` is not what it was.
    """
    require_method(module, "connect.connect")

    def connect(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        opening = None
        with connections:
            opening = connections.opening(instance.uri)
        connecting = wrapped(*args, **kwargs)
        return connecting if opening is None else _within(opening, connecting)

    wrap(module, "connect.connect", connect)


async def _within(opening: Opening, connecting: Any) -> Any:
    with opening:
        return await connecting
