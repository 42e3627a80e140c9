"""The waveform of a session's audio, computed once for all who look."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator
from itertools import pairwise
from math import sqrt

from rtstt_testkit.inspector.axis import Axis, Span
from rtstt_testkit.mock.audio.formats import LOUDNESS_STEP, AudioFormat
from rtstt_testkit.mock.inspect.record import SessionRecord

__all__ = ["RATE", "Peaks"]

#: Peaks a second; 60 minutes of audio are 360,000 bytes.
RATE = 100
_STEP = 1.0  # seconds of audio between two pauses, so that sessions do not wait for a waveform
_SHOWN = bytes(round(255 * sqrt(loudness * LOUDNESS_STEP / 32768)) for loudness in range(256))


class Peaks:
    """The loudest sample of every hundredth of a second, one byte each.

    A byte is 255 times the square root of the loudness, so that quiet audio shows; what is too quiet for the speech
    detector is 0. Audio that was dropped before anyone looked is silence.

    Args:
        record: The session.
        axis: Its axis.
    """

    def __init__(self, record: SessionRecord, axis: Axis) -> None:
        self._record = weakref.ref(record)
        self._axis = axis
        self._values = bytearray()
        self._position = 0
        self._lock = asyncio.Lock()

    async def read(self) -> bytes:
        """Return the peaks of the audio received until now; sessions go on meanwhile."""
        async with self._lock:
            for _ in self._steps():
                await asyncio.sleep(0)
        return bytes(self._values)

    def read_now(self) -> bytes:
        """Return the peaks of the audio received until now, at once."""
        for _ in self._steps():
            pass
        return bytes(self._values)

    def _steps(self) -> Iterator[None]:
        record = self._record()
        assert record is not None, "whoever looks at a waveform holds its session's record"
        for start, size, format_ in self._missing(record.audio_received):
            audio = record.slice_audio(start, start + size)
            if len(audio) < size:
                self._skip_to(start + size - len(audio))
            step = int(_STEP * format_.rate) * format_.width
            for at in range(0, len(audio), step):
                self._values += _peaks(audio[at : at + step], format_)
                yield
            self._position = start + size

    def _missing(self, received: int) -> list[tuple[int, int, AudioFormat]]:
        """The parts of the audio without peaks, in whole peaks: start, size in bytes, format."""
        spans = [*self._axis.spans, Span(received, 0.0, self._axis.spans[-1].format)]
        parts = []
        for span, following in pairwise(spans):
            start = max(self._position, span.start)
            peak = span.format.rate // RATE * span.format.width
            size = (following.start - start) // peak * peak
            if size > 0:
                parts.append((start, size, span.format))
        return parts

    def _skip_to(self, position: int) -> None:
        """Put silence in place of audio that is not kept any more."""
        seconds = self._axis.time_of(position)
        self._values += bytes(max(0, int(seconds * RATE) - len(self._values)))


def _peaks(audio: bytes, format_: AudioFormat) -> bytes:
    loudness = format_.loudness(audio)
    size = format_.rate // RATE // format_.stride
    return bytes([_SHOWN[max(loudness[at : at + size])] for at in range(0, len(loudness) - size + 1, size)])
