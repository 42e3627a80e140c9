"""The waveform of a session's audio, computed once for all readers."""

from __future__ import annotations

import asyncio
import weakref
from functools import lru_cache
from itertools import pairwise
from math import sqrt

from rtstt_testkit.inspector.axis import Axis, FormatSpan
from rtstt_testkit.mock.audio.formats import LOUDNESS_STEP, AudioFormat
from rtstt_testkit.mock.inspect.record import SessionRecord

__all__ = ["RATE", "Peaks"]

#: Peaks per second; 60 minutes of audio are 360,000 bytes.
RATE = 100
_STEP = 10.0  # seconds of audio between two pauses, so that sessions do not wait for a waveform
_LOAD = 4 * 1024 * 1024  # bytes that are read from the record at once: finding them takes longer than copying
_SAMPLES = 8  # samples that are read for a peak
# Thirtieths of the distance between them: no tone of up to 8 kHz (G.711: 3.6 kHz) shows less than 0.7 of its height.
_UNEVEN = (21, 13, 5, 11, 2, 19, 9, 28)
_SHOWN = bytes(round(255 * sqrt(loudness * LOUDNESS_STEP / 32768)) for loudness in range(256))
_SHOWN_CODES = bytes(_SHOWN[code] if code < 64 else min(128 + 2 * (code - 64), 255) for code in range(256))


class Peaks:
    """The loudest of eight samples of every hundredth of a second, one byte each.

    A byte is 255 times the square root of the loudness, so that quiet audio shows; what is too quiet for the speech
    detector is 0. Audio that was dropped before it was read is silence.

    Args:
        record: The session.
        axis: Its axis.
    """

    def __init__(self, record: SessionRecord, axis: Axis) -> None:
        self._record = weakref.ref(record)
        self._axis = axis
        self._values = bytearray()
        self._position = 0
        # Audio that was read from the record, and how much of it has its peaks.
        self._audio = b""
        self._done = 0
        self._format = axis.spans[0].format

    async def read(self) -> bytes:
        """Return the peaks of the audio received until now; sessions go on meanwhile."""
        for _ in iter(self._step, False):
            await asyncio.sleep(0)
        return bytes(self._values)

    def read_now(self) -> bytes:
        """Return the peaks of the audio received until now, at once."""
        while self._step():
            pass
        return bytes(self._values)

    def _step(self) -> bool:
        """Compute some seconds of the waveform; return whether there was something to compute."""
        if not self._audio and not self._load():
            return False
        format_ = self._format
        end = self._done + int(_STEP * format_.rate) * format_.width
        audio = self._audio[self._done : end]
        self._values += _peaks(audio, format_)
        self._done += len(audio)
        if self._done >= len(self._audio):
            self._audio, self._done = b"", 0
        return True

    def _load(self) -> bool:
        """Read the next audio from the record, in whole peaks; return whether there is some."""
        record = self._record()
        assert record is not None, "the reader of a waveform holds its session's record"
        spans = [*self._axis.spans, FormatSpan(record.audio_received, 0.0, self._axis.spans[-1].format)]
        for span, following in pairwise(spans):
            start = max(self._position, span.start)
            peak = span.format.rate // RATE * span.format.width
            size = min(following.start - start, _LOAD) // peak * peak
            if size <= 0:
                continue
            self._audio, self._done, self._format = record.slice_audio(start, start + size), 0, span.format
            if len(self._audio) < size:
                self._skip_to(start + size - len(self._audio))
            self._position = start + size
            return True
        return False

    def _skip_to(self, position: int) -> None:
        """Put silence in place of audio that is no longer kept."""
        seconds = self._axis.time_of(position)
        self._values += bytes(max(0, int(seconds * RATE) - len(self._values)))


@lru_cache(maxsize=3)
def _codes(format_: AudioFormat) -> bytes:
    """Return the table from the key byte of a sample to seven bits in the order of loudness."""
    loudness = format_.loudness_of(bytes(range(256)))
    return bytes(value if value < 64 else 64 + (_SHOWN[value] - 128) // 2 for value in loudness)


def _places(window: int) -> list[int]:
    """Return which samples of a window are read: at uneven distances, so that no tone is missed."""
    step = window // _SAMPLES
    return [step * number + step * _UNEVEN[number] // 30 for number in range(_SAMPLES)]


def _peaks(audio: bytes, format_: AudioFormat) -> bytes:
    """Return the peak of each whole window.

    Bytes of all windows are compared at once, in integers of any length: audio that is about to be dropped is read
    while sessions wait, and `max` would take ten times as long.
    """
    window, width = format_.rate // RATE, format_.width
    span = window * width
    count = len(audio) // span
    top = int.from_bytes(b"\x80" * count, "little")
    peaks = 0
    for place in _places(window):
        keys = audio[place * width + width - 1 : count * span : span]
        values = int.from_bytes(keys.translate(_codes(format_)), "little")
        wins = ((peaks | top) - values) & top  # where nothing was borrowed, the peak is the larger one
        peaks = values ^ ((peaks ^ values) & (wins - (wins >> 7)))
    return peaks.to_bytes(count, "little").translate(_SHOWN_CODES)
