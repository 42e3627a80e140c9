"""The shim's pure modules for the test kit, without the shim.

Importing anything of `rtstt_shim` activates it, and the test kit never does that: here its rule and its diagnosis are
loaded under names of the test kit's own, so that a later ``import rtstt_shim`` is still the first one.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["load"]

_PURE = ("url_rule", "redact", "diagnosis")


def load(name: str) -> ModuleType:
    """Load one of the shim's pure modules.

    Args:
        name: ``"url_rule"``, ``"redact"`` or ``"diagnosis"``.
    """
    if name not in _PURE:
        raise ValueError(f"{name!r} is not one of the shim's pure modules: {', '.join(_PURE)}")
    alias = f"{__package__}._pure_{name}"
    if alias in sys.modules:
        return sys.modules[alias]
    spec = importlib.util.find_spec("rtstt_shim")  # finds a package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the test kit needs the package rtstt_shim beside it", name="rtstt_shim")
    path = Path(spec.submodule_search_locations[0]) / f"{name}.py"
    own = importlib.util.spec_from_file_location(alias, path)
    assert own is not None
    assert own.loader is not None
    module = importlib.util.module_from_spec(own)
    sys.modules[alias] = module
    own.loader.exec_module(module)
    return module
