"""The fixture `realtime_cassette` and ``--rtstt-record``, run in projects of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cassettes import KEY

from rtstt_testkit import ThreadedRealtimeServer
from rtstt_testkit.cassette.reader import load_cassette

pytest_plugins = ["pytester"]

TALK = f"""
import json
from websockets.sync.client import connect

def transcript(url, model="gpt-4o-transcribe", key={KEY!r}, query="?intent=transcription"):
    options = {{"additional_headers": {{"Authorization": "Bearer " + key}}, "open_timeout": 60, "close_timeout": 60}}
    with connect(url + query, proxy=None, **options) as client:
        json.loads(client.recv())
        audio = {{"input": {{"transcription": {{"model": model}}, "turn_detection": None}}}}
        client.send(json.dumps({{"type": "session.update", "session": {{"type": "transcription", "audio": audio}}}}))
        append = {{"type": "input_audio_buffer.append", "audio": "AEAAwABAAMAA" * 3200}}
        client.send(json.dumps(append))
        client.send(json.dumps({{"type": "input_audio_buffer.commit"}}))
        for message in client:
            event = json.loads(message)
            if event["type"].endswith(".completed"):
                return event["transcript"]
            if event["type"] == "error":
                raise AssertionError(event["error"]["message"])
"""
TEST = """
    import pytest
    from talk_here import transcript

    def test_one(realtime_cassette):
        assert transcript(realtime_cassette.url) == "Recorded."

    class TestMore:
        @pytest.mark.parametrize("name", ["a/b"])
        def test_two(self, realtime_cassette, name):
            with realtime_cassette.routed():
                assert transcript("wss://api.openai.com/v1/realtime") == "Recorded."
"""


@pytest.fixture
def there() -> Iterator[ThreadedRealtimeServer]:
    with ThreadedRealtimeServer(strict=False, transcripts=["Recorded."] * 20) as mock:
        yield mock


def run(pytester: pytest.Pytester, test: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(talk_here=TALK, test_it=test)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def to(there: ThreadedRealtimeServer) -> str:
    return f"--rtstt-record-to={there.url}"


def test_each_test_has_a_recording_of_its_own_which_is_replayed_without_the_endpoint(
    pytester: pytest.Pytester, there: ThreadedRealtimeServer
) -> None:
    run(pytester, TEST, "--rtstt-record=once", to(there)).assert_outcomes(passed=2)
    folder = pytester.path / "cassettes" / "test_it"
    assert sorted(path.name for path in folder.glob("*.jsonl")) == [
        "TestMore.test_two[a-b].rtstt.jsonl",
        "test_one.rtstt.jsonl",
    ]
    assert KEY.encode() not in b"".join(path.read_bytes() for path in folder.iterdir())
    assert load_cassette(folder / "test_one.rtstt.jsonl").header["client"] == "test_it.py::test_one"
    there.stop()
    run(pytester, TEST).assert_outcomes(passed=2)
    run(pytester, TEST, "--rtstt-record=once").assert_outcomes(passed=2)


def test_without_a_recording_the_test_fails_with_what_to_do(pytester: pytest.Pytester) -> None:
    result = run(pytester, TEST, "-k", "one")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["there is no recording */cassettes/test_it/test_one.rtstt.jsonl; record it with --rtstt-record=once"]
    )


@pytest.mark.heavy
def test_a_client_that_changed_fails_with_the_difference(
    pytester: pytest.Pytester, there: ThreadedRealtimeServer
) -> None:
    run(pytester, TEST, "--rtstt-record=once", to(there), "-k", "one").assert_outcomes(passed=1)
    changed = TEST.replace("transcript(realtime_cassette.url)", "transcript(realtime_cassette.url, model='whisper-1')")
    result = run(pytester, changed, "-k", "one")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*session.update differs from line 5 of the recording: session.audio.input.transcription.model: "
            "recorded 'gpt-4o-transcribe', received 'whisper-1'*"
        ]
    )
    run(pytester, changed, "--rtstt-record=all", to(there), "-k", "one").assert_outcomes(passed=1)
    run(pytester, changed, "-k", "one").assert_outcomes(passed=1)


@pytest.mark.heavy
def test_new_records_the_sessions_that_a_recording_lacks(
    pytester: pytest.Pytester, there: ThreadedRealtimeServer
) -> None:
    run(pytester, TEST, "--rtstt-record=once", to(there), "-k", "one").assert_outcomes(passed=1)
    more = TEST.replace(
        'transcript(realtime_cassette.url) == "Recorded."',
        '[transcript(realtime_cassette.url) for _ in range(2)] == ["Recorded.", "Recorded."]',
    )
    run(pytester, more, "-k", "one").assert_outcomes(failed=1)
    run(pytester, more, "--rtstt-record=new", to(there), "-k", "one").assert_outcomes(passed=1)
    assert len(there.sessions) == 2
    path = pytester.path / "cassettes" / "test_it" / "test_one.rtstt.jsonl"
    assert [session.complete for session in load_cassette(path).sessions] == [True, True]
    run(pytester, more, "-k", "one").assert_outcomes(passed=1)


@pytest.mark.heavy
def test_a_test_that_does_less_than_its_recording_fails(
    pytester: pytest.Pytester, there: ThreadedRealtimeServer
) -> None:
    run(pytester, TEST, "--rtstt-record=once", to(there), "-k", "one").assert_outcomes(passed=1)
    less = "def test_one(realtime_cassette): pass"
    result = run(pytester, less)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["1 of 1 recorded sessions were not replayed"])


@pytest.mark.heavy
def test_the_marker_names_the_file_and_how_it_is_replayed(
    pytester: pytest.Pytester, there: ThreadedRealtimeServer
) -> None:
    test = TEST.replace(
        "def test_one", "@pytest.mark.rtstt_cassette('own.rtstt.jsonl', ignore=('session.audio',))\n    def test_one"
    )
    run(pytester, test, "--rtstt-record=once", to(there), "-k", "one").assert_outcomes(passed=1)
    assert (pytester.path / "own.rtstt.jsonl").exists()
    changed = test.replace("transcript(realtime_cassette.url)", "transcript(realtime_cassette.url, model='whisper-1')")
    run(pytester, changed, "-k", "one", "--strict-markers").assert_outcomes(passed=1)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("marker", "line"),
    [
        ("rtstt_cassette(ignored=1)", "*rtstt_cassette has no argument 'ignored'; it has path, mode, timing, *"),
        ("rtstt_cassette('a', 'b')", "*rtstt_cassette takes one path and mode, timing, ignore, tolerance*"),
    ],
)
def test_wrong_arguments_of_the_marker_are_named(pytester: pytest.Pytester, marker: str, line: str) -> None:
    result = run(pytester, TEST.replace("def test_one", f"@pytest.mark.{marker}\n    def test_one"), "-k", "one")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([line])


@pytest.mark.heavy
def test_the_fixture_of_the_mock_takes_a_recording_too(
    pytester: pytest.Pytester, there: ThreadedRealtimeServer, tmp_path: Path
) -> None:
    run(pytester, TEST, "--rtstt-record=once", to(there), "-k", "one").assert_outcomes(passed=1)
    path = "cassettes/test_it/test_one.rtstt.jsonl"
    test = f"""
    import pytest
    from talk_here import transcript

    @pytest.mark.realtime_server(cassette={path!r})
    def test_it(realtime_server):
        assert transcript(realtime_server.url) == "Recorded."

    @pytest.mark.realtime_server(cassette="nowhere.rtstt.jsonl")
    def test_another(realtime_server):
        pass
    """
    result = run(pytester, test)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*cannot read nowhere.rtstt.jsonl: No such file or directory*"])
