"""NODE_OPTIONS with the shim in it.

Only one ``--require`` is left there. A program that reads NODE_OPTIONS again and passes it on to its children, as
``next dev`` does, keeps one value of each option, or joins several to a path that does not exist. So the other modules,
the user's own included, are named in RTSTT_SHIM_REQUIRE, and ``register.cjs`` requires them before it does anything
else.
"""

from __future__ import annotations

import json
import re
from collections.abc import MutableMapping, Sequence

__all__ = ["OTHERS", "add_preload", "words"]

OTHERS = "RTSTT_SHIM_REQUIRE"
"""The variable that names the other modules, as a JSON list."""

# As Node reads it: a space separates, and only within quotes is a backslash special.
_WORD = re.compile(r'(?:[^ "]|"(?:\\.|[^"\\])*")+', re.DOTALL)


def words(options: str) -> list[str]:
    """Return the words of NODE_OPTIONS, without their quotes."""
    return [_unquote(word) for word in _WORD.findall(options)]


def add_preload(environ: MutableMapping[str, str], preload: str, others: Sequence[str]) -> None:
    """Make a module the one that NODE_OPTIONS requires.

    Args:
        environ: The environment to change. NODE_OPTIONS keeps its other options as they are.
        preload: The path of ``register.cjs``.
        others: Modules for it to require after those that NODE_OPTIONS names.
    """
    options = environ.get("NODE_OPTIONS", "")
    kept, required = [], []
    found = iter(_WORD.findall(options))
    for word in found:
        name, equals, value = _unquote(word).partition("=")
        if name == "--require" and equals:
            required.append(value)
        elif word in ("--require", "-r"):
            required.append(_unquote(next(found, "")))
        else:
            kept.append(word)
    environ["NODE_OPTIONS"] = " ".join([*kept, f"--require {_quote(preload)}"])
    named = [*_list(environ.get(OTHERS, "")), *required, *others]
    modules = [module for module in dict.fromkeys(named) if module and module != preload]
    if modules:
        environ[OTHERS] = json.dumps(modules)


def _list(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return [str(module) for module in value] if isinstance(value, list) else []


def _unquote(word: str) -> str:
    return re.sub(r'"((?:\\.|[^"\\])*)"', lambda match: re.sub(r"\\(.)", r"\1", match[1]), word)


def _quote(path: str) -> str:
    # Only where it must be: Bun reads NODE_OPTIONS without quotes.
    return '"' + re.sub(r'(["\\])', r"\\\1", path) + '"' if re.search(r'[\s"]', path) else path
