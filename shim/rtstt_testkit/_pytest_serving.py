"""The servers of a test: their options from its marker, and the check at its end."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rtstt_testkit.mock.server.server import RealtimeServer
    from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer

__all__ = ["PASSED", "SERVERS", "marker_options", "register", "serve_in_loop", "server_options", "verify"]

PASSED = pytest.StashKey[bool]()
SERVERS = pytest.StashKey["list[ThreadedRealtimeServer | RealtimeServer]"]()


def marker_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the arguments of the test's marker."""
    marker = request.node.get_closest_marker("realtime_server")
    if marker is None:
        return {}
    if marker.args:
        raise pytest.UsageError(
            f"@pytest.mark.realtime_server takes keyword arguments only, such as transcripts=[…]; "
            f"it was given {marker.args!r}"
        )
    _check_names(marker.kwargs)
    return dict(marker.kwargs)


def _check_names(options: dict[str, Any]) -> None:
    """Raise an error that names the nearest argument for one that does not exist."""
    from difflib import get_close_matches

    from rtstt_testkit.mock.server.server import RealtimeServer

    known = list(inspect.signature(RealtimeServer).parameters)
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            raise pytest.UsageError(f"@pytest.mark.realtime_server has no argument {name!r}; {hint}")


def server_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a server without its own check, which the fixture makes; a script is read from its path."""
    if isinstance(options.get("cassette"), str | Path):
        _check_cassette(options["cassette"])
    script = options.get("script")
    if not isinstance(script, str | Path):
        return {**options, "strict": False}
    from rtstt_testkit.mock.script.file import ScriptError, load_script

    try:
        return {**options, "script": load_script(script), "strict": False}
    except ScriptError as error:
        raise pytest.UsageError(str(error)) from None


def _check_cassette(path: str | Path) -> None:
    """Raise an error for a recording that cannot be read, in place of a traceback."""
    from rtstt_testkit.cassette.format import CassetteError
    from rtstt_testkit.cassette.reader import load_cassette

    try:
        load_cassette(path)
    except CassetteError as error:
        raise pytest.UsageError(str(error)) from None


def register(request: pytest.FixtureRequest, server: ThreadedRealtimeServer | RealtimeServer) -> None:
    """Remember a server, whose sessions are shown if the test fails."""
    request.node.stash.setdefault(SERVERS, []).append(server)


def verify(request: pytest.FixtureRequest, server: ThreadedRealtimeServer | RealtimeServer) -> None:
    """Fail a test that passed but did not follow the script."""
    if not request.node.stash.get(PASSED, False):
        return
    problem = None
    try:
        server.verify()
    except AssertionError as error:
        problem = str(error)
    if problem is not None:  # outside of `except`, whose exception pytest would show as well
        pytest.fail(problem, pytrace=False)


async def serve_in_loop(request: pytest.FixtureRequest) -> AsyncIterator[RealtimeServer]:
    """Serve in the event loop that runs this; the body of the async fixtures."""
    from rtstt_testkit.mock.server.server import RealtimeServer

    options = marker_options(request)
    server = RealtimeServer(**server_options(options))
    register(request, server)
    async with server:
        yield server
    if options.get("strict", True):
        verify(request, server)
