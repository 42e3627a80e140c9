"""Admits clients, and makes the session of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from rtstt_testkit.cassette.model import RecordedSession
from rtstt_testkit.cassette.player import Player
from rtstt_testkit.mock.protocol.admission import Admission, HttpRefusal, Profile, RefusalMoment, admit
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.secret_store import SecretStore
from rtstt_testkit.mock.script.faults import CONNECT
from rtstt_testkit.mock.script.script import ScriptCursor
from rtstt_testkit.mock.server.attempt import ConnectAttempt
from rtstt_testkit.mock.server.driver import Clock, SessionDriver
from rtstt_testkit.mock.server.records import Records
from rtstt_testkit.mock.session.replay import ReplaySession
from rtstt_testkit.mock.session.session import Session, Settings

__all__ = ["Sessions"]


@dataclass
class Sessions:
    """The open sessions of a server.

    Attributes:
        clock: The server's time.
        records: What is kept of every session.
        cursor: Hands out the transcripts.
        settings: What is the same for every session.
        profile: Whose rules to follow.
        refuse: When a transcription session with a ``model`` is refused.
        secrets: The ephemeral secrets.
        ids: The source of identifiers and of chance.
        most: The number of sessions that may be open at once, None for any number.
        player: The recording that answers the clients, None for the state machine.
        drivers: Those that are open.
    """

    clock: Clock
    records: Records
    cursor: ScriptCursor
    settings: Settings
    profile: Profile
    refuse: RefusalMoment
    secrets: SecretStore
    ids: Ids
    most: int | None
    player: Player | None = None
    drivers: set[SessionDriver] = field(default_factory=set)

    def attempt(self, request: Request) -> ConnectAttempt:
        """Record a client's opening handshake.

        Args:
            request: The handshake.
        """
        record = self.records.add(request, self.clock.now(), self.clock.wall())
        if not self.cursor.expects(record.number):
            self.records.unexpected.append(record.number)
        plan = self.cursor.faults(record.number, self.ids.chance(f"handshake {record.number}"))
        faults = plan.match(CONNECT)
        for fault in faults:
            record.add_fault(0.0, fault.action, CONNECT)
        if self.clock.virtual_time:
            faults = [fault for fault in faults if fault.action != "delay"]
        recorded = None if self.player is None else self.player.choose(record.handshake)
        return ConnectAttempt(record, faults, partial(self._admit, request, recorded), recorded)

    def _admit(self, request: Request, recorded: RecordedSession | None) -> Admission | HttpRefusal:
        if self.most is not None and len(self.drivers) >= self.most:
            message = f"{self.most} sessions are open, and the mock's max_sessions allows no more."
            return HttpRefusal(503, message, "too_many_sessions")
        if self.player is not None:
            return _as_recorded(recorded)
        return admit(request, self.profile, self.refuse, self.secrets)

    def open(self, attempt: ConnectAttempt, admission: Admission) -> SessionDriver:
        """Make the session of a client that was admitted.

        Args:
            attempt: Its opening handshake.
            admission: What it was admitted to.
        """
        now = self.clock.now()
        attempt.record.handshake_seconds = self.records.since_first(now) - attempt.record.opened_at
        ids = self.ids.child(f"session {attempt.record.number}")
        session: Session | ReplaySession
        if self.player is None:
            session = Session(admission, attempt.record, self.cursor, ids, self.settings, now)
        else:
            session = ReplaySession(self.player, attempt.recorded, attempt.record, self.cursor, ids, now)
        driver = SessionDriver(self.clock, session, self._ended)
        self.drivers.add(driver)
        return driver

    def _ended(self, driver: SessionDriver, at: float) -> None:
        self.drivers.discard(driver)
        self.records.ended(driver.record, at)


def _as_recorded(recorded: RecordedSession | None) -> Admission | HttpRefusal:
    """Return the response to a client's handshake that was recorded."""
    if recorded is None or recorded.http_status == 101:
        return Admission("transcription")
    body = recorded.http_message
    error = body.get("error", body) if isinstance(body, dict) else {"message": str(body)}
    error = error if isinstance(error, dict) else {"message": str(error)}
    return HttpRefusal(recorded.http_status, str(error.get("message", "")), error.get("code"))
