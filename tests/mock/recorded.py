"""Recorded conversations, reduced to what concerns input audio and transcription: PROTOCOL.md, [recording].

Each is the order of events in a public recording, with runs of deltas as one. Texts, identifiers and audio are ours.
"""

from typing import Any, NamedTuple

TRANSCRIPTION = "conversation.item.input_audio_transcription"
DELTA = f"{TRANSCRIPTION}.delta"
COMPLETED = f"{TRANSCRIPTION}.completed"
FAILED = f"{TRANSCRIPTION}.failed"

STARTED = "input_audio_buffer.speech_started"
STOPPED = "input_audio_buffer.speech_stopped"
COMMITTED = "input_audio_buffer.committed"
ADDED, DONE = "conversation.item.added", "conversation.item.done"


class Recording(NamedTuple):
    """A recorded conversation.

    Attributes:
        input: The client's ``session.audio.input``.
        order: The server's events about input audio and its transcription, in the recorded order.
        turns: How often the client spoke.
        failed: Whether the transcription failed, with the code of the error.
    """

    input: dict[str, Any]
    order: tuple[str, ...]
    turns: int = 1
    failed: str | None = None


_FORMAT = {"type": "audio/pcm", "rate": 24000}
_VAD = {"type": "server_vad", "create_response": True, "interrupt_response": True}
_WHISPER = {"format": _FORMAT, "turn_detection": _VAD, "transcription": {"model": "gpt-realtime-whisper"}}
_TURN = (STARTED, DELTA, STOPPED, COMMITTED, ADDED, DONE, "response.created", DELTA, COMPLETED)

RECORDINGS = {
    "a turn with gpt-realtime-whisper": Recording(_WHISPER, _TURN),
    "three turns": Recording(_WHISPER, _TURN * 3, turns=3),
    "a deployment that is missing": Recording(
        {"format": _FORMAT, "turn_detection": _VAD, "transcription": {"model": "whisper-1"}},
        (STARTED, STOPPED, COMMITTED, ADDED, DONE, "response.created", FAILED),
        failed="DeploymentNotFound",
    ),
    "no transcription": Recording(
        {"format": _FORMAT, "turn_detection": _VAD, "transcription": None},
        (STARTED, STOPPED, COMMITTED, ADDED, DONE, "response.created"),
    ),
}

#: The fields of a conversation's session object, in the recorded order.
SESSION = (
    "type",
    "object",
    "id",
    "model",
    "output_modalities",
    "instructions",
    "tools",
    "tool_choice",
    "max_output_tokens",
    "tracing",
    "truncation",
    "prompt",
    "expires_at",
    "audio",
    "include",
)
