"""Follow a recorded session: the client's events go in, and the recorded answers of the server come out.

The module has no sockets and no clock. In the mode ``strict``, what the client sends is compared with the recording by
meaning: audio, also that of an item, by its length and its sound, whatever its chunk size, gain or encoding; every
other event by its fields, in order, with placeholders for identifiers. In the mode ``loose`` nothing is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from rtstt_core.masking import mask_json
from rtstt_testkit.cassette.audio import ReceivedAudio, part_difference, recorded_audio
from rtstt_testkit.cassette.compare import Difference, differences
from rtstt_testkit.cassette.ids import each_id
from rtstt_testkit.cassette.model import Cassette, Frame, RecordedSession, inline_audio
from rtstt_testkit.cassette.schedule import Step, schedule
from rtstt_testkit.cassette.wav import Encoding, session_encoding

__all__ = ["Course", "Follower", "Matching", "Mismatch", "Mode"]

Mode = Literal["strict", "loose"]

_MEASURED = frozenset({"input_audio_buffer.commit", "input_audio_buffer.clear"})
_FREE = ("event_id",)
_SHOWN_DIFFERENCES = 5


class Mismatch(Exception):
    """What the client sent is not what was recorded; the message shows the nearest frame and the difference."""


@dataclass(frozen=True)
class Matching:
    """How a client is compared with a recording.

    Attributes:
        mode: ``strict`` or ``loose``.
        ignore: Fields of the client's events that are not compared, such as ``session.audio.input.noise_reduction``.
        tolerance: How many seconds shorter or longer the audio may be.
    """

    mode: Mode = "strict"
    ignore: tuple[str, ...] = ()
    tolerance: float = 0.25


class Course:
    """A recorded session, read once for all clients that it answers.

    Args:
        cassette: The recording.
        session: The session.

    Attributes:
        cassette: The recording.
        steps: What the server sends, and what that waits for.
        expected: What the client sends, without the appends.
        seconds: The length of the audio before each of these, and of all audio.
        encodings: The encoding of the client's audio at each of these, by its line.
        audio: The audio.
    """

    def __init__(self, cassette: Cassette, session: RecordedSession) -> None:
        self.cassette = cassette
        self.steps = schedule(session)
        self.expected: list[Frame] = []
        self.seconds: list[float] = []
        self.encodings: dict[int, Encoding] = {}
        self.audio = recorded_audio(cassette, session)
        seconds, encoding = 0.0, Encoding("pcm", 24000)
        for frame in session.frames:
            if frame.is_audio:
                seconds += frame.seconds
                continue
            if frame.sender == "client":
                self.expected.append(frame)
                self.seconds.append(seconds)
                self.encodings[frame.line] = encoding
            encoding = session_encoding(frame.event) or encoding
        self.seconds.append(seconds)


class Follower:
    """A position in a recorded session.

    Args:
        course: The session.
        matching: How the client is compared.

    Attributes:
        encoding: The encoding of the client's audio.
    """

    def __init__(self, course: Course, matching: Matching) -> None:
        self._cassette = course.cassette
        self._encodings = course.encodings
        self._matching = matching
        self._ignored = (*_FREE, *matching.ignore)
        self._steps = course.steps
        self._step = 0
        self._expected = course.expected
        self._before = course.seconds
        self._events = 0
        self._seconds = 0.0
        self._uncommitted = 0.0
        self._audio = ReceivedAudio(course.audio, matching.tolerance)
        self.encoding = Encoding("pcm", 24000)
        self._chose_encoding = False
        self._live: dict[str, str] = {}
        self._placeholders: dict[str, str] = {}

    # -- input from the client

    def start(self) -> list[Step]:
        """Return what the server sends before the client sent anything."""
        return self._released()

    def append(self, audio: bytes) -> list[Step]:
        """Receive audio.

        Args:
            audio: Of one append or several.

        Returns:
            What the server sends now.

        Raises:
            Mismatch: It is not what was recorded.
        """
        seconds = self._audio.append(audio, self.encoding)
        self._seconds += seconds
        self._uncommitted += seconds
        return self._released()

    def receive(self, event: dict[str, Any]) -> list[Step]:
        """Receive any other event.

        Args:
            event: The event, or one of a type in parentheses for a message that is none.

        Returns:
            What the server sends now.

        Raises:
            Mismatch: It is not what was recorded.
        """
        if self._matching.mode == "strict":
            self._compare(mask_json(event))
        elif self._events < len(self._expected):
            self._bind(self._expected[self._events].event, event)
        self._events += 1
        self._seconds = 0.0
        if event.get("type") in _MEASURED:
            self._uncommitted = 0.0
        encoding = session_encoding(event)
        if encoding is not None:
            self.encoding, self._chose_encoding = encoding, True
        return self._released()

    @property
    def unfinished(self) -> str | None:
        """What the recording still has, in words; None if nothing is left."""
        missing = [frame.type for frame in self._expected[self._events :]]
        if missing:
            return f"the client did not send {_listed(missing)}, which it sent in the recording"
        left = [step for step in self._steps[self._step :] if step.frame is not None]
        if not left:
            found = self._audio.difference(self._before[-1])
            return None if found is None else f"after the last event that is recorded {found}"
        step = left[0]
        assert step.frame is not None
        waits = ""
        if step.seconds > self._seconds + self._matching.tolerance:
            waits = f": {self._seconds:.3f} s of audio came before, and {step.seconds:.3f} s in the recording"
        elif step.speech:
            waits = ": no speech is in the audio"
        return f"{_listed([one.frame.type for one in left if one.frame is not None])} was not sent{waits}"

    # -- identifiers

    def bind(self, placeholder: str, live: str) -> None:
        """Note that an identifier stands for a placeholder."""
        self._live[placeholder] = live
        self._placeholders[live] = placeholder

    def live(self, placeholder: str) -> str | None:
        """Return the identifier that stands for a placeholder, or None."""
        return self._live.get(placeholder)

    def _same_id(self, recorded: str, live: str) -> bool:
        known = self._live.get(recorded)
        return live not in self._placeholders if known is None else known == live

    def _bind(self, recorded: Any, live: Any) -> None:
        """Note the identifiers that the client chose itself."""
        values: dict[str, list[str]] = {}
        for name, value in _ids(live):
            values.setdefault(name, []).append(value)
        for name, placeholder in _ids(recorded):
            if values.get(name) and placeholder not in self._live:
                self.bind(placeholder, values[name].pop(0))

    # -- comparison

    def _compare(self, event: dict[str, Any]) -> None:
        if self._events >= len(self._expected):
            raise Mismatch(
                f"the client sent {event.get('type')}, and the recording has no further event of it"
                f"{self._nearest(event)}"
            )
        frame = self._expected[self._events]
        found = self._differences(frame, event)
        if found:
            later = self._later(event)
            if later is not None:
                skipped = [one.type for one in self._expected[self._events : later]]
                raise Mismatch(
                    f"the client sent {event.get('type')} (line {self._expected[later].line} of the recording) without "
                    f"{_listed(skipped)} (line {frame.line}) before it"
                )
            if frame.type != event.get("type"):
                raise Mismatch(
                    f"the client sent {event.get('type')}, and the recording has {frame.type} in line {frame.line}"
                    f"{self._nearest(event)}"
                )
            raise Mismatch(self._text(frame, found))
        if frame.type in _MEASURED:
            self._compare_commit(frame)
        self._bind(frame.event, event)

    def _differences(self, frame: Frame, event: dict[str, Any]) -> list[Difference]:
        recorded = self._cassette.event(frame)
        sound = partial(self._part_difference, self._encodings[frame.line])
        return list(differences(recorded, event, self._ignored, same_id=self._same_id, sound=sound))

    def _part_difference(self, encoding: Encoding, recorded: dict[str, Any], received: dict[str, Any]) -> str | None:
        """Return how the audio of two content parts differs, in words; raise ValueError if one has none."""
        audio, its_audio = inline_audio(recorded), inline_audio(received)
        size = recorded.get("audio_bytes") if audio is None else len(audio)
        if its_audio is None or not isinstance(size, int):
            raise ValueError("no audio")
        kept = audio if self._cassette.keeps_audio else None
        part = kept, size / encoding.bytes_per_second, encoding
        return part_difference(part, (its_audio, self.encoding), self._matching.tolerance)

    def _later(self, event: dict[str, Any]) -> int | None:
        """Return the position of the same event later in the recording, or None."""
        for index in range(self._events + 1, len(self._expected)):
            if not self._differences(self._expected[index], event):
                return index
        return None

    def _nearest(self, event: dict[str, Any]) -> str:
        same = [frame for frame in self._expected if frame.type == event.get("type")]
        if not same:
            return ""
        nearest = min(same, key=lambda frame: len(self._differences(frame, event)))
        found = self._differences(nearest, event)
        if not found:
            return f"; it is the event of line {nearest.line} once more"
        return f"; the nearest is line {nearest.line}: " + "; ".join(map(str, found[:_SHOWN_DIFFERENCES]))

    def _text(self, frame: Frame, found: list[Difference]) -> str:
        shown = "; ".join(map(str, found[:_SHOWN_DIFFERENCES]))
        more = f"; and {len(found) - _SHOWN_DIFFERENCES} more" if len(found) > _SHOWN_DIFFERENCES else ""
        return f"{frame.type} differs from line {frame.line} of the recording: {shown}{more}"

    # -- audio

    def _compare_commit(self, frame: Frame) -> None:
        end = self._before[self._events]
        measured = (index for index in range(self._events) if self._expected[index].type in _MEASURED)
        recorded = end - max((self._before[index] for index in measured), default=0.0)
        if abs(recorded - self._uncommitted) > self._matching.tolerance:
            raise Mismatch(
                f"before {frame.type} (line {frame.line}) the client sent {self._uncommitted:.3f} s of audio, and "
                f"{recorded:.3f} s are recorded"
            )
        self._compare_audio(frame, end)
        self._audio.cut(end, here=True)

    def _compare_audio(self, frame: Frame, end: float) -> None:
        found = self._audio.difference(end)
        if found is not None:
            raise Mismatch(f"before {frame.type} (line {frame.line}) {found}")

    # -- output to the client

    def _released(self) -> list[Step]:
        steps = []
        while self._step < len(self._steps) and self._may_send(self._steps[self._step]):
            step = self._steps[self._step]
            steps.append(step)
            self._step += 1
            if step.speech:
                self._audio.forget_speech()
            if step.frame is not None:
                if step.ends_turn and self._matching.mode == "strict":
                    self._compare_audio(step.frame, step.audio)
                    self._audio.cut(step.audio, here=False)
                if not self._chose_encoding:
                    self.encoding = session_encoding(step.frame.event) or self.encoding
        return steps

    def _may_send(self, step: Step) -> bool:
        if self._events != step.events:
            return self._events > step.events
        if self._seconds + self._matching.tolerance < step.seconds:
            return False
        return not step.speech or self._audio.has_speech()


def _ids(event: Any) -> list[tuple[str, str]]:
    """Return the identifiers in an event, each with its field."""
    found: list[tuple[str, str]] = []

    def note(field: str, value: str) -> str:
        found.append((field, value))
        return value

    each_id(event, note, lambda text: text)
    return found


def _listed(types: list[str]) -> str:
    shown = ", ".join(types[:3])
    return shown if len(types) <= 3 else f"{shown} and {len(types) - 3} more"
