"""Real sources from the registries, fetched once into the user's cache; none of them is kept in this repository."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from rtstt_testkit.upstream.installed import PACKAGE

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtstt-shim" / "sources"
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")


def npm_package(version: str) -> Path:
    """The unpacked package of the LiveKit plugin, as npm serves it."""
    folder = CACHE / f"npm-{version}"
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        packed = CACHE / f"livekit-agents-plugin-openai-{version}.tgz"
        subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{version}"], cwd=CACHE, check=True, capture_output=True)
        where = folder.with_name(f"{folder.name}.part")
        with tarfile.open(packed) as archive:
            archive.extractall(where, filter="data")
        (where / "package").rename(folder)
        packed.unlink()
    return folder


def pypi_wheel(name: str, version: str) -> Path:
    """The unpacked wheel of a package from PyPI."""
    folder = CACHE / f"pypi-{name}-{version}"
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        where = folder.with_name(f"{folder.name}.part")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
            command[:3] = ["pip"]
        subprocess.run([*command, "--dest", where, f"{name}=={version}"], check=True, capture_output=True)
        with zipfile.ZipFile(next(where.glob("*.whl"))) as archive:
            archive.extractall(where / "unpacked")
        (where / "unpacked").rename(folder)
    return folder


def commit(folder: Path) -> None:
    """Make a folder a git repository with one commit of all it holds."""
    for words in (("init", "--quiet"), ("add", "--all", "--force"), ("commit", "--quiet", "--message=pristine")):
        subprocess.run([*GIT, *words], cwd=folder, check=True)


def git(folder: Path, *words: str) -> str:
    """Run git and return what it printed."""
    return subprocess.run([*GIT, *words], cwd=folder, check=True, capture_output=True, text=True).stdout
