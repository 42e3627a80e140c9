"""The types of findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from rtstt_testkit.mock.inspect.findings.clients import Client, group_clients
from rtstt_testkit.mock.inspect.ledger import AudioLedger
from rtstt_testkit.mock.inspect.record import SessionRecord

__all__ = ["Evidence", "Finding", "FindingName", "Observation", "Outcome"]

FindingName = Literal[
    "retried_fatal",
    "reconnect_storm",
    "no_backoff",
    "gave_up_too_early",
    "budget_not_reset",
    "session_update_missing_after_reconnect",
    "audio_before_updated",
    "request_refused",
    "refused_update_ignored",
    "closed_before_completed",
    "ping_ignored",
    "failed_ignored",
    "silent_failure",
    "out_of_order_mixed_up",
    "transcript_lost",
    "transcript_doubled",
    "audio_lost",
    "leading_audio_lost",
    "audio_doubled",
    "wrong_sample_rate",
    "crashed",
    "hung",
    "never_connected",
]


@dataclass(frozen=True)
class Evidence:
    """One thing that shows a finding.

    Attributes:
        text: What happened, as a clause.
        session: The number of the connection, None if it concerns several.
        at: When, in seconds since that connection opened.
        event: The number of the event in the session's record, counted from 1.
    """

    text: str
    session: int | None = None
    at: float | None = None
    event: int | None = None

    def __str__(self) -> str:
        place = [] if self.session is None else [f"session {self.session}"]
        place += [] if self.event is None else [f"event {self.event}"]
        where = ", ".join(place) + ("" if self.at is None else f" at {self.at:.3f} s")
        return f"{where}: {self.text}" if where else self.text

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        at = None if self.at is None else round(self.at, 3)
        return {"session": self.session, "event": self.event, "at": at, "text": self.text}


@dataclass(frozen=True)
class Finding:
    """Something that a client does wrong.

    Attributes:
        name: Its name in the table of findings.
        meaning: What it means, as a sentence.
        fix: What to do about it, as a sentence.
        evidence: What shows it, at least one.
    """

    name: FindingName
    meaning: str
    fix: str
    evidence: tuple[Evidence, ...]

    def __str__(self) -> str:
        shown = "; ".join(map(str, self.evidence[:3]))
        more = f"; and {len(self.evidence) - 3} more" if len(self.evidence) > 3 else ""
        return f"{self.name}: {self.meaning} ({shown}{more}) {self.fix}"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "meaning": self.meaning,
            "fix": self.fix,
            "evidence": [evidence.as_json() for evidence in self.evidence],
        }


@dataclass(frozen=True)
class Outcome:
    """What the program that uses the client showed to its user.

    Attributes:
        transcript: The final transcripts that it printed, one an entry, in order.
        log: Everything else that it printed.
        exit_code: Its exit code, None when it was stopped.
        timed_out: Whether it was stopped because it did not end.
    """

    transcript: Sequence[str] = ()
    log: str = ""
    exit_code: int | None = 0
    timed_out: bool = False


@dataclass
class Observation:
    """The input of the checks.

    Attributes:
        sessions: The records of a server's sessions.
        now: The time, in seconds since the server's first session.
        finished: Whether the clients are known to have ended, so that no further attempt can follow.
        outcome: What the program showed, None where it is not known.
        ledger: The ledger of the audio of one client, None where the recording is not known.
    """

    sessions: Sequence[SessionRecord]
    now: float = 0.0
    finished: bool = False
    outcome: Outcome | None = None
    ledger: AudioLedger | None = None

    @cached_property
    def clients(self) -> list[Client]:
        """The sessions of each client, in the order in which they opened."""
        return group_clients(self.sessions)
