"""Serve a mock of OpenAI's Realtime transcription endpoint until interrupted.

The first line on stdout is `listening on ws://HOST:PORT/v1/realtime`, the second the address of the inspector, a page
that shows the sessions. A key that begins with `sk-` or `ek_`
is accepted, unless it contains `bad` or `invalid`.

With --workers, N processes share the port, and the system spreads connections over them. What would need a state in
common is each worker's own: every worker hands out the script from its beginning, numbers its own sessions (for faults
and --json-log), and knows only the client secrets that it made; the control API and --virtual-time are not to be had.
"""

from __future__ import annotations

import argparse

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--profile", default="openai", help="openai (default), gateway or azure")
    parser.add_argument(
        "--refuse",
        default="at-connect",
        help="when a transcription session with a model is refused: at-connect (default) or on-update",
    )
    parser.add_argument("--script", metavar="FILE", help="what to answer and what goes wrong: TOML, .yaml or .json")
    parser.add_argument(
        "--script-schema", action="store_true", help="print the JSON schema of such a file and serve nothing"
    )
    parser.add_argument(
        "--latency", default="instant", help="instant (default), or capture: as measured on the endpoint"
    )
    parser.add_argument("--seed", help="make identifiers, and what happens by chance, the same in every run")
    parser.add_argument("--virtual-time", action="store_true", help="time moves only by POST /_mock/advance")
    parser.add_argument(
        "--max-sessions",
        type=int,
        default=10_000,
        metavar="N",
        help="sessions open at once, a worker (default: %(default)s)",
    )
    parser.add_argument("--compression", action="store_true", help="negotiate permessage-deflate, as the endpoint does")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes to serve with (default: 1)")
    parser.add_argument("--no-control", action="store_true", help="leave out the HTTP control API under /_mock/")
    parser.add_argument("--json-log", action="store_true", help="write every event as a line of JSON to stderr")
    parser.add_argument(
        "--log",
        choices=("text", "json"),
        help="write a line for each event that matters to stderr (default: text on a terminal, else none)",
    )
    parser.add_argument("--quiet", action="store_true", help="write no such lines on a terminal either")
    parser.add_argument("--report", metavar="FILE", help="write an HTML report of the sessions at the end")
