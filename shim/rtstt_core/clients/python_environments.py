"""Find the Python environments of a project, and read what is installed in each or locked for it.

An environment is read from its files. No interpreter is executed, except one that the user names and that is not in a
virtual environment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from rtstt_core.clients.tree import Unread, is_file, is_folder, is_skipped, read_text, walk
from rtstt_core.errors import UsageError

__all__ = ["PythonEnvironment", "active", "canonical", "environments_below", "named", "own"]


class PythonEnvironment(NamedTuple):
    """A set of Python packages.

    Attributes:
        name: The interpreter or the lock file, as a phrase.
        versions: The version of each package, by its canonical name.
        folders: Where the packages are; empty for a lock file.
    """

    name: str
    versions: Mapping[str, str]
    folders: tuple[Path, ...] = ()


def canonical(name: str) -> str:
    """Return the form in which package names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def own(unread: Unread) -> PythonEnvironment:
    """Return the environment of this process."""
    name = f"Python {'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}"
    return _installed(name, [Path(entry) for entry in sys.path if entry], unread)


def active(unread: Unread) -> PythonEnvironment | None:
    """Return the environment that ``VIRTUAL_ENV`` names, if that is not this process's own."""
    folder = os.environ.get("VIRTUAL_ENV")
    if not folder or Path(folder).resolve() == Path(sys.prefix).resolve() or not _is_virtual(Path(folder)):
        return None
    return _virtual(Path(folder), unread)


def named(python: Path, unread: Unread) -> PythonEnvironment:
    """Return the environment that the user names.

    Args:
        python: An interpreter, or the folder of a virtual environment.
        unread: Gets what cannot be read.

    Raises:
        UsageError: It is neither.
    """
    for folder in (python, python.parent.parent):
        if _is_virtual(folder):
            return _virtual(folder, unread)
    code = "import json, sys; print(json.dumps([sys.version.split()[0], sys.executable, sys.path]))"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True)
        version, executable, path = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        raise UsageError(f"--python {python}: not a Python; give an interpreter or a virtual environment") from None
    return _installed(f"Python {version}, {executable}", [Path(entry) for entry in path if entry], unread)


def environments_below(folder: Path, unread: Unread) -> list[PythonEnvironment]:
    """Find the virtual environments and the lock files below a folder.

    Args:
        folder: A project, or any folder above several.
        unread: Gets what cannot be read.
    """
    found = []
    for here, _, files in walk(folder, unread, _leads_to_environments):
        if _is_virtual(here):
            if here.resolve() != Path(sys.prefix).resolve():
                found.append(_virtual(here, unread))
            continue
        found += [_locked(here / name, unread) for name in files if _is_lock(name)]
    return [environment for environment in found if environment.versions or environment.folders]


def _leads_to_environments(here: Path, name: str) -> bool:
    return name != "node_modules" and not _is_virtual(here) and not is_skipped(here, name)


# -- virtual environments


def _is_virtual(folder: Path) -> bool:
    return is_file(folder / "pyvenv.cfg")


def _virtual(folder: Path, unread: Unread) -> PythonEnvironment:
    found = re.search(r"(?mi)^version(?:_info)?\s*=\s*(\S+)", read_text(folder / "pyvenv.cfg", unread) or "")
    version = found[1] if found else ""
    executable = folder / ("Scripts" if is_folder(folder / "Scripts") else "bin") / "python"
    sites = [*sorted(folder.glob("lib/python*/site-packages")), *sorted(folder.glob("Lib/site-packages"))]
    return _installed(f"Python {version}, {executable}".replace(" ,", ","), sites, unread)


def _installed(name: str, path: Iterable[Path], unread: Unread) -> PythonEnvironment:
    folders = tuple(folder for folder in path if is_folder(folder))
    versions: dict[str, str] = {}
    for folder in folders:
        for found in _distributions(folder, unread):
            try:
                package, version = found.metadata["Name"], found.version
            except Exception as error:  # the metadata of a hostile or damaged package may be anything
                unread.add(folder, error)
                continue
            # The first folder on the path wins, as it does when a program imports the package.
            if package and version:
                versions.setdefault(canonical(package), version)
    return PythonEnvironment(name, versions, folders)


def _distributions(folder: Path, unread: Unread) -> Iterator[metadata.Distribution]:
    try:
        yield from metadata.distributions(path=[str(folder)])
    except OSError as error:
        unread.add(folder, error)


# -- lock files

_LOCKS = r"(?:uv|poetry|pdm)\.lock|requirements[\w.-]*\.txt"
_LOCKED = re.compile(r'(?m)^name\s*=\s*"([^"\n]+)"\s*\nversion\s*=\s*"([^"\n]+)"')
_PINNED = re.compile(r"(?m)^\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]\n]*\])?\s*===?\s*([^\s;,\\#]+)")


def _is_lock(name: str) -> bool:
    return re.fullmatch(_LOCKS, name) is not None


def _locked(file: Path, unread: Unread) -> PythonEnvironment:
    text = read_text(file, unread) or ""
    pattern = _PINNED if file.suffix == ".txt" else _LOCKED
    return PythonEnvironment(str(file), {canonical(name): version for name, version in pattern.findall(text)})
