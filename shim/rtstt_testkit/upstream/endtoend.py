"""Run a client against mocks of the endpoint and of a gateway, under their true host names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer
from rtstt_testkit.routing import route_env
from rtstt_testkit.upstream.errors import VerificationFailed
from rtstt_testkit.upstream.scratch import execute

__all__ = ["GATEWAY", "NATIVE_HOSTS", "ClientRun", "drive", "run_client"]

NATIVE_HOSTS = ("api.openai.com", "eu.api.openai.com")
GATEWAY = "gateway.example.com"


@dataclass(frozen=True)
class ClientRun:
    """One run of a client, as the server and the application saw it.

    Attributes:
        host: The host name that the client connected to.
        query: The query of its URL.
        refusal: The code of the error that refused the session with the close code, or None.
        transcript: The final transcript that the application received, or None.
        errors: The errors that the application received, each ``{"name": …, "retryable": …, "message": …}``.
        warnings: The log lines of level WARNING or above.
        attempts: The number of connect attempts that the server saw, or None if there is no server.
        crash: The last line of a process that ended without a result, or None.
    """

    host: str
    query: Mapping[str, Sequence[str]]
    refusal: str | None
    transcript: str | None
    errors: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]
    attempts: int | None = None
    crash: str | None = None

    def __str__(self) -> str:
        if self.transcript is not None:
            model = "with" if "model" in self.query else "without"
            return f"transcript {self.transcript!r} (URL {model} `model`)"
        return f"0 transcripts: {self.refusal or 'no session'}"

    def with_attempts(self, attempts: int) -> ClientRun:
        """Return this run with a number of connect attempts."""
        return replace(self, attempts=attempts)


def run_client(
    command: Sequence[str | Path],
    folder: Path,
    host: str,
    environment: Mapping[str, str],
    port: int | None,
    *more: str,
) -> ClientRun:
    """Run a client that streams audio to ``https://host/v1``.

    Args:
        command: The client; it takes the base URL as its argument and prints ``RESULT`` with a line of JSON.
        folder: The working directory.
        host: The host name.
        environment: Additions to the client's environment.
        port: The port of the server on this machine that the host name is routed to; None for no route.
        more: Further arguments for the client.
    """
    # The user's own key is not sent, not even to a mock.
    environment = {"OPENAI_API_KEY": "", **environment}
    words = [*command, f"https://{host}/v1", *more]
    if port is None:
        done = execute(words, folder, environment, timeout=90)
    else:
        with route_env({host: ("127.0.0.1", port)}) as routes:
            done = execute(words, folder, {**environment, **routes}, timeout=90)
    lines = (done.stdout + done.stderr).splitlines()
    results = [line.removeprefix("RESULT ") for line in lines if line.startswith("RESULT ")]
    warnings = [line for line in lines if _is_warning(line)]
    if results and done.returncode == 0:
        result = json.loads(results[-1])
        return ClientRun(host, {}, None, result["transcript"], result["errors"], warnings)
    ends = [line for line in lines if line.strip() and not line.startswith(("RESULT ", "Node.js v"))]
    cause = next((line for line in ends if "Error" in line), ends[-1] if ends else f"exit code {done.returncode}")
    return ClientRun(host, {}, None, None, [], warnings, crash=cause.strip())


def drive(
    command: Sequence[str | Path], folder: Path, host: str, environment: Mapping[str, str], *more: str
) -> ClientRun:
    """Run a client against a mock of the endpoint, or of a gateway for `GATEWAY`.

    Args:
        command: The client, as for `run_client`.
        folder: The working directory.
        host: The host name, which is routed to a mock.
        environment: Additions to the client's environment.
        more: Further arguments for the client.

    Raises:
        VerificationFailed: The client opened no connection, or printed no result.
    """
    with ThreadedRealtimeServer(profile="gateway" if host == GATEWAY else "openai", allow_hosts=[host]) as server:
        run = run_client(command, folder, host, environment, server.port, *more)
        records = list(server.sessions)
    if run.crash is not None or not records:
        raise VerificationFailed(f"the client printed no result for {host}: {run.crash or 'no connection'}")
    record = records[0]
    refusal = None
    if record.refusal is not None:
        refusal = f"`{record.refusal.code}`" + (f", close {record.close.code}" if record.close else "")
    return replace(run, query=record.handshake.query, refusal=refusal, attempts=len(records))


def _is_warning(line: str) -> bool:
    """Return whether a line is a log record of level WARNING or above: pino's, Python's, or the patch's."""
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except ValueError:
            return False
        return isinstance(entry.get("level"), int) and entry["level"] >= 40
    return line.startswith(("WARNING", "ERROR", "OpenAI realtime transcription failed"))
