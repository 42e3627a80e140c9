"""The audio ledger: which parts of a known recording arrived, across the sessions of one client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor
from typing import NamedTuple

__all__ = ["AudioIncomplete", "AudioLedger", "Piece", "Span", "Speed"]


class AudioIncomplete(AssertionError):
    """Part of a recording did not arrive."""


class Piece(NamedTuple):
    """A stretch of received audio that is a stretch of the recording.

    Attributes:
        session: The number of the connection.
        at: Where it begins in the audio of that session, in seconds.
        start: Where it begins in the recording, in seconds.
        end: Where it ends in the recording, in seconds.
    """

    session: int
    at: float
    start: float
    end: float


class Span(NamedTuple):
    """A stretch of the recording.

    Attributes:
        start: Where it begins, in seconds.
        end: Where it ends, in seconds.
        sound: How much of it is not silence, in seconds.
        reconnect: Whether it lies between the last audio of one session and the first of the next.
        session: The number of the connection before it; for audio that was sent twice, the one that sent it again.
        uncertain: By how much its place may be off, in seconds: in silence, every place looks the same.
    """

    start: float
    end: float
    sound: float
    reconnect: bool = False
    session: int | None = None
    uncertain: float = 0.0

    @property
    def seconds(self) -> float:
        """Its length, in seconds."""
        return self.end - self.start


class Speed(NamedTuple):
    """Audio that plays at another speed than the recording.

    Attributes:
        session: The number of the connection.
        recorded: The samples a second at which it was recorded.
        declared: Those of the session's format, at which it is played.
    """

    session: int
    recorded: int
    declared: int

    def __str__(self) -> str:
        factor = self.declared / self.recorded
        how = "half as fast as" if factor == 0.5 else f"{factor:.3g} times as fast as"
        # Two channels of which each is the recording are twice as many samples as well.
        channels = ", or two channels sent as one" if factor == 0.5 else ""
        rates = f"{self.recorded / 1000:g} kHz samples sent as {self.declared / 1000:g} kHz"
        return f"the audio plays {how} the recording: {rates}{channels}"


@dataclass(frozen=True)
class AudioLedger:
    """What of a recording arrived.

    Attributes:
        recording: Its name.
        seconds: Its length, in seconds.
        pieces: The received audio that belongs to it, in the order of arrival.
        missing: What arrived in no session. Missing silence is left out.
        doubled: What arrived more than once. Doubled silence is left out.
        unknown: How many seconds of sound arrived that are not in the recording.
        speeds: The sessions whose audio plays at another speed than the recording; nothing else is said about it.
        voiced: One byte for each hundredth of a second of the recording: 1 where it has sound, 0 in silence.
        doubts: Why the ledger may be wrong, as sentences; empty where it is certain.
    """

    recording: str
    seconds: float
    pieces: Sequence[Piece] = ()
    missing: Sequence[Span] = ()
    doubled: Sequence[Span] = ()
    unknown: float = 0.0
    speeds: Sequence[Speed] = ()
    doubts: Sequence[str] = ()
    voiced: bytes = field(default=b"", repr=False)

    @property
    def arrived(self) -> float:
        """How many seconds of the recording arrived at least once, missing silence included."""
        return self.seconds - sum(span.seconds for span in self.missing)

    def sound(self, start: float, end: float) -> float:
        """Return how much of a stretch of the recording is not silence, in seconds.

        Args:
            start: Where it begins, in seconds.
            end: Where it ends, in seconds.
        """
        first, last = floor(start * 100 + 1e-6), ceil(end * 100 - 1e-6)
        return min(self.voiced.count(1, first, last) / 100, end - start)

    def __str__(self) -> str:
        rest = [*(f"In session {speed.session} {speed}." for speed in self.speeds), *self.doubts]
        if not self.pieces:
            return " ".join(rest if self.speeds else [f"Nothing of {self.recording!r} arrived.", *rest])
        entries = [_missing(span, self.seconds) for span in self.missing]
        entries += [f"{_length(span.seconds)} sent twice, from {span.start:.3f} s on" for span in self.doubled]
        if self.unknown >= 0.01:
            entries.append(f"{_length(self.unknown)} of other sound arrived")
        found = "; ".join(entries) or f"all of {self.recording!r} arrived"
        return " ".join([f"{found[:1].upper()}{found[1:]}.", *rest])

    def check(self, tolerance: float) -> None:
        """Check that the recording arrived.

        Args:
            tolerance: How many seconds of sound each missing stretch may have.

        Raises:
            AudioIncomplete: More is missing, or the audio plays at another speed than the recording.
        """
        __tracebackhide__ = True
        if self.speeds:
            raise AudioIncomplete(str(self))
        if not self.pieces or any(span.sound > tolerance for span in self.missing):
            raise AudioIncomplete(
                f"{self} Each gap may have {tolerance * 1000:g} ms; raise tolerance_ms to allow more."
            )


def _missing(span: Span, seconds: float) -> str:
    length = _length(span.seconds)
    off = f" (give or take {span.uncertain * 1000:.0f} ms)" if span.uncertain > 0.05 else ""
    if span.start <= 0:
        return f"first {length} missing"
    if span.end >= seconds:
        return f"last {length} missing"
    if span.reconnect:
        return f"{length} lost at the reconnect at {span.start:.3f} s{off}"
    return f"{length} lost at {span.start:.3f} s{off}"


def _length(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3f} s"
