"""The state machine of one connection: frames and time in, frames out. It has no sockets and no clock of its own.

The server calls `Session.start`, then `Session.receive_frame` for every frame, and `Session.poll` whenever `next_due`
has come; `poll` returns what to write now. Every method takes the time as an argument, so that a test or a virtual
clock controls it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rtstt_core.masking import mask_json, mask_keys
from rtstt_testkit.mock.inspect.record import APPEND, Closed, SessionRecord
from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.admission import ACCOUNTS, Account, Admission
from rtstt_testkit.mock.protocol.config import SessionConfig, default_session, merge, validate
from rtstt_testkit.mock.protocol.errors import ApiError, Refused
from rtstt_testkit.mock.protocol.events import decode_audio, decode_event
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.schema import CLIENT_EVENT_FIELDS
from rtstt_testkit.mock.script.script import ScriptCursor
from rtstt_testkit.mock.session.client_faults import ClientFaults
from rtstt_testkit.mock.session.conversation import Conversation
from rtstt_testkit.mock.session.input_buffer import InputBuffer
from rtstt_testkit.mock.session.latency import Latency, SessionLatency
from rtstt_testkit.mock.session.outbox import Outbox
from rtstt_testkit.mock.session.output import Close, Output
from rtstt_testkit.mock.session.transcription import Transcriber

__all__ = ["Session", "Settings"]

#: A client's event is recorded whole up to this many characters; once a session's events exceed the second limit,
#: up to the third.
_MAX_RECORDED = 64 * 1024
_MAX_RECORDED_IN_ALL = 4 * 1024 * 1024
_MAX_RECORDED_THEN = 512


@dataclass(frozen=True)
class Settings:
    """The settings that all sessions of a server share.

    Attributes:
        latency: How long answers take.
        any_model: Accept transcription models beyond OpenAI's, as a gateway does.
        max_duration: Seconds after which a session is closed; 60 minutes at the endpoint.
        expiry_event: Send an ``error`` with code ``session_expired`` before that CLOSE, as some clients expect.
        lenient_commit: Make an item of a commit without speech under turn detection, instead of refusing it as empty.
        account: The state of the account, in which every session is refused after the handshake; None for a good one.
    """

    latency: Latency = field(default_factory=Latency)
    any_model: bool = False
    max_duration: float = 3600.0
    expiry_event: bool = False
    lenient_commit: bool = False
    account: Account | None = None


class Session:
    """The protocol of one connection.

    Args:
        admission: The outcome of the handshake.
        record: Where events and audio are recorded.
        cursor: Supplies the transcripts and faults of the script.
        ids: The source of identifiers.
        settings: The server's settings.
        now: The current time, in seconds.

    Attributes:
        record: What happened.
        conversation: The session's items.
        accepts_appends: Whether appends may be passed to `append_audio`; a script with faults needs each as an event.
    """

    def __init__(
        self,
        admission: Admission,
        record: SessionRecord,
        cursor: ScriptCursor,
        ids: Ids,
        settings: Settings,
        now: float,
    ) -> None:
        self.record = record
        self._admission = admission = _with_account(admission, settings.account or cursor.script.account)
        self._ids = ids
        self._settings = settings
        self._opened = now
        self._event_id: str | None = None
        self._recorded = 0
        faults = cursor.faults(record.number, ids.chance(f"session {record.number}"))
        self.accepts_appends = not faults
        self._config = SessionConfig(_first_session(admission))
        self._outbox = Outbox(record, ids, faults, now)
        self._faults = ClientFaults(faults, record, self._outbox, now, self._emit_error) if faults else None
        self.conversation = Conversation(admission.kind, ids, self._outbox)
        chance = ids.chance(f"latency {record.number}")
        self._latency = latency = SessionLatency(settings.latency, cursor.script.latency, chance)
        self._buffer = InputBuffer(
            self._config,
            record,
            ids,
            self._outbox,
            Transcriber(record.number, cursor, ids, latency, self._outbox, self.conversation),
            self.conversation,
            latency,
            settings.lenient_commit,
        )
        record.kind = admission.kind

    # -- what the server calls

    @property
    def next_due(self) -> float | None:
        """When `poll` has something to return next, or None when nothing is planned."""
        return self._outbox.next_due

    def start(self, wall: float) -> None:
        """Open the session, or refuse it.

        Args:
            wall: The time of day, in seconds since 1970, for ``expires_at``.
        """
        refusal = self._admission.refusal
        if refusal is not None:
            self.record.refusal = refusal
            if self._admission.moment == "at-connect":
                self._close_with_error(refusal)
                return
        session = self._config.session
        session["id"] = self._ids.new("sess")
        session["expires_at"] = int(wall + self._settings.max_duration)
        self._outbox.emit("session.created", session=self._shown_session())
        self._outbox.call_at(self._opened + self._settings.max_duration, self._expire)

    def receive_frame(self, frame: str | bytes, now: float) -> None:
        """Handle a frame from the client.

        Args:
            frame: A TEXT frame as str, a BINARY frame as bytes.
            now: The current time, in seconds.
        """
        if self._outbox.ended:
            return
        self._outbox.now = now
        self._event_id = None
        try:
            event = self._parse(frame)
            if self._faults is not None:
                self._faults.handle(event["type"], lambda: _HANDLERS[event["type"]](self, event))
            else:
                _HANDLERS[event["type"]](self, event)
        except Refused as refused:
            self._emit_error(refused.error)

    def append_audio(self, appends: list[bytes], now: float) -> None:
        """Append the audio of consecutive appends, as `receive_frame` does for each, at a fraction of the cost.

        Args:
            appends: The audio of each append.
            now: The current time, in seconds.
        """
        if not self._outbox.ended:
            self._outbox.now = now
            self._event_id = None
            self._buffer.append(appends, now - self._opened)

    def poll(self, now: float) -> list[Output]:
        """Return what to write now, in order, and record it as sent.

        Args:
            now: The current time, in seconds.
        """
        return self._outbox.poll(now)

    def unsent(self, outputs: Sequence[Output]) -> None:
        """Record that outputs of `poll` were not written after all.

        Args:
            outputs: Those that were not written.
        """
        self._outbox.unsent(outputs)

    def closed(self, close: Closed) -> None:
        """Record the end of the connection; what was planned, or had begun to stream, is dropped.

        Args:
            close: How the connection ended, unless the session itself ended it before.
        """
        if not self._outbox.ended_by_fault:
            self._buffer.abandon()
        self._outbox.drop_all()
        if self.record.close is None:
            self.record.close = Closed(close.code, mask_keys(close.reason), close.by)

    # -- sending

    def _emit_error(self, error: ApiError) -> None:
        self._outbox.emit("error", error=error.body(self._event_id))

    def _close_with_error(self, error: ApiError) -> None:
        """Emit an error that a CLOSE frame follows at once [capture]."""
        self._emit_error(error)
        self._outbox.end(Close(error.close or 1000, error.close_reason))

    def _expire(self, now: float) -> None:
        self._outbox.now = now
        self._event_id = None
        if self._settings.expiry_event:
            self._emit_error(errors.MAX_DURATION)
        self._outbox.end(Close(1001, errors.MAX_DURATION.message))

    def _shown_session(self) -> dict[str, Any]:
        self.record.session = shown = self._config.shown()
        return shown

    # -- receiving

    def _parse(self, frame: str | bytes) -> dict[str, Any]:
        """Return the event in a frame.

        Raises:
            Refused: The frame holds no event, an unknown one, or one with wrong fields.
        """
        if isinstance(frame, bytes):
            self._record_received({"type": "(binary)", "bytes": len(frame)})
            raise Refused(errors.BINARY_FRAME)
        try:
            event = decode_event(frame)
        except Refused:
            self._record_received({"type": "(no event)", "text": mask_keys(frame[:200])})
            raise
        type_ = event.get("type")
        if type_ != APPEND or "audio" not in event:
            self._record_received(self._recordable(event, frame))
        event_id = event.get("event_id")
        self._event_id = event_id if isinstance(event_id, str) else None
        if type_ is None:
            raise Refused(errors.missing_parameter("type"))
        if not isinstance(type_, str):
            raise Refused(errors.invalid_type("type", "a string", type_))
        if type_ not in CLIENT_EVENT_FIELDS:
            raise Refused(errors.invalid_value(type_, "type", errors.CLIENT_EVENTS))
        if error := CLIENT_EVENT_FIELDS[type_].check(event, ""):
            raise Refused(error)
        return event

    def _recordable(self, event: dict[str, Any], frame: str) -> dict[str, Any]:
        """Return the event as it is recorded: keys masked, a long one reduced to its length."""
        limit = _MAX_RECORDED if self._recorded < _MAX_RECORDED_IN_ALL else _MAX_RECORDED_THEN
        if len(frame) > limit:
            return {"type": mask_keys(str(event.get("type"))[:200]), "bytes": len(frame)}
        self._recorded += len(frame)
        masked: dict[str, Any] = mask_json(event)
        return masked

    def _record_received(self, event: dict[str, Any]) -> None:
        self.record.add("client", self._outbox.now - self._opened, event)

    # -- events

    def _update(self, event: dict[str, Any]) -> None:
        if self._admission.refusal is not None:  # refuse="on-update" [agents-js#1756]
            self._close_with_error(self._admission.refusal)
            return
        update = event["session"]
        if error := validate(update, self._admission.kind, self._settings.any_model):
            raise Refused(error)
        merged = merge(self._config.session, update)
        if isinstance(merged, ApiError):
            raise Refused(merged)
        self._config = SessionConfig(merged)
        self._buffer.configure(self._config)
        self._outbox.emit("session.updated", self._latency.updated, session=self._shown_session())

    def _close(self, event: dict[str, Any]) -> None:
        """Close with code 1000 [assumed]; the endpoint lists the event among its own [capture]."""
        self._outbox.end(Close(1000, ""))

    def _append(self, event: dict[str, Any]) -> None:
        self._buffer.append([decode_audio(event["audio"])], self._outbox.now - self._opened)


def _with_account(admission: Admission, account: Account | None) -> Admission:
    """Return the admission of a client whose account is in this state [accounts] [voice-client]."""
    if account is None or admission.refusal is not None:
        return admission
    return admission._replace(refusal=ACCOUNTS[account], moment="at-connect")


def _first_session(admission: Admission) -> dict[str, Any]:
    """Return the session object of a new connection, with the settings of its ephemeral secret.

    A conversation's secret with ``intent=transcription`` sets nothing [assumed].
    """
    session = default_session(admission.kind, admission.model)
    seed = admission.seed or {}
    merged = merge(session, seed if seed.get("type") == admission.kind else {})
    return session if isinstance(merged, ApiError) else merged


_HANDLERS: dict[str, Callable[[Session, dict[str, Any]], None]] = {
    "session.update": Session._update,
    "session.close": Session._close,
    APPEND: Session._append,
    "session.input_audio_buffer.append": Session._append,
    "input_audio_buffer.commit": lambda session, event: session._buffer.commit(),
    "input_audio_buffer.clear": lambda session, event: session._buffer.clear(),
    "conversation.item.create": lambda session, event: session.conversation.create(event),
    "conversation.item.truncate": lambda session, event: session.conversation.truncate(event),
    "conversation.item.delete": lambda session, event: session.conversation.delete(event),
    "conversation.item.retrieve": lambda session, event: session.conversation.retrieve(event),
    "response.create": lambda session, event: session.conversation.respond(),
    "response.cancel": lambda session, event: session.conversation.cancel(event),
}
