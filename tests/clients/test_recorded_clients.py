"""LiveKit for Python is recorded and replayed, and so are servers that are not ours."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import sdk_types

from rtstt_testkit import ThreadedRealtimeServer
from rtstt_testkit.cassette.reader import load_cassette
from rtstt_testkit.recording.recorder import Recorder
from rtstt_testkit.routing import route_env

_env = pytest.importorskip("_env", reason="needs the project's scripts")
_clients = pytest.importorskip("_clients", reason="needs the project's scripts")
_compare = pytest.importorskip("compare_mocks", reason="needs the project's scripts")
_drive = pytest.importorskip("_drive", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.heavy, pytest.mark.timeout(600)]

APP = str(Path(__file__).parents[1] / "cassette" / "cassette_app.py")


@pytest.fixture(autouse=True)
def every_event_is_one_the_openai_sdk_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the events unchecked here: other servers send what they like, and so do recordings of them."""
    monkeypatch.setattr(sdk_types.Watch, "see", lambda watch, event: None)


LIVEKIT = ("livekit_python.py", "1.8.9")


def test_livekit(tmp_path: Path) -> None:
    client = next(one for one in _clients.CLIENTS if (one.driver, one.version) == LIVEKIT)
    command = [str(client.python(_env.wheel())), str(_drive.DRIVERS / client.driver)]

    def transcript(routes: Mapping[str, str]) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **routes})
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout.splitlines()[-1])["transcript"])

    path = tmp_path / "livekit.rtstt.jsonl"
    with (
        ThreadedRealtimeServer(transcripts=["From an agent."], strict=False) as mock,
        Recorder(path, to=mock.url) as recorder,
    ):
        assert transcript(recorder.environment) == "From an agent."
    assert load_cassette(path).sessions[0].seconds > 2
    with (
        ThreadedRealtimeServer(cassette=path, strict=False, allow_hosts=["*"]) as server,
        route_env({"api.openai.com": ("127.0.0.1", server.port)}) as routes,
    ):
        assert transcript(routes) == "From an agent."
        assert server.sessions[0].transcripts == ["From an agent."]


@pytest.mark.node
@pytest.mark.parametrize("name", ["aimock", "a bare fake server"])
def test_another_server_is_recorded_and_replayed(name: str, tmp_path: Path) -> None:
    path = tmp_path / "other.rtstt.jsonl"

    def transcript(url: str, key: str, chunk: str) -> str:
        words = [sys.executable, APP, key, chunk, "gpt-4o-transcribe", f"{url}?intent=transcription"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def record() -> str:
        async with _compare.MOCKS[name]() as url:
            with Recorder(path, to=url) as recorder:
                return await asyncio.to_thread(transcript, recorder.url, "sk-one-key-0123456789", "100")

    recorded = asyncio.run(record())
    assert recorded == f"{_compare.HELLO}\n"
    with ThreadedRealtimeServer(cassette=path, strict=False) as server:
        assert transcript(server.url, "sk-another-key-0123456789", "20") == recorded
