"""Record what a program sends to and receives from a realtime endpoint.

with Recorder("talk.rtstt.jsonl") as recorder:  # api.openai.com; the program is not changed
    with recorder.routed():
        ...  # any client in this process
    subprocess.run(command, env={**os.environ, **recorder.environment})

with Recorder("talk.rtstt.jsonl", to="ws://127.0.0.1:8765/v1/realtime") as recorder:
    ...  # or a client that is given recorder.url
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import h11

from rtstt_testkit.cassette.format import CassetteError
from rtstt_testkit.cassette.writer import CassetteWriter
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.recording.endpoint import Endpoint, endpoint_at, native_endpoint
from rtstt_testkit.recording.peer import Peer
from rtstt_testkit.recording.proxy import Proxy
from rtstt_testkit.routing import route, route_env
from rtstt_testkit.routing.environment import canonical, not_written

__all__ = ["NATIVE", "IncompleteRecordingError", "Recorder", "ReplayServer", "program"]

NATIVE = "api.openai.com"
"""The host whose connections are recorded unless others are named."""

_STOP_SECONDS = 5.0  # for connections whose client is gone already
_MOST_PROBLEMS = 20
_BUFFER = 64 * 1024  # bytes that are read at once


class IncompleteRecordingError(CassetteError):
    """Lines were dropped, because the disk is full or too slow."""


class ReplayServer(Protocol):
    """A server that replays a recording."""

    @property
    def port(self) -> int:
        """The port it listens on."""

    def replays(self, request: Request) -> bool:
        """Return whether a session for this request is left."""


class Recorder:
    """A recording that is being made, for ``with``.

    Args:
        path: The file, by convention ``NAME.rtstt.jsonl``; the audio is written beside it.
        to: The WebSocket address of the endpoint; None for the host that the program connects to.
        hosts: The host names whose connections are recorded.
        client: The client, for the first line of the file; without secrets.
        replace: Whether a file that exists is replaced.
        known: A server that replays the file. The sessions in the file are replayed, and others are appended to it.

        about: What else the first line of the file has.

    Attributes:
        path: The file.
        problems: What went wrong with the endpoint, in sentences.

    Raises:
        CassetteError: The file exists or cannot be written, or an address is malformed.
        IncompleteRecordingError: At the end of the ``with`` block, if lines were dropped.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        to: str | None = None,
        hosts: Sequence[str] = (NATIVE,),
        client: str = "",
        replace: bool = False,
        known: ReplayServer | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self._known = known
        self._about = about or {}
        self.path = Path(path)
        self.problems: list[str] = []
        self._client = client
        self._replace = replace
        try:
            self._hosts = [canonical(host) for host in hosts]
        except ValueError as error:
            raise CassetteError(f"{error}; name a host like {NATIVE}") from None
        other = None if to is None else endpoint_at(to)
        self._endpoints: dict[str, Endpoint] = {
            host: native_endpoint(host) if other is None else other for host in self._hosts
        }
        self._stack = ExitStack()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._port = 0
        self._writer: CassetteWriter | None = None
        self._error: OSError | None = None

    # -- where it is

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port that connections are routed to."""
        return "127.0.0.1", self._port

    @property
    def url(self) -> str:
        """A WebSocket address that is recorded without routing; it stands for the first host."""
        return f"ws://127.0.0.1:{self._port}/v1/realtime"

    @property
    def base_url(self) -> str:
        """The address of the API there, for a client's ``base_url``."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def failure(self) -> str | None:
        """Why the recording is not complete, or None."""
        return None if self._writer is None else self._writer.failure

    @property
    def dropped(self) -> int:
        """The number of lines that were not written."""
        return 0 if self._writer is None else self._writer.dropped

    @contextmanager
    def routed(self) -> Iterator[None]:
        """Route the hosts within this process, for clients that connect to them."""
        with route(dict.fromkeys(self._hosts, self.address)):
            yield

    @cached_property
    def environment(self) -> dict[str, str]:
        """The variables that route the hosts in a child process; valid until the end of the ``with`` block.

        Raises:
            CassetteError: A host has no certificate, or there is no room for one on the disk.
        """
        try:
            return self._stack.enter_context(route_env(dict.fromkeys(self._hosts, self.address)))
        except ValueError as error:
            raise CassetteError(f"{error}; name a host like {NATIVE}") from None
        except OSError as error:
            raise CassetteError(not_written(error)) from None

    # -- life

    def __enter__(self) -> Recorder:
        """Open the file and listen."""
        for endpoint in self._endpoints.values():
            endpoint.resolve()  # before the names are routed
        first = self._endpoints[self._hosts[0]]
        self._writer = CassetteWriter(
            self.path,
            url=first.url,
            client=self._client,
            replace=self._replace and self._known is None,
            append=self._known is not None,
            about=self._about,
        )
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._run, name="rtstt-recorder", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._writer.close()
            raise CassetteError(f"cannot listen on 127.0.0.1: {self._error.strerror}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections and the file."""
        assert self._writer is not None
        self._stack.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._writer.close()
        if kind is None and self.failure is not None:
            raise IncompleteRecordingError(
                f"the recording is not complete: {self.failure}; {self.dropped} lines were dropped"
            )

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()
            self._started.set()

    async def _serve(self) -> None:
        assert self._writer is not None
        connections: set[asyncio.Task[None]] = set()
        buffer = bytearray(_BUFFER)
        proxy = Proxy(self._writer, self._endpoint_of, self._replayed, self._problem, buffer)

        def connected(peer: Peer) -> None:
            task = asyncio.ensure_future(proxy.serve(peer))
            connections.add(task)
            task.add_done_callback(connections.discard)

        try:
            server = await self._loop.create_server(partial(Peer, h11.SERVER, buffer, connected), "127.0.0.1", 0)
        except OSError as error:
            self._error = error
            return
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        if connections:
            await asyncio.wait(connections, timeout=_STOP_SECONDS)
        for task in list(connections):
            task.cancel()
        if connections:
            await asyncio.wait(connections)

    def _endpoint_of(self, host: str) -> Endpoint:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        try:
            return self._endpoints.get(canonical(name)) or self._direct
        except ValueError:
            return self._direct

    def _replayed(self, request: Request) -> Endpoint | None:
        """Return the server that replays a session, or None for one that is recorded."""
        if self._known is None or not self._known.replays(request):
            return None
        return Endpoint("127.0.0.1", self._known.port, False, "/v1/realtime", True, [(socket.AF_INET, "127.0.0.1")])

    @cached_property
    def _direct(self) -> Endpoint:
        """The first host's endpoint, for clients that connect to `url`."""
        first = self._endpoints[self._hosts[0]]
        return Endpoint(first.host, first.port, first.tls, first.path, True, first.addresses)

    def _problem(self, text: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS and text not in self.problems:
            self.problems.append(text)


def program(command: Sequence[str]) -> str:
    """Return the names of a program and its script, without arguments, which may hold secrets."""
    names = [Path(word).name for word in command[:2] if not word.startswith("-") and "://" not in word]
    return " ".join(names)
