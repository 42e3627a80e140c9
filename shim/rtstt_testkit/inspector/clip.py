"""A part of a session's audio as a WAV file."""

from __future__ import annotations

import io
import wave

from rtstt_testkit.inspector.view import Observed
from rtstt_testkit.mock.audio.formats import to_pcm16

__all__ = ["clip"]


def clip(seen: Observed, start: float, seconds: float | None) -> bytes:
    """Return audio as 16-bit PCM of its own rate, up to the next change of format.

    Args:
        seen: The session.
        start: Where it begins, in seconds.
        seconds: How long it is at most; None for all of it.
    """
    axis = seen.axis
    span = max((span for span in axis.spans if span.seconds <= start), key=lambda span: span.seconds)
    rate, width = span.format.rate, span.format.width
    first = axis.position(start)
    end = min([other.start for other in axis.spans if other.start > span.start] or [seen.record.audio_received])
    if seconds is not None:
        end = min(end, first + int(seconds * rate) * width)
    audio = seen.record.slice_audio(first, end)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(to_pcm16(audio[: len(audio) // width * width], span.format.name))
    return out.getvalue()
