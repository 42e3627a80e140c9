"""Record what a Python or Node program sends to and receives from a realtime endpoint, without a change to its code.

  rtstt-shim record --out talk.rtstt.jsonl -- python app.py
  rtstt-shim record --out talk.rtstt.jsonl --to ws://127.0.0.1:8765/v1/realtime -- node app.mjs

The program connects to api.openai.com, or to another --host, as always. Its connections pass through this command,
which connects to the same host and verifies its certificate, or connects to --to. It records the realtime sockets and
the requests for client secrets: one line for each frame, and the audio in WAV files beside the file. Secrets are
removed before anything is written. `rtstt-shim mock --cassette FILE` replays a recording.

The shim is not active in the program, so that the recording shows what the program itself sends; --shim activates it.

Exit codes: the program's, 1 if the recording is not complete, 2 usage error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rtstt-shim record``."""
    parser.usage = (
        "rtstt-shim record --out FILE [--to URL] [--host HOST]... [--force]\n"
        "                         [--shim] -- COMMAND..."
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the recording, such as a.rtstt.jsonl")
    parser.add_argument("--to", metavar="URL", help="connect to this WebSocket address instead of the host")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="HOST",
        help="a host whose connections are recorded (default: api.openai.com); may be repeated",
    )
    parser.add_argument("--force", action="store_true", help="replace a recording that exists")
    parser.add_argument("--shim", action="store_true", help="activate the shim in the program")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="the program and its arguments")
