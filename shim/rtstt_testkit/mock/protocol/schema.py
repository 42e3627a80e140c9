"""Validation of client events: a table of fields, and one small class for each kind of field.

The table is section 4 of PROTOCOL.md; the error texts are in ``errors``. The first error found is the answer: fields
are checked in the order of the table, unknown fields first. Only what the client sent is checked; defaults are merged
afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, get_args

from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.models import REALTIME_MODELS, TRANSCRIPTION_MODELS

__all__ = ["CLIENT_EVENT_FIELDS", "EXPIRES_AFTER", "REALTIME_SESSION", "TRANSCRIPTION_SESSION", "Delay", "Object"]

#: The values of ``delay``.
Delay = Literal["minimal", "low", "medium", "high", "xhigh"]
_LOGPROBS = "item.input_audio_transcription.logprobs"
_LONGEST_PROMPT = 1024


class Field(Protocol):
    """A kind of value."""

    def check(self, value: Any, path: str) -> ApiError | None:
        """Return the endpoint's error for the value at that path, or None."""


class Anything:
    """A value that the mock accepts without validation."""

    def check(self, value: Any, path: str) -> ApiError | None:
        """Return None."""
        return None


class Text:
    """A string.

    Args:
        longest: The most code points that it may have; None for any number.
        evidence: The marks of PROTOCOL.md that show the bound.
    """

    def __init__(self, longest: int | None = None, evidence: str = "") -> None:
        self.longest = longest
        self.evidence = evidence

    def check(self, value: Any, path: str) -> ApiError | None:
        """Return an error for another type, and for a longer string."""
        if not isinstance(value, str):
            return errors.invalid_type(path, "a string", value)
        if self.longest is not None and len(value) > self.longest:
            return errors.too_long(path, self.longest, len(value))
        return None


class Keyword(Text):
    """A keyword, which has neither angle brackets nor line breaks [type-wave]."""

    def check(self, value: Any, path: str) -> ApiError | None:
        """Return an error for another type, and for unsupported characters."""
        if error := super().check(value, path):
            return error
        return errors.KEYWORD_CHARACTERS if any(character in value for character in "<>\r\n") else None


class Flag:
    """A boolean."""

    def check(self, value: Any, path: str) -> ApiError | None:
        """Return an error for anything but true and false."""
        return None if isinstance(value, bool) else errors.invalid_type(path, "a boolean", value)


class OneOf:
    """A string out of a list.

    Args:
        *words: The list.
        evidence: The marks of PROTOCOL.md that show it.
    """

    def __init__(self, *words: str, evidence: str) -> None:
        self.words = words
        self.evidence = evidence

    def check(self, value: Any, path: str) -> ApiError | None:
        """Return an error for what is not in the list."""
        if not isinstance(value, str):
            return errors.invalid_type(path, f"one of {errors.quoted_list(self.words)}", value)
        return None if value in self.words else errors.invalid_value(value, path, self.words)


class Number:
    """A number between two bounds.

    Args:
        low: The least value.
        high: The greatest value.
        decimal: Whether it need not be an integer.
        evidence: The marks of PROTOCOL.md that show the bounds.
    """

    def __init__(self, low: float, high: float, decimal: bool = False, *, evidence: str) -> None:
        self.low, self.high = low, high
        self.kind = "decimal" if decimal else "integer"
        self.evidence = evidence

    def check(self, value: Any, path: str) -> ApiError | None:
        """Return an error for other types and for what is out of range."""
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
        """Return an error for what is neither null nor of the other kind."""
        return None if value is None else self.field.check(value, path)


class ListOf:
    """An array.

    Args:
        field: The kind of its elements.
        empty: Whether it may be empty.
        evidence: The marks of PROTOCOL.md that show that it may not.
    """

    def __init__(self, field: Field, empty: bool = True, evidence: str = "") -> None:
        self.field = field
        self.empty = empty
        self.evidence = evidence

    def check(self, value: Any, path: str) -> ApiError | None:
        """Return an error for what is not an array, and for the first wrong element."""
        if not isinstance(value, list):
            return errors.invalid_type(path, f"an array{self._of()}", value)
        if not value and not self.empty:
            return errors.empty_array(path)
        found = (self.field.check(element, f"{path}[{index}]") for index, element in enumerate(value))
        return next((error for error in found if error), None)

    def _of(self) -> str:
        return " of strings" if isinstance(self.field, Text | OneOf) else ""


class Object:
    """An object with known fields.

    Args:
        fields: The fields by name, in the order in which they are checked.
        required: The names of the required fields.
    """

    def __init__(self, fields: Mapping[str, Field], required: Sequence[str] = ()) -> None:
        self.fields = fields
        self.required = required

    def check(self, value: Any, path: str) -> ApiError | None:
        """Return an error for another type, an unknown field, a missing one, or the first wrong one."""
        if not isinstance(value, dict):
            return errors.invalid_type(path, "an object", value)
        for name in value:
            if name not in self.fields:
                return errors.unknown_parameter(_join(path, name))
        for name in self.required:
            if name not in value:
                return errors.missing_parameter(_join(path, name))
        for name, field in self.fields.items():
            if name in value and (error := field.check(value[name], _join(path, name))):
                return error
        return None


class Tagged:
    """An object whose ``type`` selects its fields.

    Args:
        variants: The fields of each ``type``.
        required: The names of the required fields of each ``type`` that has some.
        evidence: The marks of PROTOCOL.md that show the list of types.
    """

    def __init__(
        self,
        variants: Mapping[str, Mapping[str, Field]],
        required: Mapping[str, Sequence[str]] | None = None,
        *,
        evidence: str,
    ) -> None:
        tag = OneOf(*variants, evidence=evidence)
        self.tag = tag
        self.variants = {
            name: Object({"type": tag, **fields}, (required or {}).get(name, ())) for name, fields in variants.items()
        }

    def check(self, value: Any, path: str) -> ApiError | None:
        """Return an error for another type, a missing or unknown ``type``, or the error of the variant."""
        if not isinstance(value, dict):
            return errors.invalid_type(path, "an object", value)
        if "type" not in value:
            return errors.missing_parameter(_join(path, "type"))
        if error := self.tag.check(value["type"], _join(path, "type")):
            return error
        return self.variants[value["type"]].check(value, path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_TEXT = Text()
_FLAG = Flag()
_INCLUDE = Nullable(ListOf(OneOf(_LOGPROBS, evidence="[types]")))
# The lower bound of the rate is captured; that no other rate is supported is in the types.
_FORMAT = Tagged(
    {"audio/pcm": {"rate": Number(24000, 24000, evidence="[capture] [types]")}, "audio/pcmu": {}, "audio/pcma": {}},
    {"audio/pcm": ("rate",)},  # [pcm-rate]
    evidence="[types]",
)
_NOISE = Nullable(
    Object(
        {
            "type": OneOf("near_field", "far_field", evidence="[types]"),
            "strength": Number(0, 1, decimal=True, evidence="[types] [assumed]"),
        }
    )
)
# The bounds are those of the published reference; the endpoint's answers to numbers beyond them are assumed.
_TURNS: dict[str, dict[str, Field]] = {
    "server_vad": {
        "threshold": Number(0, 1, decimal=True, evidence="[types] [assumed]"),
        "prefix_padding_ms": Number(0, 5000, evidence="[types] [assumed]"),
        "silence_duration_ms": Number(0, 10000, evidence="[types] [assumed]"),
        "idle_timeout_ms": Nullable(Number(5000, 30000, evidence="[types] [assumed]")),
        "create_response": _FLAG,
        "interrupt_response": _FLAG,
    },
    "semantic_vad": {
        "eagerness": OneOf("low", "medium", "high", "auto", evidence="[types]"),
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
                "languages": ListOf(_TEXT, empty=False, evidence="[guide] [client]"),
                "prompt": Nullable(Text(_LONGEST_PROMPT, "[type-wave]")),
                "keywords": Nullable(ListOf(Keyword())),
                "delay": Nullable(OneOf(*get_args(Delay), evidence="[live]")),
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
            "turn_detection": Nullable(Tagged(_TURNS, evidence="[types]")),
        }
    )


# The form is reported for conversations; the endpoint's list of models is not known.
_MODELS = OneOf(*TRANSCRIPTION_MODELS, evidence="[unknown-model] [assumed]")


def _transcription_session(models: Field) -> Object:
    return Object(
        {
            "type": OneOf("transcription", "realtime", evidence="[types]"),
            "audio": Object({"input": _input(models)}),
            "include": _INCLUDE,
        },
        required=("type",),
    )


#: ``session`` of a transcription session, by whether any model name is accepted (a gateway has names of its own).
TRANSCRIPTION_SESSION = {False: _transcription_session(_MODELS), True: _transcription_session(_TEXT)}

#: ``session`` of a conversation: its audio input is checked, the rest is accepted as far as the mock has no use for it.
REALTIME_SESSION = Object(
    {
        "type": OneOf("realtime", "transcription", evidence="[types]"),
        "model": OneOf(*sorted(REALTIME_MODELS), evidence="[types]"),
        "audio": Object({"input": _input(_MODELS), "output": Anything()}),
        "include": _INCLUDE,
        "instructions": _TEXT,
        "output_modalities": ListOf(OneOf("text", "audio", evidence="[types]")),
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

#: ``expires_after`` of a client secret.
EXPIRES_AFTER = Object(
    {"anchor": OneOf("created_at", evidence="[types]"), "seconds": Number(10, 7200, evidence="[types]")}
)


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
        content_index=Number(0, 0, evidence="[types]"),
        audio_end_ms=Number(0, 2**31, evidence="[assumed]"),
    ),
    "conversation.item.delete": _event(("item_id",), item_id=_TEXT),
    "conversation.item.retrieve": _event(("item_id",), item_id=_TEXT),
    "response.create": _event(response=Nullable(Anything())),
    "response.cancel": _event(response_id=Nullable(_TEXT)),
}
