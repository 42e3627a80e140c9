"""Format results as text and as JSON; neither contains a key."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args
from xml.etree import ElementTree

from rtstt_testkit.probe.compare import summarize
from rtstt_testkit.probe.rows import Row
from rtstt_testkit.probe.runner import Result, Verdict

__all__ = ["causes", "counts", "document", "format_value", "junit", "lines", "list_rows"]

_WIDTH = 300


def counts(results: Sequence[Result]) -> dict[str, int]:
    """Count the rows by verdict."""
    found = Counter[str](result.verdict for result in results)
    return {verdict: found[verdict] for verdict in get_args(Verdict)}


def causes(results: Sequence[Result]) -> list[str]:
    """Return one line for each cause that several rows differ for, the most frequent first."""
    found = Counter(_cause(result) for result in results if result.verdict == "differs")
    return [f"{count} rows: {cause}" for cause, count in found.most_common() if count > 1]


def _cause(result: Result) -> str:
    """Return what made a row differ: the code of an error that was not expected, or the first difference."""
    expected = {_code(event) for event in result.expected}
    for event in result.received.events:
        if _code(event) not in expected:
            return str(_code(event))
    return (
        f"{result.differences[0].where.partition(' ')[2] or 'events'}: {format_value(result.differences[0].received)}"
    )


def _code(event: dict[str, Any]) -> str | None:
    error = event.get("error")
    if event.get("type") == "(http)":
        return f"HTTP {event['status']}"
    if not isinstance(error, dict):
        return str(event["what"]) if event.get("type") == "(silence)" else None
    return str(error.get("code") or error.get("message"))


def junit(results: Sequence[Result], name: str) -> str:
    """Return results as a JUnit report.

    Args:
        results: The results.
        name: The name of the test suite.
    """
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(results)))
    found = counts(results)
    suite.set("failures", str(found["differs"]))
    suite.set("skipped", str(found["not tried"] + found["not applicable"]))
    for result in results:
        seconds = f"{result.received.seconds:.3f}"
        case = ElementTree.SubElement(suite, "testcase", classname=result.row.group, name=result.row.name, time=seconds)
        if result.verdict == "differs":
            text = "\n".join(
                f"{difference.where}\n  expected  {format_value(difference.expected)}"
                f"\n  received  {format_value(difference.received)}"
                for difference in result.differences
            )
            ElementTree.SubElement(case, "failure", message=format_value(_cause(result))).text = _printable(text)
        elif result.verdict != "ok":
            ElementTree.SubElement(case, "skipped", message=_printable(result.note))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _printable(text: str) -> str:
    """Replace what XML does not allow."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


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
