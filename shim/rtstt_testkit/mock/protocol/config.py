"""The session object: its defaults as captured, how an update merges into it, and what the session reads off
it.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from rtstt_testkit.mock.audio.formats import FORMATS, AudioFormat
from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.admission import SessionKind
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.models import TRANSCRIPTION_MODELS, Model, transcription_model
from rtstt_testkit.mock.protocol.schema import REALTIME_SESSION, TRANSCRIPTION_SESSION, Object

__all__ = ["EAGERNESS_TIMEOUT_MS", "SessionConfig", "default_session", "merge", "validate"]

_INPUT = "session.audio.input"

# [capture] The defaults on the wire; silence_duration_ms is 200 there, where [types] say 500.
_SERVER_VAD: dict[str, Any] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
}
_CONVERSATION_VAD: dict[str, Any] = {
    **_SERVER_VAD,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_VAD: dict[str, Any] = {"type": "semantic_vad", "eagerness": "auto"}
_TURN_DEFAULTS = {"server_vad": _SERVER_VAD, "semantic_vad": _SEMANTIC_VAD}
_FORMAT_DEFAULTS: dict[str, dict[str, Any]] = {
    "audio/pcm": {"type": "audio/pcm", "rate": 24000},
    "audio/pcmu": {"type": "audio/pcmu"},
    "audio/pcma": {"type": "audio/pcma"},
}
#: [types] The longest wait of semantic_vad after the last word, in milliseconds.
EAGERNESS_TIMEOUT_MS = {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}


def default_session(kind: SessionKind, model: str | None = None) -> dict[str, Any]:
    """The session object of a new connection, its ``id`` and ``expires_at`` still blank [capture]."""
    audio_input: dict[str, Any] = {
        "format": dict(_FORMAT_DEFAULTS["audio/pcm"]),
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": dict(_SERVER_VAD),
    }
    if kind == "transcription":
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": "",
            "expires_at": 0,
            "audio": {"input": audio_input},
            "include": None,
        }
    audio_input["turn_detection"] = dict(_CONVERSATION_VAD)
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": "",
        "expires_at": 0,
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "audio": {
            "input": audio_input,
            "output": {"format": dict(_FORMAT_DEFAULTS["audio/pcm"]), "voice": "marin", "speed": 1.0},
        },
        "include": None,
    }


def validate(update: Any, kind: SessionKind, any_model: bool) -> ApiError | None:
    """Check the ``session`` of an update before it is merged.

    Args:
        update: What the client sent as ``session``.
        kind: The session's kind.
        any_model: Whether transcription models beyond OpenAI's are taken.
    """
    if not isinstance(update, dict):
        return errors.invalid_type("session", "an object", update)
    if "type" not in update:
        return errors.missing_parameter("session.type")
    other = "realtime" if kind == "transcription" else "transcription"
    if update["type"] == other:
        return errors.wrong_session_type(other, kind)
    schema: Object = TRANSCRIPTION_SESSION[any_model] if kind == "transcription" else REALTIME_SESSION
    return schema.check(update, "session")


def merge(session: dict[str, Any], update: dict[str, Any]) -> dict[str, Any] | ApiError:
    """The session after a valid update, or why its parts do not go together; the old one stays as it was."""
    merged = deepcopy(session)
    audio = update.get("audio", {})
    merged.update({name: value for name, value in update.items() if name != "audio"})
    merged["audio"].update({name: value for name, value in audio.items() if name != "input"})
    source, target = audio.get("input", {}), merged["audio"]["input"]
    if "format" in source:
        target["format"] = {**_FORMAT_DEFAULTS[source["format"]["type"]], **source["format"]}
    if "noise_reduction" in source:
        new = source["noise_reduction"]
        # [types] An update without strength keeps the one that is set.
        target["noise_reduction"] = None if new is None else {**(target["noise_reduction"] or {}), **new}
    if "turn_detection" in source:
        target["turn_detection"] = _merge_turns(target["turn_detection"], source["turn_detection"])
    if "transcription" in source:
        target["transcription"] = _merge_transcription(source["transcription"])
    return _disagreement(target) or merged


def _merge_turns(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any] | None:
    if new is None:
        return None
    base = old if old is not None and old["type"] == new["type"] else _TURN_DEFAULTS[new["type"]]
    return {**base, **new}


def _merge_transcription(new: dict[str, Any] | None) -> dict[str, Any] | None:
    """All that was given, with the nulls that the endpoint adds [capture]."""
    return None if new is None else {"language": None, "prompt": None, **new}


def _disagreement(audio_input: dict[str, Any]) -> ApiError | None:
    transcription = audio_input["transcription"]
    if transcription is None:
        return None
    model = transcription_model(transcription["model"])
    if not model.vad and audio_input["turn_detection"] is not None:
        return ApiError(  # [capture]
            "Turn detection is not supported for this transcription model.",
            "invalid_value",
            f"{_INPUT}.turn_detection",
        )
    if model.name not in TRANSCRIPTION_MODELS:
        return None
    for option in ("languages", "prompt", "keywords", "delay"):
        if transcription.get(option) is not None and option not in model.options:
            return errors.unsupported_parameter(f"{_INPUT}.transcription.{option}", model.name)
    return None


class SessionConfig:
    """What the state machine reads off a session object.

    Args:
        session: The merged session object.
    """

    def __init__(self, session: dict[str, Any]) -> None:
        audio_input = session["audio"]["input"]
        transcription = audio_input["transcription"]
        turns = audio_input["turn_detection"]
        self.session = session
        self.format: AudioFormat = FORMATS[audio_input["format"]["type"]]
        self.model: Model | None = transcription and transcription_model(transcription["model"])
        self.language: str | None = (transcription or {}).get("language")
        self.turns: str | None = turns and turns["type"]
        turns = turns or {}
        self.threshold: float = turns.get("threshold", 0.5)
        self.prefix_ms: int = turns.get("prefix_padding_ms", 300)
        self.silence_ms: int = turns.get("silence_duration_ms", 200)
        self.idle_ms: int | None = turns.get("idle_timeout_ms")
        self.longest_wait_ms: int = EAGERNESS_TIMEOUT_MS[turns.get("eagerness", "auto")]
        self.delay: str = (transcription or {}).get("delay") or "medium"
        self.logprobs = bool(session.get("include"))

    def shown(self) -> dict[str, Any]:
        """The session object as ``session.updated`` shows it: ``delay`` is not echoed, ``languages`` by one
        model.
        """
        shown = deepcopy(self.session)
        transcription = shown["audio"]["input"]["transcription"]
        if transcription is not None:
            kept = ["model", "language", "prompt"]
            if self.model is not None and self.model.echoes_languages:
                transcription.setdefault("languages", None)
                kept.append("languages")
            shown["audio"]["input"]["transcription"] = {name: transcription[name] for name in kept}
        return shown
