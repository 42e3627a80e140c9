"""Report files: the inspector's page with the sessions of a server inside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rtstt_testkit.inspector.page import report_page
from rtstt_testkit.mock.inspect.record import SessionRecord

__all__ = ["report_document", "report_name", "write_report"]

_MOST = 200  # sessions in a report, the latest
_LONGEST_NAME = 120


def write_report(path: Path, sessions: Sequence[SessionRecord], title: str) -> None:
    """Write a report.

    Args:
        path: The HTML file; its folder is made.
        sessions: The sessions; of very many, the report has the latest.
        title: What the report is about.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_document(sessions, title), encoding="utf-8")


def report_document(sessions: Sequence[SessionRecord], title: str, notes: Sequence[str] = ()) -> str:
    """Return a report.

    Args:
        sessions: The sessions; of very many, the report has the latest.
        title: What the report is about.
        notes: What is missing in it, as sentences.
    """
    if len(sessions) > _MOST:
        title = f"{title} (the latest {_MOST} of {len(sessions)} sessions)"
    return report_page(list(sessions)[-_MOST:], title, notes)


def report_name(test: str, number: int) -> str:
    """Return the name of a test's report.

    Args:
        test: The test's node id.
        number: Which of the test's servers, from 1.
    """
    name = re.sub(r"[^\w.=-]+", "-", test).strip("-.")[-_LONGEST_NAME:]
    return f"{name}.html" if number == 1 else f"{name}-{number}.html"
