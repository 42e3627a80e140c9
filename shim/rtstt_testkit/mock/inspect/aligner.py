"""Find received audio in a recording, to a fraction of a millisecond.

Both are compared at 8 kHz by normalized correlation, which neither gain nor resampling nor chunking changes. A seed of
a quarter of a second finds a place in the recording; from there the two are followed in blocks of 20 ms until they
differ, and the next seed finds where they go on. The place of a cut is where the error of both sides is smallest.

It needs numpy, which the extra ``exam`` installs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rtstt_testkit.mock.inspect.signals import FRAME, RATE, Signal, floor, voiced

__all__ = ["LAGS", "SEED", "Aligner", "Match"]

LAGS = 16
"""Samples by which a place may drift in a span."""
SEED = 2000
"""Samples that find a place."""

_BLOCK = 160
_SPAN = 25  # blocks that are compared at once
_SHORTEST_SEED = 480
_NEAR = 10 * RATE  # how far from the expected place a seed is searched for first
_FAR = 1 << 18
_FFT = 1 << 14  # samples that are transformed at once: what stays in the cache is fast
_SAME = 0.6
_SEEDED = 0.7
_RELATED = 0.25
_IDENTICAL = 0.995
_CLOSE = 0.08
_WORD = 1600  # samples
_STEP = 800  # samples to go on after a seed that was not found
_CUT = 1600  # samples before a difference in which the cut may be
_MANY = 20
_PATIENCE = 3  # seeds that are searched for near the expected place before one is searched for everywhere


class Match(NamedTuple):
    """Received samples ``first`` to ``last`` are the recording's from ``first + offset`` on."""

    first: int
    last: int
    offset: int
    uncertain: int = 0

    @property
    def start(self) -> int:
        """Where it begins in the recording."""
        return self.first + self.offset

    @property
    def end(self) -> int:
        """Where it ends in the recording."""
        return self.last + self.offset


class Aligner:
    """Finds received audio in a recording.

    Args:
        recording: The recording at 8 kHz.
    """

    def __init__(self, recording: Signal) -> None:
        self._recording = recording
        self._floor = floor(recording)
        self._similarity = 0.0  # of the span that was compared last

    @property
    def length(self) -> int:
        """The length of the recording, in samples."""
        return len(self._recording)

    def follow(self, signal: Signal, expected: int) -> list[Match]:
        """Return where the received audio is in the recording.

        Args:
            signal: The audio of a session at 8 kHz.
            expected: The sample of the recording at which it probably begins.
        """
        matches: list[Match] = []
        loud = np.flatnonzero(voiced(signal)) * FRAME
        silent = floor(signal)
        at = misses = 0
        while True:
            left = loud[np.searchsorted(loud, at) :]
            if not len(left) or len(signal) - left[0] < _SHORTEST_SEED:
                return matches
            seed = int(left[0])
            begin = matches[-1].last if matches else 0
            offset = self.find(signal[seed : seed + SEED], expected, far=misses % _MANY == _PATIENCE)
            if offset is None:
                misses += 1
                at = seed + (_STEP if misses < _MANY else 10 * _STEP)
                continue
            misses = 0
            match, *drifted = self._extend(signal, silent, seed, offset - seed, begin)
            if match.last - match.first < _SHORTEST_SEED // 2 and not drifted:
                at = seed + _STEP
                continue
            if matches and self._goes_on(signal, matches[-1], match):
                match = matches.pop()._replace(last=match.last)
            elif matches and match.first - matches[-1].last < _CUT:
                matches[-1], match = self._cut(signal, matches[-1], match)
            matches += [match, *drifted]
            at, expected = max(matches[-1].last, seed + _BLOCK), matches[-1].end

    def find(self, seed: Signal, expected: int, *, far: bool) -> int | None:
        """Return the sample of the recording at which a seed begins, or None."""
        total = len(self._recording)
        first, last = max(expected - _NEAR, 0), min(expected + _NEAR, total)
        score, place = self._correlate(seed, first, last, expected)
        if score >= _SEEDED or not far:
            return place if score >= _SEEDED else None
        best = (score, place)
        for begin in range(0, total, _FAR):
            found = self._correlate(seed, begin, min(begin + _FAR + len(seed), total), expected)
            best = max(best, found, key=lambda each: each[0])
        return best[1] if best[0] >= _SEEDED else None

    def _correlate(self, seed: Signal, first: int, last: int, expected: int) -> tuple[float, int]:
        """Return the best normalized correlation of a seed with a part of the recording, and its place."""
        part = self._recording[first:last]
        if first == 0:  # audio that was resampled may begin a little before the recording
            part, first = np.concatenate([np.zeros(LAGS, np.float32), part]), -LAGS
        if len(part) < len(seed):
            return 0.0, first
        products = _products(part, seed)
        sums = np.concatenate([[0.0], np.cumsum(part.astype(np.float64) ** 2)])
        energy = sums[len(seed) :] - sums[: len(sums) - len(seed)]
        # In silence a correlation means nothing.
        norms = np.sqrt(np.maximum(energy, self._floor * len(seed)) * float(seed @ seed) + 1e-9)
        scores = products / norms
        best = int(np.argmax(scores))
        # The same words may occur in several places: the nearest to the expected one is meant. What is nearer to the
        # best place than a word is long is the same place, a period of the voice away.
        places = np.flatnonzero(scores >= scores[best] - _CLOSE)
        places = places[np.abs(places - best) > _WORD]
        if len(places):
            nearest = int(places[np.argmin(np.abs(places + first - expected))])
            if abs(nearest + first - expected) < abs(best + first - expected):
                around = max(nearest - _WORD, 0)
                best = around + int(np.argmax(scores[around : nearest + _WORD]))
        return float(scores[best]), first + best

    def _extend(self, signal: Signal, silent: float, seed: int, offset: int, begin: int) -> list[Match]:
        """Follow the audio from a seed both ways for as long as it is the recording.

        Args:
            signal: The audio.
            silent: The mean square below which it is silent.
            seed: Where the seed begins.
            offset: From the audio's samples to the recording's.
            begin: Where the audio that is not matched yet begins.

        Returns:
            One match, and a further one for every time that the place drifted.
        """
        low = max(begin, -offset)
        first = seed = max(seed, low)
        while first - _BLOCK >= low and self._agrees(signal, silent, first - _BLOCK, offset, 1)[0]:
            first -= _BLOCK
        if first - low < _BLOCK:
            first = low
        matches = [Match(first, seed, offset)]
        at = seed
        while True:
            good, blocks = self._agrees(signal, silent, at, offset, _SPAN)
            at += good * _BLOCK
            if good < blocks or blocks < _SPAN:
                break
            drift = 0
            if self._similarity < _IDENTICAL:
                drift = self._drift(signal, silent, at - _SPAN * _BLOCK, offset)
            if drift:
                matches[-1] = matches[-1]._replace(last=at)
                offset += drift
                matches.append(Match(at, at, offset))
        if good == blocks:  # the rest is less than a block
            at = min(len(signal), len(self._recording) - offset)
        matches[-1] = matches[-1]._replace(last=max(at, matches[-1].first))
        return matches

    def _goes_on(self, signal: Signal, left: Match, right: Match) -> bool:
        """Return whether the audio between two matches is the recording as well, though it differs more."""
        if abs(left.offset - right.offset) > 1:
            return False
        first, last = left.last, max(right.first, left.last)
        received = signal[first:last]
        recorded = self._recording[first + left.offset : last + left.offset]
        return float(received @ recorded) >= _RELATED * float(np.sqrt((received @ received) * (recorded @ recorded)))

    def _agrees(self, signal: Signal, silent: float, at: int, offset: int, most: int) -> tuple[int, int]:
        """Return how many blocks agree before the first two that do not, and how many were compared."""
        blocks = min(most, (len(signal) - at) // _BLOCK, (len(self._recording) - at - offset) // _BLOCK)
        if blocks <= 0 or at + offset < 0:
            return 0, 0
        received = signal[at : at + blocks * _BLOCK].reshape(blocks, _BLOCK)
        recorded = self._recording[at + offset : at + offset + blocks * _BLOCK].reshape(blocks, _BLOCK)
        products = np.einsum("ij,ij->i", received, recorded)
        energy, other = np.einsum("ij,ij->i", received, received), np.einsum("ij,ij->i", recorded, recorded)
        quiet = (energy < 4 * silent * _BLOCK) & (other < 4 * self._floor * _BLOCK)
        same = quiet | (products >= _SAME * np.sqrt(energy * other + 1e-9))
        if same.all():
            self._similarity = float(products.sum() / np.sqrt(energy.sum() * other.sum() + 1e-9))
            return blocks, blocks
        self._similarity = 0.0
        wrong = np.flatnonzero(~same)
        for index in wrong.tolist():
            if index + 1 >= blocks or not same[index + 1] or most == 1:
                return index, blocks
        return blocks, blocks

    def _drift(self, signal: Signal, silent: float, at: int, offset: int) -> int:
        """Return by how many samples the place drifted: chunks that are resampled one by one are rounded one by one."""
        size = _SPAN * _BLOCK
        first, last = at + offset - LAGS, at + offset + size + LAGS
        if first < 0 or last > len(self._recording):
            return 0
        received = signal[at : at + size]
        if float(received @ received) < 4 * silent * size:
            return 0
        windows = np.lib.stride_tricks.sliding_window_view(self._recording[first:last], size)
        products = windows @ received
        best = int(np.argmax(products))
        return best - LAGS if products[best] > 1.02 * products[LAGS] > 0 else 0

    def _cut(self, signal: Signal, left: Match, right: Match) -> tuple[Match, Match]:
        """Return two matches with the cut between them where the error of both is smallest."""
        first = max(left.first, left.last - _CUT, -right.offset)
        last = min(right.last, max(right.first, left.last) + _CUT, len(self._recording) - left.offset)
        if last - first < 2:
            return left, right._replace(first=max(right.first, left.last))
        received = signal[first:last]
        errors = [self._errors(received, first + match.offset) for match in (left, right)]
        costs = np.concatenate([[0.0], np.cumsum(errors[0])]) + np.concatenate(
            [np.cumsum(errors[1][::-1])[::-1], [0.0]]
        )
        split = int(np.argmin(costs))
        close = np.flatnonzero(costs <= costs[split] + max(0.02 * float(received @ received), 1e-6) * 0.05)
        uncertain = int(max(split - close[0], close[-1] - split))
        return left._replace(last=first + split), right._replace(first=first + split, uncertain=uncertain)

    def _errors(self, received: Signal, start: int) -> Any:
        """Return the squared error of each sample against the recording, scaled to its gain."""
        recorded = self._recording[start : start + len(received)].astype(np.float64)
        norm = float(recorded @ recorded)
        scale = max(float(received @ recorded) / norm, 0.0) if norm > 0 else 0.0
        return (received - scale * recorded) ** 2


def _products(part: Signal, seed: Signal) -> Any:
    """Return the scalar product of a seed with every stretch of its length in a longer signal."""
    count, step = len(part) - len(seed) + 1, _FFT - len(seed) + 1
    padded = np.zeros(-(-count // step) * step + len(seed) - 1, np.float32)
    padded[: len(part)] = part
    rows = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::step]
    spectrum = np.fft.rfft(rows, axis=1) * np.conj(np.fft.rfft(seed, _FFT))
    return np.fft.irfft(spectrum, _FFT, axis=1)[:, :step].reshape(-1)[:count]
