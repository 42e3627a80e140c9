"""How loud the noise is that speech has to rise above.

The numbers were chosen on the bundled recordings in white and pink noise, mains hum and the babble of many voices;
the tests of turns in noise hold them.
"""

from __future__ import annotations

import math

__all__ = ["LONGEST_SOUND", "NoiseFloor"]

_OPENING = 15  # windows of a stream's beginning in which noise and speech are told apart by steadiness
_UNSTEADY = 2.5  # what rises to this many times the quietest of the opening is no noise
_MEMORY = 64  # windows over which the noise is averaged
_REVIEW = 4  # windows after which that changes what speech has to rise above
_STARTS, _GOES_ON = (4.0, 0.25), (4.0, 0.15)  # mean deviations above the noise, and at least this share of it
LONGEST_SOUND = 150  # windows; speech has paused once in so many, noise has not
_FORGOTTEN = 200  # windows of digital silence
_AUDIBLE, _LEAST = 0.6, 0.1  # of the threshold's loudness: the mean of speech, and of a single window of it
_LOUDEST = 24  # a window with this mean loudness is no noise


class NoiseFloor:
    """Follows the noise between the turns, and through a turn that never pauses.

    What is heard are windows of a hundredth of a second, their loudness given as a sum over samples.

    Args:
        size: Samples a window.

    Attributes:
        audible: The smoothed loudness at which speech begins where there is no noise.
        starts: The one at which it begins.
        goes_on: The one at which it goes on.
        least: What a single window of it must have.
    """

    __slots__ = (
        "_heard",
        "_level",
        "_quietest",
        "_silent",
        "_size",
        "_waver",
        "audible",
        "goes_on",
        "least",
        "starts",
    )

    def __init__(self, size: int) -> None:
        self._size = size
        self.audible = 0.0
        self._level = self._waver = 0.0
        self._heard = self._silent = 0
        self._quietest = math.inf
        self._settle()

    def tune(self, loudness: int) -> None:
        """Take sounds for speech from this mean loudness on, however quiet it is."""
        audible = _AUDIBLE * loudness * self._size
        if audible != self.audible:  # else the next review is soon enough, wherever an append ended
            self.audible = audible
            self._settle()

    def hear_noise(self, recent: float) -> None:
        """A window that is no speech.

        Args:
            recent: Its loudness, smoothed.
        """
        self._heard = heard = self._heard + 1
        if heard > _OPENING:
            difference = recent - self._level
            self._level += difference / (heard if heard < _MEMORY else _MEMORY)
            if difference < 0:
                difference = -difference
            self._waver += (difference - self._waver) / (heard if heard < 2 * _MEMORY else 2 * _MEMORY)
            if heard % _REVIEW == 0:
                self._settle()
            return
        if heard < _OPENING:
            self._quietest = min(self._quietest, recent)
        else:
            self._know(recent)
        self._settle()

    def begin_speech(self) -> None:
        """Speech begins with the next window."""
        if self._heard < _OPENING:  # the stream began with speech, or nearly
            self._heard = _OPENING
            self._know(self._quietest / 2 if self._quietest < math.inf else 0.0)
            self._settle()

    def dip(self, recent: float) -> None:
        """A turn is as quiet as this for a moment: the noise is no louder.

        Args:
            recent: The loudness of a window of it, smoothed.
        """
        if recent < self._level / 6:
            self._know(recent)
            self._settle()

    def drone(self, lowest: float) -> None:
        """A turn has not paused for `LONGEST_SOUND` windows: what it never fell below is noise.

        Args:
            lowest: The loudness of the quietest of them, smoothed.
        """
        if self._level < lowest < _LOUDEST * self._size:
            self._level, self._waver = lowest, max(self._waver, lowest / 10)
            self._settle()

    def be_silent(self, count: int, still: bool) -> None:
        """Windows without any sound: what was noise before may come back, for a while.

        Args:
            count: How many.
            still: Whether the window before them was silent too.
        """
        before = self._silent if still else 0
        self._silent = before + count
        if self._heard < _OPENING or self._silent >= _FORGOTTEN > before:
            self.forget()

    def forget(self) -> None:
        """There is no noise."""
        self._heard = _OPENING
        self._know(0.0)
        self._settle()

    def _know(self, level: float) -> None:
        self._level, self._waver = level, level / 6

    def _settle(self) -> None:
        audible, least = self.audible, self.audible * _LEAST / _AUDIBLE
        loudest = _LOUDEST * self._size
        if self._heard < _OPENING:
            self.starts = self.goes_on = min(max(audible, _UNSTEADY * self._quietest), loudest)
            self.least = least
            return
        level, waver = self._level, self._waver
        deviations, share = _STARTS
        self.starts = min(max(audible, level + least + max(deviations * waver, share * level)), loudest)
        deviations, share = _GOES_ON
        quietest = audible if level > least else least
        self.goes_on = min(max(quietest, level + least + max(deviations * waver, share * level)), loudest)
        self.least = level + waver + least
