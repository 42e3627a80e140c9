"""Show the sessions of a trace in the inspector's page, until interrupted.

  RTSTT_SHIM_TRACE=trace.jsonl rtstt-shim run -- python app.py
  rtstt-shim inspect trace.jsonl
  rtstt-shim inspect trace.jsonl --out trace.html

FILE is what RTSTT_SHIM_TRACE wrote, in Python or Node.js, what a mock's page has under "JSON lines", the output of
`rtstt-shim mock --json-log`, or a recording of `rtstt-shim record`. Sessions of several files are shown together, in
the order in which they were opened.

A trace has no secrets and, unless `,audio` follows the file's name in RTSTT_SHIM_TRACE, no audio, but it contains
transcripts. You can attach it to an issue, as well as the HTML file of --out, which needs no network.

The page is served on this machine alone. Exit codes: 0 interrupted or written, 2 usage error.
"""

from __future__ import annotations

import argparse

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rtstt-shim inspect``."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="a trace, or another file with one event per line")
    parser.add_argument("--port", type=int, default=0, help="port to serve the page on (default: any free one)")
    parser.add_argument("--out", metavar="FILE.html", help="write the page with the sessions inside, and serve nothing")
