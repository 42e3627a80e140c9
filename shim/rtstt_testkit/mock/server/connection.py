"""One TCP connection: its first bytes decide whether it is plain HTTP or becomes a WebSocket."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request as WebSocketRequest
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from rtstt_testkit.mock.protocol.admission import Admission, HttpRefusal
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.server.attempt import ConnectAttempt
from rtstt_testkit.mock.server.driver import SessionDriver
from rtstt_testkit.mock.server.http import Head, HttpError, HttpParser, HttpRequest, HttpResponse, TlsError, json_error
from rtstt_testkit.mock.server.turn import Turn
from rtstt_testkit.mock.server.websocket import WebSocket, end_stream

__all__ = ["RESERVED_FILES", "Connection", "ConnectionContext"]

#: base64 of the largest append (15 MiB), and room for the JSON around it.
_MAX_MESSAGE = 21 * 1024 * 1024
_MAX_EARLY_DATA = 256 * 1024
_GOING_AWAY = 1001
_OPEN_SECONDS = 60  # for the whole request, and for the opening handshake whether or not faults delay it
_LINGER_SECONDS = 2  # between the response and the end of the connection: a reset could destroy the response

#: Files kept free for the answer to clients beyond the limit, and for everything else in the process.
RESERVED_FILES = 128
_TOO_MANY_FILES = json_error(
    503, "The mock has as many connections as the system lets it open files; see `ulimit -n`.", code="too_many_files"
)

_INTERNAL_ERROR = json_error(500, "Internal error of the mock; its log has the traceback.")

_logger = logging.getLogger("rtstt_testkit.mock")
_quiet = logging.getLogger("rtstt_testkit.mock.websockets")
_quiet.setLevel(logging.CRITICAL + 1)

#: The windows and memory that `websockets.serve` uses by default.
_DEFLATE = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)


@dataclass
class ConnectionContext:
    """What the connections of a server share.

    Attributes:
        respond: Returns the response to a plain HTTP request.
        attempt: Records a client's opening handshake.
        open_session: Makes the session of a client that was admitted.
        access: Returns the response that refuses a request before it is handled, or None.
        compression: Whether to negotiate permessage-deflate.
        ping_interval: Seconds between PINGs, None for none.
        refusals: How many requests were refused without a record, by message.
        files: The number of files that may be open.
        connections: The connections that are open.
        idle: Set while there is none.
        turn: How much is read from one before the others have their turn.
    """

    respond: Callable[[HttpRequest], Awaitable[HttpResponse]]
    attempt: Callable[[Request], ConnectAttempt]
    open_session: Callable[[ConnectAttempt, Admission], SessionDriver]
    access: Callable[[Head], HttpResponse | None]
    compression: bool
    ping_interval: float | None
    refusals: Counter[str] = field(default_factory=Counter)
    files: int = sys.maxsize
    connections: set[Connection] = field(default_factory=set)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    turn: Turn = field(default_factory=Turn)

    def add(self, connection: Connection) -> None:
        """Add a connection that opened."""
        self.connections.add(connection)
        self.idle.clear()
        self.turn.divide(len(self.connections))

    def discard(self, connection: Connection) -> None:
        """Remove a connection that ended."""
        self.connections.discard(connection)
        if not self.connections:
            self.idle.set()
        self.turn.divide(len(self.connections))


class Connection(asyncio.BufferedProtocol):
    """A client's connection.

    Args:
        context: What it shares with the server's other connections.
    """

    def __init__(self, context: ConnectionContext) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: HttpParser | None = HttpParser()
        self._attempt: ConnectAttempt | None = None
        self._early = bytearray()
        self._websocket: WebSocket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._response: asyncio.Task[None] | None = None
        self._writable: asyncio.Event | None = None
        self._lingers = False
        self._eof = False
        self._file = 0

    @property
    def transport(self) -> asyncio.Transport:
        """The TCP connection."""
        assert self._transport is not None
        return self._transport

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to wait for the request."""
        self._transport = cast(asyncio.Transport, transport)
        self._file = transport.get_extra_info("socket").fileno()
        if self._file > self._context.files + RESERVED_FILES // 2:
            self._abort()
        self._context.add(self)
        self._timer = self._loop.call_later(_OPEN_SECONDS, self._abort)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer that all connections share."""
        return self._context.turn.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Handle bytes from the network."""
        data = bytes(self._context.turn.buffer[:nbytes])
        try:
            self._receive(data)
        except Exception as error:
            self._fail(error)

    def _receive(self, data: bytes) -> None:
        if self._websocket is not None:
            self._websocket.receive(data)
        elif self._attempt is not None:
            self._early += data
            if len(self._early) > _MAX_EARLY_DATA:
                self.transport.pause_reading()
        elif self._parser is not None and self._response is None:
            self._parse(self._parser, data)

    def eof_received(self) -> bool:
        """Handle the end of the stream; return whether the response may still be sent."""
        self._eof = True
        if self._writable is not None:
            return False  # the rest of a stream is not read
        if self._websocket is not None:
            self._websocket.receive_eof()
        elif self._attempt is None and self._parser is not None and self._response is None:
            self._parse(self._parser, b"")
        return self._response is not None and self._parser is not None

    def pause_writing(self) -> None:
        """The client does not read what was sent."""
        if self._websocket is not None:
            self._websocket.block()
        elif self._writable is not None:
            self._writable.clear()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._websocket is not None:
            self._websocket.unblock()
        elif self._writable is not None:
            self._writable.set()
        elif self._lingers:
            self._linger()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end, and release everything that the connection holds."""
        self._context.discard(self)
        self._cancel_timer()
        if self._writable is not None and self._response is not None:
            self._response.cancel()
        websocket, self._websocket = self._websocket, None
        attempt, self._attempt = self._attempt, None
        self._parser = None
        if websocket is not None:
            websocket.lost()
        elif attempt is not None:
            attempt.lost()

    # -- the request

    def _parse(self, parser: HttpParser, data: bytes) -> None:
        try:
            request = parser.receive(data)
            if request is None:
                if interim := parser.interim_response():
                    self.transport.write(interim)
                return
        except HttpError as error:
            if isinstance(error, TlsError):
                self._context.refusals[str(error)] += 1
            self._send_response(json_error(error.status, str(error)))
            return
        except EOFError:
            self.transport.close()
            return
        self._cancel_timer()
        refusal = _TOO_MANY_FILES if self._file > self._context.files else self._context.access(request.head)
        if refusal is not None:
            self._context.refusals[refusal.body["error"]["message"]] += 1
            self._send_response(refusal)
        elif request.head.upgrades:
            self._upgrade(request.head, parser)
        else:
            self._response = self._loop.create_task(self._respond(request))

    async def _respond(self, request: HttpRequest) -> None:
        try:
            response = await self._context.respond(request)
        except Exception as error:
            _logger.error("internal error of the mock in %s %s", request.method, request.path, exc_info=error)
            response = _INTERNAL_ERROR
        if self.transport.is_closing():
            return
        if isinstance(response.body, AsyncGenerator):
            await self._stream(response, response.body)
        else:
            self._send_response(response)

    async def _stream(self, response: HttpResponse, pieces: AsyncGenerator[bytes, None]) -> None:
        """Send a response piece by piece, as fast as the client reads, until it ends or the client is gone."""
        parser = self._parser
        assert parser is not None
        self._writable = asyncio.Event()
        self._writable.set()
        self.transport.write(parser.serialize_head(response))
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    self.transport.write(parser.serialize_piece(piece))
                    await self._writable.wait()
        except Exception as error:
            _logger.error("internal error of the mock in a streamed response", exc_info=error)
            self._abort()
            return
        self._writable = None
        self._finish(parser.serialize_end())

    def _send_response(self, response: HttpResponse) -> None:
        """Send the response, then wait for the client to end the connection: a reset could destroy the response."""
        if self._parser is not None:
            self._finish(self._parser.serialize(response))

    def _finish(self, data: bytes) -> None:
        self._parser = None
        self._cancel_timer()
        transport = self.transport
        transport.set_write_buffer_limits(high=0)
        transport.write(data)
        if self._eof:
            transport.close()
            return
        end_stream(transport)
        if transport.get_write_buffer_size():
            self._lingers = True  # as long as the client takes to read it
        else:
            self._linger()

    def _linger(self) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_later(_LINGER_SECONDS, self.transport.close)

    # -- the opening handshake

    def _upgrade(self, head: Head, parser: HttpParser) -> None:
        try:
            request = Request(head.target, head.headers)
        except ValueError:
            self._send_response(json_error(400, "The request target is not a valid URL."))
            return
        self._early += parser.early_data
        attempt = self._attempt = self._context.attempt(request)
        if attempt.delay:
            self._timer = self._loop.call_later(attempt.delay, self._decide_later, attempt, head)
        else:
            self._decide(attempt, head)

    def _decide_later(self, attempt: ConnectAttempt, head: Head) -> None:
        try:
            self._decide(attempt, head)
        except Exception as error:
            self._fail(error)

    def _decide(self, attempt: ConnectAttempt, head: Head) -> None:
        """Admit the client or refuse it."""
        if attempt.reset:
            self._abort()
            return
        answer = attempt.decide()
        if isinstance(answer, HttpRefusal):
            self._refuse(attempt, answer.status, answer.message)
            self._send_response(HttpResponse(answer.status, answer.body))
            return
        protocol = ServerProtocol(
            extensions=[_DEFLATE] if self._context.compression else None,
            select_subprotocol=_select_subprotocol,
            max_size=_MAX_MESSAGE,
            logger=_quiet,
        )
        protocol.receive_data(head.serialize())
        requests = protocol.events_received()
        if not requests:  # what websockets then sends differs from version to version
            reason = str(protocol.handshake_exc and (protocol.handshake_exc.__cause__ or protocol.handshake_exc))
            message = f"Failed to open a WebSocket connection: {reason}."
            self._refuse(attempt, 400, message)
            self._send_response(json_error(400, message))
            return
        (request,) = requests
        assert isinstance(request, WebSocketRequest)
        response = protocol.accept(request)
        protocol.send_response(response)
        data = b"".join(protocol.data_to_send())
        if response.status_code != 101:
            self._refuse(attempt, response.status_code, bytes(response.body or b"").decode().strip())
            self._finish(data)
            return
        self._open(attempt, answer, protocol, data)

    def _refuse(self, attempt: ConnectAttempt, status: int, message: str) -> None:
        attempt.refused(status, message)
        self._attempt = None

    def _open(self, attempt: ConnectAttempt, admission: Admission, protocol: ServerProtocol, response: bytes) -> None:
        self._attempt = self._parser = None
        transport = self.transport
        if len(self._early) > _MAX_EARLY_DATA:
            transport.resume_reading()
        transport.write(response)
        driver = self._context.open_session(attempt, admission)
        websocket = self._websocket = WebSocket(
            transport, protocol, driver, self._context.ping_interval, self._context.turn
        )
        driver.start(websocket)
        early, self._early = bytes(self._early), bytearray()
        if early:
            websocket.receive(early)

    # -- the end

    def _fail(self, error: Exception) -> None:
        """Log an exception of the mock itself, answer it, and record it as the mock's."""
        if self._websocket is not None:
            self._websocket.fail(error)
            return
        _logger.error("internal error of the mock in a connection", exc_info=error)
        if self._attempt is not None:
            self._attempt.failed(error)
            self._attempt = None
        self._send_response(_INTERNAL_ERROR)

    def close(self) -> None:
        """End the connection since the server stops: a WebSocket with a CLOSE frame, anything else at once."""
        if self._websocket is not None:
            self._websocket.close(_GOING_AWAY, "")
        else:
            self._abort()

    def abort(self) -> None:
        """Cut the connection."""
        if self._response is not None:
            self._response.cancel()
        self._abort()

    def _abort(self) -> None:
        self.transport.abort()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _select_subprotocol(protocol: Any, offered: Any) -> Subprotocol | None:
    return Subprotocol("realtime") if "realtime" in offered else None
