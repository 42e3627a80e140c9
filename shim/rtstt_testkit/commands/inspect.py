"""The work of ``rtstt-shim inspect``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rtstt_core.errors import UsageError
from rtstt_testkit.inspector.report import report_document
from rtstt_testkit.inspector.serve_page import serve_page
from rtstt_testkit.inspector.trace_reader import UnreadableTraceError, read_traces

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Write the page or serve it."""
    paths = [Path(name) for name in args.files]
    try:
        trace = read_traces(paths)
    except UnreadableTraceError as error:
        raise UsageError(f"{error}") from None
    for note in trace.notes:
        print(f"rtstt-shim: {note}", file=sys.stderr)
    title = ", ".join(path.name for path in paths)
    page = report_document(trace.sessions, title, trace.notes)
    if args.out is not None:
        try:
            Path(args.out).write_text(page, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {args.out}: {error.strerror}; choose another --out") from None
        return 0
    try:
        serve_page(page, args.port, lambda url: print(f"inspector at {url}", flush=True))
    except OverflowError:
        raise UsageError(f"--port {args.port} is not a port; choose 0 to 65535") from None
    except OSError as error:
        raise UsageError(f"cannot listen on port {args.port}: {error.strerror}; choose another --port") from None
    return 0
