"""Format results as text and as JSON; neither contains a key."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

from rtstt_testkit.probe.compare import summarize
from rtstt_testkit.probe.rows import Row
from rtstt_testkit.probe.runner import Result, Verdict

__all__ = ["counts", "document", "format_value", "lines", "list_rows"]

_WIDTH = 300


def counts(results: Sequence[Result]) -> dict[str, int]:
    """Count the rows by verdict."""
    found = Counter[str](result.verdict for result in results)
    return {verdict: found[verdict] for verdict in get_args(Verdict)}


def list_rows(rows: Sequence[Row]) -> list[str]:
    """List the rows, each with the evidence for the mock's answer."""
    out: list[str] = []
    group = None
    for row in rows:
        if row.group != group:
            out.append(row.group)
            group = row.group
        out.append(f"  {row.name}  {row.evidence}")
    return out


def lines(result: Result, number: int, total: int) -> list[str]:
    """Format one result: a line, and its differences."""
    place = f"{number:>{len(str(total))}}/{total}"
    note = f" ({result.note})" if result.note else ""
    out = [f"{place}  {result.verdict:9}  {result.row.group}: {result.row.name}{note}"]
    if result.verdict == "differs":
        out.append(f"{'':14}evidence for the mock's answer: {result.row.evidence}")
    for difference in result.differences:
        out.append(f"{'':14}{difference.where}")
        out.append(f"{'':16}expected  {format_value(difference.expected)}")
        out.append(f"{'':16}received  {format_value(difference.received)}")
    return out


def format_value(value: Any) -> str:
    """Format a value on one line."""
    text = value if isinstance(value, str) else json.dumps(value)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def document(results: Sequence[Result], about: dict[str, Any]) -> dict[str, Any]:
    """Return the report, with every event as received.

    Args:
        results: The results.
        about: What was probed, when, and by which version.
    """
    return {**about, "counts": counts(results), "rows": [_row(result) for result in results]}


def _row(result: Result) -> dict[str, Any]:
    return {
        "group": result.row.group,
        "name": result.row.name,
        "evidence": result.row.evidence,
        "verdict": result.verdict,
        "note": result.note,
        "differences": [difference._asdict() for difference in result.differences],
        "expected": [summarize(event) for event in result.expected],
        "received": [summarize(event) for event in result.received.events],
        "events": result.received.raw,
        "seconds": round(result.received.seconds, 3),
    }
