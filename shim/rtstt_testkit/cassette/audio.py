"""The audio that a client sends, compared with the recorded audio by its sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rtstt_testkit.cassette.contour import FRAMES, OFFSETS, Contour, Stretch, differing, outline, sounding
from rtstt_testkit.cassette.model import Cassette, RecordedSession
from rtstt_testkit.cassette.wav import AudioRange, Encoding

__all__ = ["ReceivedAudio", "RecordedAudio", "part_difference", "recorded_audio"]

_BLOCK = 256 * 1024  # bytes that are read at once
_SPEECH = 40  # dB above one unit of a 16-bit sample
_NOT_SPEECH = bytes(range(_SPEECH))


class RecordedAudio:
    """Recorded audio, read once for all clients.

    Args:
        blocks: Yields the audio in order, with its encoding.
        kept: Whether the audio is there; a trace may have its length alone, and `redact --silence` removes it.

    Attributes:
        blocks: The same.
        kept: The same.
    """

    def __init__(self, blocks: Callable[[], Iterator[tuple[bytes, Encoding]]], kept: bool) -> None:
        self.blocks = blocks
        self.kept = kept
        self._readers: dict[int, tuple[Contour, Iterator[tuple[bytes, Encoding]]]] = {}

    def contour(self, which: int, frames: int) -> Contour:
        """Return a contour that is read as far as needed.

        Args:
            which: The index of its offset in `OFFSETS`.
            frames: How many frames are needed.

        Raises:
            CassetteError: A WAV file cannot be read or is too short.
        """
        if which not in self._readers:
            self._readers[which] = Contour(OFFSETS[which]), self.blocks()
        contour, blocks = self._readers[which]
        while len(contour.levels) < frames and (block := next(blocks, None)) is not None:
            contour.append(*block)
            contour.flush()
        return contour


def recorded_audio(cassette: Cassette, session: RecordedSession) -> RecordedAudio:
    """Return the audio of a session's appends.

    Args:
        cassette: The recording.
        session: The session.
    """

    def blocks() -> Iterator[tuple[bytes, Encoding]]:
        for frame, encoding in session.appends():
            for range_ in frame.ranges:
                if isinstance(range_, bytes):
                    yield range_, encoding
                else:
                    for start in range(0, range_.size, _BLOCK):
                        part = AudioRange(range_.file, range_.start + start, min(_BLOCK, range_.size - start))
                        yield cassette.bytes_of(part), encoding

    return RecordedAudio(blocks, cassette.keeps_audio and all(frame.ranges for frame, _ in session.appends()))


class ReceivedAudio:
    """The audio that a client sent.

    As long as its bytes are those of the recording, nothing else is compared.

    Args:
        recorded: The audio that is expected.
        tolerance: How many seconds shorter or longer it may be.
    """

    def __init__(self, recorded: RecordedAudio, tolerance: float) -> None:
        self._recorded = recorded
        self._tolerance = tolerance
        self._same: _SameBytes | None = _SameBytes(recorded.blocks()) if recorded.kept else None
        self._contour = Contour()
        self._seconds = 0.0
        self._compared = 0.0, 0.0  # seconds of the recorded and of the received audio
        self._speech_from = 0.0

    def append(self, audio: bytes, encoding: Encoding) -> float:
        """Append audio, and return its length in seconds."""
        if self._same is not None and not self._same.append(audio, encoding):
            for block, its_encoding in self._same.before(self._recorded.blocks()):
                self._contour.append(block, its_encoding)
            self._same = None
        if self._same is None:
            self._contour.append(audio, encoding)
        seconds = len(audio) / encoding.bytes_per_second
        self._seconds += seconds
        return seconds

    # -- detection of speech

    def forget_speech(self) -> None:
        """Look for speech from here on."""
        self._speech_from = self._seconds

    def has_speech(self) -> bool:
        """Return whether some of the audio is loud, or all of it is that of the recording."""
        if self._same is not None:
            return True
        self._contour.flush()
        levels = self._contour.levels[int(self._speech_from * FRAMES) :]
        return len(levels.translate(None, _NOT_SPEECH)) > 1

    # -- comparison

    def difference(self, end: float) -> str | None:
        """Return how the audio since the last cut differs from the recorded audio, in words; None if it does not.

        Args:
            end: Where the recorded audio ends that is compared, in seconds.
        """
        if not self._recorded.kept or self._same is not None:
            return None
        begin, its_begin = self._compared
        its_end = min(self._seconds, its_begin + end - begin)
        part, its_part = _frames(begin, end), _frames(its_begin, its_end)
        self._contour.flush()
        slack = round(self._tolerance * FRAMES)

        def recorded(which: int) -> Contour:
            return self._recorded.contour(which, part.stop)

        sound, its_sound = sounding(recorded(0), part), sounding(self._contour, its_part)
        if not (sound and its_sound):
            if max(sound, its_sound) <= slack + 1:
                return None
            seconds, its_seconds = sound / FRAMES, its_sound / FRAMES
            return f"{its_seconds:.3f} s of the client's audio are loud, and {seconds:.3f} s of the recorded audio"
        later = range(its_part.start, its_part.stop + slack)
        found = differing(recorded, part, self._contour, later, slack)
        return None if found is None else self._words(found, recorded(0), its_part.start - part.start)

    def cut(self, end: float, *, here: bool) -> None:
        """Compare what follows next time.

        Args:
            end: Where the recorded audio continues, in seconds.
            here: Whether all audio that was received belongs to what precedes, as it does at a commit.
        """
        begin, its_begin = self._compared
        self._compared = end, self._seconds if here else min(self._seconds, its_begin + end - begin)

    def _words(self, found: Stretch, recorded: Contour, shift: int) -> str:
        part = range(found.start, found.end)
        its_part = range(max(0, found.start + shift), max(0, found.end + shift))
        return (
            f"the client's audio is not the recorded audio from {found.start / FRAMES:.1f} s to "
            f"{found.end / FRAMES:.1f} s: on average its loudness is {found.loudness:.1f} dB and its pitch "
            f"{found.octaves:.1f} octaves off (loudness recorded {outline(recorded, part)}, "
            f"received {outline(self._contour, its_part)})"
        )


def part_difference(
    recorded: tuple[bytes | None, float, Encoding], received: tuple[bytes, Encoding], tolerance: float
) -> str | None:
    """Return how the audio of a content part differs from the recorded audio, in words; None if it does not.

    Args:
        recorded: The audio, None if it is not kept, with its length in seconds and its encoding.
        received: The audio, and its encoding.
        tolerance: Seconds of it that may be missing or more.
    """
    audio, seconds, encoding = recorded
    sound = ReceivedAudio(RecordedAudio(lambda: iter([(audio or b"", encoding)]), audio is not None), tolerance)
    its_seconds = sound.append(*received)
    if abs(its_seconds - seconds) > tolerance:
        return f"the client sent {its_seconds:.3f} s of audio, and {seconds:.3f} s are recorded"
    return sound.difference(seconds)


class _SameBytes:
    """Follows audio whose bytes are those of the recording.

    Args:
        blocks: The recorded audio, in order.
    """

    def __init__(self, blocks: Iterator[tuple[bytes, Encoding]]) -> None:
        self._blocks = blocks
        self._block, self._encoding = b"", Encoding("pcm", 24000)
        self._at = 0
        self._passed = 0  # bytes of the blocks before

    def append(self, audio: bytes, encoding: Encoding) -> bool:
        """Return whether the recording goes on with this audio; otherwise the position stays."""
        done, at, block, its_encoding, passed = 0, self._at, self._block, self._encoding, self._passed
        while done < len(audio):
            if at == len(block):
                passed, at = passed + at, 0
                block, its_encoding = next(self._blocks, (b"", encoding))
                if not block:
                    return False
            size = min(len(block) - at, len(audio) - done)
            if encoding != its_encoding or not block.startswith(audio[done : done + size], at):
                return False
            done, at = done + size, at + size
        self._at, self._block, self._encoding, self._passed = at, block, its_encoding, passed
        return True

    def before(self, blocks: Iterator[tuple[bytes, Encoding]]) -> Iterator[tuple[bytes, Encoding]]:
        """Yield the audio up to the position."""
        left = self._passed + self._at
        for block, encoding in blocks:
            if not left:
                return
            yield block[:left], encoding
            left -= min(left, len(block))


def _frames(start: float, end: float) -> range:
    return range(round(start * FRAMES), max(round(start * FRAMES), round(end * FRAMES)))
