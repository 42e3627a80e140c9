"""The mock over real sockets."""

import asyncio
import base64
import gc
import inspect
import json
import logging
import random
import socket
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from talk import COMPLETED, KEY, append, silence, tone, types, update
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Frame, Opcode

from rtstt_testkit import Fault, RealtimeServer, Script, ThreadedRealtimeServer
from rtstt_testkit.mock.inspect.record import Closed

AUTH = {"Authorization": f"Bearer {KEY}"}
SPEECH = silence(300) + tone(600) + silence(400)


@asynccontextmanager
async def client(server, query="?intent=transcription", **options):
    async with connect(server.url + query, **{"additional_headers": AUTH, **options}) as socket_:
        yield socket_


async def receive(socket_, last):
    """Events up to and including the first of a type."""
    events = []
    while not events or events[-1]["type"] != last:
        events.append(json.loads(await socket_.recv()))
    return events


async def transcribe(server, audio=SPEECH, model="gpt-4o-mini-transcribe"):
    async with client(server) as socket_:
        await socket_.send(json.dumps(update(model)))
        for at in range(0, len(audio), 2400):
            await socket_.send(json.dumps(append(audio[at : at + 2400])))
        return await receive(socket_, COMPLETED)


async def settled(server):
    """Wait until the server has noticed that every client is gone."""
    while any(session.open for session in server.sessions):
        await asyncio.sleep(0.001)


def upgrade() -> bytes:
    """An opening request, for clients that misbehave after it."""
    key = base64.b64encode(bytes(16)).decode()
    return (
        f"GET /v1/realtime?intent=transcription HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {KEY}\r\n\r\n"
    ).encode()


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 100))


def test_a_client_streams_speech_and_gets_its_transcript() -> None:
    async def scenario():
        async with RealtimeServer(transcripts=["Hello there."]) as server:
            assert server.url == f"ws://127.0.0.1:{server.port}/v1/realtime"
            assert server.base_url == f"http://127.0.0.1:{server.port}/v1"
            events = await transcribe(server)
            await settled(server)
        assert events[-1]["transcript"] == "Hello there."
        (session,) = server.sessions
        assert session.audio == SPEECH
        assert session.types == types(events)
        assert session.handshake.query == {"intent": ["transcription"]}
        assert session.close == Closed(1000, "", "client")
        assert KEY not in repr(session.handshake)
        assert repr(session) == "<session 1 /v1/realtime?intent=transcription closed 1000>"

    run(scenario)


def test_the_refusal_is_an_upgrade_an_error_and_a_close() -> None:
    async def scenario():
        async with RealtimeServer() as server:
            async with client(server, "?intent=transcription&model=whisper-1") as socket_:
                assert socket_.response.status_code == 101
                (error,) = await receive(socket_, "error")
                assert error["error"]["code"] == "invalid_model"
                with pytest.raises(ConnectionClosedError) as caught:
                    await socket_.recv()
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (
                4000,
                "invalid_request_error.invalid_model",
            )
            (session,) = server.sessions
            assert session.refusal.code == "invalid_model"
            assert (session.close.code, session.close.by) == (4000, "server")

    run(scenario)


def test_on_update_refuses_directly_after_the_update() -> None:
    async def scenario():
        query = "?intent=transcription&model=gpt-4o-mini-transcribe"
        async with RealtimeServer(refuse="on-update") as server, client(server, query) as socket_:
            await receive(socket_, "session.created")
            await socket_.send(json.dumps(update()))
            await receive(socket_, "error")
            with pytest.raises(ConnectionClosedError, match=r"4000 .*invalid_request_error\.invalid_model"):
                await socket_.recv()

    run(scenario)


@pytest.mark.parametrize(
    ("profile", "path", "status"),
    [
        ("openai", "/v1/audio", 403),
        ("gateway", "/v1/realtime?intent=transcription", 403),
        ("azure", "/openai/v1/realtime", 400),
    ],
)
def test_refusals_before_the_upgrade_are_json_over_http(profile, path, status) -> None:
    async def scenario():
        async with RealtimeServer(profile=profile) as server:
            with pytest.raises(InvalidStatus) as caught:
                await connect(f"ws://127.0.0.1:{server.port}{path}", additional_headers=AUTH)
            response = caught.value.response
            assert response.status_code == status
            assert response.headers["Content-Type"] == "application/json"
            assert json.loads(response.body)["error"]["message"]
            (session,) = server.sessions
            assert (session.http_status, session.open) == (status, False)
            assert repr(session).endswith(f"HTTP {status}>")

    run(scenario)


def test_the_subprotocol_realtime_is_selected_and_its_key_accepted() -> None:
    async def scenario():
        async with RealtimeServer() as server:
            offered = ["realtime", f"openai-insecure-api-key.{KEY}"]
            async with client(server, additional_headers={}, subprotocols=offered) as socket_:
                assert socket_.subprotocol == "realtime"
                await receive(socket_, "session.created")
            assert KEY not in repr(server.sessions[0].handshake)

    run(scenario)


def test_the_same_seed_gives_the_nth_connection_the_same_ids_whatever_others_do() -> None:
    async def ids(server, *order: int) -> dict[int, list[str]]:
        async with client(server) as first, client(server) as second:
            for number in order:
                socket_ = (first, second)[number - 1]
                await socket_.send('{"type":"input_audio_buffer.clear"}')
                await receive(socket_, "input_audio_buffer.cleared")
            return {session.number: [event["event_id"] for event in session.sent] for session in server.sessions}

    async def scenario():
        async with RealtimeServer(seed=7) as one, RealtimeServer(seed=7) as two, RealtimeServer() as other:
            came = await ids(one, 1, 1, 2)
            assert came == await ids(two, 2, 1, 1)
            assert came[1][0] != came[2][0]
            assert (await ids(other, 1, 1, 2))[1] != came[1]

    run(scenario)


@pytest.mark.parametrize("on", [True, False])
def test_compression_is_negotiated_only_when_asked_for(on) -> None:
    async def scenario():
        async with RealtimeServer(compression=on) as server, client(server) as socket_:
            assert ("permessage-deflate" in socket_.response.headers.get("Sec-WebSocket-Extensions", "")) is on
            await receive(socket_, "session.created")

    run(scenario)


def test_the_server_pings_with_four_bytes() -> None:
    async def scenario():
        async with RealtimeServer(ping_interval=0.01) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(upgrade())
            await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(bytes([0x89, 4]))  # PING, 4 bytes [capture]
            assert len(await reader.readexactly(4)) == 4
            writer.close()
        assert inspect.signature(RealtimeServer).parameters["ping_interval"].default == 20

    run(scenario)


class TestHostileClients:
    """None of them takes the server down or leaves a session behind."""

    @staticmethod
    def check(attack) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                before = len(asyncio.all_tasks())
                await attack(server)
                await settled(server)
                events = await transcribe(server)
                assert events[-1]["type"] == COMPLETED
                await settled(server)
                while len(asyncio.all_tasks()) > before:
                    await asyncio.sleep(0.001)
            assert all(session.close is not None for session in server.sessions if session.http_status == 101)

        run(scenario)

    def test_bad_frames(self) -> None:
        async def attack(server):
            async with client(server) as socket_:
                for frame in ["{", b"\0", "[]", '{"type":[]}', '{"type":{}}', "\0", "[" * 50_000]:
                    await socket_.send(frame)
                    assert (await receive(socket_, "error"))[-1]["type"] == "error"

        self.check(attack)

    def test_a_message_beyond_the_limit(self) -> None:
        async def attack(server):
            socket_ = await connect(server.url + "?intent=transcription", additional_headers=AUTH)
            await receive(socket_, "session.created")
            with suppress(ConnectionClosedError):
                await socket_.send("x" * (22 * 1024 * 1024))
            await settled(server)
            assert (server.sessions[0].close.code, server.sessions[0].close.by) == (1009, "server")

        self.check(attack)

    def test_text_that_is_not_utf8(self) -> None:
        async def attack(server):
            async with client(server) as socket_:
                await receive(socket_, "session.created")
                socket_.protocol.send_text(b"\xff\xfe")
                socket_.send_data()
                with pytest.raises(ConnectionClosedError, match="1007"):
                    await socket_.recv()

        self.check(attack)

    def test_a_connection_cut_in_the_middle_of_speech(self) -> None:
        async def attack(server):
            socket_ = await connect(server.url + "?intent=transcription", additional_headers=AUTH)
            await socket_.send(json.dumps(update()))
            await socket_.send(json.dumps(append(tone(500))))
            await receive(socket_, "input_audio_buffer.speech_started")
            socket_.transport.abort()
            await settled(server)
            assert server.sessions[0].close.code == 1006

        self.check(attack)

    def test_a_handshake_that_stops_half_way_and_garbage(self) -> None:
        async def attack(server):
            for data in [b"GET /v1/rea", b"\x16\x03\x01\x00\xff", b"GET / HTTP/1.1\r\n\r\n", b"\r\n" * 10_000]:
                with socket.create_connection(("127.0.0.1", server.port)) as raw:
                    raw.sendall(data)
                await asyncio.sleep(0)

        self.check(attack)

    def test_an_upgrade_without_its_key(self) -> None:
        async def attack(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(
                b"GET /v1/realtime?intent=transcription HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()
            assert server.sessions[0].http_status == 400
            assert "HTTP 400: Failed to open a WebSocket connection" in server.explain()

        self.check(attack)

    def test_a_client_that_leaves_before_the_upgrade_is_answered(self) -> None:
        async def attack(server):
            server.load(Script.of(faults=[Fault("delay", on="connect", seconds=30)]))
            with socket.create_connection(("127.0.0.1", server.port)) as raw:
                raw.sendall(upgrade())
                while not server.sessions:
                    await asyncio.sleep(0.001)
            await settled(server)
            assert server.sessions[0].close == Closed(1006, "", "client")
            server.load(Script())

        self.check(attack)

    def test_a_client_that_is_gone_before_its_request_is_looked_at(self) -> None:
        async def attack(server):
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", server.port)) as raw:
                    raw.sendall(upgrade() + b"\xff\xff no frame")
            await transcribe(server)  # those before it were let in before it
            while server._context.connections:
                await asyncio.sleep(0.001)
            assert not server._sessions.drivers

        self.check(attack)

    def test_a_client_that_closes_while_much_is_planned(self) -> None:
        async def attack(server):
            settings = server._sessions.settings
            server._sessions.settings = replace(settings, latency=settings.latency._replace(completed=30))
            async with client(server) as socket_:
                await socket_.send(json.dumps(update()))
                await socket_.send(json.dumps(append(SPEECH)))
                await receive(socket_, "conversation.item.done")
            server._sessions.settings = settings

        self.check(attack)

    def test_a_client_that_never_reads_is_not_read_from(self) -> None:
        async def attack(server):
            reader = socket.create_connection(("127.0.0.1", server.port))
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(upgrade())
            reader.setblocking(False)
            frame = bytes([0x81, 0x80 | 2, 0, 0, 0, 0]) + b"{}"  # each one earns an error of 200 bytes
            sent = 0
            try:
                for _ in range(2000):
                    sent += reader.send(frame * 1000)
                    await asyncio.sleep(0)
            except BlockingIOError:
                pass
            assert len(server.sessions[0].events) < 200_000
            assert sent < 2000 * 1000 * len(frame)
            reader.close()

        self.check(attack)


def test_stop_closes_open_sessions_with_1001() -> None:
    async def scenario():
        server = RealtimeServer()
        await server.start()
        async with client(server) as socket_:
            await receive(socket_, "session.created")
            await server.stop()
            with pytest.raises(Exception, match="1001"):
                await socket_.recv()
        (session,) = server.sessions
        assert (session.close.code, session.close.by) == (1001, "server")
        await server.stop()

    run(scenario)


def test_stop_cuts_a_client_that_does_not_answer() -> None:
    async def scenario():
        async with RealtimeServer() as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(upgrade())
            await server.wait_for("session.created", timeout=60)
        assert not server.sessions[0].open
        writer.close()

    run(scenario)


class TestWaitFor:
    def test_it_waits_for_what_is_still_to_come(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                waiting = asyncio.ensure_future(server.wait_for(COMPLETED, count=2, timeout=60))
                await transcribe(server)
                assert not waiting.done()
                await transcribe(server)
                assert (await waiting).data["type"] == COMPLETED

        run(scenario)

    def test_it_sees_what_is_past(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                await transcribe(server)
                event = await server.wait_for("session.update", timeout=60)
                assert (event.sender, event.type) == ("client", "session.update")

        run(scenario)

    def test_it_says_that_nobody_connected(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                with pytest.raises(TimeoutError) as caught:
                    await server.wait_for(COMPLETED, timeout=0.01)
            assert str(caught.value) == (f"no '{COMPLETED}' within 0.01 s: no client has connected to {server.url}")

        run(scenario)

    def test_it_says_what_was_seen_instead(self) -> None:
        async def scenario():
            async with RealtimeServer() as server, client(server) as socket_:
                await receive(socket_, "session.created")
                for _ in range(3):
                    await socket_.send(json.dumps(append(silence(20))))
                await server.wait_for("input_audio_buffer.append", timeout=60)
                await socket_.send('{"type":"input_audio_buffer.clear"}')
                await receive(socket_, "input_audio_buffer.cleared")
                with pytest.raises(TimeoutError) as caught:
                    await server.wait_for(COMPLETED, count=2, timeout=0.01)
            text = str(caught.value)
            assert text.startswith(f"no 2 × '{COMPLETED}' within 0.01 s; what was seen:\n  <session 1 ")
            assert "s  → input_audio_buffer.append × 3  0.060 s of audio\n" in text
            assert "s  ← input_audio_buffer.cleared\n" in text

            assert text.endswith(
                "Session 1: audio came, but no accepted session.update set session.audio.input.transcription (the "
                "client sent none), so no transcript can come."
            )

        run(scenario)


def test_audio_is_kept_up_to_the_limit() -> None:
    async def scenario():
        async with RealtimeServer(keep_audio=9600) as server:
            await transcribe(server)
        (session,) = server.sessions
        assert 9600 <= len(session.audio) <= 12000
        assert SPEECH.endswith(session.audio)
        assert session.audio_received == len(SPEECH)
        async with RealtimeServer(keep_audio=0) as server:
            await transcribe(server)
        assert server.sessions[0].audio == b""

    run(scenario)


class TestVirtualTime:
    def test_an_hour_passes_at_once(self) -> None:
        async def scenario():
            async with RealtimeServer(virtual_time=True) as server, client(server) as socket_:
                await receive(socket_, "session.created")
                await server.advance(3599)
                assert server.sessions[0].open
                await server.advance(1)
                with pytest.raises(Exception, match=r"1001.*maximum duration of 60 minutes"):
                    await socket_.recv()

        run(scenario)

    def test_what_was_due_happens_in_order_at_its_own_time(self) -> None:
        async def scenario():
            async with RealtimeServer(virtual_time=True, latency="capture") as server:
                async with client(server) as socket_:
                    await socket_.send(json.dumps(update()))
                    await socket_.send(json.dumps(append(SPEECH)))
                    await server.wait_for("input_audio_buffer.append", timeout=60)
                    await server.advance(5)
                    events = await receive(socket_, COMPLETED)
                assert types(events)[-1] == COMPLETED
                times = {event.type: event.at for event in server.sessions[0].events if event.sender == "server"}
                assert times["session.updated"] == pytest.approx(0.256)
                assert times[COMPLETED] == pytest.approx(1.411)

        run(scenario)

    def test_real_time_cannot_be_moved(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                with pytest.raises(RuntimeError, match="advance\\(\\) needs a server made with virtual_time=True"):
                    await server.advance(1)

        run(scenario)


def test_captured_latencies_come_by_timer() -> None:
    async def scenario():
        latency = {"latency": RealtimeServer()._sessions.settings.latency._replace(updated=0.02, completed=0.04)}
        async with RealtimeServer(**latency) as server:
            assert (await transcribe(server))[-1]["type"] == COMPLETED

    run(scenario)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "opnai"}, "unknown profile 'opnai'; the mock knows openai, gateway, azure"),
        ({"refuse": "later"}, "unknown refuse 'later'; the mock knows at-connect, on-update"),
        ({"latency": "slow"}, "unknown latency 'slow'; the mock knows instant, capture"),
    ],
)
def test_unknown_settings_are_named(options, message) -> None:
    with pytest.raises(ValueError, match="^" + message + "$"):
        RealtimeServer(**options)


def test_an_ipv6_host_is_bracketed() -> None:
    assert RealtimeServer(host="::1", port=1234).url == "ws://[::1]:1234/v1/realtime"


class TestThreaded:
    def test_it_serves_synchronous_clients(self) -> None:
        from websockets.sync.client import connect as sync_connect

        with ThreadedRealtimeServer(transcripts=["Hello there."]) as server:
            with sync_connect(server.url + "?intent=transcription", additional_headers=AUTH) as socket_:
                socket_.send(json.dumps(update()))
                socket_.send(json.dumps(append(SPEECH)))
                event = server.wait_for(COMPLETED, timeout=60)
            assert event.data["transcript"] == "Hello there."
            assert server.cursor.unused == []
            assert server.base_url.endswith(f":{server.port}/v1")
        assert server.sessions[0].transcripts == ["Hello there."]
        assert not [thread for thread in threading.enumerate() if thread.name == "rtstt-mock"]

    def test_websocket_client_gets_its_transcript(self) -> None:
        import websocket

        with ThreadedRealtimeServer() as server:
            socket_ = websocket.create_connection(
                server.url + "?intent=transcription", header=[f"Authorization: Bearer {KEY}"]
            )
            try:
                socket_.send(json.dumps(update()))
                socket_.send(json.dumps(append(SPEECH)))
                while (event := json.loads(socket_.recv()))["type"] != COMPLETED:
                    pass
            finally:
                socket_.close()
        assert event["transcript"] == "Hello from the mock."

    def test_a_port_in_use_is_an_oserror_and_leaves_no_thread(self) -> None:
        with ThreadedRealtimeServer() as server, pytest.raises(OSError, match="address already in use"):
            ThreadedRealtimeServer(port=server.port).start()
        assert not [thread for thread in threading.enumerate() if thread.name == "rtstt-mock"]

    def test_before_the_start_it_says_so(self) -> None:
        with pytest.raises(RuntimeError, match="the server is not running; use it in a `with` block, or call start"):
            ThreadedRealtimeServer().wait_for(COMPLETED)
        ThreadedRealtimeServer().stop()

    def test_virtual_time(self) -> None:
        with ThreadedRealtimeServer(virtual_time=True) as server:
            server.advance(10)


def test_aiohttp_gets_its_transcript() -> None:
    import aiohttp

    async def scenario():
        async with RealtimeServer() as server, aiohttp.ClientSession() as http:
            async with http.ws_connect(server.url + "?intent=transcription", headers=AUTH) as socket_:
                await socket_.send_json(update())
                await socket_.send_json(append(SPEECH))
                async for message in socket_:
                    if message.json()["type"] == COMPLETED:
                        break
            assert server.sessions[0].transcripts == ["Hello from the mock."]

    run(scenario)


def test_the_openai_sdk_gets_its_transcript() -> None:
    from openai import AsyncOpenAI

    async def scenario():
        async with RealtimeServer(transcripts=["Hello there."]) as server:
            sdk = AsyncOpenAI(api_key=KEY, websocket_base_url=server.url.removesuffix("/realtime"))
            async with sdk.realtime.connect(extra_query={"intent": "transcription"}) as connection:
                await connection.session.update(session=update()["session"])
                await connection.input_audio_buffer.append(audio=append(SPEECH)["audio"])
                async for event in connection:
                    if event.type == COMPLETED:
                        break
            assert event.transcript == "Hello there."
            assert "model" not in server.sessions[0].handshake.query
            await sdk.close()

    run(scenario)


@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")  # the SDK's
def test_the_synchronous_openai_sdk_gets_its_transcript() -> None:
    from openai import OpenAI

    with (
        ThreadedRealtimeServer(transcripts=["Hello there."]) as server,
        OpenAI(api_key=KEY, websocket_base_url=server.url.removesuffix("/realtime")) as sdk,
        sdk.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        connection.session.update(session=update()["session"])
        connection.input_audio_buffer.append(audio=append(SPEECH)["audio"])
        event = next(event for event in connection if event.type == COMPLETED)
        assert event.transcript == "Hello there."


def test_stop_ends_sessions_whose_clients_answer_no_close() -> None:
    async def scenario():
        async with RealtimeServer(strict=False) as server:
            silent = []
            for _ in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(upgrade())
                await reader.readuntil(b"\r\n\r\n")
                silent.append(writer)
            await server.wait_for("session.created", count=3, timeout=60)
            await asyncio.wait_for(server.stop(), 60)
            assert [session.close.code for session in server.sessions] == [1001] * 3
            for writer in silent:
                writer.close()

    run(scenario)


def test_nothing_is_logged(caplog) -> None:
    async def scenario():
        async with RealtimeServer() as server:
            with socket.create_connection(("127.0.0.1", server.port)) as raw:
                raw.sendall(b"nonsense\r\n\r\n")
            await transcribe(server)

    with caplog.at_level(logging.DEBUG, "websockets.server"):
        run(scenario)
    assert [record for record in caplog.records if record.name.startswith(("websockets.server", "rtstt"))] == []
    gc.collect()


def test_the_package_imports_nothing_before_it_is_used() -> None:
    import subprocess
    import sys

    code = (
        "import sys, rtstt_testkit\n"
        "loaded = {name for name in sys.modules if name.partition('.')[0] in ('websockets', 'asyncio', 'rtstt_shim')}\n"
        "assert not loaded, loaded\n"
        "from rtstt_testkit import Transcript\n"
        "assert 'websockets' not in sys.modules\n"
        "try: rtstt_testkit.Nonsense\n"
        "except AttributeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "module 'rtstt_testkit' has no attribute 'Nonsense'\n"


def test_a_server_loads_no_parser_of_script_files() -> None:
    import subprocess
    import sys

    code = (
        "import sys; before = set(sys.modules)\n"  # what measures coverage reads TOML itself
        "import rtstt_testkit.mock.server.server\n"
        "new = set(sys.modules) - before\n"
        "print(sorted({'tomllib', 'tomli', 'yaml', 'rtstt_testkit.mock.script.file'} & new))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_comes_in_one_piece_is_answered_in_its_order() -> None:
    """Appends are put together for listening; what comes between them is not overtaken."""

    def frame(event: dict) -> bytes:
        return Frame(Opcode.TEXT, json.dumps(event).encode()).serialize(mask=True)

    async def scenario():
        async with RealtimeServer(transcripts=["One.", "Two."]) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(upgrade())
            await reader.readuntil(b"\r\n\r\n")
            piece, commit = frame(append(tone(100))), frame({"type": "input_audio_buffer.commit"})
            manual = frame(update(turn_detection=None))
            writer.write(manual + piece * 3 + commit + piece * 2 + commit + piece)
            await server.wait_for(COMPLETED, count=2, timeout=60)
            await server.wait_for("input_audio_buffer.append", count=3, timeout=60)
            writer.close()
            await settled(server)
        (session,) = server.sessions
        heard = [(event.type, event.count) for event in session.events if event.sender == "client"]
        sound, end = "input_audio_buffer.append", ("input_audio_buffer.commit", 1)
        assert heard == [("session.update", 1), (sound, 3), end, (sound, 2), end, (sound, 1)]
        assert session.transcripts == ["One.", "Two."]
        assert session.audio == tone(100) * 6

    run(scenario)


def test_random_bytes_after_the_upgrade_end_one_connection_and_nothing_else() -> None:
    async def scenario():
        dice = random.Random(20261123)
        async with RealtimeServer() as server:
            for _ in range(60):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(upgrade())
                await reader.readuntil(b"\r\n\r\n")
                # A TEXT frame now and then, so that some of the noise is read as JSON.
                for _ in range(dice.randrange(1, 6)):
                    noise = dice.randbytes(dice.randrange(1, 60))
                    whole = bytes([0x81, 0x80 | len(noise), 0, 0, 0, 0]) + noise
                    writer.write(dice.choice([noise, whole]))
                writer.write_eof()
                with suppress(OSError):
                    await reader.read()
                writer.close()
            await settled(server)
            assert (await transcribe(server))[-1]["type"] == COMPLETED
        assert len(server.sessions) == 61

    run(scenario)
