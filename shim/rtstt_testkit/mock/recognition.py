"""Knows the bundled recordings when it hears them, by the shape of their loudness over time.

A recording is known again in any format, after resampling and in moderate noise, wherever it starts in the stream:
what is compared is how loud each hundredth of a second is, from where the detector heard speech begin. Several in a
row, with pauses that did not end the turn, are known one by one.
"""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from zlib import adler32

from rtstt_testkit.mock.audio import FORMATS, AudioFormat
from rtstt_testkit.speech import recordings

__all__ = ["recognize"]

_WINDOWS_A_SECOND = 100
_BEGINNING = 40  # windows of a recording by which it is told from the others
_JITTER = 8  # windows by which noise or a soft first sound moves the detected beginning
_LONGEST = 60 * _WINDOWS_A_SECOND
_PAUSE = 15  # windows
_SAME_LENGTH = 0.15
_ALIKE = 0.9

Shape = list[float]


def recognize(audio: bytes, audio_format: AudioFormat, whole: bool) -> str | None:
    """Name the recording that the audio is.

    Args:
        audio: From the first sound on.
        audio_format: Of the audio.
        whole: Whether the audio ends with the last sound, or speech goes on after it.

    Returns:
        The name, or names joined by ``+``; None for audio that is none of them.
    """
    heard = _shape(audio, audio_format)
    name = _match(heard, whole)
    if name is not None or not whole or len(heard) > _LONGEST:
        return name
    pieces, names = _pieces(heard), []
    at = 0
    while at < len(pieces):
        for last in range(len(pieces) - 1, at - 1, -1):
            name = _match(heard[pieces[at][0] : pieces[last][1]], whole=True)
            if name is not None:
                names.append(name)
                at = last + 1
                break
        else:
            return None
    return "+".join(names) or None


def _match(heard: Shape, whole: bool) -> str | None:
    best, name = _ALIKE, None
    for candidate, known in _known().items():
        length = len(known) if whole else min(len(known), len(heard) - _JITTER)
        if length < _BEGINNING or (whole and abs(len(heard) - len(known)) > _SAME_LENGTH * len(known)):
            continue
        for shift in range(-_JITTER, _JITTER + 1):
            alike = _correlation(heard[max(shift, 0) :], known[max(-shift, 0) : length])
            if alike > best:
                best, name = alike, candidate
    return name


def _pieces(heard: Shape) -> list[tuple[int, int]]:
    """Where there is sound between pauses, as windows from and to."""
    quiet = min(heard, default=0.0)
    loud = quiet + (max(heard, default=0.0) - quiet) / 16
    pieces: list[tuple[int, int]] = []
    for at, loudness in enumerate(heard):
        if loudness <= loud:
            continue
        if pieces and at - pieces[-1][1] < _PAUSE:
            pieces[-1] = (pieces[-1][0], at + 1)
        else:
            pieces.append((at, at + 1))
    return pieces


@lru_cache(maxsize=1)
def _known() -> dict[str, Shape]:
    return {name: _shape(recording.pcm, FORMATS["audio/pcm"]) for name, recording in recordings().items()}


def _shape(audio: bytes, audio_format: AudioFormat) -> Shape:
    """The loudness of each window, smoothed over three so that it hardly depends on where the windows begin."""
    loudness = audio_format.loudness(audio)
    window = audio_format.rate // audio_format.stride // _WINDOWS_A_SECOND
    sums = [(adler32(loudness[at : at + window]) & 0xFFFF) - 1 for at in range(0, len(loudness) - window + 1, window)]
    padded = [0, *sums, 0]
    return [float(sum(padded[at : at + 3])) for at in range(len(sums))]


def _correlation(a: Shape, b: Shape) -> float:
    """Pearson's, over the length that both have: 1 for the same shape at any volume, above any steady noise."""
    size = min(len(a), len(b))
    if size < _BEGINNING - 2 * _JITTER:
        return 0.0
    a, b = a[:size], b[:size]
    mean_a, mean_b = sum(a) / size, sum(b) / size
    covariance = sum(x * y for x, y in zip(a, b, strict=True)) - size * mean_a * mean_b
    spread = (sum(x * x for x in a) - size * mean_a**2) * (sum(y * y for y in b) - size * mean_b**2)
    return covariance / sqrt(spread) if spread > 0 else 0.0
