"""Which installed Python clients have the bug: the Python half of ``rtstt-shim doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

from rtstt_core.clients.python_table import PYTHON_CLIENTS, VersionRange
from rtstt_core.patching.targets import TARGETS, numbers

__all__ = ["PythonClient", "find_python_clients"]


class PythonClient(NamedTuple):
    """One installed client.

    Attributes:
        name: Its name on PyPI.
        version: Its version.
        affected: Whether it opens transcription sockets that OpenAI's endpoint refuses.
        why: What it does, a clause.
        shim: What the shim does about it.
        covered: Whether the shim can do that with what is installed.
        not_needed_from: The first version that needs no shim, and what else that takes; `None` where there is none, or
            where this version is older and not affected.
    """

    name: str
    version: str
    affected: bool
    why: str
    shim: str
    covered: bool
    not_needed_from: str | None


def find_python_clients() -> list[PythonClient]:
    """The clients installed in this environment, in the order of the table."""
    return list(_found())


def _found() -> Iterator[PythonClient]:
    for known in PYTHON_CLIENTS:
        version = _installed(known.name)
        if version is None:
            continue
        row = known.at(version)
        covered, shim = _cover(known.transport, row)
        free = known.not_needed_from
        told = free if free and (row.affected or numbers(version) >= numbers(free)) else None
        yield PythonClient(known.name, version, row.affected, row.why, shim, covered, told)


def _cover(transport: str, row: VersionRange) -> tuple[bool, str]:
    """Whether the shim can help, with the version installed of the library the client connects with."""
    if row.beta:
        return False, "says why a session failed, and cannot save it; upgrade"
    version = _installed(transport)
    if version is None:
        return False, f"nothing: {transport}, which it connects with, is not installed"
    target = next(target for target in TARGETS if target.library == transport)
    if target.tested_with(version):
        return True, f"corrects its URLs, on {transport} {version}"
    return False, f"nothing: it was not tested with {transport} {version}"


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
