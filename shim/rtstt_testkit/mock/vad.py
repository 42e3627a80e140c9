"""Where speech begins and ends, to the sample.

The endpoint's detector is a model that nobody outside can reproduce; this one is the mock's own, simple
enough to predict from a test: sound counts as speech when, for 30 ms running, at least one sample in ten is
louder than the level that ``threshold`` stands for. What the endpoint *reports* about a turn follows PROTOCOL
section 5. The result never depends on how the audio was cut into appends.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from rtstt_testkit.mock.audio import AudioFormat

__all__ = ["SpeechDetector", "Turn", "level_of"]

_WINDOWS_A_SECOND = 100
_WINDOWS_TO_START = 3
_LOUD_SHARE = 10  # one sample in this many


class Turn(NamedTuple):
    """A change that the detector heard.

    Attributes:
        starts: True where speech begins, False where a turn ends.
        sample: The first sample of speech; or the end of the turn, its silence included.
    """

    starts: bool
    sample: int


def level_of(threshold: float) -> int:
    """The loudness (of 32768) that a sample must reach: 256 at ``threshold`` 0.25 and below, 512 at 0.5, 2048
    at 1.
    """
    return 256 * max(1, round(math.pow(2, 4 * threshold - 1)))


class SpeechDetector:
    """Listens to key bytes and tells where speech begins and ends.

    Args:
        audio_format: Of the audio whose key bytes are fed.
        threshold: The session's ``threshold``, 0 to 1.
        silence_ms: The silence that ends a turn, in milliseconds.
    """

    __slots__ = (
        "_audio_format",
        "_enough",
        "_last_loud",
        "_onset",
        "_position",
        "_quiet",
        "_rest",
        "_run",
        "_silence",
        "_window",
        "speaking",
    )

    def __init__(self, audio_format: AudioFormat, threshold: float, silence_ms: float) -> None:
        self._audio_format = audio_format
        self._position = 0
        self._rest = b""
        self.speaking = False
        self.reset()
        self.tune(threshold, silence_ms)
        self._window = audio_format.rate // _WINDOWS_A_SECOND
        self._enough = self._window // _LOUD_SHARE

    def tune(self, threshold: float, silence_ms: float) -> None:
        """Change the settings from the next sample on."""
        self._quiet = self._audio_format.quiet_keys(level_of(threshold))
        self._silence = round(silence_ms * self._audio_format.rate / 1000)

    @property
    def last_loud(self) -> int:
        """The sample after the last one that counted as speech."""
        return self._last_loud

    def reset(self) -> None:
        """Forget the turn under way; the position stays."""
        self.speaking = False
        self._run = 0
        self._onset = 0
        self._last_loud = self._position

    def feed(self, keys: bytes) -> list[Turn]:
        """Listen to more audio.

        Args:
            keys: One key byte a sample, as `AudioFormat.keys` gives them.

        Returns:
            What changed, in order.
        """
        if self._rest:
            keys = self._rest + keys
        window = self._window
        whole = len(keys) - len(keys) % window
        self._rest = keys[whole:]
        if whole < len(keys):
            keys = keys[:whole]
        turns: list[Turn] = []
        if not whole:
            return turns
        if not keys.translate(None, self._quiet):
            # Nothing loud in all of it: by far the most frequent append of a long session.
            self._run = 0
            self._position += whole
            self._end_turn(turns)
            return turns
        if self.speaking and whole < self._silence and self._is_speech(keys[:window]):
            # Speech goes on, and no pause in here is long enough to end it: only its last sound matters.
            last = whole - window
            while not self._is_speech(keys[last : last + window]):
                last -= window
            self._last_loud = self._position + len(keys[: last + window].rstrip(self._quiet))
            self._position += whole
            return turns
        for start in range(0, whole, window):
            part = keys[start : start + window]
            if self._is_speech(part):
                self._hear(part, turns)
            else:
                self._run = 0
                self._position += window
            self._end_turn(turns)
        return turns

    def _is_speech(self, part: bytes) -> bool:
        return len(part.translate(None, self._quiet)) >= self._enough

    def _hear(self, part: bytes, turns: list[Turn]) -> None:
        loud = part.lstrip(self._quiet)
        if self._run == 0:
            self._onset = self._position + len(part) - len(loud)
        self._run += 1
        self._last_loud = self._position + len(part.rstrip(self._quiet))
        self._position += len(part)
        if not self.speaking and self._run >= _WINDOWS_TO_START:
            self.speaking = True
            turns.append(Turn(True, self._onset))

    def _end_turn(self, turns: list[Turn]) -> None:
        if self.speaking and self._position >= self._last_loud + self._silence:
            self.speaking = False
            turns.append(Turn(False, self._last_loud + self._silence))
