"""Load modules that need more than the base install.

The core never imports the test kit: it loads the test kit's modules by name, and only when a command needs them.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal

from rtstt_core.errors import UsageError

__all__ = ["Extra", "load"]

Extra = Literal["exam", "testkit", "upstream"]
"""The optional dependencies in pyproject.toml that a command may need."""

_OWN = {"rtstt_core", "rtstt_shim", "rtstt_testkit"}


def load(module: str, needed_by: str, extra: Extra) -> ModuleType:
    """Import a module.

    Args:
        module: Its dotted name.
        needed_by: The command that needs it, for the error.
        extra: The extra that installs what the module imports.

    Raises:
        UsageError: A package that the module imports is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in _OWN:
            raise
        raise UsageError(
            f"`{needed_by}` needs {error.name}, which the base install leaves out; "
            f"install it with: pip install 'rtstt-shim[{extra}]'"
        ) from None
