"""`rtstt-shim inspect`: traces and other files with one event a line, in the page."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from talking import CANARY, COMPLETED, HELLO, get, refused, server, talk

from rtstt_core.cli import main
from rtstt_testkit.inspector import trace_reader
from rtstt_testkit.inspector.report import report_document
from rtstt_testkit.inspector.trace_reader import UnreadableTraceError, read_traces
from rtstt_testkit.inspector.view import observed
from rtstt_testkit.speech import silence

SPOKEN = HELLO + silence(30.0)

# A client on websockets, with the shim and a trace, on the mock whose URL it gets.
PROGRAM = """
import base64, json, sys
import rtstt_shim
from websockets.sync.client import connect
url, audio, key = sys.argv[1], bytes.fromhex(sys.stdin.read()), sys.argv[2]
with connect(url, additional_headers={"Authorization": f"Bearer {key}"}, max_size=None) as socket:
    send = lambda event: socket.send(json.dumps(event))
    transcription = {"model": "gpt-4o-mini-transcribe"}
    session = {"type": "transcription", "audio": {"input": {"transcription": transcription}}}
    send({"type": "session.update", "session": session})
    for start in range(0, len(audio), 4800):
        send({"type": "input_audio_buffer.append", "audio": base64.b64encode(audio[start : start + 4800]).decode()})
    while json.loads(socket.recv())["type"] != "conversation.item.input_audio_transcription.completed":
        pass
"""


def trace(path: Path, *, audio: bool = False, query: str = "?intent=transcription", **options: Any) -> None:
    """Trace a program's session with a mock: a few words, and a silence that is long enough to see it play."""
    with server(transcripts=["Hello."], **options) as mock:
        subprocess.run(
            [sys.executable, "-c", PROGRAM, mock.url + query, CANARY],
            env={
                **os.environ,
                "RTSTT_SHIM_HOSTS": "127.0.0.1",
                "RTSTT_SHIM_TRACE": f"{path},audio" if audio else str(path),
            },
            input=SPOKEN.hex(),
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of one good session, and of one that was refused."""
    path = tmp_path_factory.mktemp("traces") / "trace.jsonl"
    trace(path, query="?intent=transcription&model=whisper-1")
    trace(path, account="no-credit")
    return path


@pytest.fixture(scope="module")
def with_audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "audio.jsonl"
    trace(path, audio=True)
    return path


def inspect(*arguments: object) -> SimpleNamespace:
    """Run the command where it ends by itself, in this process."""
    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        exit_code = main(["inspect", *map(str, arguments)])
    return SimpleNamespace(returncode=exit_code, stdout=output.getvalue(), stderr=error.getvalue())


@contextlib.contextmanager
def serving(*arguments: object) -> Iterator[str]:
    """The address of the page, while the command serves it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rtstt_core", "inspect", *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().removeprefix("inspector at ").strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


# -- what is read


def test_a_trace_has_the_sessions_as_the_mock_saw_them(traced: Path) -> None:
    sessions, notes = read_traces([traced])
    assert notes == []
    good, wrong = sessions
    assert good.handshake.query == {"intent": ["transcription"]}
    assert good.handshake.headers["authorization"].startswith("Bearer sk-proj-***")
    assert good.transcripts == ["Hello."]
    assert good.kind == "transcription"
    assert (good.close.code, good.close.by) == (1000, "client") if good.close else False
    assert good.audio_received == len(SPOKEN)
    assert good.audio == b""
    assert good.opened_wall <= wrong.opened_wall
    assert wrong.refusal is not None
    assert wrong.refusal.code == "credit_balance_exhausted"


def test_a_trace_with_audio_has_its_waveform(with_audio: Path) -> None:
    [session] = read_traces([with_audio]).sessions
    assert session.audio == SPOKEN
    observed(session).update()
    assert max(observed(session).peaks.read_now()) > 0


def test_the_json_lines_of_a_mock_come_back_as_they_were(tmp_path: Path) -> None:
    with server() as mock:
        talk(mock, HELLO)
        refused(mock)
        path = tmp_path / "session.jsonl"
        path.write_bytes(get(mock, "sessions/1/jsonl") + get(mock, "sessions/2/jsonl"))
        before = [observed(record).view() for record in mock.sessions]
    # Downloads of one mock belong to one process.
    sessions = read_traces([path]).sessions
    for session, expected in zip(sessions, before, strict=True):
        view = observed(session).view()
        for name in ("state", "kind", "url", "code", "close", "transcript", "explanation", "headers"):
            assert view[name] == expected[name], name
        assert (view["audio"], view["end"]) == pytest.approx((expected["audio"], expected["end"]))
        assert [entry["type"] for entry in view["list"]] == [entry["type"] for entry in expected["list"]]


def test_the_json_log_of_a_mock_and_a_recording_are_read_without_a_header(tmp_path: Path) -> None:
    log, recording = tmp_path / "log", tmp_path / "recording"
    log.write_text('{"session":3,"at":0.5,"sender":"server","event":{"type":"session.created","session":{}}}\n')
    recording.write_text(
        '{"from": "server", "event": {"type": "session.created", "session": {"type": "realtime"}}}\n'
        '{"from": "client", "event": {"type": "input_audio_buffer.append", "audio": "<base64>"}}\n'
    )
    one, two = read_traces([log, recording]).sessions
    assert one.types == ["session.created"]
    assert two.kind == "realtime"
    assert [event.type for event in two.events] == ["session.created", "input_audio_buffer.append"]


def test_what_went_wrong_is_in_the_words_of_the_shim(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    lines = [
        {"format": "rtstt-trace", "version": 1, "process": "a", "source": "shim"},
        {"process": "a", "session": 1, "at": 0, "time": 1, "handshake": {"path": "/v1/realtime"}},
        {"process": "a", "session": 1, "at": 0.2, "failed": "gaierror: …", "cause": "dns"},
        {"process": "a", "session": 2, "at": 0, "time": 2},
        {"process": "a", "session": 2, "at": 0, "http_status": 401, "message": "no"},
        {"process": "a", "session": 3, "at": 0, "time": 3},
        {"process": "a", "session": 3, "at": 0.1, "http_status": 101},
        {
            "process": "a",
            "session": 3,
            "at": 0.1,
            "sender": "server",
            "event": {"type": "error", "error": {"code": "invalid_api_key", "message": "Incorrect API key"}},
        },
        {"process": "a", "session": 3, "at": 1, "close": {"code": 3000, "reason": "x", "by": "server"}},
        {"process": "a", "session": 4, "at": 0, "time": 4},
        {"process": "a", "session": 4, "at": 1, "close": {"code": 1011, "reason": "overloaded", "by": "server"}},
        {"process": "a", "session": 5, "at": 0, "time": 5, "http_status": 101},
        {"process": "a", "session": 6, "at": 0, "time": 6, "failed": "x", "cause": "cancelled"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sessions = read_traces([path]).sessions
    words = [" ".join(observed(session).view()["explanation"]) for session in sessions]
    assert "host name" in words[0]
    assert "401" not in words[1]
    assert "key" in words[1]
    assert words[2].startswith("The API key was refused.")
    assert "as the script says" not in words[3]
    assert words[4].startswith("The trace ends while the session is open. The client sent no audio.")
    assert words[5] == "The application gave the connection up before the server answered."
    assert [observed(session).view()["state"] for session in sessions] == [
        "refused",
        "refused",
        "refused",
        "closed",
        "open",
        "refused",
    ]


# -- what cannot be read


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no file {}"),
        (b"", "{} is empty"),
        (b"\n\n", "{} has no session: no connection was traced"),
        (b"no trace\n", "{} has no session: no line of it is one of a trace"),
        (b"\x00\xff\xfe\n", "{} has no session: no line of it is one of a trace"),
        (b'{"format":"rtstt-trace","version":1}\n', "{} has no session: no connection was traced"),
        (
            b'{"format":"rtstt-trace","version":2}\n',
            "{} has version 2 of the format, and this rtstt-shim reads version 1; update rtstt-shim",
        ),
        (b'{"format":"other","version":1}\n', "{} is not a trace of rtstt-shim"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(content: bytes | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    if content is not None:
        path.write_bytes(content)
    done = inspect(path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"rtstt-shim: {reason.format(path)}\n"


def test_a_file_of_2_gib_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.touch()
    os.truncate(path, 2 * 1024**3)
    done = inspect(path)
    assert done.returncode == 2
    assert done.stderr == (
        f"rtstt-shim: {path} has 2.0 GiB, and the inspector reads up to 512 MiB; split it into shorter files\n"
    )


def test_a_directory_is_no_file_and_none_is_a_usage_error(tmp_path: Path) -> None:
    done = inspect(tmp_path)
    assert (done.returncode, done.stderr) == (2, f"rtstt-shim: {tmp_path} is not a file\n")
    done = inspect()
    assert done.returncode == 2
    assert "FILE" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--out", "/no/such/folder/x.html"], "cannot write /no/such/folder/x.html"),
        (["--port", "70000"], "--port 70000 is not a port; choose 0 to 65535"),
    ],
)
def test_what_cannot_be_written_or_served_is_one_sentence(arguments: list[str], reason: str, traced: Path) -> None:
    done = inspect(traced, *arguments)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_whole_in_a_damaged_file_is_shown_and_the_rest_is_named(traced: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    lines = traced.read_bytes().splitlines(keepends=True)
    damaged = [lines[0], b"{broken\n", b'{"session":1,"sender":"nobody","event":{}}\n', *lines[1:]]
    path.write_bytes(b"".join(damaged)[:-20])
    sessions, notes = read_traces([path])
    assert sessions[0].transcripts == ["Hello."]
    assert notes == [f"{path}: 2 lines are broken and left out.", f"{path}: the last line is cut off and left out."]
    done = inspect(path, "--out", tmp_path / "x.html")
    assert (done.returncode, done.stderr.splitlines()) == (0, [f"rtstt-shim: {note}" for note in notes])
    assert "2 lines are broken" in (tmp_path / "x.html").read_text("utf-8")


def test_a_trace_that_reached_its_limit_says_so(traced: Path, tmp_path: Path) -> None:
    path = tmp_path / "full.jsonl"
    path.write_bytes(traced.read_bytes() + b'{"process":"a","full":268435456}\n')
    assert read_traces([path]).notes == [f"{path}: the trace reached its size limit, and what followed is not in it."]


def test_a_line_without_an_end_is_read_in_bounded_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_reader, "_MAX_LINE", 1000)
    path = tmp_path / "long.jsonl"
    path.write_bytes(b'{"session":1,"at":0,"http_status":101}\n' + b"x" * 10_000)
    sessions, notes = read_traces([path])
    assert len(sessions) == 1
    assert "broken" in notes[0]


@pytest.mark.parametrize(
    "line",
    [
        '{"session":1,"at":NaN,"sender":"server","event":{"type":"x"}}',
        '{"session":1,"at":1e999,"sender":"server","event":{"type":"x"}}',
        '{"session":1,"at":0,"sender":"server","event":{"type":7}}',
        '{"session":1,"at":0,"sender":"server","event":[]}',
        '{"session":1,"at":0,"sender":"server","event":{"type":"error","error":"x"}}',
        '{"session":1,"at":0,"sender":"server","event":{"type":"session.updated","session":7}}',
        '{"session":1,"at":0,"handshake":{"query":7}}',
        '{"session":1,"at":0,"close":{"code":"x"}}',
        '{"session":[1],"at":"x"}',
        "[" * 10_000,
    ],
)
def test_a_line_that_no_trace_has_is_left_out(line: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text('{"session":1,"at":0,"http_status":101}\n' + line + "\n")
    sessions, notes = read_traces([path])
    assert notes == [f"{path}: 1 line is broken and left out."]
    assert "NaN" not in report_document(sessions, "x")


def test_a_number_is_never_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTraceError):
        read_traces([tmp_path])


# -- the page


@pytest.mark.browser
def test_a_trace_is_shown_in_the_page(page: Page, traced: Path) -> None:
    with serving(traced) as url:
        page.goto(url)
        expect(page.locator("header .state")).to_have_text("trace.jsonl")
        expect(page.locator("button.session")).to_have_count(2)
        page.locator("button.session", has_text="#1").click()
        expect(page.locator("main h2")).to_contain_text("Session 1")
        expect(page.locator(".verdict p")).to_have_text(
            [
                "1 transcript was completed.",
                "The shim corrected the URL: OpenAI refuses model beside intent=transcription.",
            ]
        )
        expect(page.locator(".facts")).to_contain_text("websockets")
        expect(page.get_by_text("The audio is not kept, only when it came and how long it is.")).to_be_visible()
        expect(page.get_by_role("button", name="Play")).to_be_disabled()
        page.locator(".event .type", has_text="completed").first.click()
        expect(page.locator("pre")).to_contain_text('"transcript": "Hello."')


@pytest.mark.browser
def test_a_trace_with_audio_is_played_from_a_file(page: Page, with_audio: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.html"
    done = inspect(with_audio, "--out", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "Canary7Canary7" not in path.read_text("utf-8")
    page.goto(path.as_uri())
    expect(page.locator(".verdict")).to_have_text("1 transcript was completed.")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


@pytest.mark.browser
def test_hostile_strings_of_a_trace_stay_text_and_notes_are_shown(page: Page, tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=\"document.title='taken'\">"
    lines: list[dict[str, Any]] = [
        {"format": "rtstt-trace", "version": 1, "process": hostile, "source": hostile},
        {
            "process": hostile,
            "session": hostile,
            "at": 0,
            "time": 1,
            "handshake": {"path": hostile, "query": {hostile: [hostile]}, "headers": {hostile: hostile}},
        },
        {"process": hostile, "session": hostile, "at": 1, "sender": "server", "event": {"type": hostile}},
        {
            "process": hostile,
            "session": hostile,
            "at": 2,
            "sender": "server",
            "event": {"type": COMPLETED, "item_id": hostile, "transcript": hostile},
        },
    ]
    path = tmp_path / "<img>.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "{cut", encoding="utf-8")
    with serving(path) as url:
        page.goto(url)
        expect(page.locator(".notes")).to_contain_text("the last line is cut off")
        expect(page.locator("button.session .said")).to_have_text(hostile)
        expect(page).to_have_title(re.compile(r"^<img>\.jsonl"))


def test_the_page_is_served_under_its_own_name_alone(traced: Path) -> None:
    with serving(traced) as url:
        with urllib.request.urlopen(url, timeout=60) as response:
            assert response.headers["cache-control"] == "no-store"
            assert b"default-src 'none'" in response.read()
        for path, host, status in (("", "attacker.example", 403), ("x", "127.0.0.1:1", 404)):
            request = urllib.request.Request(url + path, headers={"Host": host})
            with pytest.raises(urllib.error.HTTPError) as answer:
                urllib.request.urlopen(request, timeout=60)
            with answer.value:
                assert answer.value.code == status


def test_a_port_that_is_taken_is_one_sentence(traced: Path) -> None:
    with serving(traced) as url:
        port = re.search(r":(\d+)/", url)
        assert port is not None
        done = inspect(traced, "--port", port[1])
    assert done.returncode == 2
    assert (
        done.stderr == f"rtstt-shim: cannot listen on port {port[1]}: Address already in use; choose another --port\n"
    )
