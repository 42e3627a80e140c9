"""A server that stops, or that ends a session, while clients send as much as they can."""

import asyncio
import gc
import socket
from contextlib import suppress

import pytest
from talk import cut
from test_limits import masked
from test_server import run, settled, upgrade
from websockets.frames import Frame, Opcode

from rtstt_testkit import Fault, RealtimeServer
from rtstt_testkit.mock.inspect.record import Closed
from rtstt_testkit.mock.server.driver import SessionDriver
from rtstt_testkit.mock.server.frames import FrameReader
from rtstt_testkit.mock.server.turn import Turn

CLOSE = Frame(Opcode.CLOSE, b"\x03\xe9").serialize(mask=True)
CLOSED = b"\x88\x02\x03\xe9"  # 1001
ERRORS = masked(b"{}") * 20_000  # each one is answered with an error


@pytest.fixture(autouse=True)
def _time_to_answer(monkeypatch) -> None:
    """However busy the machine is, the clients answer before they are cut."""
    monkeypatch.setattr("rtstt_testkit.mock.server.listener._STOP_SECONDS", 30)
    monkeypatch.setattr("rtstt_testkit.mock.server.listener._STOP_MOST_SECONDS", 60)


async def opened(server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(upgrade())
    await reader.readuntil(b"session.created")
    return reader, writer


async def answer_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Read until the CLOSE, answer it, and return everything until the end of the connection."""
    data = b""
    while CLOSED not in data:
        data += await reader.read(1 << 20)
    writer.write(CLOSE)
    with suppress(ConnectionError):  # bytes that the server did not read
        while more := await reader.read(1 << 20):
            data += more
    writer.close()
    return data


def test_what_clients_sent_before_the_stop_is_recorded() -> None:
    async def scenario():
        async with RealtimeServer() as server:
            clients = [await opened(server) for _ in range(5)]
            for _, writer in clients:
                writer.write(masked(b'{"type":"input_audio_buffer.clear"}') * 20)
            ends = asyncio.gather(*(answer_close(*client) for client in clients))
        for data in await ends:
            assert data.count(b"input_audio_buffer.cleared") == 20
        for record in server.sessions:
            assert [event["type"] for event in record.received] == ["input_audio_buffer.clear"] * 20
            assert record.close == Closed(1001, "", "server")

    run(scenario)


def test_clients_that_flood_do_not_delay_the_stop_and_get_its_close(monkeypatch) -> None:
    """Each of them has sent 20,000 events when the server stops; after one turn of each, no event is handled."""
    monkeypatch.setattr("rtstt_testkit.mock.server.listener._LAST_CPU_SECONDS", 0)
    handled = 0
    genuine = SessionDriver.receive_text

    def receive_text(driver: SessionDriver, payload: bytes) -> bool:
        nonlocal handled
        handled += 1
        return genuine(driver, payload)

    monkeypatch.setattr(SessionDriver, "receive_text", receive_text)

    async def scenario():
        nonlocal handled
        server = RealtimeServer(strict=False)
        await server.start()
        clients = [await opened(server) for _ in range(8)]
        for _, writer in clients:
            writer.write(ERRORS)
        while not handled:
            await asyncio.sleep(0)
        ends = asyncio.gather(*(answer_close(*client) for client in clients))
        handled = 0
        await server.stop()
        assert handled <= len(clients) * server._context.turn.frames
        assert not server._context.connections
        assert not server._sessions.drivers
        for data in await ends:
            assert CLOSED in data
        for record in server.sessions:
            assert record.close == Closed(1001, "", "server")
            assert not record.open
            assert record.closed_at is not None

    run(scenario)


def test_a_client_that_floods_while_the_server_closes_ends_the_session_cleanly() -> None:
    """What it sends until it answers the CLOSE is discarded; the answer behind it is found."""

    async def scenario():
        fault = Fault("close", after="session.created", code=1001)
        async with RealtimeServer(faults=[fault], strict=False, ping_interval=None) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(upgrade() + ERRORS)  # more than a turn with the handshake
            data = await reader.readuntil(CLOSED)
            writer.write(ERRORS + CLOSE)
            assert await reader.read() == b""  # an end, not a reset
            writer.close()
            await settled(server)
            while server._context.connections:
                await asyncio.sleep(0.001)
            assert data.count(b'"type":"error"') == 0
            assert server.sessions[0].close == Closed(1001, "", "server")

    run(scenario)


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("turns", range(1, 4))
def test_a_stop_that_is_cancelled_at_any_time_leaves_no_connection(
    before: int, turns: int, recwarn: pytest.WarningsRecorder
) -> None:
    """Neither that of an open session, nor that of a client that connects at this moment."""

    async def scenario():
        server = RealtimeServer(strict=False)
        await server.start()
        _, writer = await opened(server)  # this client answers no CLOSE
        listening = server._listener._server.sockets
        with socket.create_connection(("127.0.0.1", server.port)) as late:
            for _ in range(before):
                await asyncio.sleep(0)
            stopping = asyncio.ensure_future(server.stop())
            for _ in range(turns):
                await asyncio.sleep(0)
            stopping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopping
            while server._context.connections:
                await asyncio.sleep(0.001)
            assert not server._sessions.drivers
            # Not by connecting: another program may have the port by now.
            assert [listener.fileno() for listener in listening] == [-1]
            late.settimeout(60)
            with suppress(ConnectionError):
                assert await asyncio.to_thread(late.recv, 1) == b""
        writer.close()

    run(scenario)
    gc.collect()
    assert [str(warning.message) for warning in recwarn if "unclosed" in str(warning.message)] == []


PING = Frame(Opcode.PING, b"ping").serialize(mask=True)
UNMASKED = Frame(Opcode.TEXT, b"unmasked").serialize(mask=False)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000, 200_000])
def test_control_frames_are_passed_on_between_messages_that_are_discarded(size: int) -> None:
    messages = [
        Frame(opcode, b"m" * length, fin).serialize(mask=True)
        for length in (0, 1, 125, 126, 65_535, 70_000)
        for opcode, fin in ((Opcode.TEXT, True), (Opcode.BINARY, False), (Opcode.CONT, True))
    ]
    passed = bytearray()
    taken: list[bytes] = []

    def pass_on(data: bytes) -> bool:
        passed.extend(data)
        return True

    reader = FrameReader(lambda payload: not taken.append(payload), pass_on)
    reader.discard_messages()
    for piece in cut(PING.join([*messages, CLOSE]) + UNMASKED, [size]):
        reader.receive(piece)
    assert passed == PING * len(messages) + CLOSE + UNMASKED  # which websockets refuses
    assert taken == []


def test_the_turn_of_a_client_is_shorter_the_more_they_are() -> None:
    turn = Turn()
    sizes = []
    for clients in (0, 1, 16, 100, 3000):
        turn.divide(clients)
        sizes.append((len(turn.buffer), turn.frames))
    assert sizes == [(262_144, 256), (262_144, 256), (262_144, 256), (41_943, 81), (8192, 2)]
    turn.divide(1)
    assert (len(turn.buffer), turn.frames) == (262_144, 256)
