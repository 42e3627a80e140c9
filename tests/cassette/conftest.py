"""A recorded session to start from, and an endpoint to record."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sdk_types
from cassettes import record


@pytest.fixture(autouse=True)
def every_event_is_one_the_openai_sdk_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the events unchecked here: a recording may hold anything that an endpoint sends."""
    monkeypatch.setattr(sdk_types.Watch, "see", lambda watch, event: None)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A recording of one session."""
    return record(tmp_path / "talk.rtstt.jsonl")


class Endpoint(NamedTuple):
    """A mock in another process, with its own certificate."""

    url: str
    ca: Path


@pytest.fixture
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Endpoint]]:
    """Return a function that starts an endpoint with the settings of a mock."""
    processes = []

    def start(**settings: Any) -> Endpoint:
        folder = tmp_path_factory.mktemp("endpoint")
        program = [sys.executable, str(Path(__file__).with_name("tls_endpoint.py")), str(folder), json.dumps(settings)]
        process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return Endpoint(f"wss://localhost:{int(process.stdout.readline())}/v1/realtime", folder / "ca.pem")

    yield start
    for process in processes:
        process.communicate(timeout=60)
