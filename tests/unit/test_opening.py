"""Connections that do not come about: one warning that says why, on every transport, and the client's own exception."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import websockets
from endpoint import Endpoint, serving, transcribe

import rtstt_shim
from rtstt_shim.targets import opening as opening_module

Records = list[logging.LogRecord]
Connect = Callable[..., None]

PATH = "/v1/realtime?intent=transcription&model=whisper-1"
WEBSOCKETS = tuple(int(part) for part in websockets.__version__.split(".")[:2])

pytestmark = pytest.mark.usefixtures("shim")


@pytest.fixture(autouse=True)
def native_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1")


# -- ways to connect: each raises what the client raises, and gives up after `timeout` seconds


def websockets_asyncio(url: str, timeout: float = 10) -> None:
    from websockets.asyncio.client import connect

    async def talk() -> None:
        async with connect(url, open_timeout=timeout, proxy=None) if WEBSOCKETS >= (15, 0) else connect(
            url, open_timeout=timeout
        ):
            pass

    asyncio.run(talk())


def websockets_sync(url: str, timeout: float = 10) -> None:
    from websockets.sync.client import connect

    with connect(url, open_timeout=timeout):
        pass


def websockets_legacy(url: str, timeout: float = 10) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from websockets.legacy.client import connect

    async def talk() -> None:
        async with connect(url, open_timeout=timeout):
            pass

    asyncio.run(talk())


def websockets_trio(url: str, timeout: float = 10) -> None:
    trio = pytest.importorskip("trio")
    client = pytest.importorskip("websockets.trio.client", reason="websockets has it from 17 on")

    async def talk() -> None:
        async with client.connect(url, open_timeout=timeout):
            pass

    trio.run(talk)


def aiohttp_session(url: str, timeout: float = 10) -> None:
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


def websocket_client(url: str, timeout: float = 10) -> None:
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


# -- servers that are none


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """A server that answers whoever connects with these bytes; with None it accepts and is silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        open_: list[socket.socket] = []

        def work() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    if answer is None:
                        open_.append(connection)
                        continue
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=work)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in open_:
            connection.close()


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


def test_a_port_that_nobody_listens_at(connect: Connect, warnings_logged: Records) -> None:
    raised(connect, f"ws://127.0.0.1:{unused_port()}{PATH}")
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
