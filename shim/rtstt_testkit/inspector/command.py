"""The output of the mock's command: lines while it serves, and a report at the end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rtstt_testkit.inspector.line_writer import line_writer
from rtstt_testkit.inspector.report import write_report
from rtstt_testkit.inspector.terminal import LogFormat, line_format, log_sessions
from rtstt_testkit.mock.server.server import RealtimeServer

__all__ = ["inspecting"]


@asynccontextmanager
async def inspecting(
    server: RealtimeServer, *, log: LogFormat | None, quiet: bool, report: Path | None
) -> AsyncIterator[None]:
    """Write lines to stderr while a server serves, and a report after it has stopped.

    Args:
        server: The server; stop it inside the context.
        log: The format of the lines; without one, a terminal gets text and everything else nothing.
        quiet: Whether to write no lines.
        report: The HTML file to write, None for none.

    Raises:
        OSError: The report cannot be written.
    """
    form = line_format(sys.stderr, log, quiet)
    if form is None:
        yield
    else:
        with line_writer(sys.stderr, lambda count: _dropped(count, log)) as write:
            task = asyncio.create_task(log_sessions(lambda: server.sessions, lambda line: write(form(line))))
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
    if report is not None:
        write_report(report, server.sessions, f"Sessions of {server.url}")


def _dropped(count: int, log: LogFormat | None) -> str:
    return json.dumps({"dropped": count}) if log == "json" else f"{count} lines were dropped: stderr was not read."
