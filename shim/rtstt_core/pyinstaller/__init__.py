"""The hook that PyInstaller reads, through the entry point ``pyinstaller40``, when it freezes an application."""

from __future__ import annotations

from pathlib import Path

__all__ = ["hook_dirs"]


def hook_dirs() -> list[str]:
    """Return the folder of the hook."""
    return [str(Path(__file__).parent)]
