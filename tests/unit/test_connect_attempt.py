"""Connections that fail to open: one warning that says why, on every transport, and the client's own exception."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import socket
import ssl
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from endpoint import listening, serving, transcribe
from tracebacks import gained, messages, ours

import rtstt_shim
from rtstt_core import report
from rtstt_core.patching import connect_attempt

Records = list[logging.LogRecord]
Connect = Callable[..., None]

PATH = "/v1/realtime?intent=transcription&model=whisper-1"

pytestmark = pytest.mark.usefixtures("shim")


@pytest.fixture(autouse=True)
def native_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1")


# -- ways to connect: each raises what the client raises, and gives up after `timeout` seconds


def websockets_asyncio(url: str, timeout: float = 60) -> None:
    from websockets.asyncio.client import connect

    async def talk() -> None:
        async with connect(url, open_timeout=timeout):
            pass

    asyncio.run(talk())


def websockets_sync(url: str, timeout: float = 60) -> None:
    from websockets.sync.client import connect

    with connect(url, open_timeout=timeout):
        pass


def websockets_legacy(url: str, timeout: float = 60) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from websockets.legacy.client import connect

    async def talk() -> None:
        async with connect(url, open_timeout=timeout, close_timeout=timeout):
            pass

    asyncio.run(talk())


def websockets_trio(url: str, timeout: float = 60) -> None:
    trio = pytest.importorskip("trio")
    client = pytest.importorskip("websockets.trio.client", reason="websockets has it from 17 on")

    async def talk() -> None:
        async with client.connect(url, open_timeout=timeout):
            pass

    trio.run(talk)


def aiohttp_session(url: str, timeout: float = 60) -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def talk() -> None:
        # The resolver that asks `socket`, whatever else is installed.
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        limits = aiohttp.ClientTimeout(total=timeout)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limits) as session,
            session.ws_connect(url),
        ):
            pass

    asyncio.run(talk())


def websocket_client(url: str, timeout: float = 60) -> None:
    websocket = pytest.importorskip("websocket")
    connection = websocket.create_connection(url, timeout=timeout)
    connection.shutdown()


CONNECTS: dict[str, Connect] = {
    "websockets asyncio": websockets_asyncio,
    "websockets sync": websockets_sync,
    "websockets legacy": websockets_legacy,
    "websockets trio": websockets_trio,
    "aiohttp": aiohttp_session,
    "websocket-client": websocket_client,
}


@pytest.fixture(params=CONNECTS.values(), ids=CONNECTS.keys())
def connect(request: pytest.FixtureRequest) -> Connect:
    return request.param


def raised(connect: Connect, url: str, **options: Any) -> BaseException:
    with pytest.raises(Exception) as caught:
        connect(url, **options)
    return caught.value


# -- servers that do not speak the protocol


def only(records: Records) -> dict[str, Any]:
    [record] = records
    return vars(record)


def test_a_name_that_does_not_resolve(
    connect: Connect, warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*args: Any, **kwargs: Any) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    raised(connect, "wss://nowhere.api.openai.com" + PATH)
    record = only(warnings_logged)
    assert record["rtstt_diagnosis"] == "connect-dns"
    assert record["rtstt_cause"] == "dns"
    assert record["rtstt_url"] == "wss://nowhere.api.openai.com/v1/realtime?intent=transcription"


def test_a_port_that_refuses_connections(connect: Connect, warnings_logged: Records, refusing_port: int) -> None:
    raised(connect, f"ws://127.0.0.1:{refusing_port}{PATH}")
    assert only(warnings_logged)["rtstt_diagnosis"] == "connect-refused"


def test_a_server_that_does_not_speak_tls(connect: Connect, warnings_logged: Records) -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        raised(connect, f"wss://127.0.0.1:{port}{PATH}")
    assert only(warnings_logged)["rtstt_diagnosis"] == "connect-tls"


def test_a_certificate_that_is_not_trusted(connect: Connect, warnings_logged: Records) -> None:
    trustme = pytest.importorskip("trustme")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with serving(transcribe, ssl=context) as endpoint:
        raised(connect, f"wss://127.0.0.1:{endpoint.port}{PATH}")
    record = only(warnings_logged)
    assert record["rtstt_diagnosis"] == "connect-tls"
    assert "CERTIFICATE_VERIFY_FAILED" in record["rtstt_message"]


def test_a_server_that_never_answers_the_handshake(connect: Connect, warnings_logged: Records) -> None:
    with listening(None) as port:
        raised(connect, f"ws://127.0.0.1:{port}{PATH}", timeout=0.1)
    assert only(warnings_logged)["rtstt_diagnosis"] == "connect-timeout"


def test_a_server_that_never_answers_the_tls_handshake(connect: Connect, warnings_logged: Records) -> None:
    with listening(None) as port:
        raised(connect, f"wss://127.0.0.1:{port}{PATH}", timeout=0.1)
    assert only(warnings_logged)["rtstt_diagnosis"] == "connect-timeout"


def test_a_server_that_hangs_up_before_it_answers(connect: Connect, warnings_logged: Records) -> None:
    with listening(b"") as port:
        raised(connect, f"ws://127.0.0.1:{port}{PATH}")
    assert only(warnings_logged)["rtstt_kind"] == "connect"


def test_an_answer_of_101_that_is_no_websocket_handshake(connect: Connect, warnings_logged: Records) -> None:
    with listening(b"HTTP/1.1 101 Switching Protocols\r\n\r\n") as port:
        raised(connect, f"ws://127.0.0.1:{port}{PATH}")
    record = only(warnings_logged)
    assert record["rtstt_diagnosis"] == "connect-other"
    assert record["rtstt_status"] is None


# -- the application: what it sees is what it would have seen


FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [("ws", None), ("ws", b""), ("ws", FORBIDDEN), ("wss", FORBIDDEN)],
    ids=["silent", "ended", "HTTP 403", "no TLS"],
)
def test_the_exception_is_the_clients_own_and_its_traceback_gains_one_line(
    scheme: str, answer: bytes | None, connect: Connect, warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its clock stands still, so that the time is over where it waits for the answer, and nowhere before.
    monkeypatch.setattr("websockets.sync.utils.time", types.SimpleNamespace(monotonic=lambda: 0.0))
    with listening(answer) as port:
        url = f"{scheme}://127.0.0.1:{port}{PATH}"
        rtstt_shim.uninstall()
        timeout = 0.2 if answer is None else 60
        without = raised(connect, url, timeout=timeout)
        rtstt_shim.install()
        seen = raised(connect, url, timeout=timeout)
    assert len(warnings_logged) == 1
    assert messages(seen) == messages(without)
    assert gained(seen, without) == 1


def test_a_loop_that_connects_again_and_again_is_one_warning(
    warnings_logged: Records, monkeypatch: pytest.MonkeyPatch, refusing_port: int
) -> None:
    from websockets.asyncio.client import connect

    attempts = 0

    def again(error: Exception) -> Exception | None:
        nonlocal attempts
        attempts += 1
        return error if attempts == 4 else None

    async def no_pause(seconds: float) -> None: ...

    async def talk() -> None:
        async for _ in connect(f"ws://127.0.0.1:{refusing_port}{PATH}", process_exception=again):
            pass

    monkeypatch.setattr(asyncio, "sleep", no_pause)
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(talk())
    assert attempts == 4
    [record] = warnings_logged
    assert vars(record)["rtstt_diagnosis"] == "connect-refused"
    [storm] = report._reported.values()
    assert storm.repeats == 3


def test_an_attempt_that_the_application_cancels_at_once_is_no_failure(
    warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect_attempt, "_TIMEOUT_SECONDS", 60)
    from websockets.asyncio.client import connect

    async def talk(url: str) -> None:
        attempt = asyncio.ensure_future(connect(url))
        assert await asyncio.to_thread(accepted.acquire, timeout=60)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt

    accepted = threading.Semaphore(0)
    with listening(None, accepted) as port:
        asyncio.run(talk(f"ws://127.0.0.1:{port}{PATH}"))
    assert warnings_logged == []


async def wait_for_websockets(url: str, seconds: float) -> None:
    from websockets.asyncio.client import connect

    await asyncio.wait_for(connect(url), seconds)


async def wait_for_websockets_legacy(url: str, seconds: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from websockets.legacy.client import connect

    await asyncio.wait_for(connect(url, close_timeout=1), seconds)


async def wait_for_aiohttp(url: str, seconds: float) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    async with aiohttp.ClientSession() as session:
        await asyncio.wait_for(session.ws_connect(url), seconds)


WAITS = [wait_for_websockets, wait_for_websockets_legacy, wait_for_aiohttp]


@pytest.mark.parametrize("wait", [wait_for_websockets, wait_for_aiohttp], ids=lambda wait: wait.__name__)
def test_a_timeout_of_the_applications_own_is_one_warning(
    wait: Callable[..., Any], warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect_attempt, "_TIMEOUT_SECONDS", 0)  # whenever the attempt began
    with listening(None) as port, pytest.raises(asyncio.TimeoutError):
        asyncio.run(wait(f"ws://127.0.0.1:{port}{PATH}", 0.2))
    record = only(warnings_logged)
    assert record["rtstt_diagnosis"] == "connect-timeout"
    assert record["rtstt_cause"] == "timeout"
    assert re.search(r"the application cancelled the attempt after \d+\.\d s", record["rtstt_message"])


@pytest.mark.parametrize("wait", WAITS, ids=lambda wait: wait.__name__)
def test_an_attempt_that_is_cancelled_early_is_no_failure(
    wait: Callable[..., Any], warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect_attempt, "_TIMEOUT_SECONDS", 60)
    with listening(None) as port, pytest.raises(asyncio.TimeoutError):
        asyncio.run(wait(f"ws://127.0.0.1:{port}{PATH}", 0.1))
    assert warnings_logged == []


def test_a_timeout_of_trios_is_one_warning(warnings_logged: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect_attempt, "_TIMEOUT_SECONDS", 0)
    trio = pytest.importorskip("trio")
    client = pytest.importorskip("websockets.trio.client", reason="websockets has it from 17 on")

    async def talk(url: str) -> None:
        with trio.move_on_after(0.2):
            async with client.connect(url):
                pass

    with listening(None) as port:
        trio.run(talk, f"ws://127.0.0.1:{port}{PATH}")
    assert only(warnings_logged)["rtstt_cause"] == "timeout"


def test_a_correction_is_counted_though_the_connection_never_opens(refusing_port: int) -> None:
    corrected = rtstt_shim.status().corrected
    for user in ("", "user:word@"):
        raised(websockets_asyncio, f"ws://{user}127.0.0.1:{refusing_port}{PATH}")
    assert rtstt_shim.status().corrected == corrected + 2


def test_a_correction_is_counted_once() -> None:
    corrected = rtstt_shim.status().corrected
    with serving(transcribe) as endpoint:
        for url in (endpoint.url(), endpoint.url().replace("ws://", "ws://user:word@")):
            websockets_asyncio(url)
    assert rtstt_shim.status().corrected == corrected + 2


def test_uninstalled_while_it_connects_nothing_is_logged(warnings_logged: Records) -> None:
    from websockets.asyncio.client import connect

    async def talk(url: str) -> None:
        attempt = asyncio.ensure_future(connect(url))
        assert await asyncio.to_thread(accepted.acquire, timeout=60)
        rtstt_shim.uninstall()
        release.set()
        with pytest.raises(Exception):  # noqa: B017
            await attempt

    accepted, release = threading.Semaphore(0), threading.Event()
    with listening(b"", accepted, release) as port:
        asyncio.run(talk(f"ws://127.0.0.1:{port}{PATH}"))
    assert warnings_logged == []


@pytest.mark.parametrize("name", ["websockets asyncio", "websockets legacy"])
def test_a_redirect_to_nowhere_is_a_failure_of_its_destination(
    name: str, warnings_logged: Records, refusing_port: int
) -> None:
    nowhere = f"ws://127.0.0.1:{refusing_port}{PATH}"
    with listening(f"HTTP/1.1 302 Found\r\nLocation: {nowhere}\r\nContent-Length: 0\r\n\r\n".encode()) as port:
        raised(CONNECTS[name], f"ws://127.0.0.1:{port}{PATH}")
    assert only(warnings_logged)["rtstt_diagnosis"] == "connect-refused"


@pytest.mark.parametrize("name", ["websockets asyncio", "websockets legacy"])
def test_redirects_without_end_are_one_failure(name: str, warnings_logged: Records) -> None:
    with listening(f"HTTP/1.1 302 Found\r\nLocation: {PATH}\r\nContent-Length: 0\r\n\r\n".encode()) as port:
        raised(CONNECTS[name], f"ws://127.0.0.1:{port}{PATH}")
    record = only(warnings_logged)
    assert record["rtstt_diagnosis"] == "connect-other"
    assert "redirects" in record["rtstt_message"]


def test_a_connection_opened_within_a_callback_of_another_has_a_watch_of_its_own(warnings_logged: Records) -> None:
    """Tasks that begin while a connection is being opened keep its context for as long as they live."""
    from websockets.asyncio.client import connect

    async def talk(url: str, nowhere: str) -> None:
        contexts: list[contextvars.Context] = []

        def kept(*args: Any, **kwargs: Any) -> Any:
            contexts.append(contextvars.copy_context())
            return ClientConnection(*args, **kwargs)

        async with connect(url, create_connection=kept):
            protocol = contexts[0].run(ClientProtocol, parse_uri(nowhere))
        protocol.receive_eof()

    from websockets.asyncio.client import ClientConnection
    from websockets.client import ClientProtocol
    from websockets.uri import parse_uri

    with serving(lambda connection: list(connection)) as endpoint:  # type: ignore[arg-type,return-value]
        asyncio.run(talk(endpoint.url(), "ws://127.0.0.1:1/v1/realtime?intent=transcription"))
    assert only(warnings_logged)["rtstt_url"] == "ws://127.0.0.1:1/v1/realtime?intent=transcription"


def test_other_connections_are_opened_without_a_frame_of_the_shim(
    connect: Connect, warnings_logged: Records, refusing_port: int
) -> None:
    error = raised(connect, f"ws://127.0.0.1:{refusing_port}/v1/chat")
    # A function that is not a coroutine calls the client's own.
    assert ours(error) == (connect in (websocket_client, websockets_sync))
    assert warnings_logged == []
