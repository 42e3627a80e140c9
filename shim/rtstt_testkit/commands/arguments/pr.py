"""Make an upstream pull request from a checkout, or from an unpacked npm or PyPI package.

The command writes two things to --out: a patch for `git am`, with tests and a change note, and PR.md, the text of the
pull request. The source itself is not changed. Exit codes: 0 the files are written or the source needs no fix, 1 the
source has an unknown shape or the verification failed, 2 usage error.

    npm pack @livekit/agents-plugin-openai@1.9.0 && tar xzf livekit-agents-plugin-openai-1.9.0.tgz
    rtstt-shim pr agents-js/model-param --source package --out pr --verify

The fix `source` is for any application: a patch with the changes that `rtstt-shim doctor --fix` would make to a git
checkout, and a branch with them. Working tree, index and HEAD stay as they are; `git switch` goes to the branch.

    rtstt-shim pr source --source CHECKOUT
    git -C CHECKOUT switch fix-openai-realtime-transcription
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("fix", nargs="?", metavar="FIX", help="which pull request; see --list")
    parser.add_argument("--source", type=Path, metavar="DIR", help="the checkout or unpacked package")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the output folder, new or empty")
    parser.add_argument("--branch", metavar="NAME", help="for `source`: the name of the branch")
    parser.add_argument("--no-branch", action="store_true", help="for `source`: write the patch and PR.md alone")
    parser.add_argument(
        "--author", metavar="'NAME <ADDRESS>'", help="the author of the patch (default: your git identity)"
    )
    parser.add_argument("--verify", action="store_true", help="verify the patch first, which runs the source's code")
    parser.add_argument("--force", action="store_true", help="replace an earlier pull request in --out")
    parser.add_argument("--check", action="store_true", help="only check that the patch in --out still applies")
    parser.add_argument("--list", action="store_true", help="list the fixes, and whether --source needs them")
    parser.add_argument(
        "--online", action="store_true", help="also query GitHub, npm and PyPI for the upstream's state"
    )
