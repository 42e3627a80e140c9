"""Run git without the user's configuration, so that its output depends on its input only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from rtstt_testkit.upstream.errors import BadInput, UpstreamError

__all__ = ["apply_error", "author", "diff", "git"]


def git(*arguments: str, cwd: Path, configured: bool = False, stdin: str | None = None) -> str:
    """Run git and return what it printed.

    Args:
        arguments: The subcommand and its arguments.
        cwd: Where to run it.
        configured: Whether to use the user's configuration.
        stdin: Text for its standard input.

    Raises:
        BadInput: git is not installed.
        UpstreamError: git failed; the message is its first line.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or configured}
    if not configured:
        environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        done = subprocess.run(
            ["git", "-c", "core.quotePath=false", "-c", "safe.directory=*", *arguments],
            cwd=cwd,
            env=environment | {"LC_ALL": "C"},
            input=None if stdin is None else stdin.encode(),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise BadInput("git is not installed: install git, which makes and checks the patches") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"git {arguments[0]} failed"]
        raise UpstreamError(lines[0].removeprefix("error: ").removeprefix("fatal: "))
    return done.stdout.decode("utf-8")


def author(folder: Path) -> str | None:
    """Return the user's git identity in a folder as ``Name <address>``, or None if it is not configured."""
    try:
        name = git("config", "user.name", cwd=folder, configured=True).strip()
        address = git("config", "user.email", cwd=folder, configured=True).strip()
    except BadInput:
        raise
    except UpstreamError:
        return None
    return f"{name} <{address}>"


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, str]:
    """Return the unified diff between two sets of files, in git's format, and its summary."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        git("init", "--quiet", cwd=folder)
        trees = []
        for files in (before, after):
            _write(folder, files)
            git("add", "--all", cwd=folder)
            trees.append(git("write-tree", cwd=folder).strip())
        return (
            git("diff-tree", "-p", "--full-index", "--no-renames", *trees, cwd=folder),
            git("diff-tree", "--stat", "--summary", *trees, cwd=folder),
        )


def apply_error(patch: str, files: Mapping[str, str]) -> str | None:
    """Return why a patch does not apply to a set of files, or None if it does."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        git("init", "--quiet", cwd=folder)
        _write(folder, files)
        try:
            git("apply", "--check", "-", cwd=folder, stdin=patch)
        except UpstreamError as error:
            return str(error)
        return None


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
