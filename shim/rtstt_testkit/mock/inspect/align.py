"""Align received audio with a recording, to a fraction of a millisecond.

Both are compared at 8 kHz by normalized correlation, which neither gain nor resampling nor chunking changes. A seed of
a quarter of a second finds a place in the recording; from there the two are followed in blocks of 20 ms until they
differ, and the next seed finds where they go on. The place of a cut is where the error of both sides is smallest.

It needs numpy, which the extra ``exam`` installs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from rtstt_testkit.mock.audio.formats import AudioFormat
from rtstt_testkit.mock.inspect.ledger import AudioLedger, Piece, Span
from rtstt_testkit.mock.inspect.signals import FRAME, RATE, Signal, at_8k, floor, frames, resample, samples, voiced

__all__ = ["Received", "align"]

_BLOCK = 160
_SPAN = 25  # blocks that are compared at once
_SEED = 2000
_SHORTEST_SEED = 480
_NEAR = 10 * RATE  # how far from the expected place a seed is searched for first
_FAR = 1 << 18
_LAGS = 16  # samples by which the place may drift in a span
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
#: Rates that audio is recorded at, to name the one that was sent as another.
_RATES = (8000, 16000, 22050, 32000, 44100, 48000)


class Received(NamedTuple):
    """The audio of one session.

    Attributes:
        session: The number of the connection.
        audio: The audio, in the session's format.
        format: That format.
        dropped: How many bytes of its beginning were not kept.
    """

    session: int
    audio: bytes
    format: AudioFormat
    dropped: int = 0


class _Match(NamedTuple):
    """Received samples ``first`` to ``last`` are the recording's from ``first + offset`` on."""

    first: int
    last: int
    offset: int
    uncertain: int = 0

    @property
    def start(self) -> int:
        return self.first + self.offset

    @property
    def end(self) -> int:
        return self.last + self.offset


def align(name: str, pcm: bytes, rate: int, received: Sequence[Received], *, try_rates: bool = True) -> AudioLedger:
    """Return the ledger of a recording.

    Args:
        name: The recording's name.
        pcm: Its 16-bit mono samples.
        rate: Its samples per second.
        received: The audio of the sessions, in the order in which they opened.
        try_rates: Whether to find out if audio that is not in the recording was sent at another rate.
    """
    recording = at_8k(np.frombuffer(pcm, "<i2"), rate)
    aligner = _Aligner(recording)
    doubts = []
    matches: list[tuple[int, int, _Match]] = []
    sound = unknown = expected = 0
    for index, part in enumerate(received):
        if part.dropped:
            seconds = part.dropped / part.format.width / part.format.rate
            doubts.append(f"The first {seconds:.1f} s of session {part.session} were not kept; raise keep_audio.")
        signal = at_8k(samples(part.audio, part.format), part.format.rate)
        found = aligner.follow(signal, expected)
        covered = np.zeros(len(signal), bool)
        for match in found:
            matches.append((index, part.session, match))
            covered[match.first : match.last] = True
        expected = found[-1].end if found else expected
        loud = voiced(signal)
        sound += loud.sum()
        unknown += (loud & ~frames(covered)).sum()
        if try_rates and loud.sum() and not found and (wrong := _wrong_rate(aligner, signal, part.format.rate)):
            doubts.append(f"Session {part.session} sent audio of {wrong:,} Hz as {part.format.rate:,} Hz: resample it.")
    if sound and unknown > sound / 2:
        doubts.append("Most of the sound that arrived is not in the recording, or was changed beyond recognition.")
    return _ledger(name, recording, matches, float(unknown * FRAME / RATE), doubts)


def _ledger(
    name: str, recording: Signal, matches: list[tuple[int, int, _Match]], unknown: float, doubts: list[str]
) -> AudioLedger:
    total = len(recording)
    pieces = [Piece(session, match.first / RATE, match.start / RATE, match.end / RATE) for _, session, match in matches]
    sound_of = voiced(recording).astype(np.uint8).tobytes()
    ledger = AudioLedger(name, total / RATE, pieces, unknown=unknown, doubts=doubts, voiced=sound_of)
    ends = {match.end: (index, session) for index, session, match in matches}
    starts = {match.start: (index, session, match.uncertain) for index, session, match in matches}

    def span(start: int, end: int) -> Span | None:
        sound = ledger.sound(start / RATE, end / RATE)
        if not sound or end - start <= _LAGS:
            return None
        before, after, again = ends.get(start), starts.get(end), starts.get(start)
        return Span(
            start / RATE,
            end / RATE,
            sound,
            reconnect=before is not None and after is not None and before[0] != after[0],
            session=before[1] if before else again[1] if again else None,
            uncertain=(after[2] if after else 0) / RATE,
        )

    missing, doubled = _cover([(match.start, match.end) for _, _, match in matches], total)
    gaps, repeats = ([found for each in stretches if (found := span(*each))] for stretches in (missing, doubled))
    return replace(ledger, missing=gaps, doubled=repeats)


def _cover(stretches: list[tuple[int, int]], total: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the stretches of ``0`` to ``total`` that none covers, and those that several cover."""
    edges = sorted([(start, 1) for start, _ in stretches] + [(end, -1) for _, end in stretches] + [(total, 0)])
    missing, doubled = [], []
    depth = at = 0
    for place, change in edges:
        if place > at:
            if depth == 0:
                missing.append((at, place))
            elif depth > 1:
                doubled.append((at, place))
        depth, at = depth + change, place
    return _joined(missing), _joined(doubled)


def _joined(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in stretches:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


class _Aligner:
    """Finds received audio in a recording.

    Args:
        recording: The recording at 8 kHz.
    """

    def __init__(self, recording: Signal) -> None:
        self._recording = recording
        self._floor = floor(recording)
        self._similarity = 0.0  # of the span that was compared last

    def follow(self, signal: Signal, expected: int) -> list[_Match]:
        """Return where the received audio is in the recording.

        Args:
            signal: The audio of a session at 8 kHz.
            expected: The sample of the recording at which it probably begins.
        """
        matches: list[_Match] = []
        loud = np.flatnonzero(voiced(signal)) * FRAME
        silent = floor(signal)
        at = misses = 0
        while True:
            left = loud[np.searchsorted(loud, at) :]
            if not len(left) or len(signal) - left[0] < _SHORTEST_SEED:
                return matches
            seed = int(left[0])
            begin = matches[-1].last if matches else 0
            offset = self._find(signal[seed : seed + _SEED], expected, far=misses % _MANY == _PATIENCE)
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

    def _find(self, seed: Signal, expected: int, *, far: bool) -> int | None:
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
            part, first = np.concatenate([np.zeros(_LAGS, np.float32), part]), -_LAGS
        if len(part) < len(seed):
            return 0.0, first
        size = 1 << int(len(part) + len(seed) - 1).bit_length()
        spectrum = np.fft.rfft(part, size) * np.conj(np.fft.rfft(seed, size))
        products = np.fft.irfft(spectrum, size)[: len(part) - len(seed) + 1]
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

    def _extend(self, signal: Signal, silent: float, seed: int, offset: int, begin: int) -> list[_Match]:
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
        matches = [_Match(first, seed, offset)]
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
                matches.append(_Match(at, at, offset))
        if good == blocks:  # the rest is less than a block
            at = min(len(signal), len(self._recording) - offset)
        matches[-1] = matches[-1]._replace(last=max(at, matches[-1].first))
        return matches

    def _goes_on(self, signal: Signal, left: _Match, right: _Match) -> bool:
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
        first, last = at + offset - _LAGS, at + offset + size + _LAGS
        if first < 0 or last > len(self._recording):
            return 0
        received = signal[at : at + size]
        if float(received @ received) < 4 * silent * size:
            return 0
        windows = np.lib.stride_tricks.sliding_window_view(self._recording[first:last], size)
        products = windows @ received
        best = int(np.argmax(products))
        return best - _LAGS if products[best] > 1.02 * products[_LAGS] > 0 else 0

    def _cut(self, signal: Signal, left: _Match, right: _Match) -> tuple[_Match, _Match]:
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


def _wrong_rate(aligner: _Aligner, signal: Signal, declared: int) -> int | None:
    """Return the rate at which audio was recorded that was declared as another, or None."""
    for rate in _RATES:
        if rate == declared:
            continue
        stretched = resample(signal[: 20 * RATE], rate, declared)
        found = aligner.follow(stretched, 0)
        if sum(match.last - match.first for match in found) > len(stretched) / 2:
            return rate
    return None
