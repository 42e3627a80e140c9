"""A watch on one realtime connection: from the server's frames to at most one report for each failure.

The patches pass a `Watch` what the server and the client send; it never touches the connection. It keeps an ``error``
event for half a second before it reports it, because only the close that may follow shows whether the error ended the
session.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from rtstt_core.connect_error import cause_of, describe
from rtstt_core.delay import Delay
from rtstt_core.diagnosis import Symptom
from rtstt_core.error_events import ErrorEvent, ErrorEvents, text_of
from rtstt_core.progress import Progress
from rtstt_core.report import ConnectionInfo, report
from rtstt_core.url_rule import SessionType

__all__ = ["Watch"]

# The beginning of a transcript delta, the most frequent message.
_DELTA = '{"type":"conversation.item.input_audio_transcription.delta"'
_DELTA_BYTES = _DELTA.encode()
# An `error` and a `failed` event both hold such an object.
_ERROR = '"error"'
_ERROR_BYTES = _ERROR.encode()

# Every event shows its type and its `error` object within this many bytes. A conversation streams audio in messages of
# tens of KiB; the rest of them is not examined.
_HEAD = 512
# The endpoint sends the CLOSE frame of a refusal in the same millisecond as the error event (capture 2026-09-18).
_CLOSE_WAIT = Delay(0.5)
# A fragmented message longer than this is not examined: an error event is shorter.
_MAX_FRAGMENTED = 65536
_CONTINUATION, _TEXT = 0x0, 0x1
# The close codes by which the endpoint refuses a session (PROTOCOL.md section 1).
_REFUSALS = (1013, 3000, 4000, 4004)
_TRANSCRIPTION_PARAMS = (
    "session.audio.input.transcription",
    "session.audio.input.turn_detection",
    "session.input_audio_transcription",
    "input_audio_transcription",
)
_TRANSCRIPTION_UPDATES = ("Passing a transcription session update", "transcription_session.update")


class Watch:
    """A watch on one connection.

    Args:
        info: The connection.
        on: Returns whether the shim is still installed; once it is not, nothing is reported.
        session: What the connection opens. Of a conversation only a refusal and what concerns transcription is
            reported.

    Attributes:
        redirected: Whether the server answered the handshake with a redirect.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_errors",
        "_fragments",
        "_info",
        "_on",
        "_progress",
        "_session",
        "redirected",
    )

    def __init__(self, info: ConnectionInfo, on: Callable[[], bool], session: SessionType = "transcription") -> None:
        self._info = info
        self._on = on
        self._session = session
        self._closed = False
        self.redirected = False
        self._errors = ErrorEvents()
        self._fragments: bytearray | None = None
        self._progress = Progress() if session == "transcription" else None

    @property
    def wants_sent(self) -> bool:
        """Whether `sent` needs the client's messages: not on a conversation, nor once a transcript came."""
        return self._progress is not None and self._progress.wants_sent

    def sent(self, data: str | bytes) -> None:
        """Receive one text message that the client sends.

        Args:
            data: The message.
        """
        if self._progress is not None:
            self._progress.sent(data)

    def frame(self, opcode: int, fin: bool, data: bytes | bytearray | memoryview) -> None:
        """Receive one data frame from the server, uncompressed.

        Args:
            opcode: The frame's opcode (RFC 6455 section 5.2); control frames are ignored.
            fin: Whether it is the last frame of its message.
            data: The frame's payload.
        """
        if opcode == _TEXT:
            if fin:
                self.message(data)
            else:
                self._fragments = bytearray(data)
        elif opcode == _CONTINUATION and self._fragments is not None:
            self._fragments += data
            if fin or len(self._fragments) > _MAX_FRAGMENTED:
                whole, self._fragments = self._fragments, None
                if fin:
                    self.message(whole)

    def message(self, data: str | bytes | bytearray | memoryview) -> None:
        """Receive one whole text message from the server.

        Args:
            data: The message.
        """
        if isinstance(data, memoryview):
            data = bytes(data)
        errors = self._errors
        if errors.lengths and errors.count(data):
            return
        if isinstance(data, str):
            is_delta = data.startswith(_DELTA)
            has_error = not is_delta and data.find(_ERROR, 0, _HEAD) >= 0
        else:
            is_delta = data.startswith(_DELTA_BYTES)
            has_error = not is_delta and data.find(_ERROR_BYTES, 0, _HEAD) >= 0
        if is_delta or (has_error and self._receive_error(data)):
            self._progress = None
        elif self._progress is not None:
            self._receive_progress(self._progress, data)

    def _receive_progress(self, progress: Progress, data: str | bytes | bytearray) -> None:
        head = data[:_HEAD]
        if progress.received(head.encode(errors="replace") if isinstance(head, str) else bytes(head), data):
            self._progress = None
            if progress.is_conversation:
                self._session = "conversation"

    def _receive_error(self, data: str | bytes | bytearray) -> bool:
        """Keep an event that may report an error; return whether any error is kept."""
        if self._errors.add(data if isinstance(data, str) else bytes(data)) and not _CLOSE_WAIT.add(self._flush):
            self._report_errors(self._errors.pop())
            return True
        return bool(self._errors)

    def closed(self, code: int, reason: str, *, by_client: bool = False) -> None:
        """Receive the end of the connection.

        Args:
            code: The close code of the server's CLOSE frame; 1005 if the frame has none, 1006 without a frame.
            reason: The CLOSE frame's reason.
            by_client: Whether the client started the closing handshake.
        """
        if self._closed:
            return
        self._closed = True
        # The server's echo of the client's own close is not a failure.
        echo = by_client and code not in _REFUSALS
        errors = self._errors.pop()
        if errors:
            *others, newest = errors
            self._report_errors(others)
            if newest.symptom.kind == "failed":
                self._report(newest.symptom, count=newest.count)
            elif echo:
                self._report(newest.symptom, by_client=True, count=newest.count)
            else:
                symptom = newest.symptom._replace(close_code=code, close_reason=reason)
                self._report(symptom, count=newest.count)
                return
        if not echo and code != 1000:
            self._report(Symptom("close", close_code=code, close_reason=reason))
        elif self._progress is not None:
            silence = self._progress.silence()
            if silence is not None:
                self._report(Symptom("silent", cause=silence))

    def close_frame(self, payload: bytes | bytearray, *, by_client: bool = False) -> None:
        """Receive the server's CLOSE frame.

        Args:
            payload: The frame's payload: a close code and a reason, or nothing (RFC 6455 section 5.5.1).
            by_client: Whether the client started the closing handshake.
        """
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        self.closed(code, payload[2:].decode(errors="replace"), by_client=by_client)

    def lost(self, *, by_client: bool = False) -> None:
        """Receive the end of the connection without a CLOSE frame.

        Args:
            by_client: Whether the client dropped the connection.
        """
        self.closed(1006, "", by_client=by_client)

    def refused(self, status: int, body: str = "") -> None:
        """Receive a response to the handshake other than 101.

        Args:
            status: The HTTP status.
            body: The response's body, or its beginning.
        """
        if self._closed:
            return
        self._closed = True
        # A redirect is followed by another handshake.
        self.redirected = 300 <= status < 400
        if not self.redirected:
            self._report(Symptom("handshake", status=status, message=text_of(body or None)))

    def failed_to_connect(self, error: BaseException) -> None:
        """Receive an exception that was raised before the server answered the handshake.

        Args:
            error: The exception that the client library raises to the application.
        """
        if self._closed:
            return
        self._closed = True
        self._report(Symptom("connect", cause=cause_of(error), message=text_of(describe(error))))

    def given_up(self) -> None:
        """Receive the end of a connect attempt that the application cancelled; nothing after it is reported."""
        self._closed = True

    def _report(self, symptom: Symptom, *, by_client: bool = False, count: int = 1) -> None:
        if self._on() and (self._session == "transcription" or _is_reported_of_conversation(symptom)):
            report(self._info, symptom, session=self._session, by_client=by_client, count=count)

    def _flush(self) -> None:
        self._report_errors(self._errors.pop(until=monotonic() - _CLOSE_WAIT.seconds / 2))
        if self._errors and not _CLOSE_WAIT.add(self._flush):
            self._report_errors(self._errors.pop())

    def _report_errors(self, errors: list[ErrorEvent]) -> None:
        for error in errors:
            self._report(error.symptom, count=error.count)


def _is_reported_of_conversation(symptom: Symptom) -> bool:
    """Return whether a symptom is the refusal of a session or concerns transcription."""
    if symptom.kind in ("handshake", "connect", "failed") or symptom.close_code in _REFUSALS:
        return True
    return symptom.kind == "error" and (
        (symptom.param or "").startswith(_TRANSCRIPTION_PARAMS)
        or any(text in (symptom.message or "") for text in _TRANSCRIPTION_UPDATES)
    )
