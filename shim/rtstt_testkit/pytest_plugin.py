"""Fixtures for tests of realtime speech-to-text clients; nothing is imported before one is used.

`realtime_server` is for synchronous tests and every async framework: the server runs in a thread of its own.
`realtime_server_factory` makes more of them. `@pytest.mark.realtime_server(transcripts=["Hello"], profile="gateway")`
gives the fixture its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rtstt_testkit.mock.threaded import ThreadedRealtimeServer

__all__ = ["pytest_configure", "realtime_server", "realtime_server_factory"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "realtime_server(**options): arguments of the realtime_server fixture, those of rtstt_testkit.RealtimeServer",
    )


@pytest.fixture
def realtime_server_factory() -> Iterator[Callable[..., ThreadedRealtimeServer]]:
    """Make running mocks: call it with the arguments of `rtstt_testkit.RealtimeServer`; they end with the test."""
    from rtstt_testkit.mock.threaded import ThreadedRealtimeServer

    with ExitStack() as stack:

        def make(**options: Any) -> ThreadedRealtimeServer:
            return stack.enter_context(ThreadedRealtimeServer(**options))

        yield make


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
