"""Whatever clients send, the mock answers with events the SDK knows; nothing raises, hangs or piles up."""

import asyncio
import gc
import itertools
import logging
import sys
from collections.abc import Iterator

import pytest
from fuzzing import Bytes, Client
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from talk import COMPLETED
from test_server import settled, transcribe
from websockets.frames import Opcode

from rtstt_testkit import RealtimeServer
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.server.connection import Connection
from rtstt_testkit.mock.server.driver import SessionDriver
from rtstt_testkit.mock.server.websocket import WebSocket
from rtstt_testkit.mock.session.session import Session

EVENTS_SHARE = 0.15
"""The share of client events of the state machine; the other inputs are frames on sockets."""


def fuzz_events(examples: int, steps: int, number: int = 0) -> int:
    """Let the state machine talk to the core; returns how many inputs it made, others for each number."""
    before = Client.inputs
    run_state_machine_as_test(
        seed(number)(Client),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Client.inputs - before


def living() -> dict[str, int]:
    """How many of what a connection needs are in memory."""
    gc.collect()
    kinds = (Session, SessionDriver, WebSocket, Connection, SessionRecord)
    counts = dict.fromkeys((kind.__name__ for kind in kinds), 0)
    for thing in gc.get_objects():
        if type(thing) in kinds:
            counts[type(thing).__name__] += 1
    return counts


class Messages(logging.Handler):
    """Keeps what is logged as text alone: a record would keep its exception, and that the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


async def fuzz_bytes(frames: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Send bytes to a live server until it has read so many frames; returns how many it read."""
    read = 0
    problems: list[object] = []
    texts, frames_ = SessionDriver.receive_text, WebSocket._receive_frame

    def receive_text(driver, payload):
        nonlocal read
        read += 1
        return texts(driver, payload)

    def receive_frame(websocket, frame):
        nonlocal read
        read += frame.opcode not in (Opcode.TEXT, Opcode.CONT)
        frames_(websocket, frame)

    monkeypatch.setattr(SessionDriver, "receive_text", receive_text)
    monkeypatch.setattr(WebSocket, "_receive_frame", receive_frame)
    logged, logger = Messages(), logging.getLogger("rtstt_testkit.mock")
    for name, value in {"level": logging.ERROR, "_cache": {}, "handlers": [logged], "propagate": False}.items():
        monkeypatch.setattr(logger, name, value)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
    talkers = map(Bytes, itertools.count(20261124))  # what each sends does not depend on the order of their turns
    kept, at_rest = 5, None
    before = living()  # what an earlier test of this process left is not this one's
    async with RealtimeServer(keep_sessions=kept, keep_audio=0, ping_interval=None, seed=1) as server:
        tasks = len(asyncio.all_tasks())
        while read < frames:
            for _ in range(50):
                await asyncio.gather(*(next(talkers).talk(server.port) for _ in range(4)))
                if read >= frames:
                    break
            await settled(server)
            # It keeps serving, and holds no memory of the ended sessions.
            assert (await transcribe(server))[-1]["type"] == COMPLETED
            await settled(server)
            while server._sessions.drivers or server._context.connections or len(asyncio.all_tasks()) > tasks:
                await asyncio.sleep(0.001)
            now = living()
            assert all(now[kind] <= before[kind] for kind in ("SessionDriver", "WebSocket", "Connection")), (
                before,
                now,
            )
            assert now["SessionRecord"] <= before["SessionRecord"] + kept + 8, (before, now)
            objects = len(gc.get_objects())
            at_rest = at_rest or objects
            assert objects < at_rest * 1.1, f"{at_rest} objects have become {objects}"
    assert not problems
    assert not logged.texts
    return read


def test_no_order_of_events_is_too_strange() -> None:
    assert fuzz_events(60, 30) > 100


def test_no_bytes_are_too_strange(monkeypatch) -> None:
    assert asyncio.run(fuzz_bytes(3000, monkeypatch)) >= 3000


@pytest.fixture
def untraced() -> Iterator[None]:
    """Not measured for coverage, which triples the minutes: fewer inputs reach the same lines."""
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)


@pytest.mark.parametrize(
    "inputs",
    [pytest.param(20_000, marks=pytest.mark.heavy), pytest.param(200_000, marks=pytest.mark.release)],
)
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("untraced")
def test_many_inputs(inputs, monkeypatch) -> None:
    events = 0
    for number in itertools.count(1):
        events += fuzz_events(200, 50, number)
        if events >= EVENTS_SHARE * inputs:
            break
    frames = asyncio.run(fuzz_bytes(int(inputs * (1 - EVENTS_SHARE)), monkeypatch))
    print(f"{events} events and {frames} frames")
    assert events + frames >= inputs
