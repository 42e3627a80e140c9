"""A server under load: how long it takes to stop, and how long one client that floods it delays another."""

import contextlib
import multiprocessing
import selectors
import threading
import time

import _env
from _bench import websocket
from _bench.figure import single
from _bench.processes import CLIENT_CORE, many_files, on_core, pin
from _bench.receiving import mock

SESSIONS = 3000
LARGEST_APPEND = 15 * 1024 * 1024


def _turns():
    """Return a turn of six seconds that the client commits."""
    update = websocket.update_event(turn_detection=None)
    return [update, websocket.append_event(websocket.speech()), b'{"type":"input_audio_buffer.commit"}']


FLOODS = {
    "appends of 50 ms": websocket.append_events,
    "appends of 15 MiB": lambda: [websocket.append_event((websocket.speech() * 100)[:LARGEST_APPEND])],
    "turns of six seconds": _turns,
    "events that are errors": lambda: [b"{}"],
}
"""By name: a function that returns what a client repeats as fast as the server reads it."""

_CLOSED = b"\x88\x02" + (1001).to_bytes(2, "big")
_CLOSE = websocket.frame((1001).to_bytes(2, "big"), 8)
_CLEAR = websocket.frame(b'{"type":"input_audio_buffer.clear"}')


def measure(quick):
    """Yield the figures."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    sessions = min(SESSIONS, many_files() - 200)
    for pace, seconds in (("", 0), (" in real time", 0.1)):
        stops = [stop(python, sessions, seconds) for _ in range(1 if quick else 3)]
        yield single(f"stop with {sessions:,} sessions that stream audio{pace}", "ms", stops, most=2000)
    for name, events in FLOODS.items():
        delays = [delay(python, [websocket.frame(event) for event in events()]) for _ in range(1 if quick else 3)]
        yield single(f"longest answer to a client while another floods the mock with {name}", "ms", delays, most=250)


def stop(python, sessions, seconds):
    """Return the milliseconds that a server takes to stop while every session sends audio.

    Args:
        python: The interpreter.
        sessions: The number of sessions.
        seconds: The time between two appends of 100 ms in a session; 0 for as much as the server reads.
    """
    with mock(python) as server, on_core(CLIENT_CORE), contextlib.ExitStack() as stack:
        port = server.port()
        sockets = [stack.enter_context(websocket.open_session(port)) for _ in range(sessions)]
        appends = websocket.append_frames(2 * websocket.FRAME_BYTES)
        client = threading.Thread(target=_stream, args=(sockets, appends, seconds), daemon=True)
        client.start()
        time.sleep(3)
        took = server.stop() * 1000
        client.join()
    return took


def _stream(sockets, frames, seconds):
    """Send frames on all sockets in turn and answer the CLOSE frames, until every connection has ended."""
    unsent, closing = dict.fromkeys(sockets, b""), set()
    with selectors.DefaultSelector() as selector:
        for raw in sockets:
            raw.setblocking(False)
            selector.register(raw, selectors.EVENT_READ)
        begun, number = time.perf_counter(), 0
        while unsent:
            for raw in list(unsent):
                number += 1
                if raw in unsent:
                    _send(raw, unsent, b"" if raw in closing else frames[number % len(frames)])
                if number % 100 == 0:
                    due = begun + number * seconds / len(sockets)
                    _read(selector, unsent, closing, max(0.0, due - time.perf_counter()))
            _read(selector, unsent, closing, 0)


def _send(raw, unsent, frame):
    """Send the rest of the last frame, or the next one, as far as the socket takes it."""
    data = unsent[raw] or frame
    with contextlib.suppress(BlockingIOError, ConnectionError):  # the end of the connection is read
        data = data[raw.send(data) :]
    unsent[raw] = data


def _read(selector, unsent, closing, timeout):
    for key, _ in selector.select(timeout):
        raw = key.fileobj
        try:
            data = raw.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            selector.unregister(raw)
            raw.close()
            del unsent[raw]
        elif _CLOSED in data:
            closing.add(raw)
            unsent[raw] += _CLOSE


def delay(python, frames):
    """Return the milliseconds of the longest answer that one client waits for while another floods the server."""
    with mock(python) as server, on_core(CLIENT_CORE), websocket.connect(server_port := server.port()) as raw:
        flooding = multiprocessing.get_context("fork").Process(target=_flood, args=(server_port, frames), daemon=True)
        flooding.start()
        try:
            time.sleep(1)
            longest, end = 0.0, time.perf_counter() + 5
            while (begun := time.perf_counter()) < end:
                raw.sendall(_CLEAR)
                answer = b""
                while b"input_audio_buffer.cleared" not in answer:
                    answer += raw.recv(65536)
                longest = max(longest, time.perf_counter() - begun)
                time.sleep(0.01)
            if not flooding.is_alive():
                raise _env.SetupError("the server closed the connection of the client that floods it")
        finally:
            flooding.kill()
            flooding.join()
    return longest * 1000


def _flood(port, frames):
    """Send frames as fast as the server reads them, and read what it answers."""
    pin(CLIENT_CORE)
    block = memoryview(b"".join(frames) * (1 + 1_000_000 // sum(map(len, frames))))
    at = 0
    with websocket.connect(port) as raw, selectors.DefaultSelector() as selector:
        raw.setblocking(False)
        selector.register(raw, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while True:
            for _, events in selector.select():
                if events & selectors.EVENT_READ and not raw.recv(1 << 20):
                    return
                if events & selectors.EVENT_WRITE:
                    at = (at + raw.send(block[at:])) % len(block)
