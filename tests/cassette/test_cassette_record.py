"""``rtstt-shim record`` and `Recorder`: an unmodified program is recorded against an endpoint."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
import pytest
from cassettes import KEY, TIMEOUT, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.server import ServerConnection, serve

from rtstt_core.cli import main
from rtstt_testkit import ThreadedRealtimeServer
from rtstt_testkit.cassette.format import CassetteError
from rtstt_testkit.cassette.lines import SessionLines
from rtstt_testkit.cassette.model import Cassette
from rtstt_testkit.cassette.reader import load_cassette
from rtstt_testkit.recording.peer import Peer
from rtstt_testkit.recording.recorder import IncompleteRecordingError, Recorder

APP = str(Path(__file__).with_name("cassette_app.py"))
HEADERS = {"Authorization": f"Bearer {KEY}"}
UPDATE = {
    "type": "session.update",
    "session": {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}},
}


def record(out: Path, to: str, *command: str, ca: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command; a certificate of the tests is trusted where it is named."""
    environ = {**os.environ, **({} if ca is None else {"SSL_CERT_FILE": str(ca)})}
    words = [sys.executable, "-m", "rtstt_core", "record", "--out", str(out), "--to", to, "--", *command]
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=300)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_a_program_is_recorded_against_another_process_with_a_certificate_of_its_own(
    tmp_path: Path, endpoint: Callable[..., Any]
) -> None:
    there = endpoint(transcripts=["The second process."], seed=7)
    out = tmp_path / "talk.rtstt.jsonl"
    done = record(out, there.url, sys.executable, APP, KEY, ca=there.ca)
    assert (done.returncode, done.stdout, done.stderr) == (0, "The second process.\n", "")
    cassette = load_cassette(out)
    assert cassette.problems == []
    assert (cassette.header["client"], cassette.header["url"]) == (
        f"{Path(sys.executable).name} cassette_app.py",
        there.url,
    )
    (session,) = cassette.sessions
    assert (session.host, session.target) == ("api.openai.com", "/v1/realtime?intent=transcription")
    assert session.seconds == pytest.approx(1.0)
    assert [frame.type for frame in session.frames if frame.sender == "client"] == [
        "session.update",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
    ]
    assert session.frames[-1].event["transcript"] == "The second process."
    assert session.close is not None
    assert (session.close.code, session.close.by) == (1000, "client")
    assert KEY.encode() not in everything_in(tmp_path)


def test_a_certificate_that_is_not_trusted_is_refused_and_named(tmp_path: Path, endpoint: Callable[..., Any]) -> None:
    there = endpoint()
    out = tmp_path / "talk.rtstt.jsonl"
    done = record(out, there.url, sys.executable, APP, KEY)
    assert done.returncode == 1
    assert "server rejected WebSocket connection: HTTP 502" in done.stderr
    assert f"rtstt-shim: cannot connect to {there.url}: its certificate cannot be verified (" in done.stderr
    (session,) = load_cassette(out).sessions
    assert session.failed is not None
    assert "its certificate cannot be verified" in session.failed


def test_the_exit_code_is_that_of_the_program(tmp_path: Path) -> None:
    done = record(tmp_path / "a.rtstt.jsonl", "ws://127.0.0.1:9", sys.executable, "-c", "raise SystemExit(7)")
    assert (done.returncode, done.stderr) == (7, "")
    assert load_cassette(tmp_path / "a.rtstt.jsonl").sessions == []


def test_the_shim_is_not_active_in_the_program(tmp_path: Path) -> None:
    code = "import rtstt_shim; print(rtstt_shim.status().active)"
    done = record(tmp_path / "a.rtstt.jsonl", "ws://127.0.0.1:9", sys.executable, "-c", code)
    assert done.stdout == "False\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_recording_that_is_killed_is_valid_up_to_its_last_whole_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "talk.rtstt.jsonl"
    code = (
        "import os, signal, sys, time, pathlib; exec(open(sys.argv[1]).read().split('if __name__')[0]); main();"
        "f = pathlib.Path(sys.argv[2])\n"
        "while 'close' not in f.read_text(): time.sleep(0.01)\n"
        "os.kill(os.getppid(), signal.SIGKILL)"
    )
    with ThreadedRealtimeServer(strict=False) as mock:
        done = record(out, mock.url, sys.executable, "-c", code, APP, str(out))
    assert done.returncode == -signal.SIGKILL
    assert main(["cassette", "check", str(out)]) == 0
    assert "1.000 s of audio, closed 1000 by the client" in capsys.readouterr().out


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of a file")
def test_a_disk_that_fills_fails_the_recording_and_not_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource

    out = tmp_path / "talk.rtstt.jsonl"
    with ThreadedRealtimeServer(strict=False, transcripts=["Undisturbed."]) as mock:
        words = [sys.executable, "-m", "rtstt_core", "record", "--out", str(out), "--to", mock.url, "--"]
        done = subprocess.run(
            [*words, sys.executable, APP, KEY],
            # coverage, which would measure the children too, has no room for its file either
            env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert done.stdout == "Undisturbed.\n"
    assert done.returncode == 1
    reason = f"{out} cannot be written: File too large"
    assert re.fullmatch(rf"rtstt-shim: the recording is not complete: {reason}; \d+ lines were dropped\n", done.stderr)
    assert main(["cassette", "check", str(out)]) == 1
    assert "lines are missing" in capsys.readouterr().out
    assert main(["mock", "--cassette", str(out)]) == 2
    assert "is not complete" in capsys.readouterr().err


def test_a_folder_without_room_for_certificates_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "removed"
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    words = ["--out", str(tmp_path / "a.rtstt.jsonl"), "--to", "ws://127.0.0.1:9", "--", sys.executable, "-c", ""]
    assert main(["record", *words]) == 2
    assert capsys.readouterr().err == (
        f"rtstt-shim: cannot write the certificate of a host to {folder}: No such file or directory; make room there, "
        "or set TMPDIR to another folder\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "a.rtstt.jsonl"], "there is no COMMAND to run"),
        (
            ["--out", "nowhere/a.rtstt.jsonl", "--to", "ws://127.0.0.1:9", "--", "true"],
            "cannot write nowhere/a.rtstt.jsonl",
        ),
        (["--out", "a.rtstt.jsonl", "--to", "http://a.test", "--", "true"], "http://a.test is not a WebSocket address"),
        (["--out", "a.rtstt.jsonl", "--to", "ws://a:b:c", "--", "true"], "is not a WebSocket address"),
        (["--out", "a.rtstt.jsonl", "--host", "a b", "--", "true"], "'a b' is not a host name"),
        (["--out", "a.rtstt.jsonl", "--", "no-such-program"], "cannot start no-such-program: there is no such program"),
        (["--", "true"], "the following arguments are required: --out"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["record", *words]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# -- in code


def test_a_client_in_this_process_is_recorded_under_the_true_name(tmp_path: Path) -> None:
    out = tmp_path / "a.rtstt.jsonl"
    with (
        ThreadedRealtimeServer(strict=False) as mock,
        Recorder(out, to=mock.url) as recorder,
        recorder.routed(),
        connect("wss://api.openai.com/v1/realtime?intent=transcription", additional_headers=HEADERS) as connection,
    ):
        connection.recv()
    (session,) = load_cassette(out).sessions
    assert session.host == "api.openai.com"
    assert [frame.type for frame in session.frames] == ["session.created"]


def call(url: str, body: dict[str, Any]) -> tuple[int, Any]:
    headers = {**HEADERS, "Content-Type": "application/json", "Accept-Encoding": "gzip"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_requests_for_client_secrets_are_recorded_without_the_secret(tmp_path: Path) -> None:
    out = tmp_path / "a.rtstt.jsonl"
    with ThreadedRealtimeServer(strict=False) as mock, Recorder(out, to=mock.url) as recorder:
        url = f"{recorder.base_url}/realtime/client_secrets"
        status, made = call(url, {"session": {"type": "transcription"}})
        assert status == 200
        assert call(url, {"session": {"type": "nonsense"}})[0] == 400
        with connect(f"{recorder.url}", additional_headers={"Authorization": f"Bearer {made['value']}"}) as connection:
            connection.recv()
        assert call(f"{recorder.base_url}/chat/completions", {})[0] == 404
    cassette = load_cassette(out)
    assert [(exchange.path, exchange.status) for exchange in cassette.exchanges] == [
        ("/v1/realtime/client_secrets", 200),
        ("/v1/realtime/client_secrets", 400),
    ]
    assert cassette.exchanges[0].request == {"session": {"type": "transcription"}}
    assert cassette.exchanges[0].response["session"]["id"] == "sess_1"
    assert made["value"].encode() not in everything_in(tmp_path)
    assert len(cassette.sessions) == 1


def recorded(out: Path, behave: Callable[[str], None], **settings: Any) -> Cassette:
    """Record what a function does with the address of a mock."""
    with ThreadedRealtimeServer(**{"strict": False, **settings}) as mock, Recorder(out, to=mock.url) as recorder:
        behave(recorder.url)
    return load_cassette(out)


def test_a_refused_session_is_recorded_with_its_error_and_its_close(tmp_path: Path) -> None:
    def behave(url: str) -> None:
        with connect(f"{url}?intent=transcription&model=whisper-1", additional_headers=HEADERS) as connection:
            connection.recv()
            with pytest.raises(ConnectionClosed):
                connection.recv()

    (session,) = recorded(tmp_path / "a.rtstt.jsonl", behave).sessions
    assert [frame.event["error"]["code"] for frame in session.frames] == ["invalid_model"]
    assert session.close is not None
    assert (session.close.code, session.close.reason, session.close.by) == (
        4000,
        "invalid_request_error.invalid_model",
        "server",
    )


def test_a_refused_upgrade_is_recorded_with_its_status(tmp_path: Path) -> None:
    def behave(url: str) -> None:
        with pytest.raises(InvalidStatus), connect(url, additional_headers=HEADERS):
            pass

    (session,) = recorded(tmp_path / "a.rtstt.jsonl", behave, profile="azure").sessions
    assert session.http_status == 400
    assert session.http_message["error"]["code"] == "OperationNotSupported"


@pytest.mark.parametrize("compression", ["deflate", None])
def test_compressed_messages_are_recorded_as_they_are_meant(tmp_path: Path, compression: str | None) -> None:
    def behave(url: str) -> None:
        target = f"{url}?intent=transcription"
        with connect(target, additional_headers=HEADERS, compression=compression) as connection:
            connection.recv()
            for _ in range(3):
                connection.send(json.dumps(UPDATE))
                connection.recv()

    (session,) = recorded(tmp_path / "a.rtstt.jsonl", behave, compression=True).sessions
    assert ("permessage-deflate" in session.headers.get("sec-websocket-extensions", "")) is (compression is not None)
    assert [frame.type for frame in session.frames] == ["session.created", *["session.update", "session.updated"] * 3]
    assert session.frames[1].event == UPDATE


def test_a_connection_that_is_lost_is_recorded_as_lost(tmp_path: Path) -> None:
    def behave(url: str) -> None:
        with connect(f"{url}?intent=transcription", additional_headers=HEADERS) as connection:
            connection.recv()
            connection.socket.shutdown(2)

    (session,) = recorded(tmp_path / "a.rtstt.jsonl", behave).sessions
    assert session.close is not None
    assert session.close.code == 1006


def test_fragments_binary_messages_and_what_is_no_event_are_recorded(tmp_path: Path) -> None:
    def converse(connection: ServerConnection) -> None:
        connection.send("hello, no event")
        for message in connection:
            connection.send(["{", '"type":"echo"', "}"] if isinstance(message, str) else b"\0\1\2")

    out = tmp_path / "a.rtstt.jsonl"
    with serve(converse, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        with (
            Recorder(out, to=f"ws://127.0.0.1:{port}/gateway/v1/realtime") as recorder,
            connect(f"{recorder.url}?model=x") as connection,
        ):
            connection.recv()
            connection.send(['{"type":', '"first"}'])
            connection.recv()
            connection.send(b"\0")
            connection.recv()
        server.shutdown()
        thread.join()
    (session,) = load_cassette(out).sessions
    assert [frame.event for frame in session.frames] == [
        {"type": "(no event)", "text": "hello, no event"},
        {"type": "first"},
        {"type": "echo"},
        {"type": "(binary)", "bytes": 1},
        {"type": "(binary)", "bytes": 3},
    ]


class Transport(asyncio.Transport):
    """A connection with nobody behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.reading = False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def test_an_endpoint_waits_for_a_client_that_reads_slowly() -> None:
    """The recorder does not collect in memory what the client has no room for; the kernel's buffers are large."""

    async def main() -> None:
        buffer = bytearray(16)
        client, endpoint = Peer(h11.SERVER, buffer), Peer(h11.CLIENT, buffer)
        near, far = Transport(), Transport()
        client.connection_made(near)
        endpoint.connection_made(far)
        client.link(endpoint, None, "client")
        endpoint.link(client, None, "server")
        passing = asyncio.gather(client.pass_on(), endpoint.pass_on())
        await asyncio.sleep(0)  # until they have begun
        buffer[:5] = b"bytes"
        endpoint.buffer_updated(5)
        assert near.written == b"bytes"
        client.pause_writing()
        assert (near.reading, far.reading) == (True, False)
        client.resume_writing()
        assert far.reading
        client.connection_lost(None)
        await passing
        assert not far.reading

    asyncio.run(main())


def test_a_recording_that_fails_does_not_disturb_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "a.rtstt.jsonl"
    monkeypatch.setattr(SessionLines, "text", lambda *args: 1 / 0)

    def converse(url: str) -> None:
        with connect(f"{url}?intent=transcription", additional_headers=HEADERS) as connection:
            assert json.loads(connection.recv())["type"] == "session.created"
            connection.send(json.dumps(UPDATE))
            assert json.loads(connection.recv())["type"] == "session.updated"

    with (
        ThreadedRealtimeServer(strict=False) as mock,
        pytest.raises(IncompleteRecordingError, match="could not be read: ZeroDivisionError"),
        Recorder(out, to=mock.url) as recorder,
    ):
        converse(recorder.url)
    (problem,) = load_cassette(out).problems
    assert "lines are missing" in problem


def test_an_endpoint_that_is_not_there_is_named(tmp_path: Path, refusing_port: int) -> None:
    out = tmp_path / "a.rtstt.jsonl"
    with Recorder(out, to=f"ws://127.0.0.1:{refusing_port}") as recorder:
        with pytest.raises(InvalidStatus), connect(recorder.url):
            pass
        assert recorder.problems == [
            f"cannot connect to ws://127.0.0.1:{refusing_port}/v1/realtime: Connection refused"
        ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the endpoint ended the connection without a response"),
        (b"HTTP/1.1 101 Swit", "the endpoint ended the connection without a response"),
        (b"220 mail.test ESMTP\r\n\r\n", "the endpoint's response is not HTTP: illegal status line: "),
    ],
)
def test_an_endpoint_that_does_not_answer_is_recorded(tmp_path: Path, answer: bytes, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def leave() -> None:
            with server.accept()[0] as raw:
                raw.recv(65536)
                raw.sendall(answer)

        thread = threading.Thread(target=leave)
        thread.start()
        to = f"ws://127.0.0.1:{server.getsockname()[1]}/v1/realtime"
        with Recorder(tmp_path / "a.rtstt.jsonl", to=to) as recorder:
            with pytest.raises(InvalidMessage), connect(recorder.url):
                pass
            thread.join()
    (session,) = load_cassette(tmp_path / "a.rtstt.jsonl").sessions
    assert session.failed is not None
    assert session.failed.startswith(reason)
    assert recorder.problems == [session.failed]


def test_what_is_no_http_ends_its_own_connection_alone(tmp_path: Path) -> None:
    with ThreadedRealtimeServer(strict=False) as mock, Recorder(tmp_path / "a.rtstt.jsonl", to=mock.url) as recorder:
        with socket.create_connection(recorder.address, TIMEOUT) as raw:
            raw.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
            assert raw.recv(1) == b""
        with connect(f"{recorder.url}?intent=transcription", additional_headers=HEADERS) as connection:
            assert json.loads(connection.recv(TIMEOUT))["type"] == "session.created"


def test_a_file_that_exists_is_refused_before_anything_listens(talk: Path) -> None:
    with pytest.raises(CassetteError, match="exists; choose another file"), Recorder(talk, to="ws://127.0.0.1:9"):
        pass
