"""Print the folder that holds `register.mjs`, the shim for Node.js.

    node --import "$(rtstt-shim node-path)/register.mjs" app.js

NODE_OPTIONS needs it as a URL where the path holds a space: `rtstt-shim run -- COMMAND` sees to that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rtstt_core.errors import CommandError

__all__ = ["configure", "run"]

_FOLDER = Path(__file__).resolve().parents[1] / "node"


def configure(parser: argparse.ArgumentParser) -> None:
    """There are no arguments."""


def run(args: argparse.Namespace) -> int:
    """Print the folder."""
    if not (_FOLDER / "register.mjs").is_file():
        raise CommandError(f"{_FOLDER} holds no register.mjs; install rtstt-shim again")
    print(_FOLDER)
    return 0
