"""aiohttp's `ClientSession.ws_connect`, the transport of livekit-plugins-openai and of much application code.

The URL is corrected in the arguments of `ws_connect`. Messages are watched as the application receives them, through
`receive` and `close` of the one response object, so that what the application never reads is not seen, and a
connection that is not watched costs nothing.
"""

from __future__ import annotations

from time import monotonic
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rtstt_core.patching.connect_attempt import report_failure
from rtstt_core.patching.targets import require_attributes, require_callable, require_parameter

if TYPE_CHECKING:
    from rtstt_core.patching.guard import PatchContext
    from rtstt_core.url_rule import Decision
    from rtstt_core.watch import Watch

__all__ = ["patch"]

# `WSMsgType` has the opcodes of RFC 6455.
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def patch(module: ModuleType, context: PatchContext) -> None:
    """Patch ``aiohttp.client``.

    Args:
        module: The module.
        context: The target's context.

    Raises:
        ShapeError: `ClientSession` or `ClientWebSocketResponse` lacks something that is used here.
    """
    url_class = require_callable(module, "URL")
    method = require_callable(module, "ClientSession.ws_connect")
    parameter = require_parameter(method, "url")
    require_parameter(method, "params")
    # Private, because nothing public gives the base URL of a session. Called for relative URLs alone.
    require_callable(module, "ClientSession._build_url")
    require_attributes(module.ClientSession, "closed", "connector")
    for name in ("receive", "close"):
        require_callable(module, f"ClientWebSocketResponse.{name}")
    require_parameter(require_callable(module, "ClientWebSocketResponse.send_str"), "data")
    require_attributes(module.ClientWebSocketResponse, "close_code")

    def wrapper(wrapped: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        watch = None
        with context.capture_internal_errors():
            given = parameter.get(args, kwargs)
            url = _whole_url(session, url_class, given, kwargs.get("params"))
            decision = context.decide(url if url is None else str(url))
            if decision.changed:
                corrected = _corrected_url(url_class, given, url, decision)
                args, kwargs = parameter.put(args, {**kwargs, "params": None}, corrected)
            if decision.watched:
                watch = context.watch(decision)
                context.trace_request(watch, _headers(session, kwargs))
        connecting = wrapped(*args, **kwargs)
        if watch is not None:
            watched = _connect(connecting, session, watch, context)
            with context.capture_internal_errors():
                # An awaitable that is an asynchronous context manager too, and is made of a coroutine.
                return type(connecting)(watched)
            watched.close()
        return connecting

    context.wrap(module, "ClientSession.ws_connect", wrapper)


def _whole_url(session: Any, url_class: Any, given: Any, params: Any) -> Any:
    """Return the URL that aiohttp connects to: the text that was given, unless aiohttp composes another one.

    It is None for a value that is not a URL, which aiohttp rejects.
    """
    try:
        url = url_class(given)
    except (TypeError, ValueError):
        return None
    if not url.is_absolute():
        url = session._build_url(given)
    elif isinstance(given, str) and not params:
        return given
    if not params:
        return url
    added = url.with_query(params).raw_query_string
    query = "&".join(part for part in (url.raw_query_string, added) if part)
    text, _, fragment = str(url).partition("#")
    return url_class(f"{text.partition('?')[0]}?{query}" + (f"#{fragment}" if fragment else ""), encoded=True)


def _corrected_url(url_class: Any, given: Any, url: Any, decision: Decision) -> Any:
    """Return the corrected URL as `ws_connect` takes it."""
    if isinstance(url, str):
        return decision.url
    corrected = url_class(decision.url, encoded=True)
    # Up to 3.11 a session with a base URL takes relative ones only.
    return corrected if url_class(given).is_absolute() else corrected.relative()


def _headers(session: Any, options: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the headers that the session and the call ask for: aiohttp makes the others later."""
    headers = {**session.headers, **dict(options.get("headers") or {})}
    if options.get("protocols"):
        headers["sec-websocket-protocol"] = ", ".join(options["protocols"])
    return list(headers.items())


async def _connect(connecting: Any, session: Any, watch: Watch, context: PatchContext) -> Any:
    started = monotonic()
    try:
        response = await connecting
    except BaseException as error:
        with context.capture_internal_errors():
            status = getattr(error, "status", None)
            # A response of 101 that aiohttp does not accept carries a status too.
            if isinstance(status, int) and status != 101:
                watch.refused(status)
            else:
                report_failure(watch, error, started)
        raise
    with context.capture_internal_errors():
        _observe(response, session, watch, context)
    return response


def _observe(response: Any, session: Any, watch: Watch, context: PatchContext) -> None:
    next_message, end = response.receive, response.close
    connector = session.connector
    receiving, closing = 0, False

    async def receive(*args: Any, **kwargs: Any) -> Any:
        nonlocal receiving
        receiving += 1
        try:
            message = await next_message(*args, **kwargs)
        finally:
            receiving -= 1
        try:
            if message.type == _TEXT:
                watch.message(message.data)
            elif message.type in (_BINARY, _PING, _PONG):
                watch.frame(message.type, True, message.data)
            elif message.type == _CLOSE:
                watch.closed(message.data or 1005, message.extra or "")
            elif message.type.name in ("CLOSED", "ERROR"):
                watch.lost(by_client=closing or session.closed or connector.closed)
        except Exception as error:
            context.record_internal_error(error)
        return message

    async def close(*args: Any, **kwargs: Any) -> Any:
        nonlocal closing
        # `receive` closes by itself, once it has set the close code.
        by_application = not receiving or response.close_code is None
        closing = closing or by_application
        result = await end(*args, **kwargs)
        if by_application:
            with context.capture_internal_errors():
                watch.closed(response.close_code or 1005, "", by_client=True)
        return result

    response.receive, response.close = receive, close
    context.trace_call(
        response, "send_str", watch, lambda trace, data, *_, **__: trace.frame("client", _TEXT, True, data)
    )
    context.trace_call(
        response, "send_bytes", watch, lambda trace, data, *_, **__: trace.frame("client", _BINARY, True, data)
    )
    context.observe_sent(response, "send_str", "data", watch)
