"""Plain HTTP on the mock's port: requests and responses, parsed and serialized by h11, without sockets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import h11

__all__ = ["Head", "HttpError", "HttpParser", "HttpRequest", "HttpResponse", "TlsError", "json_error"]

MAX_HEAD = 64 * 1024
# The limits of websockets, whose older versions drop the connection beyond them without a response.
MAX_LINE = 8 * 1024
MAX_LINES = 128
MAX_BODY = 4 * 1024 * 1024

_TLS_HANDSHAKE = b"\x16\x03"  # the record type and the major version of a ClientHello (RFC 8446, section 5.1)


class Head(NamedTuple):
    """The request line and the headers of a request; header names are in lower case."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]

    def header(self, name: str) -> str | None:
        """Return the first value of a header, by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def upgrades(self) -> bool:
        """Whether the request asks for a WebSocket."""
        upgrade = ",".join(value for name, value in self.headers if name == "upgrade")
        return self.method == "GET" and "websocket" in [word.strip().lower() for word in upgrade.split(",")]

    def serialize(self) -> bytes:
        """Return the bytes of the head."""
        lines = [
            f"{self.method} {self.target} HTTP/{self.version}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class HttpRequest(NamedTuple):
    """A whole request."""

    head: Head
    body: bytes = b""

    @property
    def method(self) -> str:
        """The method; a HEAD request is handled like GET."""
        return "GET" if self.head.method == "HEAD" else self.head.method

    @property
    def path(self) -> str:
        """The path of the target, without the query."""
        target = self.head.target
        if target.startswith("/"):
            return target.partition("#")[0].partition("?")[0]
        try:
            return urlsplit(target).path
        except ValueError:
            return target


class HttpResponse(NamedTuple):
    """A response; a body that is an async generator is streamed, any other that is not bytes is serialized to JSON."""

    status: int
    body: Any
    content_type: str = "application/json"
    headers: Sequence[tuple[str, str]] = ()


class HttpError(ValueError):
    """A request that is refused before it is handled."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TlsError(HttpError):
    """A TLS handshake on a port without TLS."""

    def __init__(self) -> None:
        super().__init__(400, "This port does not speak TLS; use http:// and ws:// instead of https:// and wss://.")


def json_error(status: int, message: str, **fields: Any) -> HttpResponse:
    """Return an error in the shape of OpenAI's API."""
    return HttpResponse(status, {"error": {"message": message, "type": "invalid_request_error", **fields}})


class HttpParser:
    """Parses the one request of a connection, and serializes its response.

    Attributes:
        head: The request line and the headers, None until they are complete.
    """

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._started = False
        self._body = bytearray()
        self.head: Head | None = None

    def receive(self, data: bytes) -> HttpRequest | None:
        """Parse bytes from the network; b"" is the end of the stream.

        Args:
            data: The bytes.

        Returns:
            The request once it is complete, else None. A request for a WebSocket is complete with its head; bytes
            that follow it are in `early_data`.

        Raises:
            HttpError: The request is malformed or too large.
            EOFError: The stream ended before the request did.
        """
        if not self._started and data:
            self._started = True
            if data.startswith(_TLS_HANDSHAKE[: len(data)]):
                raise TlsError
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if isinstance(event, h11.Request):
                    self.head = _head(event)
                    self._check_body(int(self.head.header("content-length") or 0))
                    if self.head.upgrades:
                        return HttpRequest(self.head)
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    self._check_body(len(self._body))
                elif isinstance(event, h11.EndOfMessage):
                    assert self.head is not None
                    return HttpRequest(self.head, bytes(self._body))
                elif isinstance(event, h11.ConnectionClosed):
                    raise EOFError
                else:
                    return None
        except h11.RemoteProtocolError as error:
            if not data:
                raise EOFError from None
            if error.error_status_hint == 431:
                raise _too_large() from None
            raise HttpError(error.error_status_hint, f"The request is not valid HTTP/1.1: {error}.") from None

    def interim_response(self) -> bytes:
        """Return the 100 Continue that the client waits for before it sends the body; b"" if it waits for none."""
        if self.head is None or not self._connection.they_are_waiting_for_100_continue:
            return b""
        return self._connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b""

    @property
    def early_data(self) -> bytes:
        """The bytes that came after the head of a request for a WebSocket."""
        return bytes(self._connection.trailing_data[0])

    def serialize(self, response: HttpResponse) -> bytes:
        """Return the bytes of the response, after which the connection ends."""
        body = (
            response.body if isinstance(response.body, bytes) else json.dumps(response.body, indent=1).encode() + b"\n"
        )
        head = self.serialize_head(response, [("Content-Length", str(len(body)))])
        return head + self.serialize_piece(body) + self.serialize_end()

    def serialize_head(self, response: HttpResponse, headers: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the bytes of the response's head; its body follows in pieces.

        Args:
            response: The response.
            headers: More headers; without a Content-Length the body is sent in chunks.
        """
        all_headers = [
            ("Content-Type", response.content_type),
            *headers,
            ("Connection", "close"),
            *response.headers,
        ]
        try:
            reason = HTTPStatus(response.status).phrase
        except ValueError:
            reason = "Error"
        head = h11.Response(status_code=response.status, headers=all_headers, reason=reason.encode())
        return self._connection.send(head) or b""

    def serialize_piece(self, data: bytes) -> bytes:
        """Return the bytes of a piece of the body."""
        return b"" if self._is_head else self._connection.send(h11.Data(data=data)) or b""

    def serialize_end(self) -> bytes:
        """Return the bytes that end the response."""
        return self._connection.send(h11.EndOfMessage()) or b""

    @property
    def _is_head(self) -> bool:
        return self.head is not None and self.head.method == "HEAD"

    @staticmethod
    def _check_body(length: int) -> None:
        if length > MAX_BODY:
            raise HttpError(413, f"The body is too large; the limit is {MAX_BODY} bytes.")


def _head(request: h11.Request) -> Head:
    if not request.http_version.startswith(b"1."):
        raise HttpError(505, "The mock speaks HTTP/1.1.")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    target = request.target.decode("latin-1")
    if (
        len(headers) + 1 > MAX_LINES
        or sum(len(name) + len(value) + 4 for name, value in headers) > MAX_HEAD
        or len(target) > MAX_LINE - 32
        or any(len(name) + len(value) + 4 > MAX_LINE for name, value in headers)
    ):
        raise _too_large()
    return Head(request.method.decode("latin-1"), target, request.http_version.decode("latin-1"), headers)


def _too_large() -> HttpError:
    limits = f"{MAX_HEAD} bytes in {MAX_LINES} lines of {MAX_LINE}"
    return HttpError(431, f"The request's header is too large; the limit is {limits}.")
