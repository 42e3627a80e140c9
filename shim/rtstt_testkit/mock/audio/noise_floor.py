"""The level of background noise, above which speech has to rise.

The constants were tuned on the bundled recordings in white and pink noise, mains hum and the babble of many voices; the
tests of turns in noise hold them.
"""

from __future__ import annotations

import math

__all__ = ["LONGEST_SOUND", "NoiseFloor"]

_OPENING = 15  # windows at the start of a stream, in which steadiness distinguishes noise from speech
_UNSTEADY = 2.5  # a window this many times louder than the quietest of the opening is not noise
_MEMORY = 64  # windows over which the noise is averaged
_REVIEW = 4  # windows between two updates of the thresholds
_STARTS, _CONTINUES = (4.0, 0.25), (4.0, 0.15)  # mean deviations above the noise, and at least this share of it
LONGEST_SOUND = 150  # windows; speech pauses within so many, noise does not
_FORGOTTEN = 200  # windows of digital silence after which the noise level is reset
_AUDIBLE, _LEAST = 0.6, 0.1  # of the threshold's loudness: the mean of speech, and of a single window of it
_LOUDEST = 24  # a window with this mean loudness is not noise


class NoiseFloor:
    """A running estimate of the noise, between turns and during a turn without pauses.

    The audio comes in windows of a hundredth of a second, their loudness as a sum over samples.

    Args:
        size: Samples a window.

    Attributes:
        audible: The smoothed loudness at which speech begins where there is no noise.
        starts: The smoothed loudness at which speech begins.
        continues: The smoothed loudness at which speech continues.
        least: The loudness that a single window of speech must have.
    """

    __slots__ = (
        "_count",
        "_deviation",
        "_level",
        "_quietest",
        "_silent",
        "_size",
        "audible",
        "continues",
        "least",
        "starts",
    )

    def __init__(self, size: int) -> None:
        self._size = size
        self.audible = 0.0
        self._level = self._deviation = 0.0
        self._count = self._silent = 0
        self._quietest = math.inf
        self._update()

    def tune(self, loudness: int) -> None:
        """Set the mean loudness from which a sound counts as speech where there is no noise."""
        audible = _AUDIBLE * loudness * self._size
        if audible != self.audible:  # otherwise the next update is soon enough
            self.audible = audible
            self._update()

    def add_noise(self, recent: float) -> None:
        """Add a window that is not speech.

        Args:
            recent: Its loudness, smoothed.
        """
        self._count = count = self._count + 1
        if count > _OPENING:
            difference = recent - self._level
            self._level += difference / (count if count < _MEMORY else _MEMORY)
            if difference < 0:
                difference = -difference
            self._deviation += (difference - self._deviation) / (count if count < 2 * _MEMORY else 2 * _MEMORY)
            if count % _REVIEW == 0:
                self._update()
            return
        if count < _OPENING:
            self._quietest = min(self._quietest, recent)
        else:
            self._set(recent)
        self._update()

    def begin_speech(self) -> None:
        """Begin speech with the next window."""
        if self._count < _OPENING:  # the stream began with speech, or nearly
            self._count = _OPENING
            self._set(self._quietest / 2 if self._quietest < math.inf else 0.0)
            self._update()

    def lower_to(self, recent: float) -> None:
        """Lower the noise level: a turn was this quiet for a moment, so the noise is not louder.

        Args:
            recent: The loudness of a window of the turn, smoothed.
        """
        if recent < self._level / 6:
            self._set(recent)
            self._update()

    def raise_to(self, lowest: float) -> None:
        """Raise the noise level: a turn has not paused for `LONGEST_SOUND` windows, so its quietest is noise.

        Args:
            lowest: The loudness of the quietest of them, smoothed.
        """
        if self._level < lowest < _LOUDEST * self._size:
            self._level, self._deviation = lowest, max(self._deviation, lowest / 10)
            self._update()

    def add_silence(self, count: int, still: bool) -> None:
        """Add windows of digital silence; the noise level is kept for a while, since noise may come back.

        Args:
            count: How many.
            still: Whether the window before them was silent too.
        """
        before = self._silent if still else 0
        self._silent = before + count
        if self._count < _OPENING or self._silent >= _FORGOTTEN > before:
            self.reset()

    def reset(self) -> None:
        """Set the noise level to zero."""
        self._count = _OPENING
        self._set(0.0)
        self._update()

    def _set(self, level: float) -> None:
        self._level, self._deviation = level, level / 6

    def _update(self) -> None:
        audible, least = self.audible, self.audible * _LEAST / _AUDIBLE
        loudest = _LOUDEST * self._size
        if self._count < _OPENING:
            self.starts = self.continues = min(max(audible, _UNSTEADY * self._quietest), loudest)
            self.least = least
            return
        level, deviation = self._level, self._deviation
        deviations, share = _STARTS
        self.starts = min(max(audible, level + least + max(deviations * deviation, share * level)), loudest)
        deviations, share = _CONTINUES
        quietest = audible if level > least else least
        self.continues = min(max(quietest, level + least + max(deviations * deviation, share * level)), loudest)
        self.least = level + deviation + least
