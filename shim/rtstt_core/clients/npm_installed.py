"""Which npm packages of a project are affected: the npm half of ``rtstt-shim doctor``.

A version number is not enough to go by: people run patched copies, and 2.0.0 of the LiveKit plugin (its `latest`) is
older in content than 1.9.0. So the installed code decides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rtstt_core.bootstrap._rtstt_disable import is_disabled
from rtstt_core.clients.npm_packages import NpmPackage, find_packages
from rtstt_core.clients.results import Client, Verdict
from rtstt_core.clients.tree import Unread

__all__ = ["KNOWN", "LIVEKIT", "find_npm_clients", "npm_client", "preload_is_set"]

LIVEKIT, OPENAI = "@livekit/agents-plugin-openai", "openai"


class _Verdict(NamedTuple):
    """What the code of a package does.

    Attributes:
        verdict: Whether it is affected.
        why: What it does, a clause.
        corrected: Whether the shim corrects its URLs.
        not_needed_from: The first version that needs no shim, and what else that takes.
    """

    verdict: Verdict
    why: str
    corrected: bool = False
    not_needed_from: str | None = None


_SETS_MODEL = re.compile(r"""searchParams\.(?:set|append)\(\s*["']model["']""")
_SETS_INTENT = re.compile(r"""searchParams\.(?:set|append)\(\s*["']intent["']\s*,\s*["']transcription["']""")
_TAKES_INTENT = re.compile(r"""intent !== ["']transcription["']|searchParams\.(?:set|append)\(\s*["']intent["']""")
_SENDS_BETA = re.compile(r"""(?i)["']OpenAI-Beta["']\s*[:,]\s*["']realtime=v1["']|openai-beta\.realtime-v1""")
# 1.4.7 to 1.9.0 (livekit/agents-js#1767); and a test that knows the subdomains, as `rtstt-shim patch-npm` writes it.
_GLOBAL_HOST_ONLY = re.compile(r"""hostname\s*[!=]==?\s*["']api\.openai\.com["']""")
_EVERY_HOST = re.compile(r"\.api\.openai\.com|api\\\.openai\\\.com|native_?openai_?host", re.IGNORECASE)


def _livekit(package: NpmPackage, unread: Unread) -> _Verdict:
    built = [text for file in ("dist/stt.js", "dist/stt.cjs") if (text := package.read(file, unread)) is not None]
    if not built:
        return _Verdict("unknown", "has no dist/stt.js or dist/stt.cjs, so what it does is not known")
    # Both builds of one package may run; the worse one decides.
    return max((_livekit_build(text) for text in built), key=lambda found: found.verdict == "affected")


def _livekit_build(source: str) -> _Verdict:
    if not _SETS_INTENT.search(source):
        return _Verdict("not affected", "opens no realtime transcription session")
    if _SENDS_BETA.search(source):
        return _Verdict("affected", "sends the header OpenAI-Beta: realtime=v1, which OpenAI refuses since 2026-05-12")
    model = _SETS_MODEL.search(source)
    if not model:
        return _Verdict("not affected", "sends intent=transcription without `model`")
    # The condition stands right before the call.
    before = source[max(0, model.start() - 200) : model.start()]
    if _GLOBAL_HOST_ONLY.search(before):
        why = "sends `model` beside intent=transcription to OpenAI's regional hosts (eu., us. and others)"
        return _Verdict("affected", why, True)
    if _EVERY_HOST.search(before):
        return _Verdict("not affected", "sends `model` beside intent=transcription to gateways only")
    why = "sends `model` beside intent=transcription to every host (livekit/agents-js#1756)"
    return _Verdict("affected", why, True, "1.4.7, unless a regional host is used")


def _openai(package: NpmPackage, unread: Unread) -> _Verdict:
    base = package.read("realtime/internal-base.js", unread)
    if base is None:
        return _Verdict(
            "not affected", "has no realtime client but the one of the beta, which OpenAI refuses since 2026-05-12"
        )
    if _TAKES_INTENT.search(base):
        why = "its realtime client sends `model` or intent=transcription as the application gives it, never both"
        return _Verdict("not affected", why, True, "7.6.0, with `intent` in place of `model`")
    if _SETS_MODEL.search(base):
        why = "its realtime client always sends `model`: right for a conversation, refused for a transcription session"
        return _Verdict("not affected", why, True, "7.6.0, with `intent` in place of `model`")
    return _Verdict("unknown", "has a realtime client of a shape that is not known")


KNOWN: dict[str, Callable[[NpmPackage, Unread], _Verdict]] = {LIVEKIT: _livekit, OPENAI: _openai}
"""The packages that have a rule of their own, by name."""


def preload_is_set() -> bool:
    """Return whether NODE_OPTIONS names the shim for Node.js, and nothing disables it."""
    options = os.environ.get("NODE_OPTIONS", "").replace("\\", "/")
    return not is_disabled() and re.search(r"rtstt_core/node/register\.[cm]js", options) is not None


def find_npm_clients(path: Path, unread: Unread) -> list[Client]:
    """Return the installed npm packages of a project that open realtime sockets to OpenAI.

    Args:
        path: A project, a workspace or a member of one, or any folder above them.
        unread: Gets what cannot be read.

    Returns:
        One entry for every copy, affected or not, in the order of their paths.

    Raises:
        NotADirectoryError: There is no such folder.
    """
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder")
    return [npm_client(package, unread) for package in find_packages(path, unread, KNOWN.__contains__)]


def npm_client(package: NpmPackage, unread: Unread) -> Client:
    """Return what is known of one copy of a package in `KNOWN`.

    Args:
        package: The copy.
        unread: Gets what cannot be read.
    """
    found = KNOWN[package.name](package, unread)
    covered, shim = _cover(package, found)
    fix = None
    if found.verdict == "affected":
        fix = f"upgrade to {found.not_needed_from}" if found.not_needed_from else "no release without this is known"
        if package.name == LIVEKIT and found.corrected:
            fix += "; or patch it with `rtstt-shim patch-npm`"
    return Client(
        "npm",
        package.name,
        package.version(unread),
        None,
        str(package.path),
        found.verdict,
        found.why,
        shim,
        covered,
        fix,
        found.not_needed_from,
    )


def _cover(package: NpmPackage, found: _Verdict) -> tuple[bool, str]:
    if found.verdict == "affected" and not found.corrected:
        return False, "warns when a session is refused; it cannot correct a header"
    if not found.corrected:
        return False, "nothing to do"
    if is_disabled():
        return False, "nothing: RTSTT_SHIM_DISABLE is set"
    if preload_is_set():
        return True, "corrects its URLs, through the preload in NODE_OPTIONS"
    return False, "nothing while the preload is not set: start the program with `rtstt-shim run -- COMMAND`"
