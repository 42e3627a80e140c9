"""The fields of a script file, as one table: the kind of each value, its description and its JSON schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

from rtstt_testkit.mock.protocol.admission import Account
from rtstt_testkit.mock.protocol.events import Failure, Segment
from rtstt_testkit.mock.script.delays import Delays, Percentiles
from rtstt_testkit.mock.script.faults import Action, Fault
from rtstt_testkit.mock.script.script import Transcript
from rtstt_testkit.speech import recordings

__all__ = ["SCRIPT", "Field", "Table", "Tables", "ValueKind"]


class ValueKind(NamedTuple):
    """A kind of value.

    Attributes:
        name: Its name in errors.
        fits: Whether a value is of this kind.
        schema: Its JSON schema.
        convert: Returns the value as the script's classes take it.
    """

    name: str
    fits: Callable[[Any], bool]
    schema: dict[str, Any]
    convert: Callable[[Any], Any] = lambda value: value


class Table(NamedTuple):
    """A table of fields.

    Attributes:
        make: The class that it is converted to.
        fields: The fields by name.
        required: The names of the fields that must be present.
        one_of: The names of fields, exactly one of which must be present.
    """

    make: Callable[..., Any]
    fields: dict[str, Field]
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()


class Tables(NamedTuple):
    """A list of tables."""

    of: Table


class Field(NamedTuple):
    """One field.

    Attributes:
        kind: The kind of its value.
        description: For people who write scripts; one or more sentences.
    """

    kind: ValueKind | Table | Tables
    description: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(element, str) for element in value)


def _one_of(words: list[str]) -> ValueKind:
    return ValueKind(f"one of {', '.join(words)}", lambda value: value in words, {"enum": words})


_TEXT = ValueKind("a string", lambda value: isinstance(value, str), {"type": "string"})
_TEXTS = ValueKind("a list of strings", _is_list_of_text, {"type": "array", "items": {"type": "string"}}, tuple)
_NUMBER = ValueKind("a number", _is_number, {"type": "number"})
_SECONDS = ValueKind(
    "a number of seconds, 0 or more",
    lambda value: _is_number(value) and value >= 0,
    {"type": "number", "minimum": 0},
)
_DELAY = ValueKind(
    "a number of seconds, or a table of p50 and p95",
    lambda value: (
        (_is_number(value) and value >= 0)
        or (isinstance(value, dict) and set(value) == {"p50", "p95"} and all(map(_is_number, value.values())))
    ),
    {
        "oneOf": [
            {"type": "number", "minimum": 0},
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["p50", "p95"],
                "properties": {name: {"type": "number", "minimum": 0} for name in ("p50", "p95")},
            },
        ]
    },
    lambda value: Percentiles(**value) if isinstance(value, dict) else value,
)
_ORDINAL = ValueKind(
    "a whole number from 1", lambda value: type(value) is int and value >= 1, {"type": "integer", "minimum": 1}
)
_NTH = ValueKind(
    "a whole number from 1, or 0 for every one",
    lambda value: type(value) is int and value >= 0,
    {"type": "integer", "minimum": 0},
    lambda value: value or None,
)
_CODE = ValueKind(
    "a number or a string",
    lambda value: isinstance(value, int | str) and not isinstance(value, bool),
    {"type": ["integer", "string"]},
)
_CHANCE = ValueKind("a number", _is_number, {"type": "number", "minimum": 0, "maximum": 1})
_ACTION = ValueKind("a string", lambda value: isinstance(value, str), {"enum": list(get_args(Action))})

_FAILURE = Table(
    Failure,
    {
        "message": Field(_TEXT, "The error's message; `{item_id}` is replaced by the item's identifier."),
        "code": Field(_TEXT, "`error.code`."),
        "type": Field(_TEXT, "`error.type`."),
        "param": Field(_TEXT, "`error.param`."),
    },
)
_SEGMENT = Table(
    Segment,
    {
        "text": Field(_TEXT, "The text of the segment."),
        "speaker": Field(_TEXT, "The speaker, such as `A`."),
        "start": Field(_SECONDS, "Where it starts, in seconds from the item's beginning."),
        "end": Field(_SECONDS, "Where it ends, in seconds from the item's beginning."),
    },
    required=("text",),
)
_TRANSCRIPT = Table(
    Transcript,
    {
        "text": Field(_TEXT, "The transcript; left out, the deltas joined, or the default text."),
        "deltas": Field(_TEXTS, "How it streams; left out, word by word, or at once for a model that does so."),
        "delay": Field(_SECONDS, "Seconds that this answer comes later than the latency profile says."),
        "pace": Field(_SECONDS, "Seconds between deltas."),
        "failure": Field(_FAILURE, "Send `….failed` instead of a transcript."),
        "languages": Field(_TEXTS, "The codes that a language-detecting model reports."),
        "segments": Field(Tables(_SEGMENT), "Parts by speaker, for the diarizing model."),
        "logprob": Field(_NUMBER, "The log probability of every token, when the client includes logprobs."),
        "model": Field(_TEXT, "Answer only items of this transcription model."),
        "language": Field(_TEXT, "Answer only items of sessions with this language."),
        "connection": Field(_ORDINAL, "Answer only items of the nth connection, counted from 1."),
        "item": Field(_ORDINAL, "Answer only the nth item of a connection that is transcribed, counted from 1."),
        "recording": Field(
            _one_of(list(recordings())), "Answer only items in which this bundled recording is recognized."
        ),
    },
)
_FAULT = Table(
    Fault,
    {
        "action": Field(
            _ACTION,
            "`error` (an `error` event), `close` (a CLOSE frame), `expire` (the error `session_expired` and CLOSE "
            "1001, as after 60 minutes), `reset` (of the TCP connection), `stall` (the connection stays open and "
            "silent), `delay` (this event and all after it come `seconds` later), `pause` (only the transcription of "
            "this item stops for `seconds`), `fail` (`….failed` instead of `….completed`, 429 by default), `drop`, "
            "`duplicate`, `reorder` (swap the event with the next), `malformed` (half its JSON), `invalid_utf8`, "
            "`binary` (the event in a BINARY frame), `truncate` (half the frame, then the end of the connection), "
            "`trickle` (byte by byte over `seconds`), `http` (refuse the upgrade with status `code`).",
        ),
        "before": Field(
            _TEXT,
            "The type of the event, of either side, before which the fault is applied; its last part is enough "
            "(`delta`), and `*` is any.",
        ),
        "after": Field(_TEXT, "The type of the event after which the fault is applied."),
        "on": Field(
            _TEXT, "The type of the event that the fault changes, or `connect`. A client's event can only be dropped."
        ),
        "nth": Field(_NTH, "Which of the events of that type in a session, counted from 1; 0 for every one."),
        "connection": Field(_ORDINAL, "Only on the nth connection."),
        "first": Field(_ORDINAL, "Only on the first n connections."),
        "probability": Field(_CHANCE, "Apply the fault by chance, at every such event; `nth` is ignored then."),
        "code": Field(_CODE, "The close code, the error's code, or the HTTP status."),
        "reason": Field(_TEXT, "The close reason."),
        "message": Field(
            _TEXT, "The error's message; left out, the endpoint's message for that `code`, or that of a server error."
        ),
        "seconds": Field(_SECONDS, "The duration of a `delay`, `pause` or `trickle`."),
    },
    required=("action",),
    one_of=("before", "after", "on"),
)
_LATENCY = Table(
    Delays,
    {
        "updated": Field(_DELAY, "From `session.update` to `session.updated`."),
        "speech_started": Field(_DELAY, "From the audio to `speech_started`."),
        "committed": Field(_DELAY, "From the commit to `committed`."),
        "first_delta": Field(_DELAY, "From the commit to the first delta."),
        "completed": Field(_DELAY, "From the commit to `completed`; never before the first delta."),
    },
)
#: The keys of the file itself.
SCRIPT: dict[str, Field] = {
    "default": Field(_TEXT, "The text when no transcript is left and the audio is no bundled recording."),
    "transcript": Field(Tables(_TRANSCRIPT), "One is used for each item, in order: the first whose conditions hold."),
    "fault": Field(Tables(_FAULT), "What goes wrong."),
    "account": Field(
        _one_of(list(get_args(Account))),
        "The state of the account, in which every session is refused after the handshake.",
    ),
    "latency": Field(
        _LATENCY,
        "Response times in seconds that take the place of the server's: a number, or `p50` and `p95` of a log-normal "
        "distribution, drawn for every answer; the server's `seed` makes them the same in every run.",
    ),
}
