"""The output formats of ``rtstt-shim doctor``."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from rtstt_core.clients.results import Client, Finding, Report, Verdict
from rtstt_core.clients.tree import is_file, printable
from rtstt_core.terminal import terminal_width

__all__ = ["FORMATS"]


def _wrap(text: str, indent: int = 0) -> list[str]:
    """Return a text as lines that fit the terminal; 80 columns where its width is not known.

    Args:
        text: One paragraph.
        indent: The spaces before each line; lines after the first get two more.
    """
    width = terminal_width()
    lead = " " * indent
    return textwrap.wrap(
        printable(text), width, initial_indent=lead, subsequent_indent=lead + "  ", break_on_hyphens=False
    )


# -- text


def _text(report: Report) -> str:
    lines: list[str] = []
    for environment in report.environments:
        lines += _section(environment, [client for client in report.clients if client.environment == environment])
    lines += _section(f"npm packages of {report.folder}", [client for client in report.clients if client.path])
    if not report.skipped:
        lines += _wrap(f"source code of {report.folder}")
        for finding in report.findings:
            lines += _finding(finding)
        if not report.findings:
            lines += _wrap("nothing that the endpoint refuses was found", 2)
    for sentence in report.skipped:
        lines += _wrap(sentence)
    return "\n".join(lines)


def _section(title: str, clients: list[Client]) -> list[str]:
    lines = _wrap(title)
    for client in clients:
        lines += _client(client)
    return lines if clients else [*lines, *_wrap("no known client", 2)]


def _client(client: Client) -> list[str]:
    mark, word = _CLIENT_STATES[client.verdict, client.covered and client.verdict == "affected"]
    head = f"{mark} {client.name} {client.version}".rstrip()
    lines = _colored(_wrap(f"{head}: {word}: {client.why}", 2), mark, word)
    if client.verdict == "affected":
        lines += _wrap(f"shim: {client.shim}", 6)
    if client.fix:
        lines += _wrap(f"fix: {client.fix}", 6)
    elif client.not_needed_from:
        lines += _wrap(f"shim: not needed from {client.not_needed_from}", 6)
    return lines + (_wrap(client.path, 6) if client.path else [])


def _finding(finding: Finding) -> list[str]:
    mark, word = _FINDING_STATES[finding.verdict, finding.covered and finding.verdict == "affected"]
    lines = _colored(_wrap(f"{mark} {finding.file}:{finding.line}: {word}: {finding.why}", 2), mark, word)
    if finding.corrected and not finding.covered:
        lines += _wrap("shim: corrects it once it is active: `import rtstt_shim`, or `rtstt-shim run -- COMMAND`", 6)
    fixable = " (`--fix` does it)" if finding.fixable else ""
    return lines + _wrap(f"fix: {finding.fix}{fixable}", 6)


_Mark = Literal["!", "+", "-", "?"]

_CLIENT_STATES: dict[tuple[Verdict, bool], tuple[_Mark, str]] = {
    ("affected", False): ("!", "AFFECTED"),
    ("affected", True): ("+", "affected, covered"),
    ("not affected", False): ("-", "not affected"),
    ("unknown", False): ("?", "not known"),
}
_FINDING_STATES: dict[tuple[Verdict, bool], tuple[_Mark, str]] = {
    ("affected", False): ("!", "REFUSED"),
    ("affected", True): ("+", "refused, covered"),
    ("unknown", False): ("?", "may be refused"),
}


def _colored(lines: list[str], mark: str, word: str) -> list[str]:
    if mark in "-?" or not sys.stdout.isatty() or not lines:
        return lines
    return [lines[0].replace(word, f"\x1b[{31 if mark == '!' else 32}m{word}\x1b[0m", 1), *lines[1:]]


# -- JSON


def _json(report: Report) -> str:
    return json.dumps([*map(_client_fields, report.clients), *map(_finding_fields, report.findings)], indent=2)


def _client_fields(client: Client) -> dict[str, Any]:
    return {
        "registry": client.registry,
        "name": client.name,
        "version": client.version,
        "environment": client.environment,
        "path": client.path,
        "line": None,
        "verdict": client.verdict,
        "affected": client.verdict == "affected",
        "why": client.why,
        "shim": client.shim,
        "covered": client.covered,
        "fix": client.fix,
        "not_needed_from": client.not_needed_from,
    }


def _finding_fields(finding: Finding) -> dict[str, Any]:
    return {
        "registry": "source",
        "name": finding.rule,
        "version": "",
        "environment": None,
        "path": finding.file,
        "line": finding.line,
        "verdict": finding.verdict,
        "affected": finding.verdict == "affected",
        "why": finding.why,
        "shim": "corrects it while it is active" if finding.corrected else "nothing: it cannot correct this",
        "covered": finding.covered,
        "fix": finding.fix,
        "not_needed_from": None,
    }


# -- GitHub and SARIF


def _places(report: Report) -> Iterator[tuple[str, str, str | None, int | None, bool, Verdict]]:
    """Yield what is worth an annotation: rule, message, file, line, whether it fails, and the verdict."""
    for client in report.clients:
        if client.verdict != "not affected":
            fix = f" Fix: {client.fix}." if client.fix else ""
            message = f"{client.name} {client.version}: {client.why}. The shim: {client.shim}.{fix}"
            yield "client", message, _file_of(client), None, client.fails, client.verdict
    for finding in report.findings:
        message = f"{finding.why} {finding.fix}"
        yield finding.rule, message, finding.file, finding.line, finding.fails, finding.verdict


def _file_of(client: Client) -> str | None:
    if client.path:
        return client.path if client.path.endswith(".zip") else f"{client.path}/package.json"
    # A lock file is named by its path, an interpreter with its version before it.
    return client.environment if client.environment and is_file(Path(client.environment)) else None


def _relative(file: str) -> str:
    """Return a path as annotations need it: below the current folder, with slashes."""
    path = Path(os.path.relpath(file))
    return (Path(file) if ".." in path.parts else path).as_posix()


def _level(fails: bool, verdict: Verdict) -> Literal["error", "warning", "note"]:
    if fails:
        return "error"
    return "warning" if verdict == "unknown" else "note"


def _github(report: Report) -> str:
    lines = []
    for rule, message, file, line, fails, verdict in _places(report):
        command = _level(fails, verdict).replace("note", "notice")
        properties: Mapping[str, object] = {
            "title": f"rtstt-shim: {rule}",
            **({"file": _relative(file)} if file else {}),
            **({"line": line} if line else {}),
        }
        named = ",".join(f"{name}={_escaped(str(value), ',:')}" for name, value in properties.items())
        lines.append(f"::{command} {named}::{_escaped(message)}")
    return "\n".join(lines)


def _escaped(text: str, more: str = "") -> str:
    """Return a text as GitHub's workflow commands escape it."""
    text = re.sub(f"[%\r\n{more}]", lambda match: f"%{ord(match[0]):02X}", text)
    return printable(text)


def _sarif(report: Report) -> str:
    results = [
        {
            "ruleId": rule,
            "level": _level(fails, verdict),
            "message": {"text": message},
            "locations": [_location(file, line)] if file else [],
        }
        for rule, message, file, line, fails, verdict in _places(report)
    ]
    rules = [{"id": rule} for rule in sorted({str(result["ruleId"]) for result in results})]
    driver = {"name": "rtstt-shim doctor", "version": metadata.version("rtstt-shim"), "rules": rules}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": results}],
        },
        indent=2,
    )


def _location(file: str, line: int | None) -> dict[str, Any]:
    region = {"region": {"startLine": line}} if line else {}
    return {"physicalLocation": {"artifactLocation": {"uri": _relative(file)}, **region}}


FORMATS: dict[str, Callable[[Report], str]] = {"text": _text, "json": _json, "github": _github, "sarif": _sarif}
"""The formats, by the value of ``--format``."""
