"""Watching one realtime transcription socket: from its frames to at most one report per failure.

The targets feed a `Watch` what the server sent; it never touches the socket. An ``error`` event is held for a moment,
because whether it was fatal is known only when the close that may follow has come.
"""

from __future__ import annotations

import asyncio
import atexit
import errno
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from rtstt_core.diagnosis import Failure
from rtstt_core.report import Source, report

__all__ = ["DELTA", "Watch", "cause_of"]

DELTA = b'{"type":"conversation.item.input_audio_transcription.delta"'
"""How most messages begin: to know them by it costs a fifth of searching them."""

_DELTA_TEXT = DELTA.decode()

# The endpoint sends the CLOSE frame of a refusal in the same millisecond as the error event (capture 2026-09-18).
_HOLD_SECONDS = 0.5
# A fragmented message longer than this is not looked at: no error event is.
_FRAGMENTS_LIMIT = 65536

_CONTINUATION, _TEXT = 0x0, 0x1
_ERRNO_IN_TEXT = re.compile(r"\[Errno (\d+)\]")

_held: set[Watch] = set()
_lock = threading.RLock()


class Watch:
    """What is seen on one socket.

    Args:
        source: Whose socket it is.
        on: Says whether the shim is still installed; once it is not, nothing is reported any more.

    Attributes:
        opening: Whether the call that opens the connection is watched too, and tells of a failure before the answer.
        redirected: Whether the answer was a redirect.
    """

    __slots__ = ("__weakref__", "_error", "_fragments", "_on", "_over", "_source", "_timer", "opening", "redirected")

    def __init__(self, source: Source, on: Callable[[], bool]) -> None:
        self._source = source
        self._on = on
        self._over = False
        self.opening = False
        self.redirected = False
        self._error: Failure | None = None
        self._timer: threading.Timer | None = None
        self._fragments: bytearray | None = None

    def frame(self, opcode: int, fin: bool, data: bytes | bytearray | memoryview) -> None:
        """Take one data frame as it came from the server, uncompressed.

        Args:
            opcode: The frame's opcode (RFC 6455 section 5.2); control frames are ignored.
            fin: Whether it ends its message.
            data: Its payload.
        """
        if opcode == _TEXT:
            if fin:
                self.message(data if isinstance(data, (bytes, bytearray)) else bytes(data))
            else:
                self._fragments = bytearray(data)
        elif opcode == _CONTINUATION and self._fragments is not None:
            self._fragments += data
            if fin or len(self._fragments) > _FRAGMENTS_LIMIT:
                whole, self._fragments = self._fragments, None
                if fin:
                    self.message(whole)

    def message(self, data: str | bytes | bytearray) -> None:
        """Take one whole text message from the server.

        Args:
            data: The message.
        """
        # Both events of interest hold an "error" object; every other message but a delta costs this one search.
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
            self._hold(_failure("error", event.get("error")))
        elif name == "conversation.item.input_audio_transcription.failed":
            self._report(_failure("failed", event.get("error")))

    def closed(self, code: int, reason: str, *, by_client: bool = False) -> None:
        """Take the end of the connection.

        Args:
            code: The close code from the server's CLOSE frame; 1005 when it had none, 1006 when no frame came.
            reason: The CLOSE frame's reason.
            by_client: Whether the client began the closing handshake.
        """
        if self._over:
            return
        self._over = True
        error = self._take()
        # An echo of the client's own close says nothing of the server.
        echo = by_client and code not in (3000, 4000)
        if error is not None:
            if echo:
                self._report(error, by_client=True)
            else:
                self._report(error._replace(close_code=code, close_reason=reason))
        elif not echo and code != 1000:
            self._report(Failure("close", close_code=code, close_reason=reason))

    def close_frame(self, payload: bytes | bytearray, *, by_client: bool = False) -> None:
        """Take the server's CLOSE frame.

        Args:
            payload: Its payload: a close code and a reason, or nothing (RFC 6455 section 5.5.1).
            by_client: Whether the client began the closing handshake.
        """
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        self.closed(code, payload[2:].decode(errors="replace"), by_client=by_client)

    def lost(self, *, by_client: bool = False) -> None:
        """Take the end of the connection without a CLOSE frame.

        Args:
            by_client: Whether the client itself hung up.
        """
        self.closed(1006, "", by_client=by_client)

    def refused(self, status: int, body: str = "") -> None:
        """Take an answer to the handshake other than 101.

        Args:
            status: The HTTP status.
            body: The response's body, or the beginning of it.
        """
        if self._over:
            return
        self._over = True
        # A redirect is followed by a handshake of its own.
        self.redirected = 300 <= status < 400
        if not self.redirected:
            self._report(Failure("handshake", status=status, message=body or None))

    def failed_to_connect(self, error: BaseException) -> None:
        """Take an exception that came before any answer to the handshake.

        Args:
            error: The client's own exception, which goes on to the application.
        """
        if self._over:
            return
        self._over = True
        self._report(Failure("connect", cause=cause_of(error), message=_told(error)))

    def given_up(self) -> None:
        """Take the end of an attempt that the application itself cancelled: what comes after says nothing."""
        self._over = True

    def _report(self, failure: Failure, *, by_client: bool = False) -> None:
        if self._on():
            report(self._source, failure, by_client=by_client)

    # The held error event.

    def _hold(self, failure: Failure) -> None:
        timer = threading.Timer(_HOLD_SECONDS, self._flush)
        timer.daemon = True
        with _lock:
            self._error, self._timer = failure, timer
            _held.add(self)
        try:
            timer.start()
        except RuntimeError:  # no more threads, or the interpreter is ending: say it now
            self._flush()

    def _take(self) -> Failure | None:
        with _lock:
            failure, self._error = self._error, None
            timer, self._timer = self._timer, None
            _held.discard(self)
        if timer is not None:
            timer.cancel()
        return failure

    def _flush(self) -> None:
        failure = self._take()
        if failure is not None:
            self._report(failure)


def _flush_all() -> None:
    for watch in list(_held):
        watch._flush()


def _failure(kind: str, error: Any) -> Failure:
    """A failure from the ``error`` object of an event; gateways are known to send a bare string."""
    if not isinstance(error, dict):
        return Failure(kind, message=None if error is None else str(error))
    type_, code, message, param = (
        None if error.get(name) is None else str(error[name]) for name in ("type", "code", "message", "param")
    )
    return Failure(kind, type=type_, code=code, message=message, param=param)


def cause_of(error: BaseException) -> str:
    """Why a connection could not be opened.

    Args:
        error: The exception the client raises.

    Returns:
        ``"dns"``, ``"tls"``, ``"timeout"``, ``"refused"`` or ``"other"``.
    """
    return _root_of(error)[0]


def _root_of(error: BaseException) -> tuple[str, BaseException]:
    """Why a connection could not be opened, and the exception that tells."""
    kinds: tuple[tuple[str, type[BaseException] | tuple[type[BaseException], ...]], ...] = (
        ("dns", socket.gaierror),
        ("tls", ssl.SSLError),
        ("timeout", (TimeoutError, asyncio.TimeoutError)),
        ("refused", ConnectionRefusedError),
    )
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            break
        for cause, types in kinds:
            if isinstance(seen, types):
                return cause, seen
        # asyncio makes one exception of those of a host's several addresses, and keeps of them the texts alone.
        if isinstance(seen, OSError) and set(_ERRNO_IN_TEXT.findall(str(seen))) == {str(errno.ECONNREFUSED)}:
            return "refused", seen
        seen = _inner(seen)
    return "other", error


def _inner(error: BaseException) -> BaseException | None:
    # aiohttp keeps the socket's own exception in `os_error`, a group (trio) one for each address in `exceptions`.
    grouped = getattr(error, "exceptions", None)
    for inner in (getattr(error, "os_error", None), grouped[0] if isinstance(grouped, tuple) and grouped else None):
        if isinstance(inner, BaseException):
            return inner
    return error.__cause__ or error.__context__


def _told(error: BaseException) -> str:
    """An exception's words, and those of the one behind it that says more."""
    root = _root_of(error)[1]
    words = f"{type(error).__name__}: {error}".removesuffix(": ")
    return words if str(root) in str(error) else f"{words} from {type(root).__name__}: {root}"


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    _held.clear()


atexit.register(_flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
