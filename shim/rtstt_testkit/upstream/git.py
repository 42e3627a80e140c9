"""Run git on copies of files in a repository of its own, with a fixed configuration.

Git never runs inside a source: the configuration, hooks, filters and attributes of a checkout can name programs to run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rtstt_testkit.upstream.errors import BadInput, UpstreamError

__all__ = ["apply_error", "author", "diff", "git", "repository"]

_OPTIONS = ("core.quotePath=false", "core.fsmonitor=false", f"core.hooksPath={os.devnull}", "gc.auto=0")


def git(*arguments: str, cwd: Path, configured: bool = False, stdin: str | None = None) -> str:
    """Run git and return its output.

    Args:
        arguments: The subcommand and its arguments.
        cwd: The working directory, never a source.
        configured: Whether to use the user's configuration.
        stdin: Text for its standard input.

    Raises:
        BadInput: git is not installed.
        UpstreamError: git failed; the message is its first line.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or configured}
    if not configured:
        environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1"}
    options = [word for option in _OPTIONS for word in ("-c", option)]
    try:
        done = subprocess.run(
            ["git", *options, *arguments],
            cwd=cwd,
            env=environment | {"LC_ALL": "C"},
            input=None if stdin is None else stdin.encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise BadInput("git is not installed: install git, which makes and checks the patches") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"git {arguments[0]} failed"]
        raise UpstreamError(lines[0].removeprefix("error: ").removeprefix("fatal: "))
    return done.stdout.decode("utf-8", "surrogateescape")


@contextmanager
def repository(objects: Sequence[Path] = (), digits: int = 40) -> Iterator[Path]:
    """Create an empty repository for the duration of the context.

    Args:
        objects: Object folders of other repositories to read from.
        digits: The length of their hashes.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        algorithm = "sha1" if digits == 40 else "sha256"
        git("init", "--quiet", "--template=", f"--object-format={algorithm}", cwd=folder)
        if objects:
            info = folder / ".git" / "objects" / "info"
            info.mkdir(exist_ok=True)
            (info / "alternates").write_bytes(b"".join(os.fsencode(path) + b"\n" for path in objects))
        yield folder


def author(config: Path | None) -> str | None:
    """Return the user's git identity as ``Name <address>``, or None if it is not configured.

    Args:
        config: The configuration file of a checkout, which precedes the user's own; None for none.
    """
    values = []
    with TemporaryDirectory() as folder:
        for name in ("user.name", "user.email"):
            for scope in ([] if config is None else [["--file", str(config)]]) + [[]]:
                try:
                    value = git("config", *scope, name, cwd=Path(folder), configured=True).strip()
                except BadInput:
                    raise
                except UpstreamError:
                    continue
                values.append(value)
                break
    return f"{values[0]} <{values[1]}>" if len(values) == 2 else None


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, str]:
    """Return the unified diff between two sets of files, in git's format, and its summary."""
    with repository() as folder:
        trees = []
        for files in (before, after):
            _write(folder, files)
            git("add", "--all", "--force", cwd=folder)
            trees.append(git("write-tree", cwd=folder).strip())
        return (
            git("diff-tree", "-p", "--full-index", "--no-renames", *trees, cwd=folder),
            git("diff-tree", "--stat", "--summary", *trees, cwd=folder),
        )


def apply_error(patch: str, files: Mapping[str, str]) -> str | None:
    """Return why a patch does not apply to a set of files, or None if it does."""
    with repository() as folder:
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
