"""The state machine of one socket: frames and time in, frames out. No sockets, no clock of its own.

A shell calls `Session.start`, then `receive` for every frame, and `poll` whenever `next_due` has come; `poll`
returns what to send now. Every method takes the time as an argument, so that a test (or a virtual clock) owns it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rtstt_testkit.mock.audio.detector import SpeechBoundary, SpeechDetector
from rtstt_testkit.mock.audio.recognition import recognize
from rtstt_testkit.mock.inspect.record import APPEND, Closed, SessionRecord
from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.admission import Admission
from rtstt_testkit.mock.protocol.config import SessionConfig, default_session, merge, validate
from rtstt_testkit.mock.protocol.errors import ApiError, Refused
from rtstt_testkit.mock.protocol.events import decode_audio, decode_event, user_item
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.schema import CLIENT_EVENT_FIELDS
from rtstt_testkit.mock.protocol.secrets import has_key, mask_keys
from rtstt_testkit.mock.script.faults import Fault
from rtstt_testkit.mock.script.script import ScriptCursor, Transcript
from rtstt_testkit.mock.session.conversation import Conversation
from rtstt_testkit.mock.session.latency import Latency
from rtstt_testkit.mock.session.outbox import Close, Outbox, Output, last_act
from rtstt_testkit.mock.session.transcription import SpeechSegment, Transcriber

__all__ = ["Session", "Settings"]

_SHORTEST_COMMIT_MS = 100
#: A client's event is noted whole up to this many characters; after so many in all, only short ones are.
_MAX_RECORDED = 64 * 1024
_MAX_RECORDED_IN_ALL = 4 * 1024 * 1024
_MAX_RECORDED_THEN = 512
#: The mock's stand-in for the endpoint's end-of-turn model: silence after a text that ends like a sentence.
_SEMANTIC_SILENCE_MS = 500
_SENTENCE_ENDS = (".", "!", "?", "。", "！", "？")


@dataclass(frozen=True)
class Settings:
    """What is the same for every session of a server.

    Attributes:
        latency: How long answers take.
        any_model: Take transcription models beyond OpenAI's, as a gateway does.
        max_duration: Seconds until a session is ended; 60 minutes at the endpoint.
        expiry_event: Send an ``error`` with code ``session_expired`` before that CLOSE, as some clients expect.
    """

    latency: Latency = field(default_factory=Latency)
    any_model: bool = False
    max_duration: float = 3600.0
    expiry_event: bool = False


class Session:
    """One connection's protocol.

    Args:
        admission: What the handshake led to.
        record: Where events and audio are noted.
        cursor: Who knows what to say.
        ids: Where identifiers come from.
        settings: Of the server.
        now: The clock, in seconds.

    Attributes:
        record: What happened.
        conversation: Its items.
        accepts_appends: Whether appends may be given to `hear`; where faults wait for events, each is one.
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
        self._admission = admission
        self._ids = ids
        self._settings = settings
        self._now = self._opened = now
        self._event_id: str | None = None
        self._recorded = 0
        self._faults = cursor.faults(record.number, ids.chance(f"session {record.number}"))
        self.accepts_appends = not self._faults
        self._outbox = Outbox(record, ids, self._faults, now)
        self.conversation = Conversation(admission.kind, ids, self._say)
        self._transcriber = Transcriber(record.number, cursor, ids, settings.latency, self._outbox, self.conversation)
        self._speech: SpeechSegment | None = None
        self._base_ms = 0
        self._config = SessionConfig(_first_session(admission))
        self._new_buffer()
        record.kind = admission.kind

    # -- what the shell calls

    @property
    def next_due(self) -> float | None:
        """When `poll` has something to do next, None when nothing is planned."""
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
                self._end(refusal)
                return
        session = self._config.session
        session["id"] = self._ids.new("sess")
        session["expires_at"] = int(wall + self._settings.max_duration)
        self._say("session.created", session=self._shown_session())
        if self._admission.kind == "realtime":
            conversation = {"id": self._ids.new("conv"), "object": "realtime.conversation"}
            self._say("conversation.created", conversation=conversation)
        self._outbox.plan(self._opened + self._settings.max_duration, self._expire)

    def receive_frame(self, frame: str | bytes, now: float) -> None:
        """Take a frame of the client's.

        Args:
            frame: A TEXT frame as str, a BINARY one as bytes.
            now: The clock, in seconds.
        """
        if self._outbox.ended:
            return
        self._now = now
        self._event_id = None
        try:
            event = self._parse(frame)
            if self._faults:
                self._handle_with_faults(event)
            else:
                _HANDLERS[event["type"]](self, event)
        except Refused as refused:
            self._complain(refused.error)

    def append_audio(self, appends: list[bytes], now: float) -> None:
        """Take the audio of appends that came one after the other, as `receive` takes each; it costs much less.

        Args:
            appends: The audio of each.
            now: The clock, in seconds.
        """
        if not self._outbox.ended:
            self._now = now
            self._event_id = None
            self._hear(appends)

    def poll(self, now: float) -> list[Output]:
        """What to send now, in order; does what was planned until ``now``."""
        return self._outbox.poll(now)

    def closed(self, close: Closed) -> None:
        """The socket is gone; what was planned is dropped."""
        self._outbox.drop_all()
        if self.record.close is None:
            self.record.close = close

    # -- sending

    def _say(self, type_: str, delay: float = 0.0, /, **fields: Any) -> None:
        self._outbox.say(self._now + delay, type_, fields)

    def _complain(self, error: ApiError) -> None:
        self._say("error", error=error.body(self._event_id))

    def _end(self, error: ApiError) -> None:
        """An error that a CLOSE follows in the same moment [capture]."""
        self._complain(error)
        self._outbox.end(Close(error.close or 1000, error.close_reason))

    def _expire(self, now: float) -> None:
        self._now = now
        self._event_id = None
        if self._settings.expiry_event:
            self._complain(errors.MAX_DURATION)
        self._outbox.end(Close(1001, errors.MAX_DURATION.message))

    def _shown_session(self) -> dict[str, Any]:
        self.record.session = shown = self._config.shown()
        return shown

    # -- receiving

    def _parse(self, frame: str | bytes) -> dict[str, Any]:
        if isinstance(frame, bytes):
            self._note({"type": "(binary)", "bytes": len(frame)})
            raise Refused(errors.BINARY_FRAME)
        try:
            event = decode_event(frame)
        except Refused:
            self._note({"type": "(no event)", "text": mask_keys(frame[:200])})
            raise
        type_ = event.get("type")
        if type_ != APPEND or "audio" not in event:
            limit = _MAX_RECORDED if self._recorded < _MAX_RECORDED_IN_ALL else _MAX_RECORDED_THEN
            whole = len(frame) <= limit
            self._recorded += len(frame) if whole else 0
            if whole:
                self._note(json.loads(mask_keys(frame)) if has_key(frame) else event)
            else:
                self._note({"type": mask_keys(str(type_)[:200]), "bytes": len(frame)})
        event_id = event.get("event_id")
        self._event_id = event_id if isinstance(event_id, str) else None
        if type_ is None:
            raise Refused(errors.missing_parameter("type"))
        if not isinstance(type_, str):
            raise Refused(errors.invalid_type("type", "a string", type_))
        if type_ not in CLIENT_EVENT_FIELDS:
            raise Refused(errors.invalid_value(type_, "type", errors.CLIENT_EVENTS))
        if fault := CLIENT_EVENT_FIELDS[type_].check(event, ""):
            raise Refused(fault)
        return event

    def _note(self, event: dict[str, Any]) -> None:
        self.record.add("client", self._now - self._opened, event)

    def _handle_with_faults(self, event: dict[str, Any]) -> None:
        struck = self._faults.match(event["type"], "client")
        for fault in struck:
            if fault.before is not None and self._strike(fault):
                return
        if any(fault.action == "drop" for fault in struck):
            return
        _HANDLERS[event["type"]](self, event)
        for fault in struck:
            if fault.after is not None and (self._outbox.ended or self._strike(fault)):
                return

    def _strike(self, fault: Fault) -> bool:
        """A fault at an event of the client's, behind what was said until now; True when that was the end."""
        if fault.action == "delay":
            self._outbox.hold(self._now + fault.seconds)
        elif fault.action in {"error", "expire"}:
            self._complain(fault.error)
        last = last_act(fault)
        if last is None:
            return False
        self._outbox.end(last)
        return True

    # -- the session

    def _update(self, event: dict[str, Any]) -> None:
        if self._admission.refusal is not None:  # on-update: livekit/agents-js#1756 to the letter
            self._end(self._admission.refusal)
            return
        update = event["session"]
        if fault := validate(update, self._admission.kind, self._settings.any_model):
            raise Refused(fault)
        merged = merge(self._config.session, update)
        if isinstance(merged, ApiError):
            raise Refused(merged)
        heard_ms = self._ms(self._samples)
        before, self._config = self._config, SessionConfig(merged)
        if before.format != self._config.format:
            self._base_ms = heard_ms
            self._new_buffer()
        else:
            if before.turns is None and self._config.turns is not None:
                # Speech that nobody was told of cannot be told to have stopped: it is heard anew.
                self._speech = None
                self._detector.reset()
            self._detector.tune(self._config.threshold, self._silence_ms())
        self._say("session.updated", self._settings.latency.updated, session=self._shown_session())

    def _close(self, event: dict[str, Any]) -> None:
        """Listed by the endpoint among its events; that it closes 1000 is assumed."""
        self._outbox.end(Close(1000, ""))

    # -- the audio buffer

    def _new_buffer(self) -> None:
        config = self._config
        self.record.audio_format = config.format
        self._byte_origin = self.record.audio_received
        self._buffer_start = 0
        self._idle_since = 0
        self._speech = None
        self._detector = SpeechDetector(config.format, config.threshold, self._silence_ms(), self._turned)

    @property
    def _samples(self) -> int:
        """How many samples came in this format."""
        return self._detector.samples

    def _ms(self, sample: int) -> int:
        """The time of a sample on the session's axis, in milliseconds."""
        return self._base_ms + sample * 1000 // self._config.format.rate

    def _length_ms(self, samples: int) -> float:
        return samples * 1000 / self._config.format.rate

    def _length(self, milliseconds: int) -> int:
        return milliseconds * self._config.format.rate // 1000

    def _append(self, event: dict[str, Any]) -> None:
        self._hear([decode_audio(event["audio"])])

    def _hear(self, appends: list[bytes]) -> None:
        audio = appends[0] if len(appends) == 1 else b"".join(appends)
        self.record.add_audio(self._now - self._opened, audio, len(appends))
        self._detector.feed(audio)
        self._follow(self._samples)

    def _turned(self, turn: SpeechBoundary) -> None:
        if turn.starts:
            self._follow(self._samples)
            self._begin(turn)
        else:
            self._follow(turn.sample)
            self._finish(turn)

    def _follow(self, sample: int) -> None:
        """Say what is to be said while speech or silence lasts, up to a sample."""
        if self._speech is not None:
            if self._config.model is not None and self._config.model.streams:
                heard_ms = self._length_ms(sample - self._speech.onset)
                self._transcriber.stream(self._speech, heard_ms, self._config, self._now)
        elif self._config.idle_ms is not None:
            idle = self._length(self._config.idle_ms)
            while sample >= self._idle_since + idle:
                self._time_out(self._idle_since + idle)

    def _begin(self, turn: SpeechBoundary) -> None:
        """Speech began: the item's id is minted now, whether or not the client is told."""
        if self._speech is None:
            start = max(turn.sample - self._length(self._config.prefix_ms), self._buffer_start)
            speech = self._speech = SpeechSegment(self._ids.new("item"), start, turn.sample)
            speech.listen = lambda: self._listen(speech)
            self._detector.tune(self._config.threshold, self._silence_ms())
        if self._config.turns is not None:
            self._say(
                "input_audio_buffer.speech_started",
                self._settings.latency.speech_started,
                audio_start_ms=self._ms(self._speech.start),
                item_id=self._speech.id,
            )

    def _listen(self, speech: SpeechSegment) -> str | None:
        """The bundled recording in the speech heard until now."""
        width, over = self._config.format.width, self._speech is not speech
        end = self._detector.last_loud if over else self._samples
        audio = self.record.slice_audio(*(self._byte_origin + at * width for at in (speech.onset, end)))
        return recognize(audio, self._config.format, whole=over)

    def _finish(self, turn: SpeechBoundary) -> None:
        """Speech ended; without turn detection that is nobody's business."""
        speech = self._speech
        if speech is None or self._config.turns is None:
            return
        end_ms = self._ms(turn.sample)
        self._say("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=speech.id)
        self._commit_item(speech, turn.sample)

    def _silence_ms(self) -> int:
        """The silence that ends a turn: a setting, or for semantic_vad a matter of how the text ends."""
        config = self._config
        if config.turns != "semantic_vad":
            return config.silence_ms
        text = self._transcriber.expected_text(config).rstrip()
        return _SEMANTIC_SILENCE_MS if text.endswith(_SENTENCE_ENDS) else config.longest_wait_ms

    def _time_out(self, end: int) -> None:
        """Commit an empty item after ``idle_timeout_ms`` of silence, measured on the audio [types]."""
        item = SpeechSegment(self._ids.new("item"), self._idle_since, self._idle_since, Transcript(""))
        self._say(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=self._ms(item.start),
            audio_end_ms=self._ms(end),
            item_id=item.id,
        )
        self._commit_item(item, end)

    def _commit(self, event: dict[str, Any]) -> None:
        length_ms = self._length_ms(self._samples - self._buffer_start)
        if length_ms < _SHORTEST_COMMIT_MS:
            raise Refused(errors.commit_too_small(length_ms))
        item = self._speech
        if item is None:
            # A commit of silence: transcript "" plus usage [capture, streaming models].
            item = SpeechSegment(self._ids.new("item"), self._buffer_start, self._buffer_start, Transcript(""))
        elif self._config.turns is None:
            item.start = self._buffer_start
        self._commit_item(item, self._samples)
        self._detector.reset()

    def _clear(self, event: dict[str, Any]) -> None:
        self._buffer_start = self._idle_since = self._samples
        self._speech = None
        self._detector.reset()
        self._say("input_audio_buffer.cleared")

    def _commit_item(self, item: SpeechSegment, end: int) -> None:
        self._speech = None
        self._buffer_start = self._idle_since = end
        previous = self.conversation.last
        self._say(
            "input_audio_buffer.committed",
            self._settings.latency.committed,
            previous_item_id=previous,
            item_id=item.id,
        )
        self.conversation.add(user_item(item.id), previous)
        seconds = self._length_ms(end - item.start) / 1000
        self._transcriber.transcribe(item, seconds, self._config, self._now)


def _first_session(admission: Admission) -> dict[str, Any]:
    """The session object of a new connection, with what its ephemeral secret was made for.

    A conversation's secret with ``intent=transcription`` seeds nothing: what the endpoint makes of it is not known.
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
    "input_audio_buffer.commit": Session._commit,
    "input_audio_buffer.clear": Session._clear,
    "conversation.item.create": lambda session, event: session.conversation.create(event),
    "conversation.item.truncate": lambda session, event: session.conversation.truncate(event),
    "conversation.item.delete": lambda session, event: session.conversation.delete(event),
    "conversation.item.retrieve": lambda session, event: session.conversation.retrieve(event),
    "response.create": lambda session, event: session.conversation.respond(event),
    "response.cancel": lambda session, event: session.conversation.cancel(event),
}
