"""Frames to events and back to fields: what is decoded from a client's frame, and the parts of a server's
event.
"""

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

#: [issue] The end of the message of a transcription that was rate limited.
RATE_LIMITED = "Input transcription failed for item '{item_id}'. 429 Too Many Requests"

#: The largest append, in bytes of audio [types].
MAX_APPEND = 15 * 1024 * 1024
_OUTPUT_FRAME_TOKENS = 2  # [capture] six deltas were eight output tokens


@dataclass(frozen=True)
class Failure:
    """A transcription that fails: the ``error`` of the ``….failed`` event.

    Attributes:
        message: Its words; ``{item_id}`` stands for the item's id [capture].
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
        """The failure of too many requests, as public reports have it."""
        return cls(RATE_LIMITED)


@dataclass(frozen=True)
class Segment:
    """A part of a diarized transcript.

    Attributes:
        text: What was said.
        speaker: By whom, such as ``A``.
        start: When, in seconds from the item's beginning.
        end: Until when, in seconds.
    """

    text: str
    speaker: str = "A"
    start: float = 0.0
    end: float = 0.0


def plain_b64decode(text: str | bytes) -> bytes:
    """Base64 by the standard library; ValueError for anything that is not exactly that."""
    if sys.version_info >= (3, 11):
        return binascii.a2b_base64(text, strict_mode=True)
    return base64.b64decode(text, validate=True)


def _fast_b64decode() -> Callable[[str | bytes], bytes]:
    """pybase64's decoder where it is installed: six times as fast, a quarter of the work for an append."""
    try:
        from pybase64 import b64decode
    except ImportError:
        return plain_b64decode

    def strict(text: str | bytes) -> bytes:
        return b64decode(text, None, True)  # by name it takes twice the time

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
    """A TEXT frame as an event.

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
    """The audio of an append that is written as nearly every client writes it, read without a JSON parser.

    Args:
        frame: The payload of a TEXT frame.

    Returns:
        The audio; None for any other frame, and for one that is refused or says more than it seems to: a quote or an
        escape in it is no base64.
    """
    if not frame.startswith(_PLAIN_APPENDS) or not frame.endswith(b'"}'):
        return None
    try:
        audio = b64decode(frame[_SPACED if frame[_AFTER_TYPE] == _SPACE else _DENSE : -2])
    except ValueError:
        return None
    return audio if 0 < len(audio) <= MAX_APPEND else None


def decode_audio(audio: object) -> bytes:
    """The bytes of an append's ``audio``.

    Raises:
        Refused: They are not base64, none, or too many.
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
    """The item of committed audio [capture]."""
    return {
        "id": item_id,
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": transcript}],
    }


def usage(form: Usage, seconds: float, deltas: int) -> dict[str, Any]:
    """A transcript's usage [capture]: about ten audio tokens a second, or whole seconds rounded up.

    Args:
        form: Of the model.
        seconds: Of committed audio, silence included.
        deltas: How many pieces the text has.
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
    """Log probabilities, the same one for every token."""
    return [
        {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "surrogatepass"))} for token in tokens
    ]


def failure_fields(failure: Failure, item_id: str) -> dict[str, Any]:
    """The ``error`` of a failed transcription."""
    return {
        "type": failure.type,
        "code": failure.code,
        "message": failure.message.replace("{item_id}", item_id),
        "param": failure.param,
    }


def segment_fields(segment: Segment, number: int) -> dict[str, Any]:
    """The fields of a ``…segment`` event besides the item's [types]."""
    return {
        "id": f"seg_{number}",
        "text": segment.text,
        "speaker": segment.speaker,
        "start": segment.start,
        "end": segment.end,
    }
