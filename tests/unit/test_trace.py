"""`RTSTT_SHIM_TRACE`: what a published client and the server send each other, without audio and secrets."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from endpoint import converse, drop, serving
from websockets.sync.server import ServerConnection

import rtstt_shim
from rtstt_core.trace import file as trace_file
from rtstt_core.trace import session as trace_session
from rtstt_testkit import ThreadedRealtimeServer

KEY = "sk-proj-" + "Canary7" * 6
PLAIN = "Canary7hunter2hunter2"
COMPLETED = "conversation.item.input_audio_transcription.completed"
QUERY = f"?intent=transcription&model=gpt-4o-mini-transcribe&api_key={PLAIN}"
AUDIO = base64.b64encode(bytes(range(256)) * 18 + bytes(192)).decode()  # 100 ms
UPDATE = {
    "type": "session.update",
    "session": {
        "type": "transcription",
        "audio": {"input": {"transcription": {"model": "whisper-1", "prompt": KEY}, "turn_detection": None}},
    },
}
MESSAGES = [
    json.dumps(event)
    for event in (
        UPDATE,
        {"type": "input_audio_buffer.append", "audio": AUDIO},
        {"type": "input_audio_buffer.append", "audio": AUDIO},
        {"type": "input_audio_buffer.commit"},
    )
]
HEADERS = {"Authorization": f"Bearer {KEY}", "X-Of-Some-Gateway": PLAIN}

pytestmark = pytest.mark.usefixtures("shim")


@pytest.fixture(autouse=True)
def native_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback address counts as OpenAI's own host."""
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "trace.jsonl"
    monkeypatch.setenv("RTSTT_SHIM_TRACE", str(found))
    return found


@pytest.fixture(autouse=True)
def forget_files() -> Iterator[None]:
    """Each test opens its file anew."""
    yield
    trace_file._after_fork()


def is_last(text: Any) -> bool:
    return bool(json.loads(text)["type"] == COMPLETED)


def websockets_asyncio(url: str, messages: list[Any]) -> None:
    from websockets.asyncio.client import connect

    async def talk() -> None:
        async with connect(url, additional_headers=HEADERS) as connection:
            for message in messages:
                await connection.send(message)
            while not is_last(await connection.recv()):
                pass

    asyncio.run(talk())


def websockets_sync(url: str, messages: list[Any]) -> None:
    from websockets.sync.client import connect

    with connect(url, additional_headers=HEADERS) as connection:
        for message in messages:
            connection.send(message)
        while not is_last(connection.recv()):
            pass


HAS_TRIO = pytest.mark.skipif(
    importlib.util.find_spec("websockets.trio") is None, reason="websockets has it from 17 on"
)


def websockets_trio(url: str, messages: list[Any]) -> None:
    import trio
    from websockets.trio.client import connect

    async def talk() -> None:
        async with connect(url, additional_headers=HEADERS) as connection:
            for message in messages:
                await connection.send(message)
            while not is_last(await connection.recv()):
                pass

    trio.run(talk)


def websockets_legacy(url: str, messages: list[Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from websockets.legacy.client import connect

    async def talk() -> None:
        async with connect(url, extra_headers=HEADERS) as connection:
            for message in messages:
                await connection.send(message)
            while not is_last(await connection.recv()):
                pass

    asyncio.run(talk())


def aiohttp_session(url: str, messages: list[Any]) -> None:
    import aiohttp

    async def talk() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=HEADERS) as connection:
            for message in messages:
                await (connection.send_str if isinstance(message, str) else connection.send_bytes)(message)
            while not is_last(await connection.receive_str()):
                pass

    asyncio.run(talk())


def websocket_client(url: str, messages: list[Any]) -> None:
    import websocket

    connection = websocket.create_connection(url, header=[f"{name}: {value}" for name, value in HEADERS.items()])
    for message in messages:
        (connection.send if isinstance(message, str) else connection.send_binary)(message)
    while not is_last(connection.recv()):
        pass
    connection.close()


CLIENTS: list[Any] = [
    websockets_asyncio,
    websockets_sync,
    pytest.param(websockets_trio, marks=HAS_TRIO),
    websockets_legacy,
    aiohttp_session,
    websocket_client,
]
every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
Client = Callable[[str, list[Any]], None]


def talk(client: Client, messages: list[Any] = MESSAGES, **options: Any) -> None:
    with ThreadedRealtimeServer(strict=False, transcripts=["Hello."], **options) as mock:
        client(mock.url + QUERY, messages)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def events(lines: list[dict[str, Any]], sender: str) -> list[dict[str, Any]]:
    return [line["event"] for line in lines if line.get("sender") == sender and "event" in line]


@every_client
def test_a_session_is_traced_from_its_handshake_to_its_end(client: Client, path: Path) -> None:
    talk(client)
    header, handshake, *rest = read(path)
    assert (header["format"], header["version"], header["source"]) == ("rtstt-trace", 1, "shim")
    assert handshake["handshake"]["path"] == "/v1/realtime"
    assert handshake["handshake"]["query"]["intent"] == ["transcription"]
    assert "model" not in handshake["handshake"]["query"]
    assert handshake["corrected"] == "OpenAI refuses `model` beside intent=transcription"
    assert handshake["kind"] == "transcription"
    assert handshake["library"].split()[0] in ("websockets", "aiohttp", "websocket-client")
    [headers] = [line["handshake"]["headers"] for line in rest if "handshake" in line]
    assert headers["authorization"] == "Bearer sk-proj-" + "*" * 38 + "ary7"
    assert [line["http_status"] for line in rest if "http_status" in line] == [101]
    sent = events(rest, "client")
    assert [event["type"].rpartition(".")[2] for event in sent] == ["update", "append", "append", "commit"]
    assert sent[1] == {"type": "input_audio_buffer.append", "audio_bytes": 4800, "audio_ms": 100.0}
    received = events(rest, "server")
    assert received[0]["type"] == "session.created"
    assert received[-1]["transcript"] == "Hello."
    assert rest[-1]["close"]["by"] == "client"
    assert [line["at"] for line in rest] == sorted(line["at"] for line in rest)
    assert {line["process"] for line in rest} == {header["process"]}


@every_client
def test_no_secret_and_no_audio_is_in_a_trace(client: Client, path: Path) -> None:
    talk(client)
    text = path.read_text("utf-8")
    assert "Canary7Canary7" not in text
    assert PLAIN not in text
    assert AUDIO[:40] not in text


@every_client
def test_audio_is_kept_where_it_is_asked_for(client: Client, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSTT_SHIM_TRACE", f"{path},audio")
    talk(client)
    appends = [event for event in events(read(path), "client") if event["type"] == "input_audio_buffer.append"]
    assert (
        appends == [{"type": "input_audio_buffer.append", "audio": AUDIO, "audio_bytes": 4800, "audio_ms": 100.0}] * 2
    )


@every_client
def test_binary_messages_and_texts_that_are_no_events_are_traced(client: Client, path: Path) -> None:
    talk(client, [b"\0" * 960, f"no event {KEY}", *MESSAGES])
    binary, other, *_ = events(read(path), "client")
    assert binary == {"type": "(binary)", "bytes": 960}
    assert other["type"] == "(no event)"
    assert other["text"].startswith("no event sk-proj-***")


@every_client
def test_a_refused_handshake_is_traced_with_its_status(client: Client, path: Path) -> None:
    with serving(converse, status=401) as endpoint, pytest.raises(Exception, match="401"):
        client(endpoint.url("intent=transcription"), [])
    assert [line["http_status"] for line in read(path) if "http_status" in line] == [401]


@every_client
def test_a_connection_that_cannot_be_opened_is_traced_with_the_reason(
    client: Client, path: Path, refusing_port: int
) -> None:
    with pytest.raises(BaseException):  # noqa: B017 - of any library, and trio's groups
        client(f"ws://127.0.0.1:{refusing_port}/v1/realtime?intent=transcription", [])
    lines = read(path)
    assert [line["cause"] for line in lines if "failed" in line] == ["refused"]
    assert "close" not in lines[-1]


@every_client
def test_a_lost_connection_is_traced_as_1006(client: Client, path: Path) -> None:
    with serving(drop) as endpoint, pytest.raises(BaseException):  # noqa: B017 - of any library
        client(endpoint.url("intent=transcription"), [])
    assert [line["close"]["code"] for line in read(path) if "close" in line] == [1006]


@every_client
def test_an_internal_error_while_tracing_ends_the_trace_and_not_the_session(
    client: Client, path: Path, warnings_logged: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(trace_session, "traced_text", broken)
    talk(client)
    [record] = warnings_logged
    assert record.getMessage().endswith("ends here; the application is unaffected: ZeroDivisionError: ours")
    assert all(target.state != "failed" for target in rtstt_shim.status().targets)


@every_client
def test_without_the_variable_no_module_of_the_trace_is_imported(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RTSTT_SHIM_TRACE", raising=False)
    for name in [name for name in sys.modules if name.startswith("rtstt_core.trace")]:
        monkeypatch.delitem(sys.modules, name)
    talk(client)
    assert [name for name in sys.modules if name.startswith("rtstt_core.trace")] == []


def test_after_uninstalling_an_open_session_is_no_longer_traced(path: Path) -> None:
    from websockets.sync.client import connect

    with ThreadedRealtimeServer(strict=False) as mock:
        with connect(mock.url + QUERY, additional_headers=HEADERS) as connection:
            connection.recv()
            rtstt_shim.uninstall()
            before = path.read_bytes()
            connection.send(MESSAGES[0])
            connection.recv()
        assert path.read_bytes() == before


def test_a_ping_of_the_server_is_traced_with_its_answer(path: Path) -> None:
    from websockets.sync.client import connect

    with (
        ThreadedRealtimeServer(strict=False, ping_interval=0.02) as mock,
        connect(mock.url + QUERY, additional_headers=HEADERS) as connection,
    ):
        connection.recv()
        # The client's own ping is a round trip; it is traced too.
        while ("server", "ping") not in [(line.get("sender"), line.get("frame")) for line in read(path)][:-1]:
            assert connection.ping().wait(60)
    frames = [(line["sender"], line["frame"]) for line in read(path) if "frame" in line]
    # The client's own PINGs, which it sends in another thread, may come between.
    assert ("client", "pong") in frames[frames.index(("server", "ping")) :]


def test_a_message_in_fragments_is_one_event(path: Path) -> None:
    from websockets.sync.client import connect

    with (
        ThreadedRealtimeServer(strict=False) as mock,
        connect(mock.url + QUERY, additional_headers=HEADERS) as connection,
    ):
        connection.send([MESSAGES[0][:9], MESSAGES[0][9:30], MESSAGES[0][30:]])
        while json.loads(connection.recv())["type"] != "session.updated":
            pass
    assert [event["type"] for event in events(read(path), "client")] == ["session.update"]


def test_the_audio_of_a_conversation_is_left_out_both_ways(path: Path) -> None:
    from websockets.sync.client import connect

    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": AUDIO}]}

    def answer(connection: ServerConnection) -> None:
        connection.recv()
        converse(connection)

    with serving(answer) as endpoint, connect(endpoint.url("model=gpt-realtime")) as connection:
        connection.send(json.dumps({"type": "conversation.item.create", "item": item}))
        for _ in range(3):
            connection.recv()
    lines = read(path)
    assert lines[1]["kind"] == "conversation"
    [sent] = events(lines, "client")
    assert sent["item"]["content"] == [{"type": "input_audio", "audio_bytes": 4800, "audio_ms": 100.0}]
    assert events(lines, "server")[-1] == {
        "type": "response.output_audio.delta",
        "audio_bytes": 30_000,
        "audio_ms": 625.0,
    }


def test_the_length_of_telephone_audio_is_that_of_its_format() -> None:
    from rtstt_core.trace.event import AudioRates, traced_text

    rates = AudioRates()
    session = {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}
    traced_text(json.dumps({"type": "session.updated", "session": session}), rates, keep_audio=False)
    append = json.dumps({"type": "input_audio_buffer.append", "audio": AUDIO})
    assert traced_text(append, rates, keep_audio=False)["audio_ms"] == 600.0


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "x", "a": 1',
        '["type"]',
        '{"type": 7}',
        "[" * 100_000,
        '{"type": "session.updated", "session": {"audio": 3, "input_audio_format": null}}',
        '{"type": "response.audio.delta", "delta": 5}',
    ],
)
def test_every_message_is_traced(text: str) -> None:
    from rtstt_core.trace.event import AudioRates, traced_text

    assert isinstance(traced_text(text, AudioRates(), keep_audio=False)["type"], str)


def test_a_long_text_is_cut_and_the_key_before_the_cut_is_masked() -> None:
    from rtstt_core.trace.event import AudioRates, traced_text

    text = "x" * 19_985 + f" {KEY} " + "y" * 50_000
    event = traced_text(json.dumps({"type": "session.update", "t": text}), AudioRates(), keep_audio=False)
    assert event["t"].endswith(f"… [{len(text)} characters]")
    assert len(event["t"]) < 21_000
    assert "Canary7" not in event["t"]


# -- the file


def names_what_it_cannot_write(
    setting: str, reason: str, warnings_logged: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTSTT_SHIM_TRACE", setting)
    for _ in range(2):
        talk(websockets_sync)
    [record] = warnings_logged
    path = setting.removesuffix(",audio")
    assert record.getMessage() == f"rtstt_shim: RTSTT_SHIM_TRACE names {path!r}, which cannot be written: {reason}"


def test_a_file_that_cannot_be_opened_is_one_warning(
    tmp_path: Path, warnings_logged: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    names_what_it_cannot_write(f"{tmp_path}/no/x,audio", "No such file or directory", warnings_logged, monkeypatch)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no pipes with a name")
def test_a_pipe_that_nobody_reads_is_one_warning_and_no_wait(
    tmp_path: Path, warnings_logged: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    names_what_it_cannot_write(str(tmp_path / "pipe"), "No such device or address", warnings_logged, monkeypatch)


def test_a_device_is_no_file_for_a_trace(
    warnings_logged: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    names_what_it_cannot_write(os.devnull, "it is not a regular file", warnings_logged, monkeypatch)


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    talk(websockets_sync)
    assert path.stat().st_mode & 0o777 == 0o600


def test_at_its_limit_a_trace_ends_with_one_line_and_one_warning(
    path: Path, warnings_logged: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_file, "MAX_FILE", 1500)
    for _ in range(3):
        talk(websockets_sync)
    lines = read(path)
    assert lines[-1]["full"] == 1500
    assert path.stat().st_size < 1600
    [record] = warnings_logged
    assert "has reached" in record.getMessage()


def test_a_cut_line_of_a_killed_process_does_not_swallow_the_next_header(path: Path) -> None:
    path.write_text('{"process":"1-a","session":1,"at":0', encoding="utf-8")
    talk(websockets_sync)
    assert json.loads(path.read_text("utf-8").splitlines()[1])["format"] == "rtstt-trace"


PROGRAM = """
import os, sys
import rtstt_shim
from rtstt_core.trace.session import SessionTrace
from rtstt_core.trace.file import trace_file

def trace():
    file = trace_file(os.environ["RTSTT_SHIM_TRACE"])
    session = SessionTrace(file, "wss://api.openai.com/v1/realtime", {})
    for number in range(300):
        session.frame("client", 1, True, '{"type": "x", "number": %d, "text": "%s"}' % (number, "y" * 500))

children = []
trace()
for _ in range(int(sys.argv[1])):
    if not (pid := os.fork()):
        trace()
        os._exit(0)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * len(children)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no os.fork")
def test_several_processes_write_whole_lines_into_one_file(path: Path) -> None:
    environ = {**os.environ, "RTSTT_SHIM_TRACE": str(path)}
    programs = [subprocess.Popen([sys.executable, "-c", PROGRAM, "3"], env=environ) for _ in range(2)]
    assert [program.wait(60) for program in programs] == [0, 0]
    lines = read(path)
    headers = [line["process"] for line in lines if "format" in line]
    assert len(set(headers)) == 8  # two programs and three forked children of each
    for process in headers:
        found = [line["event"]["number"] for line in lines if line["process"] == process and "event" in line]
        assert found == list(range(300))
