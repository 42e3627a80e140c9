"""The documents' examples for the mock, run as they are printed, whatever document they are in."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from talk import COMPLETED, KEY, append, update
from test_server import SPEECH
from websockets.sync.client import connect

from rtstt_testkit import ThreadedRealtimeServer
from rtstt_testkit.mock.script.file import parse_script

pytest_plugins = ["pytester"]

documents = pytest.importorskip("_documents", reason="needs the project's scripts")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(tmp_path) -> None:
    before, divider, after = documents.example("curl").partition("# … run the client …\n")
    assert divider

    with ThreadedRealtimeServer(control=True, strict=False) as server:

        def run(commands: str) -> str:
            commands = commands.replace("40123", str(server.port)).replace("curl ", "curl -sS ")
            done = subprocess.run(
                ["sh", "-e", "-c", commands], cwd=tmp_path, capture_output=True, text=True, timeout=60
            )
            assert (done.returncode, done.stderr) == (0, "")
            return done.stdout

        assert json.loads(run(before)) == {"transcripts": 1, "faults": 1}
        with connect(
            server.url + "?intent=transcription", additional_headers={"Authorization": f"Bearer {KEY}"}
        ) as client:
            client.send(json.dumps(update()))
            client.send(json.dumps(append(SPEECH)))
            events = []
            while not events or events[-1]["type"] != COMPLETED:
                events.append(json.loads(client.recv()))
        assert events[-1]["transcript"] == "Hello."
        server.wait_for("session.created", timeout=60)
        printed = run(after)
        assert "Session 1: 1 transcript was completed." in printed
        assert '"followed": true' in printed
        assert (tmp_path / "received.wav").read_bytes().startswith(b"RIFF")
        assert server.cursor.items == 0  # begun again


def test_the_script_says_what_the_text_says() -> None:
    script = parse_script(documents.example("script"), "the example", "yaml")
    first, second = script.transcripts
    assert (first.text, first.pace) == ("Hello there.", 0.2)
    assert (second.recording, second.failure.code) == ("coffee", "rate_limit_exceeded")
    assert [str(fault) for fault in script.faults] == ["http on connect", "pause before delta (number 2)", "drop on *"]


def test_the_fixtures(pytester, monkeypatch) -> None:
    (block,) = {code for code in documents.fenced_blocks("python") if code.startswith("@pytest.mark.realtime_server")}
    pytester.makepyfile(
        test_it=f"""
import json
import pytest
from talk import KEY, append, update
from test_server import SPEECH
from websockets.asyncio.client import connect
from rtstt_testkit import Fault

async def my_client(url):
    headers = {{"Authorization": "Bearer " + KEY}}
    async for client in connect(url + "?intent=transcription", additional_headers=headers):  # which tries 503 again
        await client.send(json.dumps(update()))
        await client.send(json.dumps(append(SPEECH)))
        async for message in client:
            if json.loads(message)["type"].endswith(".completed"):
                return json.loads(message)["transcript"]

{block}"""
    )
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("WEBSOCKETS_BACKOFF_INITIAL_DELAY", "0")  # up to 5 s otherwise
    result = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-W", "ignore::pytest.PytestDeprecationWarning"
    )
    result.assert_outcomes(passed=1)
