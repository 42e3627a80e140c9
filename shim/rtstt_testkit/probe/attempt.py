"""Run one row on one endpoint and return what happened as a list of events.

What is not an event of the protocol has a type in parentheses: ``(http)`` for an HTTP response in place of the upgrade,
``(secret)`` for the response to a request for an ephemeral secret, ``(upgrade)``, ``(close)``, ``(silence)`` for an
event that did not arrive in time, and ``(frame)`` for a message that is not a JSON object.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import inspect
import json
import os
import sys
import time
import urllib.error
import urllib.request
from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import Event
from websockets.typing import Subprotocol

from rtstt_testkit import speech
from rtstt_testkit.mock.audio.formats import encode_g711
from rtstt_testkit.mock.protocol.admission import Account, Profile
from rtstt_testkit.probe.normal import Normalizer, collapse
from rtstt_testkit.probe.rows import BAD_KEY, AppendAudio, Row, SendFrame, Step, WaitFor

__all__ = ["Attempt", "Endpoint", "Unreachable", "attempt", "is_local"]

_CREATED = WaitFor("session.created")
#: The endpoint answers events in order, so this answer ends the row and shows that the session is still open.
_LAST = (SendFrame({"type": "input_audio_buffer.clear"}), WaitFor("input_audio_buffer.cleared"))
_CHUNK_MS = 100
_GRACE = 10.0  # seconds for sending, in addition to the waits
_MOST_EVENTS = 1000
_DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
_LARGEST_EVENT = 4 * 1024 * 1024
_LARGEST_ANSWER = 1024 * 1024


class Unreachable(Exception):
    """The endpoint cannot be reached; the message says why."""


class Endpoint(NamedTuple):
    """An endpoint.

    Attributes:
        url: The WebSocket URL, without a query.
        key: The API key.
        timeout: Seconds to wait for each event.
        headers: Additional request headers of every row; their values are masked in all output.
        profile: The kind of endpoint.
        account: The state of the key's account; None for a good one.
    """

    url: str
    key: str
    timeout: float = 10.0
    headers: tuple[tuple[str, str], ...] = ()
    profile: Profile = "openai"
    account: Account | None = None


@dataclass
class Attempt:
    """The events of one row on one endpoint.

    Attributes:
        events: The events, normalised for comparison.
        raw: The events as received, each with the seconds since the start; keys are masked.
        seconds: The duration.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class _RowEnded(Exception):
    """The row has ended."""


class _Connect(connect):
    """Does not follow redirects, so that a key is sent only to the endpoint that was named."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the exception, so that a redirect is reported as a response."""
        return exc


class _Connection(ClientConnection):
    """Keeps every message until it is read; websockets 13 drops those received together with the close frame."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._parts = bytearray()
        self._text = True

    def process_event(self, event: Event) -> None:
        """Assemble data frames into messages; pass control frames on to the library."""
        if not isinstance(event, Frame) or event.opcode not in _DATA:
            super().process_event(event)
            return
        if event.opcode is not Opcode.CONT:
            self._text = event.opcode is Opcode.TEXT
        self._parts += event.data
        if event.fin:
            self.messages.put_nowait(_decode(bytes(self._parts), self._text))
            self._parts.clear()
            if self.messages.qsize() >= _MOST_EVENTS:
                self.transport.pause_reading()  # no further messages are read

    def connection_lost(self, exc: Exception | None) -> None:
        """Mark the end of the messages."""
        super().connection_lost(exc)
        self.messages.put_nowait(None)


def _decode(payload: bytes, text: bool) -> str | bytes:
    """Return a message as a client receives it; text that is not UTF-8 stays bytes."""
    with suppress(UnicodeDecodeError):
        return payload.decode() if text else payload
    return payload


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Does not follow redirects over HTTP."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Return None, which makes urllib raise HTTPError."""


def is_local(url: str) -> bool:
    """Return whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or (host.startswith("127.") and host.replace(".", "").isdigit())


async def attempt(row: Row, endpoint: Endpoint) -> Attempt:
    """Run a row.

    Args:
        row: The row.
        endpoint: The endpoint.

    Returns:
        What happened. An event that does not arrive in time is a part of it, not an error.

    Raises:
        Unreachable: The endpoint did not answer at all.
    """
    exchange = _Exchange(row, endpoint)
    waits = 3 + sum(isinstance(step, WaitFor) for step in row.steps)
    try:
        await asyncio.wait_for(exchange.run(), waits * endpoint.timeout + _GRACE)
    except _RowEnded:
        pass
    except (asyncio.TimeoutError, TimeoutError):
        exchange.note({"type": "(silence)", "what": "the endpoint stopped reading"})
    return exchange.result()


class _Exchange:
    def __init__(self, row: Row, endpoint: Endpoint) -> None:
        self._row = row
        self._endpoint = endpoint
        self._key = BAD_KEY if row.credentials in ("bad", "bad-api-key") else endpoint.key
        secrets = (endpoint.key, *(value for _, value in endpoint.headers))
        self._normalizer = Normalizer(secrets, row.id_format)
        self._attempt = Attempt()
        self._began = time.monotonic()
        self._socket: _Connection

    def result(self) -> Attempt:
        self._attempt.seconds = time.monotonic() - self._began
        self._attempt.events = collapse(self._attempt.events)
        return self._attempt

    def note(self, event: dict[str, Any]) -> None:
        at = round(time.monotonic() - self._began, 3)
        self._attempt.events.append(self._normalizer.event(event, time.time()))
        self._attempt.raw.append({"at": at, "event": self._normalizer.mask(event)})
        if len(self._attempt.events) >= _MOST_EVENTS:
            self._attempt.events.append({"type": "(silence)", "what": f"{_MOST_EVENTS} events; the rest was not read"})
            raise _RowEnded

    async def run(self) -> None:
        if self._row.credentials == "ephemeral":
            await self._get_secret()
        try:
            self._socket = await self._connect()
            try:
                self.note({"type": "(upgrade)", "status": 101, "subprotocol": self._socket.subprotocol})
                for step in (_CREATED, *self._row.steps, *_LAST):
                    await self._do(step)
                await self._socket.close()
                await self._read_to_end()
            finally:
                self._socket.transport.abort()  # the closing handshake has ended or timed out
                await self._socket.wait_closed()
        except InvalidStatus as refused:
            body = refused.response.body or b""
            self.note({"type": "(http)", "status": refused.response.status_code, "body": _json(bytes(body))})
        except InvalidHandshake as refused:
            raise Unreachable(f"the server does not speak WebSocket ({refused})") from None

    async def _connect(self) -> _Connection:
        url = self._endpoint.url
        if self._row.path is not None:
            parts = urlsplit(url)
            url = f"{parts.scheme}://{parts.netloc}{self._row.path}"
        headers = [*self._endpoint.headers, *self._row.headers]
        subprotocols = None
        if self._row.credentials == "subprotocol":
            subprotocols = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{self._key}")]
        elif self._row.credentials in ("api-key", "bad-api-key"):
            headers.append(("api-key", self._key))
        elif self._row.credentials != "none":
            headers.append(("Authorization", f"Bearer {self._key}"))
        try:
            connection = await _Connect(
                f"{url}?{self._row.query}" if self._row.query else url,
                additional_headers=headers,
                subprotocols=subprotocols,
                open_timeout=self._endpoint.timeout,
                close_timeout=min(self._endpoint.timeout, 5),
                ping_interval=None,
                max_size=_LARGEST_EVENT,
                create_connection=_Connection,
                **_without_proxy(url),
            )
        except (asyncio.TimeoutError, TimeoutError):
            raise Unreachable(f"no answer within {self._endpoint.timeout:g} s") from None
        except OSError as error:
            raise Unreachable(_reason(error)) from None
        except (EOFError, ValueError) as error:  # websockets 13; later versions raise InvalidHandshake
            raise Unreachable(f"the server does not speak WebSocket ({error})") from None
        return cast(_Connection, connection)

    async def _get_secret(self) -> None:
        """Request an ephemeral secret and use it as the key; end the row if there is none."""
        answer = await asyncio.to_thread(_post, self._endpoint, self._row.secret or {})
        body = answer["body"]
        value = body.get("value") if isinstance(body, dict) else None
        self.note(answer)
        if not isinstance(value, str):
            raise _RowEnded
        self._key = value

    # -- steps

    async def _do(self, step: Step) -> None:
        if isinstance(step, WaitFor):
            await self._read(step.type)
        elif isinstance(step, SendFrame):
            frame = step.frame
            await self._send(json.dumps(frame) if isinstance(frame, dict) else frame)
        else:
            for chunk in _chunks(step):
                append = {"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()}
                await self._send(json.dumps(append))

    async def _send(self, frame: str | bytes) -> None:
        try:
            await self._socket.send(frame)
        except ConnectionClosed:
            await self._read_to_end()

    async def _read_to_end(self) -> None:
        """Read until the connection ends."""
        while True:
            await self._read(None)

    async def _read(self, until: str | None) -> None:
        """Read until an event of a type arrives, or until the connection ends."""
        deadline = time.monotonic() + self._endpoint.timeout
        while True:
            left = max(deadline - time.monotonic(), 0.001)
            try:
                frame = await asyncio.wait_for(self._socket.messages.get(), left)
            except (asyncio.TimeoutError, TimeoutError):
                wanted = until or "the end of the connection"
                self.note({"type": "(silence)", "what": f"no {wanted} within {self._endpoint.timeout:g} s"})
                raise _RowEnded from None
            if frame is None:
                self.note(_close(self._socket.protocol.close_exc))
                raise _RowEnded
            event = _json(frame)
            if isinstance(frame, bytes) or not isinstance(event, dict):
                event = {"type": "(frame)", "binary": isinstance(frame, bytes), "size": len(frame)}
            self.note(event)
            if event.get("type") == until:
                return


def _close(closed: ConnectionClosed) -> dict[str, Any]:
    if closed.rcvd is None:
        return {"type": "(close)", "code": 1006, "reason": "", "by": "server"}
    by = "server" if closed.rcvd_then_sent or closed.sent is None else "client"
    return {"type": "(close)", "code": int(closed.rcvd.code), "reason": closed.rcvd.reason, "by": by}


def _json(text: str | bytes) -> Any:
    """Return the parsed JSON, or the text if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text if isinstance(text, str) else text[:200].decode(errors="replace")


def _post(endpoint: Endpoint, body: dict[str, Any]) -> dict[str, Any]:
    url = f"{endpoint.url.replace('ws', 'http', 1)}/client_secrets"
    headers = {
        "Authorization": f"Bearer {endpoint.key}",
        "Content-Type": "application/json",
        **dict(endpoint.headers),
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    direct = [urllib.request.ProxyHandler({})] if is_local(url) else []
    try:
        try:
            answer = urllib.request.build_opener(_NoRedirect, *direct).open(request, timeout=endpoint.timeout)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            return {"type": "(secret)", "status": answer.status, "body": _json(answer.read(_LARGEST_ANSWER))}
    except urllib.error.URLError as error:
        raise Unreachable(_reason(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(_reason(error)) from None


def _reason(error: BaseException | str) -> str:
    """Return the operating system's message; asyncio replaces it with its own."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _without_proxy(url: str) -> dict[str, Any]:
    """Return the options that disable a proxy for this machine; websockets before 15 uses none."""
    supported = "proxy" in inspect.signature(connect.__init__).parameters
    return {"proxy": None} if supported and is_local(url) else {}


@lru_cache(maxsize=16)
def _chunks(step: AppendAudio) -> list[bytes]:
    spoken = speech.load(step.recording).pcm if step.recording else b""
    pcm = speech.silence(step.before / 1000) + spoken + speech.silence(step.after / 1000)
    size = 2 * 24 * _CHUNK_MS
    if step.format != "audio/pcm":
        pcm, size = encode_g711(_downsample(pcm), step.format), 8 * _CHUNK_MS
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def _downsample(pcm: bytes) -> bytes:
    """Convert 24 kHz to 8 kHz: the mean of every three samples."""
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    means = array("h", [sum(samples[at : at + 3]) // 3 for at in range(0, len(samples) - 2, 3)])
    if sys.byteorder == "big":
        means.byteswap()
    return means.tobytes()
