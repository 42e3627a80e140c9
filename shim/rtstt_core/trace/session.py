"""One connection in a trace: from handshake and frames to lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from rtstt_core.masking import mask_headers, mask_keys, mask_query
from rtstt_core.redact import redact
from rtstt_core.trace.event import AudioRates, traced_binary, traced_text
from rtstt_core.trace.file import TraceFile

__all__ = ["Sender", "SessionTrace"]

Sender = Literal["client", "server"]
Data = str | bytes | bytearray | memoryview

_CONTINUATION, _TEXT, _BINARY, _PING, _PONG = 0x0, 0x1, 0x2, 0x9, 0xA
_CONTROL = {_PING: "ping", _PONG: "pong"}


class SessionTrace:
    """The lines of one connection. No method raises.

    Args:
        file: The file.
        url: The URL connected to; it is written with its secrets masked.
        details: What else the first line has: the library, the kind of session, the correction of the URL.
        answers_pings: Whether the library has answered a PING when it shows it, in a way that it does not show.
    """

    def __init__(self, file: TraceFile, url: str, details: dict[str, Any], *, answers_pings: bool = False) -> None:
        self._file = file
        self._answers_pings = answers_pings
        self._number = file.new_session()
        self._started = time.monotonic()
        # Clients send and receive in different threads. Reentrant: a signal handler may close a connection.
        self._writing = threading.RLock()
        self._rates = AudioRates()
        self._fragments: dict[Sender, tuple[int, bytearray]] = {}
        self._answered = self._ended = False
        parts = urlsplit(url)
        self._write(
            {
                "time": round(time.time(), 3),
                **details,
                "handshake": {
                    "host": mask_keys(parts.netloc.rpartition("@")[2]),
                    "path": mask_keys(unquote(parts.path)),
                    "query": mask_query(parse_qs(parts.query, keep_blank_values=True)),
                },
            }
        )

    def request(self, headers: Iterable[tuple[str, str]]) -> None:
        """Write the headers of the handshake's request, secrets masked.

        Args:
            headers: Names and values in order.
        """
        try:
            self._write({"handshake": {"headers": mask_headers((str(name), str(value)) for name, value in headers)}})
        except Exception as error:
            self._file.stop(error)

    def frame(self, sender: Sender, opcode: int, fin: bool, data: Data) -> None:
        """Write a message or a control frame; fragments are written as one message when the last one is there.

        Args:
            sender: Who sent it.
            opcode: The frame's opcode (RFC 6455 section 5.2).
            fin: Whether it is the last frame of its message.
            data: The frame's payload, uncompressed and unmasked.
        """
        try:
            self._frame(sender, opcode, fin, data)
        except Exception as error:
            self._file.stop(error)

    def _frame(self, sender: Sender, opcode: int, fin: bool, data: Data) -> None:
        if not self._file.writable:
            return
        if opcode in _CONTROL:
            self._write({"sender": sender, "frame": _CONTROL[opcode]})
            if opcode == _PING and sender == "server" and self._answers_pings:
                self._write({"sender": "client", "frame": _CONTROL[_PONG]})
            return
        if opcode == _CONTINUATION:
            opcode, whole = self._fragments.pop(sender, (opcode, bytearray()))
            whole += data.encode() if isinstance(data, str) else data
            data = whole
        if not fin:
            self._fragments[sender] = opcode, bytearray(data.encode() if isinstance(data, str) else data)
        elif opcode == _TEXT:
            text = data if isinstance(data, (str, bytes)) else bytes(data)
            self._event(sender, traced_text(text, self._rates, keep_audio=self._file.keep_audio))
        elif opcode == _BINARY:
            self._event(sender, traced_binary(len(data)))

    def _event(self, sender: Sender, event: dict[str, Any]) -> None:
        self.accepted()
        self._write({"sender": sender, "event": event})

    def accepted(self) -> None:
        """Write that the handshake was accepted, unless that is written already."""
        if not self._answered:
            self._answered = True
            self._write({"http_status": 101})

    def refused(self, status: int, body: str) -> None:
        """Write a response to the handshake other than 101.

        Args:
            status: The HTTP status.
            body: The response's body, or its beginning.
        """
        if not self._answered:
            self._answered = self._ended = True
            self._write({"http_status": status, "message": redact(body)})

    def failed(self, reason: str, cause: str) -> None:
        """Write why there was no connection.

        Args:
            reason: The client's exception, or what else ended the attempt.
            cause: The same as one word, such as ``dns``; see `rtstt_core.diagnosis`.
        """
        if not (self._answered or self._ended):
            self._ended = True
            self._write({"failed": redact(reason), "cause": cause})

    def closed(self, code: int, reason: str, by: Sender) -> None:
        """Write how the connection ended.

        Args:
            code: The close code; 1006 without a CLOSE frame.
            reason: The CLOSE frame's reason.
            by: Who closed it.
        """
        if self._ended:
            return
        self.accepted()
        self._ended = True
        self._write({"close": {"code": code, "reason": redact(reason), "by": by}})

    def _write(self, line: dict[str, Any]) -> None:
        if not self._file.writable:  # as in a forked child, in which no thread would release the lock
            return
        with self._writing:  # so that the lines are in the order of their times
            at = round(time.monotonic() - self._started, 6)
            self._file.write({"session": self._number, "at": at, **line})
