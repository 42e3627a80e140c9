"""The audio of one session, or the latest part of it; adding audio copies nothing."""

from __future__ import annotations

from collections import deque

__all__ = ["AudioBuffer"]

_PIECE = 4096  # bytes; smaller pieces are joined, so that small appends cost no more memory than large ones


class AudioBuffer:
    """Audio as it was received, piece by piece.

    Args:
        limit: How many bytes are kept, the latest; None for all, 0 for none. Up to a quarter more may be kept.

    Attributes:
        received: How many bytes were added in all, kept or not.
    """

    __slots__ = ("_kept", "_limit", "_most", "_pieces", "received")

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._most = float("inf") if limit is None else limit + (limit >> 2)
        self._pieces: deque[bytes] = deque()
        self._kept = 0
        self.received = 0

    @property
    def dropped(self) -> int:
        """How many bytes of the beginning are no longer kept."""
        return self.received - self._kept

    def add(self, audio: bytes) -> bool:
        """Add audio to the end.

        Returns:
            Whether more is kept now than the limit allows, and `trim` should be called.
        """
        size = len(audio)
        self.received += size
        if self._limit == 0:
            return False
        pieces = self._pieces
        if pieces and len(pieces[-1]) + size <= _PIECE:
            pieces[-1] += audio
        else:
            pieces.append(audio)
        self._kept += size
        return self._kept > self._most

    def skip(self, size: int) -> None:
        """Add audio whose content is not known, only its length; what came before it is no longer kept.

        Args:
            size: How many bytes it has.
        """
        self._pieces.clear()
        self._kept = 0
        self.received += size

    def trim(self) -> None:
        """Drop the oldest audio beyond the limit, never half a 16-bit sample."""
        excess = self._kept - (self._limit or 0)
        excess += excess & 1
        self._kept -= excess
        while excess:
            first = self._pieces.popleft()
            if len(first) > excess:
                self._pieces.appendleft(first[excess:])
            excess -= min(excess, len(first))

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """Return the audio between two byte positions of all that was received, as far as it is kept.

        Args:
            start: The first position.
            end: The position after the last; None for the end.
        """
        stop = self.received if end is None else min(end, self.received)
        found: list[bytes] = []
        at = self.received
        for piece in reversed(self._pieces):
            if at <= start:
                break
            after, at = at, at - len(piece)
            if at < stop:
                whole = at >= start and after <= stop
                found.append(piece if whole else piece[max(start - at, 0) : stop - at])
        found.reverse()
        return b"".join(found)
