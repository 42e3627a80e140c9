"""An application with another tool in it: run in the tool's environment, it prints what it saw as JSON.

    program.py TOOL first|last URL

It connects with each of its clients while both are active, after the shim was removed, and after the tool was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

GOOD = {"Authorization": "Bearer sk-good"}
BAD = {"Authorization": "Bearer sk-bad"}
QUERY = "?intent=transcription&model=whisper-1"

seen: list[str] = []
"""What the tool recorded in this round."""


# -- the tools: each is started by a function, which returns the one that ends it, or None where it has none


def ddtrace() -> Callable[[], None]:
    import ddtrace
    from ddtrace.contrib.internal.aiohttp.patch import unpatch
    from ddtrace.trace import TraceFilter, tracer

    class Recorder(TraceFilter):
        def process_trace(self, trace: Any) -> None:
            seen.extend(span.name for span in trace)

    tracer.configure(trace_processors=[Recorder()])
    ddtrace.patch(aiohttp=True)
    return unpatch


def opentelemetry() -> Callable[[], None]:
    from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

    instrumentor = AioHttpClientInstrumentor()
    instrumentor.instrument(tracer_provider=_tracer_provider())
    return instrumentor.uninstrument


def opentelemetry_openai() -> Callable[[], None]:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=_tracer_provider())
    return instrumentor.uninstrument


def _tracer_provider() -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    class Recorder(SpanExporter):
        def export(self, spans: Any) -> Any:
            seen.extend(span.name for span in spans)
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Recorder()))
    return provider


def sentry() -> None:
    import sentry_sdk

    def breadcrumb(crumb: Any, hint: Any) -> Any:
        seen.append(f"{crumb['category']} {crumb.get('message') or crumb.get('data', {}).get('url', '')}")
        return crumb

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:1/1",
        transport=lambda event: None,
        before_breadcrumb=breadcrumb,
        default_integrations=True,
        auto_session_tracking=False,
    )


TOOLS = {
    "ddtrace": ddtrace,
    "opentelemetry": opentelemetry,
    "opentelemetry-openai": opentelemetry_openai,
    "sentry": sentry,
}


# -- the clients: each connects and returns the first event's type or its error's code


async def aiohttp_client(url: str, headers: dict[str, str]) -> str:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.ws_connect(url + QUERY, headers=headers) as connection:
        first = await connection.receive_json()
        if first["type"] == "error":
            await connection.receive()
        return _outcome(first)


async def websockets_client(url: str, headers: dict[str, str]) -> str:
    from websockets.asyncio.client import connect

    async with connect(url + QUERY, additional_headers=headers) as connection:
        first = json.loads(await connection.recv())
        if first["type"] == "error":
            await connection.wait_closed()
        return _outcome(first)


async def websockets_sync_client(url: str, headers: dict[str, str]) -> str:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(url + QUERY, additional_headers=headers) as connection:
        first = json.loads(connection.recv())
        if first["type"] == "error":
            with contextlib.suppress(ConnectionClosed):
                connection.recv()
        return _outcome(first)


async def openai_client(url: str, headers: dict[str, str]) -> str:
    import httpx
    import openai
    from websockets.exceptions import ConnectionClosed

    def answer(request: httpx.Request) -> httpx.Response:
        message = {"role": "assistant", "content": "hello"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return httpx.Response(
            200, json={"id": "1", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [choice]}
        )

    # What this tool instruments is the HTTP side: it goes on beside the socket.
    transport = httpx.MockTransport(answer)
    client = openai.AsyncOpenAI(
        api_key=headers["Authorization"].removeprefix("Bearer "),
        websocket_base_url=url.removesuffix("/realtime"),
        http_client=httpx.AsyncClient(transport=transport),
    )
    await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
    async with client.realtime.connect(model="whisper-1", extra_query={"intent": "transcription"}) as connection:
        first = json.loads(await connection.recv_bytes())
        if first["type"] == "error":
            with contextlib.suppress(ConnectionClosed):
                await connection.recv_bytes()
        return _outcome(first)


def _outcome(event: dict[str, Any]) -> str:
    return event["error"]["code"] if event["type"] == "error" else event["type"]


class Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.rows: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.rows.append(vars(record).get("rtstt_diagnosis") or record.getMessage())


def originals() -> list[Any]:
    """Return what must be in place again when everything is undone."""
    found = []
    for module, path in (
        ("aiohttp.client", "ClientSession.ws_connect"),
        ("aiohttp.client", "ClientSession._request"),
        ("aiohttp.client", "ClientSession.__init__"),
        ("websockets.client", "ClientProtocol.__init__"),
        ("websockets.asyncio.client", "connect.__await__"),
        ("openai.resources.chat.completions", "AsyncCompletions.create"),
    ):
        if module in sys.modules:
            owner, name = path.split(".")
            found.append(vars(getattr(sys.modules[module], owner))[name])
    return found


def main() -> None:
    tool, order, url = sys.argv[1:]
    clients = (
        [openai_client]
        if tool == "opentelemetry-openai"
        else [aiohttp_client, websockets_client, websockets_sync_client]
    )
    if tool == "opentelemetry-openai":
        import openai.resources.chat.completions  # noqa: F401
    else:
        import aiohttp  # noqa: F401
    import websockets.asyncio.client  # noqa: F401

    before = originals()
    end = TOOLS[tool]() if order == "first" else None
    import rtstt_shim

    warned = Warnings()
    logging.getLogger("rtstt_shim").addHandler(warned)
    if order == "last":
        end = TOOLS[tool]()

    def talk(headers: dict[str, str]) -> dict[str, Any]:
        seen.clear()
        warned.rows.clear()
        outcomes = [asyncio.run(client(url, headers)) for client in clients]
        return {"outcomes": outcomes, "tool": sorted(seen), "warned": list(warned.rows)}

    rounds = {"both": talk(GOOD), "both, a bad key": talk(BAD)}
    rtstt_shim.uninstall()
    rounds["the tool alone"] = talk(GOOD)
    rtstt_shim.install()
    if end is not None:
        end()
        rounds["the shim alone"] = talk(GOOD)
        rtstt_shim.uninstall()
        rounds["restored"] = originals() == before
    else:
        rtstt_shim.uninstall()
    rounds["left in place"] = [str(row.detail) for row in rtstt_shim.status().targets if row.detail]
    print(json.dumps(rounds))


if __name__ == "__main__":
    main()
