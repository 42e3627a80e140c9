from __future__ import annotations

import logging
import sys
import types
from collections.abc import Callable, Iterator

import pytest

import rtstt_shim
from rtstt_core import report, watch
from rtstt_core.delay import Delay
from rtstt_core.patching.installation import Installation
from rtstt_core.patching.targets import Target


class _Endless(Delay):
    """A delay that is never over."""

    def add(self, function: Callable[[], None]) -> bool:
        return True


@pytest.fixture(autouse=True)
def a_close_is_waited_for() -> Iterator[None]:
    """An error is reported with the close that follows it, though the machine may take more than half a second."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(watch, "_CLOSE_WAIT", _Endless(0.5))
        yield


@pytest.fixture
def shim() -> Iterator[None]:
    """The shim, installed for one test, without the storms of other tests."""
    report._reported.clear()
    rtstt_shim.install()
    yield
    rtstt_shim.uninstall()


@pytest.fixture
def fakelib(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A library of one class, imported; nothing is patched yet."""
    module = types.ModuleType("fakelib")

    class WebSocket:
        def __init__(self) -> None:
            self.connected = False

        def connect(self, url: str) -> str:
            return url

        def recv_frame(self) -> None: ...

        def send(self, payload: str, opcode: int = 1) -> int:
            return len(payload)

    module.__dict__.update(WebSocket=WebSocket, __version__="1.8.0")
    monkeypatch.setitem(sys.modules, "fakelib", module)
    return module


@pytest.fixture
def installation(fakelib: types.ModuleType) -> Iterator[Installation]:
    """An installation of its own, whose only target is the library of one class."""
    installation = Installation((Target("fake", "fakelib", "fakelib", (1, 6), (2,), "websocket_client"),))
    yield installation
    installation.uninstall()


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def warnings_logged() -> Iterator[list[logging.LogRecord]]:
    """The records of the logger `rtstt_shim`, at level WARNING and above, as they come."""
    report._reported.clear()
    kept = _Kept()
    logger = logging.getLogger("rtstt_shim")
    logger.addHandler(kept)
    yield kept.records
    report._reported.clear()
    logger.removeHandler(kept)
