"""Fixtures for tests of realtime speech-to-text clients; nothing is imported before one is used.

`realtime_server` is for synchronous tests and every async framework: the server runs in a thread of its own.
`realtime_server_factory` makes more of them. `@pytest.mark.realtime_server(transcripts=["Hello"], profile="gateway")`
gives the fixture its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rtstt_testkit.mock.threaded import ThreadedRealtimeServer

_PASSED = pytest.StashKey[bool]()

__all__ = ["pytest_configure", "realtime_server", "realtime_server_factory"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "realtime_server(**options): arguments of the realtime_server fixture, those of rtstt_testkit.RealtimeServer",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test itself passed: only then is it asked whether it used up its script."""
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture
def realtime_server_factory(
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., ThreadedRealtimeServer]]:
    """Make running mocks: call it with the arguments of `rtstt_testkit.RealtimeServer`; they end with the test.

    A test that passed fails all the same if it left transcripts over; ``strict=False`` allows that.
    """
    from rtstt_testkit.mock.threaded import ThreadedRealtimeServer

    strict: list[ThreadedRealtimeServer] = []
    with ExitStack() as stack:

        def make(**options: Any) -> ThreadedRealtimeServer:
            server = ThreadedRealtimeServer(**{**options, "strict": False})
            if options.get("strict", True):
                strict.append(server)
            return stack.enter_context(server)

        yield make
    if request.node.stash.get(_PASSED, False):
        for server in strict:
            try:
                server.verify()
            except AssertionError as error:
                pytest.fail(str(error), pytrace=False)


@pytest.fixture
def realtime_server(
    request: pytest.FixtureRequest, realtime_server_factory: Callable[..., ThreadedRealtimeServer]
) -> ThreadedRealtimeServer:
    """A running mock of OpenAI's Realtime transcription endpoint, new for every test, on a port of its own."""
    marker = request.node.get_closest_marker("realtime_server")
    if marker is not None and marker.args:
        raise pytest.UsageError(
            f"@pytest.mark.realtime_server takes keyword arguments only, such as transcripts=[…]; "
            f"it was given {marker.args!r}"
        )
    return realtime_server_factory(**(marker.kwargs if marker is not None else {}))
