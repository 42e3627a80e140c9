"""aiohttp's messages are watched as the application receives them, however the reads of the connection cut them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hashlib
import inspect
import json
import logging
import socket
import threading
import warnings
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import aiohttp.client
import pytest
from endpoint import COMPLETED, ERROR, end, serving
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close, Frame, Opcode
from websockets.sync.server import ServerConnection

import rtstt_shim
from rtstt_core import report
from rtstt_core.watch import Watch

Records = list[logging.LogRecord]

DELTA = {
    "type": "conversation.item.input_audio_transcription.delta",
    "event_id": "event_" + "0" * 21,
    "item_id": "item_" + "x" * 21,
    "content_index": 0,
    "delta": ' an "error" — said',
}
FAILED = {
    "type": "conversation.item.input_audio_transcription.failed",
    "item_id": "item_1",
    "error": {"type": "server_error", "code": "audio_unintelligible", "message": "No speech."},
}
# aiohttp holds back what it has no room for: about half of this.
MANY = 3000

pytestmark = pytest.mark.usefixtures("native_loopback")


@pytest.fixture
def native_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback address counts as OpenAI's own host."""
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1")


def compact(event: Any) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def frame(event: Any) -> bytes:
    return Frame(Opcode.TEXT, compact(event)).serialize(mask=False)


def fragments(event: Any, cut: int) -> tuple[bytes, bytes]:
    text = compact(event)
    first = Frame(Opcode.TEXT, text[:cut], fin=False).serialize(mask=False)
    return first, Frame(Opcode.CONT, text[cut:]).serialize(mask=False)


def close(code: int, reason: str = "") -> bytes:
    return Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False)


REFUSED = close(4000, "invalid_request_error.invalid_model")


def text_of(record: logging.LogRecord) -> str:
    """Return the warning without the library and the URL at its end."""
    message, _, where = record.getMessage().rpartition(" [")
    assert where.startswith(f"aiohttp {aiohttp.__version__}, ws://127.0.0.1:")
    return message


FATAL = (
    "rtstt_shim: realtime transcription session failed: OpenAI refuses `model` in the URL of a transcription session "
    '(invalid_model: Model "whisper-1" is not supported in transcription mode.; '
    "closed 4000 invalid_request_error.invalid_model). "
    "Remove `model` from the URL and name it in session.audio.input.transcription.model instead."
)


def reported_once(records: Records) -> None:
    assert [text_of(record) for record in records] == [FATAL]
    records.clear()
    report._reported.clear()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Serve an endpoint that sends nothing and waits for the client to close; yield its URL."""

    def wait(connection: ServerConnection) -> None:
        for _ in connection:
            pass

    with serving(wait) as endpoint:
        yield endpoint.url()


@contextlib.asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A socket, and aiohttp's protocol below it, to which a test hands the reads."""
    async with aiohttp.ClientSession() as session:
        connection = await session.ws_connect(url, **options)
        yield connection, connection._conn.protocol
        await connection.close()


async def rest(connection: Any) -> list[Any]:
    return [json.loads(message.data) async for message in connection]


@pytest.mark.parametrize("step", [20, pytest.param(1, marks=pytest.mark.heavy)])
def test_an_error_is_reported_wherever_two_reads_cut_it(step: int, shim: None, warnings_logged: Records) -> None:
    whole = frame(DELTA) + frame(ERROR) + frame(DELTA)
    edges = (0, len(frame(DELTA)), len(whole) - len(frame(DELTA)), len(whole))
    near_an_edge = {edge + offset for edge in edges for offset in range(-4, 8)}

    async def talk(url: str) -> None:
        for cut in sorted({*range(1, len(whole), step), *near_an_edge} & {*range(1, len(whole))}):
            async with connected(url) as (connection, protocol):
                protocol.data_received(whole[:cut])
                protocol.data_received(whole[cut:] + REFUSED)
                assert await rest(connection) == [DELTA, ERROR, DELTA], cut
            reported_once(warnings_logged)

    with silent() as url:
        asyncio.run(talk(url))


@pytest.mark.parametrize("apart", [False, True], ids=["in one read", "in two reads, a delta's end before"])
def test_an_error_is_reported_wherever_its_fragments_part(apart: bool, shim: None, warnings_logged: Records) -> None:
    delta = frame(DELTA)

    async def talk(url: str) -> None:
        for cut in range(1, len(compact(ERROR))):
            one, two = fragments(ERROR, cut)
            async with connected(url) as (connection, protocol):
                protocol.data_received(delta[:-1])
                reads = (delta[-1:] + one, two + delta + REFUSED)
                for read in reads if apart else (b"".join(reads),):
                    protocol.data_received(read)
                assert await rest(connection) == [DELTA, ERROR, DELTA], cut
            reported_once(warnings_logged)

    with silent() as url:
        asyncio.run(talk(url))


def test_a_control_frame_between_an_errors_fragments(shim: None, warnings_logged: Records) -> None:
    one, two = fragments(ERROR, 12)
    ping = Frame(Opcode.PING, b"\xff").serialize(mask=False)

    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            for read in (one, ping, ping + two, ping + REFUSED):
                protocol.data_received(read)
            assert await rest(connection) == [ERROR]

    with silent() as url:
        asyncio.run(talk(url))
    reported_once(warnings_logged)


def test_an_error_among_compressed_deltas(shim: None, warnings_logged: Records) -> None:
    events = [DELTA] * 100 + [ERROR] + [DELTA] * 100

    def send(connection: ServerConnection) -> None:
        for event in events:
            connection.send(compact(event).decode())
        connection.close(4000, "invalid_request_error.invalid_model")

    async def talk(url: str) -> None:
        async with connected(url, compress=15) as (connection, _):
            assert connection.compress
            assert await rest(connection) == events

    with serving(send) as endpoint:
        asyncio.run(talk(endpoint.url()))
    reported_once(warnings_logged)


@pytest.mark.parametrize("place", [0, 1, MANY // 2, MANY - 1, MANY])
def test_an_error_among_many_deltas_of_one_read(place: int, shim: None, warnings_logged: Records) -> None:
    """aiohttp parses what it has no room for later, as messages are received."""
    events = [DELTA] * place + [ERROR] + [DELTA] * (MANY - place)

    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol.data_received(b"".join(map(frame, events)) + REFUSED)
            assert await rest(connection) == events

    with silent() as url:
        asyncio.run(talk(url))
    reported_once(warnings_logged)


def test_failures_are_reported_in_order(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol.data_received(frame(FAILED) + frame(DELTA) + frame(ERROR) + REFUSED)
            assert await rest(connection) == [FAILED, DELTA, ERROR]

    with silent() as url:
        asyncio.run(talk(url))
    assert [vars(record)["rtstt_kind"] for record in warnings_logged] == ["failed", "error"]
    assert [vars(record)["rtstt_close_code"] for record in warnings_logged] == [None, 4000]


def test_a_message_is_reported_once(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            for read in (frame(FAILED), frame(DELTA), frame(DELTA)):
                protocol.data_received(read)
            for event in (FAILED, DELTA, DELTA):
                assert (await connection.receive_json()) == event
            protocol.data_received(frame(DELTA))

    with silent() as url:
        asyncio.run(talk(url))
    [record] = warnings_logged
    assert vars(record)["rtstt_code"] == "audio_unintelligible"
    assert [failure.repeats for failure in report._reported.values()] == [0]


def test_a_refusal_that_the_application_never_reads_is_seen_when_it_closes(
    shim: None, warnings_logged: Records
) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (_, protocol):
            protocol.data_received(frame(ERROR) + REFUSED)
            assert warnings_logged == []

    with silent() as url:
        asyncio.run(talk(url))
    [record] = warnings_logged
    assert (vars(record)["rtstt_kind"], vars(record)["rtstt_close_code"]) == ("close", 4000)


def test_a_client_that_closes_at_the_error_still_learns_the_close_code(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol.data_received(frame(ERROR) + REFUSED)
            assert await connection.receive_json() == ERROR

    with silent() as url:
        asyncio.run(talk(url))
    [record] = warnings_logged
    assert vars(record)["rtstt_code"] == "invalid_model"
    assert "; closed 4000)" in record.getMessage()


def test_a_close_that_comes_while_another_task_closes_is_seen_with_its_code(
    shim: None, warnings_logged: Records
) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            waiting = asyncio.create_task(connection.receive())
            await asyncio.sleep(0)
            closing = asyncio.create_task(connection.close())
            assert (await waiting).type is aiohttp.WSMsgType.CLOSING
            protocol.data_received(REFUSED)
            assert await closing

    with silent() as url:
        asyncio.run(talk(url))
    assert [vars(record)["rtstt_close_code"] for record in warnings_logged] == [4000]


@pytest.mark.parametrize("waiting", [True, False], ids=["while it receives", "before it receives"])
def test_a_server_that_answers_no_ping_is_a_failure(waiting: bool, shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url, heartbeat=0.02) as (connection, _):
            while not waiting and not connection.closed:
                await asyncio.sleep(0.001)
            kinds = (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
            assert (await connection.receive()).type in kinds

    with answering(b"") as (url, _):
        asyncio.run(talk(url))
    assert [vars(record)["rtstt_diagnosis"] for record in warnings_logged] == ["close-abnormal"]


@pytest.mark.parametrize("receive", ["receive", "receive_str", "receive_json", "__anext__"])
def test_an_error_is_seen_by_every_method_that_receives(receive: str, shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol.data_received(frame(ERROR) + REFUSED)
            await getattr(connection, receive)()
            assert (await connection.receive()).type is aiohttp.WSMsgType.CLOSE

    with silent() as url:
        asyncio.run(talk(url))
    reported_once(warnings_logged)


def test_arguments_of_receive_and_close_reach_aiohttp(shim: None) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, _):
            for arguments in ({"timeout": 0.001}, {}):
                with pytest.raises(asyncio.TimeoutError):
                    await connection.receive(*([] if arguments else [0.001]), **arguments)
            assert await connection.close(code=3001, message=b"bye") is True
            assert await connection.close() is False

    with silent() as url:
        asyncio.run(talk(url))


def test_a_connection_that_is_not_watched_is_aiohttps_own(shim: None) -> None:
    async def talk(url: str) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as connection:
            assert not {"receive", "close"} & set(vars(connection))

    with silent() as url:
        asyncio.run(talk(url.replace("/v1/realtime", "/v1/chat")))


def test_a_frame_that_breaks_the_protocol_ends_the_session(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol.data_received(frame(DELTA) + b"\x83\x00")
            assert await connection.receive_json() == DELTA
            assert (await connection.receive()).type is aiohttp.WSMsgType.ERROR

    with silent() as url:
        asyncio.run(talk(url))
    assert [vars(record)["rtstt_diagnosis"] for record in warnings_logged] == ["close-abnormal"]


def test_the_echo_of_the_applications_own_close_is_no_failure(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, _):
            await connection.close(code=3001)
            assert connection.close_code == 3001

    with silent() as url:
        asyncio.run(talk(url))
    assert warnings_logged == []


def test_a_connection_that_drops_when_the_application_closes_it_is_no_failure(
    shim: None, warnings_logged: Records
) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            closing = asyncio.create_task(connection.close())
            while not connection.closed:
                await asyncio.sleep(0)
            protocol.transport.abort()
            await closing

    with silent() as url:
        asyncio.run(talk(url))
    assert warnings_logged == []


def test_a_close_without_a_code(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol.data_received(Frame(Opcode.CLOSE, b"").serialize(mask=False))
            assert (await connection.receive()).data == 0

    with silent() as url:
        asyncio.run(talk(url))
    [record] = warnings_logged
    assert vars(record)["rtstt_close_code"] == 1005


def test_a_session_that_is_closed_over_an_open_socket_is_no_failure(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            connection = await session.ws_connect(url)
            waiting = asyncio.create_task(connection.receive())
            await asyncio.sleep(0)
        assert (await waiting).type is aiohttp.WSMsgType.CLOSED

    with silent() as url:
        asyncio.run(talk(url))
    assert warnings_logged == []


def test_a_read_timeout_is_no_failure(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol._on_read_timeout()
            protocol.data_received(frame(DELTA))
            assert await connection.receive_json() == DELTA

    with silent() as url:
        asyncio.run(talk(url))
    assert warnings_logged == []


def test_a_socket_without_references_is_closed_as_without_the_shim(shim: None, warnings_logged: Records) -> None:
    ended = threading.Event()

    def wait(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosedError):
            for _ in connection:
                pass
        ended.set()

    async def talk(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            connection = await session.ws_connect(url)
            forgotten = weakref.ref(connection)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # aiohttp's, of a connection that nobody closed
                del connection
                gc.collect()
            assert forgotten() is None
            assert await asyncio.to_thread(ended.wait, 60)

    with serving(wait) as endpoint:
        asyncio.run(talk(endpoint.url()))
    assert warnings_logged == []


def test_a_close_after_the_last_reference_is_gone_is_no_failure(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            connection = await session.ws_connect(url)
            response, protocol = connection._response, connection._conn.protocol
            del connection
            gc.collect()
            protocol.data_received(close(1001))
            response.close()

    with silent() as url:
        asyncio.run(talk(url))
    assert warnings_logged == []


@pytest.mark.parametrize("received", [0, 1, MANY // 2])
def test_a_close_that_aiohttp_held_back_is_seen_though_the_connection_is_lost(
    received: int, shim: None, warnings_logged: Records
) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol.data_received(frame(DELTA) * MANY + frame(ERROR) + REFUSED)
            for _ in range(received):
                await connection.receive()
            protocol.transport.abort()
            while protocol.transport is not None:
                await asyncio.sleep(0)
            assert len(await rest(connection)) == MANY + 1 - received

    with silent() as url:
        asyncio.run(talk(url))
    reported_once(warnings_logged)


@pytest.mark.parametrize("received", [0, MANY // 2])
def test_a_connection_that_is_lost_while_aiohttp_held_back_messages(
    received: int, shim: None, warnings_logged: Records
) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol.data_received(frame(DELTA) * MANY)
            for _ in range(received):
                await connection.receive()
            protocol.transport.abort()
            assert len(await rest(connection)) == MANY - received

    with silent() as url:
        asyncio.run(talk(url))
    assert [vars(record)["rtstt_diagnosis"] for record in warnings_logged] == ["close-abnormal"]


@pytest.mark.skipif(
    "decode_text" not in inspect.signature(aiohttp.ClientSession.ws_connect).parameters,
    reason="aiohttp has it from 3.14 on",
)
def test_messages_that_are_left_as_bytes(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url, decode_text=False) as (connection, protocol):
            protocol.data_received(frame(DELTA) + frame(ERROR) + REFUSED)
            assert await rest(connection) == [DELTA, ERROR]

    with silent() as url:
        asyncio.run(talk(url))
    reported_once(warnings_logged)


@contextlib.contextmanager
def answering(tail: bytes, later: bytes = b"") -> Iterator[tuple[str, threading.Event]]:
    """Serve frames in one write with the response to the handshake, and more when released; yield the URL."""

    def work() -> None:
        raw, _ = server.accept()
        with raw, raw.makefile("rb") as file:
            key = b""
            while line := file.readline().strip():
                if line.lower().startswith(b"sec-websocket-key:"):
                    key = line.partition(b":")[2].strip()
            digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
            raw.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n" + tail
            )
            go.wait(60)
            raw.sendall(later)
            with contextlib.suppress(ConnectionError):
                while file.read1(4096):
                    pass

    go = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.getsockname()[1]}/v1/realtime?intent=transcription", go
        finally:
            go.set()
            thread.join()


WHOLE = frame(DELTA) + frame(ERROR) + REFUSED


@pytest.mark.parametrize(
    "cut",
    [1, len(frame(DELTA)), WHOLE.index(b'"error"') + 3, len(WHOLE) - len(REFUSED), len(WHOLE)],
    ids=["a byte", "a delta", "half of the word", "the error", "everything"],
)
def test_frames_that_came_with_the_handshakes_answer(cut: int, shim: None, warnings_logged: Records) -> None:
    async def talk(url: str, go: threading.Event) -> None:
        async with connected(url) as (connection, _):
            go.set()
            assert await rest(connection) == [DELTA, ERROR]

    with answering(WHOLE[:cut], WHOLE[cut:]) as (url, go):
        asyncio.run(talk(url, go))
    reported_once(warnings_logged)


def test_a_broken_frame_that_came_with_the_handshakes_answer(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            assert protocol._payload_parser is None
            assert (await connection.receive()).type is aiohttp.WSMsgType.ERROR

    with answering(b"\x83\x00") as (url, _):
        asyncio.run(talk(url))
    assert [vars(record)["rtstt_diagnosis"] for record in warnings_logged] == ["close-abnormal"]


def status_of_aiohttp() -> tuple[str, str]:
    [row] = [row for row in rtstt_shim.status().targets if row.name == "aiohttp"]
    return row.state, row.detail


def test_an_internal_error_is_logged_once_and_the_application_sees_everything(
    shim: None, warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Watch, "message", broken)

    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol.data_received(frame(COMPLETED) * 2)
            protocol.data_received(frame(COMPLETED) + close(1000))
            assert await rest(connection) == [COMPLETED] * 3

    with silent() as url:
        asyncio.run(talk(url))
    assert [record.getMessage() for record in warnings_logged] == [
        f"rtstt_shim: internal error on aiohttp {aiohttp.__version__}; "
        "the client is unaffected: ZeroDivisionError: ours"
    ]
    assert status_of_aiohttp() == ("failed", "ZeroDivisionError: ours")


def test_a_response_object_of_another_shape_works_unwatched(shim: None, warnings_logged: Records) -> None:
    class Another(aiohttp.ClientWebSocketResponse):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "receive":
                raise AttributeError("receive is read-only")
            super().__setattr__(name, value)

    async def talk(url: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            session = aiohttp.ClientSession(ws_response_class=Another)
        async with session, session.ws_connect(url) as connection:
            assert await connection.receive_json() == COMPLETED
            assert (await connection.receive()).data == 1011

    def serve_and_fail(connection: ServerConnection) -> None:
        connection.send(compact(COMPLETED).decode())
        end(1011)(connection)

    with serving(serve_and_fail) as endpoint:
        asyncio.run(talk(endpoint.url()))
    assert [record.getMessage() for record in warnings_logged] == [
        f"rtstt_shim: internal error on aiohttp {aiohttp.__version__}; "
        "the client is unaffected: AttributeError: receive is read-only"
    ]


def test_what_ws_connect_returns_can_still_be_awaited_and_entered(shim: None) -> None:
    async def talk(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            rtstt_shim.uninstall()
            without = session.ws_connect(url)
            rtstt_shim.install()
            connecting = session.ws_connect(url)
            assert type(connecting) is type(without)
            without.close()
            connection = await connecting
            assert await connection.close()

    with silent() as url:
        asyncio.run(talk(url))


def test_an_awaitable_of_another_shape_works_unwatched(
    warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another tool replaced the method with a coroutine function."""
    connect = aiohttp.ClientSession.ws_connect

    async def ws_connect(self: aiohttp.ClientSession, url: Any, *, params: Any = None) -> Any:
        return await connect(self, url, params=params)

    monkeypatch.setattr(aiohttp.ClientSession, "ws_connect", ws_connect)
    rtstt_shim.install()

    async def talk(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            connection = await session.ws_connect(url)
            await connection.close()

    try:
        with silent() as url:
            asyncio.run(talk(url))
    finally:
        rtstt_shim.uninstall()
    [record] = warnings_logged
    assert "the client is unaffected: TypeError: " in record.getMessage()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("ClientSession", "_build_url"),
        ("ClientSession", "closed"),
        ("ClientSession", "connector"),
        ("ClientWebSocketResponse", "receive"),
        ("ClientWebSocketResponse", "close"),
        ("ClientWebSocketResponse", "close_code"),
    ],
)
def test_an_aiohttp_of_another_shape_is_not_patched(
    owner: str, name: str, warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    gc.collect()  # a session that another test left would miss the attribute when it is collected
    monkeypatch.delattr(getattr(aiohttp.client, owner), name)
    rtstt_shim.install()
    try:
        state, detail = status_of_aiohttp()
        assert state == "failed"
        assert detail.endswith(f" has no {owner}.{name}")
    finally:
        rtstt_shim.uninstall()
    assert len(warnings_logged) == 1
    assert not hasattr(aiohttp.ClientSession.ws_connect, "__wrapped__")


def test_uninstalling_silences_an_open_session(shim: None, warnings_logged: Records) -> None:
    async def talk(url: str) -> None:
        async with connected(url) as (connection, protocol):
            protocol.data_received(frame(DELTA))
            rtstt_shim.uninstall()
            protocol.data_received(frame(ERROR) + REFUSED)
            assert await rest(connection) == [DELTA, ERROR]

    with silent() as url:
        asyncio.run(talk(url))
    assert warnings_logged == []
