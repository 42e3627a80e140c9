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

try:
    import hypothesis
except ImportError:  # in the environments of tests/coexistence
    pass
else:
    # The same inputs in every run, however long the machine takes for one of them.
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("rtstt", derandomize=True, deadline=None, suppress_health_check=slow)
    hypothesis.settings.load_profile("rtstt")

NODE = 20
"""The oldest Node.js the project works with."""


@functools.cache
def _node() -> int | None:
    """Return the major version of the Node.js on PATH; None without one."""
    executable = shutil.which("node")
    if executable is None:
        return None
    match = re.match(r"v(\d+)\.", subprocess.run([executable, "--version"], capture_output=True, text=True).stdout)
    return int(match[1]) if match else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("node") and (_node() or 0) < NODE:
            item.add_marker(pytest.mark.skip(reason=f"needs Node.js {NODE} or newer"))


def pytest_collection_finish() -> None:
    """Undo what importing the modules of the tests activated: a test that needs the shim installs it."""
    if "rtstt_shim" in sys.modules:
        sys.modules["rtstt_shim"].uninstall()


WATCH = sdk_types.Watch()


def _patient_settrace() -> None:
    """Let a thread start while another one starts to be traced.

    CPython 3.11 raises in `sys.settrace` while another thread is inside it. A new thread that is measured for coverage
    then ends before its first line, and a server that runs in it never starts.
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
        # The background of a script ignores it; programs that the tests start inherit that, and cannot be interrupted.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.version_info[:2] == (3, 11):
        _patient_settrace()


class _FailuresAtOnce:
    """Prints the name of a test as soon as it fails; pytest's own report comes at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._plugins.get_plugin("terminalreporter")
        if report.failed and terminal:
            terminal.write_line(f"\n{report.outcome} {report.when}: {report.nodeid}", red=True)


@pytest.fixture(autouse=True)
def every_event_is_one_the_openai_sdk_knows() -> Iterator[None]:
    """Parse each event that a mock sent during the test strictly with the SDK's own types."""
    yield
    problems = WATCH.take()
    if problems:
        pytest.fail("the mock sent what the openai SDK's types do not describe:\n" + "\n".join(problems), pytrace=False)


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections: bound during the test, so that no server can bind it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def event_watch() -> sdk_types.Watch:
    """The object that parses every event; for its own tests."""
    return WATCH
