"""A recording answers clients: other chunks, another key, another speed; and a client that differs is shown how."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from cassettes import ITEM, TIMEOUT, TRANSCRIPTION, append, connect, events, frame, loud, record, update
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from rtstt_testkit import CassetteMismatch, Fault, RealtimeServer, Replay, ThreadedRealtimeServer
from rtstt_testkit.recording.recorder import Recorder

QUERY = "?intent=transcription"
HEADERS = {"Authorization": "Bearer sk-another-key-0123456789"}


class Talk:
    """A client's side of a session with a server that replays."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.connection.send(payload.decode())

    def audio(self, pcm: bytes, milliseconds: int = 100) -> None:
        size = 48 * milliseconds
        self.send(*(append(pcm[start : start + size]) for start in range(0, len(pcm), size)))

    def until(self, type_: str) -> list[dict[str, Any]]:
        """Return the events up to one of a type."""
        found: list[dict[str, Any]] = []
        while not found or found[-1]["type"] != type_:
            found.append(json.loads(self.connection.recv(TIMEOUT)))
        return found


def talk_to(server: ThreadedRealtimeServer, query: str = QUERY) -> Any:
    return connect(f"{server.url}{query}", additional_headers=HEADERS, proxy=None)


def converse(server: ThreadedRealtimeServer, *, chunk: int = 100, pcm: bytes | None = None) -> list[dict[str, Any]]:
    """Do what the recorded client did; return what the server sent."""
    with talk_to(server) as connection:
        talk = Talk(connection)
        found = talk.until("session.created")
        talk.send(update())
        found += talk.until("session.updated")
        talk.audio(loud(1000) if pcm is None else pcm, chunk)
        talk.send(frame(type="input_audio_buffer.commit"))
        return found + talk.until(f"{TRANSCRIPTION}.completed")


@pytest.mark.parametrize("chunk", [10, 37, 100, 1000])
def test_a_client_with_other_chunks_and_another_key_gets_the_recorded_answers(talk: Path, chunk: int) -> None:
    with ThreadedRealtimeServer(cassette=talk) as server:
        found = converse(server, chunk=chunk)
    assert [event["type"] for event in found] == [
        "session.created",
        "session.updated",
        "input_audio_buffer.committed",
        f"{TRANSCRIPTION}.delta",
        f"{TRANSCRIPTION}.completed",
    ]
    assert found[-1]["transcript"] == "Hello"


def test_identifiers_are_new_in_every_session_and_agree_within_one(tmp_path: Path) -> None:
    path = record(tmp_path / "two.rtstt.jsonl", sessions=2)
    with ThreadedRealtimeServer(cassette=path) as server:
        first, second = converse(server), converse(server)
    items = [{event["item_id"] for event in found if "item_id" in event} for found in (first, second)]
    assert [len(found) for found in items] == [1, 1]
    assert items[0] != items[1]
    assert all(len(item) == len(ITEM) for found in items for item in found)
    assert len({event["event_id"] for event in first}) == len(first)


def test_times_of_day_are_those_of_now(talk: Path) -> None:
    began = time.time()
    with ThreadedRealtimeServer(cassette=talk) as server:
        created = converse(server)[0]
    moved = created["session"]["expires_at"] - (1783444866 - 1_795_000_000)
    assert began - 2 <= moved <= time.time() + 2


# -- clients that differ


def mismatch(server: ThreadedRealtimeServer, send: Callable[[Talk], None], query: str = QUERY) -> str:
    """Return the error with which a session ends that the client makes differ."""
    with talk_to(server, query) as connection:
        talk = Talk(connection)
        send(talk)
        error = talk.until("error")[-1]["error"]
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(TIMEOUT)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "the client differs from the recording")
    assert error["type"] == "cassette_mismatch"
    return str(error["message"])


def committed(pcm: bytes) -> Callable[[Talk], None]:
    def send(talk: Talk) -> None:
        talk.send(update())
        talk.audio(pcm)
        talk.send(frame(type="input_audio_buffer.commit"))

    return send


@pytest.mark.parametrize(
    ("send", "message"),
    [
        (
            lambda talk: talk.send(update("whisper-1")),
            "session.update differs from line 5 of the recording: session.audio.input.transcription.model: "
            "recorded 'gpt-4o-transcribe', received 'whisper-1'",
        ),
        (
            lambda talk: talk.send(update(language="en")),
            "session.update differs from line 5 of the recording: session.audio.input.transcription.language: "
            "recorded nothing, received 'en'",
        ),
        (
            lambda talk: talk.send(frame(type="input_audio_buffer.commit")),
            "the client sent input_audio_buffer.commit (line 17 of the recording) without session.update (line 5) "
            "before it",
        ),
        (
            lambda talk: talk.send(frame(type="input_audio_buffer.clear")),
            "the client sent input_audio_buffer.clear, and the recording has session.update in line 5",
        ),
        (
            lambda talk: talk.send(update(), update("whisper-1")),
            "the client sent session.update, and the recording has input_audio_buffer.commit in line 17; the nearest "
            "is line 5: session.audio.input.transcription.model: recorded 'gpt-4o-transcribe', received 'whisper-1'",
        ),
        (
            committed(loud(600)),
            "before input_audio_buffer.commit (line 17) the client sent 0.600 s of audio, and 1.000 s are recorded",
        ),
        (
            committed(bytes(48_000)),
            "before input_audio_buffer.commit (line 17) 0.000 s of the client's audio are loud, and 1.000 s of the "
            "recorded audio",
        ),
        (
            lambda talk: talk.send(b"nonsense"),
            "the client sent (no event), and the recording has session.update in line 5",
        ),
    ],
)
def test_a_client_that_differs_is_shown_the_nearest_frame_and_the_difference(
    talk: Path, send: Callable[[Talk], None], message: str
) -> None:
    with ThreadedRealtimeServer(cassette=talk, strict=False) as server:
        assert mismatch(server, send) == message
        assert f"the client differs from the recording: {message}." in server.explain()
        with pytest.raises(CassetteMismatch, match="session 1: ") as caught:
            server.verify()
    assert message in str(caught.value)
    assert f"The recording is {talk}. Record it again if the client is meant to differ" in str(caught.value)


def test_an_event_too_many_is_a_difference(talk: Path) -> None:
    with ThreadedRealtimeServer(cassette=talk, strict=False) as server:

        def send(talk: Talk) -> None:
            committed(loud(1000))(talk)
            talk.until(f"{TRANSCRIPTION}.completed")
            talk.send(frame(type="input_audio_buffer.commit"))

        assert mismatch(server, send) == (
            "the client sent input_audio_buffer.commit, and the recording has no further event of it; "
            "it is the event of line 17 once more"
        )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?intent=transcription&model=whisper-1", "?model=: recorded nothing, received 'whisper-1'"),
        ("", "?intent=: recorded 'transcription', received nothing"),
    ],
)
def test_another_request_is_a_difference(talk: Path, query: str, message: str) -> None:
    with ThreadedRealtimeServer(cassette=talk, strict=False) as server:
        found = mismatch(server, lambda talk: None, query)
    assert found == f"the request differs from line 2 of the recording: {message}"


def test_a_client_that_ends_early_fails_the_test_and_not_the_session(talk: Path) -> None:
    with ThreadedRealtimeServer(cassette=talk, strict=False) as server:
        with talk_to(server) as connection:
            Talk(connection).send(update())
            Talk(connection).until("session.updated")
        server.wait_for("session.updated", timeout=TIMEOUT)
    with pytest.raises(CassetteMismatch, match=r"session 1: the client did not send .*\.commit, which"):
        server.verify()
    assert "the connection ended before the recording" in server.explain()


def test_a_client_too_many_and_a_session_that_was_not_replayed_are_differences(tmp_path: Path) -> None:
    path = record(tmp_path / "two.rtstt.jsonl", sessions=2)
    with ThreadedRealtimeServer(cassette=path, strict=False) as server:
        converse(server)
        with pytest.raises(CassetteMismatch, match="1 of 2 recorded sessions were not replayed"):
            server.verify()
        converse(server)
        server.verify()
        found = mismatch(server, lambda talk: None)
        assert found == "client 3 connected, and the recording has 2 sessions"
        server.reset()
        assert converse(server)[-1]["transcript"] == "Hello"


# -- how it is replayed


def test_what_is_declared_free_may_differ(talk: Path) -> None:
    replay = Replay(talk, ignore=("session.audio.input.transcription.model", "session.audio.*.noise_reduction"))
    with ThreadedRealtimeServer(cassette=replay, strict=False) as server, talk_to(server) as connection:
        Talk(connection).send(update("whisper-1"))
        assert Talk(connection).until("session.updated")


def test_loose_answers_by_position(talk: Path) -> None:
    with ThreadedRealtimeServer(cassette=Replay(talk, mode="loose")) as server, talk_to(server, "") as connection:
        one = Talk(connection)
        one.send(frame(type="anything"))
        one.until("session.updated")
        one.send(frame(type="something", else_=1))
        assert one.until(f"{TRANSCRIPTION}.completed")[-1]["transcript"] == "Hello"


def test_with_the_recorded_timing_events_come_as_long_after_their_cause_as_they_did(talk: Path) -> None:
    async def main() -> list[tuple[float, str]]:
        server = RealtimeServer(cassette=Replay(talk, timing="recorded"), virtual_time=True, strict=False)
        patient = {"open_timeout": TIMEOUT, "close_timeout": TIMEOUT, "additional_headers": HEADERS, "proxy": None}
        async with server, connect_async(f"{server.url}{QUERY}", **patient) as connection:
            await server.advance(0.02)
            await connection.recv()
            for payload in (update(), *(append(loud(100)) for _ in range(10))):
                await connection.send(payload.decode())
            await connection.send('{"type":"input_audio_buffer.commit"}')
            await server.wait_for("input_audio_buffer.commit", timeout=TIMEOUT)
            await server.advance(5)
            await server.wait_for(f"{TRANSCRIPTION}.completed", timeout=TIMEOUT)
            return [(round(event.at, 2), event.type) for event in server.sessions[0].events if event.sender == "server"]

    assert asyncio.run(main()) == [
        (0.01, "session.created"),
        (0.3, "session.updated"),
        (0.3, "input_audio_buffer.committed"),
        (0.71, f"{TRANSCRIPTION}.delta"),
        (0.81, f"{TRANSCRIPTION}.completed"),
    ]


def test_faults_apply_to_a_recording(talk: Path) -> None:
    faults = [
        Fault("drop", on=f"{TRANSCRIPTION}.delta"),
        Fault("duplicate", on="session.updated"),
        Fault("close", after=f"{TRANSCRIPTION}.completed", code=1011),
    ]
    with ThreadedRealtimeServer(cassette=talk, faults=faults) as server:
        found = converse(server)
        assert [event["type"] for event in found] == [
            "session.created",
            "session.updated",
            "session.updated",
            "input_audio_buffer.committed",
            f"{TRANSCRIPTION}.completed",
        ][: len(found)]
        server.wait_for(f"{TRANSCRIPTION}.completed", timeout=TIMEOUT)
        assert [fault.action for fault in server.sessions[0].faults] == ["duplicate", "drop", "close"]


def test_a_fault_at_an_event_of_the_client_applies_too(talk: Path) -> None:
    faults = [Fault("close", before="input_audio_buffer.commit", code=1011, reason="now")]
    with ThreadedRealtimeServer(cassette=talk, faults=faults, strict=False) as server:
        with pytest.raises(ConnectionClosed, match="1011"):
            converse(server)
        assert [fault.event for fault in server.sessions[0].faults] == ["input_audio_buffer.commit"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transcripts": ["x"]}, "a cassette has its own transcripts"),
        ({"cassette": Replay("talk", mode="lose")}, "unknown mode 'lose'; choose strict or loose"),  # type: ignore[arg-type]
        ({"cassette": Replay("talk", timing="fast")}, "unknown timing 'fast'; choose instant or recorded"),  # type: ignore[arg-type]
        ({"cassette": "nowhere.rtstt.jsonl"}, "cannot read nowhere.rtstt.jsonl: No such file or directory"),
    ],
)
def test_wrong_settings_are_named(talk: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RealtimeServer(**{"cassette": talk, **options})


# -- sessions of other kinds


def replayed(path: Path, frames: Iterable[tuple[float, str, bytes]]) -> ThreadedRealtimeServer:
    return ThreadedRealtimeServer(cassette=record(path, frames), strict=False)


def test_turn_detection_answers_to_the_audio_at_any_speed(tmp_path: Path) -> None:
    """Recorded in real time: the transcript came while the client went on to send silence."""

    def frames() -> Iterable[tuple[float, str, bytes]]:
        ids = {"item_id": ITEM}
        yield 0.0, "server", frame(type="session.created", session={"type": "transcription"})
        for index in range(40):
            yield index / 10, "client", append(loud(100) if 5 <= index < 15 else bytes(4800))
            if index == 7:
                yield 0.75, "server", frame(type="input_audio_buffer.speech_started", audio_start_ms=200, **ids)
            if index == 18:
                yield 1.85, "server", frame(type="input_audio_buffer.speech_stopped", audio_end_ms=1700, **ids)
                yield 1.85, "server", frame(type="input_audio_buffer.committed", previous_item_id=None, **ids)
            if index == 35:
                yield 3.55, "server", frame(type=f"{TRANSCRIPTION}.completed", transcript="Spoken", **ids)

    with replayed(tmp_path / "vad.rtstt.jsonl", frames()) as server:
        with talk_to(server) as connection:
            one = Talk(connection)
            one.audio(bytes(24_000) + loud(1000) + bytes(12_000), 20)  # no longer than the turn
            found = one.until(f"{TRANSCRIPTION}.completed")
        assert [event["type"] for event in found] == [
            "session.created",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            f"{TRANSCRIPTION}.completed",
        ]
    with replayed(tmp_path / "silent.rtstt.jsonl", frames()) as server:
        with talk_to(server) as connection:
            Talk(connection).audio(bytes(4 * 48_000), 20)
            connection.send("{}")
            server.wait_for("(no event)", timeout=TIMEOUT)
        with pytest.raises(CassetteMismatch):
            server.verify()
        assert [event.type for event in server.sessions[0].events if event.sender == "server"][:1] == [
            "session.created"
        ]
        assert "input_audio_buffer.speech_started" not in server.sessions[0].types


def test_a_client_that_waits_for_each_answer_gets_it_although_the_recorded_one_did_not_wait(tmp_path: Path) -> None:
    early = sorted(events(), key=lambda one: (one[1] == "server", one[0]))  # everything was sent before any answer
    path = record(tmp_path / "eager.rtstt.jsonl", [(0.1, sender, payload) for _, sender, payload in early])
    with ThreadedRealtimeServer(cassette=path) as server:
        assert converse(server)[-1]["transcript"] == "Hello"


def test_the_identifiers_that_a_client_chose_come_back_as_it_chose_them_now(tmp_path: Path) -> None:
    frames = [
        (0.1, "client", frame(type="session.update", event_id="recorded-id", session={})),
        (0.2, "server", frame(type="error", error={"event_id": "recorded-id", "message": "no"})),
        (0.3, "client", frame(type="conversation.item.create", item={"id": "recorded_item", "type": "message"})),
        (0.4, "server", frame(type="conversation.item.added", item={"id": "recorded_item", "type": "message"})),
        (0.5, "client", frame(type="conversation.item.delete", item_id="recorded_item")),
        (0.6, "server", frame(type="conversation.item.deleted", item_id="recorded_item")),
    ]
    with replayed(tmp_path / "ids.rtstt.jsonl", frames) as server, talk_to(server) as connection:
        one = Talk(connection)
        one.send(frame(type="session.update", event_id="another", session={}))
        assert one.until("error")[-1]["error"] == {"event_id": "another", "message": "no"}
        one.send(frame(type="conversation.item.create", item={"id": "mine", "type": "message"}))
        assert one.until("conversation.item.added")[-1]["item"]["id"] == "mine"
        one.send(frame(type="conversation.item.delete", item_id="of nobody"))
        error = one.until("error")[-1]["error"]["message"]
    assert error == (
        "conversation.item.delete differs from line 8 of the recording: item_id: recorded 'item_1', "
        "received 'of nobody'"
    ).replace("item_1", error.split("recorded '")[1].split("'")[0])


def test_what_the_server_refused_and_how_it_closed_is_replayed(tmp_path: Path) -> None:
    path = record(
        tmp_path / "refused.rtstt.jsonl",
        [(0.1, "server", frame(type="error", error={"code": "invalid_model", "message": "No."}))],
    )
    text = path.read_text("utf-8")
    path.write_text(
        text.replace(
            '"close":{"code":1000,"reason":"","by":"client"}', '"close":{"code":4000,"reason":"x","by":"server"}'
        ),
        "utf-8",
    )
    with ThreadedRealtimeServer(cassette=path) as server, talk_to(server) as connection:
        assert json.loads(connection.recv(TIMEOUT))["error"]["code"] == "invalid_model"
        with pytest.raises(ConnectionClosed, match="4000"):
            connection.recv(TIMEOUT)


def test_recorded_client_secrets_and_refused_upgrades_are_replayed(tmp_path: Path) -> None:
    path = tmp_path / "secrets.rtstt.jsonl"
    body = {"session": {"type": "transcription"}}

    def ask(server: Any) -> Any:
        url = f"{server.base_url}/realtime/client_secrets"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Authorization": "Bearer sk-test-123456"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=TIMEOUT) as answer:
            return json.load(answer)

    with (
        ThreadedRealtimeServer(strict=False, profile="azure") as mock,
        Recorder(path, to=mock.url) as recorder,
    ):
        first = ask(recorder)
        with pytest.raises(InvalidStatus), connect(recorder.url, proxy=None):
            pass
    with ThreadedRealtimeServer(cassette=path) as server:
        second = ask(server)
        assert second["value"].startswith("ek_")
        assert len(second["value"]) == len(first["value"])
        assert second["value"] != first["value"]
        assert second["session"]["audio"] == first["session"]["audio"]
        with pytest.raises(InvalidStatus) as refused, connect(server.url, additional_headers=HEADERS, proxy=None):
            pass
        assert refused.value.response.status_code == 401


def test_what_is_no_event_is_replayed_as_it_was(tmp_path: Path) -> None:
    frames = [(0.1, "server", b"hello, no event"), (0.2, "client", frame(type="x"))]
    with replayed(tmp_path / "text.rtstt.jsonl", frames) as server, talk_to(server) as connection:
        assert connection.recv(TIMEOUT) == "hello, no event"


def test_audio_of_the_server_comes_back(tmp_path: Path) -> None:
    delta = base64.b64encode(loud(20)).decode()
    frames = [(0.1, "server", frame(type="response.output_audio.delta", item_id=ITEM, delta=delta))]
    with replayed(tmp_path / "audio.rtstt.jsonl", frames) as server, talk_to(server) as connection:
        event = json.loads(connection.recv(TIMEOUT))
    assert event["delta"] == delta
    assert set(event) == {"type", "item_id", "delta"}


# -- the command


def test_the_mock_replays_a_recording_again_and_again(talk: Path) -> None:
    words = [sys.executable, "-m", "rtstt_core", "mock", "--cassette", str(talk)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        drain = threading.Thread(target=process.stdout.read)
        drain.start()
        for _ in range(3):
            with connect(f"{url}{QUERY}", additional_headers=HEADERS, proxy=None) as connection:
                one = Talk(connection)
                committed(loud(1000))(one)
                assert one.until(f"{TRANSCRIPTION}.completed")[-1]["transcript"] == "Hello"
        process.terminate()
        drain.join(60)
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--loose"], "--loose, --timing and --ignore are for a recording; add --cassette FILE"),
        (["--cassette", "nowhere.rtstt.jsonl"], "cannot read nowhere.rtstt.jsonl: No such file or directory"),
        (["--cassette", "x", "--workers", "2"], "--cassette needs the sessions in one process; leave out --workers"),
    ],
)
def test_wrong_arguments_of_the_command_are_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    from rtstt_core.cli import main

    assert main(["mock", *words]) == 2
    assert capsys.readouterr().err == f"rtstt-shim: {message}\n"
