"""Apply the source rules to an application's folder, or to the files of a package."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from rtstt_core.clients.results import Finding
from rtstt_core.clients.tree import Unread, is_file, is_skipped, read_text, walk
from rtstt_testkit.source.edits import can_edit
from rtstt_testkit.source.rules import LANGUAGES, Match, matches

__all__ = ["findings_in", "scan_folder", "scan_sources", "source_files"]

_BUILT = ("node_modules", "build", "dist", "out", "target", "coverage")
_LARGEST = 1_000_000  # characters; a larger file is generated
_IMPORT = re.compile(r"(?m)^\s*(?:import|from) rtstt_shim\b")


def source_files(folder: Path, unread: Unread) -> Iterator[tuple[Path, str]]:
    """Yield the source files of an application that mention the realtime API or the shim, and their texts.

    Left out are hidden folders, virtual environments, installed packages, caches and folders of built files.

    Args:
        folder: The application's folder, or one file.
        unread: Gets what cannot be read.
    """
    if folder.is_file():
        names = [(folder.parent, [folder.name])]
    else:
        names = [(here, files) for here, _, files in walk(folder, unread, _may_hold_source)]
    for here, files in names:
        for name in files:
            path = here / name
            if path.suffix not in LANGUAGES or not is_file(path):
                continue
            text = read_text(path, unread)
            if text is not None and len(text) <= _LARGEST and ("realtime" in text.lower() or "rtstt_shim" in text):
                yield path, text


def _may_hold_source(here: Path, name: str) -> bool:
    if name.startswith(".") or name in _BUILT or is_skipped(here, name):
        return False
    return not is_file(here / name / "pyvenv.cfg")


def scan_folder(folder: Path, unread: Unread, *, python_active: bool, node_active: bool) -> list[Finding]:
    """Return what the rules find in an application's source, in the order of paths and lines.

    Args:
        folder: The application's folder, or one file.
        unread: Gets what cannot be read.
        python_active: Whether ``import rtstt_shim`` activates the shim.
        node_active: Whether the shim is active in Node programs.
    """
    findings: list[Finding] = []
    importing: set[Path] = set()
    for path, text in source_files(folder, unread):
        findings += findings_in(str(path), text)
        if path.suffix == ".py" and _IMPORT.search(text):
            importing.add(path.parent)

    def is_active(file: Path) -> bool:
        language = LANGUAGES[file.suffix]
        if language == "python":
            # Which program runs a module is not known: one that is beside or above it is assumed to.
            return python_active and not importing.isdisjoint(file.parents)
        return node_active and language in ("javascript", "typescript", "tsx")

    return [finding._replace(covered=finding.corrected and is_active(Path(finding.file))) for finding in findings]


def scan_sources(sources: Mapping[str, str]) -> list[Finding]:
    """Return what the rules find in texts.

    Args:
        sources: The texts, by path.
    """
    return [
        found
        for path, text in sources.items()
        if len(text) <= _LARGEST and Path(path).suffix in LANGUAGES
        for found in findings_in(path, text)
    ]


def findings_in(path: str, text: str) -> list[Finding]:
    """Return what the rules find in one text, once a line and rule.

    Args:
        path: The path, whose end names the language.
        text: The text.
    """
    native = "openai.com" in text.lower()
    found = {
        (match.line, match.rule.id): _finding(path, match, native)
        for match in matches(text, LANGUAGES[Path(path).suffix])
    }
    return [found[key] for key in sorted(found)]


def _finding(path: str, match: Match, native: bool) -> Finding:
    rule = match.rule
    certain = match.is_certain(native)
    return Finding(
        file=path,
        line=match.line,
        rule=rule.id,
        verdict="affected" if certain else "unknown",
        why=rule.cause,
        fix=rule.fix,
        corrected=rule.corrected,
        fixable=certain and can_edit(match),
    )
