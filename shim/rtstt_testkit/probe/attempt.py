"""Carries out one row on one endpoint, and says what happened as a list of events.

What is no event of the protocol gets a type in parentheses: ``(http)`` for an answer in place of the upgrade,
``(secret)`` for the answer to a request for an ephemeral secret, ``(upgrade)``, ``(close)``, ``(silence)`` where
something was waited for in vain, and ``(frame)`` for one that is no JSON object.
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

from rtstt_testkit.mock.audio.formats import encode_g711
from rtstt_testkit.probe.normal import Normalizer, collapsed
from rtstt_testkit.probe.rows import BAD_KEY, Row, Say, Send, Step, Until
from rtstt_testkit.speech import load, silence

__all__ = ["Attempt", "Endpoint", "Unreachable", "attempt", "is_local"]

_CREATED = Until("session.created")
#: Its answer comes after the answers to everything before it, and shows that the session is still open.
_LAST = (Send({"type": "input_audio_buffer.clear"}), Until("input_audio_buffer.cleared"))
_CHUNK_MS = 100
_PATIENCE = 10.0  # seconds for sending, beside the waiting
_MOST_EVENTS = 1000
_DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
_LARGEST_EVENT = 4 * 1024 * 1024
_LARGEST_ANSWER = 1024 * 1024


class Unreachable(Exception):
    """There is nobody to talk to; the message says why."""


class Endpoint(NamedTuple):
    """Whom to talk to.

    Attributes:
        url: Of the WebSocket, without a query.
        key: The API key.
        timeout: Seconds that any one answer may take.
    """

    url: str
    key: str
    timeout: float = 10.0


@dataclass
class Attempt:
    """What happened.

    Attributes:
        events: Normalised, to be compared.
        raw: As they came, each with the seconds since the beginning, without keys.
        seconds: How long it took.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class _Over(Exception):
    """Nothing more will come."""


class _Connect(connect):
    """A key goes to the endpoint that was named, never to one that it points to."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect for the answer that it is."""
        return exc


class _Connection(ClientConnection):
    """Keeps every message until it is read; websockets 13 drops those that came together with the CLOSE."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._parts = bytearray()
        self._text = True

    def process_event(self, event: Event) -> None:
        """Put messages together, and leave the rest to the library."""
        if not isinstance(event, Frame) or event.opcode not in _DATA:
            super().process_event(event)
            return
        if event.opcode is not Opcode.CONT:
            self._text = event.opcode is Opcode.TEXT
        self._parts += event.data
        if event.fin:
            self.messages.put_nowait(_decoded(bytes(self._parts), self._text))
            self._parts.clear()
            if self.messages.qsize() >= _MOST_EVENTS:
                self.transport.pause_reading()  # no more than that are read anyway

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that nothing more will come."""
        super().connection_lost(exc)
        self.messages.put_nowait(None)


def _decoded(payload: bytes, text: bool) -> str | bytes:
    """A message as the client would get it; TEXT that is not UTF-8 stays bytes."""
    with suppress(UnicodeDecodeError):
        return payload.decode() if text else payload
    return payload


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The same over HTTP."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Make an HTTPError of it."""


def is_local(url: str) -> bool:
    """Whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or (host.startswith("127.") and host.replace(".", "").isdigit())


async def attempt(row: Row, endpoint: Endpoint) -> Attempt:
    """Carry out a row.

    Args:
        row: What to do.
        endpoint: Whom to talk to.

    Returns:
        What happened; that something waited for did not come is part of it.

    Raises:
        Unreachable: There was no answer at all.
    """
    talk = _Talk(row, endpoint)
    waits = 3 + sum(isinstance(step, Until) for step in row.steps)
    try:
        await asyncio.wait_for(talk.run(), waits * endpoint.timeout + _PATIENCE)
    except _Over:
        pass
    except (asyncio.TimeoutError, TimeoutError):
        talk.note({"type": "(silence)", "what": "it did not take what was sent"})
    return talk.result()


class _Talk:
    def __init__(self, row: Row, endpoint: Endpoint) -> None:
        self._row = row
        self._endpoint = endpoint
        self._key = BAD_KEY if row.credentials == "bad" else endpoint.key
        self._normalizer = Normalizer(endpoint.key, row.forms)
        self._attempt = Attempt()
        self._began = time.monotonic()
        self._socket: _Connection

    def result(self) -> Attempt:
        self._attempt.seconds = time.monotonic() - self._began
        self._attempt.events = collapsed(self._attempt.events)
        return self._attempt

    def note(self, event: dict[str, Any]) -> None:
        at = round(time.monotonic() - self._began, 3)
        self._attempt.events.append(self._normalizer.event(event, time.time()))
        self._attempt.raw.append({"at": at, "event": self._normalizer.scrubbed(event)})
        if len(self._attempt.events) >= _MOST_EVENTS:
            self._attempt.events.append({"type": "(silence)", "what": f"{_MOST_EVENTS} events; no more were read"})
            raise _Over

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
                await self._rest()
            finally:
                self._socket.transport.abort()  # whatever the other side does; it is closed by now where it closes
                await self._socket.wait_closed()
        except InvalidStatus as refused:
            body = refused.response.body or b""
            self.note({"type": "(http)", "status": refused.response.status_code, "body": _json(bytes(body))})
        except InvalidHandshake as refused:
            raise Unreachable(f"it does not speak WebSocket ({refused})") from None

    async def _connect(self) -> _Connection:
        url = self._endpoint.url
        if self._row.path is not None:
            parts = urlsplit(url)
            url = f"{parts.scheme}://{parts.netloc}{self._row.path}"
        headers = list(self._row.headers)
        subprotocols = None
        if self._row.credentials == "subprotocol":
            subprotocols = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{self._key}")]
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
                **_direct(url),
            )
        except (asyncio.TimeoutError, TimeoutError):
            raise Unreachable(f"no answer within {self._endpoint.timeout:g} s") from None
        except OSError as error:
            raise Unreachable(_why(error)) from None
        except (EOFError, ValueError) as error:  # of websockets 13; later ones make an InvalidHandshake of it
            raise Unreachable(f"it does not speak WebSocket ({error})") from None
        return cast(_Connection, connection)

    async def _get_secret(self) -> None:
        """Ask for an ephemeral secret and go on with it; what is no secret ends the row."""
        answer = await asyncio.to_thread(_post, self._endpoint, self._row.secret or {})
        body = answer["body"]
        value = body.get("value") if isinstance(body, dict) else None
        self.note(answer)
        if not isinstance(value, str):
            raise _Over
        self._key = value

    # -- steps

    async def _do(self, step: Step) -> None:
        if isinstance(step, Until):
            await self._read(step.type)
        elif isinstance(step, Send):
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
            await self._rest()

    async def _rest(self) -> None:
        """Read what came before the end, and the end."""
        while True:
            await self._read(None)

    async def _read(self, until: str | None) -> None:
        """Read until an event of that type has come, or to the end."""
        deadline = time.monotonic() + self._endpoint.timeout
        while True:
            left = max(deadline - time.monotonic(), 0.001)
            try:
                frame = await asyncio.wait_for(self._socket.messages.get(), left)
            except (asyncio.TimeoutError, TimeoutError):
                wanted = until or "the end of the connection"
                self.note({"type": "(silence)", "what": f"no {wanted} within {self._endpoint.timeout:g} s"})
                raise _Over from None
            if frame is None:
                self.note(_close(self._socket.protocol.close_exc))
                raise _Over
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
    """The text as JSON, or as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text if isinstance(text, str) else text[:200].decode(errors="replace")


def _post(endpoint: Endpoint, body: dict[str, Any]) -> dict[str, Any]:
    url = f"{endpoint.url.replace('ws', 'http', 1)}/client_secrets"
    headers = {"Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json"}
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
        raise Unreachable(_why(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(_why(error)) from None


def _why(error: BaseException | str) -> str:
    """The reason in the system's words; asyncio puts its own in their place."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _direct(url: str) -> dict[str, Any]:
    """No proxy to this machine; websockets before 15 knows none."""
    knows = "proxy" in inspect.signature(connect.__init__).parameters
    return {"proxy": None} if knows and is_local(url) else {}


@lru_cache(maxsize=16)
def _chunks(say: Say) -> list[bytes]:
    spoken = load(say.recording).pcm if say.recording else b""
    pcm = silence(say.before / 1000) + spoken + silence(say.after / 1000)
    size = 2 * 24 * _CHUNK_MS
    if say.format != "audio/pcm":
        pcm, size = encode_g711(_third(pcm), say.format), 8 * _CHUNK_MS
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def _third(pcm: bytes) -> bytes:
    """24 kHz as 8 kHz: the mean of every three samples."""
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    means = array("h", [sum(samples[at : at + 3]) // 3 for at in range(0, len(samples) - 2, 3)])
    if sys.byteorder == "big":
        means.byteswap()
    return means.tobytes()
