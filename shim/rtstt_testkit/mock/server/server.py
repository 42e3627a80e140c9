"""The mock as a server: what a test or a command uses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import get_args

from rtstt_testkit.cassette.player import Player, Replay
from rtstt_testkit.mock.inspect.explain import explain_all
from rtstt_testkit.mock.inspect.record import Event, SessionRecord
from rtstt_testkit.mock.inspect.verify import Expected, ScriptNotFollowed, verify
from rtstt_testkit.mock.protocol.admission import Account, Profile, RefusalMoment
from rtstt_testkit.mock.protocol.events import Failure
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.secret_store import SecretStore
from rtstt_testkit.mock.script.faults import Fault
from rtstt_testkit.mock.script.script import Script, ScriptCursor, Transcript
from rtstt_testkit.mock.server import api
from rtstt_testkit.mock.server.access import Access
from rtstt_testkit.mock.server.connection import ConnectionContext
from rtstt_testkit.mock.server.examined import Examined
from rtstt_testkit.mock.server.listener import Listener
from rtstt_testkit.mock.server.observing import Observer, ObserverThread
from rtstt_testkit.mock.server.records import Records
from rtstt_testkit.mock.server.sessions import Sessions
from rtstt_testkit.mock.session.latency import LATENCIES, Latency
from rtstt_testkit.mock.session.session import Settings

__all__ = ["RealtimeServer", "ScriptNotFollowed"]

_PING_SECONDS = 20  # [capture] about every 20.26 s
_KEEP_AUDIO = 64 * 1024 * 1024
_KEEP_SESSIONS = 10_000
_MAX_SESSIONS = 10_000


class RealtimeServer(Examined):
    """A mock of OpenAI's Realtime transcription endpoint, for ``async with``.

    A key that begins with ``sk-`` or ``ek_`` is accepted, unless it contains ``bad`` or ``invalid``.

    Args:
        host: The address to listen on.
        port: The port, 0 for any free one.
        profile: Whose rules to follow: ``openai``, ``gateway`` (needs ``?model=``) or ``azure``.
        refuse: When a transcription session with a ``model`` is refused: ``at-connect``, or ``on-update`` as
            livekit/agents-js#1756 saw it.
        transcripts: What to answer, one entry for each item: a text, a `Transcript` or a `Failure`.
        faults: What goes wrong, and where.
        script: Transcripts and faults as a `Script`, instead of those two.
        strict: Whether leaving the ``async with`` block fails when transcripts were not used, when a fault that was
            certain to happen did not, or when a client connected that was not expected.
        connections: How many clients may connect under ``strict``: a number, None for any number, or ``scripted``: a
            script with transcripts must have one left for each client.
        latency: ``instant``, ``capture`` (as measured on the endpoint), or a `Latency`.
        seed: Makes identifiers, and what happens by chance, the same in every run, for the nth connection whatever
            happens on others.
        keep_audio: How many bytes of received audio a session keeps; the oldest is dropped first. 0 keeps none, None
            all.
        share_audio: How many bytes of audio the sessions share: each keeps an equal part of it, counted when it is
            opened, if that is more than ``keep_audio``.
        before_drop: Called with a session's record before its oldest audio is dropped, in the event loop.
        keep_sessions: How many sessions are kept; the oldest that ended is dropped first.
        max_sessions: How many sessions may be open at once, None for any number; clients beyond it get HTTP 503 (the
            mock's own choice: what the endpoint answers is not known).
        compression: Whether to negotiate permessage-deflate, as the endpoint does; off, since on loopback it costs
            more than it saves.
        max_duration: Seconds until a session ends with CLOSE 1001.
        expiry_event: Whether to send an ``error`` event with code ``session_expired`` before that CLOSE.
        account: The state of the account, in which every session is refused after the handshake: ``no-credit``,
            ``quota``, ``spend-limit`` or ``no-model``; None for a good one.
        lenient_commit: Whether a commit without speech under turn detection makes an item instead of being refused
            as empty.
        ping_interval: Seconds between PINGs, None for none.
        cassette: A recording that answers the clients: the path of a file, or a `Replay`. Transcripts, profile and
            account are the recording's then; faults apply.
        virtual_time: Whether time moves only in `advance`.
        control: Whether to serve the HTTP control API under ``/_mock/``.
        token: The token that the control API requires as ``Authorization: Bearer``, None for none.
        allow_hosts: Host names that it answers to, besides loopback, ``host``, ``api.openai.com`` and
            ``openai.azure.com``.
        allow_origins: Origins of web pages that may use it, besides its own, such as ``http://localhost:5173``.
        observer: Called with every event that is sent or received, with the first of a run of appends, and with an
            event of the type ``(closed)`` when a session ends. It runs in a thread of its own, so it never delays a
            session: an exception that it raises is logged, and an observer that is 10,000 events behind misses the
            next ones, whose number it gets in an event of the type ``(missed)``.
        reuse_port: Whether to share the port with other servers that do (SO_REUSEPORT).
        routes: Operations to add to the control API, such as those of the inspector.

    Raises:
        ValueError: A setting is unknown; the message names those that are known. Or the recording cannot be used.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        profile: Profile = "openai",
        refuse: RefusalMoment = "at-connect",
        transcripts: Iterable[str | Transcript | Failure] = (),
        faults: Iterable[Fault] = (),
        script: Script | None = None,
        strict: bool = True,
        connections: Expected = "scripted",
        latency: str | Latency = "instant",
        seed: int | str | None = None,
        keep_audio: int | None = _KEEP_AUDIO,
        share_audio: int = 0,
        before_drop: Callable[[SessionRecord], None] | None = None,
        keep_sessions: int = _KEEP_SESSIONS,
        max_sessions: int | None = _MAX_SESSIONS,
        compression: bool = False,
        max_duration: float = 3600.0,
        expiry_event: bool = False,
        account: Account | None = None,
        lenient_commit: bool = False,
        ping_interval: float | None = _PING_SECONDS,
        cassette: str | Path | Replay | None = None,
        virtual_time: bool = False,
        control: bool = False,
        token: str | None = None,
        allow_hosts: Sequence[str] = (),
        allow_origins: Sequence[str] = (),
        observer: Observer | None = None,
        reuse_port: bool = False,
        routes: Sequence[api.Route] = (),
    ) -> None:
        _check("profile", profile, get_args(Profile))
        _check("refuse", refuse, get_args(RefusalMoment))
        if account is not None:
            _check("account", account, get_args(Account))
        if isinstance(latency, str):
            _check("latency", latency, tuple(LATENCIES))
            latency = LATENCIES[latency]
        if max_sessions is not None and max_sessions < 1:
            raise ValueError(f"max_sessions is {max_sessions}; it must be 1 or more, or None for any number")
        script = script if script is not None else Script.of(transcripts, faults)
        if cassette is not None and script.transcripts:
            raise ValueError("a cassette has its own transcripts; leave out those of the script, or the cassette")
        replay = cassette if isinstance(cassette, Replay) or cassette is None else Replay(cassette)
        self.player = None if replay is None else Player(replay)
        self.host = host
        self.control = control
        self.routes = routes
        self.access = Access(host, tuple(allow_hosts), tuple(allow_origins), token)
        self._port = port
        self._reuse_port = reuse_port
        self._strict = strict
        self._expected = connections
        self._time = 0.0 if virtual_time else None
        self._stopped: float | None = None
        self._wall_start = time.time()
        self._observer = None if observer is None else ObserverThread(observer)
        self._records = Records(keep_sessions, keep_audio, self._observer, share_audio, before_drop)
        ids = Ids(seed)
        self._sessions = Sessions(
            clock=self,
            records=self._records,
            cursor=ScriptCursor(script),
            settings=Settings(latency, profile != "openai", max_duration, expiry_event, lenient_commit, account),
            profile=profile,
            refuse=refuse,
            secrets=SecretStore(ids, self.wall),
            ids=ids,
            most=max_sessions,
            player=self.player,
        )
        self._context = ConnectionContext(
            respond=partial(api.respond, self),
            attempt=self._sessions.attempt,
            open_session=self._sessions.open,
            access=self.access.refusal,
            compression=compression,
            ping_interval=ping_interval,
        )
        self._listener = Listener(self._context)

    # -- what happened

    @property
    def sessions(self) -> list[SessionRecord]:
        """What happened on each connection, in the order in which the clients connected."""
        return self._records.sessions

    @property
    def cursor(self) -> ScriptCursor:
        """The position in the script."""
        return self._sessions.cursor

    @property
    def observer_errors(self) -> int:
        """The number of exceptions that the observer raised."""
        return 0 if self._observer is None else self._observer.errors

    @property
    def secrets(self) -> SecretStore:
        """The ephemeral secrets."""
        return self._sessions.secrets

    # -- where it is

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The WebSocket address, such as ``ws://127.0.0.1:40123/v1/realtime``."""
        return f"ws://{self._netloc}/v1/realtime"

    @property
    def base_url(self) -> str:
        """The address of the API, such as ``http://127.0.0.1:40123/v1``, for a client's ``base_url``."""
        return f"http://{self._netloc}/v1"

    @property
    def _netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self._port}"

    # -- life

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The address cannot be bound, for example because the port is in use.
        """
        await self._listener.start(self.host, self._port, reuse_port=self._reuse_port)
        self._stopped = None
        self._port = self._listener.addresses[0][1]

    async def stop(self) -> None:
        """Close every session with CLOSE 1001, cut the connections that do not answer, and stop listening."""
        try:
            await self._listener.stop()
        finally:
            self._stopped = self.now()
            self._records.stop_waiting()
            if self._observer is not None:
                self._observer.end()
        if self._observer is not None:
            await asyncio.to_thread(self._observer.join)

    async def __aenter__(self) -> RealtimeServer:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        await self.stop()
        if exc_type is None and self._strict:
            self.verify()

    # -- assertions

    def verify(self) -> None:
        """Check that the script was used up, and that no client connected that was not expected.

        Raises:
            ScriptNotFollowed: It was not; the message says what was expected, what happened and how to relax it.
            CassetteMismatch: A client did something else than the recorded one.
        """
        __tracebackhide__ = True
        if self.player is not None:
            self.player.verify()
        verify(self.cursor, self.sessions, self._records.count, self._expected, self._records.unexpected)

    def explain(self) -> str:
        """Return the outcome of each session, in words: what the client did wrong, and how to fix it."""
        text = explain_all(self.sessions, self.url)
        for message, count in self._context.refusals.items():
            requests = "1 request was" if count == 1 else f"{count} requests were"
            text += f"\n{requests} refused: {message}"
        return "\n".join([text, *(f"Finding {finding}" for finding in self.findings())])

    def _elapsed(self) -> float:
        return self._records.since_first(self.now() if self._stopped is None else self._stopped) if self.sessions else 0

    async def wait_for(self, type_: str, *, count: int = 1, timeout: float = 5.0) -> Event:
        """Wait until events of a type were sent or received on any connection; past ones count.

        Args:
            type_: The type, such as ``conversation.item.input_audio_transcription.completed``.
            count: The number of events to wait for.
            timeout: Seconds to wait.

        Returns:
            The ``count``-th event.

        Raises:
            TimeoutError: There were fewer; the message shows what was sent and received instead.
        """
        event = await self._records.wait_for(type_, count, timeout)
        if event is None:
            raise TimeoutError(self._not_seen(type_, count, timeout))
        return event

    def _not_seen(self, type_: str, count: int, timeout: float) -> str:
        wanted = f"{type_!r}" if count == 1 else f"{count} × {type_!r}"
        if not self.sessions:
            return f"no {wanted} within {timeout:g} s: no client has connected to {self.url}"
        lines = [f"no {wanted} within {timeout:g} s; what was seen:"]
        for session in self.sessions:
            lines.append(f"  {session!r}")
            lines += [f"    {line}" for line in session.timeline(12)]
        return "\n".join([*lines, self.explain()])

    # -- control

    def load(self, script: Script) -> None:
        """Replace the script; its faults apply to connections made from now on.

        Args:
            script: The new script, which starts at its beginning.
        """
        self.cursor.load(script)
        self._records.unexpected = []

    def reset(self) -> None:
        """Drop the sessions that ended, and start the script again."""
        self._records.reset()
        self.cursor.load(self.cursor.script)
        if self.player is not None:
            self.player.reset()

    # -- time

    def now(self) -> float:
        """Return the server's clock, in seconds: the event loop's, or the virtual one."""
        return asyncio.get_running_loop().time() if self._time is None else self._time

    @property
    def virtual_time(self) -> bool:
        """Whether time moves only in `advance`."""
        return self._time is not None

    def wall(self) -> float:
        """Return the time of day, in seconds since 1970."""
        return time.time() if self._time is None else self._wall_start + self._time

    async def advance(self, seconds: float) -> None:
        """Move virtual time; what is due until then happens in order, each at its own time.

        Args:
            seconds: How far to move it.

        Raises:
            RuntimeError: The server was not made with ``virtual_time=True``.
        """
        if self._time is None:
            raise RuntimeError("advance() needs a server made with virtual_time=True")
        target = self._time + seconds
        drivers = self._sessions.drivers
        while True:
            due = min((driver.next_due for driver in drivers if driver.next_due is not None), default=None)
            if due is None or due > target:
                break
            self._time = max(due, self._time)
            for driver in list(drivers):
                driver.flush()
        self._time = target


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"unknown {name} {value!r}; the mock knows {', '.join(allowed)}")
