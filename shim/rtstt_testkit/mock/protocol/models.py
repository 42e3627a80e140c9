"""What each model accepts and sends, one row per model: PROTOCOL.md, section 8."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["REALTIME_MODELS", "TRANSCRIPTION_MODELS", "Model", "ModelKind", "Usage", "kind_of", "transcription_model"]

Usage = Literal["tokens", "duration", "zero"]
ModelKind = Literal["transcription", "streaming", "realtime", "unknown"]


class Model(NamedTuple):
    """A transcription model as the endpoint treats it.

    Attributes:
        name: Its name.
        vad: Whether a transcription session may detect turns with it; a conversation always may [recording].
        streams: Whether deltas come before the commit.
        single_delta: Whether the whole text comes as one delta.
        options: The fields of ``transcription`` that it takes besides ``model`` and ``language``.
        usage: The form of ``usage`` in ``…completed``; in conversations ``zero`` is ``duration`` [recording].
        evidence: The marks of PROTOCOL.md that show the row.
        echoes_languages: Whether ``session.updated`` shows ``languages``.
        detects_languages: Whether ``…completed`` lists the languages it detected.
        segments: Whether it labels speakers with ``…segment`` events.
        logprobs: Whether ``…completed`` has logprobs when the client includes them.
    """

    name: str
    vad: bool
    streams: bool
    single_delta: bool
    options: frozenset[str]
    usage: Usage
    evidence: str
    echoes_languages: bool = False
    detects_languages: bool = False
    segments: bool = False
    logprobs: bool = True


_PROMPT = frozenset({"prompt"})
_GUIDED = frozenset({"prompt", "languages", "keywords"})
_TYPES_AND_OPTIONS = "[types] [options]"

_ROWS = (
    Model("whisper-1", True, False, True, _PROMPT, "duration", _TYPES_AND_OPTIONS),
    Model("gpt-4o-transcribe", True, False, False, _PROMPT, "tokens", "[capture] [types] [options]"),
    Model("gpt-4o-mini-transcribe", True, False, False, _PROMPT, "tokens", "[capture] [types] [options]"),
    Model("gpt-4o-mini-transcribe-2025-03-20", True, False, False, _PROMPT, "tokens", _TYPES_AND_OPTIONS),
    Model("gpt-4o-mini-transcribe-2025-12-15", True, False, False, _PROMPT, "tokens", _TYPES_AND_OPTIONS),
    # Server VAD and the usage of this model are not known; assumed to be those of its siblings.
    Model("gpt-4o-transcribe-diarize", True, False, False, frozenset(), "tokens", "[types] [assumed]", segments=True),
    Model("gpt-transcribe", True, False, False, _GUIDED, "duration", "[types] [assumed]", detects_languages=True),
    Model(
        "gpt-live-transcribe",
        False,
        True,
        False,
        _GUIDED | {"delay"},
        "duration",
        "[types] [whisrs#34] [azure] [options]",
        echoes_languages=True,
        logprobs=False,
    ),
    Model(
        "gpt-realtime-whisper",
        False,
        True,
        False,
        frozenset({"delay"}),
        "zero",
        "[types] [whisrs#34] [options] [recording]",
    ),
)

TRANSCRIPTION_MODELS: dict[str, Model] = {row.name: row for row in _ROWS}

#: The models of conversations [types].
REALTIME_MODELS: frozenset[str] = frozenset(
    {
        "gpt-realtime",
        "gpt-realtime-1.5",
        "gpt-realtime-2",
        "gpt-realtime-2.1",
        "gpt-realtime-2.1-mini",
        "gpt-realtime-2025-08-28",
        "gpt-realtime-mini",
        "gpt-realtime-mini-2025-10-06",
        "gpt-realtime-mini-2025-12-15",
        "gpt-4o-realtime-preview",
        "gpt-4o-realtime-preview-2024-10-01",
        "gpt-4o-realtime-preview-2024-12-17",
        "gpt-4o-realtime-preview-2025-06-03",
        "gpt-4o-mini-realtime-preview",
        "gpt-4o-mini-realtime-preview-2024-12-17",
        "gpt-audio-1.5",
        "gpt-audio-mini",
        "gpt-audio-mini-2025-10-06",
        "gpt-audio-mini-2025-12-15",
    }
)


def kind_of(name: str) -> ModelKind:
    """Return the kind of a ``?model=`` value; ``streaming`` is gpt-realtime-whisper, which has rows of its own."""
    if name == "gpt-realtime-whisper":
        return "streaming"
    if name in TRANSCRIPTION_MODELS:
        return "transcription"
    return "realtime" if name in REALTIME_MODELS else "unknown"


def transcription_model(name: str) -> Model:
    """Return the row of a transcription model; a gateway's own name has that of gpt-4o-transcribe."""
    return TRANSCRIPTION_MODELS.get(name) or TRANSCRIPTION_MODELS["gpt-4o-transcribe"]._replace(name=name)
