"""Pass HTTP and WebSockets on to an endpoint, and record its realtime sockets and client secrets.

The relay of `rtstt_testkit.routing` terminates the client's TLS; this module opens a new TLS connection to the
endpoint, and verifies its certificate. Bytes are passed on first and recorded afterwards. Other requests are passed on
unrecorded.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import h11

from rtstt_testkit.cassette.lines import SessionLines, masked_exchange
from rtstt_testkit.cassette.writer import CassetteWriter
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.recording.endpoint import Endpoint
from rtstt_testkit.recording.peer import Peer
from rtstt_testkit.recording.tap import Tap

__all__ = ["Proxy"]

_MOST_BODY = 1024 * 1024  # of a request for a client secret, and of its response
_OPEN_SECONDS = 30
_SOCKET = "/realtime"
_NO_RESPONSE = "the endpoint ended the connection without a response"
_SECRETS = ("/realtime/client_secrets", "/realtime/sessions", "/realtime/transcription_sessions")


@dataclass
class Proxy:
    """Serves clients.

    Attributes:
        writer: Where the sessions are written.
        endpoint_of: Returns the endpoint for a request's ``Host``.
        replayed: Returns the server that replays a session, or None for one that is recorded.
        problem: Called with a sentence about an endpoint that cannot be reached.
        buffer: What bytes are read into, of all connections.
    """

    writer: CassetteWriter
    endpoint_of: Callable[[str], Endpoint]
    replayed: Callable[[Request], Endpoint | None]
    problem: Callable[[str], None]
    buffer: bytearray

    async def serve(self, near: Peer) -> None:
        """Serve the connection of a client until it ends."""
        client = _Client(self, near)
        try:
            await client.run()
        except (OSError, h11.ProtocolError, EOFError):
            pass  # a peer went away, or does not speak HTTP
        finally:
            await client.close()


class _Client:
    """One connection of a client, with one to the endpoint."""

    def __init__(self, proxy: Proxy, near: Peer) -> None:
        self._proxy = proxy
        self._near = near
        self._far: Peer | None = None
        self._loop = asyncio.get_running_loop()
        self._endpoint: Endpoint | None = None
        self._lines: SessionLines | None = None
        self._opened = 0.0

    async def run(self) -> None:
        """Pass requests on until one becomes a WebSocket or the connection ends."""
        while True:
            request = await self._near.next_event()
            if not isinstance(request, h11.Request):
                return
            self._opened = self._loop.time()
            if not await self._exchange(request):
                return

    async def close(self) -> None:
        """Close both connections."""
        peers = [self._near] if self._far is None else [self._near, self._far]
        for peer in peers:
            peer.close()
        for peer in peers:
            await peer.wait_closed()

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
        far = await self._connect(endpoint)
        if far is None:
            return False
        outgoing = [
            (name, endpoint.netloc if endpoint.replaces_host and name.lower() == "host" else value)
            for name, value in headers
            # A body that is recorded must not be compressed.
            if not (secrets and name.lower() == "accept-encoding")
        ]
        head = h11.Request(method=request.method, target=endpoint.target(target).encode("latin-1"), headers=outgoing)
        try:
            await far.send(head)
            asked = await self._pass_body(self._near, far, secrets)
        except ConnectionResetError:
            if far.lost:
                self._failed(_NO_RESPONSE)
            return False
        response = await self._response(far)
        if response is None:
            return False
        if response.status_code == 101:
            await self._websocket(far, response)
            return False
        answered = await self._pass_body(far, self._near, secrets or self._lines is not None)
        if self._lines is not None:
            self._lines.refused(self._clock(), response.status_code, answered.decode("utf-8", "replace"))
        elif secrets:
            self._proxy.writer.exchange(
                masked_exchange("POST", target.partition("?")[0], response.status_code, asked, answered)
            )
        return self._another(far)

    def _another(self, far: Peer) -> bool:
        """Prepare for another request; return whether both connections allow one."""
        both = self._near.http, far.http
        if not all(http.our_state is http.their_state is h11.DONE for http in both):
            return False
        for http in both:
            http.start_next_cycle()
        return True

    async def _response(self, far: Peer) -> h11.Response | h11.InformationalResponse | None:
        """Pass the head of the response on, and return it."""
        while True:
            try:
                event = await far.next_event()
            except h11.RemoteProtocolError as error:
                self._failed(_NO_RESPONSE if far.ended else f"the endpoint's response is not HTTP: {error}")
                return None
            if isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                continue  # 100 Continue was answered here
            assert isinstance(event, h11.Response | h11.InformationalResponse)
            await self._near.send(event)
            return event

    async def _pass_body(self, source: Peer, sink: Peer, keep: bool) -> bytes:
        """Pass a body on, and return it if the caller needs it."""
        kept = bytearray()
        while True:
            if source.http.they_are_waiting_for_100_continue:
                await source.send(h11.InformationalResponse(status_code=100, headers=[]))
            event = await source.next_event()
            if isinstance(event, h11.Data):
                if keep and len(kept) < _MOST_BODY:
                    kept += event.data
                await sink.send(h11.Data(data=bytes(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                await sink.send(event)
                return bytes(kept)
            else:
                raise EOFError

    # -- the endpoint

    async def _connect(self, endpoint: Endpoint) -> Peer | None:
        """Return the connection to the endpoint, a new one if needed; answer 502 if it cannot be reached."""
        if self._far is not None:
            if self._endpoint == endpoint:
                return self._far
            self._far.close()
            self._far = None
        self._endpoint = endpoint
        try:
            connecting = endpoint.connect(partial(Peer, h11.CLIENT, self._proxy.buffer))
            self._far = await asyncio.wait_for(connecting, _OPEN_SECONDS)
        except (OSError, asyncio.TimeoutError, ssl.SSLError) as error:
            reason = f"cannot connect to {endpoint.url}: {_words(error)}"
            self._failed(reason)
            body = json.dumps({"error": {"message": f"rtstt-shim record {reason}", "type": "proxy_error"}}).encode()
            headers = [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
            await self._near.send(h11.Response(status_code=502, headers=headers))
            await self._near.send(h11.Data(data=body))
            await self._near.send(h11.EndOfMessage())
        return self._far

    def _failed(self, reason: str) -> None:
        if self._lines is not None:
            self._lines.failed(self._clock(), reason)
        self._proxy.problem(reason)

    # -- the WebSocket

    async def _websocket(self, far: Peer, response: h11.Response | h11.InformationalResponse) -> None:
        """Pass the bytes of a WebSocket on, in both directions, and record them."""
        tap = None
        if self._lines is not None:
            extensions = ", ".join(
                value.decode("latin-1") for name, value in response.headers if name == b"sec-websocket-extensions"
            )
            self._lines.accepted(self._clock())
            tap = Tap(self._lines, self._clock, extensions, self._proxy.writer.fail)
        self._near.link(far, tap, "client")
        far.link(self._near, tap, "server")
        await asyncio.gather(self._near.pass_on(), far.pass_on())


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be verified ({error.verify_message})"
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer within {_OPEN_SECONDS} s"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)  # asyncio replaces it with its own
    return getattr(error, "strerror", None) or str(error)
