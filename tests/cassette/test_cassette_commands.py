"""``rtstt-shim cassette``: what a person sees of a recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cassettes import KEY, TRANSCRIPTION, events, frame, record

from rtstt_core.cli import main
from rtstt_testkit.cassette.reader import load_cassette
from rtstt_testkit.inspector.trace_reader import read_traces


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """Run a command; return its exit code and everything that it printed."""
    code = main(["cassette", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


# -- check and show


def test_check_says_what_is_in_a_recording(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check", talk) == (
        0,
        f"{talk}: 1 session, python app.py, wss://api.openai.com/v1/realtime\n"
        "  session 1: /v1/realtime?intent=transcription, 17 events, 1.000 s of audio, closed 1000 by the client\n",
    )


def test_check_finds_a_file_that_was_cut(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk.write_bytes(talk.read_bytes()[:-30])
    code, printed = run(capsys, "check", talk)
    assert code == 1
    assert f"problem: line 21 is cut, so the recording was interrupted; `rtstt-shim cassette trim {talk}`" in printed


def test_a_file_that_is_no_recording_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("hello\n", "utf-8")
    for action in ("check", "trim", "redact"):
        code, printed = run(capsys, action, path)
        assert code == 2
        assert printed == (
            f"rtstt-shim: {path} is not a recording; a recording begins with a line that `rtstt-shim record` writes\n"
        )
    missing = tmp_path / "b.rtstt.jsonl"
    assert run(capsys, "check", missing) == (2, f"rtstt-shim: cannot read {missing}: No such file or directory\n")


def test_an_action_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = run(capsys)
    assert code == 2
    assert printed.startswith("rtstt-shim: name an action: check, show, diff, trim, redact, import")


def test_show_prints_a_line_an_event(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = run(capsys, "show", talk)
    assert code == 0
    assert "→ input_audio_buffer.append × 10  1.000 s of audio" in printed
    assert "← conversation.item.input_audio_transcription.completed  'Hello'" in printed
    assert "closed 1000 by the client" in printed


def test_a_recording_opens_in_the_inspector_with_its_audio(talk: Path, tmp_path: Path) -> None:
    (session,) = read_traces([talk]).sessions
    assert session.transcripts == ["Hello"]
    assert len(session.audio) == 48_000
    page = tmp_path / "page.html"
    assert main(["inspect", str(talk), "--out", str(page)]) == 0
    assert "Hello" in page.read_text("utf-8")


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = run(capsys, "--schema")
    assert code == 0
    assert json.loads(printed)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


# -- trim and redact


def test_trim_removes_what_was_cut(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = talk.read_bytes()
    talk.write_bytes(whole[:-30])
    assert run(capsys, "trim", talk)[0] == 0
    assert talk.read_bytes() == whole[: whole[:-1].rindex(b"\n") + 1]


def test_trim_keeps_the_given_sessions_and_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path / "talk.rtstt.jsonl", sessions=3)
    out = tmp_path / "second.rtstt.jsonl"
    assert run(capsys, "trim", path, "--session", "2", "--until", "0.95", "--out", out)[0] == 0
    cassette = load_cassette(out)
    (session,) = cassette.sessions
    assert [frame.count for frame in session.frames if frame.is_audio] == [6]
    assert b"".join(cassette.audio(session.frames[-1])) == (tmp_path / "talk.2.client.wav").read_bytes()[44:][:28_800]
    assert len(load_cassette(path).sessions) == 3


def test_trim_names_a_session_that_is_not_there(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "trim", talk, "--session", "7") == (2, f"rtstt-shim: {talk} has no session 7; it has 1\n")


def test_a_copy_never_overwrites_a_file(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = talk.with_name("other.rtstt.jsonl")
    other.write_text("mine", "utf-8")
    assert run(capsys, "trim", talk, "--out", other) == (2, f"rtstt-shim: {other} exists; choose another file\n")
    assert other.read_text("utf-8") == "mine"


def test_redact_masks_secrets_that_were_written_by_hand_words_and_the_audio(
    talk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk.write_text(talk.read_text("utf-8").replace('"transcript":"Hello"', f'"transcript":"Hello {KEY}"'), "utf-8")
    assert run(capsys, "redact", talk, "--word", "Hello", "--silence")[0] == 0
    text = talk.read_text("utf-8")
    assert KEY not in text
    assert "Hello" not in text
    assert set(talk.with_name("talk.1.client.wav").read_bytes()[44:]) == {0}
    assert load_cassette(talk).sessions[0].seconds == pytest.approx(1.0)


def test_an_empty_word_is_refused(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "redact", talk, "--word", "")[0] == 2


# -- diff


def changed(**changes: Any) -> list[tuple[float, str, bytes]]:
    """The session with another completed event."""
    found = []
    for at, sender, payload in events():
        event = json.loads(payload)
        if event["type"] == f"{TRANSCRIPTION}.completed":
            event = {name: value for name, value in {**event, **changes}.items() if value is not ...}
        found.append((at * 2, sender, frame(**event)))
    return found


def diff(capsys: pytest.CaptureFixture[str], old: Path, new: Path, *words: str) -> tuple[int, list[str]]:
    code, printed = run(capsys, "diff", old, new, *words)
    return code, printed.splitlines()[:-1]


def test_other_times_texts_and_identifiers_are_no_difference(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = record(talk.with_name("new.rtstt.jsonl"), changed(transcript="Goodbye", item_id="item_Zz2pejXANEggVQM2GUcZZ"))
    assert diff(capsys, talk, new) == (0, [])


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"usage": {"type": "duration"}}, "usage was added: {'type': 'duration'}"),
        ({"transcript": ...}, "transcript was removed; it was 'Hello'"),
        ({"transcript": None}, "transcript is null (None), before a text ('Hello')"),
    ],
)
def test_fields_that_were_added_or_removed_and_other_types_are_differences(
    talk: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], line: str
) -> None:
    new = record(talk.with_name("new.rtstt.jsonl"), changed(**changes))
    assert diff(capsys, talk, new) == (1, [f"{TRANSCRIPTION}.completed: {line}"])
    assert diff(capsys, talk, new, "--ignore", "usage", "--ignore", "transcript") == (0, [])


def test_another_order_and_another_end_are_differences(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [one for one in events() if b"delta" not in one[2]]
    frames.insert(3, (0.35, "server", frame(type="error", error={"code": "new_code"})))
    new = record(talk.with_name("new.rtstt.jsonl"), frames)
    text = new.read_text("utf-8")
    new.write_text(text.replace('"close":{"code":1000,"reason":"","by":"client"}', CLOSED), "utf-8")
    assert diff(capsys, talk, new) == (
        1,
        [
            "session 1, order after session.updated: nothing before, error now",
            f"session 1, order after input_audio_buffer.committed: {TRANSCRIPTION}.delta before, nothing now",
            "session 1, end: closed 1000 '' by the client before, 4000 'invalid' by the server now",
        ],
    )


CLOSED = '"close":{"code":4000,"reason":"invalid","by":"server"}'


def test_a_text_of_an_error_and_a_default_of_the_session_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def one(name: str, message: str, silence: int) -> Path:
        detection = {"silence_duration_ms": silence, "threshold": 0.5}
        session = {"audio": {"input": {"turn_detection": detection}}, "expires_at": silence}
        return record(
            tmp_path / name,
            [
                (0.1, "server", frame(type="session.created", session=session)),
                (0.2, "server", frame(type="error", error={"message": message, "code": None})),
            ],
        )

    assert diff(capsys, one("a.rtstt.jsonl", "Bad.", 200), one("b.rtstt.jsonl", "Worse.", 500)) == (
        1,
        [
            "session.created: session.audio.input.turn_detection.silence_duration_ms is 500, before 200",
            "error: error.message is 'Worse.', before 'Bad.'",
        ],
    )


# -- import


def har(messages: list[dict[str, Any]]) -> dict[str, Any]:
    url = f"wss://api.openai.com/v1/realtime?intent=transcription&token={KEY}"
    headers = [{"name": "Sec-WebSocket-Protocol", "value": f"realtime, openai-insecure-api-key.{KEY}"}]
    entry = {
        "startedDateTime": "2026-10-01T10:00:00.000Z",
        "request": {"url": url, "headers": headers},
        "response": {"status": 101},
        "_webSocketMessages": messages,
    }
    return {"log": {"entries": [{"request": {"url": "https://a.test/"}}, entry]}}


def test_a_har_of_a_browser_is_imported_without_its_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = 1790848800.0
    messages = [
        {
            "type": {"client": "send", "server": "receive"}[sender],
            "time": start + at,
            "opcode": 1,
            "data": payload.decode(),
        }
        for at, sender, payload in events()
    ]
    path = tmp_path / "talk.har"
    path.write_text(json.dumps(har(messages)), "utf-8")
    assert run(capsys, "import", path)[0] == 0
    out = tmp_path / "talk.rtstt.jsonl"
    assert KEY not in out.read_text("utf-8")
    (session,) = load_cassette(out).sessions
    assert session.query["intent"] == ["transcription"]
    assert [frame.type for frame in session.frames if not frame.is_audio][-1] == f"{TRANSCRIPTION}.completed"
    assert session.frames[0].at == pytest.approx(0.01)
    assert session.seconds == pytest.approx(1.0)


def test_the_cassettes_of_pydantic_ai_are_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "talk.yaml"
    path.write_text(
        "version: 1\n"
        "interactions:\n"
        "- kind: message\n"
        "  direction: received\n"
        "  data: {type: session.created, event_id: event_Dz2pexehVShfFs2eddZLh, session: {model: gpt-realtime}}\n"
        "- direction: sent\n"
        "  data: {type: response.create}\n"
        "- kind: http\n"
        "  direction: sent\n",
        "utf-8",
    )
    code, printed = run(capsys, "import", path)
    assert code == 0
    assert "note: 1 interactions that are not messages were left out" in printed
    (session,) = load_cassette(tmp_path / "talk.rtstt.jsonl").sessions
    assert session.target == "/v1/realtime?model=gpt-realtime"
    assert [(frame.sender, frame.type) for frame in session.frames] == [
        ("server", "session.created"),
        ("client", "response.create"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.har", "{", "is not JSON; a HAR needs entries"),
        ("a.har", "[]", "has no realtime session; a HAR needs entries"),
        ("a.har", '{"log": {"entries": []}}', "has no entry with `_webSocketMessages`"),
        ("a.har", '{"log": {"entries": [{"_webSocketMessages": []}]}}', "has an entry without `request.url`"),
        ("a.yaml", "a: [", "line 2 is not YAML"),
        ("a.yaml", "version: 1", "has no realtime session"),
    ],
)
def test_a_file_of_another_kind_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    code, printed = run(capsys, "import", path)
    assert code == 2
    assert message in printed
    assert printed.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == [name]
