"""Fixtures for tests of realtime speech-to-text clients; nothing is imported before one is used.

`realtime_server` serves synchronous tests and every async framework from a thread of its own. `async_realtime_server`
runs in the event loop of the test, under pytest-asyncio and anyio. `realtime_server_factory` starts more servers of
the first kind. `@pytest.mark.realtime_server(transcripts=["Hello"], profile="gateway")` gives either fixture its
arguments; ``script=`` may be the path of a script file.

`realtime_cassette` replays the recording of the test, ``cassettes/MODULE/TEST.rtstt.jsonl`` beside its module, or
records it: ``--rtstt-record=none|once|new|all``. `@pytest.mark.rtstt_cassette("FILE", ignore=…)` names another file,
and says how it is replayed.

Every test has its own servers on their own ports, so pytest-xdist may run any number of tests at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rtstt_testkit._pytest_cassette import RealtimeCassette
    from rtstt_testkit.mock.server.server import RealtimeServer
    from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer

from rtstt_testkit._pytest_serving import (
    PASSED,
    SERVERS,
    marker_options,
    register,
    serve_in_loop,
    server_options,
    verify,
)

_SHOWN_SESSIONS = 3
_SHOWN_EVENTS = 8

__all__ = [
    "async_realtime_server",
    "pytest_addoption",
    "pytest_configure",
    "realtime_cassette",
    "realtime_server",
    "realtime_server_factory",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the reports."""
    group = parser.getgroup("rtstt", "realtime speech-to-text (rtstt-shim)")
    group.addoption(
        "--rtstt-report",
        metavar="DIR",
        help="write an HTML report of what the realtime servers saw, for each failing test that used one",
    )
    group.addoption(
        "--rtstt-record",
        choices=("none", "once", "new", "all"),
        default="none",
        help="recordings of the realtime_cassette fixture: none replays them (default), once records those that are "
        "missing, new also records sessions that a recording lacks, all records everything again",
    )
    group.addoption(
        "--rtstt-record-to",
        metavar="URL",
        help="the WebSocket address to record (default: wss://api.openai.com/v1/realtime)",
    )
    group.addoption(
        "--rtstt-report-all",
        action="store_true",
        help="write a report for every test that used a server, not only for failing ones",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the async fixture for pytest-asyncio if it is installed."""
    config.addinivalue_line(
        "markers",
        "realtime_server(**options): arguments of the realtime_server fixtures, those of rtstt_testkit.RealtimeServer",
    )
    config.addinivalue_line(
        "markers",
        "rtstt_cassette(path=None, **options): the recording of the realtime_cassette fixture, by default one file for "
        "each test, and how it is replayed: mode, timing, ignore, tolerance",
    )
    if config.pluginmanager.hasplugin("asyncio"):
        from rtstt_testkit import _pytest_asyncio

        config.pluginmanager.register(_pytest_asyncio, "rtstt-asyncio")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test passed, for the check of its script; show what the servers of a failed test saw."""
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
        if report.failed:
            for server in item.stash.get(SERVERS, []):
                report.sections.append((f"realtime server on port {server.port}", _seen(server)))
    if call.when != "setup" and item.config.getoption("--rtstt-report") is not None:
        from rtstt_testkit.inspector.pytest_report import add_reports

        servers = item.stash.get(SERVERS, [])
        add_reports(item, report, servers)
    return report


def _seen(server: ThreadedRealtimeServer | RealtimeServer) -> str:
    """Return what a server saw, in a few lines: each session's explanation, and the last events of the latest.

    It never raises: an exception in a report hook would end pytest.
    """
    try:
        lines = [server.explain()]
        for session in server.sessions[-_SHOWN_SESSIONS:]:
            lines.append(f"{session!r}, last events:")
            lines += [f"  {line}" for line in session.timeline(_SHOWN_EVENTS)] or ["  none"]
    except Exception as error:
        return f"What the server saw cannot be shown: {type(error).__name__}: {error}"
    return "\n".join(lines)


@pytest.fixture
def realtime_server_factory(
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., ThreadedRealtimeServer]]:
    """Return a function that starts a mock, with the arguments of `rtstt_testkit.RealtimeServer`.

    The mocks stop at the end of the test. A test that passed fails then if its client did not follow the script;
    ``strict=False`` allows that.
    """
    from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer

    strict: list[ThreadedRealtimeServer] = []
    with ExitStack() as stack:

        def make(**options: Any) -> ThreadedRealtimeServer:
            __tracebackhide__ = True
            server = ThreadedRealtimeServer(**server_options(options))
            if options.get("strict", True):
                strict.append(server)
            register(request, server)
            return stack.enter_context(server)

        yield make
    for server in strict:
        verify(request, server)


@pytest.fixture
def realtime_server(
    request: pytest.FixtureRequest, realtime_server_factory: Callable[..., ThreadedRealtimeServer]
) -> ThreadedRealtimeServer:
    """Start a mock of OpenAI's Realtime transcription endpoint for one test, on its own port."""
    return realtime_server_factory(**marker_options(request))


@pytest.fixture
def realtime_cassette(request: pytest.FixtureRequest) -> Iterator[RealtimeCassette]:
    """Replay the recording of the test, or record it, as ``--rtstt-record`` says; ``.url`` is for the client."""
    from rtstt_testkit._pytest_cassette import serve_cassette

    with serve_cassette(request) as cassette:
        yield cassette


# Each of the two frameworks runs only async fixtures of its own.
_anyio_realtime_server = pytest.fixture(name="_anyio_realtime_server")(serve_in_loop)


@pytest.fixture
def async_realtime_server(request: pytest.FixtureRequest) -> RealtimeServer:
    """Start a mock in the event loop of an async test, for pytest-asyncio and for anyio on asyncio."""
    name = _framework(request)
    if name is None:
        raise pytest.UsageError(
            "async_realtime_server needs an async test that pytest-asyncio or anyio (on asyncio) runs; "
            "use realtime_server, which serves any test from its own thread"
        )
    server: RealtimeServer = request.getfixturevalue(name)
    return server


def _framework(request: pytest.FixtureRequest) -> str | None:
    """Return the fixture of the framework that runs the test, None if neither does."""
    if not inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        return None
    if "anyio_backend" in request.fixturenames:
        backend = request.getfixturevalue("anyio_backend")
        return "_anyio_realtime_server" if "asyncio" in (backend, backend[0]) else None
    if not request.config.pluginmanager.hasplugin("rtstt-asyncio"):
        return None
    marker = request.node.get_closest_marker("asyncio")
    scope = (marker.kwargs.get("loop_scope") if marker else None) or request.config.getini(
        "asyncio_default_test_loop_scope"
    )
    return f"_asyncio_realtime_server_{scope}"
