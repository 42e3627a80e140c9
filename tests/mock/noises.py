"""Recordings mixed with noise of a known loudness, and where their turns are."""

from __future__ import annotations

import array
import math
import random
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from rtstt_testkit import speech

RATE = 24000


def white(count: int, dice: random.Random) -> Iterator[float]:
    return (dice.gauss(0, 1) for _ in range(count))


def pink(count: int, dice: random.Random) -> Iterator[float]:
    """Pink noise, 3 dB less an octave, from 80 Hz on.

    White noise through low passes two octaves apart, each with half the weight of the one below.
    """
    corners = (40, 160, 640, 2560)
    parts = [(1 - math.exp(-2 * math.pi * corner / RATE), 0.5**order) for order, corner in enumerate(corners)]
    low = [0.0] * len(parts)
    slow, follow = 0.0, 1 - math.exp(-2 * math.pi * 80 / RATE)
    for value in white(count, dice):
        whole = value / 16
        for order, (step, weight) in enumerate(parts):
            low[order] += (value - low[order]) * step
            whole += low[order] * weight
        slow += (whole - slow) * follow
        yield whole - slow


def babble(count: int, dice: random.Random) -> Iterator[float]:
    """The voices of two dozen people."""
    voices = [sample for name in speech.recordings() for sample in _samples(name)]
    starts = [dice.randrange(len(voices)) for _ in range(24)]
    twice = voices + voices
    for at in range(count):
        yield sum(twice[start + at % len(voices)] for start in starts)


def hum(count: int, dice: random.Random) -> Iterator[float]:
    """Mains hum: 50 Hz and its overtones."""
    parts = [(1, 1.0), (2, 0.5), (3, 0.6), (5, 0.3), (7, 0.15)]
    waves = [(2 * math.pi * 50 * times / RATE, size, dice.uniform(0, 6)) for times, size in parts]
    period = [sum(size * math.sin(step * at + phase) for step, size, phase in waves) for at in range(RATE // 50)]
    return (period[at % len(period)] for at in range(count))


NOISES: dict[str, Callable[[int, random.Random], Iterator[float]]] = {
    "white": white,
    "pink": pink,
    "babble": babble,
    "hum": hum,
}


class Scene(NamedTuple):
    """Audio with speech in it.

    Attributes:
        pcm: 16-bit samples at 24 kHz.
        turns: The beginning and the end of each turn, in milliseconds.
    """

    pcm: bytes
    turns: list[tuple[float, float]]


@lru_cache(maxsize=16)
def _samples(name: str) -> array.array[int]:
    return array.array("h", speech.load(name).pcm)


def _loudness(samples: array.array[int] | list[float]) -> float:
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


@lru_cache(maxsize=32)
def scene(
    names: tuple[str, ...],
    noise: str | None = None,
    snr: float = 20,
    seed: int = 1,
    lead_ms: int = 1200,
    gap_ms: int = 900,
) -> Scene:
    """Return recordings one after the other, in noise from the first sample to the last.

    Args:
        names: The recordings.
        noise: A name of `NOISES`.
        snr: How much louder speech is than the noise, in decibels, both by their mean power.
        seed: The seed of the noise.
        lead_ms: The time before the first recording.
        gap_ms: The time after each.
    """
    clean = array.array("h", bytes(2 * lead_ms * RATE // 1000))
    spoken = array.array("h")
    turns = []
    for name in names:
        begin = len(clean)
        clean += _samples(name)
        spoken += _samples(name)
        turns.append((begin * 1000 / RATE, len(clean) * 1000 / RATE))
        clean += array.array("h", bytes(2 * gap_ms * RATE // 1000))
    if noise is not None:
        background = list(NOISES[noise](len(clean), random.Random(seed)))
        factor = _loudness(spoken) / _loudness(background) / 10 ** (snr / 20)
        mixed = (round(sample + factor * other) for sample, other in zip(clean, background, strict=True))
        clean = array.array("h", [max(-32768, min(32767, sample)) for sample in mixed])
    return Scene(clean.tobytes(), turns)


def resampled(pcm: bytes, rate: int, to: int) -> bytes:
    """Resample PCM; each sample is the mean of those that it replaces."""
    samples = array.array("h", pcm)
    step = max(1, rate // to)
    found = (samples[at * rate // to : at * rate // to + step] for at in range(len(samples) * to // rate))
    return array.array("h", [sum(part) // len(part) for part in found]).tobytes()
