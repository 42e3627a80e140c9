"""The mock as a server: it listens, lets clients in, and keeps what happened; no protocol."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, cast, get_args

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request as WebSocketRequest
from websockets.http11 import Response
from websockets.typing import Subprotocol

from rtstt_testkit.mock.inspect.explain import explain_all
from rtstt_testkit.mock.inspect.record import Closed, Event, SessionRecord
from rtstt_testkit.mock.inspect.verify import Expected, ScriptNotFollowed, verify
from rtstt_testkit.mock.protocol.admission import Admission, HttpRefusal, Moment, Profile, admit
from rtstt_testkit.mock.protocol.events import Failure
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.secret_store import SecretStore
from rtstt_testkit.mock.script.faults import CONNECT, Fault, FaultPlan
from rtstt_testkit.mock.script.script import Script, ScriptCursor, Transcript
from rtstt_testkit.mock.server import api
from rtstt_testkit.mock.server.connection import Connection, Wire
from rtstt_testkit.mock.session.latency import LATENCIES, Latency
from rtstt_testkit.mock.session.session import Session, Settings

__all__ = ["RealtimeServer", "ScriptNotFollowed"]

#: base64 of the largest append (15 MiB), and room for the JSON around it.
_MAX_MESSAGE = 21 * 1024 * 1024
_PING_SECONDS = 20  # [capture] about every 20.26 s, 4 bytes
_KEEP_AUDIO = 64 * 1024 * 1024
_KEEP_SESSIONS = 10_000
_MAX_SESSIONS = 10_000
_OPEN_SECONDS = 60  # for the whole opening, slowed down by faults or not
_STOP_SECONDS = 0.3  # without any client answering
_READ = 256 * 1024  # bytes at once, as asyncio has it
_BACKLOG = 1024  # clients that may connect at the same moment

_quiet = logging.getLogger("rtstt_testkit.mock.websockets")
_quiet.setLevel(logging.CRITICAL + 1)


class RealtimeServer:
    """A mock of OpenAI's Realtime transcription endpoint, for ``async with``.

    A key that begins with ``sk-`` or ``ek_`` is accepted, unless it contains ``bad`` or ``invalid``.

    Args:
        host: The address to listen on.
        port: The port, 0 for any free one.
        profile: Whose rules to follow: ``openai``, ``gateway`` (needs ``?model=``) or ``azure``.
        refuse: When a transcription session with a ``model`` is refused: ``at-connect``, or ``on-update`` as
            livekit/agents-js#1756 saw it.
        transcripts: What to answer, one entry an item: a text, a `Transcript` or a `Failure`.
        faults: What goes wrong, and where.
        script: Transcripts and faults as a `Script`, instead of those two.
        strict: Whether leaving the ``async with`` block fails when transcripts were left over, when a fault that was
            certain to happen did not, or when a client connected that was not expected.
        connections: How many connections there may be under ``strict``: a number, None for any, or ``scripted``: a
            script with transcripts must have one left for whoever connects.
        latency: ``instant``, ``capture`` (as measured on the endpoint), or a `Latency`.
        seed: Makes identifiers, and what happens by chance, the same in every run, for the nth connection whatever
            others do meanwhile.
        keep_audio: How many bytes of received audio a session keeps; the oldest goes first. 0 keeps none, None all.
        keep_sessions: How many sessions are remembered; the oldest that is over goes first.
        max_sessions: How many sessions may be open at once; who comes after that is told so with HTTP 503 (the mock's
            own choice: what the endpoint answers is not known). None for any number.
        compression: Whether to negotiate permessage-deflate, as the endpoint does; off, since on loopback it costs
            more than it saves.
        max_duration: Seconds until a session is ended with CLOSE 1001.
        expiry_event: Send an ``error`` event with code ``session_expired`` before that CLOSE.
        ping_interval: Seconds between PINGs, None for none.
        virtual_time: Time stands still except in `advance`.
        control: Serve the HTTP control API under ``/_mock/``.
        observer: Called with every event as it comes or goes, the first of a run of appends only.
        reuse_port: Share the port with other servers that do (SO_REUSEPORT).

    Attributes:
        sessions: What happened on each connection, in order.
        cursor: Who hands out the transcripts.

    Raises:
        ValueError: A setting is unknown; the message names those that are known.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        profile: Profile = "openai",
        refuse: Moment = "at-connect",
        transcripts: Iterable[str | Transcript | Failure] = (),
        faults: Iterable[Fault] = (),
        script: Script | None = None,
        strict: bool = True,
        connections: Expected = "scripted",
        latency: str | Latency = "instant",
        seed: int | str | None = None,
        keep_audio: int | None = _KEEP_AUDIO,
        keep_sessions: int = _KEEP_SESSIONS,
        max_sessions: int | None = _MAX_SESSIONS,
        compression: bool = False,
        max_duration: float = 3600.0,
        expiry_event: bool = False,
        ping_interval: float | None = _PING_SECONDS,
        virtual_time: bool = False,
        control: bool = False,
        observer: Callable[[SessionRecord, Event], None] | None = None,
        reuse_port: bool = False,
        routes: Iterable[api.Route] = (),
    ) -> None:
        _check("profile", profile, get_args(Profile))
        _check("refuse", refuse, get_args(Moment))
        if isinstance(latency, str):
            _check("latency", latency, tuple(LATENCIES))
            latency = LATENCIES[latency]
        if max_sessions is not None and max_sessions < 1:
            raise ValueError(f"max_sessions is {max_sessions}; it must be 1 or more, or None for any number")
        self.host = host
        self.profile: Profile = profile
        self.refuse: Moment = refuse
        self.control = control
        self.sessions: list[SessionRecord] = []
        self.cursor = ScriptCursor(script if script is not None else Script.of(transcripts, faults))
        self._strict = strict
        self._expected = connections
        self._port = port
        self._settings = Settings(latency, profile != "openai", max_duration, expiry_event)
        self._keep_audio = keep_audio
        self._keep_sessions = keep_sessions
        self._max_sessions = max_sessions
        self._compression = compression
        self._ping_interval = ping_interval
        self._ids = Ids(seed)
        self._time = 0.0 if virtual_time else None
        self._wall_start = time.time()
        self.secrets = SecretStore(self._ids, self.wall)
        self._observer = observer
        self._reuse_port = reuse_port
        self.routes = tuple(routes)
        self._count = 0
        self._unexpected: list[int] = []
        self._first_came: float | None = None
        self._wires: set[Wire] = set()
        self._connections: set[Connection] = set()
        self._waiters: list[_Waiter] = []
        self._opening: dict[ServerConnection, SessionRecord] = {}
        self._admitted: dict[ServerConnection, Admission] = {}
        self._server: Server | None = None

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
        answer, buffer = partial(api.answer, self), bytearray(_READ)
        connection = partial(Connection, buffer, answer, self._connections, self._lost)
        self._server = await serve(
            self._serve,
            self.host,
            self._port,
            process_request=self._process_request,
            process_response=self._process_response,
            select_subprotocol=_select_subprotocol,
            compression="deflate" if self._compression else None,
            max_size=_MAX_MESSAGE,
            open_timeout=_OPEN_SECONDS,
            ping_interval=self._ping_interval,
            close_timeout=2,
            server_header=None,
            logger=_quiet,
            reuse_port=self._reuse_port or None,
            backlog=_BACKLOG,
            create_connection=cast("type[ServerConnection]", connection),
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Close every session with CLOSE 1001, cut those that do not answer, and stop listening."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        done = asyncio.ensure_future(server.wait_closed())
        before = None
        while not done.done() and len(self._connections) != before:
            before = len(self._connections)
            await asyncio.wait({done}, timeout=_STOP_SECONDS)
        for connection in list(self._connections):
            connection.transport.abort()
        await done
        for waiter in self._waiters:
            waiter.future.cancel()

    async def __aenter__(self) -> RealtimeServer:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
        if exc_type is None and self._strict:
            self.verify()

    # -- looking on

    def verify(self) -> None:
        """Check that the script was used up, and that no client connected that was not expected.

        Raises:
            ScriptNotFollowed: It was not; the message says what was expected, what came and how to relax it.
        """
        verify(self.cursor, self.sessions, self._count, self._expected, self._unexpected)

    def explain(self) -> str:
        """What became of each session, in words: what the client did wrong, and the mend."""
        return explain_all(self.sessions, self.url)

    async def wait_for(self, type_: str, *, count: int = 1, timeout: float = 5.0) -> Event:
        """Wait until events of a type have come or gone on any connection, those already past included.

        Args:
            type_: Such as ``conversation.item.input_audio_transcription.completed``.
            count: How many there must be.
            timeout: Seconds to wait.

        Returns:
            The ``count``-th of them.

        Raises:
            TimeoutError: They did not come; the message says what did.
        """
        seen = [event for session in self.sessions for event in session.events if event.type == type_]
        if len(seen) >= count:
            return seen[count - 1]
        waiter = _Waiter(type_, count - len(seen), asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        await asyncio.wait({waiter.future}, timeout=timeout)
        self._waiters.remove(waiter)
        if waiter.future.done() and not waiter.future.cancelled():
            return waiter.future.result()
        raise TimeoutError(self._not_seen(type_, count, timeout))

    def _not_seen(self, type_: str, count: int, timeout: float) -> str:
        wanted = f"{type_!r}" if count == 1 else f"{count} × {type_!r}"
        if not self.sessions:
            return f"no {wanted} within {timeout:g} s: no client has connected to {self.url}"
        lines = [f"no {wanted} within {timeout:g} s; what was seen:"]
        for session in self.sessions:
            lines.append(f"  {session!r}")
            lines += [f"    {line}" for line in session.timeline(12)]
        return "\n".join([*lines, self.explain()])

    def _notify(self, record: SessionRecord, event: Event) -> None:
        if self._observer is not None:
            self._observer(record, event)
        for waiter in self._waiters:
            waiter.see(event)

    # -- steering

    def load(self, script: Script) -> None:
        """Say this from now on, from its beginning; faults are met by connections to come.

        Args:
            script: What to say.
        """
        self.cursor.load(script)
        self._unexpected = []

    def reset(self) -> None:
        """Forget the sessions that are over, and begin the script again."""
        self.sessions = [session for session in self.sessions if session.open]
        self._count = max((session.number for session in self.sessions), default=0)
        self._unexpected = []
        self.cursor.load(self.cursor.script)

    # -- time

    def now(self) -> float:
        """The server's clock, in seconds: the event loop's, or the virtual one."""
        return asyncio.get_running_loop().time() if self._time is None else self._time

    @property
    def virtual_time(self) -> bool:
        """Whether time stands still except in `advance`."""
        return self._time is not None

    def wall(self) -> float:
        """The time of day, in seconds since 1970."""
        return time.time() if self._time is None else self._wall_start + self._time

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass; what was due in between happens in order, at its own time.

        Args:
            seconds: How far to go.

        Raises:
            RuntimeError: The server was not made with ``virtual_time=True``.
        """
        if self._time is None:
            raise RuntimeError("advance() needs a server made with virtual_time=True")
        target = self._time + seconds
        while True:
            due = min((wire.next_due for wire in self._wires if wire.next_due is not None), default=None)
            if due is None or due > target:
                break
            self._time = max(due, self._time)
            for wire in list(self._wires):
                await wire.flush()
        self._time = target

    # -- connections

    async def _process_request(self, connection: ServerConnection, raw: WebSocketRequest) -> Response | None:
        request = Request(raw.path, raw.headers.raw_items())
        record = self._opening[connection] = self._new_record(request)
        plan = self.cursor.faults(record.number, self._ids.chance(f"handshake {record.number}"))
        faults = plan.match(CONNECT)
        for fault in faults:
            if fault.action == "delay" and self._time is None:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(connection.wait_closed(), fault.seconds)
            elif fault.action == "reset":
                connection.transport.abort()
        answer = FaultPlan.refusal(faults) or self._full() or admit(request, self.profile, self.refuse, self.secrets)
        if connection not in self._connections:  # it left meanwhile, or before it was looked at
            self._lost(connection)
            answer = HttpRefusal(503, "The client is gone.")
        elif isinstance(answer, HttpRefusal):
            record.http_status, record.http_message = answer.status, answer.message
        if isinstance(answer, HttpRefusal):
            return _json_response(connection, answer)
        self._admitted[connection] = answer
        return None

    def _full(self) -> HttpRefusal | None:
        """What is said to a client for whom there is no session left."""
        if self._max_sessions is None or len(self._wires) + len(self._admitted) < self._max_sessions:
            return None
        message = f"{self._max_sessions} sessions are open, and the mock's max_sessions allows no more."
        return HttpRefusal(503, message, "too_many_sessions")

    def _process_response(self, connection: ServerConnection, raw: WebSocketRequest, response: Response) -> None:
        """Note that an admitted client is refused after all: its request was no proper opening handshake."""
        if response.status_code != 101 and self._admitted.pop(connection, None) is not None:
            record = self._opening[connection]
            record.http_status, record.http_message = response.status_code, response.body.decode().strip()

    def _lost(self, connection: ServerConnection) -> None:
        """The connection is gone; one whose session had not begun is noted as closed."""
        record = self._opening.pop(connection, None)
        if record is not None and record.open:
            record.close = Closed(1006, "", "client")
        self._admitted.pop(connection, None)

    def _new_record(self, request: Request) -> SessionRecord:
        self._count += 1
        record = SessionRecord(self._count, request.record(), self._keep_audio)
        record.notify = partial(self._notify, record)
        now = self.now()
        self._first_came = now if self._first_came is None else self._first_came
        record.opened_at = now - self._first_came
        record.opened_wall = self.wall()
        if not self.cursor.expects(record.number):
            self._unexpected.append(record.number)
        self.sessions.append(record)
        if len(self.sessions) > self._keep_sessions:
            over = next((index for index, session in enumerate(self.sessions) if not session.open), None)
            if over is not None:
                del self.sessions[over]
        return record

    async def _serve(self, connection: ServerConnection) -> None:
        admission = self._admitted.pop(connection, None)
        if admission is None:  # it left meanwhile
            return
        record = self._opening.pop(connection)
        ids = self._ids.child(f"session {record.number}")
        session = Session(admission, record, self.cursor, ids, self._settings, self.now())
        wire = Wire(self, cast(Connection, connection), session)
        self._wires.add(wire)
        try:
            await wire.run()
        finally:
            self._wires.discard(wire)


class _Waiter:
    """Someone waiting for events of a type."""

    def __init__(self, type_: str, missing: int, future: asyncio.Future[Event]) -> None:
        self.type = type_
        self.missing = missing
        self.future = future

    def see(self, event: Event) -> None:
        if event.type == self.type:
            self.missing -= 1
            if self.missing == 0 and not self.future.done():
                self.future.set_result(event)


def _select_subprotocol(connection: ServerConnection, offered: Any) -> Subprotocol | None:
    return Subprotocol("realtime") if "realtime" in offered else None


def _json_response(connection: ServerConnection, refusal: HttpRefusal) -> Response:
    body = {"error": {"message": refusal.message, "type": "invalid_request_error", "code": refusal.code}}
    response = connection.respond(refusal.status, json.dumps(body) + "\n")
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"unknown {name} {value!r}; the mock knows {', '.join(allowed)}")
