"""Plain HTTP on the mock's port: as much of HTTP/1.1 as a small JSON API needs, without sockets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["HttpError", "HttpRequest", "HttpResponse", "is_websocket", "parse", "render"]

MAX_HEAD = 64 * 1024
# What websockets takes; its older versions drop the connection beyond that, without an answer.
MAX_LINE = 8 * 1024
MAX_LINES = 128
MAX_BODY = 4 * 1024 * 1024


class HttpRequest(NamedTuple):
    """A whole request; header names are in lower case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        """The path, without the query."""
        return urlsplit(self.target).path


class HttpResponse(NamedTuple):
    """An answer; a body that is not bytes becomes JSON."""

    status: int
    body: Any
    content_type: str = "application/json"
    headers: Sequence[tuple[str, str]] = ()


class HttpError(ValueError):
    """A request that cannot be answered as it should."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def is_websocket(data: bytes) -> bool | None:
    """Whether the beginning of a connection asks for an upgrade; None when that cannot be told yet.

    One whose header is too large does not: `parse` refuses it.
    """
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end and len(data) <= MAX_HEAD:
        return None
    if _is_too_large(head) or not head.startswith(b"GET "):
        return False
    return any(line.lower().startswith(b"upgrade:") and b"websocket" in line.lower() for line in head.split(b"\r\n"))


def _is_too_large(head: bytes) -> bool:
    lines = head.split(b"\r\n")
    return len(head) > MAX_HEAD or len(lines) > MAX_LINES or any(len(line) > MAX_LINE for line in lines)


def parse(data: bytes) -> HttpRequest | None:
    """A request from the bytes that came so far, None when there must be more.

    Raises:
        HttpError: It is not HTTP, or too large.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    if _is_too_large(head):
        most = f"{MAX_HEAD} bytes in {MAX_LINES} lines of {MAX_LINE}"
        raise HttpError(431, f"The request's header is too large; at most {most} are taken.")
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise HttpError(400, "That is not an HTTP/1.1 request.")
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    if any(name == "transfer-encoding" for name, _ in headers):
        raise HttpError(411, "Send the body with a Content-Length.")
    length = next((value for name, value in headers if name == "content-length"), "0")
    if not length.isdecimal() or len(length) > 12:
        raise HttpError(400, "Content-Length is not a number.")
    if int(length) > MAX_BODY:
        raise HttpError(413, f"The body is too large; at most {MAX_BODY} bytes are taken.")
    if len(body) < int(length):
        return None
    return HttpRequest(words[0], words[1], headers, body[: int(length)])


def render(response: HttpResponse) -> bytes:
    """The bytes of an answer, after which the connection ends."""
    body = response.body if isinstance(response.body, bytes) else json.dumps(response.body, indent=1).encode() + b"\n"
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Error"
    extra = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    head = (
        f"HTTP/1.1 {response.status} {phrase}\r\nContent-Type: {response.content_type}\r\n{extra}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
