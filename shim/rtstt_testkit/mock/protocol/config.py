"""The session object: its defaults, how an update is validated and merged, and what a session reads from it.

PROTOCOL.md, section 3. Only what the client sent is validated; defaults are merged afterwards.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

from rtstt_testkit.mock.audio.formats import FORMATS, AudioFormat
from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.admission import SessionKind
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.models import TRANSCRIPTION_MODELS, Model, Usage, transcription_model
from rtstt_testkit.mock.protocol.schema import REALTIME_SESSION, TRANSCRIPTION_SESSION, Delay, Object

__all__ = ["EAGERNESS_TIMEOUT_MS", "SessionConfig", "TurnDetection", "default_session", "merge", "validate"]

TurnDetection = Literal["server_vad", "semantic_vad"]

_TRANSCRIPTION = "session.audio.input.transcription"

# The defaults of session.created; silence_duration_ms is 200 there [capture], where the types say 500.
_SERVER_VAD: dict[str, Any] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
}
_SEMANTIC_VAD: dict[str, Any] = {"type": "semantic_vad", "eagerness": "auto"}
_RESPONSES: dict[str, Any] = {"create_response": True, "interrupt_response": True}
_TURN_DEFAULTS: dict[SessionKind, dict[str, dict[str, Any]]] = {
    "transcription": {"server_vad": _SERVER_VAD, "semantic_vad": _SEMANTIC_VAD},
    "realtime": {
        "server_vad": {**_SERVER_VAD, "idle_timeout_ms": None, **_RESPONSES},  # [recording]
        "semantic_vad": {**_SEMANTIC_VAD, **_RESPONSES},  # [assumed]
    },
}
#: The voice and the silence that ends a turn, in milliseconds, by the model of a conversation; other models have those
#: of gpt-realtime [recording].
_CONVERSATION_DEFAULTS = {"gpt-realtime": ("alloy", 200), "gpt-realtime-2.1": ("marin", 500)}
_FORMAT_DEFAULTS: dict[str, dict[str, Any]] = {
    "audio/pcm": {"type": "audio/pcm", "rate": 24000},
    "audio/pcmu": {"type": "audio/pcmu"},
    "audio/pcma": {"type": "audio/pcma"},
}
#: The longest wait of semantic_vad after the last word, in milliseconds [types].
EAGERNESS_TIMEOUT_MS = {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}


def default_session(kind: SessionKind, model: str | None = None) -> dict[str, Any]:
    """Return the session object of a new connection, with ``id`` and ``expires_at`` still empty.

    Args:
        kind: The kind of the session: the object of a transcription session is captured, that of a conversation is
            recorded [capture] [recording].
        model: The model of a conversation.
    """
    audio_input: dict[str, Any] = {
        "format": dict(_FORMAT_DEFAULTS["audio/pcm"]),
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": dict(_TURN_DEFAULTS[kind]["server_vad"]),
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
    voice, silence_ms = _CONVERSATION_DEFAULTS.get(model or "", _CONVERSATION_DEFAULTS["gpt-realtime"])
    audio_input["turn_detection"]["silence_duration_ms"] = silence_ms
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": "",
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": 0,
        "audio": {
            "input": audio_input,
            "output": {"format": dict(_FORMAT_DEFAULTS["audio/pcm"]), "voice": voice, "speed": 1.0},
        },
        "include": None,
    }


def validate(update: Any, kind: SessionKind, any_model: bool) -> ApiError | None:
    """Return the error for the ``session`` of an update, or None.

    Args:
        update: What the client sent as ``session``.
        kind: The session's kind.
        any_model: Whether transcription models beyond OpenAI's are accepted.
    """
    if not isinstance(update, dict):
        return errors.invalid_type("session", "an object", update)
    if "type" not in update:
        return errors.missing_parameter("session.type")
    other = "realtime" if kind == "transcription" else "transcription"
    if update["type"] == other:
        return errors.wrong_session_type(other, kind)
    schema: Object = TRANSCRIPTION_SESSION[any_model] if kind == "transcription" else REALTIME_SESSION
    return schema.check(update, "session") or _unsupported_options(update)


def _unsupported_options(update: dict[str, Any]) -> ApiError | None:
    """Return the error for options that the model of this update does not take [options]."""
    transcription = update.get("audio", {}).get("input", {}).get("transcription")
    if transcription is None:
        return None
    model = TRANSCRIPTION_MODELS.get(transcription["model"])
    if model is not None:
        for option in ("languages", "prompt", "keywords", "delay"):
            if transcription.get(option) is not None and option not in model.options:
                return errors.unsupported_option(f"{_TRANSCRIPTION}.{option}")
    if transcription.get("language") is not None and "languages" in transcription:
        return errors.LANGUAGE_AND_LANGUAGES
    return None


def merge(session: dict[str, Any], update: dict[str, Any]) -> dict[str, Any] | ApiError:
    """Return the session after a valid update, or the error if its parts do not fit together.

    Args:
        session: The session before; it is not changed.
        update: A ``session`` without errors of its own.
    """
    merged = deepcopy(session)
    audio = update.get("audio", {})
    merged.update({name: value for name, value in update.items() if name != "audio"})
    if isinstance(output := audio.get("output"), dict):
        merged["audio"]["output"] = {**merged["audio"].get("output", {}), **output}
    given, current = audio.get("input", {}), merged["audio"]["input"]
    if "format" in given:
        current["format"] = {**_FORMAT_DEFAULTS[given["format"]["type"]], **given["format"]}
    if "noise_reduction" in given:
        new = given["noise_reduction"]
        # An update without strength keeps the strength that is set [types].
        current["noise_reduction"] = None if new is None else {**(current["noise_reduction"] or {}), **new}
    if "turn_detection" in given:
        current["turn_detection"] = _merge_turns(session["type"], current["turn_detection"], given["turn_detection"])
    if "transcription" in given:
        current["transcription"] = _merge_transcription(given["transcription"])
    return _without_unsupported_turns(merged, given.get("turn_detection")) or merged


def _merge_turns(kind: SessionKind, old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any] | None:
    if new is None:
        return None
    base = old if old is not None and old["type"] == new["type"] else _TURN_DEFAULTS[kind][new["type"]]
    return {**base, **new}


def _merge_transcription(new: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what was given, with the nulls that the endpoint adds [capture]."""
    return None if new is None else {"language": None, "prompt": None, **new}


def _without_unsupported_turns(session: dict[str, Any], given: dict[str, Any] | None) -> ApiError | None:
    """Turn off turn detection for a model that does not support it; return the error if the client asked for it.

    A conversation supports it with every model [recording]. Left out by the client, it is accepted [omitted-vad]; that
    it then behaves as null is assumed.
    """
    audio_input = session["audio"]["input"]
    transcription = audio_input["transcription"]
    if session["type"] == "realtime" or transcription is None or transcription_model(transcription["model"]).vad:
        return None
    if given is not None:
        return errors.TURN_DETECTION_UNSUPPORTED
    audio_input["turn_detection"] = None
    return None


class SessionConfig:
    """The settings that a session reads from its session object.

    Args:
        session: The merged session object.
    """

    def __init__(self, session: dict[str, Any]) -> None:
        audio_input = session["audio"]["input"]
        transcription = audio_input["transcription"]
        turns = audio_input["turn_detection"]
        self.session = session
        self.kind: SessionKind = session["type"]
        self.format: AudioFormat = FORMATS[audio_input["format"]["type"]]
        self.model: Model | None = transcription and transcription_model(transcription["model"])
        self.language: str | None = (transcription or {}).get("language")
        self.turns: TurnDetection | None = turns and turns["type"]
        turns = turns or {}
        self.threshold: float = turns.get("threshold", 0.5)
        self.prefix_ms: int = turns.get("prefix_padding_ms", 300)
        self.silence_ms: int = turns.get("silence_duration_ms", 200)
        self.idle_ms: int | None = turns.get("idle_timeout_ms")
        self.longest_wait_ms: int = EAGERNESS_TIMEOUT_MS[turns.get("eagerness", "auto")]
        self.delay: Delay = (transcription or {}).get("delay") or "medium"
        self.logprobs = bool(session.get("include"))
        self.creates_responses: bool = self.kind == "realtime" and turns.get("create_response", False)

    def usage(self, model: Model) -> Usage:
        """Return the form of ``usage`` for a model: in conversations never zero tokens [recording]."""
        return "duration" if self.kind == "realtime" and model.usage == "zero" else model.usage

    def shown(self) -> dict[str, Any]:
        """Return the session object of ``session.updated``: without ``delay``, with ``languages`` for one model."""
        shown = deepcopy(self.session)
        transcription = shown["audio"]["input"]["transcription"]
        if transcription is not None:
            kept = ["model", "language", "prompt"]
            if self.model is not None and self.model.echoes_languages:
                transcription.setdefault("languages", None)
                kept.append("languages")
            shown["audio"]["input"]["transcription"] = {name: transcription[name] for name in kept}
        return shown
