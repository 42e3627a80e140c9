"""Many sessions that stream speech in real time: how late the mock's events are, and what a session costs.

An event is due when the append with the last sample of its turn (``audio_end_ms``) is due. The client's own delay
counts as lateness, and is reported beside it.
"""

import contextlib
import json
import re
import selectors
import statistics
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import _env
from _bench import websocket
from _bench.figure import Figure, Samples, beside
from _bench.processes import CLIENT_CORE, many_files, on_core
from _bench.receiving import mock

STEPS = (100, 250, 500, 1000, 1500, 2000)
HEADLINE = 1000
LATE_MS = 100
"""The most that the 99th percentile of a step may be."""

_INTERVAL = websocket.FRAME_MS / 1000
_STOPPED = b'"input_audio_buffer.speech_stopped"'
_COMPLETED = b'"conversation.item.input_audio_transcription.completed"'
_END_MS = re.compile(rb'"audio_end_ms": ?(\d+)')
_ITEM = re.compile(rb'"item_id": ?"([^"]+)"')


class Step(NamedTuple):
    """One number of sessions.

    Attributes:
        sessions: The number of sessions.
        stopped: The 50th and 99th percentile of the lateness of ``speech_stopped``, in milliseconds.
        completed: The same of ``…transcription.completed``.
        client: The same of the client's own appends.
        events: The number of both events.
        missing: The number of sessions without events.
        cpu: The share of a core that the server used; None without /proc.
        memory: Bytes for each session, the audio that the mock keeps included.
        audio: Bytes of audio that the mock keeps of each session.
    """

    sessions: int
    stopped: tuple
    completed: tuple
    client: tuple
    events: int
    missing: int
    cpu: float | None
    memory: float | None
    audio: float

    def __str__(self):
        busy = "" if self.cpu is None else f"; {self.cpu:.0%} of a core"
        return (
            f"{self.sessions} sessions: completed {self.completed[0]:.1f} ms late, 99 in 100 below "
            f"{self.completed[1]:.1f} (client: {self.client[1]:.1f}){busy}"
        )


def measure(quick):
    """Yield a step for each number of sessions, and the figures."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    room = many_files() - 200
    frames = websocket.append_frames()
    steps = []
    for sessions in (250, HEADLINE, 1500) if quick else STEPS:
        if sessions > room:
            _env.log(f"{sessions} sessions are left out: this system allows {room} open files")
            continue
        step = stream(python, frames, sessions, 4 if quick else 7)
        steps.append(step)
        yield step
    yield from figures(steps)


def figures(steps):
    """Yield the figures of the headline step, and of all steps."""
    headline = next((step for step in steps if step.sessions == HEADLINE), None)
    if headline is not None:
        prefix = f"{HEADLINE:,} sessions: "
        for name, pair in (("speech_stopped", headline.stopped), ("completed", headline.completed)):
            for percentile, value in zip(("50th", "99th"), pair, strict=True):
                yield Figure(f"{prefix}lateness of `{name}`, {percentile} percentile", "ms", value)
        if headline.cpu is not None:
            yield Figure(f"{prefix}CPU of one", "% of a core", headline.cpu / HEADLINE * 100)
        if headline.memory is not None:
            own = (headline.memory - headline.audio) / 1024
            yield Figure(f"{prefix}memory of one without its audio", "KiB", own)
    costs = [step for step in steps if step.cpu is not None and step.completed[1] <= LATE_MS]
    if len(costs) > 1:
        few, many = (step.cpu / step.sessions * 100 for step in (costs[0], costs[-1]))
        name = f"CPU of a session, {costs[-1].sessions:,} of them beside {costs[0].sessions:,}"
        samples = Samples([many], [few])
        yield beside(name, "% of a core", samples, f"{costs[0].sessions:,} sessions", most=1.2)
    good = [step.sessions for step in steps if step.completed[1] <= LATE_MS and not step.missing]
    most = max(good, default=0)
    yield Figure(f"most sessions of those tried with 99 % of events within {LATE_MS} ms", "sessions", most)


@dataclass(slots=True)
class Socket:
    """One session: its unsent and unread bytes, and when its events are due."""

    raw: Any
    offset: int
    phase: float
    unsent: bytes = b""
    unread: bytes = b""
    due: dict = field(default_factory=dict)
    seen: int = 0


def stream(python, frames, sessions, seconds):
    """Stream in that many sessions for some seconds."""
    with (
        mock(python) as server,
        on_core(CLIENT_CORE),
        selectors.DefaultSelector() as selector,
        contextlib.ExitStack() as stack,
    ):
        port = server.port()
        empty = server.memory()
        sockets = []
        for number in range(sessions):
            raw = stack.enter_context(websocket.open_session(port))
            raw.setblocking(False)
            # Sessions begin at different times: each is elsewhere in the speech and in the 50 ms.
            sockets.append(Socket(raw, number * 7 % len(frames), number * _INTERVAL / sessions))
            selector.register(raw, selectors.EVENT_READ, sockets[-1])
        cpu, begun = server.cpu(), time.perf_counter()
        lateness = Lateness(sockets, selector, frames)
        lateness.run(round(seconds / _INTERVAL))
        took = time.perf_counter() - begun
        busy = None if cpu is None else (server.cpu() - cpu) / took
        kept, full = audio_kept(port), server.memory()
    return Step(
        sessions,
        percentiles(lateness.stopped),
        percentiles(lateness.completed),
        percentiles(lateness.client),
        len(lateness.stopped) + len(lateness.completed),
        sum(not socket.seen for socket in sockets),
        busy,
        None if full is None else (full - empty) / sessions,
        kept / sessions,
    )


def audio_kept(port):
    """Return the bytes of audio that the mock keeps of all sessions."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_mock/sessions", timeout=websocket.TIMEOUT) as response:
        return sum(session["audio_bytes"] for session in json.load(response)["sessions"])


def percentiles(values):
    """Return the 50th and the 99th percentile, in milliseconds."""
    if len(values) < 2:
        return (float("nan"), float("nan"))
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return (cuts[49] * 1000, cuts[98] * 1000)


class Lateness:
    """Sends every session's appends when they are due, and records how late the answers are."""

    def __init__(self, sockets, selector, frames):
        self.stopped, self.completed, self.client = [], [], []
        self._sockets = sockets
        self._selector = selector
        self._frames = frames
        self._start = 0.0

    def run(self, ticks):
        sockets, frames, clock = self._sockets, self._frames, time.perf_counter
        count, gap = len(sockets), _INTERVAL / len(sockets)
        self._start = start = clock() + 0.1
        self._read(0.1)
        sent, whole = 0, ticks * count
        while sent < whole:
            now = clock()
            due = min(whole, int((now - start) / gap) + 1)
            if sent < due and sent % 50 == 0:
                self.client.append(now - start - sent * gap)
            # Read in between, even when late.
            for number in range(sent, min(due, sent + 64)):
                tick, which = divmod(number, count)
                socket = sockets[which]
                self._send(socket, frames[(tick + socket.offset) % len(frames)])
                sent = number + 1
            self._read(0 if sent < due else max(0.0, start + sent * gap - clock()))
        end = clock() + 0.5
        while (left := end - clock()) > 0:
            self._read(left)

    def _send(self, socket, frame):
        if socket.unsent:
            socket.unsent += frame
            return
        try:
            done = socket.raw.send(frame)
        except BlockingIOError:
            done = 0
        if done < len(frame):
            socket.unsent = frame[done:]
            self._selector.modify(socket.raw, selectors.EVENT_READ | selectors.EVENT_WRITE, socket)

    def _read(self, timeout):
        for key, events in self._selector.select(timeout):
            socket = key.data
            if events & selectors.EVENT_WRITE:
                with contextlib.suppress(BlockingIOError):
                    socket.unsent = socket.unsent[socket.raw.send(socket.unsent) :]
                if not socket.unsent:
                    self._selector.modify(socket.raw, selectors.EVENT_READ, socket)
            if events & selectors.EVENT_READ:
                data = socket.raw.recv(65536)
                if not data:
                    raise _env.SetupError("the mock closed a session in the middle of it")
                self._parse(socket, socket.unread + data, time.perf_counter())

    def _parse(self, socket, data, now):
        at, size = 0, len(data)
        while size - at >= 2:
            length, head = data[at + 1] & 0x7F, 2
            if length == 126:
                if size - at < 4:
                    break
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            if size - at < head + length:
                break
            self._event(socket, data[at + head : at + head + length], now)
            at += head + length
        socket.unread = data[at:]

    def _event(self, socket, event, now):
        if _STOPPED in event:
            end = int(_END_MS.search(event)[1])
            tick = -(-end // websocket.FRAME_MS) - 1
            due = socket.due[_ITEM.search(event)[1]] = self._start + tick * _INTERVAL + socket.phase
            self.stopped.append(now - due)
            socket.seen += 1
        elif _COMPLETED in event:
            due = socket.due.pop(_ITEM.search(event)[1], None)
            if due is not None:
                self.completed.append(now - due)
