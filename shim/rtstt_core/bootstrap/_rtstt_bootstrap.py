"""What ``rtstt-shim run`` does in a Python process: make the shim importable there, route, and activate."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

__all__ = ["Finder", "start"]

# ``RTSTT_SHIM_WRAPT``: the folder with the runner's wrapt. ``rtstt-shim run`` sets it where that is not the folder with
# the runner's rtstt_shim.

# As in rtstt_core.patching.installation, which is not imported where the shim is disabled.
NOT_DISABLED = ("", "0", "false", "no", "off")


class Finder:
    """Finds the runner's own packages where a child's environment lacks them, and nothing else of the runner's.

    It stands at the end of `sys.meta_path`: what the child's environment has comes first.

    Args:
        folders: For each package, the folder it is in.
    """

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of the packages; their modules are then found in the package's own folder."""
        folder = self._folders.get(fullname)
        return PathFinder.find_spec(fullname, [folder]) if folder else None


def start() -> None:
    """Do in this process what its environment asks for; a failure is one line on stderr and no more."""
    routes = bool(os.environ.get("RTSTT_TESTKIT_ROUTES"))
    shim = os.environ.get("RTSTT_SHIM_DISABLE", "").lower() in NOT_DISABLED
    if not routes and not shim:
        return
    home = str(Path(__file__).parents[2])
    folders = {"wrapt": os.environ.get("RTSTT_SHIM_WRAPT", home)}
    if routes:
        folders["rtstt_testkit"] = home
    if shim:
        folders["rtstt_core"] = folders["rtstt_shim"] = home
    sys.meta_path.append(Finder(folders))
    if routes:
        try:
            from rtstt_testkit.routing import activate_from_env

            activate_from_env()
        except Exception as error:
            _complain("not routed", error)
    if shim:
        try:
            import rtstt_shim  # noqa: F401
        except Exception as error:
            _complain("not active", error)


def _complain(what: str, error: Exception) -> None:
    if sys.stderr:
        reason = str(error).partition("\n")[0]
        sys.stderr.write(f"rtstt-shim: {what} in process {os.getpid()}: {type(error).__name__}: {reason}\n")
