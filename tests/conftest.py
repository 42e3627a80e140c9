from __future__ import annotations

import functools
import re
import shutil
import subprocess

import pytest

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
