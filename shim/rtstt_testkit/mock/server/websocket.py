"""One WebSocket: the bytes of a transport, RFC 6455 by websockets' `ServerProtocol`, and messages for a receiver.

Backpressure bounds memory: while the client does not read what it was sent, nothing is read from it and nothing more
is sent. A client that sends many frames at once takes turns with the others.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Sequence
from typing import Protocol

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol

from rtstt_testkit.mock.inspect.record import Closed
from rtstt_testkit.mock.server.frames import FrameReader
from rtstt_testkit.mock.server.turn import Turn

__all__ = ["Receiver", "WebSocket", "end_stream"]

_WRITE_LIMIT = 32 * 1024
_CLOSE_SECONDS = 2
_PONG_SECONDS = 20
_PING_BYTES = 4  # [capture]


class Receiver(Protocol):
    """What a WebSocket gives its messages to. Every method raises nothing."""

    def begin(self) -> None:
        """Bytes arrived; messages may follow, then `settle`."""

    def receive_text(self, payload: bytes) -> bool:
        """Receive the payload of a TEXT message; return False when it is not UTF-8."""

    def receive_binary(self, payload: bytes) -> None:
        """Receive the payload of a BINARY message."""

    def before_control(self) -> None:
        """Handle the messages so far, since a control frame follows."""

    def ping_sent(self) -> None:
        """Record that a PING was sent."""

    def pong_received(self) -> None:
        """Record that the last PING was answered."""

    def settle(self) -> None:
        """Send what is due now that the bytes are read."""

    def writable(self) -> None:
        """Send what is due now that the client reads again."""

    def failed(self, error: Exception) -> None:
        """An exception inside the mock ends the WebSocket."""

    def closed(self, close: Closed) -> None:
        """The WebSocket ended; nothing more is received or sent."""


class WebSocket:
    """The server's side of an open WebSocket.

    Args:
        transport: The TCP connection.
        protocol: The WebSocket's state, open.
        receiver: Receives the messages.
        ping_interval: Seconds between PINGs, None for none.
        turn: How many frames are handled before the others have their turn.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: ServerProtocol,
        receiver: Receiver,
        ping_interval: float | None,
        turn: Turn,
    ) -> None:
        self.transport = transport
        self._protocol = protocol
        self._receiver: Receiver | None = receiver
        self._reader = FrameReader(receiver.receive_text, self._receive_other)
        self._fragments: list[bytes] = []
        self._opcode = Opcode.TEXT
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._ping_interval = ping_interval
        self._turn = turn
        self._ping: bytes | None = None
        self._ping_at = 0.0
        self._reading = True
        self._waiting = False  # frames that were read from the transport wait for their turn
        self._blocked = False  # the client does not read
        self._stalled = False
        self._failed = False  # a message was not UTF-8; what follows it is not received
        self._partial = False  # part of a frame was sent
        transport.set_write_buffer_limits(high=_WRITE_LIMIT)
        self._schedule_ping()

    @property
    def can_send(self) -> bool:
        """Whether messages may be sent now."""
        return self._protocol.state is State.OPEN and not (
            self._blocked or self._stalled or self.transport.is_closing()
        )

    # -- receiving

    def receive(self, data: bytes) -> None:
        """Handle bytes from the network."""
        receiver = self._receiver
        if receiver is None:  # only the closing handshake is left
            self._reader.receive(data)
            self._waiting = False
            if not self._reading:
                self._update_reading()
            return
        receiver.begin()
        self._waiting = self._reader.receive(data, self._turn.frames)
        receiver.settle()
        if self._waiting:
            self._loop.call_soon(self._continue)
        if self._waiting or not self._reading:
            self._update_reading()

    def _continue(self) -> None:
        """Handle frames that waited for their turn."""
        if self._waiting and not self._blocked and not self._stalled:
            try:
                self.receive(b"")
            except Exception as error:
                self.fail(error)

    def _receive_other(self, data: bytes) -> bool:
        """Let websockets handle frames; return whether more messages may follow."""
        if self._receiver is not None:
            self._receiver.before_control()
        protocol = self._protocol
        if protocol.state is State.CLOSED:
            return False
        protocol.receive_data(data)
        for frame in protocol.events_received():
            if isinstance(frame, Frame) and not self._failed:
                self._receive_frame(frame)
        self._write()
        return protocol.state is State.OPEN

    def _receive_frame(self, frame: Frame) -> None:
        receiver = self._receiver
        if frame.opcode is Opcode.PONG:
            if bytes(frame.data) == self._ping:
                self._ping = None
                if receiver is not None:
                    receiver.pong_received()
            return
        if receiver is None or frame.opcode in (Opcode.PING, Opcode.CLOSE):
            return
        if frame.opcode is not Opcode.CONT:
            self._opcode = frame.opcode
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return
        payload, self._fragments = b"".join(self._fragments), []
        if self._opcode is Opcode.BINARY:
            receiver.receive_binary(payload)
        elif not receiver.receive_text(payload) and self._protocol.state is State.OPEN:
            self._protocol.fail(1007, "")
            self._failed = True

    def receive_eof(self) -> None:
        """Handle the end of the stream."""
        self._protocol.receive_eof()
        self._write()

    def lost(self) -> None:
        """The TCP connection is gone."""
        if self._protocol.state is not State.CLOSED:
            self._protocol.receive_eof()
        self._end()
        self._cancel_timer()
        self._reader.release()  # it refers to this object and to the receiver

    def block(self) -> None:
        """The client does not read what was sent."""
        self._blocked = True
        self._update_reading()

    def unblock(self) -> None:
        """The client reads again."""
        self._blocked = False
        if self._receiver is not None:
            self._receiver.writable()
        if self._waiting:
            self._loop.call_soon(self._continue)
        self._update_reading()

    def _update_reading(self) -> None:
        reading = not (self._waiting or self._blocked or self._stalled)
        if reading is self._reading or self.transport.is_closing():
            return
        self._reading = reading
        if reading:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    # -- sending

    def send_texts(self, payloads: Sequence[bytes]) -> None:
        """Send TEXT messages with one write."""
        for payload in payloads:
            self._protocol.send_text(payload)
        self._write()

    def send_frame(self, payload: bytes, *, binary: bool = False) -> None:
        """Send a message, which need not be UTF-8."""
        self.transport.write(self.frame(payload, binary=binary))

    def frame(self, payload: bytes, *, binary: bool = False) -> bytes:
        """Return the bytes of a message, to be sent by `write_part`."""
        (self._protocol.send_binary if binary else self._protocol.send_text)(payload)
        return b"".join(self._protocol.data_to_send())

    def write_part(self, data: bytes, *, last: bool) -> None:
        """Send part of a frame; control frames wait until the last part is sent."""
        self.transport.write(data)
        self._partial = not last
        if last:
            self._write()

    def close(self, code: int, reason: str) -> None:
        """Send a CLOSE frame, and end the connection when the client answers or after two seconds."""
        try:
            self._protocol.send_close(code, reason)
        except InvalidState:  # it is closing already
            return
        self._write()

    def fail(self, error: Exception) -> None:
        """End the connection because of an exception inside the mock."""
        if self._receiver is not None:
            self._receiver.failed(error)
        else:
            self.transport.abort()

    def stall(self) -> None:
        """Stop reading and sending, even PINGs."""
        self._stalled = True
        self._cancel_timer()
        self._update_reading()

    def reset(self) -> None:
        """End the TCP connection with an RST instead of a FIN."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _write(self) -> None:
        """Send what websockets has to send; notice that the closing handshake began."""
        data = [] if self._partial else self._protocol.data_to_send()
        if data:
            ends = data[-1] == SEND_EOF
            self.transport.write(b"".join(data))
            if ends and self._protocol.close_rcvd_then_sent is False:
                self.transport.close()  # the client answered the CLOSE, so it has read everything
            elif ends:
                end_stream(self.transport)
        if self._protocol.state is not State.OPEN:
            self._end()

    # -- the end

    def _end(self) -> None:
        """Report how the WebSocket ended; cut the connection if the client does not end it in time."""
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        self._reader.discard_messages()
        receiver.closed(self._closed())
        self._cancel_timer()
        self._timer = self._loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    def _closed(self) -> Closed:
        protocol = self._protocol
        if protocol.close_sent is not None and not protocol.close_rcvd_then_sent:
            return Closed(int(protocol.close_sent.code), protocol.close_sent.reason, "server")
        if protocol.close_rcvd is None:
            return Closed(1006, "", "client")
        return Closed(int(protocol.close_rcvd.code), protocol.close_rcvd.reason, "client")

    # -- keepalive

    def _schedule_ping(self) -> None:
        if self._ping_interval is not None:
            self._timer = self._loop.call_later(self._ping_interval, self._keep_alive)

    def _keep_alive(self) -> None:
        """Send a PING; fail the connection when the last one was not answered."""
        if self._ping is None:
            self._ping, self._ping_at = secrets.token_bytes(_PING_BYTES), self._loop.time()
            self._protocol.send_ping(self._ping)
            if self._receiver is not None:
                self._receiver.ping_sent()
        elif self._loop.time() - self._ping_at >= _PONG_SECONDS:
            self._protocol.fail(1011, "keepalive ping timeout")
        self._schedule_ping()
        self._write()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def end_stream(transport: asyncio.Transport) -> None:
    """Half-close a TCP connection, so that the client ends it after it read everything."""
    if transport.is_closing():
        return
    try:
        if transport.can_write_eof():
            transport.write_eof()
    except OSError:  # the client is gone
        transport.abort()
