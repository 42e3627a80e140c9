"""Find the patches of the LiveKit plugin that a Node project keeps and no longer needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from rtstt_core.clients.npm_installed import LIVEKIT
from rtstt_core.clients.results import Client
from rtstt_core.clients.tree import Unread, is_skipped, walk

__all__ = ["unneeded_patches"]

# As `rtstt-shim patch-npm` names them: each manager has its own sign for the slash.
_PATCH = re.compile(r"(?:@livekit(?:/|__|%2F|\+|-))agents-plugin-openai(?:@|\+|-npm-)(?P<version>\d[^/]*)\.patch$")


def unneeded_patches(folder: Path, clients: Iterable[Client], unread: Unread) -> list[str]:
    """Return the paths of patches whose version is no longer installed.

    Args:
        folder: The project.
        clients: What is installed there. Without a copy of the plugin, no patch of it is returned.
        unread: Gets what cannot be read.
    """
    installed = {client.version for client in clients if client.name == LIVEKIT}
    if not installed:
        return []
    found = []
    for here, _, files in walk(
        folder, unread, lambda here, name: name != "node_modules" and not is_skipped(here, name)
    ):
        for name in files:
            match = _PATCH.search((here / name).as_posix())
            if match and match["version"] not in installed:
                found.append(str(here / name))
    return found
