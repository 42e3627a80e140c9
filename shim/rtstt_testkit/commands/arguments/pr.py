"""Make an upstream pull request from a source you have: a checkout, or an unpacked npm or PyPI package.

Writes into --out a patch for `git am` with tests and change note, and PR.md, the text to open the pull request with.
A source that is fixed already is left alone (exit 0); one whose shape is not known is named (exit 1). Nothing is ever
written into the source.

    npm pack @livekit/agents-plugin-openai@1.9.0 && tar xzf livekit-agents-plugin-openai-1.9.0.tgz
    rtstt-shim pr agents-js/model-param --source package --out pr --verify
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("target", nargs="?", metavar="TARGET", help="which pull request; see --list")
    parser.add_argument("--source", type=Path, metavar="DIR", help="the checkout or unpacked package")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write; an empty or new folder")
    parser.add_argument("--author", metavar="'NAME <ADDRESS>'", help="who proposes it (default: your git identity)")
    parser.add_argument("--verify", action="store_true", help="prove the patch first, and report that in PR.md")
    parser.add_argument("--check", action="store_true", help="only check that the patch in --out still applies")
    parser.add_argument("--list", action="store_true", help="list the targets, and whether --source needs them")
    parser.add_argument("--online", action="store_true", help="also ask GitHub, npm and PyPI for the upstream's state")
