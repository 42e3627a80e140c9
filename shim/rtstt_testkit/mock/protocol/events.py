"""Decoding of client events, and the fields of server events: PROTOCOL.md, section 5."""

from __future__ import annotations

import base64
import binascii
import json
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.errors import Refused
from rtstt_testkit.mock.protocol.models import Usage

__all__ = [
    "Failure",
    "Segment",
    "Sender",
    "decode_audio",
    "decode_event",
    "failure_fields",
    "logprobs",
    "segment_fields",
    "usage",
    "user_item",
]

Sender = Literal["client", "server"]

#: The message of a transcription that was rate limited [failed-reports].
RATE_LIMITED = "Input transcription failed for item '{item_id}'. 429 Too Many Requests"

#: The largest append, in bytes of audio [types].
MAX_APPEND = 15 * 1024 * 1024
_OUTPUT_FRAME_TOKENS = 2  # six deltas were eight output tokens [capture]


@dataclass(frozen=True)
class Failure:
    """A transcription that fails: the ``error`` of the ``….failed`` event.

    Attributes:
        message: ``error.message``; ``{item_id}`` is replaced by the item's identifier [capture].
        code: ``error.code``.
        type: ``error.type``.
        param: ``error.param``.
    """

    message: str = "Input transcription failed for item '{item_id}'."
    code: str | None = None
    type: str = "server_error"
    param: str | None = None

    @classmethod
    def rate_limited(cls) -> Failure:
        """Return the failure of too many requests [failed-reports]."""
        return cls(RATE_LIMITED)


@dataclass(frozen=True)
class Segment:
    """A part of a diarized transcript.

    Attributes:
        text: The text.
        speaker: The speaker, such as ``A``.
        start: Where it starts, in seconds from the item's beginning.
        end: Where it ends, in seconds from the item's beginning.
    """

    text: str
    speaker: str = "A"
    start: float = 0.0
    end: float = 0.0


def plain_b64decode(text: str | bytes) -> bytes:
    """Decode base64 with the standard library.

    Raises:
        ValueError: The text is not strict base64.
    """
    if sys.version_info >= (3, 11):
        return binascii.a2b_base64(text, strict_mode=True)
    return base64.b64decode(text, validate=True)


def _fast_b64decode() -> Callable[[str | bytes], bytes]:
    """Return pybase64's decoder where it is installed: six times as fast, for a quarter of the work of an append."""
    try:
        from pybase64 import b64decode
    except ImportError:
        return plain_b64decode

    def strict(text: str | bytes) -> bytes:
        return b64decode(text, None, True)  # keyword arguments take twice the time

    return strict


b64decode = _fast_b64decode()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# One decoder for all frames: making one costs as much as decoding a short event.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_PLAIN_APPENDS = (
    b'{"type":"input_audio_buffer.append","audio":"',
    b'{"type": "input_audio_buffer.append", "audio": "',
)
_DENSE, _SPACED = map(len, _PLAIN_APPENDS)
_AFTER_TYPE, _SPACE = len(b'{"type":'), ord(" ")


def decode_event(frame: str) -> dict[str, Any]:
    """Decode a TEXT frame.

    Raises:
        Refused: It is not JSON, or not an object.
    """
    try:
        event = _DECODER.decode(frame)
    except (ValueError, RecursionError):
        raise Refused(errors.INVALID_JSON) from None
    if not isinstance(event, dict):
        raise Refused(errors.invalid_type("event", "an object", event))
    return event


def plain_append(frame: bytes) -> bytes | None:
    """Return the audio of an append in the form that nearly every client sends, without a JSON parser.

    Args:
        frame: The payload of a TEXT frame.

    Returns:
        The audio; None for any other frame and for an append that is refused. A quote or an escape is not base64, so
        a frame with more fields is never mistaken for this form.
    """
    if not frame.startswith(_PLAIN_APPENDS) or not frame.endswith(b'"}'):
        return None
    try:
        audio = b64decode(frame[_SPACED if frame[_AFTER_TYPE] == _SPACE else _DENSE : -2])
    except ValueError:
        return None
    return audio if 0 < len(audio) <= MAX_APPEND else None


def decode_audio(audio: object) -> bytes:
    """Decode the ``audio`` of an append.

    Raises:
        Refused: It is not base64, empty, or larger than 15 MiB.
    """
    if not isinstance(audio, str):
        raise Refused(errors.AUDIO_INVALID)
    try:
        decoded = b64decode(audio)
    except ValueError:
        raise Refused(errors.AUDIO_INVALID) from None
    if not decoded:
        raise Refused(errors.AUDIO_EMPTY)
    if len(decoded) > MAX_APPEND:
        raise Refused(errors.AUDIO_TOO_LARGE)
    return decoded


def user_item(item_id: str, transcript: str | None = None) -> dict[str, Any]:
    """Return the item of committed audio [capture]."""
    return {
        "id": item_id,
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": transcript}],
    }


def usage(form: Usage, seconds: float, deltas: int) -> dict[str, Any]:
    """Return a transcript's usage: about ten audio tokens a second, or whole seconds rounded up [capture].

    Args:
        form: The model's form of usage.
        seconds: The length of the committed audio, silence included.
        deltas: How many deltas the text has.
    """
    if form == "duration":
        return {"type": "duration", "seconds": math.ceil(seconds)}
    audio, output = (0, 0) if form == "zero" else (math.ceil(seconds * 10), deltas + _OUTPUT_FRAME_TOKENS)
    return {
        "type": "tokens",
        "total_tokens": audio + output,
        "input_tokens": audio,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
        "output_tokens": output,
    }


def logprobs(tokens: Iterable[str], logprob: float) -> list[dict[str, Any]]:
    """Return log probabilities, the same for every token."""
    return [
        {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "surrogatepass"))} for token in tokens
    ]


def failure_fields(failure: Failure, item_id: str) -> dict[str, Any]:
    """Return the ``error`` of a failed transcription."""
    return {
        "type": failure.type,
        "code": failure.code,
        "message": failure.message.replace("{item_id}", item_id),
        "param": failure.param,
    }


def segment_fields(segment: Segment, number: int) -> dict[str, Any]:
    """Return the fields of a ``…segment`` event besides the item's [types]."""
    return {
        "id": f"seg_{number}",
        "text": segment.text,
        "speaker": segment.speaker,
        "start": segment.start,
        "end": segment.end,
    }
