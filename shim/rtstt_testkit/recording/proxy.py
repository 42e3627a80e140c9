"""Pass HTTP and WebSockets on to an endpoint, and record its realtime sockets and client secrets.

The relay of `rtstt_testkit.routing` terminates the client's TLS; this module opens a new TLS connection to the
endpoint, and verifies its certificate. Bytes are passed on first and recorded afterwards. Other requests are passed on
unrecorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import h11

from rtstt_testkit.cassette.lines import SessionLines, masked_exchange
from rtstt_testkit.cassette.writer import CassetteWriter
from rtstt_testkit.mock.protocol.events import Sender
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.recording.endpoint import Endpoint
from rtstt_testkit.recording.tap import Tap

__all__ = ["Proxy"]

_READ = 256 * 1024
_MOST_BODY = 1024 * 1024  # of a request for a client secret, and of its response
_LARGEST_HEAD = 64 * 1024
_OPEN_SECONDS = 30
_SOCKET = "/realtime"
_SECRETS = ("/realtime/client_secrets", "/realtime/sessions", "/realtime/transcription_sessions")


@dataclass
class Proxy:
    """Serves clients.

    Attributes:
        writer: Where the sessions are written.
        endpoint_of: Returns the endpoint for a request's ``Host``.
        replayed: Returns the server that replays a session, or None for one that is recorded.
        problem: Called with a sentence about an endpoint that cannot be reached.
    """

    writer: CassetteWriter
    endpoint_of: Callable[[str], Endpoint]
    replayed: Callable[[Request], Endpoint | None]
    problem: Callable[[str], None]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        client = _Client(self, reader, writer)
        try:
            await client.run()
        except (OSError, h11.ProtocolError, asyncio.IncompleteReadError, EOFError):
            pass  # a peer went away, or does not speak HTTP
        finally:
            await client.close()


class _Client:
    """One connection of a client, with one to the endpoint."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._loop = asyncio.get_running_loop()
        self._near = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_HEAD)
        self._far = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
        self._far_reader: asyncio.StreamReader | None = None
        self._far_writer: asyncio.StreamWriter | None = None
        self._endpoint: Endpoint | None = None
        self._lines: SessionLines | None = None
        self._opened = 0.0

    async def run(self) -> None:
        """Pass requests on until one becomes a WebSocket or the connection ends."""
        while True:
            request = await self._next(self._near, self._reader)
            if not isinstance(request, h11.Request):
                return
            self._opened = self._loop.time()
            if not await self._exchange(request):
                return
            self._near.start_next_cycle()
            self._far.start_next_cycle()

    async def close(self) -> None:
        """Close both connections."""
        for writer in (self._writer, self._far_writer):
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    def _clock(self) -> float:
        return self._loop.time() - self._opened

    # -- HTTP

    async def _exchange(self, request: h11.Request) -> bool:
        """Pass one request and its response on; return whether another may follow."""
        target = request.target.decode("latin-1")
        path = target.partition("?")[0].rstrip("/")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw_items()]
        upgrades = any(name.lower() == "upgrade" and value.lower() == "websocket" for name, value in headers)
        host = next((value for name, value in headers if name.lower() == "host"), "")
        endpoint = self._proxy.endpoint_of(host)
        self._lines = None
        if upgrades and _SOCKET in path:
            shake = Request(target, headers)
            replayed = self._proxy.replayed(shake)
            if replayed is None:
                self._lines = self._proxy.writer.session(host, shake)
            else:
                endpoint = replayed
        secrets = request.method == b"POST" and path.endswith(_SECRETS)
        if secrets and (replayed := self._proxy.replayed(Request(target, headers))) is not None:
            endpoint, secrets = replayed, False
        if not await self._connect(endpoint):
            return False
        assert self._far_writer is not None
        assert self._far_reader is not None
        outgoing = [
            (name, endpoint.netloc if endpoint.replaces_host and name.lower() == "host" else value)
            for name, value in headers
            # A body that is recorded must not be compressed.
            if not (secrets and name.lower() == "accept-encoding")
        ]
        await self._send(
            self._far,
            self._far_writer,
            h11.Request(method=request.method, target=endpoint.target(target).encode("latin-1"), headers=outgoing),
        )
        asked = await self._pass_body(self._near, self._reader, self._far, self._far_writer, secrets)
        response = await self._response()
        if response is None:
            return False
        if response.status_code == 101:
            await self._websocket(response)
            return False
        keep = secrets or self._lines is not None
        answered = await self._pass_body(self._far, self._far_reader, self._near, self._writer, keep)
        if self._lines is not None:
            self._lines.refused(self._clock(), response.status_code, answered.decode("utf-8", "replace"))
        elif secrets:
            self._proxy.writer.exchange(
                masked_exchange("POST", target.partition("?")[0], response.status_code, asked, answered)
            )
        return self._near.our_state is h11.DONE and self._far.our_state is h11.DONE and self._both_keep_alive()

    def _both_keep_alive(self) -> bool:
        return self._near.their_state is h11.DONE and self._far.their_state is h11.DONE

    async def _response(self) -> h11.Response | h11.InformationalResponse | None:
        """Pass the head of the response on, and return it."""
        assert self._far_reader is not None
        while True:
            event = await self._next(self._far, self._far_reader)
            if isinstance(event, h11.ConnectionClosed):
                self._failed("the endpoint ended the connection without a response")
                return None
            if isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                continue  # 100 Continue was answered here
            assert isinstance(event, h11.Response | h11.InformationalResponse)
            await self._send(self._near, self._writer, event)
            return event

    async def _pass_body(
        self,
        source: h11.Connection,
        reader: asyncio.StreamReader,
        sink: h11.Connection,
        writer: asyncio.StreamWriter,
        keep: bool,
    ) -> bytes:
        """Pass a body on, and return it if the caller needs it."""
        kept = bytearray()
        while True:
            if source.they_are_waiting_for_100_continue:
                await self._send(source, self._writer, h11.InformationalResponse(status_code=100, headers=[]))
            event = await self._next(source, reader)
            if isinstance(event, h11.Data):
                if keep and len(kept) < _MOST_BODY:
                    kept += event.data
                await self._send(sink, writer, h11.Data(data=bytes(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                await self._send(sink, writer, event)
                return bytes(kept)
            else:
                raise EOFError

    async def _next(self, connection: h11.Connection, reader: asyncio.StreamReader) -> object:
        """Return the next event of a peer; an end of the stream is one."""
        while True:
            event = connection.next_event()
            if event is not h11.NEED_DATA:
                return event
            connection.receive_data(await reader.read(_READ))

    async def _send(self, connection: h11.Connection, writer: asyncio.StreamWriter, event: h11.Event) -> None:
        data = connection.send(event)
        if data:
            writer.write(data)
            await writer.drain()

    # -- the endpoint

    async def _connect(self, endpoint: Endpoint) -> bool:
        """Connect to the endpoint, unless that is done; answer 502 if it cannot be reached."""
        if self._far_writer is not None:
            if self._endpoint == endpoint:
                return True
            self._far_writer.close()
            self._far = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
        self._endpoint = endpoint
        try:
            self._far_reader, self._far_writer = await asyncio.wait_for(endpoint.connect(_READ), _OPEN_SECONDS)
        except (OSError, asyncio.TimeoutError, ssl.SSLError) as error:
            reason = f"cannot connect to {endpoint.url}: {_words(error)}"
            self._failed(reason)
            body = json.dumps({"error": {"message": f"rtstt-shim record {reason}", "type": "proxy_error"}}).encode()
            headers = [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
            await self._send(self._near, self._writer, h11.Response(status_code=502, headers=headers))
            await self._send(self._near, self._writer, h11.Data(data=body))
            await self._send(self._near, self._writer, h11.EndOfMessage())
            return False
        return True

    def _failed(self, reason: str) -> None:
        if self._lines is not None:
            self._lines.failed(self._clock(), reason)
        self._proxy.problem(reason)

    # -- the WebSocket

    async def _websocket(self, response: h11.Response | h11.InformationalResponse) -> None:
        """Pass the bytes of a WebSocket on, in both directions, and record them."""
        assert self._far_writer is not None
        assert self._far_reader is not None
        tap = None
        if self._lines is not None:
            extensions = ", ".join(
                value.decode("latin-1") for name, value in response.headers if name == b"sec-websocket-extensions"
            )
            self._lines.accepted(self._clock())
            tap = Tap(self._lines, self._clock, extensions, self._proxy.writer.fail)
        pumps = [
            asyncio.ensure_future(pump)
            for pump in (
                _pump("client", self._near.trailing_data[0], self._reader, self._far_writer, tap),
                _pump("server", self._far.trailing_data[0], self._far_reader, self._writer, tap),
            )
        ]
        try:
            await asyncio.wait(pumps)
        finally:
            for pump in pumps:
                pump.cancel()


async def _pump(
    sender: Sender, early: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tap: Tap | None
) -> None:
    """Pass the bytes of one direction on until it ends."""
    data = early or await _read(reader)
    while data:
        writer.write(data)
        if tap is not None:
            tap.receive(sender, data)
        try:
            await writer.drain()
        except OSError:
            break
        data = await _read(reader)
    if tap is not None:
        tap.lost(sender)
    with contextlib.suppress(OSError, RuntimeError):
        # TLS has no half-closed connections, and the other direction ends when this one is closed.
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_READ)
    except OSError:
        return b""


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be verified ({error.verify_message})"
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer within {_OPEN_SECONDS} s"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)  # asyncio replaces it with its own
    return getattr(error, "strerror", None) or str(error)
