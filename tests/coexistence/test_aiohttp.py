"""The tests of the aiohttp patch, on the versions that applications have: the unit tests run with the newest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

_env = pytest.importorskip("_env", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.heavy, pytest.mark.timeout(600)]

UNIT = Path(__file__).parents[1] / "unit"
TESTS = ("pytest>=8.4,<10", "pytest-timeout>=2.3", "trustme>=1.2,<2", "websockets==16.1.1", "websocket-client==1.9.2")


VERSIONS = ("3.9.5", "3.10.11", "3.11.18", "3.12.15", "3.13.5", "3.14.3", "3.14.4", "3.14.5")
CELLS = [(version, extensions) for version in VERSIONS for extensions in (True, False)]
# The unit tests run on the newest with its extensions.
ALL = {("3.9.5", True), ("3.14.5", False)}


@pytest.mark.parametrize(
    ("version", "extensions"),
    [
        pytest.param(
            *cell, id=f"{cell[0]}-{'C' if cell[1] else 'Python'}", marks=[] if cell in ALL else [pytest.mark.release]
        )
        for cell in CELLS
    ],
)
def test_the_patch_holds_on_an_older_aiohttp(version: str, extensions: bool) -> None:
    python = _env.environment([f"aiohttp=={version}", *TESTS], wheel=_env.wheel())
    files = [UNIT / "test_aiohttp_reads.py", UNIT / "test_targets.py", UNIT / "test_watched_stream.py"]
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "--timeout=300", "-p", "no:cacheprovider", "-k", "aiohttp or Aiohttp", *files],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "" if extensions else "1"},
    )
    assert done.returncode == 0, done.stdout
