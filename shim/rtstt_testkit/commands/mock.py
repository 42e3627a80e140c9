"""The work of ``rtstt-shim mock``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import threading
from pathlib import Path

from rtstt_core.errors import UsageError
from rtstt_testkit.commands._serving import announce, cannot_listen, collecting_rarely, make_server
from rtstt_testkit.inspector.command import inspecting
from rtstt_testkit.mock.server.limits import raise_file_limit
from rtstt_testkit.mock.server.server import RealtimeServer

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    if args.script_schema:
        from rtstt_testkit.mock.script.json_schema import schema

        print(json.dumps(schema(), indent=2))
        return 0
    if args.workers < 1:
        raise UsageError(f"--workers {args.workers} is not a number of processes; choose 1 or more")
    raise_file_limit()
    if args.workers == 1:
        return asyncio.run(_serve(make_server(args), args))
    if args.log is not None or args.report is not None:
        raise UsageError("--log and --report need the sessions in one process; leave out --workers")
    if args.cassette is not None:
        raise UsageError("--cassette needs the sessions in one process; leave out --workers")
    if args.exit_on_eof:
        raise UsageError("--exit-on-eof needs a single process; leave out --workers")
    if args.virtual_time:
        raise UsageError("--virtual-time needs one clock, and each worker has its own; leave out --workers")
    from rtstt_testkit.commands import workers

    return workers.run(args)


async def _serve(server: RealtimeServer, args: argparse.Namespace) -> int:
    report = _report(args.report)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends it
            loop.add_signal_handler(number, stop.set)
    if args.exit_on_eof:
        threading.Thread(target=_stop_at_eof, args=(loop, stop), name="rtstt-eof", daemon=True).start()
    try:
        await server.start()
    except (OSError, OverflowError) as error:
        raise cannot_listen(server.host, server.port, error) from None
    quiet = args.quiet or (args.json_log and args.log is None)
    async with inspecting(server, log=args.log, quiet=quiet, report=report):
        with collecting_rarely():  # the end of a thousand sessions included
            try:
                announce(server)
                await stop.wait()
            finally:
                await server.stop()
    return 0


def _stop_at_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Wait for the end of standard input, then stop the server."""
    with contextlib.suppress(OSError):
        # Not sys.stdin, whose lock a thread that waits would hold at the end of the process.
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has ended by itself
        loop.call_soon_threadsafe(stop.set)


def _report(file: str | None) -> Path | None:
    """Return the path of the report, which can be written."""
    if file is None:
        return None
    path = Path(file)
    try:
        path.touch()
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}; choose another --report") from None
    return path
