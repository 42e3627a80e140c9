"""The relay: accepts connections for routed hosts on the loopback interface, terminates TLS, and passes bytes on.

It runs an event loop in a background thread, so that it serves synchronous and asynchronous clients and does not
depend on the event loop of the program under test.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType

import trustme

from rtstt_testkit.routing.environment import Address, canonical

__all__ = ["Relay"]

TLS_HANDSHAKE = 0x16
"""First byte of a TLS connection: content type handshake (RFC 8446, section 5.1)."""

TLS_CHUNK = 1 << 18
"""The maximum of bytes to decrypt in one step; asyncio reads no more at a time."""

ACCEPT_PAUSE = 0.05
"""Seconds to wait after the operating system refused to accept a connection (too many open files)."""


class _Side(asyncio.Protocol):
    """One of the two connections of a relayed connection: what it receives is written to the other.

    An end of file, a close and a reset are each passed on as what they are.
    """

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._ended = False

    def join(self, other: _Side) -> None:
        """Set the other connection."""
        self._other = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def eof_received(self) -> bool:
        self._ended = True
        self._other.end()
        if self._other._ended:
            self.close()
            self._other.close()
        return True  # keep the other direction open

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)
        if exc is None:
            self._other.close()
        else:
            self._other.reset()

    def pause_writing(self) -> None:
        self._other.read(False)

    def resume_writing(self) -> None:
        self._other.read(True)

    def read(self, on: bool) -> None:
        """Resume or pause reading from the network."""
        if self._transport and not self._transport.is_closing():
            if on:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def end(self) -> None:
        """Send an end of file."""
        if self._transport and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Close the connection after everything has been sent."""
        if self._transport:
            self._transport.close()

    def reset(self) -> None:
        """Abort the connection with a TCP RST, which the peer reports as "connection reset"."""
        if self._transport:
            _reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()

    async def abort(self) -> None:
        """Abort the connection and wait until it has ended."""
        if self._transport:
            self._transport.abort()
            await self.lost


class _ClientSide(_Side):
    """The connection that a client opened: TLS if its first byte is a TLS handshake, plain otherwise.

    TLS is handled here because asyncio's implementation differs between Python versions, does not support half-closed
    connections and hides resets.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context
        self._first = True
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    def data_received(self, data: bytes) -> None:
        if self._first:
            self._first = False
            if data[0] == TLS_HANDSHAKE:
                self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            else:
                self._other.read(True)
        if self._tls is None:
            super().data_received(data)
        else:
            self._incoming.write(data)
            self._decrypt(self._tls)

    def eof_received(self) -> bool:
        if self._first:
            self._other.read(True)
        if self._tls is not None and self._tls.version() is None:
            self.close()  # during the handshake
            return True
        return super().eof_received()

    def _decrypt(self, tls: ssl.SSLObject) -> None:
        try:
            if tls.version() is None:
                tls.do_handshake()
                self._other.read(True)
            while plain := tls.read(TLS_CHUNK):
                super().data_received(plain)
            super().eof_received()  # close_notify
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:  # usually: the client does not accept the certificate
            self._flush()
            self.close()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            super().write(self._outgoing.read())

    def write(self, data: bytes) -> None:
        if self._tls is None:
            super().write(data)
        else:
            self._tls.write(data)
            self._flush()

    def end(self) -> None:
        if self._tls is not None:
            with contextlib.suppress(ssl.SSLError):  # unwrap() would wait for the client's close_notify
                self._tls.unwrap()
            self._flush()
        super().end()


def _reset_on_close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Relay:
    """Listeners on the loopback interface, one for every routed host; a context manager.

    Args:
        routes: For each host name the ``(host, port)`` of the server that receives its connections.

    Attributes:
        addresses: For each host name, in canonical form, the address of the relay.
        ca_pem: The CA certificate (PEM) that a TLS client has to trust. Its key stays in this process.

    Raises:
        ValueError: If there is no route, or a host name or a port is malformed.
    """

    def __init__(self, routes: Mapping[str, Address]) -> None:
        self._targets = {canonical(host): target for host, target in routes.items()}
        if not self._targets:
            raise ValueError("there is no host to route")
        for host, (_, port) in self._targets.items():
            if not 0 < port < 65536:
                raise ValueError(f"port {port} of the route for {host} is not between 1 and 65535")
        self.addresses: dict[str, Address] = {}
        self.ca_pem = ""

    def __enter__(self) -> Relay:
        """Listen, and start relaying."""
        authority = trustme.CA(organization_name="rtstt-shim test kit", organization_unit_name="throw-away CA")
        self.ca_pem = authority.cert_pem.bytes().decode("ascii")
        listeners: list[tuple[socket.socket, Address, ssl.SSLContext]] = []
        for host, target in self._targets.items():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # OpenSSL compares names literally: a client that keeps the trailing dot needs it in the certificate.
            authority.issue_cert(host, f"{host}.").configure_cert(context)
            # A client that reads in one thread and writes in another (websockets' sync client) can lose what it writes
            # while OpenSSL reads a session ticket: about one connection in 300. So none are sent.
            context.num_tickets = 0
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            listeners.append((listener, target, context))
            self.addresses[host] = listener.getsockname()
        self._loop = asyncio.SelectorEventLoop()  # the same on every platform, whatever the program's policy
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listeners,), name="rtstt-relay", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop: abort the connections, close the listeners, end the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self, listeners: list[tuple[socket.socket, Address, ssl.SSLContext]]) -> None:
        try:
            self._loop.run_until_complete(self._serve(listeners))
        finally:
            self._loop.close()

    async def _serve(self, listeners: list[tuple[socket.socket, Address, ssl.SSLContext]]) -> None:
        accepting = [asyncio.ensure_future(_accept(*listener)) for listener in listeners]
        await self._stop.wait()
        await _cancel(accepting)


async def _accept(listener: socket.socket, target: Address, context: ssl.SSLContext) -> None:
    """Relay every connection that arrives, until cancelled."""
    loop = asyncio.get_running_loop()
    connections: set[asyncio.Task[None]] = set()
    with listener:
        try:
            while True:
                try:
                    client, _ = await loop.sock_accept(listener)
                except OSError:
                    await asyncio.sleep(ACCEPT_PAUSE)
                    continue
                connection = asyncio.ensure_future(_relay(client, target, context))
                connections.add(connection)
                connection.add_done_callback(connections.discard)
        finally:
            await _cancel(connections)


async def _relay(client: socket.socket, target: Address, context: ssl.SSLContext) -> None:
    """Relay one connection until both its sides have ended."""
    loop = asyncio.get_running_loop()
    near, far = _ClientSide(context), _Side()
    near.join(far)
    far.join(near)
    try:
        await loop.create_connection(lambda: far, *target)
        await loop.connect_accepted_socket(lambda: near, client)
        near.read(True)  # the server side follows after the client's first bytes
        await asyncio.wait([near.lost, far.lost])
    except OSError:  # the server is not reachable; a reset shows the client that this is not an orderly end
        _reset_on_close(client)
    finally:
        await near.abort()
        await far.abort()
        client.close()


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
