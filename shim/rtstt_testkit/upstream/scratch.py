"""Environments with packages from npm and PyPI, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from filelock import FileLock

from rtstt_testkit.upstream.errors import UpstreamError, VerificationFailed

__all__ = ["Progress", "execute", "npm_project", "python_environment", "workspace"]

Progress = Callable[[str], None]

_INSTALL_TIMEOUT = 300.0


def execute(
    command: Sequence[str | Path],
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output.

    Raises:
        VerificationFailed: The command is not installed, or did not end within ``timeout`` seconds.
    """
    program = shutil.which(command[0])  # finds scripts on Windows too
    if program is None:
        raise VerificationFailed(f"{command[0]} is not installed: install it first")
    try:
        return subprocess.run(
            [program, *(str(word) for word in command[1:])],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise VerificationFailed(f"{' '.join(map(str, command[:3]))} did not end within {timeout:.0f} s") from error


def npm_project(dependencies: Mapping[str, str], progress: Progress) -> Path:
    """Return a folder with npm packages installed.

    Args:
        dependencies: Versions by package name.
        progress: Called with each line of progress.

    Raises:
        VerificationFailed: npm could not install them.
    """
    manifest = json.dumps({"private": True, "type": "module", "dependencies": dict(sorted(dependencies.items()))})
    folder = _cache("npm", manifest)
    with _locked(folder):
        if not (folder / "ready").exists():
            progress(f"installing {len(dependencies)} npm packages (kept in {folder})")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "package.json").write_text(manifest, encoding="utf-8")
            install = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline"]
            try:
                done = execute(install, folder, timeout=_INSTALL_TIMEOUT)
            except VerificationFailed:  # npm can hang after a lost connection
                done = execute(install, folder, timeout=_INSTALL_TIMEOUT)
            _succeed(done, "npm install")
            (folder / "ready").touch()
    return folder


def python_environment(requirements: Sequence[str], progress: Progress) -> Path:
    """Return the interpreter of a virtual environment with PyPI packages installed.

    Raises:
        VerificationFailed: They could not be installed.
    """
    folder = _cache("pypi", json.dumps([sys.version, *requirements]))
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    with _locked(folder):
        if not (folder / "ready").exists():
            progress(f"installing {', '.join(requirements)} from PyPI (kept in {folder})")
            shutil.rmtree(folder, ignore_errors=True)
            _succeed(execute([sys.executable, "-m", "venv", folder], folder.parent), "python -m venv")
            uv = shutil.which("uv")
            installer = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
            _succeed(execute([*installer, "--quiet", *requirements], folder), "installing from PyPI")
            (folder / "ready").touch()
    return python


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an environment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        yield


@contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """Create a folder for one run inside an environment, and remove it afterwards."""
    folder = Path(mkdtemp(prefix="run-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cache(kind: str, key: str) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "rtstt-shim" / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _succeed(done: subprocess.CompletedProcess[str], what: str) -> None:
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "rror" in line]
        raise UpstreamError(f"{what} failed: {lines[0].strip() if lines else f'exit code {done.returncode}'}")
