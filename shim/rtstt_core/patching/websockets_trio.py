"""websockets' trio `connect` (17 and newer), for failures before a connection is open: DNS, TCP, TLS, timeouts."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.connect_attempt import start_attempt
from rtstt_core.patching.targets import require_attributes, require_callable

if TYPE_CHECKING:
    from rtstt_core.patching.connect_attempt import ConnectAttempt
    from rtstt_core.patching.guard import PatchContext

__all__ = ["patch"]


def patch(module: ModuleType, context: PatchContext) -> None:
    """Patch ``websockets.trio.client``.

    Args:
        module: The module.
        context: The target's context.

    Raises:
        ShapeError: `connect` has no method of that name or does not hold its URL.
    """
    require_callable(module, "connect.connect")
    require_attributes(module.connect, "uri")

    def wrapper(wrapped: Any, connect: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        attempt = None
        with context.capture_internal_errors():
            attempt = start_attempt(connect.uri, context)
        connecting = wrapped(*args, **kwargs)
        return connecting if attempt is None else _run(attempt, connecting)

    context.wrap(module, "connect.connect", wrapper)


async def _run(attempt: ConnectAttempt, connecting: Any) -> Any:
    with attempt:
        return await connecting
