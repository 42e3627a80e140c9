"""What each model accepts and sends: PROTOCOL section 8, one row a model.

Evidence: the event types of the ``openai`` SDK 3.54 and the capture of 2026-09-18, unless a comment says
otherwise.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["REALTIME_MODELS", "TRANSCRIPTION_MODELS", "Model", "ModelKind", "kind_of", "transcription_model"]

Usage = Literal["tokens", "duration", "zero"]
ModelKind = Literal["transcription", "streaming", "realtime", "unknown"]


class Model(NamedTuple):
    """A transcription model as the endpoint treats it.

    Attributes:
        name: As a client writes it.
        vad: Whether the server may detect turns; when not, ``turn_detection`` must be null.
        streams: Whether deltas come before the commit.
        single_delta: Whether the whole text comes as one delta.
        options: The fields of ``transcription`` that it takes besides ``model`` and ``language``.
        usage: The form of ``usage`` in ``…completed``.
        echoes_languages: Whether ``session.updated`` shows ``languages``.
        detects_languages: Whether ``…completed`` lists the languages it heard.
        segments: Whether it labels speakers with ``…segment`` events.
    """

    name: str
    vad: bool
    streams: bool
    single_delta: bool
    options: frozenset[str]
    usage: Usage
    echoes_languages: bool = False
    detects_languages: bool = False
    segments: bool = False


_PROMPT = frozenset({"prompt"})
_GUIDED = frozenset({"prompt", "languages", "keywords"})

_ROWS = (
    Model("whisper-1", True, False, True, _PROMPT, "duration"),
    Model("gpt-4o-transcribe", True, False, False, _PROMPT, "tokens"),
    Model("gpt-4o-mini-transcribe", True, False, False, _PROMPT, "tokens"),
    Model("gpt-4o-mini-transcribe-2025-03-20", True, False, False, _PROMPT, "tokens"),
    Model("gpt-4o-mini-transcribe-2025-12-15", True, False, False, _PROMPT, "tokens"),
    # Diarize: whether it takes server VAD, and its usage, are not known; taken like its siblings.
    Model("gpt-4o-transcribe-diarize", True, False, False, frozenset(), "tokens", segments=True),
    Model("gpt-transcribe", True, False, False, _GUIDED, "duration", detects_languages=True),
    Model("gpt-live-transcribe", False, True, False, _GUIDED | {"delay"}, "duration", echoes_languages=True),
    # All-zero tokens: seen in 2026-05.
    Model("gpt-realtime-whisper", False, True, False, frozenset({"delay"}), "zero"),
)

TRANSCRIPTION_MODELS: dict[str, Model] = {row.name: row for row in _ROWS}

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
    """Say which family a ``?model=`` value belongs to; ``streaming`` is gpt-realtime-whisper's own answer
    row.
    """
    if name == "gpt-realtime-whisper":
        return "streaming"
    if name in TRANSCRIPTION_MODELS:
        return "transcription"
    return "realtime" if name in REALTIME_MODELS else "unknown"


def transcription_model(name: str) -> Model:
    """The row of a transcription model; a gateway's own name is treated like gpt-4o-transcribe."""
    return TRANSCRIPTION_MODELS.get(name) or TRANSCRIPTION_MODELS["gpt-4o-transcribe"]._replace(name=name)
