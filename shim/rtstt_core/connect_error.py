"""Why a connection could not be opened, read from the exception that a client library raises."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl

from rtstt_core.diagnosis import Cause

__all__ = ["cause_of", "describe"]

# The same in client libraries that raise an exception of their own without a cause.
_HANG_UP_NAMES = {"ServerDisconnectedError", "WebSocketConnectionClosedException"}
# How many exceptions of a chain are examined: a chain may be circular.
_DEPTH = 8
_ERRNO_IN_TEXT = re.compile(r"\[Errno (\d+)\]")
_CAUSES: tuple[tuple[Cause, tuple[type[BaseException], ...]], ...] = (
    ("dns", (socket.gaierror,)),
    # The server, or a proxy in front of it, closed the connection during the TLS or the WebSocket handshake.
    ("hang-up", (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError, EOFError)),
    ("tls", (ssl.SSLError,)),
    ("timeout", (TimeoutError, asyncio.TimeoutError)),
    ("refused", (ConnectionRefusedError,)),
)


def cause_of(error: BaseException) -> Cause:
    """Return why a connection could not be opened.

    Args:
        error: The exception that the client library raises.
    """
    return _find(error)[0]


def describe(error: BaseException) -> str:
    """Return the type and text of an exception, followed by those of its cause where the text lacks them.

    Args:
        error: The exception that the client library raises.
    """
    cause = _find(error)[1]
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    return text if str(cause) in str(error) else f"{text} from {type(cause).__name__}: {cause}"


def _find(error: BaseException) -> tuple[Cause, BaseException]:
    """Return the cause, and the exception of the chain that shows it."""
    current: BaseException | None = error
    for _ in range(_DEPTH):
        if current is None:
            break
        for cause, types in _CAUSES:
            if isinstance(current, types):
                return cause, current
        if type(current).__name__ in _HANG_UP_NAMES:
            return "hang-up", current
        # For a host with several addresses asyncio raises one exception that keeps only the texts of the others.
        if isinstance(current, OSError) and set(_ERRNO_IN_TEXT.findall(str(current))) == {str(errno.ECONNREFUSED)}:
            return "refused", current
        current = _inner(current)
    return "other", error


def _inner(error: BaseException) -> BaseException | None:
    # aiohttp keeps the socket's exception in `os_error`; an exception group (trio) has one for each address.
    group = getattr(error, "exceptions", None)
    for inner in (getattr(error, "os_error", None), group[0] if isinstance(group, tuple) and group else None):
        if isinstance(inner, BaseException):
            return inner
    return error.__cause__ or error.__context__
