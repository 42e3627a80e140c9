"""The location of the rules and texts: ``patches/`` of a checkout, or its copy in an installed wheel."""

from __future__ import annotations

from pathlib import Path

__all__ = ["patches"]


def patches() -> Path:
    """Return the folder with one sub-folder per upstream."""
    installed = Path(__file__).with_name("patches")
    return installed if installed.is_dir() else Path(__file__).parents[3] / "patches"
