"""Routing: an unmodified client that opens a socket to a routed name talks to the server the route names."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import openai
import pytest
import websocket
import websockets.asyncio.client
import websockets.sync.client
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from rtstt_testkit.routing import activate_from_env, clients, environment, route, route_env
from rtstt_testkit.routing.relay import Relay

if sys.version_info < (
    3,
    11,
):  # whose asyncio says so of every client whose server closed a TLS connection first
    pytestmark = pytest.mark.filterwarnings("ignore:unclosed transport <asyncio.sslproto:ResourceWarning")

NATIVE = "wss://api.openai.com/v1/realtime?intent=transcription"


class Echo:
    """A plain WebSocket server that sends every message back and remembers who asked for what."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self._connections: list[ServerConnection] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> Echo:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(self._echo, "127.0.0.1", 0, process_request=self._remember, max_size=None) as server:
            self.address = server.sockets[0].getsockname()
            self._ready.set()
            await self._stop.wait()

    def _remember(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append((request.headers["Host"], request.path))
        self._connections.append(connection)
        return connection.respond(200, "plain") if request.path == "/plain" else None

    def settle(self) -> None:
        """Wait until every connection has ended on this side too."""

        async def ended() -> None:
            await asyncio.gather(*(connection.wait_closed() for connection in self._connections))

        asyncio.run_coroutine_threadsafe(ended(), self._loop).result(60)

    async def _echo(self, connection: ServerConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in connection:
                await connection.send(message)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def what_was_there_is_not_searched() -> Iterator[None]:
    """Each test looks for garbage of its own: a search of all modules takes longer than most of the tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of another file's tests
        gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No thread, no patch, no open socket and no complaint of asyncio is left behind."""
    patched = [socket.getaddrinfo, ssl.SSLContext.wrap_socket, ssl.SSLContext.wrap_bio]
    environ = dict(os.environ)
    yield
    assert patched == [socket.getaddrinfo, ssl.SSLContext.wrap_socket, ssl.SSLContext.wrap_bio]
    assert dict(os.environ) == {**environ, "PYTEST_CURRENT_TEST": os.environ["PYTEST_CURRENT_TEST"]}
    assert "rtstt-relay" not in [thread.name for thread in threading.enumerate()]
    gc.collect()  # a socket or a transport that is not closed warns here, and warnings are errors
    assert not [record for record in caplog.records if record.name == "asyncio" and record.levelno > 20]


# -- real clients


async def _websockets_asyncio(url: str) -> str | bytes:
    async with websockets.asyncio.client.connect(url) as connection:
        await connection.send("hello")
        return await connection.recv()


async def _websockets_legacy(url: str) -> str | bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from websockets.legacy.client import connect
    async with connect(url) as connection:
        await connection.send("hello")
        return await connection.recv()


async def _aiohttp(url: str, resolver: Callable[[], Any]) -> str:
    connector = aiohttp.TCPConnector(resolver=resolver())
    async with aiohttp.ClientSession(connector=connector) as session, session.ws_connect(url) as connection:
        await connection.send_str("hello")
        answer = await connection.receive_str()
        ended = connection._conn.protocol.closed  # type: ignore[union-attr]
    await asyncio.wait_for(ended, 60)  # aiohttp does not wait for TLS to end
    return answer


async def _httpx(url: str) -> str:
    async with httpx.AsyncClient() as client:
        response = await client.get(url.replace("ws", "http", 1))
    return response.text


ASYNC_CLIENTS: dict[str, Callable[[str], Any]] = {
    "websockets.asyncio": _websockets_asyncio,
    "websockets.legacy": _websockets_legacy,
    "aiohttp with the system's resolver": lambda url: _aiohttp(url, aiohttp.ThreadedResolver),
    "aiohttp with aiodns": lambda url: _aiohttp(url, aiohttp.AsyncResolver),
}


def _websockets_sync(url: str) -> str | bytes:
    with websockets.sync.client.connect(url) as connection:
        connection.send("hello")
        return connection.recv()


def _websocket_client(url: str) -> str | bytes:
    connection = websocket.create_connection(url)
    connection.send("hello")
    answer = connection.recv()
    connection.close()
    return answer


SYNC_CLIENTS: dict[str, Callable[[str], Any]] = {
    "websockets.sync": _websockets_sync,
    "websocket-client": _websocket_client,
}


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    if request.param == "uvloop":
        return pytest.importorskip("uvloop").run  # type: ignore[no-any-return]
    return asyncio.run


@pytest.mark.parametrize("url", [NATIVE, NATIVE.replace("api", "API"), NATIVE.replace("wss", "ws")])
@pytest.mark.parametrize("client", ASYNC_CLIENTS)
def test_async_clients_reach_the_server_under_the_true_name(
    client: str, url: str, run: Callable[[Any], Any], echo: Echo
) -> None:
    with route({"api.openai.com": echo.address}):
        assert run(ASYNC_CLIENTS[client](url)) == "hello"
    [(host, path)] = echo.requests
    assert (host.lower(), path) == ("api.openai.com", "/v1/realtime?intent=transcription")


@pytest.mark.parametrize("url", [NATIVE, NATIVE.replace("api", "API"), NATIVE.replace("wss", "ws")])
@pytest.mark.parametrize("client", SYNC_CLIENTS)
def test_sync_clients_reach_the_server_under_the_true_name(client: str, url: str, echo: Echo) -> None:
    with route({"api.openai.com": echo.address}):
        assert SYNC_CLIENTS[client](url) == "hello"
    [(host, path)] = echo.requests
    assert (host.lower(), path) == ("api.openai.com", "/v1/realtime?intent=transcription")


def test_a_trailing_dot_is_the_same_host_whether_the_client_strips_it_or_not(
    echo: Echo, run: Callable[[Any], Any]
) -> None:
    with route({"eu.api.openai.com": echo.address}):
        for client in [*ASYNC_CLIENTS.values()]:
            assert run(client("wss://eu.api.openai.com./v1/realtime")) == "hello"
        for client in SYNC_CLIENTS.values():
            assert client("wss://eu.api.openai.com./v1/realtime") == "hello"
    assert {host for host, _ in echo.requests} == {"eu.api.openai.com", "eu.api.openai.com."}


def test_httpx_and_the_openai_sdk_reach_the_server_by_https_and_http(echo: Echo, run: Callable[[Any], Any]) -> None:
    with route({"api.openai.com": echo.address}):
        assert httpx.get("https://api.openai.com/plain").text == "plain"
        assert run(_httpx("wss://api.openai.com/plain")) == "plain"
        assert run(_httpx("ws://api.openai.com/plain")) == "plain"
        with openai.OpenAI(api_key="sk-test", max_retries=0) as client:
            assert client.get("/../plain", cast_to=httpx.Response).text == "plain"
    assert {path for _, path in echo.requests} == {"/plain"}


def test_anyio_and_uvloop_check_the_certificate_against_the_name_they_were_given(
    echo: Echo, run: Callable[[Any], Any]
) -> None:
    import anyio

    async def peer_names() -> list[Any]:
        async with await anyio.connect_tcp("api.openai.com", 443, tls=True) as stream:
            certificate = stream.extra(anyio.streams.tls.TLSAttribute.peer_certificate)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(
            asyncio.Protocol, "api.openai.com", 443, ssl=ssl.create_default_context()
        )
        again = transport.get_extra_info("peercert")
        transport.abort()
        return [certificate["subjectAltName"], again["subjectAltName"]]

    with route({"api.openai.com": echo.address}):
        names = run(peer_names())
    assert names == [(("DNS", "api.openai.com"), ("DNS", "api.openai.com."))] * 2


def test_uvloop_resolves_routed_names_only(echo: Echo) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def resolve(host: str) -> Any:
        return await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)

    with route({"api.openai.com": echo.address}):
        [(_, _, _, _, routed)] = uvloop.run(resolve("api.openai.com"))
        [(_, _, _, _, other)] = uvloop.run(resolve("127.0.0.1"))
    assert routed != other == ("127.0.0.1", 443)
    assert "create_connection" not in vars(uvloop.Loop)
    assert "getaddrinfo" not in vars(uvloop.Loop)


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("uvloop", "Loop.create_connection"),
        ("aiohttp", "resolver.AsyncResolver.resolve"),
        ("anyio", "connect_tcp"),
    ],
)
def test_libraries_imported_later_are_routed_too_and_left_alone_afterwards(module: str, attribute: str) -> None:
    program = f"""
import importlib, operator
from rtstt_testkit.routing import route
with route({{"api.openai.com": ("127.0.0.1", 9)}}):
    module = importlib.import_module("{module}")
    inside = operator.attrgetter("{attribute}")(module)
outside = operator.attrgetter("{attribute}")(module)
assert inside.__wrapped__ is outside, (inside, outside)
with route({{"api.openai.com": ("127.0.0.1", 9)}}):
    assert operator.attrgetter("{attribute}")(module) is not outside
assert operator.attrgetter("{attribute}")(module) is outside
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_library_imported_after_the_routes_ended_is_untouched() -> None:
    program = """
from rtstt_testkit.routing import route
with route({"api.openai.com": ("127.0.0.1", 9)}):
    pass
import anyio
assert not hasattr(anyio.connect_tcp, "__wrapped__")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_release_of_a_library_without_the_patched_name_works_as_before(
    monkeypatch: pytest.MonkeyPatch, echo: Echo
) -> None:
    pytest.importorskip("uvloop")
    monkeypatch.delattr("uvloop.Loop")
    monkeypatch.delattr("anyio.connect_tcp")
    with route({"api.openai.com": echo.address}):
        assert _websockets_sync(NATIVE) == "hello"


# -- what is routed, and what is not


def test_other_names_are_left_alone(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def resolver(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    others = [
        "openai.com",
        "xapi.openai.com",
        "us.api.openai.com",
        "api.openai.com.evil.test",
        "api.openai.com..",
    ]
    with route({"api.openai.com": echo.address}):
        for host in others:
            with pytest.raises(socket.gaierror):
                socket.create_connection((host, 443))
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo(None, 443)
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("", 443)
        assert socket.getaddrinfo(host=b"api.openai.com", port=443)[0][4][0] == "127.0.0.1"
    assert asked == [*others, None, ""]
    assert echo.requests == []


def test_other_names_are_resolved_and_reached_as_ever(echo: Echo, run: Callable[[Any], Any]) -> None:
    here = f"ws://localhost:{echo.address[1]}"
    with route({"api.openai.com": ("127.0.0.1", 9)}):
        for client in ASYNC_CLIENTS.values():
            assert run(client(f"{here}/v1")) == "hello"
        assert run(_httpx(f"{here}/plain")) == "plain"


def test_certificates_of_other_hosts_are_not_vouched_for(echo: Echo) -> None:
    with Relay({"api.openai.com": echo.address}) as relay:
        with (
            socket.create_connection(relay.addresses["api.openai.com"]) as raw,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            ssl.create_default_context().wrap_socket(raw, server_hostname="api.openai.com")
        assert "BEGIN CERTIFICATE" in relay.ca_pem
        assert "PRIVATE KEY" not in relay.ca_pem
    assert echo.requests == []


def test_routes_nest_and_the_inner_one_wins_for_its_names(echo: Echo) -> None:
    with Echo() as inner:
        with route({"api.openai.com": echo.address, "eu.api.openai.com": echo.address}):
            with route({"api.openai.com": inner.address}):
                _websockets_sync("wss://api.openai.com/1")
                _websockets_sync("wss://eu.api.openai.com/2")
            _websockets_sync("wss://api.openai.com/3")
        assert [path for _, path in inner.requests] == ["/1"]
    assert [path for _, path in echo.requests] == ["/2", "/3"]


def test_someone_who_wraps_the_resolver_meanwhile_keeps_the_wrapper(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = socket.getaddrinfo
    with route({"api.openai.com": echo.address}):
        ours = socket.getaddrinfo

        def theirs(*args: Any, **kwargs: Any) -> Any:
            return ours(*args, **kwargs)

        socket.getaddrinfo = theirs
    try:
        assert socket.getaddrinfo is theirs
        assert socket.getaddrinfo("127.0.0.1", 80)[0][4] == ("127.0.0.1", 80)
    finally:
        socket.getaddrinfo = original


def test_a_configured_proxy_does_not_get_the_routed_connections(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "intranet")
    with route({"api.openai.com": echo.address}):
        assert os.environ["no_proxy"] == "intranet,api.openai.com,api.openai.com."
        assert _websockets_sync(NATIVE) == "hello"
        assert httpx.get("https://api.openai.com/plain").text == "plain"
    assert os.environ["NO_PROXY"] == "intranet"
    assert "no_proxy" not in os.environ


# -- the relay: ends, resets, floods


@pytest.fixture
def pair() -> Iterator[Callable[[bool], tuple[socket.socket, socket.socket]]]:
    """Open connections through a relay: (the client's end, the server's end)."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        relay = stack.enter_context(Relay({"api.openai.com": listener.getsockname()}))
        context = ssl.create_default_context(cadata=relay.ca_pem)

        def connect(tls: bool) -> tuple[socket.socket, socket.socket]:
            client = stack.enter_context(socket.create_connection(relay.addresses["api.openai.com"]))
            if tls:
                client = stack.enter_context(context.wrap_socket(client, server_hostname="api.openai.com"))
            else:
                client.sendall(b"?")
            server = stack.enter_context(listener.accept()[0])
            if not tls:
                assert server.recv(1) == b"?"
            for end in (client, server):
                end.settimeout(60)
            return client, server

        yield connect


def _expect_reset(sock: socket.socket) -> None:
    """Look at the connection itself: `ssl` reports some resets as an orderly end."""
    with socket.socket(fileno=os.dup(sock.fileno())) as raw:
        raw.settimeout(60)
        with pytest.raises(ConnectionResetError):
            assert b"".join(iter(lambda: raw.recv(1000), b"")) is None


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


tls_or_not = pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
Pair = Callable[[bool], tuple[socket.socket, socket.socket]]


@tls_or_not
def test_a_reset_by_the_server_is_a_reset_for_the_client(pair: Pair, tls: bool) -> None:
    client, server = pair(tls)
    client.sendall(b"a")
    assert server.recv(1) == b"a"
    _reset(server)
    _expect_reset(client)


@tls_or_not
def test_a_reset_by_the_client_is_a_reset_for_the_server(pair: Pair, tls: bool) -> None:
    client, server = pair(tls)
    client.sendall(b"a")
    assert server.recv(1) == b"a"
    _reset(client)
    with pytest.raises(ConnectionResetError):
        server.recv(1)


@tls_or_not
def test_an_orderly_end_by_the_server_is_one_for_the_client(pair: Pair, tls: bool) -> None:
    client, server = pair(tls)
    server.sendall(b"last words")
    server.close()
    assert b"".join(iter(lambda: client.recv(100), b"")) == b"last words"
    if tls:
        client.close()


@tls_or_not
def test_an_orderly_end_by_the_client_is_one_for_the_server(pair: Pair, tls: bool) -> None:
    client, server = pair(tls)
    client.sendall(b"last words")
    if isinstance(client, ssl.SSLSocket):
        client.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            client.unwrap()
        client.settimeout(60)
        assert b"".join(iter(lambda: server.recv(100), b"")) == b"last words"
        server.close()
        client = client.unwrap()  # the server's end has arrived as an end, too
        assert client.recv(1) == b""
    else:
        client.close()
        assert b"".join(iter(lambda: server.recv(100), b"")) == b"last words"


@tls_or_not
def test_half_a_close_leaves_the_other_half_open(pair: Pair, tls: bool) -> None:
    client, server = pair(tls)
    server.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    client.sendall(b"still here")
    assert server.recv(100) == b"still here"


def test_half_a_close_by_the_client_leaves_the_other_half_open(pair: Pair) -> None:
    client, server = pair(False)
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    server.sendall(b"still here")
    assert client.recv(100) == b"still here"
    server.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""


@tls_or_not
def test_a_slow_reader_gets_every_byte_and_stops_the_writer(pair: Pair, tls: bool) -> None:
    client, server = pair(tls)
    block = bytes(range(256)) * 4096
    for writer, reader in ((client, server), (server, client)):
        # More than the relay and the kernel hold between them: the writer has to wait for the reader.
        writer.settimeout(0.2)
        written = 0
        with contextlib.suppress(TimeoutError, ssl.SSLWantWriteError):
            while written < 64 * len(block):
                written += writer.send(block)
        assert written < 64 * len(block)
        received = bytearray()
        while len(received) < written:
            received += reader.recv(1 << 20)
        assert received == (block * 65)[: len(received)]


def test_a_client_that_refuses_the_certificate_ends_the_servers_side_too() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Relay({"a.test": listener.getsockname()}) as relay,
    ):
        with (
            socket.create_connection(relay.addresses["a.test"]) as client,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            ssl.create_default_context().wrap_socket(client, server_hostname="a.test")
        server, _ = listener.accept()
        with server, contextlib.suppress(ConnectionResetError):
            assert server.recv(1) == b""


def test_a_client_that_leaves_without_a_word_ends_the_servers_side() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Relay({"a.test": listener.getsockname()}) as relay,
    ):
        for leave in (socket.socket.close, _reset):
            client = socket.create_connection(relay.addresses["a.test"])
            server, _ = listener.accept()
            leave(client)
            with server, contextlib.suppress(ConnectionResetError):
                assert server.recv(1) == b""


def test_a_client_that_sends_nothing_still_gets_the_servers_answer() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Relay({"a.test": listener.getsockname()}) as relay,
        socket.create_connection(relay.addresses["a.test"], 60) as client,
    ):
        server, _ = listener.accept()
        client.shutdown(socket.SHUT_WR)
        with server:
            assert server.recv(1) == b""
            server.sendall(b"408 Request Timeout")
        assert client.recv(100) == b"408 Request Timeout"
        assert client.recv(100) == b""


def test_a_client_that_stops_within_the_tls_handshake_is_let_go() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Relay({"a.test": listener.getsockname()}) as relay,
        socket.create_connection(relay.addresses["a.test"], 60) as client,
    ):
        server, _ = listener.accept()
        client.sendall(b"\x16\x03\x01")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        with server:
            assert server.recv(1) == b""


def test_a_server_that_is_not_there_resets_the_client(refusing_port: int) -> None:
    with (
        Relay({"a.test": ("127.0.0.1", refusing_port)}) as relay,
        pytest.raises(ConnectionResetError),  # often while connecting already
        socket.create_connection(relay.addresses["a.test"]) as client,
    ):
        client.recv(1)


def test_leaving_ends_what_is_open_at_whatever_point_it_is(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    listeners: list[socket.socket] = []
    create_server = socket.create_server

    def keep(*args: Any, **kwargs: Any) -> socket.socket:
        listeners.append(create_server(*args, **kwargs))
        return listeners[-1]

    monkeypatch.setattr(socket, "create_server", keep)
    with contextlib.ExitStack() as stack:
        with Relay({"api.openai.com": echo.address}) as relay:
            address = relay.addresses["api.openai.com"]
            assert [listener.getsockname() for listener in listeners] == [address]
            context = ssl.create_default_context(cadata=relay.ca_pem)
            silent = stack.enter_context(socket.create_connection(address))
            plain = stack.enter_context(socket.create_connection(address))
            plain.sendall(b"GET")
            stalled = stack.enter_context(socket.create_connection(address))
            stalled.sendall(b"\x16\x03")
            raw = stack.enter_context(socket.create_connection(address))
            tls = stack.enter_context(context.wrap_socket(raw, server_hostname="api.openai.com"))
            tls.sendall(b"GET")
        for end in (silent, plain, stalled, tls):
            with contextlib.suppress(OSError):
                assert end.recv(1) == b""
        # Not by connecting: another program may have the port by now.
        assert [listener.fileno() for listener in listeners] == [-1]


def test_the_relay_outlives_a_refusal_to_accept(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    accept = asyncio.SelectorEventLoop.sock_accept
    refusals = iter([OSError(24, "Too many open files")])

    async def sock_accept(self: Any, sock: socket.socket) -> Any:
        for refusal in refusals:
            raise refusal
        return await accept(self, sock)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_accept", sock_accept)
    with route({"api.openai.com": echo.address}):
        assert _websockets_sync(NATIVE) == "hello"


# -- the environment of children


def test_a_child_process_is_routed_by_its_environment(echo: Echo) -> None:
    program = f"""
from rtstt_testkit.routing import activate_from_env
activate_from_env()
from websockets.sync.client import connect
with connect("{NATIVE}") as connection:
    connection.send("hello from the child")
    print(connection.recv())
"""
    with route_env({"api.openai.com": echo.address}) as additions:
        child = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **additions},
            check=True,
            capture_output=True,
            text=True,
        )
        ca = Path(additions["RTSTT_TESTKIT_CA"])
        assert ca.exists()
    assert child.stdout == "hello from the child\n"
    assert child.stderr == ""
    assert sorted(additions) == ["NO_PROXY", "RTSTT_TESTKIT_CA", "RTSTT_TESTKIT_ROUTES", "no_proxy"]
    assert not ca.exists()
    assert [host for host, _ in echo.requests] == ["api.openai.com"]


def test_an_environment_without_routes_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RTSTT_TESTKIT_ROUTES", raising=False)
    activate_from_env()
    assert clients._layers == []


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ("api.openai.com", "'' is not HOST:PORT"),
        ("api.openai.com=localhost", "'localhost' is not HOST:PORT"),
        ("api.openai.com=:80", "':80' is not HOST:PORT"),
        ("api.openai.com=::1:80", "'::1:80' is not HOST:PORT"),
        ("api.openai.com=a:b", "'a:b' is not HOST:PORT"),
        ("api.openai.com=a:0", "port 0 is not between 1 and 65535"),
        ("api.openai.com=a:65536", "port 65536 is not between 1 and 65535"),
        ("=a:80", "'' is not a host name"),
        ("https://x=a:80", "'https://x' is not a host name"),
    ],
)
def test_malformed_routes_are_named(routes: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("?", r"\?") + "$"):
        environment.parse_routes(routes)


def test_routes_as_text_come_back_as_they_were() -> None:
    routes = {"api.openai.com": ("127.0.0.1", 1), "eu.api.openai.com": ("localhost", 65535)}
    assert environment.parse_routes(environment.format_routes(routes)) == routes
    assert environment.parse_routes("A.b.=[::1]:8080") == {"a.b": ("::1", 8080)}


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ({}, "there is no host to route"),
        ({"a b": ("127.0.0.1", 80)}, "'a b' is not a host name"),
        (
            {"api.openai.com": ("127.0.0.1", 0)},
            "port 0 of the route for api.openai.com is not between 1 and 65535",
        ),
    ],
)
def test_impossible_routes_are_refused_before_anything_is_opened(routes: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message + "$"), route(routes):
        pass


def test_many_routes_in_a_row_leave_nothing_behind(echo: Echo) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0  # noqa: PTH208

    counts = []
    for _ in range(5):
        with route({"api.openai.com": echo.address}):
            _websockets_sync(NATIVE)
        echo.settle()
        gc.collect()
        counts.append(descriptors())
    assert len(set(counts[1:])) == 1  # the first round may open what is kept
