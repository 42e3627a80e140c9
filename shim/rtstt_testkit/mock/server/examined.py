"""The findings of a server about its clients, and its audio ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from rtstt_testkit.mock.inspect.examine import examine, make_ledger
from rtstt_testkit.mock.inspect.findings.finding import Finding, Outcome
from rtstt_testkit.mock.inspect.findings.table import check_resilient
from rtstt_testkit.mock.inspect.ledger import AudioLedger
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.speech import Recording

__all__ = ["Examined"]

_MOST_EVENTS = 50_000

T = TypeVar("T")


class Examined:
    """The methods of a server that examine its clients."""

    @property
    def sessions(self) -> list[SessionRecord]:
        """What happened on each connection, in the order in which the clients connected."""
        raise NotImplementedError

    def _elapsed(self) -> float:
        """Return the time since the first session opened, in seconds."""
        raise NotImplementedError

    def _call(self, function: Callable[[], T]) -> T:
        """Return what a function returns, called where the records do not change meanwhile."""
        return function()

    def findings(
        self, *, finished: bool = False, outcome: Outcome | None = None, recording: str | Recording | None = None
    ) -> list[Finding]:
        """Return what the clients did wrong, with the evidence; FINDINGS.md explains each.

        Args:
            finished: Whether the clients are known to have ended, so that no further attempt can follow.
            outcome: What the program that uses the client showed, for the findings that need it; None for without.
            recording: What one client sent, to check that its audio was transcribed once and whole: a bundled recording
                by its name, or a `Recording`; None for without.

        Raises:
            KeyError: No recording has that name.
            RuntimeError: ``recording`` needs numpy, which is not installed.
        """
        return self._call(
            lambda: examine(self.sessions, self._elapsed(), finished=finished, outcome=outcome, recording=recording)
        )

    def findings_of(self, record: SessionRecord) -> list[Finding]:
        """Return the findings for which a session has evidence; of many sessions only those around it are examined.

        Args:
            record: The session.
        """
        found = examine(_around(self.sessions, record), self._elapsed())
        return [finding for finding in found if any(each.session == record.number for each in finding.evidence)]

    def assert_resilient(
        self,
        *,
        except_: Iterable[str] = (),
        finished: bool = True,
        outcome: Outcome | None = None,
        recording: str | Recording | None = None,
    ) -> None:
        """Check that the clients did nothing wrong.

        Args:
            except_: The names of findings to allow.
            finished: As for `findings`, and so are the others.
            outcome: What the program showed.
            recording: What one client sent.

        Raises:
            NotResilient: They did; the message has the findings with their evidence.
            ValueError: A name in ``except_`` is not that of a finding.
        """
        __tracebackhide__ = True
        check_resilient(self.findings(finished=finished, outcome=outcome, recording=recording), except_)

    def audio_ledger(self, recording: str | Recording | None = None) -> AudioLedger:
        """Return which parts of a recording arrived, across all sessions, to the millisecond.

        Args:
            recording: A bundled recording by its name, or a `Recording`; None for the bundled one of which most
                arrived.

        Raises:
            KeyError: No recording has that name.
            RuntimeError: numpy is not installed.
        """
        return self._call(lambda: make_ledger(self.sessions, recording))

    def assert_audio_complete(self, recording: str | Recording | None = None, *, tolerance_ms: float = 50) -> None:
        """Check that a recording arrived whole; silence may be missing, and audio may have been sent twice.

        Args:
            recording: As for `audio_ledger`.
            tolerance_ms: How many milliseconds of sound each gap may have.

        Raises:
            AudioIncomplete: More is missing; the message has the ledger.
        """
        __tracebackhide__ = True
        self.audio_ledger(recording).check(tolerance_ms / 1000)


def _around(sessions: list[SessionRecord], record: SessionRecord) -> list[SessionRecord]:
    """Return a session with those before and after it, as far as they have few enough events together."""
    if record not in sessions:
        return [record]
    first = last = sessions.index(record)
    events = len(record.events)
    while events < _MOST_EVENTS and last - first + 1 < len(sessions):
        first, last = max(first - 1, 0), min(last + 1, len(sessions) - 1)
        events += len(sessions[first].events) + len(sessions[last].events)
    return sessions[first : last + 1]
