"""Recordings: what recording adds to an append, how fast one is replayed, and how long one takes to load."""

import contextlib
import selectors
import statistics
import tempfile
import time
from pathlib import Path

import _env
from _bench import websocket
from _bench.figure import Samples, added, beside, interleave, single
from _bench.processes import CLIENT_CORE, SERVER_CORE, answer, on_core, python_program
from _bench.receiving import mock

SESSIONS = 50
MINUTES = 60
_APPENDS = MINUTES * 60_000 // websocket.FRAME_MS
_ANSWER = b'{"type":"answer"}'  # of programs/read.py
_ANSWER_BYTES = 2 + len(_ANSWER)


def measure(quick):
    """Yield the figures."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    frames = websocket.append_frames()
    yield delay(python, frames, 3 if quick else 15)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "talk.rtstt.jsonl")
        record(python, frames, path)
        yield from replay(python, frames, path, 3 if quick else 7)
        loads = answer([python, _PROGRAM, "load", path, str(3 if quick else 7)], SERVER_CORE)
        yield single(f"load {MINUTES} minutes of audio", "ms", [load * 1000 for load in loads], most=2000)


_PROGRAM = Path(__file__).parent / "programs" / "recording.py"


def delay(python, frames, rounds):
    """Return how much longer an append and its answer take through the recorder, in many sessions at once.

    The endpoint has the recorder's core, so that both ways lead to another core and back, which alone takes a virtual
    machine a millisecond now and then.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        python_program(python, "read.py", "answer", core=SERVER_CORE) as endpoint,
        on_core(CLIENT_CORE),
    ):
        port = endpoint.port()
        with recorder(python, Path(folder, "talk.rtstt.jsonl"), port) as program:
            near = program.port()
            took = interleave(
                rounds, {"ours": lambda: round_trip(near, frames, 2), "peer": lambda: round_trip(port, frames, 2)}
            )
    name = f"an append and its answer, {SESSIONS} sessions, 99th percentile, recorded"
    return added(name, "ms", Samples(**took), "not recorded", most=1)


def recorder(python, path, port):
    """Start a recorder of the endpoint on a port."""
    return python_program(python, _PROGRAM.name, "record", path, f"ws://127.0.0.1:{port}/", core=SERVER_CORE)


def round_trip(port, frames, seconds):
    """Return the 99th percentile of the milliseconds between an append and its answer."""
    interval = websocket.FRAME_MS / 1000
    gap = interval / SESSIONS
    took = []
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        sockets = [stack.enter_context(websocket.connect(port)) for _ in range(SESSIONS)]
        sent = {raw: [] for raw in sockets}
        unread = dict.fromkeys(sockets, 0)
        for raw in sockets:
            selector.register(raw, selectors.EVENT_READ)
        begun, number, whole = time.perf_counter() + 0.1, 0, round(seconds / gap)
        while len(took) < whole:
            due = begun + number * gap
            if number < whole and time.perf_counter() >= due:
                raw = sockets[number % SESSIONS]
                sent[raw].append(time.perf_counter())
                raw.sendall(frames[number // SESSIONS % len(frames)])
                number += 1
                continue
            wait = max(0.0, due - time.perf_counter()) if number < whole else websocket.TIMEOUT
            ready = selector.select(wait)
            if not ready and number == whole:
                raise _env.SetupError("an append was not answered")
            for key, _ in ready:
                raw = key.fileobj
                answers, unread[raw] = divmod(unread[raw] + len(raw.recv(65536)), _ANSWER_BYTES)
                now = time.perf_counter()
                took += [now - sent[raw].pop(0) for _ in range(answers)]
    return statistics.quantiles(took, n=100, method="inclusive")[98] * 1000


def record(python, frames, path):
    """Record an hour of speech that is sent to the mock as fast as it reads."""
    with mock(python, core=CLIENT_CORE) as server, recorder(python, path, server.port()) as program:
        websocket.Blaster(program.port(), frames).round(_APPENDS)


def replay(python, frames, path, rounds):
    """Yield the rate at which a recording receives the recorded client, beside the mock itself."""
    with mock(python, "--cassette", path) as ours, mock(python) as peer, on_core(CLIENT_CORE):
        blasters = {name: websocket.Blaster(server.port(), frames) for name, server in (("ours", ours), ("peer", peer))}
        for blaster in blasters.values():
            blaster.round(_APPENDS)
        rates = interleave(
            rounds, {name: lambda blaster=blaster: blaster.round(_APPENDS) for name, blaster in blasters.items()}
        )
    yield beside(
        "appends of a recorded client, compared with the recording", "/s", Samples(**rates), "the mock", least=0.8
    )
