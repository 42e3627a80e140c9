"""Results as lines for a person and as JSON for a program; no key is in either."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

from rtstt_testkit.probe.compare import brief
from rtstt_testkit.probe.rows import Row
from rtstt_testkit.probe.runner import Result, Verdict

__all__ = ["counts", "document", "lines", "listing", "shown"]

_WIDTH = 300


def counts(results: Sequence[Result]) -> dict[str, int]:
    """How many rows of each verdict."""
    found = Counter[str](result.verdict for result in results)
    return {verdict: found[verdict] for verdict in get_args(Verdict)}


def listing(rows: Sequence[Row]) -> list[str]:
    """The rows and what the mock's answer to each rests on."""
    out: list[str] = []
    group = None
    for row in rows:
        if row.group != group:
            out.append(row.group)
            group = row.group
        out.append(f"  {row.name}  [{row.evidence}]")
    return out


def lines(result: Result, number: int, total: int) -> list[str]:
    """One result: a line, and what differs."""
    place = f"{number:>{len(str(total))}}/{total}"
    note = f" ({result.note})" if result.note else ""
    out = [f"{place}  {result.verdict:9}  {result.row.group}: {result.row.name}{note}"]
    if result.verdict == "differs":
        out.append(f"{'':14}the mock's answer is from: {result.row.evidence}")
    for difference in result.differences:
        out.append(f"{'':14}{difference.where}")
        out.append(f"{'':16}expected  {shown(difference.expected)}")
        out.append(f"{'':16}received  {shown(difference.received)}")
    return out


def shown(value: Any) -> str:
    """A value on one line."""
    text = value if isinstance(value, str) else json.dumps(value)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def document(results: Sequence[Result], about: dict[str, Any]) -> dict[str, Any]:
    """Everything, with every event as it came.

    Args:
        results: One a row.
        about: What was probed, when and with what.
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
        "expected": [brief(event) for event in result.expected],
        "received": [brief(event) for event in result.received.events],
        "events": result.received.raw,
        "seconds": round(result.received.seconds, 3),
    }
