"""Every field of every client event: known to the SDK, and refused by name when it is unknown, missing or wrong."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from openai import BaseModel
from openai.types.realtime import (
    RealtimeClientEvent,
    RealtimeSessionCreateRequest,
    RealtimeTranscriptionSessionCreateRequest,
)
from talk import Talk, update

from rtstt_testkit.mock.protocol import schema
from rtstt_testkit.mock.protocol.models import TRANSCRIPTION_MODELS
from rtstt_testkit.mock.protocol.schema import CLIENT_EVENT_FIELDS, REALTIME_SESSION, TRANSCRIPTION_SESSION

# -- the table against the SDK's request types


def bare(field: schema.Field) -> schema.Field:
    return bare(field.field) if isinstance(field, schema.Nullable) else field


def tag_of(model: type[BaseModel]) -> str:
    return next(word for part in get_args(model.model_fields["type"].annotation) for word in get_args(part) or [part])


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if get_origin(annotation) is Annotated:
        return models_in(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [model for part in get_args(annotation) for model in models_in(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def disagreements(annotation: Any, field: schema.Field, path: str) -> Iterator[str]:
    """Yield the fields that only one of the two has."""
    field = bare(field)
    if isinstance(field, schema.Anything):
        return
    for model in models_in(annotation):
        known = field.variants[tag_of(model)] if isinstance(field, schema.Tagged) else field
        assert isinstance(known, schema.Object), f"{path} is no object in the mock's table"
        yield from (f"{path}.{name}" for name in set(model.model_fields) ^ set(known.fields))
        for name, info in model.model_fields.items():
            if name in known.fields:
                yield from disagreements(info.annotation, known.fields[name], f"{path}.{name}")


def test_the_mock_knows_the_fields_of_a_session_that_the_sdk_knows() -> None:
    assert list(disagreements(RealtimeTranscriptionSessionCreateRequest, TRANSCRIPTION_SESSION[False], "session")) == []
    assert list(disagreements(RealtimeSessionCreateRequest, REALTIME_SESSION, "session")) == []


def test_the_mock_knows_the_fields_of_every_event_that_the_sdk_sends() -> None:
    events = {tag_of(model): model for model in get_args(get_args(RealtimeClientEvent)[0])}
    assert set(events) - set(CLIENT_EVENT_FIELDS) == {"output_audio_buffer.clear"}  # WebRTC's
    # The endpoint lists these two as well [capture].
    assert set(CLIENT_EVENT_FIELDS) - set(events) == {"session.close", "session.input_audio_buffer.append"}
    for name, fields in CLIENT_EVENT_FIELDS.items():
        if name in events:
            assert set(fields.fields) == set(events[name].model_fields), name


# -- every field of a transcription session's update

Place = tuple[tuple[str, ...], schema.Field, str | None]


def places(field: schema.Field, path: tuple[str, ...] = (), tag: str | None = None) -> Iterator[Place]:
    """Yield every field of the table: its path, its kind, and the ``type`` of its object."""
    field = bare(field)
    if isinstance(field, schema.Tagged):
        for name, variant in field.variants.items():
            yield from places(variant, path, name)
    elif isinstance(field, schema.Object):
        for name, inner in field.fields.items():
            yield (*path, name), inner, tag
            yield from places(inner, (*path, name))


PLACES = [place for place in places(TRANSCRIPTION_SESSION[False]) if place[0] != ("type",)]
NAMES = [".".join(path) + (f" of {tag}" if tag else "") for path, _, tag in PLACES]


def session_with(path: tuple[str, ...], value: Any, tag: str | None = None) -> dict[str, Any]:
    """Return an update with one value."""
    session: dict[str, Any] = {"type": "transcription"}
    at = session
    for name in path[:-1]:
        at = at.setdefault(name, {})
    if tag is not None:
        at["type"] = tag
    if path[:-1] == ("audio", "input", "transcription"):
        at["model"] = "gpt-4o-transcribe"
    at[path[-1]] = value
    return {"type": "session.update", "session": session, "event_id": "mine"}


def refusal(event: dict[str, Any]) -> tuple[str, str]:
    """Return the code and param of the error for an event, which leaves the session as it was."""
    talk = Talk()
    (before,) = talk.send(update())
    (error,) = talk.send(event)
    assert error["type"] == "error"
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["event_id"] == "mine"
    assert f"'{error['error']['param']}'" in error["error"]["message"] or error["error"]["code"] == "invalid_value"
    (after,) = talk.send({"type": "session.update", "session": {"type": "transcription"}})
    assert after["session"] == before["session"]
    return error["error"]["code"], error["error"]["param"]


WRONG = {schema.Text: 5, schema.Flag: "yes", schema.OneOf: 5, schema.Number: "1", schema.ListOf: "a", schema.Object: 5}


@pytest.mark.parametrize(("path", "field", "tag"), PLACES, ids=NAMES)
def test_a_value_of_the_wrong_type_is_refused_by_name(path, field, tag) -> None:
    kind = type(bare(field))
    wrong = WRONG.get(kind, [])
    assert refusal(session_with(path, wrong, tag)) == ("invalid_type", ".".join(("session", *path)))


@pytest.mark.parametrize(("path", "field", "tag"), PLACES, ids=NAMES)
def test_null_is_accepted_exactly_where_the_table_says_so(path, field, tag) -> None:
    event = session_with(path, None, tag)
    if isinstance(field, schema.Nullable):
        (updated,) = Talk().send(event)
        assert updated["type"] == "session.updated"
    else:
        assert refusal(event)[0] == "invalid_type"


@pytest.mark.parametrize(
    ("path", "tag"),
    sorted({(path[:-1], tag or "") for path, _, tag in PLACES} | {((), "")}),
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else value,
)
def test_an_unknown_field_is_refused_by_name_in_every_object(path, tag) -> None:
    event = session_with((*path, "bogus"), 1, tag or None)
    assert refusal(event) == ("unknown_parameter", ".".join(("session", *path, "bogus")))


NUMBERS = [(path, bare(field), tag) for path, field, tag in PLACES if isinstance(bare(field), schema.Number)]


@pytest.mark.parametrize(("path", "field", "tag"), NUMBERS, ids=[".".join(path) for path, _, _ in NUMBERS])
def test_a_number_beyond_its_bounds_is_refused_by_name_and_the_bounds_are_accepted(path, field, tag) -> None:
    step = 0.001 if field.kind == "decimal" else 1
    param = ".".join(("session", *path))
    assert refusal(session_with(path, field.low - step, tag)) == (f"{field.kind}_below_min_value", param)
    assert refusal(session_with(path, field.high + step, tag)) == (f"{field.kind}_above_max_value", param)
    for value in (field.low, field.high):
        (updated,) = Talk().send(session_with(path, value, tag))
        assert updated["type"] == "session.updated"


CHOICES = [(path, bare(field), tag) for path, field, tag in PLACES if isinstance(bare(field), schema.OneOf)]


@pytest.mark.parametrize(("path", "field", "tag"), CHOICES, ids=[f"{'.'.join(p)} of {t}" for p, _, t in CHOICES])
def test_a_word_that_is_not_on_the_list_is_refused_by_name(path, field, tag) -> None:
    event = session_with(path, "bogus", tag if path[-1] != "type" else None)
    assert refusal(event) == ("invalid_value", ".".join(("session", *path)))


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ((), "type"),
        (("audio", "input", "transcription"), "model"),
        (("audio", "input", "turn_detection"), "type"),
        (("audio", "input", "format"), "type"),
    ],
    ids=["session.type", "transcription.model", "turn_detection.type", "format.type"],
)
def test_a_missing_field_is_refused_by_name(path, missing) -> None:
    session: dict[str, Any] = {} if not path else {"type": "transcription"}
    at = session
    for name in path:
        at = at.setdefault(name, {})
    event = {"type": "session.update", "session": session, "event_id": "mine"}
    assert refusal(event) == ("missing_required_parameter", ".".join(("session", *path, missing)))


@pytest.mark.parametrize("option", ["prompt", "languages", "keywords", "delay"])
@pytest.mark.parametrize("model", [model for model in TRANSCRIPTION_MODELS if "-20" not in model])
def test_each_model_takes_its_own_options_and_no_others(model, option) -> None:
    value = {"prompt": "x", "languages": ["en"], "keywords": ["x"], "delay": "low"}[option]
    event = update(None, transcription={"model": model, option: value}, turn_detection=None)
    # PROTOCOL.md, section 8.
    guided, streamed = {"gpt-transcribe", "gpt-live-transcribe"}, {"gpt-live-transcribe", "gpt-realtime-whisper"}
    takes = {
        "languages": model in guided,
        "keywords": model in guided,
        "delay": model in streamed,
        "prompt": model not in {"gpt-4o-transcribe-diarize", "gpt-realtime-whisper"},
    }
    if takes[option]:
        assert Talk().send(event)[0]["type"] == "session.updated"
    else:
        param = f"session.audio.input.transcription.{option}"
        assert refusal({**event, "event_id": "mine"}) == ("invalid_value", param)
