"""Memory that Python freed, given back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["trim"]


def trim() -> None:
    """Free what only the garbage collector can free, and return free memory to the system where glibc is used.

    glibc returns only what is free at the end of its heap by itself: RSS stays high after sessions were dropped.
    """
    gc.collect()
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:  # musl has none
            malloc_trim(0)
