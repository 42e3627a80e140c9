"""Real Python clients are recorded, and get the same transcript with another key and other chunks."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cassettes import KEY

from rtstt_testkit import CassetteMismatch, ThreadedRealtimeServer
from rtstt_testkit.recording.recorder import Recorder

APP = str(Path(__file__).with_name("cassette_app.py"))
AUDIO = b"\x00\x40\x00\xc0" * 12_000


async def talk(url: str, key: str, chunk: int, model: str = "gpt-4o-transcribe") -> str:
    """Transcribe with the openai SDK."""
    openai = pytest.importorskip("openai")
    client = openai.AsyncOpenAI(api_key=key, websocket_base_url=url.removesuffix("/realtime"))
    audio: Any = {"input": {"transcription": {"model": model}, "turn_detection": None}}
    async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        await connection.session.update(session={"type": "transcription", "audio": audio})
        for start in range(0, len(AUDIO), chunk):
            await connection.input_audio_buffer.append(audio=base64.b64encode(AUDIO[start : start + chunk]).decode())
        await connection.input_audio_buffer.commit()
        async for event in connection:
            if event.type.endswith(".completed"):
                return str(event.transcript)
            if event.type == "error":
                return str(event.error.message)
    return ""


def test_the_openai_sdk(tmp_path: Path) -> None:
    path = tmp_path / "sdk.rtstt.jsonl"
    with (
        ThreadedRealtimeServer(transcripts=["From the SDK."]) as mock,
        Recorder(path, to=mock.url) as recorder,
    ):
        assert asyncio.run(talk(recorder.url, KEY, 4800)) == "From the SDK."
    assert KEY.encode() not in path.read_bytes()
    with ThreadedRealtimeServer(cassette=path) as server:
        assert asyncio.run(talk(server.url, "sk-another-key-0123456789", 960)) == "From the SDK."
    with ThreadedRealtimeServer(cassette=path, strict=False) as server:
        differs = asyncio.run(talk(server.url, KEY, 4800, "whisper-1"))
        assert differs.endswith("recorded 'gpt-4o-transcribe', received 'whisper-1'")
        with pytest.raises(CassetteMismatch):
            server.verify()


@pytest.mark.heavy
def test_a_program_on_websockets_under_the_true_name(tmp_path: Path, endpoint: Callable[..., Any]) -> None:
    """It is recorded against the second process, and replayed by a mock that `rtstt-shim run --route` routes to."""
    there = endpoint(transcripts=["Once."], seed=11, latency="capture")
    path = tmp_path / "app.rtstt.jsonl"
    words = [sys.executable, "-m", "rtstt_core", "record", "--out", str(path), "--to", there.url, "--"]
    environ = {**os.environ, "SSL_CERT_FILE": str(there.ca)}
    done = subprocess.run(
        [*words, sys.executable, APP, KEY, "100"], env=environ, capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "Once.\n", done.stderr
    with ThreadedRealtimeServer(cassette=path) as server:
        route = f"api.openai.com=127.0.0.1:{server.port}"
        words = [sys.executable, "-m", "rtstt_core", "run", "--no-shim", "--route", route, "--"]
        again = subprocess.run(
            [*words, sys.executable, APP, "sk-another-key-0123456789", "20"],
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert again.stdout == "Once.\n", again.stderr
