"""What the mock's command shows and leaves behind: lines while it serves, a report at its end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rtstt_testkit.inspector.report import write_report
from rtstt_testkit.inspector.terminal import LogFormat, log_sessions, log_to
from rtstt_testkit.mock.server.server import RealtimeServer

__all__ = ["inspecting"]


@asynccontextmanager
async def inspecting(
    server: RealtimeServer, *, log: LogFormat | None, quiet: bool, report: Path | None
) -> AsyncIterator[None]:
    """Write lines to stderr while a server serves, and a report after it has stopped.

    Args:
        server: The server, which is to be stopped inside.
        log: The format of the lines; without one, a terminal gets text and everything else nothing.
        quiet: Whether to write no lines.
        report: The HTML file to write, None for none.

    Raises:
        OSError: The report cannot be written.
    """
    write = log_to(sys.stderr, log, quiet)
    task = None if write is None else asyncio.create_task(log_sessions(lambda: server.sessions, write))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    if report is not None:
        write_report(report, server.sessions, f"Sessions of {server.url}")
