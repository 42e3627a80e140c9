"""The PyInstaller hook names what PyInstaller does not find by itself; `tests/coexistence/test_frozen.py` runs it."""

from __future__ import annotations

import pkgutil
import runpy
import sys
import types
from importlib import import_module, metadata
from pathlib import Path

import pytest

from rtstt_core.patching.targets import TARGETS


def collect_submodules(package: str) -> list[str]:
    path = import_module(package).__path__
    return [package, *(module.name for module in pkgutil.walk_packages(path, f"{package}."))]


def collect_data_files(package: str, includes: list[str]) -> list[tuple[str, str]]:
    folder = Path(str(import_module(package).__file__)).parent
    return [(str(path), package) for pattern in includes for path in folder.rglob(pattern)]


def copy_metadata(library: str) -> list[tuple[str, str]]:
    if library == "aiohttp":
        raise metadata.PackageNotFoundError(library)
    return [(library, library)]


def test_the_hook_collects_modules_data_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = types.ModuleType("PyInstaller.utils.hooks")
    hooks.__dict__.update(
        collect_submodules=collect_submodules, collect_data_files=collect_data_files, copy_metadata=copy_metadata
    )
    for name in ("PyInstaller", "PyInstaller.utils", "PyInstaller.utils.hooks"):
        monkeypatch.setitem(sys.modules, name, hooks)
    entries = metadata.distribution("rtstt-shim").entry_points
    [entry] = [entry for entry in entries if entry.group == "pyinstaller40"]
    assert entry.name == "hook-dirs"
    [folder] = entry.load()()
    found = runpy.run_path(str(Path(folder, "hook-rtstt_core.py")))
    assert {f"rtstt_core.patching.{target.patch}" for target in TARGETS} <= set(found["hiddenimports"])
    sources = {Path(source).name for source, _ in found["datas"]}
    assert {"diagnosis.json", "websockets", "websocket-client"} <= sources
    assert "aiohttp" not in sources
