"""Make the audio ledger: align the received audio of each session with a recording.

It needs numpy, which the extra ``exam`` installs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rtstt_testkit.mock.audio.formats import AudioFormat
from rtstt_testkit.mock.inspect.aligner import LAGS, Aligner, Match
from rtstt_testkit.mock.inspect.ledger import AudioLedger, Piece, Span, Speed
from rtstt_testkit.mock.inspect.playback import coverage, find_playback
from rtstt_testkit.mock.inspect.signals import FRAME, RATE, Signal, at_8k, samples, voiced

__all__ = ["Received", "align"]


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
    aligner = Aligner(recording)
    doubts: list[str] = []
    speeds: list[Speed] = []
    matches: list[tuple[int, int, Match]] = []
    sound = unknown = expected = 0
    sign = 1
    for index, part in enumerate(received):
        declared = part.format.rate
        if part.dropped:
            seconds = part.dropped / part.format.width / declared
            doubts.append(f"The first {seconds:.1f} s of session {part.session} were not kept; raise keep_audio.")
        values = samples(part.audio, part.format)
        playback = find_playback(aligner, values, declared, expected, sign, try_rates=try_rates)
        sign = playback.sign
        if playback.rate != declared:
            speeds.append(Speed(part.session, playback.rate, declared))
            expected = playback.reached
            continue
        signal = sign * at_8k(values, declared)
        found = aligner.follow(signal, expected)
        loud, known = coverage(signal, found)
        if known < loud / 2:  # the recording may come after other sound, by which its polarity is not known
            inverted = aligner.follow(-signal, expected)
            if (better := coverage(signal, inverted)[1]) > known:
                sign, found, known = -sign, inverted, better
        matches += [(index, part.session, match) for match in found]
        expected = found[-1].end if found else expected
        sound += loud
        unknown += loud - known
    if sound and unknown > sound / 2:
        doubts.append("Most of the sound that arrived is not in the recording, or was changed beyond recognition.")
    ledger = _ledger(name, recording, matches, unknown * FRAME / RATE, doubts)
    return replace(ledger, speeds=speeds)


def _ledger(
    name: str, recording: Signal, matches: list[tuple[int, int, Match]], unknown: float, doubts: list[str]
) -> AudioLedger:
    total = len(recording)
    pieces = [Piece(session, match.first / RATE, match.start / RATE, match.end / RATE) for _, session, match in matches]
    sound_of = voiced(recording).astype(np.uint8).tobytes()
    ledger = AudioLedger(name, total / RATE, pieces, unknown=unknown, doubts=doubts, voiced=sound_of)
    ends = {match.end: (index, session) for index, session, match in matches}
    starts = {match.start: (index, session, match.uncertain) for index, session, match in matches}

    def span(start: int, end: int) -> Span | None:
        sound = ledger.sound(start / RATE, end / RATE)
        if not sound or end - start <= LAGS:
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
