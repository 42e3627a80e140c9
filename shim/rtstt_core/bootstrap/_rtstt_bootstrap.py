"""Activate the shim in a Python process of ``rtstt-shim run``: make its packages importable, route, and install."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Literal

from _rtstt_disable import is_disabled  # type: ignore[import-not-found]  # beside this file

__all__ = ["Finder", "start"]


class Finder:
    """An import finder for the few packages that the program's own environment may lack.

    It belongs at the end of `sys.meta_path`, so that packages of the program's environment come first.

    Args:
        folders: The folder of each package.
    """

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of the packages; its modules are then found through the package's own folder."""
        folder = self._folders.get(fullname)
        return PathFinder.find_spec(fullname, [folder]) if folder else None


def start() -> None:
    """Activate in this process what its environment asks for; a failure prints one line on stderr.

    ``RTSTT_SHIM_WRAPT`` is the folder with wrapt. ``rtstt-shim run`` sets it where wrapt is not installed beside the
    shim.
    """
    routes = bool(os.environ.get("RTSTT_TESTKIT_ROUTES"))
    shim = not is_disabled()
    if not routes and not shim:
        return
    home = str(Path(__file__).parents[2])
    folders = {"rtstt_core": home, "wrapt": os.environ.get("RTSTT_SHIM_WRAPT", home)}
    if routes:
        folders["rtstt_testkit"] = home
    if shim:
        folders["rtstt_shim"] = home
    sys.meta_path.append(Finder(folders))
    if routes:
        try:
            # By name: the core never imports the test kit.
            importlib.import_module("rtstt_testkit.routing").activate_from_env()
        except Exception as error:
            _print_failure("not routed", error)
    if shim:
        try:
            importlib.import_module("rtstt_shim")
        except Exception as error:
            _print_failure("not active", error)


def _print_failure(what: Literal["not routed", "not active"], error: Exception) -> None:
    if sys.stderr:
        reason = str(error).partition("\n")[0]
        sys.stderr.write(f"rtstt-shim: {what} in process {os.getpid()}: {type(error).__name__}: {reason}\n")
