"""The short frame reader: it reads plain TEXT frames, and passes every other byte on to websockets unchanged."""

import asyncio
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talk import cut
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from rtstt_testkit import RealtimeServer
from rtstt_testkit.mock.audio.buffer import AudioBuffer
from rtstt_testkit.mock.inspect.record import Closed
from rtstt_testkit.mock.server.frames import FrameReader
from rtstt_testkit.mock.server.turn import Turn
from rtstt_testkit.mock.server.websocket import WebSocket

HANDSHAKE = (
    b"GET /v1/realtime?intent=transcription HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer sk-a\r\n\r\n"
)
AUTH = {"Authorization": "Bearer sk-a"}
APPEND = b'{"type":"input_audio_buffer.append","audio":"' + b64encode(bytes(4800)) + b'"}'
CLEAR = b'{"type":"input_audio_buffer.clear"}'
SIZES = [0, 1, 125, 126, 127, 3000, 65535]


def text(size: int, fin: bool = True) -> bytes:
    return Frame(Opcode.TEXT, b"a" * size, fin).serialize(mask=True)


def binary(size: int) -> bytes:
    return Frame(Opcode.BINARY, b"b" * size).serialize(mask=True)


PING = Frame(Opcode.PING, b"ping").serialize(mask=True)
FRAMES = {
    "short": text(5),
    "empty": text(0),
    "16-bit length": text(200),
    "64-bit length": text(70_000),
    "ping": PING,
    "binary": binary(300),
    "empty binary": binary(0),
}
PLAIN = ("short", "empty", "16-bit length")


class Passed:
    """The messages and the bytes that a reader passes on."""

    def __init__(self, decline: bytes | None = None, last: bytes | None = None) -> None:
        self.messages: list[bytes] = []
        self.passed = b""
        self.decline = decline
        self.last = last
        self.reader = FrameReader(self.receive, self.pass_on)

    def receive(self, payload: bytes) -> bool:
        if payload == self.decline:
            return False
        self.messages.append(payload)
        return True

    def pass_on(self, data: bytes) -> bool:
        self.passed += data
        return self.last is None or self.last not in self.passed

    def feed(self, data: bytes, *sizes: int) -> "Passed":
        for piece in cut(data, sizes) if sizes else [data]:
            self.reader.receive(piece)
        return self


@pytest.mark.parametrize("size", SIZES)
def test_a_text_message_of_any_length_is_received_unmasked(size: int) -> None:
    received = Passed().feed(text(size) + text(3))
    assert (received.messages, received.passed) == ([b"a" * size, b"aaa"], b"")


@given(
    st.lists(st.sampled_from(list(FRAMES)), max_size=8),
    st.lists(st.integers(1, 300), min_size=1, max_size=8),
)
def test_frames_are_the_same_however_the_bytes_arrive(names: list[str], sizes: list[int]) -> None:
    received = Passed().feed(b"".join(FRAMES[name] for name in names), *sizes)
    assert [len(payload) for payload in received.messages] == [
        {"short": 5, "empty": 0, "16-bit length": 200}[name] for name in names if name in PLAIN
    ]
    assert received.passed == b"".join(FRAMES[name] for name in names if name not in PLAIN)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.TEXT, b"not masked").serialize(mask=False),
        Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True),
    ],
    ids=["unmasked", "close"],
)
def test_all_that_follows_what_ends_a_connection_is_left_to_websockets(frame: bytes) -> None:
    received = Passed(last=frame).feed(text(2) + frame + text(4)).feed(text(5))
    assert (received.messages, received.passed[: len(frame)]) == ([b"aa"], frame)
    assert len(received.passed) == len(frame + text(4) + text(5))


def test_a_message_that_is_declined_reaches_websockets_whole_with_all_that_follows() -> None:
    bad = Frame(Opcode.TEXT, b"\xff").serialize(mask=True)
    received = Passed(decline=b"\xff").feed(text(2) + bad + text(4))
    assert received.messages == [b"aa"]
    assert received.passed[: len(bad)] == bad
    assert len(received.passed) == len(bad + text(4))


def test_frames_of_an_extension_and_pieces_of_a_message_are_passed_on() -> None:
    piece, squeezed = text(3, fin=False), bytes([0xC1]) + text(3)[1:]
    received = Passed().feed(piece + squeezed)
    assert (received.messages, received.passed) == ([], piece + squeezed)


class Closes:
    """A receiver that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.close: Closed | None = None

    def begin(self) -> None: ...
    def before_control(self) -> None: ...
    def settle(self) -> None: ...
    def writable(self) -> None: ...

    def failed(self, error: Exception) -> None:
        raise error

    def receive_text(self, payload: bytes) -> bool:
        try:
            payload.decode()
        except UnicodeDecodeError:
            return False
        self.messages.append(b"text " + payload)
        return True

    def receive_binary(self, payload: bytes) -> None:
        self.messages.append(b"binary " + payload)

    def closed(self, close: Closed) -> None:
        self.close = close


class Sink(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def abort(self) -> None: ...


async def received(pieces: list[bytes], direct: bool) -> tuple[list[bytes], bytes, bool, Closed | None]:
    """The messages, the bytes of the answers and the end that some bytes lead to; without the reader if not direct."""
    receiver, sink = Closes(), Sink()
    protocol = ServerProtocol(state=State.OPEN, max_size=100_000)
    websocket = WebSocket(sink, protocol, receiver, None, Turn())
    websocket._reader.direct = direct
    for piece in pieces:
        websocket.receive(piece)
        while websocket._waiting:
            websocket._continue()
    websocket.receive_eof()
    websocket.lost()
    return receiver.messages, sink.written, sink.ended, receiver.close


CONTROL = st.sampled_from([Opcode.PING, Opcode.PONG])
DATA = st.sampled_from([Opcode.TEXT, Opcode.TEXT, Opcode.TEXT, Opcode.BINARY, Opcode.CONT])
PAYLOADS = st.one_of(
    st.binary(max_size=140), st.text(max_size=60).map(str.encode), st.sampled_from([b"a" * 126, b"b" * 65_535])
)
WHOLE = st.builds(
    lambda opcode, data, fin, mask: Frame(opcode, data, fin).serialize(mask=mask),
    DATA,
    PAYLOADS,
    st.sampled_from([True, True, True, False]),
    st.sampled_from([True] * 20 + [False]),
)
CONTROLS = st.builds(lambda opcode, data: Frame(opcode, data).serialize(mask=True), CONTROL, st.binary(max_size=125))
FRAGMENTED = st.lists(st.text(max_size=20).map(str.encode), min_size=2, max_size=4).map(
    lambda parts: b"".join(
        Frame(Opcode.CONT if index else Opcode.TEXT, part, index == len(parts) - 1).serialize(mask=True)
        for index, part in enumerate(parts)
    )
)
ENDS = st.sampled_from(
    [
        Frame(Opcode.CLOSE, b"").serialize(mask=True),
        Frame(Opcode.CLOSE, b"\x03\xe8bye").serialize(mask=True),
        Frame(Opcode.CLOSE, b"\x03").serialize(mask=True),
        Frame(Opcode.CLOSE, b"\x0f\xa0\xff").serialize(mask=True),
        b"\xc1\x81\x00\x00\x00\x00a",
        b"\x83\x80\x00\x00\x00\x00",
        b"\x81\xff\x00\x00\x00\x00\x00\x01\x86\xa1\x00\x00\x00\x00",
        b"\x81\xff" + b"\xff" * 8,
    ]
)


@pytest.mark.parametrize("examples", [100, pytest.param(1000, marks=pytest.mark.heavy)])
def test_the_reader_leads_to_the_same_as_websockets_parser_alone(examples: int) -> None:
    @settings(max_examples=examples)
    @given(
        st.lists(WHOLE | FRAGMENTED | CONTROLS | WHOLE | FRAGMENTED | ENDS | st.binary(max_size=30), max_size=12),
        st.lists(st.integers(1, 300), min_size=1, max_size=8),
    )
    def compare(frames: list[bytes], sizes: list[int]) -> None:
        async def both() -> None:
            pieces = list(cut(b"".join(frames), sizes))
            # Frame by frame: websockets answers a CLOSE before anybody has looked at the messages that came with it.
            assert await received(pieces, True) == await received(frames, False)

        asyncio.run(both())

    compare()


@pytest.mark.parametrize("direct", [True, False])
def test_what_follows_text_that_is_not_utf8_is_not_received(direct: bool) -> None:
    first = Frame(Opcode.TEXT, b"\xff", False).serialize(mask=True)
    second = Frame(Opcode.CONT, b"", True).serialize(mask=True)
    messages, written, ended, close = asyncio.run(received([first + second + text(3)], direct))
    assert (messages, ended, close) == ([], True, Closed(1007, "", "server"))
    assert written == b"\x88\x02\x03\xef"


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_frames_beyond_the_limit_wait_for_their_turn(limit: int) -> None:
    received, last = Passed(), text(4)
    more = received.reader.receive(text(1) + PING + text(2) + PING + text(3) + last[:3], limit)
    turns = 1
    while more:
        more = received.reader.receive(b"", limit)
        turns += 1
    received.feed(last[3:])
    assert received.messages == [b"a", b"aa", b"aaa", b"aaaa"]
    assert received.passed == PING * 2
    assert turns == {1: 6, 2: 3, 5: 2}[limit]


@given(st.lists(st.binary(max_size=6000), max_size=12), st.one_of(st.none(), st.integers(0, 9000)))
def test_the_buffer_keeps_the_latest_and_counts_all(pieces: list[bytes], limit: int | None) -> None:
    buffer, whole = AudioBuffer(limit), b"".join(pieces)
    for piece in pieces:
        if buffer.add(piece):
            buffer.trim()
    kept = buffer.read()
    assert buffer.received == len(whole) == len(kept) + buffer.dropped
    assert whole.endswith(kept)
    assert limit is None or min(len(whole), limit) - 1 <= len(kept) <= limit * 1.25
    start, end = len(whole) // 3, len(whole) // 3 * 2
    assert buffer.read(start, end) == whole[max(start, buffer.dropped) : max(end, buffer.dropped)]


async def answers(first: bytes, then: bytes, last: bytes, times: int = 1) -> bytes:
    """Return what the server sends to a client whose handshake and first frames are one write.

    Args:
        first: The frames after the handshake.
        then: The bytes that are sent after the server's response.
        last: What ends the server's answers.
        times: How often it ends them.
    """
    async with RealtimeServer(strict=False) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HANDSHAKE + first)
        received = await reader.readuntil(b"\r\n\r\n")
        writer.write(then)
        while received.count(last) < times:
            received += await reader.readuntil(last)
        writer.close()
        return received


def test_frames_sent_before_the_handshakes_answer_are_handled_in_order() -> None:
    nope, clear = (Frame(Opcode.TEXT, event).serialize(mask=True) for event in (b"nope", CLEAR))
    received = asyncio.run(answers(nope + clear[:9], clear[9:] + clear, b"input_audio_buffer.cleared", 2))
    assert received.count(b"invalid_json") == 1
    assert received.index(b"invalid_json") < received.index(b"input_audio_buffer.cleared")


def test_a_ping_is_answered_after_the_events_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a client, on another thread or in another process, knows by the PONG that its audio is in."""
    received: list[int] = []
    asked = asyncio.Event()

    async def talk() -> None:
        async with RealtimeServer(strict=False) as server:
            genuine = ServerProtocol.receive_data

            def receive_data(protocol: ServerProtocol, data: bytes) -> None:
                received.extend(session.audio_received for session in server.sessions)
                genuine(protocol, data)
                asked.set()

            async with connect(f"{server.url}?intent=transcription", additional_headers=AUTH) as client:
                await client.recv()
                monkeypatch.setattr(ServerProtocol, "receive_data", receive_data)
                frames = [Frame(Opcode.TEXT, APPEND).serialize(mask=True)] * 3
                client.transport.write(b"".join(frames) + Frame(Opcode.PING, b"").serialize(mask=True))
                await asyncio.wait_for(asked.wait(), 60)
                monkeypatch.undo()

    asyncio.run(talk())
    assert received == [3 * 4800]


def test_text_that_is_not_utf8_closes_1007_after_the_answers_to_events_before_it() -> None:
    clear, bad = (Frame(Opcode.TEXT, event).serialize(mask=True) for event in (CLEAR, b"\xff"))
    asyncio.run(answers(b"", clear, b"input_audio_buffer.cleared"))
    received = asyncio.run(answers(b"", clear + bad, (1007).to_bytes(2, "big")))
    assert b"invalid_json" not in received
