"""Real clients for Node.js are recorded, and get the same transcript from the recording with another key."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtstt_testkit import ThreadedRealtimeServer
from rtstt_testkit.cassette.reader import load_cassette
from rtstt_testkit.recording.recorder import Recorder
from rtstt_testkit.routing import route_env

from .conftest import DRIVER, HOSTS, KEY, Cell, run

pytestmark = [pytest.mark.node, pytest.mark.client]


def record_and_replay(tmp_path: Path, script: Path, *args: str, **environ: str) -> None:
    """Record a program that gets a transcript, then replay it without the endpoint."""
    path = tmp_path / "talk.rtstt.jsonl"
    with (
        ThreadedRealtimeServer(transcripts=["Recorded in Node."], strict=False) as mock,
        Recorder(path, to=mock.url) as recorder,
    ):
        recorded = run(script, *args, shim=True, env={**recorder.environment, **environ})
    assert recorded.line["transcript"] == "Recorded in Node.", recorded
    (session,) = load_cassette(path).sessions
    assert session.seconds > 1
    assert KEY not in path.read_text("utf-8")
    with (
        ThreadedRealtimeServer(cassette=path, allow_hosts=HOSTS) as server,
        route_env({"api.openai.com": ("127.0.0.1", server.port)}) as routes,
    ):
        other = {"OPENAI_API_KEY": "sk-another-key-0123456789"}
        replayed = run(script, *args, shim=True, env={**routes, **environ, **other})
        server.verify()
    assert replayed.line["transcript"] == "Recorded in Node."


def test_ws(tmp_path: Path, cell: Cell) -> None:
    record_and_replay(tmp_path, cell(ws="8.18.3") / "ws_esm.mjs")


@pytest.mark.heavy
def test_the_openai_sdk(tmp_path: Path, cell: Cell) -> None:
    script = cell(openai="6.49.0", ws="8.18.3") / "openai_ws.mjs"
    record_and_replay(tmp_path, script, APP_BASE_URL="https://api.openai.com/v1")


@pytest.mark.heavy
def test_livekit(tmp_path: Path, cell: Cell) -> None:
    from .test_real_clients import livekit

    record_and_replay(tmp_path, DRIVER, "--project", str(livekit(cell, "1.9.0")))
