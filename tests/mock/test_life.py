"""What a server gives back, and what cannot hold it: memory, floods, observers, limits, its own errors."""

import asyncio
import gc
import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from talk import append
from test_limits import masked
from test_server import AUTH, client, receive, run, settled, transcribe, upgrade
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.frames import Frame, Opcode

from rtstt_testkit import Fault, RealtimeServer
from rtstt_testkit.mock.inspect.record import Closed, SessionRecord
from rtstt_testkit.mock.server.attempt import ConnectAttempt
from rtstt_testkit.mock.server.connection import Connection
from rtstt_testkit.mock.server.driver import SessionDriver
from rtstt_testkit.mock.server.websocket import WebSocket
from rtstt_testkit.mock.session.session import Session

CLEAR = '{"type":"input_audio_buffer.clear"}'
KINDS = (SessionRecord, Session, SessionDriver, WebSocket, Connection)


def living() -> list[object]:
    return [thing for thing in gc.get_objects() if type(thing) in KINDS]


def test_sessions_that_ended_are_freed_without_the_garbage_collector() -> None:
    async def scenario():
        gc.collect()
        before = living()  # which holds what earlier tests left, so that no other object gets its identity
        known = set(map(id, before))
        async with RealtimeServer(keep_sessions=3) as server:
            gc.disable()
            try:
                for _ in range(10):
                    await transcribe(server)
                    await settled(server)
                while server._context.connections:
                    await asyncio.sleep(0.001)
                after = [type(thing) for thing in living() if id(thing) not in known]
                server.reset()
                reset = [type(thing) for thing in living() if id(thing) not in known]
            finally:
                gc.enable()
        assert after == [SessionRecord] * 3
        assert reset == []

    run(scenario)


def test_a_client_that_pings_and_never_reads_is_not_read_from() -> None:
    async def scenario():
        async with RealtimeServer() as server:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            raw.connect(("127.0.0.1", server.port))
            raw.sendall(upgrade())
            raw.setblocking(False)
            ping = Frame(Opcode.PING, bytes(125)).serialize(mask=True) * 100
            while not server._context.connections or not all(
                connection._websocket is not None and connection._websocket._blocked
                for connection in server._context.connections
            ):
                with suppress(BlockingIOError):
                    raw.send(ping)
                await asyncio.sleep(0)
            (connection,) = server._context.connections
            assert connection.transport.get_write_buffer_size() < 1024 * 1024
            assert not connection.transport.is_reading()
            raw.close()

    run(scenario)


def test_a_session_that_floods_takes_turns_with_the_others(monkeypatch) -> None:
    """A turn is 256 frames, some 20 ms: at most a few of them pass until another client is answered."""
    frames: list[int] = []
    genuine = SessionDriver.receive_text

    def receive_text(driver: SessionDriver, payload: bytes) -> bool:
        frames.append(len(payload))
        return genuine(driver, payload)

    async def scenario():
        async with RealtimeServer(ping_interval=None) as server, client(server) as other:
            await receive(other, "session.created")
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(upgrade())
            await reader.readuntil(b"session.created")
            monkeypatch.setattr(SessionDriver, "receive_text", receive_text)
            flooder = next(driver for driver in server._sessions.drivers if driver._session.record.number == 2)
            flooder._websocket._reader._receive_text = flooder.receive_text
            writer.write(masked(b"{}") * 100_000)  # each one is answered with an error
            drained = asyncio.ensure_future(reader.read(-1))
            while len(frames) < 1000:
                await asyncio.sleep(0)
            for _ in range(5):
                before = len(frames)
                await other.send(CLEAR)
                await receive(other, "input_audio_buffer.cleared")
                assert len(frames) - before <= 4 * 256
            assert len(frames) < 90_000  # it was flooding all the time
            writer.transport.abort()
            with suppress(OSError):
                await drained

    run(scenario)


@pytest.fixture
def patient(monkeypatch) -> None:
    """A server that waits for its observer for as long as that takes."""
    monkeypatch.setattr("rtstt_testkit.mock.server.observing._END_SECONDS", 60)


@pytest.mark.usefixtures("patient")
def test_an_observer_that_raises_hurts_no_session_and_is_logged_once(caplog) -> None:
    def observe(record, event):
        raise RuntimeError("my observer is broken")

    async def scenario():
        async with RealtimeServer(observer=observe) as server:
            await transcribe(server)
            await settled(server)
            assert len(server.sessions[0].transcripts) == 1
        assert server.observer_errors > 5

    run(scenario)
    logged = [record for record in caplog.records if record.name == "rtstt_testkit.mock"]
    assert [record.getMessage() for record in logged] == [
        "the observer raised an exception; further ones are only counted"
    ]
    assert "my observer is broken" in caplog.text


@pytest.mark.usefixtures("patient")
def test_an_observer_that_stalls_delays_no_session_and_gets_the_number_of_missed_events(monkeypatch) -> None:
    monkeypatch.setattr("rtstt_testkit.mock.server.observing._EVENTS", 8)
    goes_on, seen = threading.Event(), []

    def observe(record, event):
        seen.append(event)
        assert goes_on.wait(60)

    async def scenario():
        async with RealtimeServer(observer=observe) as server:
            await transcribe(server)
            await transcribe(server)
            await settled(server)
            while not seen:
                await asyncio.sleep(0.001)
            assert [event.type for event in seen] == ["session.created"]
            goes_on.set()
        return server

    server = asyncio.run(asyncio.wait_for(scenario(), 100))
    happened = sum(len(session.events) + 1 for session in server.sessions)  # and (closed)
    missed = [event.data["count"] for event in seen if event.type == "(missed)"]
    assert sum(missed) > 0
    assert len(seen) - len(missed) + sum(missed) == happened


def test_an_observer_that_never_returns_does_not_hold_the_stop() -> None:
    never = threading.Event()

    async def scenario():
        async with RealtimeServer(observer=lambda record, event: never.wait()) as server:
            await transcribe(server)

    try:
        asyncio.run(asyncio.wait_for(scenario(), 100))
    finally:
        never.set()


@pytest.mark.usefixtures("patient")
def test_the_thread_of_an_observer_ends_with_the_server() -> None:
    async def scenario():
        before = set(threading.enumerate())
        async with RealtimeServer(observer=lambda record, event: None) as server:
            await transcribe(server)
            (thread,) = [
                thread for thread in set(threading.enumerate()) - before if thread.name == "rtstt-mock-observer"
            ]
        assert not thread.is_alive()

    run(scenario)


def test_an_error_of_the_mock_is_logged_with_its_traceback_and_recorded_as_its_own(caplog, monkeypatch) -> None:
    async def scenario():
        async with RealtimeServer() as server, client(server) as socket_:
            await receive(socket_, "session.created")
            monkeypatch.setattr(Session, "receive_frame", lambda *_: 1 / 0)
            await socket_.send(CLEAR)
            with pytest.raises(ConnectionClosed) as caught:
                await socket_.recv()
            monkeypatch.undo()
            assert caught.value.rcvd.code == 1011
            assert server.sessions[0].close == Closed(1011, "internal error of the mock", "server")
            assert "ZeroDivisionError: division by zero; this is a bug of the mock" in server.explain()

    run(scenario)
    (record,) = [record for record in caplog.records if record.name == "rtstt_testkit.mock"]
    assert (record.getMessage(), record.exc_info[0]) == ("internal error of the mock in session 1", ZeroDivisionError)


@pytest.mark.parametrize("delay", [0, 0.01])
def test_an_error_of_the_mock_in_the_handshake_is_answered_500_and_recorded_as_its_own(
    caplog, monkeypatch, delay
) -> None:
    async def scenario():
        faults = [Fault("delay", on="connect", seconds=delay)] if delay else []
        async with RealtimeServer(faults=faults) as server:
            monkeypatch.setattr(ConnectAttempt, "decide", lambda self: 1 / 0)
            with pytest.raises(InvalidStatus) as caught:
                await connect(f"{server.url}?intent=transcription", additional_headers=AUTH)
            assert caught.value.response.status_code == 500
            assert "ZeroDivisionError: division by zero; this is a bug of the mock" in server.explain()

    run(scenario)
    assert [record.exc_info[0] for record in caplog.records if record.name == "rtstt_testkit.mock"] == [
        ZeroDivisionError
    ]


def test_events_that_never_left_are_not_recorded_as_sent() -> None:
    """A client that closes right after its commit gets no transcript, and its test does not pass."""

    async def scenario():
        server = RealtimeServer(transcripts=["Hello."])
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(upgrade())
        await reader.readuntil(b"session.created")
        session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        session["audio"]["input"]["turn_detection"] = None
        events = [
            {"type": "session.update", "session": session},
            append(b"\0\x40\0\xc0" * 6000),
            {"type": "input_audio_buffer.commit"},
        ]
        texts = b"".join(Frame(Opcode.TEXT, json.dumps(event).encode()).serialize(mask=True) for event in events)
        writer.write(texts + Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
        answer = await reader.read()
        writer.close()
        await settled(server)
        await server.stop()
        (record,) = server.sessions
        assert b".completed" not in answer
        assert record.transcripts == []
        assert record.close == Closed(1000, "", "client")
        assert record.unsent_transcripts == ["Hello."]
        with pytest.raises(AssertionError, match=r"Hello\."):
            server.verify()

    run(scenario)


def test_a_slow_download_is_not_cut(monkeypatch) -> None:
    """The time for the request does not count while the response is read."""
    monkeypatch.setattr("rtstt_testkit.mock.server.connection._OPEN_SECONDS", 0.2)
    monkeypatch.setattr("rtstt_testkit.mock.server.connection._LINGER_SECONDS", 0.2)

    async def scenario():
        async with RealtimeServer(control=True) as server, client(server) as socket_:
            await socket_.send(json.dumps(append(bytes(14 * 1024 * 1024))))
            await server.wait_for("input_audio_buffer.append", timeout=60)
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            raw.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(raw, ("127.0.0.1", server.port))
            await loop.sock_sendall(raw, b"GET /_mock/sessions/1/audio.wav HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await asyncio.sleep(0.6)
            size = 0
            while data := await loop.sock_recv(raw, 1 << 20):
                size += len(data)
            raw.close()
            assert size > 14 * 1024 * 1024

    run(scenario)


def test_a_secret_costs_the_same_whether_few_or_thousands_are_kept() -> None:
    async def scenario():
        async with RealtimeServer() as server:

            def cost() -> float:
                begun = time.thread_time()
                for _ in range(100):
                    server.secrets.create({})
                return time.thread_time() - begun

            gc.disable()  # which would take longer the more are kept
            try:
                cost()
                few = min(cost() for _ in range(5))
                for _ in range(36):
                    cost()
                many = min(cost() for _ in range(5))
            finally:
                gc.enable()
            assert many < few * 4  # up to 40 times as many are kept

    run(scenario)


FEW_FILES = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
sys.argv = ["rtstt-shim", "mock"]
from rtstt_core.cli import main
sys.exit(main())
"""


LIMITED_FILES = """
import resource, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
sys.argv = ["rtstt-shim", "mock", *sys.argv[1:]]
from rtstt_core.cli import main
sys.exit(main())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the limits of another process")
def test_the_limit_of_open_files_is_raised_at_the_start() -> None:
    import resource

    process = subprocess.Popen([sys.executable, "-c", LIMITED_FILES], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline().startswith(b"listening on ")
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard > 64
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_clients_beyond_the_limit_of_open_files_get_503_and_stderr_stays_empty() -> None:
    async def together(url, count: int) -> list[int]:
        """The answers to so many clients; those that are let in stay until each of them has its answer."""
        statuses: list[int] = []
        answered = asyncio.Event()

        def note(status: int) -> None:
            statuses.append(status)
            if len(statuses) == count:
                answered.set()

        async def one() -> None:
            try:
                async with connect(url, additional_headers=AUTH, open_timeout=60) as socket_:
                    await socket_.recv()
                    note(101)
                    await answered.wait()
            except InvalidStatus as error:
                note(error.response.status_code)
            except (OSError, EOFError, InvalidMessage):  # beyond what is kept for answers
                note(0)

        await asyncio.gather(*(one() for _ in range(count)))
        return statuses

    process = subprocess.Popen(
        [sys.executable, "-c", FEW_FILES], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().split()[-1] + "?intent=transcription"
        statuses = asyncio.run(together(url, 200))
        assert statuses.count(101) > 50
        assert statuses.count(503) > 20
        assert asyncio.run(together(url, 1)) == [101]
        process.terminate()
        _, errors = process.communicate(timeout=60)
        assert errors == ""
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("turns", range(7))
def test_a_client_that_connects_while_the_server_stops_is_cut(turns: int, recwarn: pytest.WarningsRecorder) -> None:
    """Whichever turn of the event loop the stop comes in, between the client's SYN and the call of connection_made."""

    async def stop_after() -> bytes:
        server = RealtimeServer(strict=False)
        await server.start()
        with socket.create_connection(("127.0.0.1", server.port)) as late:
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.stop()
            late.settimeout(60)
            try:
                return late.recv(1)
            except ConnectionError:
                return b""

    gc.collect()  # what earlier tests left
    recwarn.clear()
    assert asyncio.run(stop_after()) == b""
    gc.collect()
    assert [str(warning.message) for warning in recwarn if "unclosed" in str(warning.message)] == []
