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
from typing import NamedTuple
from zlib import adler32

from rtstt_testkit.mock.audio import LOUDNESS_STEP, AudioFormat
from rtstt_testkit.mock.noise import NoiseFloor

__all__ = ["SpeechDetector", "Turn", "level_of"]

_WINDOWS_A_SECOND = 100
_WINDOWS_TO_START = 3
_WINDOWS_OF_RISE = 7  # that a soft beginning may take
_SILENT = (0, 0, 0)


class Turn(NamedTuple):
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
    """

    __slots__ = (
        "_before",
        "_first",
        "_floor",
        "_format",
        "_last",
        "_last_at",
        "_position",
        "_quiet",
        "_rest",
        "_rise",
        "_rise_at",
        "_run",
        "_silence",
        "_size",
        "_window",
        "speaking",
    )

    def __init__(self, audio_format: AudioFormat, threshold: float, silence_ms: float) -> None:
        self._format = audio_format
        self._window = audio_format.rate // _WINDOWS_A_SECOND
        self._size = self._window // audio_format.stride
        self._floor = NoiseFloor(self._size)
        self._before: tuple[int, int, int] | None = None
        self._first = b""
        self._position = 0
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

    def feed(self, audio: bytes) -> list[Turn]:
        """Listen to more audio.

        Args:
            audio: Of the detector's format; its last sample may be cut in two.

        Returns:
            What changed, in order.
        """
        if self._rest:
            audio = self._rest + audio
        span = self._window * self._format.width
        whole = len(audio) - len(audio) % span
        self._rest = audio[whole:]
        turns: list[Turn] = []
        if not whole:
            return turns
        loudness = self._format.loudness(audio if whole == len(audio) else audio[:whole])
        if loudness != bytes(len(loudness)):
            self._listen(audio, loudness, turns)
            return turns
        # Silence in all of it: by far the most frequent append of a long session.
        count = whole // span
        self._fall_silent(self._last, turns)
        self._floor.be_silent(count)
        self._before = (*(self._before or _SILENT), *_SILENT[:count])[-3:]  # type: ignore[assignment]
        self._run, self._rise_at = 0, -1
        self._position += count * self._window
        self._end_turn(turns)
        return turns

    def _listen(self, audio: bytes, loudness: bytes, turns: list[Turn]) -> None:
        floor, size, span = self._floor, self._size, self._window * self._format.width
        first, second, third = self._before or (-1, -1, -1)
        last = -1  # where the latest loud window is in this audio
        at = 0
        for start in range(0, len(loudness), size):
            # A checksum that is a sum: the only one over bytes that the standard library does in C.
            sound = (adler32(loudness[start : start + size]) & 0xFFFF) - 1
            if third < 0:
                first = second = third = sound
                self._first = audio[:span] if sound >= floor.audible else b""
            recent = (first + second + third + sound) / 4
            first, second, third = second, third, sound
            if not sound:
                self._fall_silent(audio[at - span : at] if at else self._last, turns)
            self._position += self._window
            if self.speaking:
                if recent >= floor.goes_on and sound >= floor.least:
                    last = at
                    floor.hear_speech(recent)
                else:
                    if sound:
                        floor.hear_speech(recent)
                    else:
                        floor.be_silent(1)
                    if last >= 0:
                        self._note_last(audio, last, at)
                        last = -1
                    self._end_turn(turns)
            elif self._rises(sound, recent, audio, at):
                self._begin_turn(turns)
                last = at
            at += span
        if last >= 0:
            self._note_last(audio, last, at - span)
        elif self._first:
            self._last = audio[at - span : at]
        self._before = (first, second, third)

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
            if sound:
                floor.hear_noise(recent)
            else:
                floor.be_silent(1)
        elif self._rise_at < 0:
            self._run = 0
        else:
            self._run += 1
            earliest = self._position - _WINDOWS_OF_RISE * self._window
            if self._run == 1 and 0 < self._rise_at < earliest:  # noise that wavered just before
                self._rise_at, self._rise = earliest, b""
        return self._run >= _WINDOWS_TO_START

    def _begin_turn(self, turns: list[Turn]) -> None:
        self._floor.begin_speech()
        self.speaking = True
        keys = self._format.keys(self._rise)
        loud = keys.lstrip(self._quiet)
        turns.append(Turn(True, self._rise_at + (len(keys) - len(loud) if loud else 0)))
        self._run, self._rise_at, self._rise, self._first = 0, -1, b"", b""

    def _fall_silent(self, before: bytes, turns: list[Turn]) -> None:
        """The next window is silent: what the stream began with and seemed to be noise was none, if it was short."""
        first, self._first = self._first, b""
        windows = self._position // self._window
        if first and not self.speaking and _WINDOWS_TO_START <= windows <= _WINDOWS_A_SECOND:
            self._floor.forget()
            self._rise_at, self._rise = 0, first
            self._begin_turn(turns)
            self._last_at, self._last = self._position - self._window, before

    def _note_last(self, audio: bytes, last: int, at: int) -> None:
        """The latest loud window is at ``last`` in the audio, and the one that ends at the position at ``at``."""
        width = self._format.width
        self._last_at = self._position - self._window - (at - last) // width
        self._last = audio[last : last + self._window * width]

    def _end_turn(self, turns: list[Turn]) -> None:
        if self.speaking and self._position >= self._last_at + self._silence:
            end = self.last_loud + self._silence
            if self._position >= end:
                self.speaking = False
                turns.append(Turn(False, end))
