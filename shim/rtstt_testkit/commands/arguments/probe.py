"""Try the protocol's rules on an endpoint, and say row by row whether it answers as the mock does.

  rtstt-shim probe                                  a mock of its own: what CI runs
  rtstt-shim probe ws://127.0.0.1:40123/v1/realtime a mock or another server on this machine
  OPENAI_API_KEY=… rtstt-shim probe --live          OpenAI's endpoint; a minute of audio in all
  OPENAI_API_KEY=… rtstt-shim probe --live wss://eu.api.openai.com/v1/realtime

Tried are the decision table of URLs and models, credentials, the session object, every known error, and the bundled
recordings with every transcription model. Expected is what the mock answers to the same row; identifiers, times and
random texts are not compared, and what nobody knows is not either. A key is sent to no host but the one that --live
allows, and is in no output.

Exit codes: 0 every row is as the mock says, 1 some row is not, 2 wrong use, or there is nobody to talk to.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rtstt-shim probe``."""
    parser.add_argument("url", nargs="?", metavar="URL", help="the endpoint (default: a mock started for this)")
    parser.add_argument(
        "--live", action="store_true", help="use OPENAI_API_KEY, on OpenAI's endpoint unless URL is given"
    )
    parser.add_argument("--only", metavar="WORDS", help="only the rows whose title contains all these words")
    parser.add_argument(
        "--list", action="store_true", help="list the rows and where each answer is known from, and exit"
    )
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="for any answer (default: 10)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report, with every event, as JSON")
