"""Patch the affected npm packages of a Node project, in the form of its package manager.

The command finds every installed copy that OpenAI's endpoint refuses, writes a patch with the declaration that the
manager needs, and prints how to apply and how to undo it. The packages are:

    @livekit/agents-plugin-openai  omits `model` for api.openai.com and its regional hosts, keeps it for gateways, and
                                   logs one warning when a realtime session fails
    openclaw-cn                    opens the sessions of its voice-call plugin in the shape of the GA API

Run it again after an upgrade, also if the install failed over the patch of the old version: the patch of a version that
is no longer installed, or that package.json excludes, is removed. --undo removes the patches and their declarations.
With --check nothing is written; the exit code is 1 if a copy is affected
and not patched, or if a patch is no longer needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["MANAGERS", "configure"]

MANAGERS = ("auto", "npm", "pnpm", "yarn", "bun", "patch-package")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("project", nargs="?", type=Path, default=Path(), metavar="PROJECT", help="default: here")
    parser.add_argument("--manager", choices=MANAGERS, default="auto", help="default: auto")
    parser.add_argument("--undo", action="store_true", help="remove the patches and their declarations")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is left to do")
