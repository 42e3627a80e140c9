"""Published clients are recorded at three endpoints and answered from the recording: a transcript, or a reason."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cassettes import KEY, TRANSCRIPTION
from websockets.sync.server import ServerConnection, serve

from rtstt_testkit import CassetteMismatch, ThreadedRealtimeServer
from rtstt_testkit.cassette.reader import load_cassette
from rtstt_testkit.speech import load

_env = pytest.importorskip("_env", reason="needs the project's scripts")
_clients = pytest.importorskip("_clients")

# The default tier and --all have each client once, in test_cassette_clients.py, clients/ and node/.
pytestmark = [pytest.mark.client, pytest.mark.release, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
DRIVERS = HERE.parents[1] / "scripts" / "drivers"
WAV = Path(load.__code__.co_filename).with_name("hello.wav")
TEXT = "What the endpoint understood."
OTHER_KEY = "sk-another-key-0123456789"
MODEL, OTHER_MODEL = "gpt-4o-mini-transcribe", "whisper-1"
# Without turn detection, so LiveKit commits the audio by itself.
STREAMING_MODEL, OTHER_STREAMING_MODEL = "gpt-live-transcribe", "gpt-realtime-whisper"
SECONDS = 180  # until a program is given up
AIMOCK = {"@copilotkit/aimock": "1.43.0"}
OPENAI_NODE = {"openai": "6.10.0", "ws": "8.18.3"}
LIVEKIT_JS = {
    "@livekit/agents": "1.4.4",
    "@livekit/agents-plugin-openai": "1.4.4",
    "@livekit/rtc-node": "0.13.27",
    "zod": "3",
    "ws": "8.18.3",
}
LIVEKIT_JS_NEWEST = {
    **LIVEKIT_JS,
    "@livekit/agents": "1.9.0",
    "@livekit/agents-plugin-openai": "1.9.0",
    "@livekit/rtc-node": "0.13.34",
}


# -- the programs, each for a key and a model


def websockets_program(key: str, model: str) -> list[str]:
    chunk = "100" if key == KEY else "30"
    return [sys.executable, str(HERE / "cassette_app.py"), key, chunk, model]


def openai_python(key: str, model: str) -> list[str]:
    return [sys.executable, str(HERE / "openai_app.py"), key, "100" if key == KEY else "30", model]


def openai_node(key: str, model: str) -> list[str]:
    folder = _env.npm_project(OPENAI_NODE)
    app = folder / "cassette_openai.mjs"
    app.write_bytes((HERE / "openai_app.mjs").read_bytes())
    return ["node", str(app), key, "100" if key == KEY else "30", model]


def livekit_python(key: str, model: str) -> list[str]:
    (client,) = [one for one in _clients.CLIENTS if one.package == "livekit-plugins-openai" and one.tier == "default"]
    python = client.python(_env.wheel())
    return [str(python), str(DRIVERS / client.driver), "--key", key, "--transcription-model", model, "--wav", str(WAV)]


def livekit_js(key: str, model: str) -> list[str]:
    project = _env.npm_project(LIVEKIT_JS)
    words = ["--project", str(project), "--model", model, "--wav", str(WAV)]
    return ["env", f"OPENAI_API_KEY={key}", "node", str(DRIVERS / "livekit_js.mjs"), *words]


def livekit_js_newest(key: str, model: str) -> list[str]:
    project = _env.npm_project(LIVEKIT_JS_NEWEST)
    words = ["--project", str(project), "--model", model, "--wav", str(WAV), "--no-vad"]
    return ["env", f"OPENAI_API_KEY={key}", "node", str(DRIVERS / "livekit_js.mjs"), *words]


Program = Callable[[str, str], list[str]]


# -- the endpoints


class There(NamedTuple):
    url: str
    ca: Path | None = None


@pytest.fixture
def our_mock(endpoint: Callable[..., Any]) -> There:
    """The mock in another process, under another seed and latency, behind its own certificate."""
    found = endpoint(transcripts=[TEXT], seed=23, latency="capture")
    return There(found.url, found.ca)


@pytest.fixture
def aimock(tmp_path: Path) -> Iterator[There]:
    """CopilotKit's aimock, from npm."""
    where = {"endpoint": "realtime-transcription"}
    fixtures = tmp_path / "fixtures.json"
    fixtures.write_text(
        json.dumps({"fixtures": [{"match": where, "response": {"transcription": {"text": TEXT}}}]}), "utf-8"
    )
    command = _env.npm_project(AIMOCK) / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
    words = ["node", str(command), "--host", "127.0.0.1", "--port", "0", "--fixtures", str(fixtures)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        address = None
        while address is None and (line := process.stdout.readline()):
            address = re.search(r"listening on http://(127\.0\.0\.1:\d+)", line)
        reading = threading.Thread(target=process.stdout.read)
        reading.start()
        assert address is not None, "aimock did not start"
        yield There(f"ws://{address[1]}/v1/realtime")
        process.terminate()
        reading.join()


@pytest.fixture
def bare_server() -> Iterator[There]:
    """A server on websockets that knows what its author needed, and no more."""

    def converse(connection: ServerConnection) -> None:
        def send(type_: str, **fields: Any) -> None:
            connection.send(json.dumps({"type": type_, **fields}))

        send("session.created", session={"type": "transcription"})
        for message in connection:
            type_ = json.loads(message)["type"]
            if type_ == "session.update":
                send("session.updated", session={"type": "transcription"})
            elif type_ == "input_audio_buffer.commit":
                send("input_audio_buffer.committed", item_id="a-1", previous_item_id=None)
                send(f"{TRANSCRIPTION}.completed", item_id="a-1", content_index=0, transcript=TEXT)

    with serve(converse, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield There(f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1/realtime")
        server.shutdown()
        thread.join()


# -- recorded, and answered


def rtstt(words: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rtstt_core", *words]
    return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=SECONDS)


def record(path: Path, there: There, program: Program, model: str) -> subprocess.CompletedProcess[str]:
    """Record a program; the shim is active, since some of these put `model` into the URL."""
    environ = {} if there.ca is None else {"SSL_CERT_FILE": str(there.ca)}
    words = ["record", "--shim", "--out", str(path), "--to", there.url, "--", *program(KEY, model)]
    return rtstt(words, **environ)


def answered(server: ThreadedRealtimeServer, program: Program, model: str) -> str:
    """Run a program with another key and other chunks, routed to a server; return what it printed."""
    words = ["run", "--route", f"api.openai.com=127.0.0.1:{server.port}", "--", *program(OTHER_KEY, model)]
    done = rtstt(words)
    return done.stdout + done.stderr


def check(path: Path, there: There, program: Program, model: str = MODEL, other: str = OTHER_MODEL) -> None:
    """Record a program, and answer it and a changed one from the recording.

    Args:
        path: The recording.
        there: The endpoint.
        program: The program.
        model: Its model.
        other: The model of the changed program.
    """
    recorded = record(path, there, program, model)
    assert TEXT in recorded.stdout, recorded.stdout + recorded.stderr
    cassette = load_cassette(path)
    assert cassette.problems == []
    assert KEY.encode() not in b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name.split('.')[0]}.*"))
    with ThreadedRealtimeServer(cassette=path, strict=False) as server:
        printed = answered(server, program, model)
        assert TEXT in printed, printed + server.explain()
        assert [session.mismatch for session in server.sessions if session.mismatch is not None] == []
    with ThreadedRealtimeServer(cassette=path, strict=False) as server:
        answered(server, program, other)
        with pytest.raises(CassetteMismatch, match=rf"transcription\.model: recorded '{model}', received '{other}'"):
            server.verify()


NODE = [pytest.mark.node]
CLIENTS = [
    websockets_program,
    openai_python,
    pytest.param(openai_node, marks=NODE),
    livekit_python,
    pytest.param(livekit_js, marks=NODE),
]


@pytest.mark.parametrize("program", CLIENTS)
def test_a_client_at_our_mock_in_another_process(tmp_path: Path, our_mock: There, program: Program) -> None:
    check(tmp_path / "a.rtstt.jsonl", our_mock, program)


@pytest.mark.parametrize("program", CLIENTS[:3])
def test_a_client_at_a_bare_server(tmp_path: Path, bare_server: There, program: Program) -> None:
    check(tmp_path / "a.rtstt.jsonl", bare_server, program)


@pytest.mark.node
@pytest.mark.parametrize("program", CLIENTS[:3])
def test_a_client_at_aimock(tmp_path: Path, aimock: There, program: Program) -> None:
    check(tmp_path / "a.rtstt.jsonl", aimock, program)


@pytest.mark.node
@pytest.mark.parametrize("program", [livekit_python, livekit_js_newest])
def test_livekit_at_aimock(tmp_path: Path, aimock: There, program: Program) -> None:
    """It transcribes what is committed and detects no speech: with other models LiveKit gets no transcript from it."""
    check(tmp_path / "a.rtstt.jsonl", aimock, program, STREAMING_MODEL, OTHER_STREAMING_MODEL)
