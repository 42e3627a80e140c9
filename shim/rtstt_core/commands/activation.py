"""Activate the shim in the programs that a command starts, through the environment."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from pathlib import Path

from rtstt_core.commands import node_options

__all__ = ["BOOTSTRAP", "NODE_SHIM", "activate_in_node", "activate_in_python"]

HOME = Path(__file__).resolve().parents[2]
"""The folder with our packages."""

BOOTSTRAP = HOME / "rtstt_core" / "bootstrap"
NODE_SHIM = HOME / "rtstt_core" / "node" / "register.cjs"

# Their sitecustomize comes before ours in the program they start, and does not run the next one.
_KEEPS_OUT = ("opentelemetry-instrument",)


def activate_in_python(environ: MutableMapping[str, str], command: Sequence[str]) -> None:
    """Put the bootstrap first on PYTHONPATH."""
    path = environ.get("PYTHONPATH", "")
    # Every entry is kept, and so is an empty one: it is the current folder. Without any entry there is none such.
    entries = path.split(os.pathsep) if path else []
    if str(BOOTSTRAP) not in entries:
        environ["PYTHONPATH"] = os.pathsep.join([str(BOOTSTRAP), *entries])
    wrapt = importlib.util.find_spec("wrapt")
    if wrapt and wrapt.origin and Path(wrapt.origin).parents[1] != HOME:
        environ["RTSTT_SHIM_WRAPT"] = str(Path(wrapt.origin).parents[1])
    flag = _isolating_flag(command)
    if flag:
        _warn(f"python {flag} ignores PYTHONPATH or skips site: the shim will not be active in it")
    tool = Path(command[0]).stem
    if tool in _KEEPS_OUT:
        _warn(f"{tool} keeps the shim out of the program it starts; put it first: {tool} rtstt-shim run -- COMMAND...")


def _isolating_flag(command: Sequence[str]) -> str | None:
    """Return the option of a ``python …`` command line that keeps the bootstrap from running, or None."""
    if not re.fullmatch(r"(python|pypy)[0-9.]*t?(\.exe)?", Path(command[0]).name):
        return None
    words = iter(command[1:])
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            return None
        if word.startswith("--"):
            continue
        for position, letter in enumerate(word[1:], 2):
            if letter in "ISE":
                return f"-{letter}"
            if letter in "cm":
                return None
            if letter in "WX":
                if position == len(word):
                    next(words, None)
                break
    return None


def activate_in_node(environ: MutableMapping[str, str], command: Sequence[str], *preloads: Path) -> None:
    """Add the shim to NODE_OPTIONS, unless Node is too old for it or may not read it.

    Args:
        environ: The program's environment.
        command: The program and its arguments.
        preloads: The shim's ``register.cjs``, and CommonJS modules for it to require.
    """
    shim, *others = preloads
    if not shim.exists():
        return
    options = environ.get("NODE_OPTIONS", "")
    is_node = Path(command[0]).stem.lower() in ("node", "nodejs")
    node = shutil.which(command[0] if is_node else "node", path=environ.get("PATH"))
    version = _node_version(node) if node else None
    if version and version < 20:
        _warn(f"{node} is Node {version}; the shim needs 20 or newer and will not be active in Node programs")
        return
    folder = shim.parent
    if not _may_read([*node_options.words(options), *_options(command[1:] if is_node else ())], folder):
        grant = shlex.quote(f"--allow-fs-read={folder}/*")
        _warn(f"node --permission may not read the shim, which will not be active in Node programs; add {grant}")
        return
    node_options.add_preload(environ, str(shim), [str(path) for path in others])


def _options(words: Iterable[str]) -> Iterator[str]:
    """Yield the options of a ``node …`` command line; what comes after the script is the script's."""
    takes_value = False
    for word in words:
        if not takes_value and (not word.startswith("-") or word in ("-", "--")):
            return
        yield word
        takes_value = not takes_value and word in _TAKE_A_VALUE


_TAKE_A_VALUE = ("-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions", "--env-file")


def _may_read(words: Iterable[str], folder: Path) -> bool:
    """Return whether a Node with these options may read a folder."""
    limited, granted = False, False
    for word in words:
        limited = limited or word in ("--permission", "--experimental-permission")
        name, _, value = word.partition("=")
        if name == "--allow-fs-read":
            granted = granted or value == "*" or f"{folder}/".startswith(value.rstrip("*").rstrip("/") + "/")
    return granted or not limited


def _node_version(node: str) -> int | None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20)
        if match := re.match(r"v(\d+)\.", answer.stdout):
            return int(match[1])
    return None


def _warn(sentence: str) -> None:
    print(f"rtstt-shim: {sentence}", file=sys.stderr)
