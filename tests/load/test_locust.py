"""Locust's own master and two workers, as they run on many machines."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtstt_testkit import ThreadedRealtimeServer

_env = pytest.importorskip("_env", reason="needs the project's scripts")
talk = pytest.importorskip("drivers.talk", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.heavy]

LOCUSTFILE = """
import gevent
from locust import events
from locust.runners import MasterRunner
from rtstt_testkit.locust import TranscriptionUser


@events.init.add_listener
def on_init(environment, **words):
    if isinstance(environment.runner, MasterRunner):
        gevent.spawn(quit_when_enough_was_reported, environment)


def quit_when_enough_was_reported(environment):
    get = environment.stats.get  # of other objects once the test begins
    while get("final", "RTSTT").num_requests < 6 or get("connect", "RTSTT").num_failures < 4:
        gevent.sleep(0.2)
    environment.runner.quit()


class Caller(TranscriptionUser):
    host = {url!r}
    weight = 3
    recordings = ("hello",)


class WithModel(TranscriptionUser):
    host = {url!r} + "?intent=transcription&model=gpt-4o-mini-transcribe"
"""


@pytest.fixture(scope="module")
def python() -> Path:
    made: Path = _env.environment(wheel=_env.wheel(), extras=["load"])
    return made


@contextlib.contextmanager
def locust(python: Path, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    # A key in the environment is not for a mock.
    env = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    process = subprocess.Popen(
        [python, "-m", "locust", "--skip-log-setup", *words],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def table(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_master_and_two_workers_report_the_waits_and_the_refusals(python: Path, tmp_path: Path) -> None:
    with ThreadedRealtimeServer(latency="capture", strict=False) as server, talk.reserved_port() as port:
        (tmp_path / "locustfile.py").write_text(LOCUSTFILE.format(url=server.url))
        bind = ("--master-bind-host", "127.0.0.1", "--master-bind-port", str(port))
        master = ("--master", *bind, "--expect-workers", "2")
        test = ("--headless", "--csv", "out", "--users", "8", "--spawn-rate", "8")
        worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", str(port))
        with (
            locust(python, tmp_path, *master, *test) as first,
            locust(python, tmp_path, *worker) as second,
            locust(python, tmp_path, *worker) as third,
        ):
            _, error = first.communicate(timeout=300)
            for process in (second, third):
                process.wait(300)
        sessions = server.sessions
    assert first.returncode == 1, error  # Locust's way of saying that some requests failed
    rows = {row["Name"]: row for row in table(tmp_path / "out_stats.csv") if row["Type"] == "RTSTT"}
    assert set(rows) == {"connect", "first delta", "final"}
    completed = int(rows["final"]["Request Count"])
    assert completed > 0
    assert rows["final"]["Failure Count"] == rows["first delta"]["Failure Count"] == "0"
    # Capture's latency: the transcript is complete 1.411 s after the commit, which is 200 ms after the last sound.
    assert float(rows["final"]["Min Response Time"]) > 1411
    assert float(rows["first delta"]["Min Response Time"]) > 1190
    [failure] = table(tmp_path / "out_failures.csv")
    assert failure["Name"] == "connect"
    assert "invalid_model: Model" in failure["Error"]
    assert int(failure["Occurrences"]) == int(rows["connect"]["Failure Count"]) > 0
    # Two users are refused: each tries again after 1, 2, 4 seconds and so on, at most 30.
    refused = [session for session in sessions if session.refusal]
    seconds = refused[-1].opened_at - refused[0].opened_at
    assert len(refused) <= 2 * (1 + math.log2(1 + seconds) + seconds / 30)
    assert sum(len(session.transcripts) for session in sessions) >= completed
    assert {session.refusal.code for session in refused if session.refusal} == {"invalid_model"}
