"""The endpoint's ``error`` events in its own words: PROTOCOL.md, sections 1, 2 and 7, with the evidence of each."""

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
    "KEYWORD_CHARACTERS",
    "LANGUAGE_AND_LANGUAGES",
    "MAX_DURATION",
    "MISSING_KEY",
    "MISSING_MODEL",
    "MODEL_NOT_FOUND",
    "NOTHING_TO_CANCEL",
    "NO_CREDIT",
    "NO_QUOTA",
    "NO_RESPONSES",
    "SPEND_LIMIT",
    "TURN_DETECTION_UNSUPPORTED",
    "ApiError",
    "Refused",
    "commit_too_small",
    "empty_array",
    "incorrect_key",
    "invalid_model",
    "invalid_type",
    "invalid_value",
    "missing_parameter",
    "out_of_range",
    "quoted_list",
    "too_long",
    "unknown_item",
    "unknown_parameter",
    "unsupported_option",
    "wrong_session_type",
]


class ApiError(NamedTuple):
    """One error of the endpoint.

    Attributes:
        message: ``error.message``.
        code: ``error.code``, or None.
        param: The path of the field, or None.
        type: ``error.type``.
        close: The code of the CLOSE frame that follows, or None when the connection stays open.
        evidence: The marks of PROTOCOL.md that show it.
        echoes: Whether ``error.event_id`` is the client's; it is null otherwise.
    """

    message: str
    code: str | None = None
    param: str | None = None
    type: str = "invalid_request_error"
    close: int | None = None
    evidence: str = "[assumed]"
    echoes: bool = True

    @property
    def close_reason(self) -> str:
        """The CLOSE frame's reason: ``error.type`` or ``error.type.code`` [capture]."""
        return f"{self.type}.{self.code}" if self.code else self.type

    def body(self, event_id: str | None = None) -> dict[str, Any]:
        """Return the ``error`` object of the event.

        Args:
            event_id: The ``event_id`` of the client's event that caused it.
        """
        return {
            "type": self.type,
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id if self.echoes else None,
        }


# Authentication closes 3000, the request's shape 4000 [capture].
MISSING_KEY = ApiError("Missing bearer or basic authentication in header", close=3000, evidence="[capture]")
BETA_DISABLED = ApiError(
    "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
    "beta_api_shape_disabled",
    close=4000,
    evidence="[capture] [beta-subprotocol]",
)
MISSING_MODEL = ApiError(
    "You must provide a model parameter, for example wss://api.openai.com/v1/realtime?model=gpt-realtime-1.5",
    "missing_model",
    close=4000,
    evidence="[capture]",
)
# The first sentence is captured; the text after it is not known and left out.
INVALID_JSON = ApiError("Invalid event: failed to parse JSON value.", "invalid_json", evidence="[capture]")
BINARY_FRAME = ApiError(
    "Expected a text WebSocket message; binary frames are not supported.", "invalid_event", evidence="[capture]"
)
# The text is in public issues; the code is assumed.
_AUDIO = "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got {}."
AUDIO_EMPTY = ApiError(_AUDIO.format("empty bytes"), None, "audio", evidence="[append-issues]")
AUDIO_INVALID = ApiError(_AUDIO.format("an invalid value"), None, "audio", evidence="[append-issues]")
AUDIO_TOO_LARGE = ApiError(
    "Invalid 'audio'. Expected at most 15 MiB of audio in one event.", None, "audio", evidence="[assumed]"
)
# The CLOSE is documented; the event is what some clients wait for.
MAX_DURATION = ApiError(
    "Your session hit the maximum duration of 60 minutes.", "session_expired", close=1001, evidence="[guide] [client]"
)
TURN_DETECTION_UNSUPPORTED = ApiError(
    "Turn detection is not supported for this transcription model.",
    "invalid_value",
    "session.audio.input.turn_detection",
    evidence="[whisrs#34]",
)
KEYWORD_CHARACTERS = ApiError(
    "The 'keywords' parameter contains unsupported characters.",
    "invalid_value",
    "session.audio.input.transcription.keywords",
    evidence="[type-wave]",
    echoes=False,
)
# That they exclude each other is documented; the text and the code are assumed.
LANGUAGE_AND_LANGUAGES = ApiError(
    "The 'language' and 'languages' parameters cannot be used together.",
    "invalid_value",
    "session.audio.input.transcription.languages",
    evidence="[guide] [assumed]",
)
NO_RESPONSES = ApiError(
    "Responses are not supported in transcription sessions.", "invalid_event", "type", evidence="[assumed]"
)
NOTHING_TO_CANCEL = ApiError(
    "Cancellation failed: no active response found", "response_cancel_not_active", evidence="[item-reports]"
)

# The account has no credit, no quota, or not the model: every session is refused after the handshake.
NO_CREDIT = ApiError(
    "You have no credits remaining. Add credits to continue using the API at "
    "https://platform.openai.com/settings/organization/billing/.",
    "credit_balance_exhausted",
    type="insufficient_quota",
    close=1013,
    evidence="[accounts]",
)
# The first sentence is reported; the text after it is left out.
NO_QUOTA = ApiError(
    "You exceeded your current quota, please check your plan and billing details.",
    "insufficient_quota",
    type="insufficient_quota",
    close=1013,
    evidence="[accounts]",
)
SPEND_LIMIT = ApiError(
    "Your organization has reached its configured enforced spend limit.",
    "organization_spend_limit_exceeded",
    type="insufficient_quota",
    close=1013,
    evidence="[accounts]",
)
# The code and the CLOSE are reported; the text is assumed.
MODEL_NOT_FOUND = ApiError(
    "The model does not exist or you do not have access to it.",
    "model_not_found",
    close=4004,
    evidence="[voice-client] [assumed]",
)

#: The client event types, in the order in which the endpoint lists them [capture].
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
    """A client's event that is answered with an error."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


def incorrect_key(masked: str) -> ApiError:
    """Return the refusal of an unknown key.

    Args:
        masked: The key, masked.
    """
    return ApiError(
        f"Incorrect API key provided: {masked}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "invalid_api_key",
        close=3000,
        evidence="[capture]",
    )


def invalid_model(message: str, evidence: str) -> ApiError:
    """Return a refusal because of ``?model=``; the texts are in the decision table of ``admission``."""
    return ApiError(message, "invalid_model", close=4000, evidence=evidence)


def wrong_session_type(update: str, session: str) -> ApiError:
    """Return the refusal of an update for the other kind of session; that ``param`` is null is assumed."""
    return ApiError(
        f"Passing a {update} session update to a {session} session is not allowed.",
        "invalid_parameter",
        evidence="[cross-type]",
    )


def unknown_parameter(path: str) -> ApiError:
    """Return the refusal of an unknown field."""
    short = _short(path)
    return ApiError(f"Unknown parameter: '{short}'.", "unknown_parameter", short, evidence="[capture]")


def missing_parameter(path: str) -> ApiError:
    """Return the refusal of an event without a required field."""
    return ApiError(
        f"Missing required parameter: '{path}'.",
        "missing_required_parameter",
        path,
        evidence="[live] [drift-test] [pcm-rate]",
    )


def invalid_value(value: object, path: str, supported: Sequence[str]) -> ApiError:
    """Return the refusal of a value outside a list."""
    return ApiError(
        f"Invalid value: '{_short(value)}'. Supported values are: {quoted_list(supported)}.",
        "invalid_value",
        path,
        evidence="[capture]",
    )


def invalid_type(path: str, expected: str, got: object) -> ApiError:
    """Return the refusal of a value of the wrong JSON type, in the form of OpenAI's other endpoints."""
    return ApiError(
        f"Invalid type for '{path}': expected {expected}, but got {_json_type(got)} instead.",
        "invalid_type",
        path,
        evidence="[assumed]",
    )


def out_of_range(path: str, kind: str, bound: str, limit: float, got: float) -> ApiError:
    """Return the refusal of a number beyond its bound.

    ``integer below minimum`` is captured; the other three have its form.

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
        evidence="[capture]" if (kind, bound) == ("integer", "min") else "[assumed]",
    )


def too_long(path: str, limit: int, got: int) -> ApiError:
    """Return the refusal of a string with too many code points."""
    return ApiError(
        f"Invalid '{path}': string too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {got} instead.",
        "string_above_max_length",
        path,
        evidence="[type-wave]",
    )


def empty_array(path: str) -> ApiError:
    """Return the refusal of an empty array, in the form of OpenAI's other endpoints."""
    return ApiError(
        f"Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        "empty_array",
        path,
        evidence="[guide] [assumed]",
    )


def unsupported_option(path: str) -> ApiError:
    """Return the refusal of an option that the transcription model does not take."""
    option = path.rpartition(".")[2]
    return ApiError(
        f"The '{option}' parameter is not supported for this model.", "invalid_value", path, evidence="[options]"
    )


def commit_too_small(milliseconds: float) -> ApiError:
    """Return the refusal of a commit of less than 100 ms."""
    return ApiError(
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
        f"but buffer only has {milliseconds:.2f}ms of audio.",
        "input_audio_buffer_commit_empty",
        evidence="[live] [commit-empty]",
    )


def unknown_item(item_id: str, verb: str, gerund: str) -> ApiError:
    """Return the refusal of an event for an item that does not exist.

    Args:
        item_id: The client's identifier.
        verb: ``retrieve``, ``delete`` or ``truncate``.
        gerund: The same with ``-ing``.
    """
    return ApiError(
        f"Error {gerund} item: the item with id '{_short(item_id)}' does not exist.",
        f"item_{verb}_invalid_item_id",
        "item_id",
        evidence="[item-reports]",
    )


def quoted_list(words: Sequence[str]) -> str:
    """Return the endpoint's enumeration: ``'a'``, ``'a' and 'b'``, ``'a', 'b', and 'c'`` [capture]."""
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
    """Return the value as text, cut so that a long one is not echoed whole."""
    text = str(value)
    return text if len(text) <= limit else text[:limit] + "…"
