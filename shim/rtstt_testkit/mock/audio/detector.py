"""Where speech begins and ends, to the sample, in silence and in noise.

The endpoint's detector is a model that nobody outside can reproduce; this one is the mock's own, simple enough to
predict from a test. It looks at the mean loudness of every hundredth of a second. Speech is what is louder than the
session's ``threshold`` stands for, and louder than the noise that was there before: `NoiseFloor` follows how loud that
is and how much it wavers. It begins when that holds for 30 ms running, and reaches back to where the sound rose; it
ends when it has not held for the session's ``silence_duration_ms``. In silence both are exact to the sample. What the
endpoint *reports* about a turn follows PROTOCOL section 5. The result never depends on how the audio was cut into
appends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple
from zlib import adler32

from rtstt_testkit.mock.audio.formats import LOUDNESS_STEP, AudioFormat
from rtstt_testkit.mock.audio.noise_floor import LONGEST_SOUND, NoiseFloor

__all__ = ["SpeechBoundary", "SpeechDetector", "level_of"]

_WINDOWS_A_SECOND = 100
_WINDOWS_TO_START = 3
_WINDOWS_OF_RISE = 7  # that a soft beginning may take


class SpeechBoundary(NamedTuple):
    """A change that the detector heard.

    Attributes:
        starts: True where speech begins, False where a turn ends.
        sample: The first sample of speech; or the end of the turn, its silence included.
    """

    starts: bool
    sample: int


def level_of(threshold: float) -> int:
    """The loudness (of 32768) of a sample that is no silence: 256 at ``threshold`` 0.25 and below, 512 at 0.5, 2048
    at 1.
    """
    return 256 * max(1, round(math.pow(2, 4 * threshold - 1)))


class SpeechDetector:
    """Listens to audio and tells where speech begins and ends.

    Args:
        audio_format: Of the audio.
        threshold: The session's ``threshold``, 0 to 1.
        silence_ms: The silence that ends a turn, in milliseconds.
        turned: Called with every change at the moment it is heard: settings that are changed then hold from there.
    """

    __slots__ = (
        "_age",
        "_before",
        "_first",
        "_floor",
        "_format",
        "_last",
        "_last_at",
        "_lowest",
        "_position",
        "_quiet",
        "_rest",
        "_rise",
        "_rise_at",
        "_run",
        "_silence",
        "_size",
        "_turned",
        "_window",
        "speaking",
    )

    def __init__(
        self, audio_format: AudioFormat, threshold: float, silence_ms: float, turned: Callable[[SpeechBoundary], None]
    ) -> None:
        self._format = audio_format
        self._turned = turned
        self._window = audio_format.rate // _WINDOWS_A_SECOND
        self._size = self._window // audio_format.stride
        self._floor = NoiseFloor(self._size)
        self._before: tuple[int, int, int] | None = None
        self._first = b""
        self._position = 0
        self._age, self._lowest = 0, math.inf
        self._rest = b""
        self.reset()
        self.tune(threshold, silence_ms)

    def tune(self, threshold: float, silence_ms: float) -> None:
        """Change the settings from the next sample on."""
        level = level_of(threshold)
        self._quiet = self._format.quiet_keys(level)
        self._floor.tune(level // LOUDNESS_STEP)
        self._silence = round(silence_ms * self._format.rate / 1000)

    @property
    def samples(self) -> int:
        """How many whole samples were fed."""
        return self._position + len(self._rest) // self._format.width

    @property
    def last_loud(self) -> int:
        """The sample after the last one that counted as speech."""
        return self._last_at + len(self._format.keys(self._last).rstrip(self._quiet))

    def reset(self) -> None:
        """Forget the turn under way; the position and the noise stay."""
        self.speaking = False
        self._run = 0
        self._rise_at, self._rise = -1, b""
        self._last_at, self._last, self._first = self._position, b"", b""

    def feed(self, audio: bytes) -> None:
        """Listen to more audio.

        Args:
            audio: Of the detector's format; its last sample may be cut in two.
        """
        if self._rest:
            audio, self._rest = self._rest + audio, b""
        span = self._window * self._format.width
        whole = len(audio) - len(audio) % span
        if whole:
            self._listen(audio, self._format.loudness(audio if whole == len(audio) else audio[:whole]), span)
        self._rest = audio[whole:]

    def _listen(self, audio: bytes, loudness: bytes, span: int) -> None:
        floor, size, window = self._floor, self._size, self._window
        # A checksum that is a sum: the only one over bytes that the standard library does in C.
        sounds = [(adler32(loudness[at : at + size]) & 0xFFFF) - 1 for at in range(0, len(loudness), size)]
        if self._before is None:
            self._before = (sounds[0],) * 3
            self._first = audio[:span] if sounds[0] >= floor.audible else b""
        first, second, third = self._before
        last = -1  # the latest loud window of this audio
        age, lowest = self._age, self._lowest
        index, count = 0, len(sounds)
        while index < count:
            here, index = index, index + 1
            sound = sounds[here]
            if sound:
                recent = (first + second + third + sound) / 4
                first, second, third = second, third, sound
                self._position += window
                if not self.speaking:
                    if self._rises(sound, recent, audio, here * span):
                        last, age, lowest = here, 0, math.inf
                        self._begin_turn()
                    continue
                age += 1
                if recent < lowest:
                    lowest = recent
                loud = recent >= floor.goes_on and sound >= floor.least
                if not loud:
                    floor.dip(recent)
                if age == LONGEST_SOUND:
                    floor.drone(lowest)
                    age, lowest = 0, math.inf
                if loud:
                    last = here
                    continue
            else:
                while index < count and not sounds[index]:
                    index += 1
                silent = index - here
                if self._first:
                    self._fall_silent(audio[(here - 1) * span : here * span] if here else self._last)
                floor.be_silent(silent, not third)
                self._position += silent * window
                first, second, third = (first, second, third, 0, 0, 0)[min(silent, 3) :][:3]
                self._run, self._rise_at = 0, -1
                age, lowest = 0, math.inf
            if self.speaking:
                if last >= 0:
                    self._note_last(audio, last * span, (index - 1) * span)
                    last = -1
                self._end_turn()
        at = (count - 1) * span
        if last >= 0:
            self._note_last(audio, last * span, at)
        elif self._first:
            self._last = audio[at : at + span]
        self._before = (first, second, third)
        self._age, self._lowest = age, lowest

    def _rises(self, sound: int, recent: float, audio: bytes, at: int) -> bool:
        """Whether speech begins with this window, the third of a run."""
        floor = self._floor
        if sound < floor.least:
            self._rise_at = -1
        elif self._rise_at < 0:
            self._rise_at = self._position - self._window
            self._rise = audio[at : at + self._window * self._format.width]
        if recent < floor.starts:
            self._run = 0
            floor.hear_noise(recent)
        elif self._rise_at < 0:
            self._run = 0
        else:
            self._run += 1
            earliest = self._position - _WINDOWS_OF_RISE * self._window
            if self._run == 1 and 0 < self._rise_at < earliest:  # noise that wavered just before
                self._rise_at, self._rise = earliest, b""
        return self._run >= _WINDOWS_TO_START

    def _begin_turn(self) -> None:
        self._floor.begin_speech()
        self.speaking = True
        keys = self._format.keys(self._rise)
        loud = keys.lstrip(self._quiet)
        start = self._rise_at + (len(keys) - len(loud) if loud else 0)
        self._run, self._rise_at, self._rise, self._first = 0, -1, b"", b""
        self._turned(SpeechBoundary(True, start))

    def _fall_silent(self, before: bytes) -> None:
        """The next window is silent: what the stream began with and seemed to be noise was none, if it was short."""
        first, self._first = self._first, b""
        windows = self._position // self._window
        if not self.speaking and _WINDOWS_TO_START <= windows <= _WINDOWS_A_SECOND:
            self._floor.forget()
            self._rise_at, self._rise = 0, first
            self._last_at, self._last = self._position - self._window, before
            self._begin_turn()

    def _note_last(self, audio: bytes, last: int, at: int) -> None:
        """The latest loud window is at ``last`` in the audio, and the one that ends at the position at ``at``."""
        width = self._format.width
        self._last_at = self._position - self._window - (at - last) // width
        self._last = audio[last : last + self._window * width]

    def _end_turn(self) -> None:
        """End the turn if there was enough silence."""
        if self._position >= self._last_at + self._silence:
            end = self.last_loud + self._silence
            if self._position >= end:
                self.speaking = False
                self._turned(SpeechBoundary(False, end))
