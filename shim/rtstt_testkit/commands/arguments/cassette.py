"""Check, show, compare, shorten and redact recordings of realtime sessions, and import those of other programs.

  rtstt-shim cassette check talk.rtstt.jsonl            whether it can be replayed, and what is in it
  rtstt-shim cassette show talk.rtstt.jsonl             the events of each session, one per line
  rtstt-shim cassette diff old.rtstt.jsonl new.rtstt.jsonl
                                                        what the endpoint changed: events, fields, types, codes
  rtstt-shim cassette trim talk.rtstt.jsonl             remove an incomplete last line; --session N, --until SECONDS
  rtstt-shim cassette redact talk.rtstt.jsonl --word Ada
                                                        mask secrets again, a text, and with --silence the audio
  rtstt-shim cassette import talk.har --out talk.rtstt.jsonl
                                                        a browser's HAR with WebSocket messages, pydantic-ai's YAML

trim and redact change the file itself, unless --out is given. `rtstt-shim inspect FILE` shows a recording as a page.

Exit codes: 0 fine, 1 a problem or a difference was found, 2 usage error or a file that is not a recording.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rtstt-shim cassette``."""
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of a line and exit")
    actions = parser.add_subparsers(dest="action", metavar="check|show|diff|trim|redact|import")
    actions.add_parser("check", help="whether it can be replayed, and what is in it").add_argument(
        "file", type=Path, metavar="FILE"
    )
    show = actions.add_parser("show", help="the events of each session, a line each")
    show.add_argument("file", type=Path, metavar="FILE")
    diff = actions.add_parser("diff", help="what the endpoint changed from the first to the second")
    diff.add_argument("old", type=Path, metavar="OLD")
    diff.add_argument("new", type=Path, metavar="NEW")
    diff.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="FIELD",
        help="a field that is not compared, such as session.audio.output; may be repeated",
    )
    trim = actions.add_parser("trim", help="remove a last line that is cut, sessions, and what follows a time")
    trim.add_argument("file", type=Path, metavar="FILE")
    trim.add_argument(
        "--session", type=int, action="append", metavar="N", help="keep only this session; may be repeated"
    )
    trim.add_argument("--until", type=float, metavar="SECONDS", help="keep only the beginning of each session")
    redact = actions.add_parser("redact", help="mask secrets again, texts, and the audio")
    redact.add_argument("file", type=Path, metavar="FILE")
    redact.add_argument(
        "--word", action="append", default=[], metavar="TEXT", help="a text to replace with ***; may be repeated"
    )
    redact.add_argument("--silence", action="store_true", help="replace the audio with silence")
    for action in (trim, redact):
        action.add_argument("--out", type=Path, metavar="FILE", help="write another file instead of changing it")
    import_ = actions.add_parser("import", help="a browser's HAR with WebSocket messages, or pydantic-ai's YAML")
    import_.add_argument("file", type=Path, metavar="FILE")
    import_.add_argument("--out", type=Path, metavar="FILE", help="the recording (default: beside it, .rtstt.jsonl)")
    import_.add_argument("--force", action="store_true", help="replace a recording that exists")
