"""Find out how received audio is to be played: its polarity, and the rate at which it was recorded.

A client that declares 24 kHz and sends 16 kHz samples is heard 1.5 times as fast, and what is transcribed is nonsense.
The beginning and the middle of the audio are enough to know it: they are read at each rate until one is the recording.

It needs numpy, which the extra ``exam`` installs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from rtstt_testkit.mock.inspect.aligner import SEED, Aligner, Match
from rtstt_testkit.mock.inspect.signals import FRAME, RATE, Signal, at_8k, frames, voiced

__all__ = ["Playback", "coverage", "find_playback"]

_PROBE = 5.0  # seconds
_NEAR_SEEDS = 6
_FAR_SEEDS = 2  # a search in the whole recording takes long
_PLAYED = 0.5  # of the sound
_LONG = 300 * RATE  # samples of a recording in which other rates are searched for only near the expected place
#: Rates that audio is recorded at, the most common first.
_RATES = (16000, 48000, 8000, 44100, 24000, 32000, 22050, 12000, 11025)


class Playback(NamedTuple):
    """How audio is to be played.

    Attributes:
        rate: Its samples a second.
        sign: 1, or -1 where its polarity is inverted.
        reached: The sample of the recording, at 8 kHz, that what was tried of it reached.
    """

    rate: int
    sign: int = 1
    reached: int = 0


def find_playback(
    aligner: Aligner, values: Any, declared: int, expected: int, likely: int, *, try_rates: bool
) -> Playback:
    """Return how audio is to be played so that it is the recording; if it never is, at its declared rate.

    Args:
        aligner: Finds audio in the recording.
        values: The samples.
        declared: Their number a second by the session's format.
        expected: The sample of the recording, at 8 kHz, at which they probably begin.
        likely: The sign that they probably have, and have where they are too short to know.
        try_rates: Whether to try other rates.
    """
    loud = np.flatnonzero(voiced(at_8k(values, declared)))
    if not len(loud):
        return Playback(declared, likely)
    rates = [rate for rate in _RATES if rate != declared] if try_rates else []
    size = round(_PROBE * declared)
    starts = [round(frame * FRAME * declared / RATE) for frame in (loud[0], loud[len(loud) // 2])]
    for probe in (values[start : start + size] for start in starts):
        for rate, sign, far in _attempts(declared, rates, likely, everywhere=aligner.length <= _LONG):
            signal = sign * at_8k(probe, rate)
            place = _place(aligner, signal, expected, far=far)
            if place is None:
                continue
            found = aligner.follow(signal, place)
            sound, known = coverage(signal, found)
            if known > sound * _PLAYED:
                return Playback(rate, sign, found[-1].end)
    return Playback(declared, likely)


def _attempts(declared: int, rates: Sequence[int], likely: int, *, everywhere: bool) -> Iterator[tuple[int, int, bool]]:
    """Yield rate, sign and whether to look in the whole recording, in the order of likelihood and of cost."""
    for far in (False, True):
        for sign in (likely, -likely):
            yield declared, sign, far
        for sign in (likely, -likely):
            for rate in rates if everywhere or not far else ():
                yield rate, sign, far


def _place(aligner: Aligner, signal: Signal, expected: int, *, far: bool) -> int | None:
    """Return where the recording has one of the signal's sounds, or None."""
    loud = np.flatnonzero(voiced(signal)) * FRAME
    loud = loud[loud <= len(signal) - SEED]
    seeds = _FAR_SEEDS if far else _NEAR_SEEDS
    starts: list[int] = loud[:: max(len(loud) // seeds, 1)][:seeds].tolist()
    for start in starts:
        place = aligner.find(signal[start : start + SEED], expected, far=far)
        if place is not None:
            return max(place - start, 0)
    return None


def coverage(signal: Signal, found: Sequence[Match]) -> tuple[int, int]:
    """Return how many frames of a signal have sound, and how many of these are in matches."""
    covered = np.zeros(len(signal), bool)
    for match in found:
        covered[match.first : match.last] = True
    loud = voiced(signal)
    return int(loud.sum()), int((loud & frames(covered)).sum())
