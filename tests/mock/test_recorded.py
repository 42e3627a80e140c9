"""Conversations in the order and the shapes of recorded ones: PROTOCOL.md, sections 3 and 6."""

import itertools
from typing import Any

import pytest
from recorded import COMPLETED, DELTA, FAILED, RECORDINGS, SESSION, STARTED, Recording
from talk import Talk, silence, tone, types

from rtstt_testkit import Failure
from rtstt_testkit.mock.inspect.explain import explain

CONVERSATION = "/v1/realtime?model=gpt-realtime"


def play(recording: Recording) -> tuple[Talk, list[dict[str, Any]]]:
    """Send the client's side of a recording and return the server's events."""
    answer = Failure(code=recording.failed) if recording.failed else "One two three four five."
    talk = Talk(CONVERSATION, transcripts=[answer] * recording.turns)
    events = talk.send({"type": "session.update", "session": {"type": "realtime", "audio": {"input": recording.input}}})
    assert types(events) == ["session.updated"]
    for _ in range(recording.turns):
        events += talk.speak(silence(400) + tone(1600) + silence(400))
    return talk, events[1:]


@pytest.mark.parametrize("name", list(RECORDINGS))
def test_input_audio_and_transcription_have_the_recorded_order(name: str) -> None:
    recording = RECORDINGS[name]
    _, events = play(recording)
    answers = {event["item"]["id"] for event in events if event["type"] == "response.output_item.added"}
    relevant = [
        event["type"]
        for event in events
        if event["type"] in recording.order and event.get("item", {}).get("id") not in answers
    ]
    assert tuple(type_ for type_, _ in itertools.groupby(relevant)) == recording.order


def test_a_turn_has_the_recorded_shapes() -> None:
    _, events = play(RECORDINGS["a turn with gpt-realtime-whisper"])
    by_type = {event["type"]: event for event in events}
    item_id = by_type[STARTED]["item_id"]
    assert by_type["input_audio_buffer.committed"]["previous_item_id"] is None
    assert {event["item_id"] for event in events if event["type"] in (DELTA, COMPLETED)} == {item_id}
    assert by_type[COMPLETED]["usage"] == {"type": "duration", "seconds": 3}
    assert by_type[COMPLETED]["transcript"] == "One two three four five."


def test_a_missing_deployment_fails_the_item() -> None:
    _, events = play(RECORDINGS["a deployment that is missing"])
    failed = next(event for event in events if event["type"] == FAILED)
    assert failed["error"] == {
        "type": "server_error",
        "code": "DeploymentNotFound",
        "message": f"Input transcription failed for item '{failed['item_id']}'.",
        "param": None,
    }


def test_items_of_both_sides_form_a_chain() -> None:
    _, events = play(RECORDINGS["three turns"])
    added = [event for event in events if event["type"] == "conversation.item.added"]
    assert [event["previous_item_id"] for event in added] == [None, *(event["item"]["id"] for event in added[:-1])]
    assert [event["item"]["role"] for event in added] == ["user", "assistant"] * 3


def test_session_created_is_the_whole_recorded_object_and_nothing_follows_it() -> None:
    (created,) = Talk(CONVERSATION).opening
    session = created["session"]
    assert tuple(session) == SESSION
    assert session["audio"] == {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "idle_timeout_ms": None,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
    }
    assert [session[name] for name in ("tracing", "truncation", "prompt", "include")] == [None, "auto", None, None]


def test_session_updated_echoes_the_model_and_keeps_the_rest_of_the_output() -> None:
    talk = Talk(CONVERSATION)
    audio = {"input": RECORDINGS["three turns"].input, "output": {"format": {"type": "audio/pcm", "rate": 24000}}}
    (updated,) = talk.send({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
    shown = updated["session"]["audio"]
    assert shown["input"]["transcription"] == {"model": "gpt-realtime-whisper", "language": None, "prompt": None}
    assert shown["input"]["turn_detection"]["silence_duration_ms"] == 200
    assert shown["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0}


def test_a_response_ends_in_the_recorded_order() -> None:
    events = Talk(CONVERSATION).send({"type": "response.create"})
    assert types(events)[-4:] == [
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]


def test_a_client_that_turns_responses_off_gets_none() -> None:
    recording = RECORDINGS["three turns"]
    turns = {**recording.input["turn_detection"], "create_response": False}
    _, events = play(recording._replace(input={**recording.input, "turn_detection": turns}))
    assert "response.created" not in types(events)
    assert types(events).count(COMPLETED) == 3


def test_a_conversation_without_transcription_is_not_asked_for_one() -> None:
    talk, _ = play(RECORDINGS["no transcription"])
    assert "so no transcript can come." in " ".join(explain(talk.record))


def test_the_defaults_of_a_conversation_are_those_of_its_model() -> None:
    (created,) = Talk("/v1/realtime?model=gpt-realtime-2.1").opening
    audio = created["session"]["audio"]
    assert audio["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert audio["output"]["voice"] == "marin"
