"""Run published clients against a mock under their own host names, and collect the results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import rtstt_core
import rtstt_testkit
from _clients import Client, Usage
from rtstt_testkit import ThreadedRealtimeServer
from rtstt_testkit.routing import route_env
from rtstt_testkit.speech import load

DRIVERS = Path(__file__).parent / "drivers"
TEXT = load("hello").text
"""The words of the recording that the drivers stream."""

TIMEOUT = 180
"""Seconds until a session is stopped, the import of the client included."""

_LOST = "1006"  # neither side sent a CLOSE frame


class Observed(NamedTuple):
    """What the server and the driver saw of one usage.

    Attributes:
        urls: The URLs that the server was asked for, one for each connection.
        closes: The close codes and reasons, one for each connection.
        result: The JSON object that the driver printed.
        stderr: What the process wrote to stderr meanwhile.
        errors: The codes of the ``error`` events that the server sent.
    """

    urls: list[str]
    closes: list[str]
    result: dict[str, Any]
    stderr: str
    errors: tuple[str | None, ...] = ()

    @property
    def summary(self) -> str:
        """The result in a few words, for a table."""
        if self.result.get("transcript") is not None:
            return f'"{self.result["transcript"]}"'
        closes = ", ".join(dict.fromkeys(close.replace("invalid_request_error.", "") for close in self.closes))
        silent = "" if self.stderr or self.result.get("stderr") else ", no log line"
        return f"0 transcripts{silent} ({closes or 'never connected'})"

    @property
    def refused(self) -> bool:
        """Whether the endpoint refused it as #1756 describes, and no transcript came."""
        return self.refused_with("invalid_model")

    def refused_with(self, code: str) -> bool:
        """Return whether the endpoint refused every connection with this error, and no transcript came.

        Lost connections do not count: a client that keeps reconnecting may be stopped before it is answered.
        """
        return self.result.get("transcript") is None and {close for close in self.closes if close != _LOST} == {
            f"4000 invalid_request_error.{code}"
        }

    @property
    def rejections(self) -> list[str]:
        """The closes with which the server, not the client, ended a connection."""
        return [close for close in self.closes if close.split()[0] not in ("1000", "1001", _LOST)]

    @property
    def transcribed(self) -> bool:
        """Whether deltas and the words of the recording came through the client's own API."""
        events = self.result.get("events", {})
        # The names that clients have for a delta; openai-agents reports whole turns only.
        names = ("conversation.item.input_audio_transcription.delta", "INTERIM_TRANSCRIPT", "turn")
        return self.result.get("transcript") == TEXT and any(events.get(name) for name in names)


def run_client(client: Client, usages: Sequence[Usage], wheel: Path, *, shim: bool) -> list[Observed]:
    """Run a client in one process, usage after usage.

    Args:
        client: The client.
        usages: Some of its usages.
        wheel: This project's wheel.
        shim: Whether the process imports the shim.

    Raises:
        _env.SetupError: The environment cannot be built.
        RuntimeError: The driver ended before it printed a result.
    """
    command = [client.python(wheel), DRIVERS / client.driver, "--cases", *(["--shim"] if shim else [])]
    with ExitStack() as stack:
        stderr = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
        servers = {
            profile: stack.enter_context(ThreadedRealtimeServer(strict=False, profile=profile, allow_hosts=["*"]))
            for profile in dict.fromkeys(usage.profile for usage in usages)
        }
        routes = {usage.host.removesuffix("."): ("127.0.0.1", servers[usage.profile].port) for usage in usages}
        env = {**_plain_environ(), **stack.enter_context(route_env(routes))}
        pipe = subprocess.PIPE
        process = stack.enter_context(
            subprocess.Popen([*map(str, command)], stdin=pipe, stdout=pipe, stderr=stderr, text=True, env=env)
        )
        stack.callback(process.kill)
        assert process.stdin
        assert process.stdout
        seen = []
        for usage in usages:
            server = servers[usage.profile]
            before, written = len(server.sessions), _size(stderr)
            with _timeout(process):
                process.stdin.write(json.dumps(usage.arguments) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            if not line:
                words = " ".join(usage.arguments)
                raise RuntimeError(f"{client.name} ({client.driver} {words}) ended: {_read_from(stderr, written)}")
            seen.append((server.sessions[before:], usage.host, json.loads(line), _read_from(stderr, written)))
        process.stdin.close()
        with _timeout(process):
            process.wait()
    # The servers have stopped, so every session has its close code.
    return [_observed(*each) for each in seen]


def run_driver(command: Sequence[str | Path], host: str) -> Observed:
    """Run one driver, its host routed to a mock.

    Args:
        command: The interpreter, the driver and its arguments.
        host: The host name it connects to.

    Raises:
        RuntimeError: The driver ended before it printed a result.
    """
    with (
        ThreadedRealtimeServer(strict=False, allow_hosts=["*"]) as server,
        route_env({host: ("127.0.0.1", server.port)}) as routes,
    ):
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env={**_plain_environ(), **routes},
        )
        lines = done.stdout.splitlines()
        if done.returncode != 0 or not lines:
            raise RuntimeError(f"{command[1]} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        return _observed(server.sessions, host, json.loads(lines[-1]), done.stderr)


def _plain_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("RTSTT_", "OPENAI_"))}


@contextmanager
def _timeout(process: subprocess.Popen[str]) -> Iterator[None]:
    timer = threading.Timer(TIMEOUT, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _size(file: IO[str]) -> int:
    return os.fstat(file.fileno()).st_size


def _read_from(file: IO[str], start: int) -> str:
    return os.pread(file.fileno(), _size(file) - start, start).decode("utf-8", "replace")


def _observed(sessions: Iterable[Any], host: str, result: dict[str, Any], stderr: str) -> Observed:
    sessions = list(sessions)
    closes = [f"{end.code} {end.reason}".rstrip() for session in sessions if (end := session.close)]
    errors = [event["error"]["code"] for session in sessions for event in session.sent if event["type"] == "error"]
    return Observed([f"wss://{host}{_target(session)}" for session in sessions], closes, result, stderr, tuple(errors))


def _target(session: Any) -> str:
    query = "&".join(f"{name}={value}" for name, values in session.handshake.query.items() for value in values)
    return session.handshake.path + (f"?{query}" if query else "")


_BUILT = "node_modules/@livekit/agents-plugin-openai/dist/stt.js"
_MODEL_LINE = 'url.searchParams.set("model", model);'


def without_model_line(project: Path, folder: Path) -> Path:
    """Copy an npm project, without the one line of the LiveKit plugin that is the bug.

    Args:
        project: The npm project; its files are linked, not copied.
        folder: The copy, on the same file system.

    Raises:
        RuntimeError: The line is not there.
    """
    shutil.copytree(project, folder, symlinks=True, copy_function=os.link)
    bundle = folder / _BUILT
    code = bundle.read_text(encoding="utf-8")
    if code.count(_MODEL_LINE) != 1:
        raise RuntimeError(f"{_BUILT} does not contain {_MODEL_LINE!r} once")
    bundle.unlink()
    bundle.write_text(code.replace(_MODEL_LINE, ""), encoding="utf-8")
    return folder


def livekit_js_command(project: Path, shim: bool = False, *, job: bool = False, seconds: int = 40) -> list[str | Path]:
    """Return the command that streams speech through the LiveKit plugin of an npm project.

    Args:
        project: The npm project.
        shim: Whether to preload the shim.
        job: Whether to do so in a LiveKit job process.
        seconds: How long to wait for a transcript.
    """
    kit, core = (Path(str(package.__file__)).parent for package in (rtstt_testkit, rtstt_core))
    preloads = [kit / "node" / "route.mjs", *([core / "node" / "register.mjs"] if shim else [])]
    imports = [f"--import={path.as_uri()}" for path in preloads]
    recording = kit / "speech" / "hello.wav"
    options = ["--seconds", str(seconds), *(["--job"] if job else [])]
    return ["node", *imports, DRIVERS / "livekit_js.mjs", "--project", project, "--wav", recording, *options]
