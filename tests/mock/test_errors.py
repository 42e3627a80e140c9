"""Every refusal of an event, in the endpoint's words: PROTOCOL.md, section 7."""

import json
from typing import Any

import pytest
from talk import Talk, append, tone, types, update

from rtstt_testkit.mock.protocol import events

EVENTS = (
    "'session.update', 'session.close', 'input_audio_buffer.append', 'session.input_audio_buffer.append', "
    "'input_audio_buffer.commit', 'input_audio_buffer.clear', 'conversation.item.create', "
    "'conversation.item.truncate', 'conversation.item.delete', 'conversation.item.retrieve', 'response.create', "
    "and 'response.cancel'"
)
TRANSCRIPTION_MODELS = (
    "'whisper-1', 'gpt-4o-transcribe', 'gpt-4o-mini-transcribe', 'gpt-4o-mini-transcribe-2025-03-20', "
    "'gpt-4o-mini-transcribe-2025-12-15', 'gpt-4o-transcribe-diarize', 'gpt-transcribe', 'gpt-live-transcribe', "
    "and 'gpt-realtime-whisper'"
)
AUDIO = "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got {}."
IN = "session.audio.input"


def session(value: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": value}


def audio_input(**fields: Any) -> dict[str, Any]:
    return update(None, **fields)


def vad(**fields: Any) -> dict[str, Any]:
    return audio_input(turn_detection={"type": "server_vad", **fields})


def transcription(**fields: Any) -> dict[str, Any]:
    return audio_input(transcription=fields, turn_detection=None)


@pytest.mark.parametrize(
    ("event", "code", "param", "message"),
    [
        # captured or reported
        (
            {"type": "nope"},
            "invalid_value",
            "type",
            f"Invalid value: 'nope'. Supported values are: {EVENTS}.",
        ),
        (
            {"type": "transcription_session.update", "session": {}},
            "invalid_value",
            "type",
            f"Invalid value: 'transcription_session.update'. Supported values are: {EVENTS}.",
        ),
        (
            session({"type": "transcription", "bogus_field": 1}),
            "unknown_parameter",
            "session.bogus_field",
            "Unknown parameter: 'session.bogus_field'.",
        ),
        (
            session({}),
            "missing_required_parameter",
            "session.type",
            "Missing required parameter: 'session.type'.",
        ),
        (
            transcription(language="en"),
            "missing_required_parameter",
            f"{IN}.transcription.model",
            f"Missing required parameter: '{IN}.transcription.model'.",
        ),
        (
            audio_input(turn_detection={"threshold": 0.5}),
            "missing_required_parameter",
            f"{IN}.turn_detection.type",
            f"Missing required parameter: '{IN}.turn_detection.type'.",
        ),
        (
            audio_input(format={"type": "audio/pcm", "rate": 8000}),
            "integer_below_min_value",
            f"{IN}.format.rate",
            f"Invalid '{IN}.format.rate': integer below minimum value. "
            "Expected a value >= 24000, but got 8000 instead.",
        ),
        (
            transcription(model="gpt-realtime-whisper", delay="bogus"),
            "invalid_value",
            f"{IN}.transcription.delay",
            "Invalid value: 'bogus'. Supported values are: 'minimal', 'low', 'medium', 'high', and 'xhigh'.",
        ),
        (
            update("gpt-realtime-whisper", turn_detection={"type": "server_vad"}),
            "invalid_value",
            f"{IN}.turn_detection",
            "Turn detection is not supported for this transcription model.",
        ),
        ("{nope", "invalid_json", None, "Invalid event: failed to parse JSON value."),
        (
            b"\x00\x01",
            "invalid_event",
            None,
            "Expected a text WebSocket message; binary frames are not supported.",
        ),
        ({"type": "input_audio_buffer.append", "audio": ""}, None, "audio", AUDIO.format("empty bytes")),
        ({"type": "input_audio_buffer.append", "audio": "!!"}, None, "audio", AUDIO.format("an invalid value")),
        ({"type": "input_audio_buffer.append", "audio": "é"}, None, "audio", AUDIO.format("an invalid value")),
        ({"type": "input_audio_buffer.append", "audio": "AAA"}, None, "audio", AUDIO.format("an invalid value")),
        ({"type": "input_audio_buffer.append", "audio": 5}, None, "audio", AUDIO.format("an invalid value")),
        (
            session({"type": "realtime", "instructions": "x"}),
            "invalid_parameter",
            None,
            "Passing a realtime session update to a transcription session is not allowed.",
        ),
        # assumed: in the form of the captured ones, or of OpenAI's other endpoints
        ("[1]", "invalid_type", "event", "Invalid type for 'event': expected an object, but got an array instead."),
        ("null", "invalid_type", "event", "Invalid type for 'event': expected an object, but got null instead."),
        ({}, "missing_required_parameter", "type", "Missing required parameter: 'type'."),
        (
            {"type": 3},
            "invalid_type",
            "type",
            "Invalid type for 'type': expected a string, but got an integer instead.",
        ),
        (
            {"type": "session.update"},
            "missing_required_parameter",
            "session",
            "Missing required parameter: 'session'.",
        ),
        (
            {"type": "input_audio_buffer.append"},
            "missing_required_parameter",
            "audio",
            "Missing required parameter: 'audio'.",
        ),
        (
            {"type": "input_audio_buffer.commit", "final": True},
            "unknown_parameter",
            "final",
            "Unknown parameter: 'final'.",
        ),
        (
            session("transcription"),
            "invalid_type",
            "session",
            "Invalid type for 'session': expected an object, but got a string instead.",
        ),
        (
            session({"type": "translation"}),
            "invalid_value",
            "session.type",
            "Invalid value: 'translation'. Supported values are: 'transcription' and 'realtime'.",
        ),
        (
            session({"type": "transcription", "audio": []}),
            "invalid_type",
            "session.audio",
            "Invalid type for 'session.audio': expected an object, but got an array instead.",
        ),
        (
            session({"type": "transcription", "audio": {"output": {}}}),
            "unknown_parameter",
            "session.audio.output",
            "Unknown parameter: 'session.audio.output'.",
        ),
        (
            session({"type": "transcription", "include": "logprobs"}),
            "invalid_type",
            "session.include",
            "Invalid type for 'session.include': expected an array of strings, but got a string instead.",
        ),
        (
            session({"type": "transcription", "include": ["logprobs"]}),
            "invalid_value",
            "session.include[0]",
            "Invalid value: 'logprobs'. Supported values are: 'item.input_audio_transcription.logprobs'.",
        ),
        (
            audio_input(format={"type": "audio/wav"}),
            "invalid_value",
            f"{IN}.format.type",
            "Invalid value: 'audio/wav'. Supported values are: 'audio/pcm', 'audio/pcmu', and 'audio/pcma'.",
        ),
        (
            audio_input(format="pcm16"),
            "invalid_type",
            f"{IN}.format",
            f"Invalid type for '{IN}.format': expected an object, but got a string instead.",
        ),
        (
            audio_input(format={"type": "audio/pcm", "rate": 48000}),
            "integer_above_max_value",
            f"{IN}.format.rate",
            f"Invalid '{IN}.format.rate': integer above maximum value. "
            "Expected a value <= 24000, but got 48000 instead.",
        ),
        (
            audio_input(format={"type": "audio/pcmu", "rate": 8000}),
            "unknown_parameter",
            f"{IN}.format.rate",
            f"Unknown parameter: '{IN}.format.rate'.",
        ),
        (
            audio_input(noise_reduction={"type": "mid_field"}),
            "invalid_value",
            f"{IN}.noise_reduction.type",
            "Invalid value: 'mid_field'. Supported values are: 'near_field' and 'far_field'.",
        ),
        (
            transcription(model="gpt-nope"),
            "invalid_value",
            f"{IN}.transcription.model",
            f"Invalid value: 'gpt-nope'. Supported values are: {TRANSCRIPTION_MODELS}.",
        ),
        (
            transcription(model="whisper-1", language=5),
            "invalid_type",
            f"{IN}.transcription.language",
            f"Invalid type for '{IN}.transcription.language': expected a string, but got an integer instead.",
        ),
        (
            transcription(model="gpt-live-transcribe", languages=["en", None]),
            "invalid_type",
            f"{IN}.transcription.languages[1]",
            f"Invalid type for '{IN}.transcription.languages[1]': expected a string, but got null instead.",
        ),
        (
            transcription(model="whisper-1", delay="low"),
            "invalid_value",
            f"{IN}.transcription.delay",
            "The 'delay' parameter is not supported for this model.",
        ),
        (
            transcription(model="gpt-realtime-whisper", prompt="x"),
            "invalid_value",
            f"{IN}.transcription.prompt",
            "The 'prompt' parameter is not supported for this model.",
        ),
        (
            transcription(model="gpt-4o-transcribe", prompt="x" * 2048),
            "string_above_max_length",
            f"{IN}.transcription.prompt",
            f"Invalid '{IN}.transcription.prompt': string too long. Expected a string with maximum length 1024, but "
            "got a string with length 2048 instead.",
        ),
        (
            audio_input(format={"type": "audio/pcm"}),
            "missing_required_parameter",
            f"{IN}.format.rate",
            f"Missing required parameter: '{IN}.format.rate'.",
        ),
        (
            transcription(model="gpt-live-transcribe", languages=[]),
            "empty_array",
            f"{IN}.transcription.languages",
            f"Invalid '{IN}.transcription.languages': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
        ),
        (
            transcription(model="gpt-live-transcribe", languages=None),
            "invalid_type",
            f"{IN}.transcription.languages",
            f"Invalid type for '{IN}.transcription.languages': expected an array of strings, but got null instead.",
        ),
        (
            transcription(model="gpt-live-transcribe", language="en", languages=["de"]),
            "invalid_value",
            f"{IN}.transcription.languages",
            "The 'language' and 'languages' parameters cannot be used together.",
        ),
        (
            vad(threshold=1.5),
            "decimal_above_max_value",
            f"{IN}.turn_detection.threshold",
            f"Invalid '{IN}.turn_detection.threshold': decimal above maximum value. "
            "Expected a value <= 1, but got 1.5 instead.",
        ),
        (
            vad(threshold="high"),
            "invalid_type",
            f"{IN}.turn_detection.threshold",
            f"Invalid type for '{IN}.turn_detection.threshold': expected a decimal, but got a string instead.",
        ),
        (
            vad(silence_duration_ms=0.5),
            "invalid_type",
            f"{IN}.turn_detection.silence_duration_ms",
            f"Invalid type for '{IN}.turn_detection.silence_duration_ms': expected an integer, "
            "but got a decimal number instead.",
        ),
        (
            vad(prefix_padding_ms=-1),
            "integer_below_min_value",
            f"{IN}.turn_detection.prefix_padding_ms",
            f"Invalid '{IN}.turn_detection.prefix_padding_ms': integer below minimum value. "
            "Expected a value >= 0, but got -1 instead.",
        ),
        (
            vad(create_response=1),
            "invalid_type",
            f"{IN}.turn_detection.create_response",
            f"Invalid type for '{IN}.turn_detection.create_response': expected a boolean, but got an integer instead.",
        ),
        (
            vad(eagerness="low"),
            "unknown_parameter",
            f"{IN}.turn_detection.eagerness",
            f"Unknown parameter: '{IN}.turn_detection.eagerness'.",
        ),
        (
            audio_input(turn_detection={"type": "semantic_vad", "eagerness": "keen"}),
            "invalid_value",
            f"{IN}.turn_detection.eagerness",
            "Invalid value: 'keen'. Supported values are: 'low', 'medium', 'high', and 'auto'.",
        ),
        (
            audio_input(turn_detection={"type": True}),
            "invalid_type",
            f"{IN}.turn_detection.type",
            f"Invalid type for '{IN}.turn_detection.type': expected one of 'server_vad' and 'semantic_vad', "
            "but got a boolean instead.",
        ),
        (
            {"type": "conversation.item.retrieve", "item_id": "item_x"},
            "item_retrieve_invalid_item_id",
            "item_id",
            "Error retrieving item: the item with id 'item_x' does not exist.",
        ),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_the_error_has_the_endpoints_words_and_the_socket_stays_open(
    event: Any, code: str | None, param: str | None, message: str
) -> None:
    talk = Talk()
    if isinstance(event, dict):
        event = {**event, "event_id": "client-1"}
    (error,) = talk.send(event)
    assert error["type"] == "error"
    assert error["error"] == {
        "type": "invalid_request_error",
        "code": code,
        "message": message,
        "param": param,
        "event_id": "client-1" if isinstance(event, dict) else None,
    }
    assert talk.close is None
    assert types(talk.send(update())) == ["session.updated"]


def test_a_transcription_update_to_a_conversation_is_refused() -> None:
    (error,) = Talk("/v1/realtime?model=gpt-realtime").send(update())
    assert error["error"]["code"] == "invalid_parameter"
    assert error["error"]["message"] == ("Passing a transcription session update to a realtime session is not allowed.")


def test_an_append_over_15_mib_is_refused() -> None:
    (error,) = Talk().send(append(bytes(15 * 1024 * 1024 + 2)))
    assert error["error"]["message"] == "Invalid 'audio'. Expected at most 15 MiB of audio in one event."


@pytest.mark.parametrize("frame", ["[" * 100_000, '{"type": NaN}', '"\ud800"', "1" * 5000, "", "\x00"])
def test_hostile_json_is_only_an_error(frame: str) -> None:
    talk = Talk()
    assert types(talk.send(frame)) == ["error"]
    assert types(talk.send(update())) == ["session.updated"]


def test_a_long_value_is_not_echoed_at_length() -> None:
    (error,) = Talk().send({"type": "x" * 1_000_000})
    assert len(error["error"]["message"]) < 1000


def test_an_event_id_of_another_type_is_refused_and_not_echoed() -> None:
    (error,) = Talk().send({"type": "input_audio_buffer.clear", "event_id": 5})
    assert error["error"]["param"] == "event_id"
    assert error["error"]["event_id"] is None


@pytest.mark.parametrize("decode", [events.plain_b64decode, events.b64decode])
def test_both_base64_decoders_are_strict(decode) -> None:
    assert decode("AAEC") == b"\0\1\2"
    for text in ["AAA", "AA\nAA", "AA AA", "AA==AA", "A", "é", "-_-_"]:
        with pytest.raises(ValueError):
            decode(text)


def test_an_append_may_carry_an_event_id() -> None:
    talk = Talk()
    assert talk.send({**append(tone(20)), "event_id": "a"}) == []
    (error,) = talk.send({"type": "input_audio_buffer.append", "audio": "", "event_id": "b"})
    assert error["error"]["event_id"] == "b"


@pytest.mark.parametrize("character", list("<>\r\n"))
def test_a_keyword_with_an_unsupported_character_is_refused_without_the_clients_event_id(character: str) -> None:
    event = transcription(model="gpt-live-transcribe", keywords=["gateway", f"a{character}b"])
    (error,) = Talk().send({**event, "event_id": "client-1"})
    assert error["error"] == {
        "type": "invalid_request_error",
        "code": "invalid_value",
        "message": "The 'keywords' parameter contains unsupported characters.",
        "param": f"{IN}.transcription.keywords",
        "event_id": None,
    }


def test_a_prompt_is_measured_in_code_points_and_keywords_may_be_empty_and_many() -> None:
    for options in ({"prompt": "🎤" * 1024}, {"keywords": [""] * 16_384}):
        event = transcription(model="gpt-live-transcribe", **options)
        assert types(Talk().send(event)) == ["session.updated"]
    assert types(Talk().send(transcription(model="whisper-1", prompt="🎤" * 1025))) == ["error"]
