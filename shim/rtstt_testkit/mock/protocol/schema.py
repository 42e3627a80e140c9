"""Validation of client events: a table of fields, and one small class a kind of field.

The table is PROTOCOL section 4; the words come from ``errors``. The first fault found is the one that is
answered: fields are checked in the order of the table, unknown ones first, as a refused update is discarded
whole anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.models import REALTIME_MODELS, TRANSCRIPTION_MODELS

__all__ = ["CLIENT_EVENT_FIELDS", "EXPIRES_AFTER", "REALTIME_SESSION", "TRANSCRIPTION_SESSION", "Object"]

_DELAYS = ("minimal", "low", "medium", "high", "xhigh")
_LOGPROBS = "item.input_audio_transcription.logprobs"


class Field(Protocol):
    """A kind of value."""

    def check(self, value: Any, path: str) -> ApiError | None:
        """What the endpoint says of the value at that path, or None when it is fine."""


class Anything:
    """A value that the mock takes as it is."""

    def check(self, value: Any, path: str) -> ApiError | None:
        """Nothing to say."""
        return None


class Text:
    """A string."""

    def check(self, value: Any, path: str) -> ApiError | None:
        """Refuse anything but a string."""
        return None if isinstance(value, str) else errors.invalid_type(path, "a string", value)


class Flag:
    """A boolean."""

    def check(self, value: Any, path: str) -> ApiError | None:
        """Refuse anything but true and false."""
        return None if isinstance(value, bool) else errors.invalid_type(path, "a boolean", value)


class OneOf:
    """A string out of a list."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def check(self, value: Any, path: str) -> ApiError | None:
        """Refuse what is not in the list."""
        if not isinstance(value, str):
            return errors.invalid_type(path, f"one of {errors.quoted_list(self.words)}", value)
        return None if value in self.words else errors.invalid_value(value, path, self.words)


class Number:
    """A number between two bounds; whole unless ``decimal``."""

    def __init__(self, low: float, high: float, decimal: bool = False) -> None:
        self.low, self.high = low, high
        self.kind = "decimal" if decimal else "integer"

    def check(self, value: Any, path: str) -> ApiError | None:
        """Refuse other types and what is out of range."""
        allowed = (int, float) if self.kind == "decimal" else int
        if isinstance(value, bool) or not isinstance(value, allowed):
            return errors.invalid_type(path, f"{'a' if self.kind == 'decimal' else 'an'} {self.kind}", value)
        if value < self.low:
            return errors.out_of_range(path, self.kind, "min", self.low, value)
        if value > self.high:
            return errors.out_of_range(path, self.kind, "max", self.high, value)
        return None


class Nullable:
    """Another kind of value, or null."""

    def __init__(self, field: Field) -> None:
        self.field = field

    def check(self, value: Any, path: str) -> ApiError | None:
        """Refuse what is neither null nor right."""
        return None if value is None else self.field.check(value, path)


class ListOf:
    """An array."""

    def __init__(self, field: Field) -> None:
        self.field = field

    def check(self, value: Any, path: str) -> ApiError | None:
        """Refuse what is not an array, or the first wrong element."""
        if not isinstance(value, list):
            return errors.invalid_type(path, f"an array{self._of()}", value)
        faults = (self.field.check(element, f"{path}[{index}]") for index, element in enumerate(value))
        return next((fault for fault in faults if fault), None)

    def _of(self) -> str:
        return " of strings" if isinstance(self.field, Text | OneOf) else ""


class Object:
    """An object with known fields.

    Args:
        fields: By name, in the order in which they are checked.
        required: The names that must be there.
    """

    def __init__(self, fields: Mapping[str, Field], required: Sequence[str] = ()) -> None:
        self.fields = fields
        self.required = required

    def check(self, value: Any, path: str) -> ApiError | None:
        """Refuse another type, an unknown field, a missing one, or the first wrong one."""
        if not isinstance(value, dict):
            return errors.invalid_type(path, "an object", value)
        for name in value:
            if name not in self.fields:
                return errors.unknown_parameter(_join(path, name))
        for name in self.required:
            if name not in value:
                return errors.missing_parameter(_join(path, name))
        for name, field in self.fields.items():
            if name in value and (fault := field.check(value[name], _join(path, name))):
                return fault
        return None


class Tagged:
    """An object whose ``type`` says which fields it has."""

    def __init__(self, variants: Mapping[str, Mapping[str, Field]]) -> None:
        tag = OneOf(*variants)
        self.tag = tag
        self.variants = {name: Object({"type": tag, **fields}) for name, fields in variants.items()}

    def check(self, value: Any, path: str) -> ApiError | None:
        """Refuse another type, a missing or unknown ``type``, or what that variant refuses."""
        if not isinstance(value, dict):
            return errors.invalid_type(path, "an object", value)
        if "type" not in value:
            return errors.missing_parameter(_join(path, "type"))
        if fault := self.tag.check(value["type"], _join(path, "type")):
            return fault
        return self.variants[value["type"]].check(value, path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_TEXT = Text()
_FLAG = Flag()
_INCLUDE = Nullable(ListOf(OneOf(_LOGPROBS)))
# [capture] The rate's lower bound; the upper one is [types]: only 24 kHz is supported.
_FORMAT = Tagged({"audio/pcm": {"rate": Number(24000, 24000)}, "audio/pcmu": {}, "audio/pcma": {}})
_NOISE = Nullable(Object({"type": OneOf("near_field", "far_field"), "strength": Number(0, 1, decimal=True)}))
# Bounds of the numbers: the published reference; the endpoint's answers to them were not captured.
_TURNS: dict[str, dict[str, Field]] = {
    "server_vad": {
        "threshold": Number(0, 1, decimal=True),
        "prefix_padding_ms": Number(0, 5000),
        "silence_duration_ms": Number(0, 10000),
        "idle_timeout_ms": Nullable(Number(5000, 30000)),
        "create_response": _FLAG,
        "interrupt_response": _FLAG,
    },
    "semantic_vad": {
        "eagerness": OneOf("low", "medium", "high", "auto"),
        "create_response": _FLAG,
        "interrupt_response": _FLAG,
    },
}


def _transcription(models: Field) -> Field:
    return Nullable(
        Object(
            {
                "model": models,
                "language": Nullable(_TEXT),
                "languages": Nullable(ListOf(_TEXT)),
                "prompt": Nullable(_TEXT),
                "keywords": Nullable(ListOf(_TEXT)),
                "delay": Nullable(OneOf(*_DELAYS)),
            },
            required=("model",),
        )
    )


def _input(models: Field) -> Object:
    return Object(
        {
            "format": _FORMAT,
            "noise_reduction": _NOISE,
            "transcription": _transcription(models),
            "turn_detection": Nullable(Tagged(_TURNS)),
        }
    )


# Not known: the answer to an unknown transcription model. The mock uses the words for any list of values.
_MODELS = OneOf(*TRANSCRIPTION_MODELS)


def _transcription_session(models: Field) -> Object:
    return Object(
        {
            "type": OneOf("transcription", "realtime"),
            "audio": Object({"input": _input(models)}),
            "include": _INCLUDE,
        },
        required=("type",),
    )


#: ``session`` of a transcription session, by whether any model name is taken (a gateway routes on its own
#: names).
TRANSCRIPTION_SESSION = {False: _transcription_session(_MODELS), True: _transcription_session(_TEXT)}

#: ``session`` of a conversation, as far as the mock needs it: its audio input is checked, the rest is taken.
REALTIME_SESSION = Object(
    {
        "type": OneOf("realtime", "transcription"),
        "model": OneOf(*sorted(REALTIME_MODELS)),
        "audio": Object({"input": _input(_MODELS), "output": Anything()}),
        "include": _INCLUDE,
        "instructions": _TEXT,
        "output_modalities": ListOf(OneOf("text", "audio")),
        "parallel_tool_calls": _FLAG,
        "tools": ListOf(Anything()),
        **{
            name: Anything()
            for name in (
                "max_output_tokens",
                "prompt",
                "reasoning",
                "tool_choice",
                "tracing",
                "truncation",
            )
        },
    },
    required=("type",),
)

#: ``expires_after`` of a client secret [types].
EXPIRES_AFTER = Object({"anchor": OneOf("created_at"), "seconds": Number(10, 7200)})


def _event(required: Sequence[str] = (), **fields: Field) -> Object:
    return Object({"type": _TEXT, "event_id": Nullable(_TEXT), **fields}, required)


#: The fields of every client event but ``session`` itself, which depends on the session's kind.
CLIENT_EVENT_FIELDS: dict[str, Object] = {
    "session.update": _event(("session",), session=Anything()),
    "session.close": _event(),
    "input_audio_buffer.append": _event(("audio",), audio=Anything()),
    "session.input_audio_buffer.append": _event(("audio",), audio=Anything()),
    "input_audio_buffer.commit": _event(),
    "input_audio_buffer.clear": _event(),
    "conversation.item.create": _event(("item",), item=Anything(), previous_item_id=Nullable(_TEXT)),
    "conversation.item.truncate": _event(
        ("item_id", "content_index", "audio_end_ms"),
        item_id=_TEXT,
        content_index=Number(0, 0),
        audio_end_ms=Number(0, 2**31),
    ),
    "conversation.item.delete": _event(("item_id",), item_id=_TEXT),
    "conversation.item.retrieve": _event(("item_id",), item_id=_TEXT),
    "response.create": _event(response=Nullable(Anything())),
    "response.cancel": _event(response_id=Nullable(_TEXT)),
}
