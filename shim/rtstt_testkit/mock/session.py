"""The state machine of one socket: frames and time in, frames out. No sockets, no clock of its own.

A shell calls `start`, then `receive` for every frame, and `poll` whenever `next_due` has come; `poll` returns
what to send now. Every method takes the time as an argument, so that a test (or a virtual clock) owns it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, NamedTuple

from rtstt_testkit.mock import errors
from rtstt_testkit.mock.admission import Admission
from rtstt_testkit.mock.config import SessionConfig, default_session, merge, validate
from rtstt_testkit.mock.conversation import Conversation
from rtstt_testkit.mock.errors import ApiError, Refused
from rtstt_testkit.mock.events import (
    decode_audio,
    decode_event,
    failure_fields,
    logprobs,
    plain_append,
    segment_fields,
    usage,
    user_item,
)
from rtstt_testkit.mock.ids import Ids
from rtstt_testkit.mock.record import APPEND, Closed, SessionRecord
from rtstt_testkit.mock.schema import CLIENT_EVENT_FIELDS
from rtstt_testkit.mock.script import Director, Item, Transcript, split_deltas
from rtstt_testkit.mock.vad import SpeechDetector, Turn

__all__ = ["LATENCIES", "Close", "Latency", "Output", "Send", "Session", "Settings"]

_SHORTEST_COMMIT_MS = 100
_MAX_RECORDED = 64 * 1024
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
#: How long after the first word a streaming model sends its first delta, by ``delay``, in milliseconds of
#: audio.
#: [capture] 0.5 to 1.4 s after speech; which setting gives which is not known.
_STREAM_DELAY_MS = {"minimal": 500, "low": 700, "medium": 900, "high": 1150, "xhigh": 1400}
_STREAM_STEP_MS = 300
#: The mock's stand-in for the endpoint's end-of-turn model: silence after a text that ends like a sentence.
_SEMANTIC_SILENCE_MS = 500


class Latency(NamedTuple):
    """How long the endpoint takes, in seconds.

    Attributes:
        updated: From ``session.update`` to ``session.updated``.
        speech_started: From the audio to ``speech_started``.
        committed: From the commit to ``committed``.
        first_delta: From the commit to the first delta.
        completed: From the commit to ``completed``.
    """

    updated: float = 0.0
    speech_started: float = 0.0
    committed: float = 0.0
    first_delta: float = 0.0
    completed: float = 0.0


#: ``capture`` is what was measured on 2026-09-18.
LATENCIES = {"instant": Latency(), "capture": Latency(0.256, 0.261, 0.260, 1.190, 1.411)}


class Send(NamedTuple):
    """A TEXT frame to send."""

    text: str


class Close(NamedTuple):
    """The CLOSE frame to send; nothing follows it."""

    code: int
    reason: str


Output = Send | Close


@dataclass(frozen=True)
class Settings:
    """What is the same for every session of a server.

    Attributes:
        latency: How long answers take.
        any_model: Take transcription models beyond OpenAI's, as a gateway does.
        max_duration: Seconds until a session is ended; 60 minutes at the endpoint.
        expiry_event: Send an ``error`` with code ``session_expired`` before that CLOSE, as some clients
            expect.
    """

    latency: Latency = field(default_factory=Latency)
    any_model: bool = False
    max_duration: float = 3600.0
    expiry_event: bool = False


@dataclass
class _OpenItem:
    """The item under way: its id is minted when speech starts and reused when it is committed."""

    id: str
    start: int
    onset: int
    transcript: Transcript | None = None
    deltas: list[str] = field(default_factory=list)
    sent: int = 0


class Session:
    """One connection's protocol.

    Args:
        admission: What the handshake led to.
        record: Where events and audio are noted.
        director: Who knows what to say.
        ids: Where identifiers come from.
        settings: Of the server.
    """

    def __init__(
        self, admission: Admission, record: SessionRecord, director: Director, ids: Ids, settings: Settings
    ) -> None:
        self.record = record
        self._admission = admission
        self._director = director
        self._ids = ids
        self._settings = settings
        self._latency = settings.latency
        self._queue: list[tuple[float, int, dict[str, Any] | Close | Callable[[], None]]] = []
        self._pushed = 0
        self._now = 0.0
        self._opened = 0.0
        self._wire_free = 0.0
        self._ending = False
        self._event_id: str | None = None
        self._open_item: _OpenItem | None = None
        self.conversation = Conversation(admission.kind, ids, self._say)
        session = default_session(admission.kind, admission.model)
        if admission.seed is not None:
            seeded = merge(session, {k: v for k, v in admission.seed.items() if k not in {"id", "object"}})
            session = session if isinstance(seeded, ApiError) else seeded
        self.config = SessionConfig(session)
        self._base_ms = 0
        self._byte_origin = 0
        self._new_buffer()
        record.kind = admission.kind

    # -- what the shell calls

    @property
    def next_due(self) -> float | None:
        """When `poll` has something to do next, None when nothing is planned."""
        return self._queue[0][0] if self._queue else None

    def start(self, now: float, wall: float) -> None:
        """Open the session.

        Args:
            now: The clock, in seconds.
            wall: The time of day, in seconds since 1970, for ``expires_at``.
        """
        self._now = self._opened = self._wire_free = now
        refusal = self._admission.refusal
        if refusal is not None:
            self.record.refusal = refusal
            if self._admission.moment == "at-connect":
                self._end(refusal)
                return
        session = self.config.session
        session["id"] = self._ids.new("sess")
        session["expires_at"] = int(wall + self._settings.max_duration)
        self._say("session.created", session=self._shown_session())
        if self._admission.kind == "realtime":
            self._say(
                "conversation.created",
                conversation={"id": self._ids.new("conv"), "object": "realtime.conversation"},
            )
        self._push(now + self._settings.max_duration, self._expire)

    def receive(self, frame: str | bytes, now: float) -> None:
        """Take a frame of the client's.

        Args:
            frame: A TEXT frame as str, a BINARY one as bytes.
            now: The clock, in seconds.
        """
        self._now = now
        if self._ending:
            return
        self._event_id = None
        try:
            if isinstance(frame, str) and (encoded := plain_append(frame)) is not None:
                with suppress(Refused):  # then the frame says more than it seemed to, or is refused below
                    self._hear(decode_audio(encoded))
                    return
            event = self._parse(frame)
            _HANDLERS[event["type"]](self, event)
        except Refused as refused:
            self._complain(refused.error)

    def poll(self, now: float) -> list[Output]:
        """What to send now, in order; runs what was planned until ``now``."""
        outputs: list[Output] = []
        queue = self._queue
        while queue and queue[0][0] <= now:
            due, _, planned = heappop(queue)
            self._now = max(due, self._now)
            if isinstance(planned, dict):
                self.record.add("server", now - self._opened, planned)
                outputs.append(Send(json.dumps(planned, separators=(",", ":"))))
            elif isinstance(planned, Close):
                self.record.close = Closed(planned.code, planned.reason, "server")
                queue.clear()
                outputs.append(planned)
            else:
                planned()
        return outputs

    def closed(self, close: Closed) -> None:
        """The socket is gone; what was planned is dropped."""
        self._ending = True
        self._queue.clear()
        if self.record.close is None:
            self.record.close = close

    # -- sending

    def _push(self, due: float, planned: dict[str, Any] | Close | Callable[[], None]) -> None:
        self._pushed += 1
        heappush(self._queue, (due, self._pushed, planned))

    def _say(self, type_: str, delay: float = 0.0, /, **fields: Any) -> None:
        """Plan an event; those of one session keep their order whatever their delays."""
        self._wire_free = max(self._wire_free, self._now + delay)
        self._push(self._wire_free, self._event(type_, fields))

    def _event(self, type_: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {"type": type_, "event_id": self._ids.new("event"), **fields}

    def _complain(self, error: ApiError) -> None:
        self._say("error", error=error.body(self._event_id))

    def _end(self, error: ApiError) -> None:
        """An error that a CLOSE follows in the same moment."""
        self._complain(error)
        self._close(error.close or 1000, error.close_reason)

    def _close(self, code: int, reason: str) -> None:
        self._ending = True
        self._push(self._wire_free, Close(code, reason))

    def _expire(self) -> None:
        error = errors.MAX_DURATION
        self._event_id = None
        if self._settings.expiry_event:
            self._complain(error)
        self._close(1001, error.message)

    def _shown_session(self) -> dict[str, Any]:
        self.record.session = shown = self.config.shown()
        return shown

    # -- receiving

    def _parse(self, frame: str | bytes) -> dict[str, Any]:
        if isinstance(frame, bytes):
            self._note({"type": "(binary)", "bytes": len(frame)})
            raise Refused(errors.BINARY_FRAME)
        try:
            event = decode_event(frame)
        except Refused:
            self._note({"type": "(no event)", "text": frame[:200]})
            raise
        type_ = event.get("type")
        if type_ == APPEND and len(event) == 2 and "audio" in event:
            return event
        self._note(event if len(frame) <= _MAX_RECORDED else {"type": str(type_)[:200], "bytes": len(frame)})
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
        if event.get("type") != APPEND or "audio" not in event:
            self.record.add("client", self._now - self._opened, event)

    # -- session

    def _update(self, event: dict[str, Any]) -> None:
        refusal = self._admission.refusal
        if refusal is not None:  # on-update: livekit/agents-js#1756 to the letter
            self._end(refusal)
            return
        update = event["session"]
        if fault := validate(update, self._admission.kind, self._settings.any_model):
            raise Refused(fault)
        merged = merge(self.config.session, update)
        if isinstance(merged, ApiError):
            raise Refused(merged)
        heard_ms = self._ms(self._samples)
        before, self.config = self.config, SessionConfig(merged)
        if before.format != self.config.format:
            self._base_ms = heard_ms
            self._new_buffer()
        else:
            self._detector.tune(self.config.threshold, self._silence_ms())
        self._say("session.updated", self._latency.updated, session=self._shown_session())

    def _session_close(self, event: dict[str, Any]) -> None:
        """Listed by the endpoint among its events; that it closes 1000 is assumed."""
        self._close(1000, "")

    # -- the audio buffer

    def _new_buffer(self) -> None:
        self._half_sample = b""
        self._samples = 0
        self._buffer_start = 0
        self._idle_since = 0
        self._byte_origin = self.record.audio_received
        self._detector = SpeechDetector(self.config.format, self.config.threshold, self._silence_ms())
        self._open_item = None

    def _ms(self, sample: int) -> int:
        """The time of a sample on the session's axis, in milliseconds."""
        return int(self._base_ms + sample * 1000 / self.config.format.rate)

    def _length_ms(self, samples: int) -> float:
        return samples * 1000 / self.config.format.rate

    def _append(self, event: dict[str, Any]) -> None:
        self._hear(decode_audio(event["audio"]))

    def _hear(self, audio: bytes) -> None:
        self.record.add_audio(self._now - self._opened, audio)
        audio_format = self.config.format
        if audio_format.width == 2:
            audio = self._half_sample + audio if self._half_sample else audio
            if len(audio) & 1:
                self._half_sample, audio = audio[-1:], audio[:-1]
            else:
                self._half_sample = b""
        keys = audio_format.keys(audio)
        self._samples += len(keys)
        for turn in self._detector.feed(keys):
            self._on_turn(turn)
        if self._open_item is not None:
            self._stream(self._open_item)
        elif self.config.idle_ms is not None:
            self._watch_idle(self.config.idle_ms)

    def _on_turn(self, turn: Turn) -> None:
        turns = self.config.turns
        if turn.starts:
            if self._open_item is None:
                prefix = round(self.config.prefix_ms * self.config.format.rate / 1000)
                start = max(turn.sample - prefix, self._buffer_start)
                self._open_item = _OpenItem(self._ids.new("item"), start, turn.sample)
                self._detector.tune(self.config.threshold, self._silence_ms())
            if turns is not None:
                self._say(
                    "input_audio_buffer.speech_started",
                    self._latency.speech_started,
                    audio_start_ms=self._ms(self._open_item.start),
                    item_id=self._open_item.id,
                )
        elif turns is not None and self._open_item is not None:
            item = self._open_item
            self._say("input_audio_buffer.speech_stopped", audio_end_ms=self._ms(turn.sample), item_id=item.id)
            self._commit_item(item, turn.sample)

    def _silence_ms(self) -> float:
        """The silence that ends a turn: a setting, or for semantic_vad a matter of how the text ends."""
        config = self.config
        if config.turns != "semantic_vad":
            return config.silence_ms
        text = self._director.peek(self._wanted()).spoken(self._director.script.default).rstrip()
        return _SEMANTIC_SILENCE_MS if text.endswith((".", "!", "?", "。", "？", "！")) else config.longest_wait_ms

    def _watch_idle(self, idle_ms: int) -> None:
        """Commit an empty item after ``idle_timeout_ms`` of silence, measured on the audio [types]."""
        if self._length_ms(self._samples - self._idle_since) < idle_ms:
            return
        end = self._idle_since + round(idle_ms * self.config.format.rate / 1000)
        item = _OpenItem(self._ids.new("item"), self._idle_since, self._idle_since, Transcript(""))
        self._say(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=self._ms(self._idle_since),
            audio_end_ms=self._ms(end),
            item_id=item.id,
        )
        self._commit_item(item, end)

    def _commit(self, event: dict[str, Any]) -> None:
        length = self._length_ms(self._samples - self._buffer_start)
        if length < _SHORTEST_COMMIT_MS:
            raise Refused(errors.commit_too_small(length))
        item = self._open_item
        if item is None:
            # A commit of silence: transcript "" plus usage [capture, streaming models].
            item = _OpenItem(self._ids.new("item"), self._buffer_start, self._buffer_start, Transcript(""))
        elif self.config.turns is None:
            item.start = self._buffer_start
        self._detector.reset()
        self._commit_item(item, self._samples)

    def _clear(self, event: dict[str, Any]) -> None:
        self._buffer_start = self._idle_since = self._samples
        self._open_item = None
        self._detector.reset()
        self._say("input_audio_buffer.cleared")

    # -- items and transcripts

    def _wanted(self) -> Item:
        model = self.config.model
        return Item(self.record.number, model.name if model else "", self.config.language)

    def _commit_item(self, item: _OpenItem, end: int) -> None:
        self._open_item = None
        self._buffer_start = self._idle_since = end
        previous = self.conversation.last
        self._say(
            "input_audio_buffer.committed",
            self._latency.committed,
            previous_item_id=previous,
            item_id=item.id,
        )
        self.conversation.add(user_item(item.id), previous)
        if self.config.model is not None:
            self._transcribe(item, end)

    def _choose(self, item: _OpenItem) -> Transcript:
        if item.transcript is None:
            item.transcript = self._director.take(self._wanted())
            item.deltas = self._deltas(item.transcript)
        return item.transcript

    def _deltas(self, transcript: Transcript) -> list[str]:
        text = transcript.spoken(self._director.script.default)
        if transcript.deltas is not None:
            return list(transcript.deltas)
        if self.config.model is not None and self.config.model.single_delta:
            return [text] if text else []
        return split_deltas(text)

    def _stream(self, item: _OpenItem) -> None:
        """A streaming model's deltas before the commit, with the final item's id; the last is kept for after
        it.
        """
        model = self.config.model
        if model is None or not model.streams:
            return
        transcript = self._choose(item)
        if transcript.failure is not None:
            return
        delay = self.config.session["audio"]["input"]["transcription"].get("delay") or "medium"
        heard = self._length_ms(self._samples - item.onset) - _STREAM_DELAY_MS[delay]
        ready = min(int(heard // _STREAM_STEP_MS) + 1, len(item.deltas) - 1)
        while item.sent < ready:
            self._say(f"{_TRANSCRIPTION}.delta", **self._delta(item, item.deltas[item.sent], transcript))
            item.sent += 1

    def _transcribe(self, item: _OpenItem, end: int) -> None:
        """Plan what follows the commit; items do not wait for each other's transcripts."""
        transcript = self._choose(item)
        first = self._now + self._latency.first_delta + transcript.delay
        last = self._now + self._latency.completed + transcript.delay
        where = {"item_id": item.id, "content_index": 0}
        failure = transcript.failure
        if failure is not None:
            self._later(last, "failed", {**where, "error": failure_fields(failure, item.id)})
            return
        deltas = item.deltas[item.sent :]
        pace = transcript.pace if transcript.pace is not None else (last - first) / max(len(deltas), 1)
        for index, delta in enumerate(deltas):
            self._later(first + index * pace, "delta", self._delta(item, delta, transcript))
        last = max(last, first + (len(deltas) - 1) * pace)
        for number, segment in enumerate(transcript.segments):
            self._later(last, "segment", {**where, **segment_fields(segment, number)})
        self._later(last, "completed", self._completed(item, transcript, end))

    def _later(self, due: float, moment: str, fields: dict[str, Any]) -> None:
        """Plan an event of a transcript: after its item's events, not after those of other items."""
        self._push(max(due, self._wire_free), self._event(f"{_TRANSCRIPTION}.{moment}", fields))

    def _delta(self, item: _OpenItem, delta: str, transcript: Transcript) -> dict[str, Any]:
        fields: dict[str, Any] = {"item_id": item.id, "content_index": 0, "delta": delta}
        if self.config.logprobs:
            fields["logprobs"] = logprobs([delta], transcript.logprob)
        fields["obfuscation"] = self._ids.text(max(1, 16 - len(delta)))
        return fields

    def _completed(self, item: _OpenItem, transcript: Transcript, end: int) -> dict[str, Any]:
        model = self.config.model
        assert model is not None
        text = transcript.spoken(self._director.script.default)
        seconds = (end - item.start) / self.config.format.rate
        fields: dict[str, Any] = {
            "item_id": item.id,
            "content_index": 0,
            "transcript": text,
            "usage": usage(model.usage, seconds, len(split_deltas(text))),
        }
        if self.config.logprobs:
            fields["logprobs"] = logprobs(item.deltas, transcript.logprob)
        if model.detects_languages:
            fields["languages"] = [{"code": code} for code in transcript.languages or ("en",) if text]
        self.conversation.replace(user_item(item.id, text))
        return fields


_HANDLERS: dict[str, Callable[[Session, dict[str, Any]], None]] = {
    "session.update": Session._update,
    "session.close": Session._session_close,
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
