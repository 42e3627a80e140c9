"""The listening socket of a server, and the end of the connections that it accepted."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from rtstt_testkit.mock.server.connection import RESERVED_FILES, Connection, ConnectionContext
from rtstt_testkit.mock.server.limits import file_limit

__all__ = ["Listener"]

_BACKLOG = 1024  # clients that may connect at the same moment
_STOP_MOST_SECONDS = 1.0  # in all
_STOP_SECONDS = 0.3  # without any client ending its connection
_LAST_CPU_SECONDS = 0.1  # in which what clients have sent is still handled


class Listener:
    """Accepts connections.

    Args:
        context: What the connections share.
    """

    def __init__(self, context: ConnectionContext) -> None:
        self._context = context
        self._server: asyncio.Server | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports that it listens on."""
        sockets = [] if self._server is None else self._server.sockets
        return [listening.getsockname()[:2] for listening in sockets]

    async def start(self, address: str, port: int, *, reuse_port: bool) -> None:
        """Listen.

        Args:
            address: A host name or an IP address.
            port: The port, 0 for any free one.
            reuse_port: Whether other processes may listen on the port as well.

        Raises:
            OSError: The address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        limit = file_limit()
        self._context.files = limit - RESERVED_FILES
        # asyncio accepts this many clients before it handles the first, and must not run out of files meanwhile.
        backlog = min(_BACKLOG, RESERVED_FILES // 2) if limit < 4 * _BACKLOG else _BACKLOG
        self._server = await loop.create_server(
            lambda: Connection(self._context), address, port, backlog=backlog, reuse_port=reuse_port or None
        )

    async def stop(self) -> None:
        """Stop listening, close every connection, and cut those whose client does not answer."""
        server, self._server = self._server, None
        if server is None:
            return
        connections = self._context.connections
        loop = asyncio.get_running_loop()
        end = loop.time() + _STOP_MOST_SECONDS
        try:
            try:
                await self._stop_accepting(server)
            finally:
                server.close()
            self._close_all()
            before = None
            while connections and len(connections) != before and loop.time() < end:
                before = len(connections)
                await self._ended(_STOP_SECONDS)
        finally:
            for connection in list(connections):
                connection.abort()
        await self._ended(_STOP_SECONDS)

    async def _stop_accepting(self, server: asyncio.Server) -> None:
        """Accept no more connections, and let asyncio make those that it has accepted.

        What clients have sent is handled meanwhile, unless it is so much that the stop would take long. The limit is
        CPU time, so that it does not depend on how busy the machine is.

        asyncio makes a connection in a separate task, and no longer does so once its server is closed: the socket of
        the client would be left to the garbage collector.
        """
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):  # Windows, where a closed server ends its accepting itself
            for listening in server.sockets:
                loop.remove_reader(listening)
        begun = time.thread_time()
        cancelled: asyncio.CancelledError | None = None
        for _ in range(3):  # turns from accepting a socket to the call of connection_made
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError as error:
                cancelled = error
            if time.thread_time() - begun > _LAST_CPU_SECONDS:
                self._close_all()
        if cancelled is not None:
            raise cancelled

    def _close_all(self) -> None:
        for connection in list(self._context.connections):
            connection.close()

    async def _ended(self, timeout: float) -> None:
        """Wait until every connection is gone, or for a time."""
        if not self._context.connections:
            return
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._context.idle.wait(), timeout)
