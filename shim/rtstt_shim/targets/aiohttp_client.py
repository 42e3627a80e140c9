"""aiohttp's `ClientSession.ws_connect`, the transport of livekit-plugins-openai and of much application code."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import wrapt

from rtstt_shim.targets import Wrap, require_method, require_parameter

if TYPE_CHECKING:
    from rtstt_shim.registry import Connections
    from rtstt_shim.watch import Watch

__all__ = ["patch"]


def patch(module: ModuleType, wrap: Wrap, connections: Connections) -> None:
    """Patch ``aiohttp.client``.

    Args:
        module: The module.
        wrap: Wraps one of its functions.
        connections: Decides about URLs and watches connections.

    Raises:
        ShapeError: `ClientSession` is not what it was.
    """
    url_class = require_method(module, "URL")
    opening = require_method(module, "ClientSession._ws_connect")
    require_method(module, "ClientSession._build_url")
    parameter = require_parameter(opening, "url")
    require_parameter(opening, "params")

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
        # Below `receive()` and `close()`, both of which read from it: so a CLOSE frame is seen even when the client
        # gives up before it reads that far.
        socket._reader = _WatchedReader(socket._reader, socket, watch, connections)
    return socket


class _WatchedReader(wrapt.ObjectProxy[Any]):
    """The queue of a connection's incoming messages, watched as they are taken from it."""

    def __init__(self, reader: Any, socket: Any, watch: Watch, connections: Connections) -> None:
        super().__init__(reader)
        self._self_socket = socket
        self._self_watch = watch
        self._self_connections = connections

    async def read(self) -> Any:
        try:
            message = await self.__wrapped__.read()
        except Exception as error:
            with self._self_connections:
                # A timeout is the caller's own.
                if not isinstance(error, TimeoutError) and type(error).__name__ != "TimeoutError":
                    self._self_watch.lost(by_client=self._self_socket.closed)
            raise
        try:
            kind = message.type.name
            if kind == "TEXT":
                self._self_watch.message(message.data)
            elif kind == "CLOSE":
                self._self_watch.closed(message.data or 1005, message.extra or "", by_client=self._self_socket.closed)
        except Exception as error:
            self._self_connections.failed(error)
        return message
