"""Examine a speech client: run a program against the mock while the endpoint misbehaves, and report what it does wrong.

  rtstt-shim exam -- python app.py {wav}
  rtstt-shim exam --stdin pcm --transcript 'final: (.*)' -- node app.js
  rtstt-shim exam --only 'clean turn' --only '1011 during speech' -- python app.py {wav}
  rtstt-shim exam --json known.json -- python app.py {wav}
  rtstt-shim exam --baseline known.json -- python app.py {wav}

The program runs once for each scenario. It finds the mock through OPENAI_BASE_URL, through {url}
(ws://…/v1/realtime?intent=transcription) or {base_url} in its arguments, or by connecting to api.openai.com, which
Python and Node programs resolve to the mock. It reads its audio from the file {wav} (24 kHz, 16 bit, mono), or from
stdin; without either it sends its own audio, which is then not compared. It prints its final transcripts to stdout, one
per line, or where --transcript finds them, or writes them to the file {transcript}. It exits when the audio is
transcribed; if it does not, use --keeps-running.

FINDINGS.md in rtstt_testkit/mock/inspect/findings explains what each finding means and how others fixed it.

Exit codes: 0 no scenario failed, 1 one failed that --baseline does not know, 2 usage error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rtstt-shim exam``."""
    parser.usage = "rtstt-shim exam [OPTION]... -- COMMAND..."
    parser.add_argument("--list", action="store_true", help="list the scenarios, and exit")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="only the scenario of this name; may be repeated"
    )
    parser.add_argument(
        "--transcript",
        metavar="PATTERN",
        help="a regular expression that finds the final transcripts in stdout: its group, or all that it matches",
    )
    parser.add_argument(
        "--stdin", choices=["wav", "pcm"], help="give the audio on stdin: a WAV file, or its samples in real time"
    )
    parser.add_argument("--keeps-running", action="store_true", help="the program does not end by itself")
    parser.add_argument("--shim", action="store_true", help="run the program with the shim active")
    parser.add_argument(
        "--extra-time",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how much longer than usual the program may take in a scenario",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="scenarios that run at once (default: four per processor)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write the results, with what the mock saw, as a page"
    )
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="accept the failures in this --json file")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="the program and its arguments")
