"""The mock as a server: sockets, time and tasks around the state machine of ``session``; no protocol."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, get_args

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as WebSocketRequest
from websockets.http11 import Response
from websockets.typing import Subprotocol

from rtstt_testkit.mock.admission import Admission, HttpRefusal, Moment, Profile, admit
from rtstt_testkit.mock.handshake import Request
from rtstt_testkit.mock.ids import Ids
from rtstt_testkit.mock.record import Closed, Event, SessionRecord
from rtstt_testkit.mock.script import Director, Failure, Script, Transcript
from rtstt_testkit.mock.secret_store import SecretStore
from rtstt_testkit.mock.session import LATENCIES, Close, Latency, Session, Settings

__all__ = ["RealtimeServer"]

#: base64 of the largest append (15 MiB), and room for the JSON around it.
_MAX_MESSAGE = 21 * 1024 * 1024
_PING_SECONDS = 20  # [capture] about every 20.26 s, 4 bytes
_KEEP_AUDIO = 64 * 1024 * 1024
_STOP_SECONDS = 0.5

_quiet = logging.getLogger("rtstt_testkit.mock.websockets")
_quiet.setLevel(logging.CRITICAL + 1)


class RealtimeServer:
    """A mock of OpenAI's Realtime transcription endpoint, for ``async with``.

    Args:
        host: The address to listen on.
        port: The port, 0 for any free one.
        profile: Whose rules to follow: ``openai``, ``gateway`` (needs ``?model=``) or ``azure``.
        refuse: When a transcription session with a ``model`` is refused: ``at-connect``, or ``on-update`` as
            livekit/agents-js#1756 saw it.
        transcripts: What to answer, one entry an item: a text, a `Transcript` or a `Failure`.
        script: The same as a `Script`, instead of ``transcripts``.
        latency: ``instant``, ``capture`` (as measured on the endpoint), or a `Latency`.
        seed: Makes identifiers the same in every run.
        keep_audio: How many bytes of received audio a session keeps for assertions; the oldest goes first. 0
            keeps none, None all of it.
        compression: Whether to negotiate permessage-deflate, as the endpoint does; off, since on loopback it
            costs more than it saves.
        max_duration: Seconds until a session is ended with CLOSE 1001.
        expiry_event: Send an ``error`` event with code ``session_expired`` before that CLOSE.
        ping_interval: Seconds between PINGs, None for none.
        virtual_time: Time stands still except in `advance`.

    Attributes:
        sessions: What happened on each connection, in order.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        profile: Profile = "openai",
        refuse: Moment = "at-connect",
        transcripts: Iterable[str | Transcript | Failure] = (),
        script: Script | None = None,
        latency: str | Latency = "instant",
        seed: int | str | None = None,
        keep_audio: int | None = _KEEP_AUDIO,
        compression: bool = False,
        max_duration: float = 3600.0,
        expiry_event: bool = False,
        ping_interval: float | None = _PING_SECONDS,
        virtual_time: bool = False,
    ) -> None:
        _check("profile", profile, get_args(Profile))
        _check("refuse", refuse, get_args(Moment))
        if isinstance(latency, str):
            _check("latency", latency, tuple(LATENCIES))
            latency = LATENCIES[latency]
        self.host = host
        self.profile: Profile = profile
        self.refuse: Moment = refuse
        self.sessions: list[SessionRecord] = []
        self.director = Director(script if script is not None else Script.of(transcripts))
        self._port = port
        self._settings = Settings(latency, profile != "openai", max_duration, expiry_event)
        self._keep_audio = keep_audio
        self._compression = compression
        self._ping_interval = ping_interval
        self._ids = Ids(seed)
        self._time = 0.0 if virtual_time else None
        self._wall_start = time.time()
        self._secrets = SecretStore(self._ids, self.wall)
        self._wires: set[_Wire] = set()
        self._waiters: list[_Waiter] = []
        self._admissions: dict[ServerConnection, tuple[Admission, SessionRecord]] = {}
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
        self._server = await serve(
            self._serve,
            self.host,
            self._port,
            process_request=self._process_request,
            select_subprotocol=_select_subprotocol,
            compression="deflate" if self._compression else None,
            max_size=_MAX_MESSAGE,
            ping_interval=self._ping_interval,
            close_timeout=2,
            server_header=None,
            logger=_quiet,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Close every session with CLOSE 1001, cut those that do not answer, and stop listening."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        done = asyncio.ensure_future(server.wait_closed())
        finished, _ = await asyncio.wait({done}, timeout=_STOP_SECONDS)
        if not finished:
            for wire in list(self._wires):
                wire.abort()
            await done
        for waiter in self._waiters:
            waiter.give_up()

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

    # -- looking on

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
        try:
            return await asyncio.wait_for(waiter.future, timeout)
        except (asyncio.TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not waiter.future.cancelled():
                raise
            raise TimeoutError(self._not_seen(type_, count, timeout)) from None
        finally:
            self._waiters.remove(waiter)

    def _not_seen(self, type_: str, count: int, timeout: float) -> str:
        wanted = f"{type_!r}" if count == 1 else f"{count} × {type_!r}"
        if not self.sessions:
            return f"no {wanted} within {timeout:g} s: no client has connected to {self.url}"
        lines = [f"no {wanted} within {timeout:g} s; what was seen:"]
        for session in self.sessions:
            lines.append(f"  {session!r}")
            lines += [
                f"    {event.at:8.3f} s  {'→' if event.sender == 'client' else '←'} {event.type}"
                + (f" × {event.count}" if event.count > 1 else "")
                for event in session.events[-12:]
            ]
        return "\n".join(lines)

    def _notify(self, event: Event) -> None:
        for waiter in self._waiters:
            waiter.see(event)

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

    def _process_request(self, connection: ServerConnection, raw: WebSocketRequest) -> Response | None:
        request = Request(raw.path, raw.headers.raw_items())
        record = SessionRecord(len(self.sessions) + 1, request.record(), self._keep_audio)
        record.notify = self._notify
        self.sessions.append(record)
        answer = admit(request, self.profile, self.refuse, self._secrets)
        if isinstance(answer, HttpRefusal):
            record.http_status = answer.status
            return _json_response(connection, answer)
        self._admissions[connection] = answer, record
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        admission, record = self._admissions.pop(connection)
        session = Session(admission, record, self.director, self._ids, self._settings)
        wire = _Wire(self, connection, session)
        self._wires.add(wire)
        try:
            await wire.run()
        finally:
            self._wires.discard(wire)


class _Wire:
    """One connection: frames from the socket to the session, what it says to the socket, and one timer."""

    __slots__ = ("_connection", "_flushing", "_lock", "_server", "_session", "_timer", "_timer_due")

    def __init__(self, server: RealtimeServer, connection: ServerConnection, session: Session) -> None:
        self._server = server
        self._connection = connection
        self._session = session
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due: float | None = None
        self._flushing: asyncio.Task[None] | None = None

    @property
    def next_due(self) -> float | None:
        return self._session.next_due

    async def run(self) -> None:
        """Serve until the socket is gone."""
        session, connection, now = self._session, self._connection, self._server.now
        try:
            session.start(now(), self._server.wall())
            await self.flush()
            async for frame in connection:
                moment = now()
                session.receive(frame, moment)
                due = session.next_due
                if due is not None and due <= moment:
                    # Waiting here is what bounds memory: a client that does not read is not read from.
                    await self.flush()
                elif due != self._timer_due:
                    self._arm()
        except ConnectionClosed:
            pass
        except UnicodeDecodeError:  # websockets before 14 leaves it to the reader
            await connection.close(1007, "")
        finally:
            self._disarm()
            if self._flushing is not None:
                self._flushing.cancel()
            session.closed(_closed(connection))

    async def flush(self) -> None:
        """Send what is due."""
        async with self._lock:
            while outputs := self._session.poll(self._server.now()):
                for output in outputs:
                    try:
                        if isinstance(output, Close):
                            await self._connection.close(output.code, output.reason)
                        else:
                            await self._connection.send(output.text)
                    except ConnectionClosed:
                        return
        self._arm()

    def abort(self) -> None:
        """Cut the connection."""
        self._connection.transport.abort()

    def _arm(self) -> None:
        due = self._session.next_due
        if due == self._timer_due or self._server.virtual_time:
            return
        self._disarm()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._on_timer)
            self._timer_due = due

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_due = None

    def _on_timer(self) -> None:
        self._timer = self._timer_due = None
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self.flush())


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

    def give_up(self) -> None:
        self.future.cancel()


def _closed(connection: ServerConnection) -> Closed:
    """How the socket ended, where the session did not end it."""
    protocol = connection.protocol
    if protocol.close_sent is not None and not protocol.close_rcvd_then_sent:
        return Closed(int(protocol.close_sent.code), protocol.close_sent.reason, "server")
    if protocol.close_rcvd is None:
        return Closed(1006, "", "client")
    return Closed(int(protocol.close_rcvd.code), protocol.close_rcvd.reason, "client")


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
