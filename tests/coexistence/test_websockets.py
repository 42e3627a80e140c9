"""The tests of the websockets patches, on the versions that applications have: the unit tests run with the newest."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

_env = pytest.importorskip("_env", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.heavy, pytest.mark.timeout(600)]

UNIT = Path(__file__).parents[1] / "unit"
TESTS = ("pytest>=8.4,<10", "pytest-timeout>=2.3", "trustme>=1.2,<2", "aiohttp==3.9.5", "websocket-client==1.6.4")


@pytest.mark.parametrize(
    "version", ["13.1", *(pytest.param(version, marks=pytest.mark.release) for version in ("14.2", "15.0.1", "16.1.1"))]
)
def test_the_patches_hold_on_an_older_websockets(version: str) -> None:
    python = _env.environment([f"websockets=={version}", *TESTS], wheel=_env.wheel())
    files = [UNIT / "test_connect_attempt.py", UNIT / "test_targets.py"]
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "--timeout=300", "-p", "no:cacheprovider", *files],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout
