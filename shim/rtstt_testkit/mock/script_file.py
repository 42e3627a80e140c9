"""Scripts in a file."""

from __future__ import annotations

from rtstt_testkit.mock.script import Script

__all__ = ["load_script"]


def load_script(path: str) -> Script:
    """Read a script."""
    raise ValueError("not yet")
