"""Walk a folder of unknown origin: bounded, without recursion, and without following links.

Nothing in it is executed. What cannot be read is noted, and the rest is still read.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

__all__ = ["SKIPPED", "Unread", "is_file", "is_folder", "is_skipped", "printable", "read_json", "read_text", "walk"]

SKIPPED = {
    ".git": "history",
    ".hg": "history",
    ".svn": "history",
    "__pycache__": "compiled Python",
    "site-packages": "Python packages, which are read from their metadata; no Node program loads what some bring along",
    ".*cache": "a tool's cache: .cache, in which Yarn 1 and `pnpm dlx` unpack packages, .yarn-cache, .mypy_cache",
    "Library/Caches": "the .cache of macOS",
    "Yarn/Cache": "the cache of Yarn 1 on Windows",
    "_npx": "in npm's cache: what npx fetched to run it once",
    "_cacache": "in npm's cache: archives, in tens of thousands of folders",
    ".nx/cache": "what Nx's tasks built once, kept to be copied back",
}
"""Folders that are not searched, and why: patterns of a name, or of a name and its parent's.

A copy in a cache is noise: nobody upgrades or patches it there. What was installed or built is searched, whatever its
folder is called: .venv (nodeenv keeps its packages in it), .next/standalone, .output, .yarn/unplugged, and a
.pnpm-store, since a ``node_modules`` may link to its links/.
"""

_LARGEST = 20 * 1024 * 1024  # bytes


# Terminals act on the first two ranges; the others change the order or the shape of the text around them.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """Return a text with every character escaped that a terminal would act on.

    Args:
        text: A version, a path or another text of unknown origin.
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


class Unread:
    """What could not be read, and why."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def add(self, path: Path, error: Exception) -> None:
        """Note one path."""
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self.notes.append(f"{path}: {reason}")


def is_file(path: Path) -> bool:
    """Return whether the path is a regular file; False if that cannot be determined."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return whether the path is a folder; False if that cannot be determined."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_skipped(folder: Path, name: str) -> bool:
    """Return whether `SKIPPED` names a folder.

    Args:
        folder: Its parent.
        name: Its name.
    """
    return any(fnmatch(f"{folder.name}/{name}" if "/" in pattern else name, pattern) for pattern in SKIPPED)


def walk(
    root: Path, unread: Unread, descend: Callable[[Path, str], bool]
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walk a folder, parents first, in the order of names.

    Args:
        root: The folder. It may be a link.
        unread: Receives the folders that cannot be read.
        descend: Whether to walk a folder too, by its parent and its name. Links are never walked.

    Yields:
        A folder, the names of the folders in it (links to folders included), and the names of its other entries.
    """
    waiting = [root]
    while waiting:
        here = waiting.pop()
        folders, others, real = [], [], []
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if _is_folder(entry):
                        folders.append(entry.name)
                        if not entry.is_symlink():
                            real.append(entry.name)
                    else:
                        others.append(entry.name)
        except OSError as error:
            unread.add(here, error)
            continue
        yield here, sorted(folders), sorted(others)
        waiting.extend(here / name for name in sorted(real, reverse=True) if descend(here, name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def read_text(path: Path, unread: Unread) -> str | None:
    """Return the text of a file; None where there is none, or where it cannot be read, which is noted.

    Args:
        path: The file. Only a regular file is opened: a pipe would block.
        unread: Gets the path where it cannot be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return None
        if found.st_size > _LARGEST:
            raise ValueError(f"larger than {_LARGEST // 1024 // 1024} MiB")
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        unread.add(path, error)
        return None


def read_json(text: str | None) -> Any:
    """Return the value of a JSON text; None where it is not JSON, or nests deeper than Python reads."""
    try:
        return json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None
