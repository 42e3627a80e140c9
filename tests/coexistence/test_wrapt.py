"""The tests of installing and uninstalling, with the versions of wrapt that other packages pin."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

_env = pytest.importorskip("_env", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.heavy, pytest.mark.timeout(600)]

UNIT = Path(__file__).parents[1] / "unit"
TESTS = (
    "pytest>=8.4,<10",
    "pytest-timeout>=2.3",
    "hypothesis>=6.100",
    "trustme>=1.2,<2",
    "websockets==16.1.1",
    "websocket-client==1.9.2",
    "aiohttp==3.14.5",
)


@pytest.mark.parametrize("version", ["1.16.0", "1.17.3", "2.0.1"])
def test_the_patches_hold_with_an_older_wrapt(version: str) -> None:
    """The unit tests run with the newest; 2.0 is the oldest that lacks `unwrap_object` and is not 1."""
    python = _env.environment([f"wrapt=={version}", *TESTS], wheel=_env.wheel())
    files = [UNIT / f"test_{name}.py" for name in ("registry", "gates", "order", "targets", "connect_attempt")]
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "--timeout=300", "-p", "no:cacheprovider", *files],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout
