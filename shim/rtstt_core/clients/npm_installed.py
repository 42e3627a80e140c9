"""Which npm packages under a folder have the bug: the npm half of ``rtstt-shim doctor``.

A version number is not enough to go by: people run patched copies, and 2.0.0 of the LiveKit plugin (its `latest`) is
older in content than 1.9.0. So what decides is what the installed code does.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

__all__ = ["NpmClient", "find_npm_clients"]

_PRELOAD = "corrected by the preload (`rtstt-shim node-path`)"
_NOTHING = "nothing to do"

LIVEKIT, OPENAI = "@livekit/agents-plugin-openai", "openai"


class NpmClient(NamedTuple):
    """One installed copy of a package.

    Attributes:
        name: The package's name on npm.
        version: Its version; empty when its package.json does not say.
        path: Its folder.
        affected: Whether it opens transcription sockets that OpenAI's endpoint refuses.
        why: What it does, a clause.
        shim: What the shim does about it.
        not_needed_from: The first version that needs no shim; `None` when there is none yet, or it is not affected.
    """

    name: str
    version: str
    path: Path
    affected: bool
    why: str
    shim: str
    not_needed_from: str | None


class _Verdict(NamedTuple):
    affected: bool
    why: str
    shim: str
    not_needed_from: str | None


_SETS_MODEL = re.compile(r"""searchParams\.(?:set|append)\(\s*["']model["']""")
_SETS_INTENT = re.compile(r"""searchParams\.(?:set|append)\(\s*["']intent["']\s*,\s*["']transcription["']""")
# 1.4.7 to 1.9.0 (livekit/agents-js#1767); and a test that knows the subdomains, as `rtstt-shim patch-npm` writes it.
_GLOBAL_HOST_ONLY = re.compile(r"""hostname\s*[!=]==?\s*["']api\.openai\.com["']""")
_EVERY_HOST = re.compile(r"\.api\.openai\.com|api\\\.openai\\\.com|native_?openai_?host", re.IGNORECASE)


def _livekit(folder: Path) -> _Verdict:
    built = [file for file in (folder / "dist" / "stt.js", folder / "dist" / "stt.cjs") if file.is_file()]
    if not built:
        return _Verdict(False, "no dist/stt.js or dist/stt.cjs in it, so what it does is not known", _NOTHING, None)
    verdicts = [_livekit_build(file.read_text(encoding="utf-8", errors="replace")) for file in built]
    # Both builds of one package may run; the worse one speaks for it.
    return max(verdicts, key=lambda verdict: verdict.affected)


def _livekit_build(source: str) -> _Verdict:
    if not _SETS_INTENT.search(source):
        return _Verdict(False, "opens no realtime transcription session", _NOTHING, None)
    model = _SETS_MODEL.search(source)
    if not model:
        return _Verdict(False, "sends intent=transcription without `model`", _NOTHING, None)
    # The condition stands right before the call.
    before = source[max(0, model.start() - 200) : model.start()]
    if _GLOBAL_HOST_ONLY.search(before):
        why = "sends `model` beside intent=transcription to OpenAI's regional hosts (eu., us. and others)"
        return _Verdict(True, why, _PRELOAD, None)
    if _EVERY_HOST.search(before):
        return _Verdict(False, "sends `model` beside intent=transcription to gateways only", _NOTHING, None)
    why = "sends `model` beside intent=transcription to every host (livekit/agents-js#1756)"
    return _Verdict(True, why, _PRELOAD, "1.4.7, unless a regional host is used")


def _openai(folder: Path) -> _Verdict:
    base = folder / "realtime" / "internal-base.js"
    if not base.is_file():
        return _Verdict(False, "has no realtime client for the current API", _NOTHING, None)
    if _SETS_MODEL.search(base.read_text(encoding="utf-8", errors="replace")):
        # Right for conversations, which is what most people use it for.
        why = "sends `model` always, which is wrong only where its realtime client is used for transcription"
        return _Verdict(False, why, _PRELOAD, None)
    return _Verdict(False, "its realtime client sends no `model` of its own accord", _NOTHING, None)


_CLIENTS: dict[str, Callable[[Path], _Verdict]] = {LIVEKIT: _livekit, OPENAI: _openai}

# A copy in a cache is noise: nobody upgrades or patches it there. What was installed or built is searched, whatever it
# is called: .venv (nodeenv keeps its packages in it), .next/standalone, .output, .yarn/unplugged, and a .pnpm-store,
# since a `node_modules` may link to its links/.
_SKIPPED = {
    ".git": "history",
    ".hg": "history",
    ".svn": "history",
    "__pycache__": "compiled Python",
    "site-packages": "Python packages; no Node program loads the JavaScript that some of them bring along",
    ".*cache": "a tool's cache: .cache, in which Yarn 1 and `pnpm dlx` unpack packages, .yarn-cache, .mypy_cache",
    "Library/Caches": "the .cache of macOS",
    "Yarn/Cache": "the cache of Yarn 1 on Windows",
    "_npx": "in npm's cache: what npx fetched to run it once",
    "_cacache": "in npm's cache: archives, in tens of thousands of folders",
    ".nx/cache": "what Nx's tasks made once, kept to be copied back",
}
"""Folders that are not searched, and why: patterns of a name, or of a name and its parent's."""

_STORES = {
    ".bun": "bun's isolated installs",
    ".deno": "Deno",
    ".pnpm": "pnpm",
    ".store": "npm's and Yarn's linked installs",
}
"""Folders of a ``node_modules`` in which an installer keeps each package's own one, and whose they are."""


def _node_modules(folder: Path) -> Iterator[Path]:
    """Every ``node_modules`` under a folder; of workspaces, of packages and in their stores too."""
    # Links are not followed: what they point to is in the tree, or is met as an entry of a `node_modules`.
    for current, folders, _ in os.walk(folder):
        here = Path(current)
        if here.name == "node_modules":
            yield here
        folders[:] = sorted(name for name in folders if _leads_on(here, name))


def _leads_on(here: Path, name: str) -> bool:
    """Whether there may be a ``node_modules`` below: in a package, only right in it."""
    if here.name == "node_modules":
        return name in _STORES or not name.startswith(".")
    scope = here.parent if here.parent.name.startswith("@") else here
    if scope.parent.name == "node_modules" and not here.name.startswith(("@", ".")):
        return name == "node_modules"
    return not any(fnmatch(f"{here.name}/{name}" if "/" in pattern else name, pattern) for pattern in _SKIPPED)


def find_npm_clients(path: Path) -> list[NpmClient]:
    """The installed npm packages under a folder that open realtime sockets to OpenAI.

    Args:
        path: A project, a workspace, or any folder above them; caches below it are left out, but it may be in one.

    Returns:
        One entry for every copy, affected or not, in the order of their paths.

    Raises:
        NotADirectoryError: If there is no such folder.
    """
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder")
    found: dict[Path, NpmClient] = {}
    for modules in _node_modules(path):
        for name, judge in _CLIENTS.items():
            folder = modules / name
            if not (folder / "package.json").is_file() or folder.resolve() in found:
                continue
            verdict = judge(folder)
            found[folder.resolve()] = NpmClient(name, _version(folder / "package.json"), folder, *verdict)
    return sorted(found.values(), key=lambda client: str(client.path))


def _version(manifest: Path) -> str:
    try:
        version = json.loads(manifest.read_text(encoding="utf-8")).get("version", "")
    except (ValueError, AttributeError, OSError):
        return ""
    return version if isinstance(version, str) else ""
