"""The results of an exam for a terminal, as JSON, JUnit and HTML; and baselines of known failures."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from xml.etree import ElementTree

from rtstt_testkit.exam.examiner import Result

__all__ = ["Baseline", "document", "html", "is_known", "junit", "lines", "read_baseline", "summary"]

Baseline = Mapping[str, frozenset[str]]
"""The findings that are known, by the name of the scenario."""

# XML 1.0 allows no other control characters.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(results: Sequence[Result]) -> dict[str, Any]:
    """Return the results as JSON; a baseline is such a document."""
    return {
        "scenarios": [
            {
                "name": result.scenario.name,
                "result": result.verdict,
                "findings": [
                    {"name": finding.name, "evidence": [each.as_json() for each in finding.evidence]}
                    for finding in result.findings
                ],
            }
            for result in results
        ]
    }


def read_baseline(text: str) -> Baseline:
    """Return the known failures of an earlier run.

    Args:
        text: The document of that run.

    Raises:
        ValueError: It is not such a document.
    """
    try:
        return {
            scenario["name"]: frozenset(finding["name"] for finding in scenario["findings"])
            for scenario in json.loads(text)["scenarios"]
        }
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it is not a report of `rtstt-shim exam --json`: {error!r}") from None


def is_known(result: Result, baseline: Baseline) -> bool:
    """Return whether a scenario failed as it did before."""
    known = baseline.get(result.scenario.name, frozenset())
    return result.verdict == "failed" and {finding.name for finding in result.findings} <= known


def lines(result: Result, count: int, total: int, baseline: Baseline) -> list[str]:
    """Return a result as lines for a terminal.

    Args:
        result: The result.
        count: How many results there are with it.
        total: How many there will be.
        baseline: The known failures.
    """
    known = " (known)" if is_known(result, baseline) else ""
    width = len(str(total))
    shown = [f"[{count:{width}}/{total}] {result.verdict + known:<14}  {result.scenario.name}"]
    if result.note:
        shown.append(f"    {result.note}")
    for finding in result.findings:
        shown.append(f"    {finding.name}: {finding.meaning}")
        shown += [f"      {each}" for each in finding.evidence[:5]]
        if len(finding.evidence) > 5:
            shown.append(f"      … and {len(finding.evidence) - 5} more")
        shown.append(f"      {finding.fix}")
    return shown


def summary(results: Sequence[Result], baseline: Baseline) -> str:
    """Return how many scenarios have each result, as a line."""
    counts = Counter(result.verdict for result in results)
    known = sum(is_known(result, baseline) for result in results)
    failed = f"{counts['failed']} failed" + (f" ({known} known)" if known else "")
    return f"{counts['passed']} passed, {failed}, {counts['not applicable']} not applicable"


def junit(results: Sequence[Result], baseline: Baseline) -> str:
    """Return the results as JUnit XML; known failures count as skipped."""
    failures = sum(result.verdict == "failed" and not is_known(result, baseline) for result in results)
    skipped = sum(result.verdict == "not applicable" or is_known(result, baseline) for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name="rtstt-shim exam",
        tests=str(len(results)),
        failures=str(failures),
        errors="0",
        skipped=str(skipped),
    )
    for result in results:
        case = ElementTree.SubElement(suite, "testcase", classname="exam", name=result.scenario.name)
        names = ", ".join(finding.name for finding in result.findings)
        if is_known(result, baseline):
            ElementTree.SubElement(case, "skipped", message=f"known: {names}")
        elif result.verdict == "failed":
            failure = ElementTree.SubElement(case, "failure", message=names)
            failure.text = _NOT_XML.sub("\ufffd", "\n".join(map(str, result.findings)))
        elif result.verdict == "not applicable":
            ElementTree.SubElement(case, "skipped", message=result.note)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, "unicode") + "\n"


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1b1b1b; background: #fff }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ border-bottom: 1px solid #ccc; padding: .4rem .6rem; text-align: left; vertical-align: top }}
.passed {{ color: #11632b }} .failed {{ color: #a3121f }} .not {{ color: #555 }}
pre {{ overflow: auto; background: #f4f4f4; padding: .6rem; font-size: 13px }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #eee; background: #161616 }} pre {{ background: #222 }} td, th {{ border-color: #444 }}
  .passed {{ color: #6fd48d }} .failed {{ color: #ff8d96 }} .not {{ color: #aaa }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary}</p>
<table>
<thead><tr><th scope="col">Scenario</th><th scope="col">Result</th><th scope="col">Findings</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""


def html(results: Sequence[Result], baseline: Baseline, title: str) -> str:
    """Return the results as a page.

    Args:
        results: The results.
        baseline: The known failures.
        title: What was examined.
    """
    rows = "\n".join(_row(result, is_known(result, baseline)) for result in results)
    return _PAGE.format(title=escape(title), summary=escape(summary(results, baseline)), rows=rows)


def _row(result: Result, known: bool) -> str:
    verdict = escape(result.verdict + (" (known)" if known else ""))
    found = "".join(
        f"<p><strong>{escape(finding.name)}</strong>: {escape(finding.meaning)} {escape(finding.fix)}</p><ul>"
        + "".join(f"<li>{escape(str(each))}</li>" for each in finding.evidence)
        + "</ul>"
        for finding in result.findings
    )
    note = f"<p>{escape(result.note)}</p>" if result.note else ""
    timeline = (
        f"<details><summary>What the mock saw</summary><pre>{escape(result.timeline)}</pre></details>"
        if result.timeline
        else ""
    )
    return (
        f"<tr><td><strong>{escape(result.scenario.name)}</strong><br>{escape(result.scenario.summary)}</td>"
        f'<td class="{result.verdict.split()[0]}">{verdict}</td><td>{found}{note}{timeline}</td></tr>'
    )
