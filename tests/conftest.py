from __future__ import annotations

import functools
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "mock"))

import sdk_types

NODE = 20
"""The oldest Node the project works with."""


@functools.cache
def _node() -> int | None:
    """The major version of the Node on PATH."""
    executable = shutil.which("node")
    if executable is None:
        return None
    match = re.match(r"v(\d+)\.", subprocess.run([executable, "--version"], capture_output=True, text=True).stdout)
    return int(match[1]) if match else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("node") and (_node() or 0) < NODE:
            item.add_marker(pytest.mark.skip(reason=f"needs Node.js {NODE} or newer"))


WATCH = sdk_types.Watch()


def _patient_settrace() -> None:
    """Let a thread start while another one starts to be traced.

    CPython 3.11 raises in `sys.settrace` while another thread is inside it, and so a new thread that is measured for
    coverage dies before its first line: now and then, and a server whose thread that was waits for it for ever.
    """
    settrace = sys.settrace

    def patient(function: Any) -> None:
        while True:
            try:
                return settrace(function)
            except RuntimeError as error:
                if "another trace function is being installed" not in str(error):
                    raise
            time.sleep(0)  # the other thread's turn

    sys.settrace = patient


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_FailuresAtOnce(config))
    WATCH.install()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # In the background of a script. Programs that the tests start would inherit it, and could not be interrupted.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.version_info[:2] == (3, 11):
        _patient_settrace()


class _FailuresAtOnce:
    """Names a test when it fails: the report of a run that takes half an hour comes at its end."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._plugins.get_plugin("terminalreporter")
        if report.failed and terminal:
            terminal.write_line(f"\n{report.outcome} {report.when}: {report.nodeid}", red=True)


@pytest.fixture(autouse=True)
def every_event_is_one_the_openai_sdk_knows() -> Iterator[None]:
    """Whatever a test does: each event that a mock sent in it is parsed strictly with the SDK's own types."""
    yield
    problems = WATCH.take()
    if problems:
        pytest.fail("the mock sent what the openai SDK's types do not describe:\n" + "\n".join(problems), pytrace=False)


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections until the test is over: taken, so that no server can have it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def event_watch() -> sdk_types.Watch:
    """What looks at every event; for the tests of that."""
    return WATCH
