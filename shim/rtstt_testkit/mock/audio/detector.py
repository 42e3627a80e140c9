"""The voice detector (VAD): where speech begins and ends, to the sample, in silence and in noise.

The endpoint's detector is a model, which the mock does not reproduce; this one is simple enough that a test can predict
its result. It measures the mean loudness of every hundredth of a second. A window is speech if it is louder than the
level of the session's ``threshold``, and louder than the noise before it, whose level and deviation `NoiseFloor`
estimates. Speech begins with 30 ms of such windows and reaches back to where the sound rose; it ends when no window was
speech for the session's ``silence_duration_ms``. In silence both are exact to the sample. The result never depends on
how the audio was split into appends.

`session/input_buffer.py` turns boundaries into events and times (PROTOCOL.md 5.2), `session/latency.py` delays them.
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
_WINDOWS_OF_RISE = 7  # the longest soft beginning


class SpeechBoundary(NamedTuple):
    """The beginning of speech or the end of a turn.

    Attributes:
        starts: True where speech begins, False where a turn ends.
        sample: The first sample of speech; or the end of the turn, its silence included.
    """

    starts: bool
    sample: int


OnBoundary = Callable[[SpeechBoundary], None]


def level_of(threshold: float) -> int:
    """Return the loudness (of 32768) from which a sample is not silence.

    Args:
        threshold: The session's ``threshold``, 0 to 1: it is 256 at 0.25 and below, 512 at 0.5, 2048 at 1.
    """
    return 256 * max(1, round(math.pow(2, 4 * threshold - 1)))


class SpeechDetector:
    """Detects where speech begins and ends in a stream of audio.

    Args:
        audio_format: The format of the audio.
        threshold: The session's ``threshold``, 0 to 1.
        silence_ms: The silence that ends a turn, in milliseconds.
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
        self._age, self._lowest = 0, math.inf
        self._rest = b""
        self.reset()
        self.tune(threshold, silence_ms)

    def tune(self, threshold: float, silence_ms: float) -> None:
        """Change the settings from the next sample on.

        Args:
            threshold: The session's ``threshold``, 0 to 1.
            silence_ms: The silence that ends a turn, in milliseconds.
        """
        level = level_of(threshold)
        self._quiet = self._format.quiet_keys(level)
        self._floor.tune(level // LOUDNESS_STEP)
        self._silence = round(silence_ms * self._format.rate / 1000)

    @property
    def samples(self) -> int:
        """How many whole samples were received."""
        return self._position + len(self._rest) // self._format.width

    @property
    def last_loud(self) -> int:
        """The sample after the last one that counted as speech."""
        return self._last_at + len(self._format.keys(self._last).rstrip(self._quiet))

    def reset(self) -> None:
        """Discard the turn under way; the position and the noise level stay."""
        self.speaking = False
        self._run = 0
        self._rise_at, self._rise = -1, b""
        self._last_at, self._last, self._first = self._position, b"", b""

    def detect(self, audio: bytes, on_boundary: OnBoundary) -> None:
        """Continue the detection with more audio.

        Args:
            audio: Audio in the detector's format; its last sample may be incomplete.
            on_boundary: Called with every boundary when it is detected; settings that it changes apply from there on.
        """
        if self._rest:
            audio, self._rest = self._rest + audio, b""
        span = self._window * self._format.width
        whole = len(audio) - len(audio) % span
        if whole:
            loudness = self._format.loudness(audio if whole == len(audio) else audio[:whole])
            self._scan(audio, loudness, span, on_boundary)
        self._rest = audio[whole:]

    def _scan(self, audio: bytes, loudness: bytes, span: int, on_boundary: OnBoundary) -> None:
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
                        self._begin_turn(on_boundary)
                    continue
                age += 1
                if recent < lowest:
                    lowest = recent
                loud = recent >= floor.continues and sound >= floor.least
                if not loud:
                    floor.lower_to(recent)
                if age == LONGEST_SOUND:
                    floor.raise_to(lowest)
                    age, lowest = 0, math.inf
                if loud:
                    last = here
                    continue
            else:
                while index < count and not sounds[index]:
                    index += 1
                silent = index - here
                if self._first:
                    before = audio[(here - 1) * span : here * span] if here else self._last
                    self._on_silence(before, on_boundary)
                floor.add_silence(silent, not third)
                self._position += silent * window
                first, second, third = (first, second, third, 0, 0, 0)[min(silent, 3) :][:3]
                self._run, self._rise_at = 0, -1
                age, lowest = 0, math.inf
            if self.speaking:
                if last >= 0:
                    self._store_last(audio, last * span, (index - 1) * span)
                    last = -1
                self._end_turn(on_boundary)
        at = (count - 1) * span
        if last >= 0:
            self._store_last(audio, last * span, at)
        elif self._first:
            self._last = audio[at : at + span]
        self._before = (first, second, third)
        self._age, self._lowest = age, lowest

    def _rises(self, sound: int, recent: float, audio: bytes, at: int) -> bool:
        """Return whether speech begins with this window, the third of a run."""
        floor = self._floor
        if sound < floor.least:
            self._rise_at = -1
        elif self._rise_at < 0:
            self._rise_at = self._position - self._window
            self._rise = audio[at : at + self._window * self._format.width]
        if recent < floor.starts:
            self._run = 0
            floor.add_noise(recent)
        elif self._rise_at < 0:
            self._run = 0
        else:
            self._run += 1
            earliest = self._position - _WINDOWS_OF_RISE * self._window
            if self._run == 1 and 0 < self._rise_at < earliest:  # noise that varied just before
                self._rise_at, self._rise = earliest, b""
        return self._run >= _WINDOWS_TO_START

    def _begin_turn(self, on_boundary: OnBoundary) -> None:
        self._floor.begin_speech()
        self.speaking = True
        keys = self._format.keys(self._rise)
        loud = keys.lstrip(self._quiet)
        start = self._rise_at + (len(keys) - len(loud) if loud else 0)
        self._run, self._rise_at, self._rise, self._first = 0, -1, b"", b""
        on_boundary(SpeechBoundary(True, start))

    def _on_silence(self, before: bytes, on_boundary: OnBoundary) -> None:
        """Begin a turn for a short sound at the start of the stream, taken for noise until silence followed it."""
        first, self._first = self._first, b""
        windows = self._position // self._window
        if not self.speaking and _WINDOWS_TO_START <= windows <= _WINDOWS_A_SECOND:
            self._floor.reset()
            self._rise_at, self._rise = 0, first
            self._last_at, self._last = self._position - self._window, before
            self._begin_turn(on_boundary)

    def _store_last(self, audio: bytes, last: int, at: int) -> None:
        """Store the latest loud window, at ``last`` in the audio; the window that ends at the position is at ``at``."""
        width = self._format.width
        self._last_at = self._position - self._window - (at - last) // width
        self._last = audio[last : last + self._window * width]

    def _end_turn(self, on_boundary: OnBoundary) -> None:
        """End the turn after enough silence."""
        if self._position >= self._last_at + self._silence:
            end = self.last_loud + self._silence
            if self._position >= end:
                self.speaking = False
                on_boundary(SpeechBoundary(False, end))
