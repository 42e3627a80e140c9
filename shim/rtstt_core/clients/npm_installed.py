"""Which npm packages of a project are affected: the npm half of ``rtstt-shim doctor``.

The rules are data, `npm_rules.json`, which the doctor of the npm package reads as well.
"""

from __future__ import annotations

import functools
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from rtstt_core.bootstrap._rtstt_disable import is_disabled
from rtstt_core.clients.npm_packages import NpmPackage, find_packages
from rtstt_core.clients.results import Client, Verdict
from rtstt_core.clients.tree import Unread

__all__ = ["LIVEKIT", "SHIM", "find_npm_clients", "is_known", "npm_client", "preload_is_set"]

LIVEKIT = "@livekit/agents-plugin-openai"
SHIM = "rtstt-shim"

_BESIDE = 200  # characters: a condition is right before the call


class _Verdict(NamedTuple):
    """What the code of a package does.

    Attributes:
        verdict: Whether it is affected.
        why: What it does, a clause.
        corrected: Whether the shim corrects its URLs.
        not_needed_from: The first version that needs no shim, and what else that takes.
    """

    verdict: Verdict
    why: str
    corrected: bool = False
    not_needed_from: str | None = None


@functools.cache
def _rules() -> Any:
    return json.loads(Path(__file__).with_name("npm_rules.json").read_text(encoding="utf-8"))


@functools.cache
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(_rules()["patterns"][name])


def is_known(name: str) -> bool:
    """Return whether a package has rules of its own.

    Args:
        name: Its name.
    """
    return name in _rules()["packages"]


def _judge(package: NpmPackage, unread: Unread) -> _Verdict:
    rules = _rules()["packages"][package.name]
    texts = [text for file in rules["files"] if (text := package.read(file, unread)) is not None]
    # Each build of a package may run; the worse one decides.
    rows = [next(row for row in rules["rows"] if _holds(row, text)) for text in texts] or [rules["missing"]]
    row = max(rows, key=lambda row: bool(row["verdict"] == "affected"))
    return _Verdict(row["verdict"], row["why"], row.get("corrected", False), row.get("not_needed_from"))


def _holds(row: dict[str, str], text: str) -> bool:
    if "has" in row and not _pattern(row["has"]).search(text):
        return False
    if "lacks" in row and _pattern(row["lacks"]).search(text):
        return False
    if "beside" in row:
        call = _pattern("sets-model").search(text)
        return call is not None and bool(
            _pattern(row["beside"]).search(text[max(0, call.start() - _BESIDE) : call.start()])
        )
    return True


def preload_is_set() -> bool:
    """Return whether NODE_OPTIONS names the shim for Node.js, and nothing disables it."""
    options = os.environ.get("NODE_OPTIONS", "").replace("\\", "/")
    return not is_disabled() and re.search(_rules()["preload"], options) is not None


def find_npm_clients(path: Path, unread: Unread) -> list[Client]:
    """Return the installed npm packages of a project that open realtime sockets to OpenAI.

    Args:
        path: A project, a workspace or a member of one, or any folder above them.
        unread: Gets what cannot be read.

    Returns:
        One entry for every copy, affected or not, in the order of their paths.

    Raises:
        NotADirectoryError: There is no such folder.
    """
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder")
    found = find_packages(path, unread, lambda name: is_known(name) or name == SHIM)
    beside = any(package.name == SHIM for package in found)
    return [npm_client(package, unread, shim_installed=beside) for package in found if package.name != SHIM]


def npm_client(package: NpmPackage, unread: Unread, *, shim_installed: bool = False) -> Client:
    """Return what is known about one copy of a package that has rules.

    Args:
        package: The copy.
        unread: Gets what cannot be read.
        shim_installed: Whether the npm package rtstt-shim is installed in the same project.
    """
    found = _judge(package, unread)
    covered, shim = _cover(found, shim_installed)
    fix = None
    if found.verdict == "affected":
        words = _rules()["fix"]
        fix = words["upgrade"].format(version=found.not_needed_from) if found.not_needed_from else words["none"]
        if _rules()["packages"][package.name].get("patchable") and found.corrected:
            fix += words["patch"]
    return Client(
        "npm",
        package.name,
        package.version(unread),
        None,
        str(package.path),
        found.verdict,
        found.why,
        shim,
        covered,
        fix,
        found.not_needed_from,
    )


def _cover(found: _Verdict, shim_installed: bool) -> tuple[bool, str]:
    """Return whether the shim helps here, and how, a clause."""
    words = _rules()["shim"]
    if not found.corrected:
        return False, words["beta" if found.verdict == "affected" else "nothing"]
    if is_disabled():
        return False, words["disabled"]
    if preload_is_set():
        return True, words["preload"]
    return shim_installed, words["installed" if shim_installed else "absent"]
