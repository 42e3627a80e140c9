"""Log records about the shim itself, and exceptions as one line."""

from __future__ import annotations

from typing import Literal

from rtstt_core.patching.targets import ShapeError

__all__ = ["describe", "log"]


def describe(error: BaseException) -> str:
    """Return an exception as one line without secrets.

    Args:
        error: The exception.
    """
    from rtstt_core.redact import redact

    return redact(str(error) if isinstance(error, ShapeError) else f"{type(error).__name__}: {error}")


def log(level: Literal["info", "warning"], text: str) -> None:
    """Log one record of the logger ``rtstt_shim``.

    Call it without holding a lock: handlers of the application run in it.

    Args:
        level: The level.
        text: The message.
    """
    import logging

    from rtstt_core.log import log as emit

    emit(logging.WARNING if level == "warning" else logging.INFO, f"rtstt_shim: {text}", {})
