"""One time axis for the events and the audio of a session.

An event has a clock time. Audio has a length, and it may arrive faster than it plays: a test sends ten seconds in ten
milliseconds. On the axis every piece of audio is as long as it plays, ends no earlier than it arrived, and never
overlaps the piece before it; an event is no earlier than the end of the audio that came before it. With audio in
real time the axis is the clock. Otherwise it runs ahead of the clock by `Axis.lag`. Audio that comes steadily and
slower than it plays is spread over the time that it took.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from rtstt_testkit.mock.audio.formats import FORMATS, AudioFormat
from rtstt_testkit.mock.inspect.record import APPEND, Event

__all__ = ["Axis", "FormatSpan", "Placed", "added_since"]

T = TypeVar("T")

_STEADY = 5  # appends, from which on their pace means something
_SLOWEST = 4.0  # times as long as it plays: 8 kHz audio sent as 24 kHz takes three times as long


class Placed(NamedTuple):
    """An event with its place.

    Attributes:
        event: The event.
        x: Its place on the axis, in seconds; of a run of appends, where its audio begins.
        received: Seconds of audio received up to and including it.
        width: Of a run of appends, how long its audio is on the axis, in seconds.
    """

    event: Event
    x: float
    received: float
    width: float = 0.0


class FormatSpan(NamedTuple):
    """Bytes of the audio in one format.

    Attributes:
        start: Position of its first byte in all audio received.
        seconds: The length of the audio before it.
        format: Its format.
    """

    start: int
    seconds: float
    format: AudioFormat


class Axis:
    """The places of one session's events; `update` continues where the last call ended.

    Attributes:
        placed: Every event seen, in order.
        pieces: The audio, as tuples of place, position in the audio, length, and length on the axis, in seconds.
        spans: The formats of the audio.
        lag: How far the axis is ahead of the clock, in seconds.
    """

    def __init__(self) -> None:
        self.placed: list[Placed] = []
        self.pieces: list[tuple[float, float, float, float]] = []
        self.spans: list[FormatSpan] = [FormatSpan(0, 0.0, FORMATS["audio/pcm"])]
        self.lag = 0.0
        self._end = 0.0
        self._bytes = 0
        self._seconds = 0.0
        self._before_run: tuple[float, float, int, float, int] | None = None

    @property
    def end(self) -> float:
        """The end of the last event or piece of audio."""
        last = self.placed[-1].x if self.placed else 0.0
        return max(last, self._end)

    @property
    def seconds(self) -> float:
        """The length of the audio received."""
        return self._seconds

    def update(self, events: Sequence[Event], received: int) -> int:
        """Place the events that are new.

        Args:
            events: Those of the record, in order; the oldest may have been dropped meanwhile.
            received: How many bytes of audio the session received in all.

        Returns:
            The index in `placed` of the first event that is new or has changed.
        """
        first = self._undo_run()
        new = added_since(events, self.placed[-1].event if self.placed else None)
        if not self.placed:  # audio of events that were dropped before the page was opened
            self._skip(received - sum(_audio_bytes(event) for event in new))
        for index, event in enumerate(new):
            following = new[index + 1].at if index + 1 < len(new) else None
            self._place(event, following)
        return first

    def _undo_run(self) -> int:
        """Take back a last run of appends, which may have grown; return how many events are left."""
        if self._before_run is not None:
            self.lag, self._end, self._bytes, self._seconds, pieces = self._before_run
            del self.pieces[pieces:]
            self.placed.pop()
            self._before_run = None
        return len(self.placed)

    def _skip(self, size: int) -> None:
        if size > 0:
            self._bytes += size
            self._seconds += self._length(size)

    def _length(self, size: int) -> float:
        format_ = self.spans[-1].format
        return size / (format_.rate * format_.width)

    def _place(self, event: Event, following: float | None) -> None:
        size = _audio_bytes(event)
        if event.type == APPEND and size:
            before = (self.lag, self._end, self._bytes, self._seconds, len(self.pieces))
            length = self._length(size)
            end = max(event.until + self.lag, self._end + length)
            width = max(length, min(_spread(event, length), end - self._end))
            self.pieces.append((end - width, self._seconds, length, width))
            self._end = end
            self._bytes += size
            self._seconds += length
            self.placed.append(Placed(event, end - width, self._seconds, width))
            self._before_run = before if following is None else None
            return
        x = event.at + self.lag
        if x < self._end:
            self.lag += self._end - x
            x = self._end
        self.placed.append(Placed(event, x, self._seconds))
        self._follow_format(event.data)

    def _follow_format(self, data: dict[str, Any]) -> None:
        """The format that the server confirmed holds for the audio that follows."""
        if data.get("type") not in ("session.created", "session.updated"):
            return
        try:
            format_ = FORMATS[data["session"]["audio"]["input"]["format"]["type"]]
        except (KeyError, TypeError):
            return
        if format_ != self.spans[-1].format:
            self.spans.append(FormatSpan(self._bytes, self._seconds, format_))

    def place_of(self, at: float) -> float:
        """The place of a time on the clock."""
        index = bisect_right(self.placed, at, key=lambda placed: placed.event.at) - 1
        if index < 0:
            return at
        placed = self.placed[index]
        begins = placed.event.until if placed.event.type == APPEND else placed.event.at
        return placed.x + max(0.0, at - begins)

    def time_of(self, position: int) -> float:
        """The time of a byte position, in seconds of audio."""
        span = max((span for span in self.spans if span.start <= position), key=lambda span: span.start)
        return span.seconds + (position - span.start) / (span.format.rate * span.format.width)

    def position(self, seconds: float) -> int:
        """The byte position of a time in the audio, on a whole sample."""
        span = max((span for span in self.spans if span.seconds <= seconds), key=lambda span: span.seconds)
        return span.start + int((seconds - span.seconds) * span.format.rate) * span.format.width


def _spread(event: Event, length: float) -> float:
    """How long a run of appends took that came steadily and slower than it plays, else no more than it plays."""
    if event.count < _STEADY:
        return length
    took = (event.until - event.at) * event.count / (event.count - 1)
    return took if took <= length * _SLOWEST else length


def added_since(known: Sequence[T], last: T | None) -> list[T]:
    """Return what was added to a record after the last that is known; everything when that is not among it.

    Args:
        known: The events or faults of the record, in order.
        last: The last that is known, or None.
    """
    new: list[T] = []
    for one in reversed(known):
        if one is last:
            break
        new.append(one)
    return new[::-1]


def _audio_bytes(event: Event) -> int:
    size = event.data.get("audio_bytes", 0) if event.type == APPEND else 0
    return size if isinstance(size, int) else 0
