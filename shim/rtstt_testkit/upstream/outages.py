"""Run a client against an endpoint that fails, in every way that a connection attempt or a session can fail."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from websockets.http11 import Request
from websockets.server import ServerProtocol

from rtstt_testkit.mock.protocol.admission import Profile
from rtstt_testkit.mock.script.faults import Fault
from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer
from rtstt_testkit.upstream.endtoend import GATEWAY, ClientRun, run_client

__all__ = ["CLAIMS", "OUTAGES", "Outage", "failures", "run_outage"]

HOST = "eu.api.openai.com"
_UNKNOWN_HOST = "api.openai.invalid"  # RFC 2606: a name that never resolves


@dataclass(frozen=True)
class Outage:
    """One way to fail.

    Attributes:
        name: The name, for the report.
        serve: Starts a server and yields its port and a function that returns the number of connect attempts; None
            for a host name that does not resolve.
        key: The API key that the client sends.
        abort: Whether the application closes the stream while the client connects.
        hint: A text that the client's error contains once the client reads what the server sends; empty if the
            server sends nothing.
        host: The host name that the client connects to. A session opens only at a gateway, which takes a URL with
            `model` before and after every fix.
    """

    name: str
    serve: Callable[[], AbstractContextManager[tuple[int, Callable[[], int]]]] | None
    key: str = ""
    abort: bool = False
    hint: str = ""
    host: str = HOST


def _status(connection: socket.socket, request: bytes, status: str) -> None:
    connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


def _reset(connection: socket.socket, request: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _close(connection: socket.socket, request: bytes) -> None:
    """Close the connection in place of an answer."""


def _stay_silent(connection: socket.socket, request: bytes = b"") -> None:
    with suppress(OSError):
        while connection.recv(65536):
            pass


def _refuse_at_once(connection: socket.socket, request: bytes) -> None:
    """Send the handshake, an error event and the close in one write, so that the client reads them together."""
    event = {"type": "error", "error": {"type": "invalid_request_error", "message": "Incorrect API key provided: ***"}}
    server = ServerProtocol()
    server.receive_data(request)
    (upgrade,) = server.events_received()
    assert isinstance(upgrade, Request)
    server.send_response(server.accept(upgrade))
    server.send_text(json.dumps(event).encode())
    server.send_close(3000, "invalid_request_error.invalid_api_key")
    connection.sendall(b"".join(server.data_to_send()))
    _stay_silent(connection)


@contextmanager
def _server(answer: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[int, Callable[[], int]]]:
    """Serve connections, one after the other, that end before the WebSocket is open."""
    attempts = 0
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        nonlocal attempts
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                request = connection.recv(65536)
                if not request:
                    continue
                attempts += 1
                answer(connection, request)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], lambda: attempts
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes up accept()
        listener.close()
        thread.join(5)


@contextmanager
def _mock(*faults: Fault, profile: Profile = "openai") -> Iterator[tuple[int, Callable[[], int]]]:
    with ThreadedRealtimeServer(faults=faults, profile=profile, strict=False, allow_hosts=[HOST, GATEWAY]) as server:
        yield server.port, lambda: len(server.sessions)


def _refused(status: str) -> Outage:
    return Outage(f"HTTP {status.partition(' ')[0]}", partial(_server, partial(_status, status=status)))


OUTAGES = (
    _refused("401 Unauthorized"),
    _refused("403 Forbidden"),
    _refused("404 Not Found"),
    _refused("429 Too Many Requests"),
    _refused("500 Internal Server Error"),
    _refused("503 Service Unavailable"),
    Outage("reset", partial(_server, _reset)),
    Outage("unknown host", None),
    Outage("closed before it is open", partial(_server, _close)),
    Outage("aborted while connecting", partial(_server, _stay_silent), abort=True),
    Outage(
        "refused right after the handshake",
        partial(_server, _refuse_at_once),
        key="sk-invalid-key",
        hint="Incorrect API key",
    ),
    Outage(
        "closed with 1011",
        partial(_mock, Fault("close", after="session.updated", code=1011, reason="server_error"), profile="gateway"),
        hint="code=1011, reason=server_error",
        host=GATEWAY,
    ),
)


def run_outage(
    outage: Outage, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]
) -> ClientRun:
    """Run a client through an outage.

    Args:
        outage: The outage.
        command: The client, as for `endtoend.drive`.
        folder: The working directory.
        environment: Additions to the client's environment.
    """
    environment = {**environment, "OPENAI_API_KEY": outage.key}
    more = ["abort"] if outage.abort else []
    if outage.serve is None:
        return run_client(command, folder, _UNKNOWN_HOST, environment, None, *more)
    with outage.serve() as (port, attempts):
        run = run_client(command, folder, outage.host, environment, port, *more)
        return run.with_attempts(attempts())


def failures(run: ClientRun) -> int:
    """Return the number of failed attempts of a run that the client reported: retried ones and the last."""
    if not run.errors:
        return 0
    return run.attempts or (2 if run.errors[-1].get("retryable") else 1)


def _warns_once(outage: Outage, run: ClientRun) -> bool:
    return len(run.warnings) == failures(run)


def _decides(outage: Outage, run: ClientRun) -> bool:
    return all(
        error.get("retryable") is not None and run.attempts in (None, 2 if error["retryable"] else 1)
        for error in run.errors
    )


def _reports_hint(outage: Outage, run: ClientRun) -> bool:
    return any(outage.hint in error["message"] for error in run.errors)


CLAIMS: Mapping[str, Callable[[Outage, ClientRun], bool]] = {
    "one warning a failure": _warns_once,
    "a retry decision": _decides,
    "close code and reason": lambda outage, run: not outage.hint.startswith("code=") or _reports_hint(outage, run),
    "the error event arrives": lambda outage, run: not outage.key or _reports_hint(outage, run),
}
"""What a fix can claim of every outage, by the name in ``proves`` of its ``fix.yml``."""
