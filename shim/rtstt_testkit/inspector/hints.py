"""What a session's record shows beyond its events, as sentences for people."""

from __future__ import annotations

from rtstt_testkit.inspector.axis import Axis
from rtstt_testkit.mock.inspect.record import APPEND

__all__ = ["hints"]

_SHORTEST = 2.0  # seconds that appends must last, and _FEWEST how many there must be, before their rate means anything
_FEWEST = 20
_TOLERANCE = 0.08  # clients that sleep between appends are slower than real time
_RATES = (8000, 16000, 44100, 48000)


_TRANSCRIPTION = "conversation.item.input_audio_transcription."


def hints(axis: Axis) -> list[str]:
    """Return what a session's events and the pace of its audio show.

    Args:
        axis: The session's axis.
    """
    return [*_failed(axis), *_pace(axis)]


def _failed(axis: Axis) -> list[str]:
    """Transcripts that failed beside others that were completed: where all failed, `explain` has it."""
    sent = [placed.event for placed in axis.placed if placed.event.dropped is None]
    failed = [event for event in sent if event.type == f"{_TRANSCRIPTION}failed"]
    if not failed or not any(event.type == f"{_TRANSCRIPTION}completed" for event in sent):
        return []
    error = failed[-1].data.get("error") or {}
    count = "1 transcript" if len(failed) == 1 else f"{len(failed)} transcripts"
    return [f"{count} failed: {error.get('code')}, {error.get('message')}"]


def _pace(axis: Axis) -> list[str]:
    """The rate of the audio, where it is not the declared one.

    A client that streams a microphone sends one second of audio per second. One that sends 16 kHz samples as 24 kHz
    sends two thirds of a second: nothing in the events shows that, and the transcripts are nonsense.
    """
    size = count = 0
    duration = 0.0
    for placed in axis.placed:
        event = placed.event
        if event.type != APPEND or event.count < 2:
            continue
        # The first append of a run begins its time; its audio was recorded before.
        size += event.data.get("audio_bytes", 0) * (event.count - 1) // event.count
        duration += event.until - event.at
        count += event.count - 1
    if duration < _SHORTEST or count < _FEWEST:
        return []
    format_ = axis.spans[-1].format
    arriving = size / format_.width / duration
    if abs(arriving / format_.rate - 1) < _TOLERANCE:
        return []
    for rate in _RATES:
        if rate != format_.rate and abs(arriving / rate - 1) < _TOLERANCE:
            return [
                f"The audio arrives at about {rate:,} samples per second, and the session's format has "
                f"{format_.rate:,}: if the client streams in real time, its audio is {rate:,} Hz. Resample it to "
                f"{format_.rate:,} Hz before it is sent."
            ]
    return []
