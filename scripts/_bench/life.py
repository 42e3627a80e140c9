"""A server's life: start, stop, a server for each test, an idle session; and more than one worker."""

import contextlib
import os
import threading
import time

import _env
from _bench import websocket
from _bench.figure import Samples, at_most, beside, in_turn, single
from _bench.processes import CLIENT_CORE, PROGRAMS, answer, many_files, on_core
from _bench.receiving import AIMOCK_NAME, aimock, mock

IDLE = 1000


def measure(quick):
    """Yield the figures."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    yield start(python, 3 if quick else 9)
    yield from open_sessions(python, min(IDLE, many_files() - 200), 1 if quick else 3)
    yield per_test(python, 2 if quick else 4)


def start(python, rounds):
    """Return the time until a server listens."""

    def until_listening(begin):
        with begin() as server:
            server.port()
            return (time.perf_counter() - server.started) * 1000

    name = "start to `listening`"
    if _env.node() is None:
        return single(name, "ms", [until_listening(lambda: mock(python)) for _ in range(rounds)], most=300)
    samples = in_turn(rounds, lambda: until_listening(lambda: mock(python)), lambda: until_listening(aimock))
    return at_most(beside(name, "ms", samples, AIMOCK_NAME), 300)


def open_sessions(python, sessions, rounds):
    """Yield the time that a server with many idle sessions takes to stop, and the memory of a session."""
    idle, stops = [], {True: [], False: []}
    for answers, took in stops.items():
        for _ in range(rounds):
            with mock(python) as server, on_core(CLIENT_CORE), contextlib.ExitStack() as stack:
                port = server.port()
                empty = server.memory()
                sockets = [stack.enter_context(websocket.open_session(port)) for _ in range(sessions)]
                last = b""
                while b"session.updated" not in last:
                    last += sockets[-1].recv(65536)
                if empty is not None:
                    idle.append((server.memory() - empty) / sessions / 1024)
                closing = threading.Thread(target=_answer_closes, args=(sockets if answers else (),))
                closing.start()
                took.append(server.stop() * 1000)
                closing.join()
    yield single(f"stop with {sessions:,} sessions open", "ms", stops[True], most=1000)
    yield single(f"stop with {sessions:,} sessions open, no client answers the CLOSE", "ms", stops[False], most=1000)
    if idle:
        yield single("memory of an idle session", "KiB", idle, most=64)


def _answer_closes(sockets):
    """Answer the CLOSE frame that ends each session, as clients do."""
    close = websocket.frame((1001).to_bytes(2, "big"), 8)
    for raw in sockets:
        with contextlib.suppress(OSError):
            while b"\x88" not in raw.recv(65536):
                pass
            raw.sendall(close)


def per_test(python, rounds):
    """Return the time of a test with a server, beside a bare websockets server that sends one message."""
    samples = Samples([], [])
    for _ in range(rounds):
        took = answer([python, PROGRAMS / "per_test.py", str(25)], CLIENT_CORE)
        samples.ours.extend(took["ours"])
        samples.peer.extend(took["peer"])
    name = "a server for one test: start, connect, a transcript, stop"
    return at_most(beside(name, "ms", samples, "websockets, one message"), 20)


def workers(quick):
    """Yield what a second worker adds."""
    cores = os.cpu_count() or 1
    if cores < 2:
        _env.log("one core: workers are left out")
        return
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    frames = websocket.append_frames()
    count = 20_000 if quick else 50_000
    with mock(python, core=None) as one, mock(python, "--workers", "2", core=None) as two:
        costs = {one: [], two: []}
        blasters = {server: websocket.Blaster(server.port(), frames, sockets=32) for server in costs}
        for blaster in blasters.values():
            blaster.round(count // 4)

        def rate(server):
            found, cost = blasters[server].cpu_round(server, count)
            costs[server].append(cost)
            return found

        samples = in_turn(2 if quick else 5, lambda: rate(two), lambda: rate(one))
    yield beside(f"appends with two workers, the client on the same {cores} cores", "/s", samples, "one worker")
    if None not in costs[two]:
        cpu = Samples(costs[two], costs[one])
        yield beside("CPU of one append with two workers", "µs", cpu, "one worker", most=1.1)
