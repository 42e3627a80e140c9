"""The recording of a test: ``--rtstt-record`` decides whether a server replays it or a recorder makes it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from rtstt_testkit._pytest_serving import register, verify

if TYPE_CHECKING:
    from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer
    from rtstt_testkit.recording.recorder import Recorder

__all__ = ["RealtimeCassette", "serve_cassette"]

_NO_FILE_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


class RealtimeCassette:
    """The recording of a test, and the server that clients connect to.

    Attributes:
        path: The file.
        recording: Whether an endpoint is recorded; a server replays the file otherwise.
        url: The WebSocket address for clients.
        base_url: The address of the API there, for a client's ``base_url``.
    """

    def __init__(self, path: Path, server: ThreadedRealtimeServer | Recorder, recording: bool) -> None:
        self.path = path
        self.recording = recording
        self.url = server.url
        self.base_url = server.base_url
        self._server = server

    def routed(self) -> AbstractContextManager[None]:
        """Route api.openai.com within this process, for clients that connect to it under its name."""
        from rtstt_testkit.recording.recorder import NATIVE
        from rtstt_testkit.routing import route

        port = int(self.url.split(":")[2].split("/")[0])
        return route({NATIVE: ("127.0.0.1", port)})


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the arguments of the test's marker."""
    from rtstt_testkit.cassette.player import Replay

    marker = request.node.get_closest_marker("rtstt_cassette")
    if marker is None:
        return {}
    known = [name for name in inspect.signature(Replay).parameters if name != "repeat"]
    options = dict(marker.kwargs)
    if len(marker.args) > 1:
        raise pytest.UsageError(f"@pytest.mark.rtstt_cassette takes one path and {', '.join(known[1:])}")
    if marker.args:
        options["path"] = marker.args[0]
    for name in options:
        if name not in known:
            raise pytest.UsageError(f"@pytest.mark.rtstt_cassette has no argument {name!r}; it has {', '.join(known)}")
    return options


def _path(request: pytest.FixtureRequest, given: str | Path | None) -> Path:
    """Return the file of a test: ``cassettes/MODULE/TEST.rtstt.jsonl`` in the folder of its module."""
    folder = request.path.parent
    if given is not None:
        return folder / given
    name = request.node.name if request.cls is None else f"{request.cls.__name__}.{request.node.name}"
    return folder / "cassettes" / request.path.stem / f"{_NO_FILE_NAME.sub('-', name)}.rtstt.jsonl"


@contextmanager
def serve_cassette(request: pytest.FixtureRequest) -> Iterator[RealtimeCassette]:
    """Serve the recording of a test, or record it; the body of the fixture."""
    from rtstt_testkit.cassette.format import CassetteError
    from rtstt_testkit.cassette.player import Replay

    options = _options(request)
    path = _path(request, options.pop("path", None))
    mode: Literal["none", "once", "new", "all"] = request.config.getoption("--rtstt-record")
    replay = Replay(path, **options)
    try:
        if mode == "all" or (mode != "none" and not path.exists()):
            with _recorder(request, path) as recorder:
                yield RealtimeCassette(path, recorder, True)
        elif not path.exists():
            pytest.fail(f"there is no recording {path}; record it with --rtstt-record=once", pytrace=False)
        elif mode == "new":
            with _replaying(request, replay) as server, _recorder(request, path, server) as recorder:
                yield RealtimeCassette(path, recorder, True)
        else:
            with _replaying(request, replay) as server:
                yield RealtimeCassette(path, server, False)
    except CassetteError as error:
        pytest.fail(str(error), pytrace=False)


@contextmanager
def _replaying(request: pytest.FixtureRequest, replay: Any) -> Iterator[ThreadedRealtimeServer]:
    from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer

    server = ThreadedRealtimeServer(cassette=replay, strict=False)
    register(request, server)
    with server:
        yield server
    verify(request, server)


def _recorder(
    request: pytest.FixtureRequest, path: Path, known: ThreadedRealtimeServer | None = None
) -> AbstractContextManager[Recorder]:
    from rtstt_testkit.recording.recorder import Recorder

    path.parent.mkdir(parents=True, exist_ok=True)
    return Recorder(
        path, to=request.config.getoption("--rtstt-record-to"), client=request.node.nodeid, replace=True, known=known
    )
