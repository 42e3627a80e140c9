"""websockets' asyncio `connect`, for what fails before its connection stands: DNS, TCP, TLS, time."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from rtstt_core.patching.connect_attempt import watch_await
from rtstt_core.patching.targets import Wrap

if TYPE_CHECKING:
    from rtstt_core.patching.installation import Connections

__all__ = ["patch"]


def patch(module: ModuleType, wrap: Wrap, connections: Connections) -> None:
    """Patch ``websockets.asyncio.client``.

    `await`, `async with` and `async for` all end in ``__await__``, the one documented method that 13.1 to 17.x share.

    Args:
        module: The module.
        wrap: Wraps one of its functions.
        connections: Decides about URLs and watches connections.

    Raises:
        ShapeError: `connect` cannot be awaited.
    """
    watch_await(module, "connect", "uri", wrap, connections)
