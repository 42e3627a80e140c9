"""npm version ranges: whether a ``package.json`` asks for another version than the installed one."""

from __future__ import annotations

import json
import re
from pathlib import Path

__all__ = ["excludes", "range_beside"]

_Version = tuple[int, int, int]
_COMPARATOR = re.compile(r"(\^|~|>=|>|<=|<|=|)\s*v?(\d+)\.(\d+)\.(\d+)(?:\+\S*)?")


def range_beside(folder: Path, name: str) -> str | None:
    """Return the range of a package in the manifest beside the ``node_modules`` that it is installed in.

    Args:
        folder: The installed package.
        name: Its name.

    Returns:
        The range, or None if the manifest does not list the package.
    """
    modules = folder.parents[name.count("/")]
    try:
        manifest = json.loads((modules.parent / "package.json").read_bytes())
        groups = [manifest.get(group) for group in ("dependencies", "devDependencies", "optionalDependencies")]
    except (OSError, ValueError, AttributeError):
        return None
    found = next((group[name] for group in groups if isinstance(group, dict) and name in group), None)
    return found if modules.name == "node_modules" and isinstance(found, str) else None


def excludes(wanted: str, version: str) -> bool:
    """Return whether a range certainly excludes a version; of tags, links and partial versions nothing is known."""
    installed = _COMPARATOR.fullmatch(version)
    if installed is None:
        return False
    present = _triple(installed)
    return all(_alternative_excludes(alternative.strip(), present) for alternative in wanted.split("||"))


def _alternative_excludes(alternative: str, version: _Version) -> bool:
    if not re.fullmatch(rf"(?:{_COMPARATOR.pattern}\s*)+", alternative):
        return False
    return any(not _allows(match, version) for match in _COMPARATOR.finditer(alternative))


def _allows(comparator: re.Match[str], version: _Version) -> bool:
    bound = _triple(comparator)
    major, minor, patch = bound
    if comparator[1] in ("", "="):
        return version == bound
    if comparator[1] == "^":
        # Up to the next change of the first part that is not zero.
        above = (major + 1, 0, 0) if major else (0, minor + 1, 0) if minor else (0, 0, patch + 1)
        return bound <= version < above
    if comparator[1] == "~":
        return bound <= version < (major, minor + 1, 0)
    return {">=": version >= bound, ">": version > bound, "<=": version <= bound, "<": version < bound}[comparator[1]]


def _triple(match: re.Match[str]) -> _Version:
    return int(match[2]), int(match[3]), int(match[4])
