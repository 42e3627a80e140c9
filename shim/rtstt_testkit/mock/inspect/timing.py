"""The times of a session's answers, by the clock and relative to the audio that they answer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rtstt_testkit.mock.audio.formats import AudioFormat
from rtstt_testkit.mock.inspect.events import APPEND, COMPLETED, FAILED, Event

__all__ = ["Moment", "Timing", "TurnTiming", "measure"]

#: The answers to a turn, and where they are kept.
_ANSWERS = {
    "input_audio_buffer.committed": "committed",
    "conversation.item.input_audio_transcription.delta": "first_delta",
    COMPLETED: "final",
    FAILED: "final",
}


class Moment(NamedTuple):
    """The time of an event.

    Attributes:
        at: In seconds since the connection opened.
        audio: How many seconds of audio had arrived by then.
        lag: How many seconds after what it answers: for ``updated`` after the request, for a transcript after the last
            audio of its turn had arrived, negative where it came before. None where that is not known.
    """

    at: float
    audio: float
    lag: float | None = None


@dataclass
class TurnTiming:
    """The answers to one turn.

    Attributes:
        item_id: The identifier of its item.
        committed: When it was committed.
        first_delta: The first delta, None when there was none.
        final: ``completed`` or ``failed``, None if there was neither.
    """

    item_id: str
    committed: Moment | None = None
    first_delta: Moment | None = None
    final: Moment | None = None


@dataclass
class Timing:
    """The answers of a session.

    Attributes:
        connect: How long the handshake took, in seconds.
        created: ``session.created``.
        updated: The first ``session.updated``.
        turns: The turns, in the order in which they were committed or first answered.
    """

    connect: float = 0.0
    created: Moment | None = None
    updated: Moment | None = None
    turns: list[TurnTiming] = field(default_factory=list)

    @property
    def first_delta(self) -> Moment | None:
        """The first delta of the first turn that has one."""
        return next((turn.first_delta for turn in self.turns if turn.first_delta), None)

    @property
    def final(self) -> Moment | None:
        """The final answer of the first turn that has one."""
        return next((turn.final for turn in self.turns if turn.final), None)


def measure(events: Sequence[Event], connect: float, audio_format: AudioFormat) -> Timing:
    """Return the times of a session's answers.

    Args:
        events: The events of the session.
        connect: How long the handshake took, in seconds.
        audio_format: The format of the audio.
    """
    timing = Timing(connect)
    clock = _AudioClock(events, audio_format.width * audio_format.rate)
    ends: dict[str, float] = {}
    answers: dict[str, dict[str, float]] = {}
    updated = None
    for event in events:
        if event.dropped is not None:
            continue
        item = str(event.data.get("item_id"))
        if event.sender == "client":
            updated = event.at if event.type == "session.update" else updated
        elif event.type == "session.created":
            timing.created = timing.created or clock.moment(event.at)
        elif event.type == "session.updated":
            timing.updated = timing.updated or clock.moment(event.at, updated)
        elif event.type == "input_audio_buffer.speech_stopped":
            ends[item] = clock.arrival(event.data["audio_end_ms"] / 1000)
        elif event.type in _ANSWERS:
            if event.type == "input_audio_buffer.committed":
                ends.setdefault(item, clock.last(event.at))
            answers.setdefault(item, {}).setdefault(_ANSWERS[event.type], event.at)
    for item, times in answers.items():
        moments = {name: clock.moment(at, ends.get(item)) for name, at in times.items()}
        timing.turns.append(TurnTiming(item, **moments))
    return timing


class _AudioClock:
    """How much audio had arrived when; within a run of appends, it is taken to have come evenly.

    Args:
        events: The events of the session.
        rate: Bytes of audio per second.
    """

    def __init__(self, events: Sequence[Event], rate: int) -> None:
        self._times, self._seconds = [0.0], [0.0]
        for event in events:
            if event.type == APPEND and event.data.get("audio_bytes"):
                size = event.data["audio_bytes"] / rate
                # The first append of a run begins its time.
                self._add(event.at, self._seconds[-1] + size / event.count)
                if event.count > 1:
                    self._add(event.until, self._seconds[-1] + size - size / event.count)

    def _add(self, at: float, seconds: float) -> None:
        self._times.append(max(at, self._times[-1]))
        self._seconds.append(seconds)

    def moment(self, at: float, since: float | None = None) -> Moment:
        """Return the time of an event.

        Args:
            at: In seconds since the connection opened.
            since: The time of what it answers.
        """
        return Moment(at, self.arrived(at), None if since is None else at - since)

    def arrived(self, at: float) -> float:
        """Return how many seconds of audio had arrived at a time."""
        return _between(self._times, self._seconds, at)

    def arrival(self, seconds: float) -> float:
        """Return when a second of the audio arrived."""
        return _between(self._seconds, self._times, seconds)

    def last(self, at: float) -> float:
        """Return when the last audio before a time arrived."""
        return self._times[bisect_right(self._times, at) - 1]


def _between(known: list[float], values: list[float], wanted: float) -> float:
    index = bisect_right(known, wanted)
    if index == len(known):
        return values[-1]
    low, high = known[index - 1], known[index]
    share = (wanted - low) / (high - low) if high > low else 0.0
    return values[index - 1] + share * (values[index] - values[index - 1])
