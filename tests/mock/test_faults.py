"""Faults at any event: in the session, and those that need a socket."""

import asyncio
import json

import pytest
import sdk_types
from talk import COMPLETED, DELTA, FAILED, Talk, append, silence, tone, types, update
from test_server import AUTH, SPEECH, client, receive, run, settled, transcribe
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidMessage, InvalidStatus

from rtstt_testkit import Failure, Fault, RealtimeServer, Script
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.script.faults import SERVER_EVENTS, FaultPlan
from rtstt_testkit.mock.session.output import Close, RawFrame, Reset, Send, Stall, Trickle

COMMIT = {"type": "input_audio_buffer.commit"}
ITEM = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]


def commit_with(*faults: Fault, text: str = "One two", **options) -> tuple[Talk, list]:
    talk = Talk(script=Script.of([text, "again"], faults), **options)
    assert types(talk.send(update(turn_detection=None))) == ["session.updated"]
    talk.speak(tone(200))
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

    def test_frames_with_wrong_content(self) -> None:
        talk, events = commit_with(
            Fault("malformed", on="added"),
            Fault("invalid_utf8", on="done"),
            Fault("binary", on="delta", nth=1),
            Fault("trickle", on="delta", nth=2, seconds=3),
        )
        assert types(events) == ["input_audio_buffer.committed", COMPLETED]
        malformed, invalid, binary, trickle = talk.raw
        assert isinstance(malformed, Send)
        assert malformed.text.startswith('{"type":"conversation.item.added"')
        assert isinstance(invalid, RawFrame)
        assert not invalid.binary
        with pytest.raises(UnicodeDecodeError):
            invalid.payload.decode()
        assert isinstance(binary, RawFrame)
        assert json.loads(binary.payload)["delta"] == "One"
        assert isinstance(trickle, Trickle)
        assert (json.loads(trickle.payload)["delta"], trickle.seconds) == (" two", 3)

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

    def test_an_error_of_the_endpoints_table_needs_only_its_code(self) -> None:
        _, events = commit_with(Fault("error", before="delta", code="input_audio_buffer_commit_empty"))
        assert events[3]["error"]["message"] == (
            "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only "
            "has 0.00ms of audio."
        )
        assert events[3]["error"]["code"] == "input_audio_buffer_commit_empty"

    def test_the_session_expires_early(self) -> None:
        talk, events = commit_with(Fault("expire", after="done"))
        assert types(events) == [*ITEM, "error"]
        assert events[-1]["error"]["code"] == "session_expired"
        assert talk.close == Close(1001, "Your session hit the maximum duration of 60 minutes.")

    def test_a_transcription_fails_with_too_many_requests_after_its_deltas(self) -> None:
        talk, events = commit_with(Fault("fail", on="completed"))
        assert types(events) == [*ITEM, DELTA, DELTA, FAILED]
        assert events[-1]["item_id"] == events[0]["item_id"]
        assert events[-1]["error"]["message"] == (
            f"Input transcription failed for item '{events[0]['item_id']}'. 429 Too Many Requests"
        )
        assert talk.record.transcripts == []

    def test_a_pause_between_deltas_stops_that_item_alone(self) -> None:
        talk, events = commit_with(Fault("pause", before="delta", nth=2, seconds=3))
        assert types(events) == [*ITEM, DELTA]
        talk.speak(tone(200))
        assert types(talk.send(COMMIT)) == [*ITEM, DELTA, COMPLETED]
        assert talk.wait(2.9) == []
        late = talk.wait(0.1)
        assert types(late) == [DELTA, COMPLETED]
        assert {event["item_id"] for event in late} == {events[0]["item_id"]}

    def test_a_pause_after_a_delta_holds_the_later_deltas_of_a_streaming_model(self) -> None:
        talk = Talk(script=Script.of(["a b c d e f g h"], [Fault("pause", after="delta", seconds=60)]))
        talk.send(update("gpt-realtime-whisper", turn_detection=None))
        assert types(talk.speak(tone(3000))) == [DELTA]
        assert types(talk.send(COMMIT)) == ITEM
        assert types(talk.wait(60)) == [DELTA] * 7 + [COMPLETED]


class TestComposition:
    """Several faults at one event: before it, then on it in the given order, then after it."""

    def test_two_that_happen_to_the_event_itself(self) -> None:
        talk, events = commit_with(Fault("binary", on="delta"), Fault("duplicate", on="delta"))
        assert types(events) == [*ITEM, DELTA, COMPLETED]
        assert [json.loads(raw.payload)["delta"] for raw in talk.raw] == ["One", "One"]

    def test_three_that_happen_to_the_event_itself(self) -> None:
        faults = Fault("malformed", on="added"), Fault("trickle", on="added", seconds=2), Fault("reorder", on="added")
        talk, events = commit_with(*faults)
        assert types(events)[:2] == ["input_audio_buffer.committed", "conversation.item.done"]
        (raw,) = talk.raw
        assert isinstance(raw, Trickle)
        assert raw.payload.startswith(b'{"type":"conversation.item.added"')
        assert raw.seconds == 2
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(raw.payload)

    def test_a_failure_sent_twice_and_then_the_end_of_the_connection(self) -> None:
        talk, events = commit_with(
            Fault("fail", on="completed", code="rate_limit_exceeded", message="Slow down."),
            Fault("duplicate", on="completed"),
            Fault("reset", after="completed"),
        )
        assert types(events) == [*ITEM, DELTA, DELTA, FAILED, FAILED]
        assert events[-1]["error"]["message"] == "Slow down."
        assert talk.close == Reset()

    def test_a_duplicate_whose_second_frame_is_cut(self) -> None:
        talk, events = commit_with(Fault("duplicate", on="completed"), Fault("truncate", on="completed"))
        assert types(events) == [*ITEM, DELTA, DELTA, COMPLETED]
        assert json.loads(talk.close.part) == events[-1]

    def test_a_dropped_event_cannot_be_cut(self) -> None:
        talk, events = commit_with(Fault("drop", on="completed"), Fault("truncate", on="completed"))
        assert types(events) == [*ITEM, DELTA, DELTA]
        assert talk.close is None

    def test_a_delay_before_an_event_applies_all_the_others(self) -> None:
        talk, events = commit_with(
            Fault("error", before="added", code="first"),
            Fault("delay", before="added", seconds=2),
            Fault("error", before="added", code="second"),
            Fault("duplicate", on="added"),
            Fault("delay", after="added", seconds=3),
            Fault("error", after="added", code="third"),
        )
        assert [event.get("error", event).get("code", event["type"]) for event in events] == [
            "input_audio_buffer.committed",
            "first",
        ]
        second = talk.wait(2)
        assert types(second) == ["error", "conversation.item.added", "conversation.item.added"]
        assert types(talk.wait(3)) == ["error", "conversation.item.done", DELTA, DELTA, COMPLETED]

    def test_a_pause_and_a_delay_before_the_same_event(self) -> None:
        talk, events = commit_with(Fault("pause", before="delta", seconds=2), Fault("delay", before="delta", seconds=1))
        assert types(events) == ITEM
        assert talk.wait(2) == []
        assert types(talk.wait(1)) == [DELTA, DELTA, COMPLETED]

    def test_an_event_out_of_order_still_comes_before_the_end(self) -> None:
        talk, events = commit_with(Fault("reorder", on="completed"), Fault("close", after="completed", code=4001))
        assert types(events) == [*ITEM, DELTA, DELTA, COMPLETED]
        assert talk.close == Close(4001, "")

    def test_at_a_client_event_too(self) -> None:
        talk, events = commit_with(
            Fault("error", before="input_audio_buffer.commit"),
            Fault("drop", on="input_audio_buffer.commit"),
            Fault("duplicate", on="error"),
        )
        assert types(events) == ["error", "error"]
        talk, events = commit_with(Fault("error", after="commit"), Fault("expire", after="commit"))
        assert types(events)[:3] == ITEM
        assert types(events)[-2:] == ["error", "error"]
        assert talk.close.code == 1001

    def test_chance_on_one_connection_does_not_depend_on_another(self) -> None:
        def course(number: int) -> list[bool]:
            dice = Ids(7).chance(f"session {number}")
            plan = FaultPlan([Fault("drop", on="delta", probability=0.5)], number, dice)
            return [bool(plan.match(DELTA)) for _ in range(20)]

        assert course(1) == course(1)
        assert course(1) != course(2)
        assert Ids().chance("session 1")() != Ids().chance("session 1")()


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
        talk.speak(silence(100))
        assert talk.close is None
        talk.speak(silence(50))
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
        ({"action": "close", "on": "delta"}, "'close' needs before or after, not on='delta'"),
        ({"action": "drop", "before": "delta"}, "'drop' needs on, not before='delta'"),
        ({"action": "http", "before": "delta"}, "'http' needs on='connect', not before='delta'"),
        ({"action": "http", "on": "delta"}, "'http' needs on='connect', not on='delta'"),
        ({"action": "drop", "on": "connect"}, "'drop' cannot be applied on connect; delay, http, reset can"),
        ({"action": "http", "on": "connect", "code": 200}, "code is 200; it must be an HTTP status from 400 to 599"),
        (
            {"action": "close", "after": "delta", "code": 1006},
            "code is 1006; it must be a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999",
        ),
        ({"action": "drop", "on": "delta", "probability": 2}, "probability is 2; it must be from 0 to 1"),
        (
            {"action": "close", "after": "sesion.updated"},
            "after='sesion.updated' is not an event of either side; did you mean 'session.updated'?",
        ),
        (
            {"action": "close", "after": "x"},
            "after='x' is not an event of either side; give its type, the last part of it, or '*'",
        ),
        ({"action": "fail", "on": "delta"}, "'fail' is for completed of a transcription, not on='delta'"),
        (
            {"action": "pause", "before": "added"},
            "'pause' is for completed or delta or failed or segment of a transcription, not before='added'",
        ),
        (
            {"action": "duplicate", "on": "session.update"},
            "'duplicate' is for events that the server sends, not for 'session.update'",
        ),
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
    talk.speak(tone(200))
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


async def seen(server) -> list[str]:
    """Return what a client receives of a session, as last parts of event types, up to its transcript or the end."""
    events: list[str] = []
    async with client(server) as socket_:
        try:
            for event in (update(turn_detection=None), append(tone(200)), COMMIT):
                await socket_.send(json.dumps(event))
        except ConnectionClosed:  # what came before it can be read all the same
            pass
        try:
            while not events or events[-1] not in ("completed", "failed"):
                frame = await socket_.recv()
                if isinstance(frame, bytes):
                    events.append("binary")
                    continue
                try:
                    event = json.loads(frame)
                except ValueError:
                    events.append("malformed")
                    continue
                code = event.get("error", {}).get("code")
                events.append(event["type"].rpartition(".")[2] + (f" {code}" if code else ""))
        except ConnectionClosed as closed:
            if closed.sent is not None and closed.sent.code == 1007:
                events.append("not UTF-8")
            else:
                events.append(f"close {closed.rcvd.code} {closed.rcvd.reason}" if closed.rcvd else "lost")
        except UnicodeDecodeError:  # websockets before 14
            events.append("not UTF-8")
    return events


OPENING = ["created", "updated", "committed", "added", "done"]
WHOLE = [*OPENING, "delta", "delta", "completed"]


@pytest.mark.parametrize(
    ("faults", "came"),
    [
        ([], WHOLE),
        ([Fault("error", before="committed")], [*WHOLE[:2], "error", *WHOLE[2:]]),
        ([Fault("error", after="delta", code="my_code")], [*OPENING, "delta", "error my_code", "delta", "completed"]),
        ([Fault("close", before="delta", code=4001, reason="gone")], [*OPENING, "close 4001 gone"]),
        ([Fault("close", after="session.update", code=1013)], ["created", "updated", "close 1013 "]),
        (
            [Fault("expire", after="delta")],
            [
                *OPENING,
                "delta",
                "error session_expired",
                "close 1001 Your session hit the maximum duration of 60 minutes.",
            ],
        ),
        ([Fault("reset", after="delta")], [*OPENING, "delta", "lost"]),
        ([Fault("delay", before="delta", seconds=0.02)], WHOLE),
        ([Fault("pause", before="delta", nth=2, seconds=0.02)], WHOLE),
        ([Fault("fail", on="completed")], [*WHOLE[:-1], "failed"]),
        ([Fault("drop", on="delta")], [*OPENING, "delta", "completed"]),
        ([Fault("duplicate", on="delta")], [*OPENING, "delta", "delta", "delta", "completed"]),
        ([Fault("reorder", on="committed")], ["created", "updated", "added", "committed", *WHOLE[4:]]),
        ([Fault("malformed", on="delta", nth=2)], [*OPENING, "delta", "malformed", "completed"]),
        ([Fault("invalid_utf8", on="delta")], [*OPENING, "not UTF-8"]),
        ([Fault("binary", on="delta")], [*OPENING, "binary", "delta", "completed"]),
        ([Fault("truncate", on="delta")], [*OPENING, "lost"]),
        ([Fault("trickle", on="delta", seconds=0.02)], WHOLE),
        (
            [Fault("binary", on="delta"), Fault("duplicate", on="delta"), Fault("trickle", on="delta", seconds=0.02)],
            [*OPENING, "binary", "binary", "delta", "completed"],
        ),
        (
            [
                Fault("error", before="delta"),
                Fault("delay", before="delta", seconds=0.02),
                Fault("malformed", on="delta"),
                Fault("close", after="delta"),
            ],
            [*OPENING, "error", "malformed", "close 1011 "],
        ),
        (
            [Fault("duplicate", on="added"), Fault("fail", on="completed"), Fault("drop", on="delta", nth=None)],
            ["created", "updated", "committed", "added", "added", "done", "failed"],
        ),
    ],
    ids=lambda value: "+".join(map(str, value)) or "none" if value and isinstance(value[0], Fault) else "",
)
def test_a_real_client_sees_every_fault(faults, came) -> None:
    async def scenario():
        async with served(script=Script.of(["One two"], faults), strict=False) as server:
            assert await seen(server) == came

    run(scenario)


def test_random_faults_are_the_same_for_the_same_seed_whatever_the_order_of_clients() -> None:
    faults = [
        Fault(action, on="*", probability=0.05)
        for action in ("drop", "duplicate", "reorder", "malformed", "binary", "truncate")
    ] + [Fault("fail", on="completed", probability=0.3), Fault("close", before="*", probability=0.03)]

    def course(number: int) -> tuple[list[str], list[str], object]:
        talk = Talk(script=Script((), "One two three four", faults), number=number)
        talk.send(update(turn_detection=None))
        talk.speak(tone(200))
        talk.send(COMMIT)
        return talk.record.types, [type(raw).__name__ for raw in talk.raw], talk.close

    forwards = {number: course(number) for number in range(1, 41)}
    backwards = {number: course(number) for number in range(40, 0, -1)}
    assert forwards == backwards
    assert len({str(came) for came in forwards.values()}) > 20


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
    from rtstt_testkit.mock.script.file import ScriptError, load_script

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
    assert str(caught.value) == (f"{path}, line 5: `fault[2]` does not fit: 'drop' needs on, not before='delta'")


def test_speech_is_transcribed_beside_faults() -> None:
    async def scenario():
        async with served(Fault("delay", before="delta", seconds=0.01)) as server:
            assert (await transcribe(server, SPEECH))[-1]["type"] == COMPLETED

    run(scenario)


def test_the_list_of_events_is_what_the_sdk_knows() -> None:
    assert set(SERVER_EVENTS) <= sdk_types.event_types()
