"""The blocks of tests/EXAM.md: what published clients do in the exam, and why.

The results are those that `exam_field.py` saved. tests/exam.toml has the cause of each failure, found by looking.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import _env
import exam_field
from _documents import table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

CAUSES = _env.ROOT / "tests" / "exam.toml"

GROUPS: dict[str, tuple[str, ...]] = {
    "works": ("clean turn", "slow handshake", "empty transcript", "split character", "15 MiB message"),
    "refused": ("HTTP 401", "HTTP 403", "invalid_api_key", "invalid_model", "no credit", "update refused"),
    "not connected": (
        "HTTP 429",
        "HTTP 503",
        "HTTP 503 four times",
        "reset at the handshake",
        "closed before created",
    ),
    "interrupted": (
        "reset during speech",
        "1011 during speech",
        "1001 at the end of the session",
        "an hour in seconds",
        "six interruptions",
    ),
    "silent": ("stall during speech", "no PONG"),
    "answers": (
        "error event",
        "failed item",
        "completions out of order",
        "delta without completed",
        "duplicate events",
    ),
}
"""The scenarios in groups, by what they have in common."""


class Cause(NamedTuple):
    """Why a scenario failed.

    Attributes:
        whose: ``client``, or ``application`` where the client leaves it to whoever uses it.
        sentence: The cause, as a sentence.
    """

    whose: str
    sentence: str


def causes() -> dict[tuple[str, str], Cause]:
    """Return the cause of each failure, by client and scenario.

    Raises:
        ValueError: A failure has two.
    """
    found: dict[tuple[str, str], Cause] = {}
    for row in tomllib.loads(CAUSES.read_text(encoding="utf-8"))["cause"]:
        for client in row["clients"]:
            for scenario in row["scenarios"]:
                if (client, scenario) in found:
                    raise ValueError(f"{CAUSES.name}: {client}, {scenario!r} has two causes")
                found[client, scenario] = Cause(row["whose"], row["sentence"])
    return found


def failed(results: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the client and the scenario of each failure."""
    for client, result in results.items():
        for scenario in result["scenarios"]:
            if scenario["result"] == "failed":
                yield client, scenario


def summary() -> str:
    """The clients by groups of scenarios: how many of those that apply were passed."""
    results = exam_field.load()
    rows = []
    for examinee in exam_field.EXAMINEES:
        if examinee.name not in results:
            rows.append((examinee.name, f"not examined: {examinee.missing}", *[""] * (len(GROUPS) - 1)))
            continue
        verdicts = {each["name"]: each["result"] for each in results[examinee.name]["scenarios"]}
        rows.append((examinee.name, *(_passed([verdicts[name] for name in group]) for group in GROUPS.values())))
    return table(("client", *GROUPS), rows)


def _passed(verdicts: Sequence[str]) -> str:
    counts = Counter(verdicts)
    applicable = len(verdicts) - counts["not applicable"]
    return f"{counts['passed']} of {applicable}" if applicable else "not applicable"


def failures() -> str:
    """Each client's failures: finding, evidence and cause."""
    results, known = exam_field.load(), causes()
    parts = []
    for client, result in results.items():
        rows = [
            (
                scenario["name"],
                "<br>".join(f"`{finding['name']}`: {_evidence(finding)}" for finding in scenario["findings"]),
                known[client, scenario["name"]].whose,
                known[client, scenario["name"]].sentence,
            )
            for _, scenario in failed({client: result})
        ]
        not_applicable = [each["name"] for each in result["scenarios"] if each["result"] == "not applicable"]
        parts.append(f"### {client}\n\nExamined on {result['on']}, in {result['seconds']} seconds.")
        if len(not_applicable) == len(result["scenarios"]) - 1:
            parts[-1] += " Nothing else was run after this:"
        elif not_applicable:
            parts[-1] += f" Not applicable: {', '.join(not_applicable)}."
        if rows:
            parts.append(table(("scenario", "finding and evidence", "whose", "cause"), rows))
        else:
            parts.append("Nothing was found.")
    return "\n\n".join(parts)


def _evidence(finding: dict[str, Any]) -> str:
    first, *others = finding["evidence"]
    place = "" if first["session"] is None else f"session {first['session']}"
    place += "" if first["at"] is None else f" at {first['at']:.1f} s"
    more = f" (and {len(others)} more)" if others else ""
    text = first["text"] if len(first["text"]) <= 200 else first["text"][:160] + "…"
    return f"{place}: {text}{more}".removeprefix(": ").replace("|", "\\|")
