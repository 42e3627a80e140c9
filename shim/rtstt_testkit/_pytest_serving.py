"""The servers of a test: their options from its marker, and the check at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rtstt_testkit.mock.server.server import RealtimeServer
    from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer

__all__ = ["PASSED", "SERVERS", "as_made", "note", "options_of", "serve_in_loop", "verify"]

PASSED = pytest.StashKey[bool]()
SERVERS = pytest.StashKey["list[ThreadedRealtimeServer | RealtimeServer]"]()


def options_of(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the test's marker says."""
    marker = request.node.get_closest_marker("realtime_server")
    if marker is None:
        return {}
    if marker.args:
        raise pytest.UsageError(
            f"@pytest.mark.realtime_server takes keyword arguments only, such as transcripts=[…]; "
            f"it was given {marker.args!r}"
        )
    return dict(marker.kwargs)


def as_made(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a server that is not strict by itself, since the fixture asks; a script's path as the script."""
    script = options.get("script")
    if not isinstance(script, str | Path):
        return {**options, "strict": False}
    from rtstt_testkit.mock.script.file import ScriptError, load_script

    try:
        return {**options, "script": load_script(script), "strict": False}
    except ScriptError as error:
        raise pytest.UsageError(str(error)) from None


def note(request: pytest.FixtureRequest, server: ThreadedRealtimeServer | RealtimeServer) -> None:
    request.node.stash.setdefault(SERVERS, []).append(server)


def verify(request: pytest.FixtureRequest, server: ThreadedRealtimeServer | RealtimeServer) -> None:
    if request.node.stash.get(PASSED, False):
        try:
            server.verify()
        except AssertionError as error:
            pytest.fail(str(error), pytrace=False)


async def serve_in_loop(request: pytest.FixtureRequest) -> AsyncIterator[RealtimeServer]:
    """A mock in the event loop that runs this; the body of the async fixtures."""
    from rtstt_testkit.mock.server.server import RealtimeServer

    options = options_of(request)
    server = RealtimeServer(**as_made(options))
    note(request, server)
    async with server:
        yield server
    if options.get("strict", True):
        verify(request, server)
