from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


def pytest_configure() -> None:
    WATCH.install()


@pytest.fixture(autouse=True)
def every_event_is_one_the_openai_sdk_knows() -> Iterator[None]:
    """Whatever a test does: each event that a mock sent in it is parsed strictly with the SDK's own types."""
    yield
    problems = WATCH.take()
    if problems:
        pytest.fail("the mock sent what the openai SDK's types do not describe:\n" + "\n".join(problems), pytrace=False)


@pytest.fixture
def event_watch() -> sdk_types.Watch:
    """What looks at every event; for the tests of that."""
    return WATCH
