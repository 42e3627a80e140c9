"""Say which realtime speech-to-text clients here have the bug, and what the shim does about each.

  rtstt-shim doctor                Python clients of this environment, npm packages below this folder
  rtstt-shim doctor path/to/app    npm packages below that folder
  rtstt-shim doctor --json         the same for programs

Affected is a client that opens transcription sockets which OpenAI's endpoint refuses, whatever the application does.
A Python client is covered where the shim was tested with the library it connects with; import rtstt_shim in the
program. An npm package is covered where NODE_OPTIONS names the preload, or it is patched (then it is not affected).
Copies in caches (.cache, Yarn's, npm's _npx) are left out: nobody upgrades or patches them there. One that is named as
the folder to look below is searched.

With --json: a list, empty where nothing is found, of objects with these fields, none of which will go away or change
its type:

  registry         "PyPI" or "npm"
  name             the package
  version          the one installed
  path             npm: the folder of this copy; PyPI: null
  affected         true if it opens transcription sockets that OpenAI's endpoint refuses, whatever the application does
  why              what it does, a clause for people
  shim             what the shim does about it, a clause for people
  covered          true if the shim can do that here
  not_needed_from  from which version the shim is not needed, words that begin with the version; null if there is none

Exit codes: 0 nothing is affected and uncovered, 1 something is, 2 wrong use.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from rtstt_core.clients.npm_installed import find_npm_clients
from rtstt_core.clients.python_installed import find_python_clients
from rtstt_core.errors import UsageError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rtstt-shim doctor``."""
    parser.add_argument(
        "path", nargs="?", type=Path, default=Path(), metavar="PATH", help="where to look for npm packages"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Look, print, and tell by the exit code whether something is left to do."""
    found = _python() + _npm(args.path)
    if args.json:
        print(json.dumps(found, indent=2))
    elif found:
        print("\n".join(_table(found)))
    else:
        print("no realtime speech-to-text client is installed here")
    return 1 if any(client["affected"] and not client["covered"] for client in found) else 0


def _python() -> list[dict[str, Any]]:
    return [{"registry": "PyPI", "path": None, **client._asdict()} for client in find_python_clients()]


def _npm(folder: Path) -> list[dict[str, Any]]:
    try:
        found = find_npm_clients(folder)
    except OSError as error:
        raise UsageError(f"cannot look for npm packages: {error}; give the folder of a project") from None
    preloaded = "rtstt_core/node/register.mjs" in os.environ.get("NODE_OPTIONS", "").replace("\\", "/")
    return [{"registry": "npm", **client._asdict(), "path": str(client.path), "covered": preloaded} for client in found]


def _table(found: list[dict[str, Any]]) -> list[str]:
    width = max(len(f"{client['name']} {client['version']}") for client in found)
    lines = []
    for client in found:
        if not client["affected"]:
            mark, word = "-", "not affected"
        elif client["covered"]:
            mark, word = "+", "affected, covered"
        else:
            mark, word = "!", "AFFECTED"
        word = f"\x1b[{31 if mark == '!' else 32}m{word}\x1b[0m" if mark != "-" and sys.stdout.isatty() else word
        until = f"; not needed from {client['not_needed_from']}" if client["not_needed_from"] else ""
        lines.append(f"{mark} {client['name'] + ' ' + client['version']:<{width}}  {word}: {client['why']}")
        if client["affected"]:
            lines.append(f"  {'':<{width}}  the shim: {client['shim']}{until}")
        elif until:
            lines.append(f"  {'':<{width}}  the shim: {until[2:]}")
        if client["path"]:
            lines.append(f"  {'':<{width}}  {client['path']}")
    return lines
