"""LiveKit's job processes in Python: their warning reaches the parent's terminal, also under ``rtstt-shim run``."""

from __future__ import annotations

from pathlib import Path

import pytest

_env = pytest.importorskip("_env", reason="needs the project's scripts")
_clients = pytest.importorskip("_clients", reason="needs the project's scripts")
_drive = pytest.importorskip("_drive", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.heavy, pytest.mark.timeout(600)]

START_METHODS = ["forkserver", "spawn"]


@pytest.fixture
def python() -> Path:
    [client] = [one for one in _clients.CLIENTS if one.driver == _clients.JOB_DRIVER and one.in_demo]
    return client.python(_env.wheel())  # type: ignore[no-any-return]


def command(python: Path, start_method: str, *more: str) -> list[str | Path]:
    driver = _drive.DRIVERS / _clients.JOB_DRIVER
    return [python, driver, "--base-url", f"wss://{_clients.EU}/v1", "--start-method", start_method, *more]


@pytest.mark.parametrize("start_method", START_METHODS)
def test_a_key_that_is_refused_is_one_warning_in_the_terminal_of_the_worker(start_method: str, python: Path) -> None:
    key = "sk-proj-invalid" + "A1b2C3d4" * 5
    seen = _drive.run_driver(command(python, start_method, "--shim", "--key", key), _clients.EU)
    [line] = [line for line in seen.stderr.splitlines() if "rtstt_shim" in line]
    assert line.startswith("rtstt_shim: realtime transcription session failed: the API key was refused")
    assert key not in seen.stderr
    assert seen.closes == ["3000 invalid_request_error.invalid_api_key"]


@pytest.mark.parametrize("start_method", START_METHODS)
def test_rtstt_shim_run_reaches_the_job_process(start_method: str, python: Path) -> None:
    run = [python, "-m", "rtstt_core", "run", "--"]
    seen = _drive.run_driver([*run, *command(python, start_method)], _clients.EU)
    assert seen.transcribed, seen
    assert "rtstt_shim" not in seen.stderr
