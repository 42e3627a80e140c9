"""Real published clients, one cell each: how to install one, how to drive it, and what came of it.

A cell runs its client in a process and an environment of its own, under OpenAI's own host name, routed to the mock.
The demo and the client tests read the same table.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rtstt_testkit import ThreadedRealtimeServer
from rtstt_testkit.routing import route_env

DRIVERS = Path(__file__).parent / "drivers"
TEXT = "hello from the endpoint"
SECONDS = 60
MODEL = "gpt-4o-mini-transcribe"
API, EU = "api.openai.com", "eu.api.openai.com"


class Cell(NamedTuple):
    """One client.

    Attributes:
        name: What people call it.
        requirements: What pip has to install.
        driver: The script in ``drivers/`` and its arguments.
        host: The host name it connects to.
    """

    name: str
    requirements: tuple[str, ...]
    driver: tuple[str, ...]
    host: str = API

    @property
    def version(self) -> str:
        return self.requirements[0].partition("==")[2]


PYTHON_CELLS = (
    Cell("openai, async", ("openai[realtime]==2.0.1",), ("openai_sdk.py",)),
    Cell("openai, sync", ("openai[realtime]==2.0.1",), ("openai_sdk.py", "--sync")),
    Cell("openai, async, both arguments", ("openai[realtime]==3.54.0",), ("openai_sdk.py",)),
    Cell("openai, sync, both arguments", ("openai[realtime]==3.54.0",), ("openai_sdk.py", "--sync")),
    Cell(
        "livekit-plugins-openai",
        ("livekit-plugins-openai==1.8.9",),
        ("livekit_python.py", "--base-url", f"wss://{EU}/v1"),
        EU,
    ),
    Cell("websockets, asyncio", ("websockets==15.0.1",), ("application.py", "--transport", "websockets")),
    Cell("websockets, sync", ("websockets==15.0.1",), ("application.py", "--transport", "websockets-sync")),
    Cell("websockets, legacy", ("websockets==13.1",), ("application.py", "--transport", "websockets-legacy")),
    Cell("aiohttp", ("aiohttp==3.14.5",), ("application.py", "--transport", "aiohttp")),
    Cell("websocket-client", ("websocket-client==1.9.2",), ("application.py", "--transport", "websocket-client")),
)

#: The client of livekit/agents-js#1756, and what it needs beside it.
LIVEKIT_JS = {
    "@livekit/agents": "1.4.4",
    "@livekit/agents-plugin-openai": "1.4.4",
    "@livekit/rtc-node": "0.13.27",
    "zod": "3.25.76",
}
LIVEKIT_JS_FILE = "node_modules/@livekit/agents-plugin-openai/dist/stt.js"
LIVEKIT_JS_LINE = 'url.searchParams.set("model", model);'


class Observed(NamedTuple):
    """What came of one run.

    Attributes:
        urls: The URLs the server was asked for, one a connection.
        closes: The close codes and reasons, one a connection.
        said: The driver's one line.
        stderr: What the process wrote to stderr.
    """

    urls: list[str]
    closes: list[str]
    said: dict[str, Any]
    stderr: str

    @property
    def told(self) -> str:
        """In a few words, for a table."""
        if self.said.get("transcript") is not None:
            return f'"{self.said["transcript"]}"'
        closes = ", ".join(dict.fromkeys(close.replace("invalid_request_error.", "") for close in self.closes))
        silent = "" if self.stderr or self.said.get("stderr") else ", no log line"
        return f"0 transcripts{silent} ({closes or 'never connected'})"

    @property
    def refused(self) -> bool:
        """Whether the endpoint refused it as #1756 describes, and no transcript came."""
        return (
            self.said.get("transcript") is None
            and bool(self.closes)
            and set(self.closes) == {"4000 invalid_request_error.invalid_model"}
        )

    @property
    def transcribed(self) -> bool:
        """Whether the deltas and the completed transcript came through the client's own API."""
        events = self.said.get("events", {})
        deltas = events.get("conversation.item.input_audio_transcription.delta") or events.get("INTERIM_TRANSCRIPT")
        return bool(self.said.get("transcript") == TEXT and deltas)


def repaired(project: Path, folder: Path) -> Path:
    """A copy of an npm project, in which the LiveKit plugin lacks the one line that is the bug.

    Args:
        project: The npm project; its files are linked, not copied.
        folder: Where the copy goes, on the same file system.

    Raises:
        RuntimeError: The line is not there.
    """
    shutil.copytree(project, folder, symlinks=True, copy_function=os.link)
    bundle = folder / LIVEKIT_JS_FILE
    code = bundle.read_text(encoding="utf-8")
    if code.count(LIVEKIT_JS_LINE) != 1:
        raise RuntimeError(f"{LIVEKIT_JS_FILE} does not hold {LIVEKIT_JS_LINE!r} once")
    bundle.unlink()
    bundle.write_text(code.replace(LIVEKIT_JS_LINE, ""), encoding="utf-8")
    return folder


def node_driver(project: Path, shim: bool = False) -> list[str | Path]:
    """The command that streams speech through the LiveKit plugin of an npm project.

    Args:
        project: The npm project.
        shim: Whether to preload the shim.
    """
    preloads = [_package("rtstt_testkit") / "node" / "route.mjs"]
    if shim:
        preloads.append(_package("rtstt_shim") / "node" / "register.mjs")
    imports = [f"--import={path.as_uri()}" for path in preloads]
    return ["node", *imports, DRIVERS / "livekit_js.mjs", "--project", project]


def _package(name: str) -> Path:
    """The folder of an installed package, which is found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{name} is not installed")
    return Path(spec.origin).parent


def observe(command: Sequence[str | Path], host: str) -> Observed:
    """Run one driver, its host routed to a mock of its own.

    Args:
        command: The interpreter, the driver and its arguments.
        host: The host name it connects to.

    Raises:
        RuntimeError: The driver did not get as far as saying what came of it.
    """
    with (
        ThreadedRealtimeServer(transcripts=[TEXT], strict=False) as server,
        route_env({host: ("127.0.0.1", server.port)}) as routes,
    ):
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("RTSTT_", "OPENAI_"))}
        result = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**plain, **routes},
        )
        lines = result.stdout.splitlines()
        if result.returncode != 0 or not lines:
            raise RuntimeError(f"{command[1]} ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
        return Observed(
            [f"wss://{host}{_target(session)}" for session in server.sessions],
            [f"{end.code} {end.reason}".rstrip() for session in server.sessions if (end := session.close)],
            json.loads(lines[-1]),
            result.stderr,
        )


def _target(session: Any) -> str:
    query = "&".join(f"{name}={value}" for name, values in session.handshake.query.items() for value in values)
    return session.handshake.path + (f"?{query}" if query else "")
