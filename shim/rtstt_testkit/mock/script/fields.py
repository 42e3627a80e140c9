"""The fields of a script file, as a table: what kind each is, and what JSON schema says of that kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

from rtstt_testkit.mock.protocol.events import Failure, Segment
from rtstt_testkit.mock.script.faults import Action, Fault
from rtstt_testkit.mock.script.script import Transcript
from rtstt_testkit.speech import recordings

__all__ = ["SCRIPT", "Field", "Kind", "Table", "Tables"]


class Kind(NamedTuple):
    """A kind of value: what it is called, how it is known, how JSON schema says it, and what becomes of it."""

    name: str
    fits: Callable[[Any], bool]
    schema: dict[str, Any]
    make: Callable[[Any], Any] = lambda value: value


class Table(NamedTuple):
    """A table of fields, and the class that it becomes."""

    make: Callable[..., Any]
    fields: dict[str, Field]


class Tables(NamedTuple):
    """A list of such tables."""

    of: Table


Field = Kind | Table | Tables


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(element, str) for element in value)


def _one_of(words: list[str]) -> Kind:
    return Kind(f"one of {', '.join(words)}", lambda value: value in words, {"enum": words})


_TEXT = Kind("a string", lambda value: isinstance(value, str), {"type": "string"})
_TEXTS = Kind("a list of strings", _list_of_text, {"type": "array", "items": {"type": "string"}}, tuple)
_NUMBER = Kind("a number", _is_number, {"type": "number"})
_SECONDS = Kind(
    "a number of seconds, 0 or more",
    lambda value: _is_number(value) and value >= 0,
    {"type": "number", "minimum": 0},
)
_ORDINAL = Kind(
    "a whole number from 1", lambda value: type(value) is int and value >= 1, {"type": "integer", "minimum": 1}
)
_NTH = Kind(
    "a whole number from 1, or 0 for every one",
    lambda value: type(value) is int and value >= 0,
    {"type": "integer", "minimum": 0},
    lambda value: value or None,
)
_CODE = Kind(
    "a number or a string",
    lambda value: isinstance(value, int | str) and not isinstance(value, bool),
    {"type": ["integer", "string"]},
)
_CHANCE = Kind("a number", _is_number, {"type": "number", "minimum": 0, "maximum": 1})
_ACTION = Kind("a string", lambda value: isinstance(value, str), {"enum": list(get_args(Action))})

_FAILURE = Table(Failure, {"message": _TEXT, "code": _TEXT, "type": _TEXT, "param": _TEXT})
_SEGMENT = Table(Segment, {"text": _TEXT, "speaker": _TEXT, "start": _SECONDS, "end": _SECONDS})
_TRANSCRIPT = Table(
    Transcript,
    {
        "text": _TEXT,
        "deltas": _TEXTS,
        "delay": _SECONDS,
        "pace": _SECONDS,
        "failure": _FAILURE,
        "languages": _TEXTS,
        "segments": Tables(_SEGMENT),
        "logprob": _NUMBER,
        "model": _TEXT,
        "language": _TEXT,
        "connection": _ORDINAL,
        "item": _ORDINAL,
        "recording": _one_of(list(recordings())),
    },
)
_FAULT = Table(
    Fault,
    {
        "action": _ACTION,
        "before": _TEXT,
        "after": _TEXT,
        "on": _TEXT,
        "nth": _NTH,
        "connection": _ORDINAL,
        "first": _ORDINAL,
        "probability": _CHANCE,
        "code": _CODE,
        "reason": _TEXT,
        "message": _TEXT,
        "seconds": _SECONDS,
    },
)
#: The file's own keys.
SCRIPT: dict[str, Field] = {"default": _TEXT, "transcript": Tables(_TRANSCRIPT), "fault": Tables(_FAULT)}
