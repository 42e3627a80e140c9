"""The endpoint's ``error`` events in its own words: PROTOCOL sections 1, 2 and 7, with the evidence beside
each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = [
    "AUDIO_EMPTY",
    "AUDIO_INVALID",
    "AUDIO_TOO_LARGE",
    "BETA_DISABLED",
    "BINARY_FRAME",
    "CLIENT_EVENTS",
    "INVALID_JSON",
    "MAX_DURATION",
    "MISSING_KEY",
    "MISSING_MODEL",
    "ApiError",
    "Refused",
    "commit_too_small",
    "incorrect_key",
    "invalid_model",
    "invalid_type",
    "invalid_value",
    "missing_parameter",
    "out_of_range",
    "quoted_list",
    "unknown_parameter",
    "unsupported_parameter",
    "wrong_session_type",
]


class ApiError(NamedTuple):
    """One error of the endpoint.

    Attributes:
        message: Its words.
        code: ``error.code``, or None.
        param: The path of the field it is about, or None.
        type: ``error.type``.
        close: The code of the CLOSE frame that follows, or None when the socket stays open.
    """

    message: str
    code: str | None = None
    param: str | None = None
    type: str = "invalid_request_error"
    close: int | None = None

    @property
    def close_reason(self) -> str:
        """The CLOSE frame's reason: ``error.type`` or ``error.type.code`` [capture]."""
        return f"{self.type}.{self.code}" if self.code else self.type

    def body(self, event_id: str | None = None) -> dict[str, Any]:
        """The ``error`` object of the event; ``event_id`` is the one of the client's event that caused it."""
        return {
            "type": self.type,
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id,
        }


# [capture] Authentication closes 3000, the request's shape closes 4000.
MISSING_KEY = ApiError("Missing bearer or basic authentication in header", close=3000)
BETA_DISABLED = ApiError(
    "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
    "beta_api_shape_disabled",
    close=4000,
)
MISSING_MODEL = ApiError(
    "You must provide a model parameter, for example wss://api.openai.com/v1/realtime?model=gpt-realtime-1.5",
    "missing_model",
    close=4000,
)
# [capture] The first sentence; what follows it on the wire is not known and left out.
INVALID_JSON = ApiError("Invalid event: failed to parse JSON value.", "invalid_json")
# [capture]
BINARY_FRAME = ApiError("Expected a text WebSocket message; binary frames are not supported.", "invalid_event")
# [issue] The words are known, the code is not.
_AUDIO = "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got {}."
AUDIO_EMPTY = ApiError(_AUDIO.format("empty bytes"), None, "audio")
AUDIO_INVALID = ApiError(_AUDIO.format("an invalid value"), None, "audio")
# Not known: the answer to an append over 15 MiB. The words are the mock's own.
AUDIO_TOO_LARGE = ApiError("Invalid 'audio'. Expected at most 15 MiB of audio in one event.", None, "audio")
# [client] The CLOSE 1001 is documented; the event is what some clients wait for (PROTOCOL section 1: offer
# both).
MAX_DURATION = ApiError("Your session hit the maximum duration of 60 minutes.", "session_expired", close=1001)

#: [capture] The client event types, in the order in which the endpoint lists them.
CLIENT_EVENTS = (
    "session.update",
    "session.close",
    "input_audio_buffer.append",
    "session.input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "response.create",
    "response.cancel",
)


class Refused(Exception):
    """A client's event is answered with an error."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


def incorrect_key(masked: str) -> ApiError:
    """A key that the endpoint does not know [capture]."""
    return ApiError(
        f"Incorrect API key provided: {masked}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "invalid_api_key",
        close=3000,
    )


def invalid_model(message: str) -> ApiError:
    """A refusal because of ``?model=``; the words are in the decision table."""
    return ApiError(message, "invalid_model", close=4000)


def wrong_session_type(update: str, session: str) -> ApiError:
    """An update for the other kind of session [issue]; whether it names a ``param`` is not known."""
    return ApiError(f"Passing a {update} session update to a {session} session is not allowed.", "invalid_parameter")


def unknown_parameter(path: str) -> ApiError:
    """A field that the endpoint does not have [capture]."""
    return ApiError(f"Unknown parameter: '{_short(path)}'.", "unknown_parameter", _short(path))


def missing_parameter(path: str) -> ApiError:
    """A field that must be there and is not [capture]."""
    return ApiError(f"Missing required parameter: '{path}'.", "missing_required_parameter", path)


def invalid_value(value: object, path: str, supported: Sequence[str]) -> ApiError:
    """A value outside the list of those that are allowed [capture]."""
    return ApiError(
        f"Invalid value: '{_short(value)}'. Supported values are: {quoted_list(supported)}.",
        "invalid_value",
        path,
    )


def invalid_type(path: str, expected: str, got: object) -> ApiError:
    """A value of the wrong JSON type; the form of OpenAI's other endpoints, not captured on this one."""
    return ApiError(
        f"Invalid type for '{path}': expected {expected}, but got {_json_type(got)} instead.",
        "invalid_type",
        path,
    )


def out_of_range(path: str, kind: str, bound: str, limit: float, got: float) -> ApiError:
    """A number beyond its bound; ``integer below minimum`` is captured, the other three have its form.

    Args:
        path: The field.
        kind: ``integer`` or ``decimal``.
        bound: ``min`` or ``max``.
        limit: The bound.
        got: The client's number.
    """
    word, beyond, sign = ("minimum", "below", ">=") if bound == "min" else ("maximum", "above", "<=")
    return ApiError(
        f"Invalid '{path}': {kind} {beyond} {word} value. "
        f"Expected a value {sign} {limit}, but got {_short(got)} instead.",
        f"{kind}_{beyond}_{bound}_value",
        path,
    )


def unsupported_parameter(path: str, model: str) -> ApiError:
    """A field that this model does not take; the form of OpenAI's other endpoints, not captured here."""
    return ApiError(
        f"Unsupported parameter: '{path}' is not supported with the '{model}' model.",
        "unsupported_parameter",
        path,
    )


def commit_too_small(milliseconds: float) -> ApiError:
    """A commit of less than 100 ms [capture]."""
    return ApiError(
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
        f"but buffer only has {milliseconds:.2f}ms of audio.",
        "input_audio_buffer_commit_empty",
    )


def quoted_list(words: Sequence[str]) -> str:
    """The endpoint's enumeration: ``'a'``, ``'a' and 'b'``, ``'a', 'b', and 'c'`` [capture]."""
    quoted = [f"'{word}'" for word in words]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return ", ".join(quoted[:-1]) + f", and {quoted[-1]}"


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    names = {
        int: "an integer",
        float: "a decimal number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names[type(value)]


def _short(value: object, limit: int = 200) -> str:
    """The value as text, cut where a hostile client would have it echoed by the megabyte."""
    text = str(value)
    return text if len(text) <= limit else text[:limit] + "…"
