"""A watch on one realtime connection: from the server's frames to at most one report for each failure.

The patches pass a `Watch` what the server sends; it never touches the connection. It keeps an ``error`` event for half
a second before it reports it, because only the close that may follow shows whether the error ended the session.
"""

from __future__ import annotations

import atexit
import json
import threading
from collections.abc import Callable
from typing import Any, Literal

from rtstt_core.connect_error import cause_of, describe
from rtstt_core.diagnosis import Symptom
from rtstt_core.forking import call_in_forked_child
from rtstt_core.report import ConnectionInfo, report

__all__ = ["DELTA", "Watch"]

DELTA = b'{"type":"conversation.item.input_audio_transcription.delta"'
"""The beginning of a transcript delta, the most frequent message: comparing it costs a fifth of a search."""

_DELTA_TEXT = DELTA.decode()

# The endpoint sends the CLOSE frame of a refusal in the same millisecond as the error event (capture 2026-09-18).
_CLOSE_WAIT_SECONDS = 0.5
# A fragmented message longer than this is not examined: an error event is shorter.
_MAX_FRAGMENTED = 65536

_CONTINUATION, _TEXT = 0x0, 0x1

_pending: set[Watch] = set()
_lock = threading.RLock()


class Watch:
    """A watch on one connection.

    Args:
        info: The connection.
        on: Returns whether the shim is still installed; once it is not, nothing is reported.

    Attributes:
        connecting: Whether the connect attempt is watched too and reports what fails before the server's answer.
        redirected: Whether the server answered the handshake with a redirect.
    """

    __slots__ = ("__weakref__", "_closed", "_error", "_fragments", "_info", "_on", "_timer", "connecting", "redirected")

    def __init__(self, info: ConnectionInfo, on: Callable[[], bool]) -> None:
        self._info = info
        self._on = on
        self._closed = False
        self.connecting = False
        self.redirected = False
        self._error: Symptom | None = None
        self._timer: threading.Timer | None = None
        self._fragments: bytearray | None = None

    def frame(self, opcode: int, fin: bool, data: bytes | bytearray | memoryview) -> None:
        """Receive one data frame from the server, uncompressed.

        Args:
            opcode: The frame's opcode (RFC 6455 section 5.2); control frames are ignored.
            fin: Whether it is the last frame of its message.
            data: The frame's payload.
        """
        if opcode == _TEXT:
            if fin:
                self.message(data if isinstance(data, (bytes, bytearray)) else bytes(data))
            else:
                self._fragments = bytearray(data)
        elif opcode == _CONTINUATION and self._fragments is not None:
            self._fragments += data
            if fin or len(self._fragments) > _MAX_FRAGMENTED:
                whole, self._fragments = self._fragments, None
                if fin:
                    self.message(whole)

    def message(self, data: str | bytes | bytearray) -> None:
        """Receive one whole text message from the server.

        Args:
            data: The message.
        """
        # Both events of interest hold an "error" object; any other message except a delta costs this one search.
        if isinstance(data, str):
            if not data.startswith(_DELTA_TEXT) and '"error"' in data:
                self._event(data)
        elif not data.startswith(DELTA) and b'"error"' in data:
            self._event(data)

    def _event(self, data: str | bytes | bytearray) -> None:
        try:
            event = json.loads(data)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        name = event.get("type")
        if name == "error":
            self._flush()
            self._keep(_symptom("error", event.get("error")))
        elif name == "conversation.item.input_audio_transcription.failed":
            self._report(_symptom("failed", event.get("error")))

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
        error = self._pop_error()
        # The server's echo of the client's own close is no failure.
        echo = by_client and code not in (3000, 4000)
        if error is not None:
            if echo:
                self._report(error, by_client=True)
            else:
                self._report(error._replace(close_code=code, close_reason=reason))
        elif not echo and code != 1000:
            self._report(Symptom("close", close_code=code, close_reason=reason))

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
            self._report(Symptom("handshake", status=status, message=body or None))

    def failed_to_connect(self, error: BaseException) -> None:
        """Receive an exception that was raised before the server answered the handshake.

        Args:
            error: The exception that the client library raises to the application.
        """
        if self._closed:
            return
        self._closed = True
        self._report(Symptom("connect", cause=cause_of(error), message=describe(error)))

    def given_up(self) -> None:
        """Receive the end of a connect attempt that the application cancelled; nothing after it is reported."""
        self._closed = True

    def _report(self, symptom: Symptom, *, by_client: bool = False) -> None:
        if self._on():
            report(self._info, symptom, by_client=by_client)

    # The error event that waits for a close.

    def _keep(self, error: Symptom) -> None:
        timer = threading.Timer(_CLOSE_WAIT_SECONDS, self._flush)
        timer.daemon = True
        with _lock:
            self._error, self._timer = error, timer
            _pending.add(self)
        try:
            timer.start()
        except RuntimeError:  # no more threads, or the interpreter is exiting
            self._flush()

    def _pop_error(self) -> Symptom | None:
        with _lock:
            error, self._error = self._error, None
            timer, self._timer = self._timer, None
            _pending.discard(self)
        if timer is not None:
            timer.cancel()
        return error

    def _flush(self) -> None:
        error = self._pop_error()
        if error is not None:
            self._report(error)


def _flush_all() -> None:
    for watch in list(_pending):
        watch._flush()


def _symptom(kind: Literal["error", "failed"], error: Any) -> Symptom:
    """Return the symptom for the ``error`` object of an event; some gateways send a string instead."""
    if not isinstance(error, dict):
        return Symptom(kind, message=None if error is None else str(error))
    type_, code, message, param = (
        None if error.get(name) is None else str(error[name]) for name in ("type", "code", "message", "param")
    )
    return Symptom(kind, type=type_, code=code, message=message, param=param)


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    _pending.clear()


atexit.register(_flush_all)
call_in_forked_child(_after_fork)
