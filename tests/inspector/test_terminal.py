"""The lines of the mock's command."""

import io
import json
import os
import threading
from typing import get_args

import pytest
from talking import CANARY, HELLO, client, refused, server, talk, update

from rtstt_testkit import Failure, Fault, ThreadedRealtimeServer
from rtstt_testkit.inspector import line_writer as line_writer_module
from rtstt_testkit.inspector.line_writer import line_writer
from rtstt_testkit.inspector.terminal import Line, LogFormat, SessionLog, line_format


def lines(mock: ThreadedRealtimeServer) -> list[tuple[int, str, str]]:
    return [(line.session, line.kind, line.text) for line in SessionLog().lines(mock.sessions)]


def test_a_session_is_a_few_lines() -> None:
    with server() as mock:
        talk(mock, HELLO)
    kinds = [kind for _, kind, _ in lines(mock)]
    assert kinds == ["connected", "item", "transcript", "closed"]
    texts = [text for _, _, text in lines(mock)]
    assert texts[0] == "/v1/realtime?intent=transcription"
    assert texts[2].startswith("“Hello from the gateway probe.” 0.")
    assert texts[3] == "1000 by the client: 1 transcript was completed."


def test_a_refusal_is_printed_with_its_fix() -> None:
    with server() as mock:
        refused(mock)
    (_, _, target), (_, kind, said) = lines(mock)
    assert target == "/v1/realtime?intent=transcription&model=gpt-4o-mini-transcribe"
    assert kind == "refused"
    assert "Remove `model` from the URL" in said


def test_errors_and_failed_transcripts_are_lines() -> None:
    with server(transcripts=[Failure("Slow down.", "rate_limit_exceeded")]) as mock, client(mock) as one:
        one.send(update())
        one.send({"type": "no.such.event"})
        one.audio(HELLO)
        one.wait("conversation.item.input_audio_transcription.failed")
    found = {kind: text for _, kind, text in lines(mock)}
    assert found["error"].startswith("invalid_value: ")
    assert found["failed"] == "rate_limit_exceeded: Slow down."


def test_a_fault_is_a_line_wherever_it_was_triggered() -> None:
    faults = [
        Fault("delay", on="connect", seconds=0.01),
        Fault("drop", on="session.updated"),
        Fault("delay", before="input_audio_buffer.commit", seconds=0.01),
    ]
    with server(faults=faults) as mock, client(mock) as one:
        one.send(update())
        one.audio(HELLO)
        one.wait("conversation.item.input_audio_transcription.completed")
        one.send({"type": "input_audio_buffer.commit"})
        one.wait("error")
    assert [text for _, kind, text in lines(mock) if kind == "fault"] == [
        "delay at connect",
        "drop at session.updated",
        "delay at input_audio_buffer.commit",
    ]


def test_each_line_is_printed_once_while_sessions_continue() -> None:
    with server() as mock:
        seen = SessionLog()
        with client(mock) as one:
            one.wait("session.created")
            assert [line.kind for line in seen.lines(mock.sessions)] == ["connected"]
            assert seen.lines(mock.sessions) == []
            one.send(update())
            one.audio(HELLO)
            one.wait("conversation.item.input_audio_transcription.completed")
            assert [line.kind for line in seen.lines(mock.sessions)] == ["item", "transcript"]
        mock.stop()
        assert [line.kind for line in seen.lines(mock.sessions)] == ["closed"]


def test_what_a_client_sends_cannot_steer_the_terminal() -> None:
    line = Line(0.0, 1, "transcript", "\x1b[2J\r\nnext\u202e“é”").as_text(colour=False)
    assert line.isprintable()
    assert "“é”" in line


def test_no_key_is_printed() -> None:
    with server(transcripts=[CANARY]) as mock:
        talk(mock, HELLO)
    assert "Canary7Canary7" not in str(lines(mock))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


LINE = Line(0.5, 12, "closed", "1000 by the client")


def test_a_terminal_gets_colours_and_a_pipe_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    form = line_format(Terminal(), None, quiet=False)
    assert form is not None
    assert "\x1b[2mclosed" in form(LINE)
    assert line_format(io.StringIO(), None, quiet=False) is None
    assert line_format(Terminal(), None, quiet=True) is None


def test_a_pipe_gets_what_is_asked_for() -> None:
    text, data = (line_format(io.StringIO(), log, quiet=False) for log in get_args(LogFormat))
    assert text is not None
    assert text(LINE).endswith("    #12  closed      1000 by the client")
    assert "\x1b" not in text(LINE)
    assert data is not None
    assert json.loads(data(LINE)) == {"time": 0.5, "session": 12, "kind": "closed", "text": "1000 by the client"}


def test_a_reader_that_went_away_does_not_end_the_mock() -> None:
    stream = io.StringIO()
    stream.close()
    with line_writer(stream, str) as write:
        write("a line")


def test_a_reader_that_waits_delays_nobody_and_misses_the_newest_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_writer_module, "_SECONDS", 60.0)
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading, "rb") as reader:
        with line_writer(stream, lambda count: f"{count} dropped") as write:
            for _ in range(20_000):
                write("x" * 100)
            found: list[bytes] = []
            thread = threading.Thread(target=lambda: found.extend(iter(reader.readline, b"")))
            thread.start()
        stream.close()
        thread.join()
    *lines, last = found
    assert set(lines) == {b"x" * 100 + b"\n"}
    assert last == b"%d dropped\n" % (20_000 - len(lines))
