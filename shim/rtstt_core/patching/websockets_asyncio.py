"""websockets' asyncio `connect`, for failures before a connection is open: DNS, TCP, TLS, timeouts."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from rtstt_core.patching.connect_attempt import patch_awaitable

if TYPE_CHECKING:
    from rtstt_core.patching.guard import PatchContext

__all__ = ["patch"]


def patch(module: ModuleType, context: PatchContext) -> None:
    """Patch ``websockets.asyncio.client``.

    `await`, `async with` and `async for` all end in ``__await__``, the one documented method that 13.1 to 17.4 share.

    Args:
        module: The module.
        context: The target's context.

    Raises:
        ShapeError: `connect` cannot be awaited or does not hold its URL.
    """
    patch_awaitable(module, "connect", "uri", context)
