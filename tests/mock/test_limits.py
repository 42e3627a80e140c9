"""The mock's limits, its answers beyond them, and how much of its memory a client can use."""

import asyncio
import json
import socket
import tracemalloc
from contextlib import suppress

import pytest
from talk import append
from test_server import AUTH, client, receive, run, settled, transcribe, upgrade
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from rtstt_testkit import RealtimeServer
from rtstt_testkit.mock.protocol.events import MAX_APPEND

TRANSCRIPTION = "?intent=transcription"
MIB = 1024 * 1024


async def answered(server, head: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)
    answer = await reader.read()
    writer.close()
    return answer


def masked(text: bytes, length: int | None = None) -> bytes:
    """A TEXT frame as a client sends it, under a mask of zeros; it may announce more than it brings."""
    length = len(text) if length is None else length
    size = bytes([0x80 | length]) if length < 126 else bytes([0xFF]) + length.to_bytes(8, "big")
    return b"\x81" + size + bytes(4) + text


class TestAnswers:
    def test_an_append_of_15_mib_is_taken_and_one_byte_more_refused_in_words(self) -> None:
        async def scenario():
            async with RealtimeServer() as server, client(server) as socket_:
                await receive(socket_, "session.created")
                await socket_.send(json.dumps(append(bytes(MAX_APPEND))))
                await socket_.send(json.dumps(append(bytes(MAX_APPEND + 1))))
                (error,) = await receive(socket_, "error")
                assert error["error"]["message"] == "Invalid 'audio'. Expected at most 15 MiB of audio in one event."
                assert error["error"]["param"] == "audio"
                assert server.sessions[0].audio_received == MAX_APPEND
                await socket_.send('{"type":"input_audio_buffer.clear"}')
                await receive(socket_, "input_audio_buffer.cleared")

        run(scenario)

    def test_a_message_beyond_all_bounds_is_closed_1009_before_it_has_come(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(upgrade())
                await reader.readuntil(b"\r\n\r\n")
                writer.write(masked(b"{", 1024 * MIB))
                answer = await reader.read()
                writer.close()
                assert (1009).to_bytes(2, "big") in answer
                await settled(server)
                assert (server.sessions[0].close.code, server.sessions[0].close.by) == (1009, "server")

        run(scenario)

    def test_a_session_too_many_is_refused_with_503_and_there_is_room_again_when_one_ends(self) -> None:
        async def scenario():
            async with RealtimeServer(max_sessions=2) as server:
                async with client(server) as one, client(server) as two:
                    await receive(one, "session.created")
                    await receive(two, "session.created")
                    with pytest.raises(InvalidStatus) as caught:
                        await connect(server.url + TRANSCRIPTION, additional_headers=AUTH)
                    assert caught.value.response.status_code == 503
                    assert json.loads(caught.value.response.body)["error"] == {
                        "message": "2 sessions are open, and the mock's max_sessions allows no more.",
                        "type": "invalid_request_error",
                        "code": "too_many_sessions",
                    }
                await settled(server)
                await transcribe(server)
                assert "max_sessions allows no more." in server.explain()

        run(scenario)

    def test_any_number_of_sessions_can_be_asked_for(self) -> None:
        async def scenario():
            async with RealtimeServer(max_sessions=None) as server:
                await transcribe(server)

        run(scenario)
        with pytest.raises(ValueError, match=r"^max_sessions is 0; it must be 1 or more, or None for any number$"):
            RealtimeServer(max_sessions=0)

    @pytest.mark.parametrize(
        "headers",
        [
            b"X: " + b"y" * 9000,
            b"X: " + b"y" * 70_000,
            b"\r\n".join(b"X-%d: y" % number for number in range(200)),
            b"\r\n".join(b"X-%d: %s" % (number, b"y" * 1000) for number in range(100)),
        ],
        ids=["a long one", "a very long one", "many", "much in all"],
    )
    def test_too_much_header_is_refused_with_431(self, headers) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                answer = await answered(server, upgrade()[:-2] + headers + b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 431 ")
                await transcribe(server)

        run(scenario)

    def test_a_header_without_an_end_is_refused_with_431(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                assert (await answered(server, upgrade()[:-2] + b"X: " + b"y" * 70_000)).startswith(b"HTTP/1.1 431 ")

        run(scenario)

    def test_it_listens_on_this_machine_alone(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                assert {address for address, _ in server._listener.addresses} == {"127.0.0.1"}

        run(scenario)


class TestMemory:
    """What a client that reads or writes slowly makes the server keep."""

    def test_a_client_that_does_not_read_has_a_bounded_buffer_and_is_not_read_from(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                reader = socket.socket()
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
                reader.connect(("127.0.0.1", server.port))
                reader.sendall(upgrade())
                reader.setblocking(False)
                frames = masked(b"{}") * 1000  # each one earns an error of 200 bytes
                sent = 0
                with suppress(BlockingIOError):
                    while sent < 64 * MIB:
                        sent += reader.send(frames)
                        await asyncio.sleep(0)
                assert sent < 64 * MIB
                (connection,) = server._context.connections
                (driver,) = server._sessions.drivers
                buffered, planned = connection.transport.get_write_buffer_size(), len(driver._session._outbox._queue)
                assert buffered < 1 * MIB
                assert planned < 100_000
                assert not connection.transport.is_reading()
                # It is read from again once it reads.
                last = server.sessions[0].events[-1]
                reader.settimeout(60)
                while server.sessions[0].events[-1] is last:
                    await asyncio.to_thread(drain, reader, 256 * 1024)
                reader.close()

        run(scenario)

    def test_a_client_that_writes_byte_by_byte_is_understood_and_costs_what_it_sent(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                for at in range(len(upgrade())):
                    writer.write(upgrade()[at : at + 1])
                    await asyncio.sleep(0)
                await reader.readuntil(b"\r\n\r\n")
                for byte in masked(b'{"type":"input_audio_buffer.clear"}'):
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0)
                assert (await server.wait_for("input_audio_buffer.cleared", timeout=60)).sender == "server"
                writer.close()

        run(scenario)

    def test_a_half_sent_message_is_all_that_a_slow_writer_makes_the_server_keep(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(upgrade())
                await reader.readuntil(b"\r\n\r\n")
                await server.wait_for("session.created", timeout=60)
                tracemalloc.start()
                try:
                    half = b'{"type":"input_audio_buffer.append","audio":"' + b"A" * (4 * MIB)
                    writer.write(masked(half, 8 * MIB))
                    await writer.drain()
                    assert tracemalloc.get_traced_memory()[0] < 32 * MIB
                finally:
                    tracemalloc.stop()
                writer.close()
                await settled(server)
                assert server.sessions[0].audio_received == 0

        run(scenario)

    def test_what_is_noted_of_a_client_that_sends_much_is_bounded(self) -> None:
        async def scenario():
            async with RealtimeServer(keep_audio=1 * MIB) as server, client(server) as socket_:
                await receive(socket_, "session.created")
                padding = "x" * 60_000
                for _ in range(200):
                    await socket_.send(json.dumps({"type": "nope", "padding": padding}))
                    await receive(socket_, "error")
                kept = sum(len(json.dumps(event.data)) for event in server.sessions[0].events)
                assert kept < 6 * MIB
                await socket_.send(json.dumps(append(bytes(8 * MIB))))
                await socket_.send('{"type":"input_audio_buffer.clear"}')
                await receive(socket_, "input_audio_buffer.cleared")
                assert len(server.sessions[0].audio) <= 1.25 * MIB
                assert server.sessions[0].audio_received == 8 * MIB

        run(scenario)


def drain(reader: socket.socket, size: int) -> None:
    while size > 0:
        size -= len(reader.recv(65536))
