"""Compare two pieces of audio by their loudness and their zero crossings, every 40 ms.

Chunk size, gain, resampling and G.711 hardly change either, while a different sentence differs in both. In the
recordings of `rtstt_testkit.speech`, the same audio is at most 6 apart over a second (as G.711 at 8 kHz, at a third of
the volume, shifted by 13 ms), and different sentences of the same voice are at least 10 apart at their best alignment.
It needs only the standard library, and an append of 50 ms takes a few microseconds.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from math import hypot, log2, log10, sqrt
from typing import NamedTuple

from rtstt_testkit.cassette.wav import Encoding
from rtstt_testkit.mock.audio.formats import decode_g711

__all__ = ["FRAMES", "OFFSETS", "Contour", "Stretch", "differing", "outline", "sounding"]

FRAMES = 25
"""Frames per second."""

OFFSETS = (0.0, 0.01, 0.02, 0.03)
"""Offsets in seconds at which contours of recorded audio begin, so that the frames of one match those of a client."""

_BATCH = 32 * 1024  # bytes of audio that are read at once, which costs less than one append at a time
_SIGNS = 8000  # samples per second whose sign is read; frequencies above those of G.711 are not counted
_SAMPLES = 40  # samples of a frame that are read for its loudness
_QUIET = 20  # dB above one unit of a 16-bit sample; quieter audio is silence
_RANGE = 30  # dB below the loudest frame; quieter audio is a pause
_LOWEST = 10  # dB below a pause; all lower levels count as equal
_MOST_GAIN = 30  # dB
_MOST_APART = 20, 30  # of one frame: dB, and tenths of an octave
_APART = 8  # dB and tenths of an octave together, on average
_WINDOW = FRAMES
_SHORTEST = _WINDOW // 2
_FEWEST = 3  # frames with sound that a comparison needs
_OVERLAP = 0.6
_MOST_WINDOWS = 10  # windows that are searched after the first difference

_MARKS = "▁▂▃▄▅▆▇█"
_MOST_MARKS = 24

_FALLING = bytes(key >= 128 for key in range(256))
_OCTAVES = [round(10 * log2(count + 2)) for count in range(1 + _SIGNS // FRAMES)]


class _Shape(NamedTuple):
    """How a frame of an encoding is read, in samples."""

    frame: int
    between_signs: int
    between_samples: int
    negative: bytes
    values: list[int] | None


@lru_cache(maxsize=16)
def _shape(encoding: Encoding) -> _Shape:
    frame = max(1, encoding.rate // FRAMES)

    def divisor(most: int) -> int:
        return next(number for number in range(max(1, most), 0, -1) if frame % number == 0)

    values, negative = None, _FALLING
    if encoding.name != "pcm":
        decoded = array("h", decode_g711(bytes(range(256)), f"audio/{encoding.name}"))
        if sys.byteorder == "big":
            decoded.byteswap()
        values, negative = list(decoded), bytes(value < 0 for value in decoded)
    return _Shape(frame, divisor(encoding.rate // _SIGNS), divisor(frame // _SAMPLES), negative, values)


class Contour:
    """The contour of audio that is appended.

    Args:
        skip: Seconds to leave out at the beginning.

    Attributes:
        levels: The loudness of each frame, in dB.
        crossings: The number of zero crossings of each frame, in tenths of an octave.
    """

    def __init__(self, skip: float = 0.0) -> None:
        self.levels = bytearray()
        self.crossings = bytearray()
        self._skip = skip
        self._encoding: Encoding | None = None
        self._waiting: list[bytes] = []
        self._size = 0

    def append(self, audio: bytes, encoding: Encoding) -> None:
        """Append audio; an incomplete frame is kept for the next call.

        Args:
            audio: The bytes.
            encoding: How they are encoded.
        """
        if encoding != self._encoding:
            self.flush()
            self._encoding, self._waiting, self._size = encoding, [], 0
        self._waiting.append(audio)
        self._size += len(audio)
        if self._size >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Read the audio that was appended."""
        encoding = self._encoding
        if encoding is None or not self._waiting:
            return
        audio = b"".join(self._waiting)
        if self._skip:
            left_out = int(self._skip * encoding.rate) * encoding.width
            if len(audio) < left_out:
                self._waiting = [audio]
                return
            audio, self._skip = audio[left_out:], 0.0
        shape = _shape(encoding)
        size = shape.frame * encoding.width
        whole = len(audio) - len(audio) % size
        self._waiting, self._size = [audio[whole:]], len(audio) - whole
        if whole:
            self._read(audio[:whole], encoding.width, shape)

    def _read(self, audio: bytes, width: int, shape: _Shape) -> None:
        signs = audio[width - 1 :: width * shape.between_signs].translate(shape.negative)
        number, rises = shape.frame // shape.between_signs, signs.count
        self.crossings += bytes([_OCTAVES[rises(b"\0\1", at, at + number)] for at in range(0, len(signs), number)])
        samples: Sequence[int]
        if shape.values is None:
            words = array("h", audio)
            if sys.byteorder == "big":
                words.byteswap()
            samples = words[:: shape.between_samples]
        else:
            values = shape.values
            samples = [values[code] for code in audio[:: shape.between_samples]]
        number = shape.frame // shape.between_samples
        root = sqrt(number)
        self.levels += bytes(
            [round(20 * log10(hypot(*samples[at : at + number]) / root + 1)) for at in range(0, len(samples), number)]
        )


class Stretch(NamedTuple):
    """Audio that differs.

    Attributes:
        start: Where it begins, in frames of the recorded audio.
        end: Where it ends.
        loudness: How far apart the loudness is on average, in dB.
        octaves: How far apart the zero crossings are on average, in octaves.
        sound: How many frames of it have sound.
    """

    start: int
    end: int
    loudness: float
    octaves: float
    sound: int


def sounding(contour: Contour, part: range) -> int:
    """Return how many frames have sound."""
    levels = contour.levels[part.start : part.stop]
    floor = _floor(levels)
    return sum(level >= floor for level in levels)


def outline(contour: Contour, part: range) -> str:
    """Return the loudness as a line of marks, one for at least three frames."""
    levels = contour.levels[part.start : part.stop]
    step = max(3, -(-len(levels) // _MOST_MARKS))
    floor, span = _floor(levels), len(_MARKS) - 1
    return "".join(
        _MARKS[max(0, min(span, 1 + (max(levels[at : at + step]) - floor) * span // _RANGE))]
        for at in range(0, len(levels), step)
    )


def _floor(levels: bytes | bytearray) -> int:
    return max(_QUIET, max(levels, default=0) - _RANGE)


def differing(
    recorded: Callable[[int], Contour], part: range, received: Contour, its_part: range, slack: int
) -> Stretch | None:
    """Return the first stretch of recorded audio that the received audio does not have; None if it has all.

    Args:
        recorded: Returns the contour of the recorded audio by the index of its offset in `OFFSETS`.
        part: The frames that are compared.
        received: The contour of the received audio.
        its_part: Its frames.
        slack: How many frames shorter or longer it may be.
    """
    search = _Search(recorded, received, part, its_part, slack)
    found: list[Stretch] = []
    windows = 0
    for window in _windows(part):
        differs = list(search.unlike(window))
        if not differs and found and sum(stretch.sound for stretch in found) > slack:
            break
        found += differs
        windows += bool(found)
        if windows >= _MOST_WINDOWS:
            break
    sound = sum(stretch.sound for stretch in found)
    if sound <= slack or not found:
        return None
    return Stretch(
        found[0].start,
        found[-1].end,
        sum(stretch.loudness * stretch.sound for stretch in found) / sound,
        sum(stretch.octaves * stretch.sound for stretch in found) / sound,
        sound,
    )


def _windows(part: range) -> Iterator[range]:
    """Yield windows of a second; the last is up to half a second longer."""
    start = part.start
    while start < part.stop:
        end = part.stop if part.stop - start < _WINDOW + _SHORTEST else start + _WINDOW
        yield range(start, end)
        start = end


class _Search:
    """Looks for windows of recorded audio in received audio."""

    def __init__(
        self, recorded: Callable[[int], Contour], received: Contour, part: range, its_part: range, slack: int
    ) -> None:
        self._recorded, self._received = recorded, received
        self._its_part = range(its_part.start, min(its_part.stop, len(received.levels)))
        self._shift = its_part.start - part.start
        self._slack = slack
        self._floors = (
            _floor(recorded(0).levels[part.start : part.stop]),
            _floor(received.levels[its_part.start : its_part.stop]),
        )
        self._last = 0, 0  # which contour, and by how many frames the received audio is late

    def unlike(self, window: range) -> Iterator[Stretch]:
        """Yield the parts of the window that are missing; its parts need not be adjacent in the received audio."""
        found = self._best(window)
        if found is None or _distance(found) <= _APART:
            return
        if len(window) < _SHORTEST:
            yield Stretch(window.start, window.stop, found[0], found[1] / 10, found[2])
            return
        middle = window.start + len(window) // 2
        for half in (range(window.start, middle), range(middle, window.stop)):
            yield from self.unlike(half)

    def _best(self, window: range) -> tuple[float, float, int] | None:
        """Return the smallest difference over all places where the window may be; None if it cannot be compared."""
        best = self._apart(window, *self._last)
        if best is not None and _distance(best) <= _APART:
            return best
        for which in range(len(OFFSETS)):
            for late in range(-self._slack, self._slack + 1):
                found = self._apart(window, which, late)
                if found is not None and (best is None or _distance(found) < _distance(best)):
                    best, self._last = found, (which, late)
        return best

    def _apart(self, window: range, which: int, late: int) -> tuple[float, float, int] | None:
        """Return how far apart loudness and crossings are at one place, and how many frames have sound."""
        mine, theirs = self._recorded(which), self._received
        first = window.start + self._shift + late
        before = max(0, self._its_part.start - first)
        after = min(len(window), self._its_part.stop - first, len(mine.levels) - window.start)
        if after - before < max(_FEWEST, min(_OVERLAP * len(window), len(window) - self._slack)):
            return None
        start, end, at = window.start + before, window.start + after, first + before
        one, other = mine.levels[start:end], theirs.levels[at : at + end - start]
        crossings, others = mine.crossings[start:end], theirs.crossings[at : at + end - start]
        mine_floor, their_floor = self._floors
        levels = list(zip(one, other, strict=True))
        loud = [index for index, (a, b) in enumerate(levels) if a >= mine_floor or b >= their_floor]
        if len(loud) < _FEWEST:
            return 0.0, 0.0, len(loud)
        lowest, their_lowest = mine_floor - _LOWEST, their_floor - _LOWEST
        gains = [max(levels[index][1], their_lowest) - max(levels[index][0], lowest) for index in loud]
        gain = min(max(sorted(gains)[len(gains) // 2], -_MOST_GAIN), _MOST_GAIN)
        most, most_octaves = _MOST_APART
        return (
            sum([min(abs(change - gain), most) for change in gains]) / len(loud),
            sum([min(abs(crossings[index] - others[index]), most_octaves) for index in loud]) / len(loud),
            len(loud),
        )


def _distance(found: tuple[float, float, int]) -> float:
    return found[0] + found[1]
