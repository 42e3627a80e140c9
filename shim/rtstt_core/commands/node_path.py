"""Print the folder that holds `register.cjs`, the shim for Node.js.

    node --require "$(rtstt-shim node-path)/register.cjs" app.js

In NODE_OPTIONS a path with a space is in double quotes. `rtstt-shim run -- COMMAND` does that for you.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rtstt_core.errors import CommandError

__all__ = ["configure", "run"]

_FOLDER = Path(__file__).resolve().parents[1] / "node"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: there are none."""


def run(args: argparse.Namespace) -> int:
    """Print the folder."""
    if not (_FOLDER / "register.cjs").is_file():
        raise CommandError(f"{_FOLDER} holds no register.cjs; reinstall rtstt-shim")
    print(_FOLDER)
    return 0
