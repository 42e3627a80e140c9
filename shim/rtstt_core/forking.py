"""State that a forked child must not inherit: a lock that another thread of the parent held stays held for ever."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["call_in_forked_child"]


def call_in_forked_child(reset: Callable[[], None]) -> None:
    """Register a function that runs in every child created with `os.fork`, before `os.fork` returns there.

    It does nothing on platforms without `os.fork`.

    Args:
        reset: Replaces locks and clears state that belongs to the parent.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)
