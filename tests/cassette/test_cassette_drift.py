"""``probe --record``, ``--from`` and ``--cassettes``: what an endpoint sends, kept and compared without a key."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cassette_app import main as app
from cassettes import ITEM, KEY, TRANSCRIPTION, append, frame, loud, record
from websockets.exceptions import ConnectionClosed

from rtstt_core.cli import main
from rtstt_testkit import Failure, ThreadedRealtimeServer, Transcript
from rtstt_testkit.cassette.reader import load_cassette
from rtstt_testkit.recording.recorder import Recorder


@pytest.fixture
def there() -> Iterator[ThreadedRealtimeServer]:
    with ThreadedRealtimeServer(strict=False) as mock:
        yield mock


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    code = main(["probe", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.mark.heavy
def test_a_probe_that_was_recorded_is_compared_again_without_the_endpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: ThreadedRealtimeServer
) -> None:
    path = tmp_path / "today.rtstt.jsonl"
    code, printed = run(capsys, "--only", "errors", "--key", KEY, "--record", path, there.url)
    assert code == 0
    there.stop()
    code, again = run(capsys, "--from", path)
    assert code == 0
    assert again.splitlines()[0] == f"the recording {path}, row by row; the expected events are the mock's"
    assert again.splitlines()[1:] == printed.splitlines()[1:]
    assert KEY not in path.read_text("utf-8")
    # What the endpoint is made to say differently is found.
    path.write_text(path.read_text("utf-8").replace("Unknown parameter", "No such parameter"), "utf-8")
    code, differing = run(capsys, "--from", path)
    assert code == 1
    assert "received  No such parameter: 'session.bogus_field'." in differing


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--record", "a.rtstt.jsonl"], "--record records an endpoint; give its URL, or --live"),
        (["--from", "a.rtstt.jsonl", "--live"], "--from replays a recording; leave out URL, --live and --record"),
        (["--from", "nowhere.rtstt.jsonl"], "cannot read nowhere.rtstt.jsonl: No such file or directory"),
        (["--cassettes", "nowhere"], "nowhere has no recording; record one with"),
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
    code, printed = run(capsys, *words)
    assert code == 2
    assert message in printed
    assert printed.count("\n") == 1


def test_a_recording_that_is_no_probe_is_named(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = run(capsys, "--from", talk)
    assert code == 2
    assert f"{talk} is not a recording of a probe" in printed


def test_a_recording_that_exists_is_not_overwritten(
    talk: Path, capsys: pytest.CaptureFixture[str], there: ThreadedRealtimeServer
) -> None:
    code, printed = run(capsys, "--only", "errors", "--record", talk, there.url)
    assert code == 2
    assert "exists; choose another file, or replace it with --force" in printed


def test_the_mock_answers_recordings_of_itself_in_the_same_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transcripts = ["One.", Transcript(failure=Failure(code="x")), "Three."]
    with (
        ThreadedRealtimeServer(transcripts=transcripts, strict=False, seed=3) as mock,
        Recorder(tmp_path / "talk.rtstt.jsonl", to=mock.url) as recorder,
    ):
        for model in ("gpt-4o-transcribe", "whisper-1"):
            app(KEY, "40", model, f"{recorder.url}?intent=transcription")
        with contextlib.suppress(ConnectionClosed):
            app("sk-bad-key-0123456789", "100", "whisper-1", f"{recorder.url}?intent=transcription")
    capsys.readouterr()
    code, printed = run(capsys, "--cassettes", tmp_path)
    assert printed == (
        f"{tmp_path / 'talk.rtstt.jsonl'}: the mock answers the same\n1 recordings: the mock differs from 0\n"
    )
    assert code == 0


def test_what_an_endpoint_does_differently_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [
        (0.1, "server", frame(type="session.created", session={"type": "transcription", "novelty": 1})),
        (0.2, "client", append(loud(100))),
        (0.3, "client", frame(type="input_audio_buffer.clear")),
        (0.4, "server", frame(type="input_audio_buffer.cleared", event_id="event_Dz2pexehVShfFs2eddZLh")),
        (0.5, "server", frame(type=f"{TRANSCRIPTION}.completed", item_id=ITEM, transcript="")),
    ]
    path = record(tmp_path / "new.rtstt.jsonl", frames)
    code, printed = run(capsys, "--cassettes", tmp_path)
    assert code == 1
    assert f"{path}: the mock differs\n" in printed
    assert "  session.created: session.novelty was removed; it was 1\n" in printed
    assert (
        f"  session 1, order after input_audio_buffer.cleared: {TRANSCRIPTION}.completed before, nothing now\n"
        in printed
    )
    assert load_cassette(path).problems == []
