"""``pytest --rtstt-report=DIR``: a report file for each failing test that used a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from rtstt_testkit.inspector.report import report_name, write_report
from rtstt_testkit.mock.inspect.record import SessionRecord

__all__ = ["add_reports"]


class Inspected(Protocol):
    """A server whose sessions are reported."""

    @property
    def sessions(self) -> list[SessionRecord]:
        """What happened on each connection, in order."""


def add_reports(item: pytest.Item, report: pytest.TestReport, servers: Sequence[Inspected]) -> None:
    """Write the reports of a test, and print their paths under its failure; never raises.

    A test may fail at its end, where its script is checked, so a report is written after the call and again when the
    servers have ended.

    Args:
        item: The test.
        report: Of its call or its teardown.
        servers: Those that it used.
    """
    folder = item.config.getoption("--rtstt-report")
    if folder is None or not servers or report.when == "setup":
        return
    everything = item.config.getoption("--rtstt-report-all")
    written = item.stash.get(_WRITTEN, False)
    if not (report.failed or written or everything):
        return
    item.stash[_WRITTEN] = True
    for number, server in enumerate(servers, 1):
        path = Path(folder, report_name(item.nodeid, number)).absolute()
        try:
            write_report(path, server.sessions, item.nodeid)
            text = str(path)
        except Exception as error:  # a report that cannot be written must not end the run
            text = f"{path} could not be written: {type(error).__name__}: {error}"
        if report.failed:
            report.sections.append(("realtime server report", text))


_WRITTEN = pytest.StashKey[bool]()
