"""When a program that does not end by itself has done enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rtstt_testkit.exam.scenarios import Scenario
from rtstt_testkit.mock.inspect.findings.reported import normalized
from rtstt_testkit.mock.inspect.record import APPEND, COMPLETED, FAILED, SessionRecord

__all__ = ["Enough", "absent", "is_quiet"]

_SETTLED = 1.5  # seconds in which duplicates come
# Seconds without an event: longer than any delay of a script, and than the ten for which a PING may be unanswered.
_QUIET = 12.0


def absent(scenario: Scenario, printed: Sequence[str]) -> list[str]:
    """Return the transcripts that are not among what the program printed.

    Args:
        scenario: The scenario.
        printed: What the program printed.
    """
    text = normalized(" ".join(printed))
    return [wanted for wanted in scenario.texts if normalized(wanted) not in text]


def is_quiet(session: SessionRecord) -> bool:
    """Return whether nothing more comes of a session: for a while it has been fed silence, and owes no transcript.

    Args:
        session: The session, whose turns the detector ends; where the client commits, it may do so later.
    """
    events = session.events
    detection = session.session.get("audio", {}).get("input", {}).get("turn_detection")
    stalled = any(fault.action == "stall" for fault in session.faults)
    # The appends since the last other event are one event.
    fed = events[-1] if events and events[-1].type == APPEND else None
    if not session.open or not detection or stalled or fed is None or fed.until - fed.at < _QUIET:
        return False
    turns = ("input_audio_buffer.speech_started", "input_audio_buffer.committed")
    owed = {event.data.get("item_id") for event in events if event.type in turns}
    # What a fault withheld is owed for good: the client may give the item up, and go on.
    ends = [event for event in events if event.type in (COMPLETED, FAILED) and event.dropped is None]
    return owed <= {event.data.get("item_id") for event in ends}


class Enough:
    """Whether a program that does not end by itself has done enough.

    Args:
        scenario: The scenario.
        printed: Returns the transcripts in what the program wrote.
        sessions: Returns the sessions so far.
    """

    def __init__(
        self,
        scenario: Scenario,
        printed: Callable[[str], list[str]],
        sessions: Callable[[], Sequence[SessionRecord]],
    ) -> None:
        self._scenario = scenario
        self._printed = printed
        self._sessions = sessions
        self._since: float | None = None

    def __call__(self, stdout: str) -> bool:
        """Return whether all transcripts were printed, and had some time to be printed twice, or no more can come."""
        if self._scenario.must == "report":
            return False
        if absent(self._scenario, self._printed(stdout)):
            sessions = self._sessions()
            return bool(sessions) and is_quiet(sessions[-1]) and not any(session.open for session in sessions[:-1])
        self._since = self._since or time.monotonic()
        return time.monotonic() - self._since >= _SETTLED
