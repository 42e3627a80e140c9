"""Serve a mock of OpenAI's Realtime transcription endpoint until interrupted.

The first line on stdout is `listening on ws://HOST:PORT/v1/realtime`, the second the address of the inspector, a page
that shows the sessions (with --token, add `?token=SECRET` to it). The mock accepts keys that begin with `sk-` or `ek_`,
unless they contain `bad` or `invalid`.

With --workers, N processes share the port, and the system distributes connections over them. The workers share no
state: each reads the script from its beginning, numbers its own sessions (for faults and --json-log), and knows only
the client secrets that it created. The control API and --virtual-time need a single process.

Exit codes: 0 interrupted, 1 failed, 2 usage error.
"""

from __future__ import annotations

import argparse

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rtstt-shim mock``."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--profile", default="openai", help="openai (default), gateway or azure")
    parser.add_argument(
        "--refuse",
        default="at-connect",
        help="when a transcription session with a model is refused: at-connect (default) or on-update",
    )
    parser.add_argument("--script", metavar="FILE", help="transcripts and faults: a .toml, .yaml or .json file")
    parser.add_argument("--script-schema", action="store_true", help="print the JSON schema of script files and exit")
    parser.add_argument("--cassette", metavar="FILE", help="answer as recorded in this file of `rtstt-shim record`")
    parser.add_argument("--loose", action="store_true", help="answer by position; do not compare the client")
    parser.add_argument(
        "--timing",
        default="instant",
        help="when recorded events are sent: instant (default), or recorded: with the recorded delays",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="FIELD",
        help="a field of the client's events that is not compared with the recording; may be repeated",
    )
    parser.add_argument(
        "--latency", default="instant", help="instant (default), or capture: delays as measured on the endpoint"
    )
    parser.add_argument("--seed", help="seed of identifiers and random choices, for reproducible runs")
    parser.add_argument("--virtual-time", action="store_true", help="advance time only through POST /_mock/advance")
    parser.add_argument(
        "--account", metavar="STATE", help="refuse every session: no-credit, quota, spend-limit or no-model"
    )
    parser.add_argument(
        "--lenient-commit", action="store_true", help="accept a commit without speech under turn detection"
    )
    parser.add_argument(
        "--max-sessions",
        type=int,
        default=10_000,
        metavar="N",
        help="concurrent sessions of each worker (default: %(default)s)",
    )
    parser.add_argument("--compression", action="store_true", help="negotiate permessage-deflate, as the endpoint does")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes to serve with (default: 1)")
    parser.add_argument("--no-control", action="store_true", help="disable the HTTP control API under /_mock/")
    parser.add_argument("--token", metavar="SECRET", help="require `Authorization: Bearer SECRET` for the control API")
    parser.add_argument(
        "--no-token", action="store_true", help="leave the control API open although --host is not loopback"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="accept requests for this host name, besides loopback and --host; may be repeated",
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="accept requests of web pages of this origin, such as http://localhost:5173; may be repeated",
    )
    parser.add_argument(
        "--exit-on-eof",
        action="store_true",
        help="stop when standard input ends, as it does with the program that started it",
    )
    parser.add_argument("--json-log", action="store_true", help="write every event as a line of JSON to stderr")
    parser.add_argument(
        "--log",
        choices=("text", "json"),
        help="write a line for each event that matters to stderr (default: text on a terminal, else none)",
    )
    parser.add_argument("--quiet", action="store_true", help="write no such lines on a terminal either")
    parser.add_argument(
        "--keep-audio",
        type=int,
        default=256,
        metavar="MIB",
        help="memory for the audio that the inspector can play, shared by the sessions; each keeps its latest audio, "
        "at least 1 MiB (20 seconds), and its whole waveform (default: %(default)s)",
    )
    parser.add_argument("--report", metavar="FILE", help="write an HTML report of the sessions at the end")
