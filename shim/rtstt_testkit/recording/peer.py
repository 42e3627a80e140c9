"""One peer of the proxy: a client or the endpoint, with HTTP messages first and the bytes of a WebSocket afterwards.

The bytes of a WebSocket are passed on where asyncio delivers them. Streams, which wake a task for each read and have
memory mapped for it, take nearly twice the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import h11

from rtstt_testkit.mock.protocol.events import Sender
from rtstt_testkit.recording.tap import Tap

__all__ = ["Peer"]

_LARGEST_HEAD = 64 * 1024


class Peer(asyncio.BufferedProtocol):
    """A connection with one of the two.

    Args:
        role: ``h11.SERVER`` towards a client, ``h11.CLIENT`` towards the endpoint.
        buffer: What asyncio reads into. It may be that of all peers of a loop, and spares memory being mapped for each
            read.
        connected: Called with this object when the connection is open.

    Attributes:
        http: The state of its HTTP messages.
    """

    _transport: asyncio.Transport

    def __init__(
        self,
        role: type[h11.CLIENT] | type[h11.SERVER],
        buffer: bytearray,
        connected: Callable[[Peer], None] | None = None,
    ) -> None:
        self.http = h11.Connection(role, max_incomplete_event_size=_LARGEST_HEAD)
        self._buffer = memoryview(buffer)
        self._connected = connected
        self._received = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        # What a WebSocket needs:
        self._other: Peer | None = None
        self._tap: Tap | None = None
        self._sender: Sender = "client"
        self._pass_on: Callable[[bytes], None] | None = None
        self._at_end = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether there are no more bytes of the peer."""
        return self.http.trailing_data[1]

    @property
    def lost(self) -> bool:
        """Whether the connection is closed."""
        return self._lost.is_set()

    # -- HTTP

    async def next_event(self) -> object:
        """Return the peer's next h11 event; the end of its bytes is one."""
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._received.clear()
            self._transport.resume_reading()
            await self._received.wait()

    async def send(self, event: h11.Event) -> None:
        """Send an h11 event.

        Raises:
            ConnectionResetError: The connection is lost.
        """
        data = self.http.send(event)
        if data:
            self._transport.write(data)
            await self._writable.wait()
            if self.lost:
                raise ConnectionResetError("the connection is lost")

    def close(self) -> None:
        """Close the connection once what waits is sent."""
        self._transport.close()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed."""
        await self._lost.wait()

    # -- the WebSocket

    def link(self, other: Peer, tap: Tap | None, sender: Sender) -> None:
        """Determine what `pass_on` does.

        Args:
            other: Where bytes are passed to.
            tap: What reads them afterwards.
            sender: What this peer is for it.
        """
        self._other, self._tap, self._sender = other, tap, sender

    async def pass_on(self) -> None:
        """Pass the bytes to the other peer, those first that followed the HTTP messages, until there are no more."""
        assert self._other is not None
        self._pass_on = self._other._transport.write
        early, closed = self.http.trailing_data
        if early:
            self._receive(early)
        if closed:
            self._end()
        elif self._other._writable.is_set():
            self._transport.resume_reading()
        try:
            await self._at_end.wait()
        finally:
            self._at_end.set()  # what a recorder that stops closes is not the peer's end

    def _end(self) -> None:
        """End what is passed on in this direction."""
        if self._at_end.is_set():
            return
        self._at_end.set()
        assert self._other is not None
        if self._tap is not None:
            self._tap.lost(self._sender)
        # TLS has no half-closed connections, and the other direction ends when this one is closed.
        if self._other._transport.can_write_eof():
            self._other._transport.write_eof()
        else:
            self._other._transport.close()

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._connected is not None:
            self._connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return what to read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Receive the bytes in the buffer."""
        self._receive(bytes(self._buffer[:nbytes]))

    def _receive(self, data: bytes) -> None:
        """Pass bytes of a WebSocket on; of HTTP, read what `next_event` waits for and no more."""
        if self._pass_on is not None:
            self._pass_on(data)
            if self._tap is not None:
                self._tap.receive(self._sender, data)
            return
        self.http.receive_data(data)
        self._transport.pause_reading()
        self._received.set()

    def eof_received(self) -> bool:
        """Return whether the connection stays open for what is sent to the peer."""
        if self._pass_on is not None:
            self._end()
        else:
            self.http.receive_data(b"")
            self._received.set()
        return self._transport.can_write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """End what waits for the peer; nothing can be passed to it either."""
        self._lost.set()
        self._writable.set()
        self.eof_received()
        if self._other is not None:
            self._other._end()

    def pause_writing(self) -> None:
        """Let the sender wait: this peer reads too slowly."""
        self._writable.clear()
        if self._other is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        """Let the sender go on."""
        self._writable.set()
        if self._other is not None:
            self._other._transport.resume_reading()
