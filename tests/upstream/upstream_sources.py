"""Real sources from the registries, fetched once into the user's cache; none of them is kept in this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

PACKAGE = "@livekit/agents-plugin-openai"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtstt-shim" / "sources"
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
# git would run it in the background, and change the repository meanwhile.
GIT += ("-c", "maintenance.auto=false", "-c", "gc.auto=0")


@contextmanager
def once(folder: Path) -> Iterator[Path | None]:
    """A folder to unpack into if the given one does not exist; tests may run side by side."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            yield None
            return
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            yield Path(made)


def npm_package(version: str, name: str = PACKAGE) -> Path:
    """The unpacked package, by default of the LiveKit plugin, as npm serves it."""
    folder = CACHE / (f"npm-{version}" if name == PACKAGE else f"npm-{name}-{version}")
    with once(folder) as where:
        if where is not None:
            command = ["npm", "pack", "--silent", f"{name}@{version}"]
            subprocess.run(command, cwd=where, check=True, capture_output=True)
            with tarfile.open(next(where.glob("*.tgz"))) as archive:
                # Python 3.10 and 3.11 have the filter from 3.10.12 and 3.11.4 on.
                safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                archive.extractall(where, **safe)
            (where / "package").rename(folder)
    return folder


def pypi_wheel(name: str, version: str) -> Path:
    """The unpacked wheel of a package from PyPI."""
    folder = CACHE / f"pypi-{name}-{version}"
    with once(folder) as where:
        if where is not None:
            # An environment that uv made has no pip; the interpreter it was made with does.
            python = getattr(sys, "_base_executable", sys.executable)
            command = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", where]
            subprocess.run([*command, f"{name}=={version}"], check=True, capture_output=True)
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


def make_hostile(repository: Path) -> Path:
    """Configure a repository to run a program wherever git can run one, and return the file that the program writes."""
    ran = repository.with_name("ran")
    program = repository.with_name("program")
    program.write_text(f"#!/bin/sh\necho $0 >> '{ran}'\ncat\n")
    program.chmod(0o755)
    hooks = repository / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman", "reference-transaction"):
        shutil.copy(program, hooks / hook)
    (repository / ".git/info").mkdir(exist_ok=True)
    (repository / ".git/info/attributes").write_text("* filter=stranger diff=stranger merge=stranger\n")
    for name in (
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "credential.helper",
        "filter.stranger.clean",
        "filter.stranger.smudge",
        "filter.stranger.process",
        "diff.stranger.textconv",
        "diff.external",
        "merge.stranger.driver",
        "gpg.program",
        "alias.ls-tree",
        "uploadpack.packObjectsHook",
    ):
        git(repository, "config", name, f"!{program}" if name.startswith("alias") else str(program))
    git(repository, "config", "core.hooksPath", str(hooks))
    # Whatever the set-up itself ran is not the command's.
    ran.unlink(missing_ok=True)
    return ran
