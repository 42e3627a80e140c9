"""Find the installed packages that hold the address of OpenAI's realtime endpoint and are in no table.

The source rules examine their code, if they are installed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from rtstt_core.clients.npm_installed import SHIM, is_known
from rtstt_core.clients.npm_packages import NpmPackage, find_packages
from rtstt_core.clients.python_environments import PythonEnvironment, canonical
from rtstt_core.clients.python_table import PYTHON_CLIENTS
from rtstt_core.clients.tree import Unread, read_text

__all__ = ["UnknownPackage", "unknown_npm_packages", "unknown_python_packages"]

_TABLED = {known.name for known in PYTHON_CLIENTS} | {"rtstt-shim"}

# What the metadata of a package that opens such a socket mentions: as a dependency, a keyword or in its description.
_HINTS = ("openai", "realtime", "websocket", "aiohttp")
_NPM_HINTS = ("openai", "realtime", '"ws"', '"faye-websocket"')
_SCRIPTS = (".js", ".cjs", ".mjs")


class UnknownPackage(NamedTuple):
    """A package that holds the endpoint's address.

    Attributes:
        registry: Where it is published.
        name: Its name there.
        version: Its version; empty where it does not name one.
        environment: The Python environment that it is in; None for an npm package.
        path: The folder of an npm package; None for a Python package.
        sources: The text of each of its files that mentions the realtime API, by path.
    """

    registry: Literal["PyPI", "npm"]
    name: str
    version: str
    environment: str | None
    path: str | None
    sources: dict[str, str]


def unknown_python_packages(environment: PythonEnvironment, unread: Unread) -> Iterator[UnknownPackage]:
    """Yield the packages of an environment.

    Args:
        environment: The environment. Nothing of it is imported.
        unread: Gets what cannot be read.
    """
    seen = set()
    for folder in environment.folders:
        for found in metadata.distributions(path=[str(folder)]):
            name, mentions = _described(found)
            if not name or name in _TABLED or name in seen or not any(hint in mentions for hint in _HINTS):
                continue
            seen.add(name)
            sources = _talking_to_openai(_python_sources(folder, found, unread))
            if sources:
                yield UnknownPackage("PyPI", name, found.version, environment.name, None, sources)


def _described(found: metadata.Distribution) -> tuple[str, str]:
    """Return a package's name and the text of its metadata; nothing where that is damaged."""
    with contextlib.suppress(Exception):  # noted when the environment was read
        return canonical(found.metadata["Name"] or ""), str(found.metadata).lower()
    return "", ""


def _talking_to_openai(sources: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Return the sources that mention the realtime API, if the package holds OpenAI's host name, in any file."""
    realtime, host = {}, False
    for path, text in sources:
        host = host or "openai.com" in text
        if "realtime" in text:
            realtime[path] = text
    return realtime if host else {}


def _python_sources(folder: Path, found: metadata.Distribution, unread: Unread) -> Iterator[tuple[str, str]]:
    for file in found.files or ():
        # RECORD may name any path; only modules below the folder are read.
        if file.suffix != ".py" or ".." in file.parts or file.is_absolute():
            continue
        text = read_text(folder / file, unread)
        if text is not None:
            yield str(folder / file), text


def unknown_npm_packages(path: Path, unread: Unread) -> Iterator[UnknownPackage]:
    """Yield the npm packages of a project.

    Args:
        path: A folder, as for `find_packages`.
        unread: Gets what cannot be read.
    """
    for package in find_packages(path, unread, lambda name: name != SHIM and not is_known(name)):
        manifest = (package.read("package.json", unread) or "").lower()
        if not any(hint in manifest for hint in _NPM_HINTS):
            continue
        sources = _talking_to_openai(_npm_sources(package, unread))
        if sources:
            yield UnknownPackage("npm", package.name, package.version(unread), None, str(package.path), sources)


def _npm_sources(package: NpmPackage, unread: Unread) -> Iterator[tuple[str, str]]:
    for file in package.files(unread):
        if not file.endswith(_SCRIPTS):
            continue
        text = package.read(file, unread)
        if text is not None:
            yield str(package.path / file), text
