"""Determine what each event of a recorded server waits for: a number of client events and a length of audio.

The order of a recording shows what came before an event, not what caused it: a client that does not wait for an answer
may have sent more by then. So an event with a known cause in the protocol waits only for that cause:
``session.updated`` for its update, ``committed`` for its commit, an item's transcript for the end of its turn.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from rtstt_testkit.cassette.model import Frame, RecordedClose, RecordedSession

__all__ = ["Step", "schedule"]

_ITEM = "conversation.item."
_STOPPED = "input_audio_buffer.speech_stopped"
_STARTED = "input_audio_buffer.speech_started"
_COMMITTED = "input_audio_buffer.committed"
#: The client's event that each of these answers.
_ANSWERS = {
    "session.updated": "session.update",
    _COMMITTED: "input_audio_buffer.commit",
    "input_audio_buffer.cleared": "input_audio_buffer.clear",
}


class Step(NamedTuple):
    """An event of the server, or its CLOSE.

    Attributes:
        frame: The event; None for the CLOSE.
        close: The CLOSE; None for an event.
        events: How many events the client must have sent, not counting appends.
        seconds: How much audio it must have sent since the last of them.
        speech: Whether some of the audio since the last turn must be loud.
        lag: Seconds from the moment at which the client had sent all this to the event.
        audio: How much audio it had sent by then since the connection opened.
    """

    frame: Frame | None
    close: RecordedClose | None
    events: int
    seconds: float
    speech: bool
    lag: float
    audio: float

    @property
    def ends_turn(self) -> bool:
        """Whether the audio up to it is a turn that the server detected."""
        return self.frame is not None and self.frame.type == _STOPPED


class _Point(NamedTuple):
    """A moment: how many events the client had sent, how much audio since the last of them, and when."""

    events: int
    seconds: float
    at: float


def schedule(session: RecordedSession) -> list[Step]:
    """Return the steps of a recorded server, in order."""
    return _Planner(session).plan()


class _Planner:
    def __init__(self, session: RecordedSession) -> None:
        self._session = session
        self._now = _Point(0, 0.0, 0.0)
        self._sent: dict[str, list[_Point]] = {}
        self._by_id: dict[str, tuple[str, _Point]] = {}
        self._turns: dict[str, _Point] = {}
        self._total = 0.0
        self._before = [0.0]  # how much audio there was before each event of the client
        self._ends: list[float] = []  # of each run of appends: the audio up to its end
        self._runs: list[tuple[int, float, float, float]] = []  # the events before it, its length, and its times

    def plan(self) -> list[Step]:
        steps = []
        for frame in self._session.frames:
            if frame.is_audio:
                self._append(frame)
            elif frame.sender == "client":
                self._client(frame)
            else:
                point = self._cause(frame)
                speech = frame.type == _STARTED
                lag = max(0.0, frame.at - point.at)
                audio = self._before[point.events] + point.seconds
                steps.append(Step(frame, None, point.events, point.seconds, speech, lag, audio))
        close = self._session.close
        if close is not None and close.by == "server":
            lag = max(0.0, close.at - self._now.at)
            steps.append(Step(None, close, self._now.events, self._now.seconds, False, lag, self._total))
        return steps

    def _append(self, frame: Frame) -> None:
        self._total += frame.seconds
        self._now = _Point(self._now.events, self._now.seconds + frame.seconds, frame.until)
        self._ends.append(self._total)
        self._runs.append((self._now.events, frame.seconds, frame.at, frame.until))

    def _client(self, frame: Frame) -> None:
        self._now = _Point(self._now.events + 1, 0.0, frame.at)
        self._before.append(self._total)
        self._sent.setdefault(frame.type, []).append(self._now)
        event_id = frame.event.get("data", frame.event).get("event_id")
        if isinstance(event_id, str):
            self._by_id[event_id] = frame.type, self._now

    def _cause(self, frame: Frame) -> _Point:
        """Return the cause of a server event."""
        event = frame.event
        item = event.get("item_id") or (event.get("item") or {}).get("id")
        if frame.type == "session.created":
            return _Point(0, 0.0, 0.0)
        if frame.type == "error":
            return self._refused(event.get("error"))
        if frame.type == _STOPPED:
            point = self._turn_end(event.get("audio_end_ms"))
            self._turns[str(item)] = point
            return point
        if frame.type in _ANSWERS and not (frame.type == _COMMITTED and item in self._turns):
            waiting = self._sent.get(_ANSWERS[frame.type])
            point = waiting.pop(0) if waiting else self._now
            if frame.type == _COMMITTED:
                self._turns[str(item)] = point
            return point
        if item in self._turns and (frame.type.startswith(_ITEM) or frame.type == _COMMITTED):
            return self._turns[str(item)]
        return self._now

    def _refused(self, error: object) -> _Point:
        """Return the client's event that an error refuses; it is not answered otherwise."""
        event_id = error.get("event_id") if isinstance(error, dict) else None
        known = self._by_id.get(event_id) if isinstance(event_id, str) else None
        if known is None:
            return self._now
        type_, point = known
        if point in self._sent.get(type_, []):
            self._sent[type_].remove(point)
        return point

    def _turn_end(self, milliseconds: object) -> _Point:
        """Return the moment at which the client had sent the audio up to the end of a turn."""
        if not isinstance(milliseconds, int | float) or milliseconds / 1000 >= self._total:
            return self._now
        end = max(0.0, milliseconds / 1000)
        index = bisect_left(self._ends, end)
        events, length, at, until = self._runs[index]
        share = 1.0 - (self._ends[index] - end) / length if length > 0 else 1.0
        return _Point(events, end - self._before[events], at + (until - at) * share)
