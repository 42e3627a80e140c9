"""Faults at the boundary of any event: in the core, and the ones that sockets are needed for."""

import asyncio
import json

import pytest
from talk import COMPLETED, DELTA, Talk, silence, tone, types, update
from test_server import AUTH, SPEECH, client, receive, run, settled, transcribe
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidMessage, InvalidStatus

from rtstt_testkit import Failure, Fault, RealtimeServer, Script
from rtstt_testkit.mock.outbox import Close, Odd, Reset, Send, Stall, Trickle

COMMIT = {"type": "input_audio_buffer.commit"}
ITEM = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]


def commit_with(*faults: Fault, text: str = "One two", **options) -> tuple[Talk, list]:
    talk = Talk(script=Script.of([text, "again"], faults), **options)
    assert types(talk.send(update(turn_detection=None))) == ["session.updated"]
    talk.say(tone(200))
    return talk, talk.send(COMMIT)


class TestServerEvents:
    def test_an_error_before_and_after(self) -> None:
        _, events = commit_with(Fault("error", before="delta"), Fault("error", after="delta", nth=2))
        assert types(events) == [*ITEM, "error", DELTA, DELTA, "error", COMPLETED]
        assert events[3]["error"] == {
            "type": "server_error",
            "code": None,
            "message": "The server had an error while processing your request.",
            "param": None,
            "event_id": None,
        }

    def test_an_error_of_ones_own(self) -> None:
        fault = Fault("error", before="completed", code="rate_limit_exceeded", message="Slow down.")
        _, events = commit_with(fault)
        error = next(event["error"] for event in events if event["type"] == "error")
        assert (error["type"], error["code"], error["message"]) == (
            "invalid_request_error",
            "rate_limit_exceeded",
            "Slow down.",
        )

    @pytest.mark.parametrize(
        ("fault", "last"),
        [
            (Fault("close", after="committed", code=1012, reason="restart"), Close(1012, "restart")),
            (Fault("close", after="committed"), Close(1011, "")),
            (Fault("reset", after="committed"), Reset()),
            (Fault("stall", after="committed"), Stall()),
        ],
    )
    def test_the_end_after_an_event(self, fault, last) -> None:
        talk, events = commit_with(fault)
        assert types(events) == ["input_audio_buffer.committed"]
        assert talk.close == last
        assert talk.send(COMMIT) == []
        assert talk.session.next_due is None

    def test_the_end_before_an_event(self) -> None:
        talk, events = commit_with(Fault("reset", before="completed"))
        assert types(events) == [*ITEM, DELTA, DELTA]
        assert talk.close == Reset()
        assert talk.record.close.code == 1006

    def test_dropped_duplicated_and_reordered(self) -> None:
        _, events = commit_with(Fault("drop", on="delta", nth=2))
        assert types(events) == [*ITEM, DELTA, COMPLETED]
        _, events = commit_with(Fault("duplicate", on="delta"))
        assert types(events) == [*ITEM, DELTA, DELTA, DELTA, COMPLETED]
        assert events[3] == events[4]
        _, events = commit_with(Fault("reorder", on="delta"))
        assert [event["delta"] for event in events if event["type"] == DELTA] == [" two", "One"]
        _, events = commit_with(Fault("reorder", on="committed"))
        assert types(events)[:2] == ["conversation.item.added", "input_audio_buffer.committed"]

    def test_frames_that_are_not_what_they_should_be(self) -> None:
        talk, events = commit_with(
            Fault("malformed", on="added"),
            Fault("invalid_utf8", on="done"),
            Fault("binary", on="delta", nth=1),
            Fault("trickle", on="delta", nth=2, seconds=3),
        )
        assert types(events) == ["input_audio_buffer.committed", COMPLETED]
        malformed, invalid, binary, trickle = talk.odd
        assert isinstance(malformed, Send)
        assert malformed.text.startswith('{"type":"conversation.item.added"')
        assert isinstance(invalid, Odd)
        assert not invalid.binary
        with pytest.raises(UnicodeDecodeError):
            invalid.payload.decode()
        assert isinstance(binary, Odd)
        assert json.loads(binary.payload)["delta"] == "One"
        assert isinstance(trickle, Trickle)
        assert (json.loads(trickle.text)["delta"], trickle.seconds) == (" two", 3)

    def test_a_truncated_frame_is_the_end(self) -> None:
        talk, events = commit_with(Fault("truncate", on="completed"))
        assert types(events) == [*ITEM, DELTA, DELTA]
        assert json.loads(talk.close.part)["type"] == COMPLETED

    def test_a_delay_holds_the_event_and_all_after_it(self) -> None:
        talk, events = commit_with(Fault("delay", before="delta", nth=2, seconds=2))
        assert types(events) == [*ITEM, DELTA]
        assert talk.session.next_due == talk.now + 2
        assert talk.wait(1.9) == []
        assert types(talk.wait(0.1)) == [DELTA, COMPLETED]

    def test_a_delay_after_an_event(self) -> None:
        talk, events = commit_with(Fault("delay", after="done", seconds=2))
        assert types(events) == ITEM
        assert types(talk.wait(2)) == [DELTA, DELTA, COMPLETED]

    def test_every_event_of_a_type(self) -> None:
        _, events = commit_with(Fault("drop", on="delta", nth=None))
        assert types(events) == [*ITEM, COMPLETED]

    def test_any_event(self) -> None:
        talk = Talk(script=Script.of(faults=[Fault("close", before="*")]))
        assert talk.opening == []
        assert talk.close == Close(1011, "")

    def test_chance_is_the_same_for_the_same_seed(self) -> None:
        def run() -> list[str]:
            return types(commit_with(Fault("drop", on="delta", probability=0.5), text="a b c d e f g h")[1])

        assert run() == run()
        assert 0 < run().count(DELTA) < 8
        assert types(commit_with(Fault("drop", on="delta", probability=0))[1]).count(DELTA) == 2
        assert types(commit_with(Fault("drop", on="delta", probability=1))[1]).count(DELTA) == 0

    def test_only_on_the_connection_it_is_for(self) -> None:
        assert types(commit_with(Fault("drop", on="delta", connection=2))[1]).count(DELTA) == 2
        assert types(commit_with(Fault("drop", on="delta", connection=1))[1]).count(DELTA) == 1

    def test_several_at_once(self) -> None:
        talk, events = commit_with(
            Fault("error", before="delta"), Fault("duplicate", on="delta"), Fault("close", after="delta", code=4001)
        )
        assert types(events) == [*ITEM, "error", DELTA, DELTA]
        assert talk.close == Close(4001, "")


class TestClientEvents:
    def test_an_event_can_be_ignored(self) -> None:
        talk, events = commit_with(Fault("drop", on="input_audio_buffer.commit"))
        assert events == []
        assert types(talk.send(COMMIT))[:3] == ITEM

    def test_the_end_before_and_after(self) -> None:
        talk, events = commit_with(Fault("close", before="input_audio_buffer.commit", code=4001))
        assert (events, talk.close) == ([], Close(4001, ""))
        talk, events = commit_with(Fault("reset", after="input_audio_buffer.commit"))
        assert types(events)[:3] == ITEM
        assert talk.close == Reset()

    def test_errors_and_delays(self) -> None:
        talk, events = commit_with(
            Fault("error", before="input_audio_buffer.commit"),
            Fault("delay", after="input_audio_buffer.commit", seconds=3),
        )
        assert events == []
        assert types(talk.wait(3)) == ["error", *ITEM, DELTA, DELTA, COMPLETED]

    def test_appends_are_events_too(self) -> None:
        talk = Talk(script=Script.of(faults=[Fault("close", after="append", nth=3, code=4001)]))
        talk.say(silence(100))
        assert talk.close is None
        talk.say(silence(50))
        assert talk.close == Close(4001, "")
        assert talk.record.audio_received == 3 * 2400


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"action": "explode", "on": "delta"}, "unknown action 'explode'; choose from error, close, reset, stall, "),
        ({"action": "close"}, "'close' needs one of before, after and on, not none"),
        (
            {"action": "close", "before": "a", "after": "b"},
            "'close' needs one of before, after and on, not before and after",
        ),
        ({"action": "close", "on": "delta"}, "'close' goes with before or after, not on='delta'"),
        ({"action": "drop", "before": "delta"}, "'drop' goes with on, not before='delta'"),
        ({"action": "http", "before": "delta"}, "'http' goes with on='connect', not before='delta'"),
        ({"action": "http", "on": "delta"}, "'http' goes with on='connect', not on='delta'"),
        ({"action": "drop", "on": "connect"}, "'drop' cannot happen on connect; delay, http, reset can"),
        ({"action": "http", "on": "connect", "code": 200}, "code is 200; it must be an HTTP status from 400 to 599"),
        (
            {"action": "close", "after": "delta", "code": 1006},
            "code is 1006; it must be a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999",
        ),
        ({"action": "drop", "on": "delta", "probability": 2}, "probability is 2; it must be from 0 to 1"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_a_sentence(fields, message) -> None:
    with pytest.raises(ValueError) as caught:
        Fault(**fields)
    assert str(caught.value).startswith(message)


def test_too_many_requests() -> None:
    failed = Failure.rate_limited()
    talk = Talk(transcripts=[failed])
    talk.send(update(turn_detection=None))
    talk.say(tone(200))
    event = talk.send(COMMIT)[-1]
    assert event["error"]["message"] == (
        f"Input transcription failed for item '{event['item_id']}'. 429 Too Many Requests"
    )


# -- over sockets


def served(*faults: Fault, **options) -> RealtimeServer:
    return RealtimeServer(faults=faults, seed=1, **options)


async def opened(socket_) -> None:
    await socket_.send(json.dumps(update()))
    await receive(socket_, "session.updated")


def test_a_reset_is_seen_as_a_lost_connection() -> None:
    async def scenario():
        async with served(Fault("reset", after="session.updated")) as server:
            async with client(server) as socket_:
                await socket_.send(json.dumps(update()))
                await receive(socket_, "session.created")
                with pytest.raises(ConnectionClosedError, match="no close frame received or sent"):
                    await receive(socket_, COMPLETED)
            await settled(server)
            assert (server.sessions[0].close.code, server.sessions[0].close.by) == (1006, "server")

    run(scenario)


def test_a_truncated_frame_ends_the_connection_in_the_middle() -> None:
    async def scenario():
        async with served(Fault("truncate", on="session.updated")) as server, client(server) as socket_:
            await socket_.send(json.dumps(update()))
            await receive(socket_, "session.created")
            with pytest.raises(ConnectionClosedError):
                await socket_.recv()

    run(scenario)


def test_a_stalled_socket_stays_open_and_silent() -> None:
    async def scenario():
        async with served(Fault("stall", after="session.created"), ping_interval=0.02) as server:
            socket_ = await connect(server.url + "?intent=transcription", additional_headers=AUTH, ping_interval=None)
            await receive(socket_, "session.created")
            await socket_.send(json.dumps(update()))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(socket_.recv(), 0.1)
            assert server.sessions[0].open
            assert "session.update" not in [event.type for event in server.sessions[0].events]
        with pytest.raises(ConnectionClosed):
            await socket_.recv()

    run(scenario)


def test_invalid_utf8_binary_and_trickled_frames_arrive_as_such() -> None:
    async def scenario():
        faults = [Fault("binary", on="session.created"), Fault("trickle", on="session.updated", seconds=0.02)]
        async with served(*faults) as server, client(server) as socket_:
            assert isinstance(await socket_.recv(), bytes)
            await opened(socket_)
        async with served(Fault("invalid_utf8", on="session.created")) as server:
            socket_ = await connect(server.url + "?intent=transcription", additional_headers=AUTH)
            with pytest.raises((ConnectionClosedError, UnicodeDecodeError)):
                await socket_.recv()
            await socket_.close()

    run(scenario)


def test_the_first_connections_can_be_refused_with_http() -> None:
    async def scenario():
        fault = Fault("http", on="connect", first=2, code=503, message="Overloaded.")
        async with served(fault) as server:
            for _ in range(2):
                with pytest.raises(InvalidStatus) as caught:
                    await connect(server.url + "?intent=transcription", additional_headers=AUTH)
                assert caught.value.response.status_code == 503
                assert json.loads(caught.value.response.body)["error"]["message"] == "Overloaded."
            await transcribe(server)
            assert [session.http_status for session in server.sessions] == [503, 503, 101]
            assert "refused with HTTP 503: Overloaded." in server.explain()

    run(scenario)


def test_the_handshake_can_be_slow_or_cut() -> None:
    async def scenario():
        slow, cut = Fault("delay", on="connect", connection=1, seconds=0.02), Fault("reset", on="connect", connection=2)
        async with served(slow, cut) as server:
            await transcribe(server)
            with pytest.raises((InvalidMessage, OSError, EOFError)):
                await connect(server.url + "?intent=transcription", additional_headers=AUTH)
            await transcribe(server)

    run(scenario)


def test_faults_from_a_script_file(tmp_path) -> None:
    from rtstt_testkit.mock.script_file import ScriptError, load_script

    path = tmp_path / "script.toml"
    path.write_text(
        '[[fault]]\naction = "close"\nafter = "session.updated"\ncode = 4001\nreason = "gone"\n\n'
        '[[fault]]\naction = "drop"\non = "delta"\nnth = 0\nprobability = 0.5\n'
    )
    assert load_script(path).faults == (
        Fault("close", after="session.updated", code=4001, reason="gone"),
        Fault("drop", on="delta", nth=None, probability=0.5),
    )
    path.write_text('[[fault]]\naction = "close"\nafter = "delta"\n\n[[fault]]\naction = "drop"\nbefore = "delta"\n')
    with pytest.raises(ScriptError) as caught:
        load_script(path)
    assert str(caught.value) == (f"{path}, line 5: `fault[2]` does not fit: 'drop' goes with on, not before='delta'")


def test_speech_survives_beside_faults() -> None:
    async def scenario():
        async with served(Fault("delay", before="delta", seconds=0.01)) as server:
            assert (await transcribe(server, SPEECH))[-1]["type"] == COMPLETED

    run(scenario)
