"""Recognition of the bundled recordings by the shape of their loudness over time.

A recording is recognized in any format, after resampling and in moderate noise, wherever it starts in the stream: the
loudness of each hundredth of a second is compared, from where the detector found that speech begins. Several in a row,
with pauses that did not end the turn, are recognized one by one.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from math import sqrt
from operator import mul
from zlib import adler32

from rtstt_testkit.mock.audio.formats import FORMATS, AudioFormat
from rtstt_testkit.speech import recordings

__all__ = ["recognize"]

_WINDOWS_A_SECOND = 100
_BEGINNING = 40  # windows of a recording that distinguish it from the others
_JITTER = 8  # windows by which noise or a soft first sound shifts the detected beginning
_LONGEST = 60 * _WINDOWS_A_SECOND
_PAUSE = 15  # windows
_SAME_LENGTH = 0.15
_SIMILAR = 0.9

_CERTAIN = 0.98
_SHIFTS = sorted(range(-_JITTER, _JITTER + 1), key=abs)

Shape = tuple[int, ...]


def recognize(audio: bytes, audio_format: AudioFormat, whole: bool) -> str | None:
    """Return the name of the recording in the audio.

    Args:
        audio: Audio from the first sound on.
        audio_format: The format of the audio.
        whole: Whether the audio ends with the last sound, or speech continues after it.

    Returns:
        The name, or names joined by ``+``; None for other audio.
    """
    shape = _shape(audio, audio_format)
    name = _match(shape, whole)
    if name is not None or not whole or len(shape) > _LONGEST:
        return name
    pieces, names = _pieces(shape), []
    at = 0
    while at < len(pieces):
        for last in range(len(pieces) - 1, at - 1, -1):
            name = _match(shape[pieces[at][0] : pieces[last][1]], whole=True)
            if name is not None:
                names.append(name)
                at = last + 1
                break
        else:
            return None
    return "+".join(names) or None


@lru_cache(maxsize=128)  # under load, many sessions send the same audio
def _match(shape: Shape, whole: bool) -> str | None:
    best, name = _SIMILAR, None
    sums = _Sums(shape)
    for candidate, known in _recordings().items():
        length = len(known.shape) if whole else min(len(known.shape), len(shape) - _JITTER)
        if length < _BEGINNING or (whole and abs(len(shape) - length) > _SAME_LENGTH * length):
            continue
        for shift in _SHIFTS:
            similarity = _correlation(sums, max(shift, 0), known, max(-shift, 0), length)
            if similarity > best:
                best, name = similarity, candidate
            if best > _CERTAIN:
                return name
    return name


def _pieces(shape: Shape) -> list[tuple[int, int]]:
    """Return the sounds between pauses, as first window and window after the last."""
    quiet = min(shape, default=0)
    loud = quiet + (max(shape, default=0) - quiet) / 16
    pieces: list[tuple[int, int]] = []
    for at, loudness in enumerate(shape):
        if loudness <= loud:
            continue
        if pieces and at - pieces[-1][1] < _PAUSE:
            pieces[-1] = (pieces[-1][0], at + 1)
        else:
            pieces.append((at, at + 1))
    return pieces


class _Sums:
    """A shape, with the running sums of its windows and of their squares."""

    __slots__ = ("shape", "squares", "windows")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.windows = list(accumulate(shape, initial=0))
        self.squares = list(accumulate(map(mul, shape, shape), initial=0))

    def over(self, start: int, stop: int) -> tuple[int, int]:
        """Return both sums from one window to another."""
        return self.windows[stop] - self.windows[start], self.squares[stop] - self.squares[start]


@lru_cache(maxsize=1)
def _recordings() -> dict[str, _Sums]:
    return {name: _Sums(_shape(recording.pcm, FORMATS["audio/pcm"])) for name, recording in recordings().items()}


def _shape(audio: bytes, audio_format: AudioFormat) -> Shape:
    """Return the loudness of each window, smoothed over three to depend little on where the windows begin."""
    loudness = audio_format.loudness(audio)
    window = audio_format.rate // audio_format.stride // _WINDOWS_A_SECOND
    sums = [(adler32(loudness[at : at + window]) & 0xFFFF) - 1 for at in range(0, len(loudness) - window + 1, window)]
    return tuple([a + b + c for a, b, c in zip([0, *sums], sums, [*sums[1:], 0], strict=False)])


def _correlation(a: _Sums, a_start: int, b: _Sums, b_start: int, b_stop: int) -> float:
    """Return Pearson's correlation over the common length: 1 for the same shape at any volume, in any steady noise."""
    size = min(len(a.shape) - a_start, b_stop - b_start)
    if size < _BEGINNING - 2 * _JITTER:
        return 0.0
    sum_a, squares_a = a.over(a_start, a_start + size)
    sum_b, squares_b = b.over(b_start, b_start + size)
    products = sum(map(mul, a.shape[a_start : a_start + size], b.shape[b_start : b_start + size]))
    covariance = size * products - sum_a * sum_b
    spread = (size * squares_a - sum_a * sum_a) * (size * squares_b - sum_b * sum_b)
    return covariance / sqrt(spread) if spread > 0 else 0.0
