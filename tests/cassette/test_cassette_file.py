"""The file of a recording: what is in it, and what happens to a file that is damaged."""

from __future__ import annotations

import json
import os
import re
import time
import wave
from pathlib import Path
from typing import Any

import pytest
from cassettes import ITEM, KEY, TIMEOUT, append, frame, loud, record, update

from rtstt_testkit.cassette import writer as writer_module
from rtstt_testkit.cassette.format import CassetteError
from rtstt_testkit.cassette.reader import load_cassette
from rtstt_testkit.cassette.schema import schema
from rtstt_testkit.cassette.writer import CassetteWriter
from rtstt_testkit.mock.protocol.handshake import Request


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_each_frame_is_a_line_with_its_time_its_sender_and_its_event(talk: Path) -> None:
    header, handshake, accepted, *rest = lines_of(talk)
    assert header["format"] == "rtstt-trace"
    assert header["version"] == 1
    assert (header["client"], header["url"]) == ("python app.py", "wss://api.openai.com/v1/realtime")
    assert handshake["handshake"]["query"] == {"intent": ["transcription"]}
    assert accepted == {"session": 1, "at": 0.005, "http_status": 101}
    assert [(line["at"], line["sender"], line["event"]["type"]) for line in rest[:3]] == [
        (0.01, "server", "session.created"),
        (0.02, "client", "session.update"),
        (0.3, "server", "session.updated"),
    ]
    assert rest[-1] == {"session": 1, "at": 2.3, "close": {"code": 1000, "reason": "", "by": "client"}}


def test_identifiers_are_placeholders_that_agree_with_each_other(talk: Path) -> None:
    text = talk.read_text("utf-8")
    assert "Dz2pe" not in text
    server = [line["event"] for line in lines_of(talk) if line.get("sender") == "server"]
    assert [event["event_id"] for event in server] == [f"event_{number}" for number in range(1, 6)]
    assert {event["item_id"] for event in server if "item_id" in event} == {"item_1"}
    assert {event["session"]["id"] for event in server if "session" in event} == {"sess_1"}


def test_an_identifier_in_a_text_is_the_placeholder_of_its_field(tmp_path: Path) -> None:
    message = f"Input transcription failed for item '{ITEM}'."
    frames = [(0.1, "server", frame(type="x.failed", item_id=ITEM, error={"message": message, "code": "not_a_key_id"}))]
    event = lines_of(record(tmp_path / "a.rtstt.jsonl", frames))[3]["event"]
    assert event["error"] == {"message": "Input transcription failed for item 'item_1'.", "code": "not_a_key_id"}


def test_appends_are_byte_ranges_of_a_wav_file_that_plays(talk: Path) -> None:
    appends = [line["event"] for line in lines_of(talk) if line.get("event", {}).get("type", "").endswith(".append")]
    assert [event["audio_start"] for event in appends] == [4800 * index for index in range(10)]
    assert {(event["wav"], event["audio_bytes"], event["audio_ms"]) for event in appends} == {
        ("talk.1.client.wav", 4800, 100.0)
    }
    with wave.open(str(talk.with_name("talk.1.client.wav"))) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 24000)
        assert wav.readframes(wav.getnframes()) == loud(1000)


def test_g711_stays_g711(tmp_path: Path) -> None:
    session = {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}
    frames = [(0.1, "client", frame(type="session.update", session=session)), (0.2, "client", append(b"\x80" * 800))]
    path = record(tmp_path / "a.rtstt.jsonl", frames)
    cassette = load_cassette(path)
    run = cassette.sessions[0].frames[-1]
    assert run.seconds == pytest.approx(0.1)
    assert b"".join(cassette.audio(run)) == b"\x80" * 800
    head = (tmp_path / "a.1.client.pcmu.wav").read_bytes()[:44]
    assert (head[20], int.from_bytes(head[24:28], "little")) == (7, 8000)


def test_audio_of_the_server_and_of_items_is_kept_unchanged(tmp_path: Path) -> None:
    delta = {"type": "response.output_audio.delta", "item_id": ITEM, "delta": "AAECAw=="}
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "BAUGBw=="}]}
    frames = [
        (0.1, "server", frame(**delta)),
        (0.2, "client", frame(type="conversation.item.create", item=item)),
        (0.3, "client", frame(type="input_audio_buffer.append", audio="no base64")),
    ]
    cassette = load_cassette(record(tmp_path / "a.rtstt.jsonl", frames))
    first, second, third = cassette.sessions[0].frames
    assert cassette.event(first) == {**delta, "item_id": "item_1"}
    assert cassette.event(second) == {"type": "conversation.item.create", "item": item}
    assert third.event == {"type": "input_audio_buffer.append", "audio": "no base64"}


def test_consecutive_appends_are_read_as_one(talk: Path) -> None:
    cassette = load_cassette(talk)
    (session,) = cassette.sessions
    (run,) = [frame for frame in session.frames if frame.is_audio]
    assert (run.count, run.at, run.until) == (10, 0.4, 1.3)
    assert run.seconds == pytest.approx(1.0)
    assert session.complete
    assert cassette.problems == []


def test_no_secret_reaches_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.rtstt.jsonl"
    writer = CassetteWriter(path, url="wss://api.openai.com/v1/realtime", client=f"node {KEY}")
    plain = "Canary99secretof42characters"
    target = f"/v1/realtime?intent=transcription&api_key={plain}&model={KEY}"
    headers = [
        ("Authorization", f"Bearer {KEY}"),
        ("x-of-some-gateway", plain),
        ("Cookie", plain),
        ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{KEY}"),
    ]
    lines = writer.session("api.openai.com", Request(target, headers))
    lines.accepted(0.0)
    lines.text("client", update(prompt=f"my key is {KEY}"), 0.1)
    lines.text("client", frame(type="session.update", session={"tools": [{"authorization": plain}]}), 0.1)
    lines.text("client", KEY.encode(), 0.1)
    lines.text("server", frame(type="error", error={"message": f"Incorrect API key provided: {KEY}."}), 0.2)
    lines.closed(3000, f"bad key {KEY}", "server", 0.3)
    refused = writer.session("api.openai.com", Request(target, headers))
    refused.refused(0.1, 401, json.dumps({"error": {"message": KEY}}))
    failed = writer.session("api.openai.com", Request(target, headers))
    failed.failed(0.1, f"cannot connect with {KEY}")
    writer.close()
    text = path.read_text("utf-8")
    assert KEY not in text
    assert plain not in text
    assert len(load_cassette(path).sessions) == 3


# -- writing


def test_a_recording_that_exists_is_not_overwritten(talk: Path) -> None:
    before = talk.read_bytes()
    with pytest.raises(CassetteError, match=r"talk\.rtstt\.jsonl exists; choose another file, or replace it"):
        CassetteWriter(talk, url="wss://a.test")
    assert talk.read_bytes() == before


def test_replacing_a_recording_replaces_its_audio(talk: Path) -> None:
    other = talk.with_name("talk.1.notes.wav")
    other.write_bytes(b"mine")
    CassetteWriter(talk, url="wss://a.test", replace=True).close()
    assert sorted(path.name for path in talk.parent.iterdir()) == ["talk.1.notes.wav", "talk.rtstt.jsonl"]


@pytest.mark.parametrize("name", ["app.py", "folder"])
def test_what_is_no_recording_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "app.py").write_text("print(1)\n", "utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CassetteError, match=r"is not a recording, so it is not replaced; choose another file$"):
        CassetteWriter(tmp_path / name, url="wss://a.test", replace=True)
    assert (tmp_path / "app.py").read_text("utf-8") == "print(1)\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let an open file be replaced")
def test_a_second_writer_is_refused_and_the_first_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.rtstt.jsonl"
    first = CassetteWriter(path, url="wss://a.test")
    with pytest.raises(CassetteError, match="another recording is writing"):
        CassetteWriter(path, url="wss://b.test", replace=True)
    first.session("a.test", Request("/v1/realtime")).accepted(0.0)
    first.close()
    assert len(lines_of(path)) == 3


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match=r"^cannot write .*nowhere.*: No such file or directory$"):
        CassetteWriter(tmp_path / "nowhere" / "a.rtstt.jsonl", url="wss://a.test")


class FullDisk:
    """`os.write` of a disk with room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write = os.write

    def __call__(self, file: int, data: Any) -> int:
        if self.room <= 0:
            raise OSError(28, "No space left on device")
        done = self.write(file, bytes(data)[: self.room])
        self.room -= done
        return done


def test_on_a_full_disk_the_whole_lines_stay_and_the_recording_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.rtstt.jsonl"
    monkeypatch.setattr(writer_module.os, "write", FullDisk(2000))
    writer = CassetteWriter(path, url="wss://a.test")
    lines = writer.session("a.test", Request("/v1/realtime"))
    for index in range(100):
        lines.text("client", frame(type="session.update", index=index), index / 10)
    writer.close()
    monkeypatch.undo()
    assert writer.failure == f"{path} cannot be written: No space left on device"
    found = lines_of(path)
    assert path.read_bytes().endswith(b"\n")
    assert 2 < len(found) < 102
    assert writer.written == len(found) - 1
    assert writer.dropped == 101 - writer.written


def test_a_disk_that_is_full_from_the_start_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module.os, "write", FullDisk(0))
    with pytest.raises(CassetteError, match=r"^cannot write .*a\.rtstt\.jsonl: No space left on device$"):
        CassetteWriter(tmp_path / "a.rtstt.jsonl", url="wss://a.test")
    assert list(tmp_path.iterdir()) == []


def test_on_a_disk_without_room_for_audio_no_line_refers_to_audio_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.rtstt.jsonl"
    writer = CassetteWriter(path, url="wss://a.test")
    lines = writer.session("a.test", Request("/v1/realtime"))
    monkeypatch.setattr(writer_module.os, "write", FullDisk(20_000))
    for index in range(20):
        lines.text("client", append(loud(100)), index / 10)
    writer.close()
    monkeypatch.undo()
    assert writer.failure == f"{path} cannot be written: No space left on device"
    assert writer.written + writer.dropped == 21
    needed = sum(session.seconds for session in load_cassette(path).sessions) * 48_000
    assert needed <= 20_000
    for wav in tmp_path.glob("*.wav"):  # it plays, or it is empty
        held = wav.read_bytes()
        assert not held or int.from_bytes(held[40:44], "little") == len(held) - 44


def test_the_audio_plays_while_the_recording_waits_for_more(tmp_path: Path) -> None:
    """What a program that is killed leaves."""
    writer = CassetteWriter(tmp_path / "a.rtstt.jsonl", url="wss://a.test")
    lines = writer.session("a.test", Request("/v1/realtime"))
    wav = tmp_path / "a.1.client.wav"
    for seconds in (0.1, 0.2):
        lines.text("client", append(loud(100)), seconds)
        deadline = time.monotonic() + TIMEOUT
        while not (wav.exists() and _playable(wav) == 48_000 * seconds):
            assert time.monotonic() < deadline, "the header has another length"
            time.sleep(0.01)
    writer.close()


def _playable(path: Path) -> int:
    """Return the bytes of audio that the header of a WAV file names."""
    return int.from_bytes(path.read_bytes()[40:44], "little")


def test_a_slow_disk_delays_nothing_and_the_recording_says_what_it_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.rtstt.jsonl"
    writer = CassetteWriter(path, url="wss://a.test", queue=4096)
    real, gate = os.write, __import__("threading").Event()

    def write(file: int, data: Any) -> int:
        gate.wait(60)
        return real(file, data)

    monkeypatch.setattr(writer_module.os, "write", write)
    lines = writer.session("a.test", Request("/v1/realtime"))
    for index in range(200):
        lines.text("client", frame(type="session.update", index=index), index / 10)
    dropped = writer.dropped
    gate.set()
    writer.close()
    assert dropped > 0
    assert writer.failure == "the disk is too slow: 0.00390625 MiB waited to be written"
    assert lines_of(path)[-1] == {"dropped": dropped, "reason": writer.failure}
    (problem,) = load_cassette(path).problems
    assert problem == f"{dropped} lines are missing ({writer.failure}); record it again"


# -- files that are damaged


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_file_that_was_cut_is_valid_up_to_its_last_whole_line(talk: Path, cut: int) -> None:
    talk.write_bytes(talk.read_bytes()[:-cut])
    count = talk.read_bytes().count(b"\n") + 1
    cassette = load_cassette(talk)
    if cut == 1:  # only the line feed is missing
        assert cassette.problems == []
        return
    assert cassette.problems == [
        f"line {count} is cut, so the recording was interrupted; `rtstt-shim cassette trim {talk}` removes it"
    ]
    assert cassette.sessions[0].frames[-1].event["transcript"] == "Hello"


def test_a_program_that_was_killed_leaves_a_session_without_an_end(tmp_path: Path) -> None:
    cassette = load_cassette(record(tmp_path / "a.rtstt.jsonl", end=False))
    assert cassette.problems == ["the end of session 1 is missing, so the recording was interrupted"]


def test_windows_line_ends_are_read(talk: Path) -> None:
    expected = load_cassette(talk)
    talk.write_bytes(talk.read_bytes().replace(b"\n", b"\r\n"))
    cassette = load_cassette(talk)
    assert cassette.problems == ["it has Windows line ends, which are read; save it with line feeds alone"]
    assert [frame.event for frame in cassette.sessions[0].frames] == [
        frame.event for frame in expected.sessions[0].frames
    ]
    assert cassette.sessions[0].seconds == pytest.approx(expected.sessions[0].seconds)


HEADER = '{"format":"rtstt-trace","version":1}\n'
SHAKE = '{"session":1,"at":0,"handshake":{}}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; a recording begins with a line that `rtstt-shim record` writes"),
        ("hello\n", "is not a recording; a recording begins with a line that `rtstt-shim record` writes"),
        ('{"format":"har"}\n', "is not a recording; a recording begins with a line that `rtstt-shim record` writes"),
        ('{"format":"rtstt-trace"}\n', "line 1: `version` is None; it must be a number"),
        (
            '{"format":"rtstt-trace","version":99}\n',
            "has version 99 of the format, and this release reads 1; upgrade it with: pip install --upgrade rtstt-shim",
        ),
        (HEADER + "{nonsense\n" + SHAKE, "line 2 is not JSON (Expecting property name enclosed in double quotes)"),
        (HEADER + "[1]\n", "line 2 is not a JSON object; correct or remove it"),
        (HEADER + "\xff\n", "line 2 is not JSON"),
        (HEADER + '{"session":1,"at":0,"sender":"client","event":{"type":"x"}}\n', "line 2: session 1 has no line"),
        (HEADER + SHAKE + '{"session":1,"at":-1,"sender":"client","event":{"type":"x"}}\n', "line 3: `at` is -1"),
        (HEADER + SHAKE + '{"session":1,"at":"x","sender":"client","event":{"type":"x"}}\n', "line 3: `at` is 'x'"),
        (HEADER + SHAKE + '{"session":1,"at":1,"sender":"me","event":{"type":"x"}}\n', "line 3: `sender` is 'me'"),
        (HEADER + SHAKE + '{"session":1,"at":1,"sender":"client","event":{}}\n', "line 3: `event.type` is None"),
        (HEADER + SHAKE + '{"session":1,"at":1,"sender":"client","event":3}\n', "line 3: `event` is 3"),
        (HEADER + SHAKE + '{"session":1,"at":1,"close":{"code":"x"}}\n', "line 3: `close.code` is 'x'"),
        (HEADER + SHAKE + '{"session":1,"at":1}\n', "line 3: it has none of `handshake`"),
        (HEADER + '{"session":true,"at":1}\n', "line 2: `session` is True"),
    ],
)
def test_nonsense_is_one_sentence_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.rtstt.jsonl"
    path.write_text(text, "latin-1")
    with pytest.raises(CassetteError, match=re.escape(message)) as caught:
        load_cassette(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../secret.wav", "a/b.wav", "a\\\\b.wav", "/etc/passwd", ""])
def test_audio_is_only_read_from_the_folder_of_the_recording(talk: Path, name: str) -> None:
    talk.write_text(talk.read_text("utf-8").replace('"talk.1.client.wav"', f'"{name}"'), "utf-8")
    with pytest.raises(CassetteError, match=r"line 7: `wav` is .*; it must be the name of a file in the same folder"):
        load_cassette(talk)


def test_audio_that_is_missing_or_too_short_is_named(talk: Path) -> None:
    wav = talk.with_name("talk.1.client.wav")
    wav.write_bytes(wav.read_bytes()[: 44 + 10_000])
    with pytest.raises(CassetteError, match=r"line 9: .*holds 10000 bytes of audio, and 14400 are needed"):
        load_cassette(talk)
    wav.unlink()
    with pytest.raises(CassetteError, match=r"line 7: its audio is in .*cannot be read: No such file"):
        load_cassette(talk)


def test_a_trace_of_the_shim_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(
        '{"format":"rtstt-trace","version":1,"process":"1-a","source":"shim","audio":true}\n'
        '{"process":"1-a","session":1,"at":0,"time":5.0,"handshake":{"host":"api.openai.com","path":"/v1/realtime"}}\n'
        '{"process":"1-a","session":1,"at":0.1,"handshake":{"headers":{"host":"api.openai.com"}}}\n'
        '{"process":"1-a","session":1,"at":0.2,"http_status":101}\n'
        '{"process":"1-a","session":1,"at":0.3,"sender":"client",'
        '"event":{"type":"input_audio_buffer.append","audio":"AAAA","audio_bytes":3,"audio_ms":0.1}}\n'
        '{"process":"1-a","sess\n'
        '{"process":"1-a","session":1,"at":0.4,"sender":"server","frame":"ping"}\n'
        '{"process":"1-a","session":1,"at":0.5,"close":{"code":1000,"reason":"","by":"client"}}\n',
        "utf-8",
    )
    cassette = load_cassette(path)
    (session,) = cassette.sessions
    assert (session.host, session.path, session.headers) == (
        "api.openai.com",
        "/v1/realtime",
        {"host": "api.openai.com"},
    )
    assert b"".join(cassette.audio(session.frames[0])) == b"\0\0\0"
    assert cassette.problems == ["line 6 is cut: a program was killed that wrote it"]


def test_every_line_fits_the_schema(talk: Path) -> None:
    """The schema is checked here without a library: required fields, constants, enumerations and types."""
    shapes = schema()["anyOf"]
    for line in lines_of(talk):
        assert any(_fits(line, shape) for shape in shapes), line
    assert not any(_fits({"session": 1, "at": 1, "sender": "me", "event": {"type": "x"}}, shape) for shape in shapes)


_TYPES = {"object": dict, "string": str, "number": (int, float), "integer": int, "array": list, "boolean": bool}


def _fits(value: Any, shape: dict[str, Any]) -> bool:
    if "const" in shape and value != shape["const"]:
        return False
    if "enum" in shape and value not in shape["enum"]:
        return False
    if "type" in shape and not isinstance(value, _TYPES[shape["type"]]):  # type: ignore[arg-type]
        return False
    if not isinstance(value, dict):
        return True
    return all(name in value for name in shape.get("required", ())) and all(
        _fits(value[name], inner) for name, inner in shape.get("properties", {}).items() if name in value
    )
