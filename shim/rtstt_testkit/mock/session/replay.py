"""The session of a connection that a recording answers, in place of the state machine.

It has the methods of `Session`: frames and time in, outputs out. What is sent goes through the same outbox, so the
faults of a script apply to a recording as they do to the mock's own answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rtstt_core.masking import mask_json, mask_keys
from rtstt_testkit.cassette.follower import Follower, Mismatch
from rtstt_testkit.cassette.ids import PLACEHOLDER, each_id
from rtstt_testkit.cassette.lines import APPEND, BINARY, NO_EVENT, parsed, unparsed
from rtstt_testkit.cassette.model import RecordedSession
from rtstt_testkit.cassette.player import Player, moved_times
from rtstt_testkit.cassette.schedule import Step
from rtstt_testkit.mock.audio.formats import FORMATS
from rtstt_testkit.mock.inspect.record import Closed, SessionRecord
from rtstt_testkit.mock.protocol.errors import ApiError, Refused
from rtstt_testkit.mock.protocol.events import decode_audio
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.script.script import ScriptCursor
from rtstt_testkit.mock.session.client_faults import ClientFaults
from rtstt_testkit.mock.session.outbox import Outbox
from rtstt_testkit.mock.session.output import Close, Output, RawFrame, Reset, Send

__all__ = ["ReplaySession"]

_IN_TEXT = re.compile(rf"\b{PLACEHOLDER.pattern}\b")
_FORMATS = {"pcm": "audio/pcm", "pcmu": "audio/pcmu", "pcma": "audio/pcma"}
_DIFFERS = "the client differs from the recording"


class ReplaySession:
    """The protocol of one connection, as it was recorded.

    Args:
        player: The recording.
        recorded: The session; None if none is left for the client.
        record: Where events and audio are recorded.
        cursor: Supplies the faults of the script.
        ids: The source of identifiers.
        now: The current time, in seconds.

    Attributes:
        record: What happened.
        accepts_appends: Whether appends may be passed to `append_audio`; a script with faults needs each as an event.
    """

    def __init__(
        self,
        player: Player,
        recorded: RecordedSession | None,
        record: SessionRecord,
        cursor: ScriptCursor,
        ids: Ids,
        now: float,
    ) -> None:
        self.record = record
        self._player = player
        self._recorded = recorded
        self._follower: Follower | None = None
        self._ids = ids
        self._opened = now
        self._shift = 0.0
        faults = cursor.faults(record.number, ids.chance(f"session {record.number}"))
        self.accepts_appends = not faults
        self._outbox = Outbox(record, ids, faults, now)
        self._faults = ClientFaults(faults, record, self._outbox, now, self._emit_error) if faults else None
        record.kind = "transcription"
        if recorded is not None:
            self._follower = player.follow(recorded, record.number)
            self._follow_format(self._follower)

    # -- what the server calls

    @property
    def next_due(self) -> float | None:
        """When `poll` has something to return next, or None when nothing is planned."""
        return self._outbox.next_due

    def start(self, wall: float) -> None:
        """Send what the recording begins with.

        Args:
            wall: The time of day, in seconds since 1970, by which recorded times of day are moved.
        """
        if self._follower is None or self._recorded is None:
            self._end(self._player.mismatches[-1])
            return
        self._shift = wall - self._recorded.opened if self._recorded.opened else 0.0
        mismatch = self._player.request_mismatch(self._recorded, self.record.handshake)
        if mismatch is not None:
            self._mismatch(mismatch)
        else:
            self._plan(self._follower.start())

    def receive_frame(self, frame: str | bytes, now: float) -> None:
        """Handle a frame from the client.

        Args:
            frame: A TEXT frame as str, a BINARY frame as bytes.
            now: The current time, in seconds.
        """
        if self._outbox.ended:
            return
        self._outbox.now = now
        event = _event(frame)
        if self._faults is not None:
            self._faults.handle(str(event["type"]), lambda: self._receive(event))
        else:
            self._receive(event)

    def append_audio(self, appends: list[bytes], now: float) -> None:
        """Handle the audio of consecutive appends.

        Args:
            appends: The audio of each append.
            now: The current time, in seconds.
        """
        if self._outbox.ended or self._follower is None:
            return
        self._outbox.now = now
        audio = b"".join(appends)
        self.record.add_audio(now - self._opened, audio, len(appends))
        self._append(self._follower, audio)

    def poll(self, now: float) -> list[Output]:
        """Return what to write now, in order, and record it as sent.

        Args:
            now: The current time, in seconds.
        """
        return [_as_recorded(output) for output in self._outbox.poll(now)]

    def unsent(self, outputs: Sequence[Output]) -> None:
        """Record that outputs of `poll` were not written after all.

        Args:
            outputs: Those that were not written.
        """
        self._outbox.unsent(outputs)

    def closed(self, close: Closed) -> None:
        """Record the end of the connection; what was planned is dropped.

        Args:
            close: How the connection ended, unless the session itself ended it before.
        """
        self._outbox.drop_all()
        if self.record.close is None:
            self.record.close = Closed(close.code, mask_keys(close.reason), close.by)
        if self._follower is not None and self.record.mismatch is None and self._player.replay.mode == "strict":
            left = self._follower.unfinished
            self.record.mismatch = None if left is None else f"the connection ended before the recording: {left}"

    # -- receiving

    def _receive(self, event: dict[str, Any]) -> None:
        if self._follower is None:
            return
        if event["type"] == APPEND:
            try:
                audio = decode_audio(event.get("audio"))
            except Refused:
                pass  # the endpoint refused it, or does so now: compared like any other event
            else:
                self.record.add_audio(self._outbox.now - self._opened, audio)
                self._append(self._follower, audio)
                return
        self.record.add("client", self._outbox.now - self._opened, mask_json(event))
        try:
            self._plan(self._follower.receive(event))
        except Mismatch as mismatch:
            self._mismatch(str(mismatch))
        self._follow_format(self._follower)

    def _append(self, follower: Follower, audio: bytes) -> None:
        try:
            self._plan(follower.append(audio))
        except Mismatch as mismatch:
            self._mismatch(str(mismatch))

    def _follow_format(self, follower: Follower) -> None:
        self.record.audio_format = FORMATS[_FORMATS[follower.encoding.name]]

    # -- sending

    def _plan(self, steps: list[Step]) -> None:
        instant = self._player.replay.timing == "instant"
        for step in steps:
            due = self._outbox.now + (0.0 if instant else step.lag)
            if step.frame is not None:
                self._outbox.plan(self._live(self._player.cassette.event(step.frame)), due)
            elif step.close is not None:
                code = step.close.code
                self._outbox.end(
                    Reset() if code == 1006 else Close(1000 if code == 1005 else code, step.close.reason), due
                )

    def _live(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return a recorded event with identifiers and times of this connection."""
        live: dict[str, Any] = moved_times(
            each_id(event, lambda field, value: self._live_id(value), self._live_text), self._shift
        )
        session = live.get("session")
        if isinstance(session, dict) and live["type"] in ("session.created", "session.updated"):
            self.record.session = mask_json(session)
            self.record.kind = "transcription" if session.get("type") == "transcription" else "realtime"
        return live

    def _live_id(self, placeholder: str) -> str:
        assert self._follower is not None
        live = self._follower.live(placeholder)
        if live is None:
            live = self._ids.new(placeholder.rpartition("_")[0] or "id")
            self._follower.bind(placeholder, live)
        return live

    def _live_text(self, text: str) -> str:
        follower = self._follower
        assert follower is not None
        return _IN_TEXT.sub(lambda match: follower.live(match[0]) or match[0], text) if "_" in text else text

    def _emit_error(self, error: ApiError) -> None:
        self._outbox.emit("error", error=error.body())

    def _mismatch(self, text: str) -> None:
        self._player.mismatches.append(f"session {self.record.number}: {text}")
        self._end(text)

    def _end(self, text: str) -> None:
        """Send the difference as an ``error`` event, and end the session."""
        self.record.mismatch = text
        error = {"type": "cassette_mismatch", "code": None, "message": text, "param": None, "event_id": None}
        self._outbox.break_off({"error": error}, Close(1008, _DIFFERS))


def _event(frame: str | bytes) -> dict[str, Any]:
    """Return the event in a frame as a recording has it."""
    return {"type": BINARY, "bytes": len(frame)} if isinstance(frame, bytes) else parsed(frame)


def _as_recorded(output: Output) -> Output:
    """Return an output as it was recorded, for a message that was not an event."""
    if isinstance(output, Send) and output.event is not None and output.event.type in (BINARY, NO_EVENT):
        message = unparsed(output.event.data)
        if isinstance(message, bytes):
            return RawFrame(message, True, output.event)
        return Send(message, output.event)
    return output
