"""Start, stop, a server for each test, an idle session; and more than one worker."""

import os
import statistics
import threading
import time

import _env
from _bench import websocket
from _bench.figure import Figure, Samples, beside, in_turn, single, spread
from _bench.processes import CLIENT_CORE, PROGRAMS, answer, many_files, on_core
from _bench.receiving import aimock, mock

SECTION = "a server's life"
IDLE = 1000


def measure(quick):
    """Yield the figures."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    yield start(python, 3 if quick else 9)
    sessions = min(IDLE, many_files() - 200)
    yield from open_sessions(python, sessions, 1 if quick else 3)
    yield per_test(python, 2 if quick else 4)


def start(python, rounds):
    def until_listening(begin):
        with begin() as server:
            server.port()
            return (time.perf_counter() - server.started) * 1000

    name = "start to `listening`"
    if _env.node() is None:
        return single(SECTION, name, "ms", [until_listening(lambda: mock(python)) for _ in range(rounds)], most=300)
    samples = in_turn(rounds, lambda: until_listening(lambda: mock(python)), lambda: until_listening(aimock))
    figure = beside(SECTION, name, "ms", samples, "aimock 1.43.0")
    return figure._replace(target="≤ 300 ms", met=figure.ours <= 300)


def open_sessions(python, sessions, rounds):
    """What an idle session keeps in memory, and how long a server with many of them takes to end."""
    update = websocket.frame(websocket.update_event())
    idle, polite, silent = [], [], []
    for answers in (True, False):
        for _ in range(rounds):
            with mock(python) as server, on_core(CLIENT_CORE):
                port = server.port()
                empty = server.memory()
                sockets = []
                for _ in range(sessions):
                    sockets.append(websocket.connect(port))
                    sockets[-1].sendall(update)
                last = b""
                while b"session.updated" not in last:
                    last += sockets[-1].recv(65536)
                if empty is not None:
                    idle.append((server.memory() - empty) / sessions / 1024)
                closing = threading.Thread(target=_answer_closes, args=(sockets,)) if answers else None
                if closing:
                    closing.start()
                (polite if answers else silent).append(server.stop() * 1000)
                if closing:
                    closing.join()
                for raw in sockets:
                    raw.close()
    yield single(SECTION, f"stop with {sessions:,} sessions open", "ms", polite, most=1000)
    yield single(SECTION, "the same, none of whose clients answers", "ms", silent, most=1000)
    if idle:
        yield single(SECTION, "memory of an idle session", "KiB", idle, most=64)


def _answer_closes(sockets):
    """Do as clients do: answer the CLOSE that ends a session."""
    close = websocket.frame((1001).to_bytes(2, "big"), 8)
    for raw in sockets:
        try:
            while b"\x88" not in raw.recv(65536):
                pass
            raw.sendall(close)
        except OSError:
            pass


def per_test(python, rounds):
    """Start, connect, one transcript, stop; beside a bare websockets server that sends one message."""
    samples = Samples([], [])
    for _ in range(rounds):
        took = answer([python, PROGRAMS / "per_test.py", str(25)], CLIENT_CORE)
        samples.ours.extend(took["ours"])
        samples.peer.extend(took["peer"])
    name = "a server for one test: start, connect, a transcript, stop"
    figure = beside(SECTION, name, "ms", samples, "websockets, one message")
    return figure._replace(target="≤ 20 ms", met=figure.ours <= 20)


def workers(quick):
    """Yield what a second worker adds."""
    if (os.cpu_count() or 1) < 2:
        _env.say("one core: workers are left out")
        return
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    frames = [websocket.frame(event) for event in websocket.append_events()]
    count = 20_000 if quick else 50_000
    with mock(python, core=None) as one, mock(python, "--workers", "2", core=None) as two:
        blasters = [websocket.Blaster(server.port(), frames, sockets=32) for server in (one, two)]
        for blaster in blasters:
            blaster.round(count // 4)
        cpu = Samples([], [])

        def rate(server, blaster, kept):
            before = server.cpu()
            found = blaster.round(count)
            if before is not None:
                kept.append((server.cpu() - before) / count * 1e6)
            return found

        samples = in_turn(
            2 if quick else 5,
            lambda: rate(two, blasters[1], cpu.ours),
            lambda: rate(one, blasters[0], cpu.peer),
        )
    section = "more than one core"
    cores = os.cpu_count()
    name = f"appends with two workers, the client on the same {cores} cores"
    yield beside(section, name, "/s", samples, "one worker")
    if cpu.ours:
        ratio = statistics.median(cpu.ratios)
        yield Figure(
            section,
            "CPU of one append with two workers",
            "µs",
            statistics.median(cpu.ours),
            spread(cpu.ours),
            statistics.median(cpu.peer),
            "one worker",
            ratio,
            spread(cpu.ratios),
            "≤ 1.1 ×",
            ratio <= 1.1,
        )
