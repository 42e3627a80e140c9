"""Test an endpoint against the protocol's rules, and report row by row whether it answers as the mock does.

  rtstt-shim probe                                  a mock started for this: what CI runs
  rtstt-shim probe ws://127.0.0.1:40123/v1/realtime  a mock or another server on this machine
  OPENAI_API_KEY=… rtstt-shim probe --live          OpenAI's endpoint; a minute of audio in all
  OPENAI_API_KEY=… rtstt-shim probe --live wss://eu.api.openai.com/v1/realtime
  rtstt-shim probe --live --record today.rtstt.jsonl   the same, and a recording without secrets, to share
  rtstt-shim probe --from today.rtstt.jsonl            compare that recording with the mock, without a key
  rtstt-shim probe --cassettes DIR                     compare the mock with every recording in a folder
  rtstt-shim probe --compatible --key KEY ws://127.0.0.1:4000/v1/realtime   another server that speaks the protocol
  OPENAI_API_KEY=… rtstt-shim probe --live --account no-credit   with a key whose account has no credit
  AZURE_OPENAI_API_KEY=… rtstt-shim probe --live --azure DEPLOYMENT wss://NAME.openai.azure.com/openai/v1/realtime

The rows cover the decision table of URLs and models, credentials, the session object, every known error, and the
bundled recordings with every transcription model. The rows for refused accounts and for Azure run with --account and
--azure, and on mocks started for this; on other endpoints they are not applicable. The expected events are the mock's
answer to the same row. Identifiers, times, random texts and what is unknown about the endpoint are not compared. A key
is sent only to the endpoint that --live allows or --key is given for, and appears in no output. The probe stops if the
server is silent in the first three rows. Rows that differ for the same reason are counted together at the end.

Exit codes: 0 every applicable row matches the mock, 1 some row differs, 2 usage error or unreachable endpoint.
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
        "--skip", action="append", default=[], metavar="WORDS", help="leave out such rows; may be repeated"
    )
    parser.add_argument(
        "--compatible", action="store_true", help="only what a compatible server must do, without OpenAI's refusals"
    )
    parser.add_argument(
        "--conversation",
        nargs="?",
        const="gpt-realtime",
        metavar="MODEL",
        help="transcribe the input of conversations with this model (gpt-realtime), in place of transcription sessions",
    )
    parser.add_argument(
        "--account",
        metavar="STATE",
        help="only the rows for an account that is refused: no-credit, quota, spend-limit or no-model",
    )
    parser.add_argument(
        "--azure",
        nargs="?",
        const="gpt-realtime",
        metavar="DEPLOYMENT",
        help="only the rows for Azure, with this deployment of a realtime model (gpt-realtime)",
    )
    parser.add_argument("--key", metavar="KEY", help="the key for the server; with --live in place of OPENAI_API_KEY")
    parser.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="a request header; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="list the rows with the evidence for each answer, and exit")
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="SECONDS", help="how long to wait for each event (default: 10)"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="record what the endpoint answers")
    parser.add_argument("--force", action="store_true", help="replace a recording that exists")
    parser.add_argument(
        "--from",
        dest="replay",
        type=Path,
        metavar="FILE",
        help="compare what was recorded with --record; no endpoint and no key are needed",
    )
    parser.add_argument(
        "--cassettes",
        type=Path,
        metavar="DIR",
        help="send what the clients sent in every recording of this folder to the mock, and compare its answers",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report, with every event, as JSON")
