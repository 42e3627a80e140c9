"""One connection: frames from its socket to the session, what the session says to the socket, and one timer."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby
from typing import Any, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from rtstt_testkit.mock.inspect.record import Closed
from rtstt_testkit.mock.protocol.events import plain_append
from rtstt_testkit.mock.server.frames import FrameReader, text_frame
from rtstt_testkit.mock.server.http import HttpError, HttpRequest, HttpResponse, is_websocket, parse, render
from rtstt_testkit.mock.session.outbox import Close, Output, RawFrame, Reset, Send, Stall, Trickle
from rtstt_testkit.mock.session.session import Session

__all__ = ["Clock", "Connection", "Wire"]

_TRICKLE_PIECES = 20
_WRITE_LIMIT = 32 * 1024
_CONTROL = frozenset({Opcode.CLOSE, Opcode.PING, Opcode.PONG})


class Clock(Protocol):
    """The server's time."""

    def now(self) -> float:
        """The clock, in seconds."""

    def wall(self) -> float:
        """The time of day, in seconds since 1970."""

    @property
    def virtual_time(self) -> bool:
        """Whether time moves only when it is told to."""


class Connection(ServerConnection, asyncio.BufferedProtocol):
    """A WebSocket connection whose client may turn out to speak plain HTTP.

    Args:
        buffer: What its bytes are read into; connections of one event loop may share it.
        answer: Answers a plain HTTP request.
        connections: Where it is listed while it lives.
        lost: Called when it is gone.
        *args: Those of ``websockets.asyncio.server.ServerConnection``.
        **kwargs: The same.
    """

    def __init__(
        self,
        buffer: bytearray,
        answer: Callable[[HttpRequest], Awaitable[HttpResponse]],
        connections: set[Connection],
        lost: Callable[[Connection], None],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._buffer = buffer
        self._answer = answer
        self._connections = connections
        self._lost = lost
        self._head: bytearray | None = bytearray()
        self._answering: asyncio.Task[None] | None = None
        self._wire: Wire | None = None
        self._frames: FrameReader | None = None
        self._early = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be listed."""
        self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Be listed no more."""
        self._connections.discard(self)
        if self._answering is not None:
            self._answering.cancel()
        self._lost(self)
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where to read into: asyncio would otherwise have the system map and unmap 256 KiB for every read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self.data_received(bytes(memoryview(self._buffer)[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Tell the two protocols apart by the request's head, and pass a WebSocket's bytes on from then."""
        if self._wire is not None and self._frames is not None:
            self._wire.begin()
            self._frames.feed(data)
            self._wire.settle()
            return
        if self._head is None:
            self._early = True
            super().data_received(data)
            return
        if self._answering is not None:
            return
        self._head += data
        verdict = is_websocket(bytes(self._head))
        if verdict:
            head, self._head = bytes(self._head), None
            self._early = not head.endswith(b"\r\n\r\n")
            super().data_received(head)
        elif verdict is False:
            self._read_request(bytes(self._head))

    def attach(self, wire: Wire) -> None:
        """Give whole TEXT messages to the wire from now on.

        They go past the queue that ``recv`` reads. After the first message that takes the ordinary way so does
        everything, to keep the order; and all that a client says which did not wait for the handshake to end.
        """
        if not self._early:
            self._wire = wire
            self._frames = FrameReader(wire.take, self._pass_on)

    def _pass_on(self, data: bytes) -> None:
        """Give websockets what is not for the wire: a PING is answered when all that came before it was heard."""
        if self._wire is not None:
            self._wire.flush_appends()
        super().data_received(data)

    def process_event(self, event: Event) -> None:
        """Tell whole TEXT messages from the rest, among what websockets parsed."""
        frames, wire = self._frames, self._wire
        if frames is not None and wire is not None and isinstance(event, Frame) and event.opcode not in _CONTROL:
            whole = event.opcode is Opcode.TEXT and event.fin
            if frames.direct and whole and wire.take(bytes(event.data)):
                return
            frames.direct = False
        super().process_event(event)

    def _read_request(self, data: bytes) -> None:
        try:
            request = parse(data)
        except HttpError as error:
            self._respond(HttpResponse(error.status, {"error": {"message": str(error)}}))
            return
        if request is not None:
            self._answering = self.loop.create_task(self._answer_request(request))

    async def _answer_request(self, request: HttpRequest) -> None:
        response = await self._answer(request)
        if hasattr(response.body, "__aiter__"):
            extra = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
            self.transport.write(
                f"HTTP/1.1 200 OK\r\nContent-Type: {response.content_type}\r\n{extra}Connection: close\r\n\r\n".encode()
            )
            async for piece in response.body:
                if self.transport.is_closing():
                    break
                self.transport.write(piece)
            self.transport.close()
            return
        self._respond(response)

    def _respond(self, response: HttpResponse) -> None:
        self.transport.write(render(response))
        self.transport.close()


class Wire:
    """Drives a session.

    Args:
        clock: The server's time.
        connection: The open WebSocket.
        session: What is said on it.
    """

    __slots__ = (
        "_appends",
        "_clock",
        "_connection",
        "_flushing",
        "_held_back",
        "_lock",
        "_now",
        "_session",
        "_timer",
        "_timer_due",
    )

    def __init__(self, clock: Clock, connection: Connection, session: Session) -> None:
        self._clock = clock
        self._connection = connection
        self._session = session
        self._now = clock.now()
        self._appends: list[bytes] = []
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due: float | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._held_back = False

    @property
    def next_due(self) -> float | None:
        """When there is something to send next, None when nothing is planned."""
        return self._session.next_due

    async def run(self) -> None:
        """Serve until the socket is gone."""
        session, connection = self._session, self._connection
        try:
            session.start(self._clock.wall())
            connection.attach(self)
            await self.flush()
            async for frame in connection:
                session.receive_frame(frame, self._clock.now())
                await self.flush()
        except ConnectionClosed:
            pass
        except UnicodeDecodeError:  # websockets before 14 leaves it to the reader
            await connection.close(1007, "")
        finally:
            self._disarm()
            if self._flushing is not None:
                self._flushing.cancel()
            session.closed(_closed(connection))

    def begin(self) -> None:
        """Bytes came: all that is taken until `settle` came now."""
        self._now = self._clock.now()

    def take(self, data: bytes) -> bool:
        """Take the payload of a TEXT message; False when it is not UTF-8."""
        if self._session.accepts_appends and (audio := plain_append(data)) is not None:
            self._appends.append(audio)
            return True
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError:
            return False
        self.flush_appends()
        self._session.receive_frame(text, self._now)
        return True

    def settle(self) -> None:
        """What came was taken: send what is due, or see to it that it will be."""
        self.flush_appends()
        due = self._session.next_due
        if due is not None and due <= self._now:
            self._flush_soon()
        elif due != self._timer_due:
            self._arm()

    def flush_appends(self) -> None:
        """Give the session the appends that were taken until now."""
        if self._appends:
            appends, self._appends = self._appends, []
            self._session.append_audio(appends, self._now)

    async def flush(self) -> None:
        """Send what is due."""
        async with self._lock:
            try:
                while outputs := self._session.poll(self._clock.now()):
                    for sends, run in groupby(outputs, _is_send):
                        if sends:
                            await self._send(run)
                            continue
                        for output in run:
                            await self._carry_out(output)
            except ConnectionClosed:
                return
            if self._held_back:
                self._held_back = False
                self._connection.transport.resume_reading()
        self._arm()

    def _flush_soon(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self.flush())
        elif not self._held_back and self._connection.transport.get_write_buffer_size() > _WRITE_LIMIT:
            # What bounds memory: a client that does not read is not read from.
            self._held_back = True
            self._connection.transport.pause_reading()

    async def _send(self, run: Iterable[Output]) -> None:
        """Send events that are due together with one write: they cost little more than one."""
        protocol = self._connection.protocol
        texts = [output.text.encode() for output in run if isinstance(output, Send)]
        async with self._connection.send_context():
            if protocol.extensions:
                for text in texts:
                    protocol.send_text(text)
                data = protocol.data_to_send()
            else:
                data = [text_frame(text) for text in texts]
            self._connection.transport.write(b"".join(data))

    async def _carry_out(self, output: Output) -> None:
        connection = self._connection
        if isinstance(output, Close):
            await connection.close(output.code, output.reason)
        elif isinstance(output, RawFrame):
            opcode = Opcode.BINARY if output.binary else Opcode.TEXT
            connection.transport.write(_frame(opcode, output.payload))
        elif isinstance(output, Trickle):
            opcode = Opcode.BINARY if output.binary else Opcode.TEXT
            await self._trickle(_frame(opcode, output.payload), output.seconds)
        elif isinstance(output, Reset):
            self._reset(output)
        elif isinstance(output, Stall):
            _stop_keepalive(connection)
            connection.transport.pause_reading()

    async def _trickle(self, data: bytes, seconds: float) -> None:
        size = max(1, -(-len(data) // _TRICKLE_PIECES))
        for at in range(0, len(data), size):
            self._connection.transport.write(data[at : at + size])
            if not self._clock.virtual_time:
                await asyncio.sleep(seconds * size / len(data))

    def _reset(self, reset: Reset) -> None:
        transport = self._connection.transport
        if reset.part is not None:
            frame = _frame(Opcode.TEXT, reset.part)
            transport.write(frame[: len(frame) // 2])
            transport.close()
            return
        raw = transport.get_extra_info("socket")
        if raw is not None:  # an RST instead of a FIN
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def _arm(self) -> None:
        due = self._session.next_due
        if due == self._timer_due or self._clock.virtual_time:
            return
        self._disarm()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._on_timer)
            self._timer_due = due

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_due = None

    def _on_timer(self) -> None:
        self._timer = self._timer_due = None
        self._flush_soon()


def _is_send(output: Output) -> bool:
    return isinstance(output, Send)


def _frame(opcode: Opcode, payload: bytes) -> bytes:
    return Frame(opcode, payload).serialize(mask=False)


def _stop_keepalive(connection: ServerConnection) -> None:
    """No PING any more: a stalled server sends nothing, and must not find the client dead for not answering."""
    task = connection.keepalive_task
    if task is not None:
        task.cancel()


def _closed(connection: ServerConnection) -> Closed:
    """How the socket ended, where the session did not end it."""
    protocol = connection.protocol
    if protocol.close_sent is not None and not protocol.close_rcvd_then_sent:
        return Closed(int(protocol.close_sent.code), protocol.close_sent.reason, "server")
    if protocol.close_rcvd is None:
        return Closed(1006, "", "client")
    return Closed(int(protocol.close_rcvd.code), protocol.close_rcvd.reason, "client")
