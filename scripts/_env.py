"""Environments for the scripts and the tests, built when they are first needed and kept in ``.cache/``.

Standard library only, since the scripts run on a fresh clone. uv builds the environments: the one on PATH, or one that
pip installs into the cache. ``RTSTT_CACHE`` moves the cache.
"""

import sys

if sys.version_info < (3, 10):  # an older Python must be able to parse this file
    print(f"{sys.argv[0]} needs Python 3.10 or newer, and {sys.executable} is older; try python3.12", file=sys.stderr)
    sys.exit(2)

import argparse
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from _build import CACHE, ROOT, SetupError, cached_folder, clean_environ, exit_on_error, folder_name, log, run_tool

__all__ = ["CACHE", "ROOT", "SetupError", "exit_on_error", "log"]

OLDEST, NEWEST = 10, 14
"""The Python 3 versions the project is tested with."""

NODE = 20
"""The oldest Node.js the project works with."""


def parser(name: str, text: str | None, **options: Any) -> argparse.ArgumentParser:
    """Return the parser of a script's arguments.

    Args:
        name: The script's name.
        text: Its docstring, which is fitted to the terminal as the help of `rtstt-shim` is.
        options: Further arguments of the parser.
    """
    # Not as a part of its package, of which a test may have imported the installed one.
    fit = runpy.run_path(str(ROOT / "shim" / "rtstt_core" / "terminal.py"))["fit"]
    return argparse.ArgumentParser(
        prog=f"scripts/{name}",
        description=fit(text or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )


class Python(NamedTuple):
    """An interpreter."""

    version: str
    """For example ``3.12.1``."""

    executable: str

    @property
    def minor(self) -> int:
        """The 12 of 3.12."""
        return int(self.version.split(".")[1])


@functools.cache
def _probe(executable: str) -> Python | None:
    """Return the interpreter behind a path; None if it does not run."""
    # For a virtual environment: the interpreter it was created with, so that both give the same environments.
    code = (
        "import sys; print('%d.%d.%d' % sys.version_info[:3]); "
        "print(getattr(sys, '_base_executable', None) or sys.executable)"
    )
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([executable, "-c", code], env=clean_environ(), capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            version, path = done.stdout.splitlines()
            return Python(version, path)
    return None


def interpreter(wanted: str | None = None) -> Python:
    """Return an interpreter: the running one, or one by version (``3.12``) or path.

    Raises:
        SetupError: There is none, or it is too old.
    """
    if wanted is None:
        found = _probe(sys.executable)
    elif re.fullmatch(r"3\.\d+", wanted):
        found = interpreters().get(int(wanted[2:]))
    else:
        found = _probe(wanted)
    if found is None:
        raise SetupError(f"there is no Python {wanted or sys.executable} here; give a version or a path with --python")
    if found.minor < OLDEST:
        raise SetupError(f"Python {found.version} is too old; give --python one from 3.{OLDEST} on")
    return found


@functools.cache
def interpreters() -> dict[int, Python]:
    """Return the installed interpreters by minor version: the running one, those on PATH, those of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found: dict[int, Python] = {}
    for minor in range(OLDEST, NEWEST + 1):
        candidates = [sys.executable] if sys.version_info[:2] == (3, minor) else []
        candidates += filter(None, [shutil.which(f"python3.{minor}")])
        candidates += map(str, sorted(pyenv.glob(f"3.{minor}.*/bin/python"), reverse=True))
        for candidate in candidates:
            python = _probe(candidate)
            if python and python.minor == minor:
                found[minor] = python
                break
    return found


@functools.cache
def _uv() -> str:
    """Return the path of uv.

    Raises:
        SetupError: It is not on PATH, and pip cannot install it.
    """
    present = shutil.which("uv")
    if present and subprocess.run([present, "--version"], capture_output=True).returncode == 0:
        return present
    folder = CACHE / "uv"

    def build() -> None:
        log("installing uv")
        run_tool("creating an environment for uv", [sys.executable, "-m", "venv", folder])
        run_tool("installing uv", [_python_in(folder), "-m", "pip", "install", "--quiet", "uv>=0.8"])

    return str(_python_in(cached_folder(folder, {"uv": sys.base_prefix}, build)).with_name("uv"))


def _python_in(folder: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def wheel() -> Path:
    """Return the wheel of this clone, built from its sdist, and built again if a source file changed.

    Raises:
        SetupError: The build failed.
    """
    sources = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")]
    sources += [
        path for top in ("shim", "patches") for path in (ROOT / top).rglob("*") if "__pycache__" not in path.parts
    ]
    digest = hashlib.sha256()
    for source in sorted(sources):
        if source.is_file():
            digest.update(f"{source.relative_to(ROOT)}\0{source.stat().st_size}\0".encode())
            digest.update(source.read_bytes())
    folder, identity = CACHE / "wheel", {"sources": digest.hexdigest()}

    def build() -> None:
        log("building the wheel")
        out = folder / digest.hexdigest()[:10]  # installers cache a wheel by its path
        run_tool("building the wheel", [_uv(), "build", "-q", "--python", sys.executable, "--out-dir", out, ROOT])

    [built] = cached_folder(folder, identity, build).glob("*/*.whl")
    return built


def environment(
    requirements: Iterable[str] = (),
    *,
    python: Python | None = None,
    wheel: Path | None = None,
    extras: Iterable[str] = (),
    groups: Iterable[str] = (),
    no_deps: Iterable[str] = (),
) -> Path:
    """Return the interpreter of an environment with these packages.

    Args:
        requirements: Requirement specifiers.
        python: The interpreter to create it with; the running one if omitted.
        wheel: This project's wheel, to be installed too.
        extras: The wheel's extras.
        groups: Dependency groups of ``pyproject.toml``, to be installed too.
        no_deps: Packages to be installed without their dependencies.

    Raises:
        SetupError: It cannot be built.
    """
    python = python or interpreter()
    requirements, extras, groups, no_deps = sorted(requirements), sorted(extras), sorted(groups), sorted(no_deps)
    identity: dict[str, object] = {"requirements": requirements, "python": python, "extras": extras, "groups": groups}
    if no_deps:
        identity["no_deps"] = no_deps
    name = " ".join([*no_deps, *requirements]) or ("the tests" if groups else "the test kit" if wheel else "nothing")
    folder = CACHE / "python" / folder_name(f"{name} 3.{python.minor}", identity)
    if groups:
        identity["pyproject"] = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if wheel:
        identity["wheel"] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    packages: list[str] = [*requirements]
    for group in groups:
        packages += ["--group", f"{ROOT / 'pyproject.toml'}:{group}"]
    if wheel:
        packages.append(f"{wheel}[{','.join(extras)}]" if extras else str(wheel))

    def build() -> None:
        step = f"building the environment for {name} (Python 3.{python.minor})"
        log(step)
        run_tool(step, [_uv(), "venv", "--quiet", "--no-project", "--python", python.executable, folder])
        # Where nothing may write bytecode, every start would compile all that it imports.
        install = [_uv(), "pip", "install", "--quiet", "--compile-bytecode", "--python", _python_in(folder)]
        if packages:
            run_tool(step, [*install, *packages])
        if no_deps:
            run_tool(step, [*install, "--no-deps", *no_deps])

    return _python_in(cached_folder(folder, identity, build))


CHECKS: dict[str, list[str]] = {"extras": ["exam", "upstream"], "groups": ["lint", "test"]}
"""The extras and groups of the environment that all checks run in."""


def ensure_installed(modules: Iterable[str] = ("rtstt_testkit", "websockets", "trustme"), **options: list[str]) -> None:
    """Start the script again in an environment with the wheel if a module is missing here.

    Args:
        modules: What the script imports.
        options: The extras and groups of that environment; the test kit if omitted.
    """
    if all(map(importlib.util.find_spec, modules)):
        return
    with exit_on_error(sys.argv[0]):
        python = environment(wheel=wheel(), **(options or {"extras": ["testkit"]}))  # type: ignore[arg-type]
    sys.stdout.flush()
    if os.name == "nt":
        sys.exit(subprocess.run([python, *sys.argv]).returncode)
    os.execv(python, [str(python), *sys.argv])


class Node(NamedTuple):
    """An installation of Node.js with its npm."""

    version: str
    """For example ``20.20.2``."""

    executable: str
    npm: str


@functools.cache
def node() -> Node | None:
    """Return Node.js and npm from PATH; None if one is missing or Node.js is too old."""
    executable, npm = shutil.which("node"), shutil.which("npm")
    if executable and npm:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            output = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=60).stdout
            match = re.fullmatch(r"v((\d+)\.\d+\.\d+)\s*", output)
            if match and int(match[2]) >= NODE:
                return Node(match[1], executable, npm)
    return None


def npm_project(dependencies: Mapping[str, str]) -> Path:
    """Return the folder of an npm project with these packages installed.

    Args:
        dependencies: Versions by package name.

    Raises:
        SetupError: It cannot be built.
    """
    found = node()
    if found is None:
        raise SetupError(f"Node.js {NODE} or newer with npm is not installed; install it to include the Node rows")
    identity: dict[str, object] = {"dependencies": dict(dependencies), "node": found.version}
    name = " ".join(f"{package}@{version}" for package, version in dependencies.items())
    folder = CACHE / "npm" / folder_name(name, identity)

    def build() -> None:
        log(f"installing {name}")
        folder.mkdir(parents=True)
        package = {"name": "project", "private": True, "type": "module", "dependencies": dict(dependencies)}
        (folder / "package.json").write_text(json.dumps(package, indent=2), encoding="utf-8")
        flags = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        run_tool(f"installing {name}", [found.npm, "install", *flags], folder)

    return cached_folder(folder, identity, build)
