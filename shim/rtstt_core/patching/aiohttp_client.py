"""aiohttp's `ClientSession.ws_connect`, the transport of livekit-plugins-openai and of much application code."""

from __future__ import annotations

import asyncio
import weakref
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.targets import Wrap, require_method, require_parameter

if TYPE_CHECKING:
    from rtstt_core.patching.installation import Connections
    from rtstt_core.watch import Watch

__all__ = ["patch"]


def patch(module: ModuleType, wrap: Wrap, connections: Connections) -> None:
    """Patch ``aiohttp.client``.

    Args:
        module: The module.
        wrap: Wraps one of its functions.
        connections: Decides about URLs and watches connections.

    Raises:
        ShapeError: `ClientSession`, or what a socket's messages come through, is not what it was.
    """
    url_class = require_method(module, "URL")
    opening = require_method(module, "ClientSession._ws_connect")
    require_method(module, "ClientSession._build_url")
    parameter = require_parameter(opening, "url")
    require_parameter(opening, "params")
    # The queue had another name until 3.10.
    queue = "WebSocketDataQueue" if hasattr(module, "WebSocketDataQueue") else "FlowControlDataQueue"
    for name in ("WebSocketReader.feed_data", "WebSocketReader.feed_eof", f"{queue}.is_eof", f"{queue}.exception"):
        require_method(module, name)

    def ws_connect(wrapped: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        watch = None
        with connections:
            given, params = parameter.get(args, kwargs), kwargs.get("params")
            # As aiohttp itself does: the session's base URL first, then the query parameters.
            whole = session._build_url(given)
            if params:
                whole = _with_params(whole, params)
            as_given = isinstance(given, str) and not params and url_class(given).is_absolute()
            decision = connections.decide(given if as_given else str(whole))
            if decision.changed:
                url: Any = decision.url if as_given else url_class(decision.url, encoded=True)
                if not url_class(given).is_absolute():
                    # A session with a base URL takes relative ones only.
                    url = url.relative()
                args, kwargs = parameter.put(args, {**kwargs, "params": None}, url)
            if decision.transcription:
                watch = connections.watch(decision.url)
        connecting = wrapped(*args, **kwargs)
        return connecting if watch is None else _watched(connecting, watch, connections)

    wrap(module, "ClientSession._ws_connect", ws_connect)


def _with_params(url: Any, params: Any) -> Any:
    added = url.with_query(params).raw_query_string
    query = "&".join(part for part in (url.raw_query_string, added) if part)
    text, _, fragment = str(url).partition("#")
    return type(url)(
        f"{text.partition('?')[0]}?{query}" + (f"#{fragment}" if fragment else ""),
        encoded=True,
    )


async def _watched(connecting: Any, watch: Watch, connections: Connections) -> Any:
    try:
        socket = await connecting
    except Exception as error:
        with connections:
            status = getattr(error, "status", None)
            # An answer of 101 that aiohttp does not accept carries a status too.
            if isinstance(status, int) and status != 101:
                watch.refused(status)
            else:
                watch.failed_to_connect(error)
        raise
    with connections:
        _observe(socket, watch, connections)
    return socket


def _observe(socket: Any, watch: Watch, connections: Connections) -> None:
    # What the connection hands each of its reads to, not what the application takes messages from: of those there may
    # be a thousand in one read.
    protocol = socket._conn.protocol
    messages = _Messages(socket, protocol, watch, connections)
    # None where a frame that came with the handshake's answer ended the parsing.
    if protocol._payload_parser is not None:
        protocol._payload_parser = _Parser(protocol._payload_parser, protocol, messages)
    messages.look()


class _Messages:
    """The queue of a connection's messages, looked at as they are put into it.

    That is below `receive()` and `close()`: a CLOSE frame is seen even when the client gives up before it reads so far.
    """

    __slots__ = ("_beyond", "_connections", "_delta", "_last", "_protocol", "_queue", "_socket", "_watch", "hung_up")

    def __init__(self, socket: Any, protocol: Any, watch: Watch, connections: Connections) -> None:
        from rtstt_core.watch import DELTA

        # Weak, since the open connection leads here: aiohttp closes it when the application has let go of the socket.
        self._socket = weakref.ref(socket)
        self._queue = socket._reader
        self._protocol = protocol
        self._watch = watch
        self._connections = connections
        self._last: Any = None
        self.hung_up = False
        # Two comparisons take half as long as `startswith()`: nothing that JSON has behind it sorts after a tilde.
        self._delta = DELTA.decode()
        self._beyond = self._delta + "~"

    def look(self) -> None:
        """Take what is new in the queue, and its end."""
        with self._connections:
            queue = self._queue
            buffer, last, delta, beyond = queue._buffer, self._last, self._delta, self._beyond
            new = []
            for entry in reversed(buffer):
                if entry is last:
                    break
                try:
                    if delta <= entry[0][1] < beyond:
                        continue
                except TypeError:
                    pass  # no text
                new.append(entry[0])
            if buffer:
                self._last = buffer[-1]
            for message in reversed(new):
                self._take(message)
            # Since 3.14.4 aiohttp leaves the rest of a read, once the queue is full, for when much of it was taken.
            stalled = hasattr(queue, "_stalled_reader") and (
                queue._stalled_reader is not None or queue._size > queue._limit
            )
            queue._protocol = _Stalled(self._protocol, self) if stalled else self._protocol
            # A timeout of the application's own is no end.
            if not stalled and queue.is_eof() and not isinstance(queue.exception(), asyncio.TimeoutError):
                self._watch.lost(by_client=self.hung_up or self._closed())

    def _take(self, message: Any) -> None:
        kind = message.type.name
        if kind == "TEXT":
            self._watch.message(message.data)
        elif kind == "CLOSE":
            self._watch.closed(message.data or 1005, message.extra or "", by_client=self._closed())

    def _closed(self) -> bool:
        socket = self._socket()
        return socket is None or bool(socket.closed)


class _Parser:
    """Stands in for the parser that a connection hands each of its reads to."""

    __slots__ = ("_messages", "_parser", "_protocol")

    def __init__(self, parser: Any, protocol: Any, messages: _Messages) -> None:
        self._parser = parser
        self._protocol = protocol
        self._messages = messages

    def feed_data(self, data: Any) -> Any:
        result = self._parser.feed_data(data)
        self._messages.look()
        return result

    def feed_eof(self) -> None:
        self._parser.feed_eof()
        # What the client itself closes has no transport any more.
        self._messages.hung_up = self._protocol.transport is None
        self._messages.look()


class _Stalled:
    """Stands in for the protocol of a queue that holds so much that aiohttp parses on as messages are taken from it.

    Whenever it has done so it asks the protocol whether reading is paused.
    """

    __slots__ = ("_messages", "_protocol")

    def __init__(self, protocol: Any, messages: _Messages) -> None:
        object.__setattr__(self, "_protocol", protocol)
        object.__setattr__(self, "_messages", messages)

    def __getattr__(self, name: str) -> Any:
        self._messages.look()
        return getattr(self._protocol, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._protocol, name, value)
