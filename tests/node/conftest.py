"""Run Node programs under the true host names, which are routed to the mock, with or without the preload."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import _env
from rtstt_testkit import ThreadedRealtimeServer
from rtstt_testkit.routing import route_env

from . import npm

APPS = Path(__file__).parent / "apps"
DRIVER = npm.ROOT / "scripts" / "drivers" / "livekit_js.mjs"
REGISTER = npm.installed("rtstt_core", "node", "register.cjs")
ROUTE = npm.installed("rtstt_testkit", "node", "route.mjs")
KEY = "sk-proj-canary" + "A1b2C3d4" * 5

HOSTS = ("api.openai.com", "eu.api.openai.com", "us.api.openai.com", "gateway.example.com")


class Outcome(NamedTuple):
    """What a Node program printed.

    Attributes:
        lines: The lines of JSON on stdout.
        stderr: Everything on stderr.
        exit: The exit code.
    """

    lines: list[Any]
    stderr: str
    exit: int

    @property
    def line(self) -> Any:
        """The only line."""
        (line,) = self.lines
        return line


Cell = Callable[..., Path]


class Endpoint(NamedTuple):
    """The mock, and how a child process gets to it by OpenAI's names."""

    server: ThreadedRealtimeServer
    env: Mapping[str, str]


def run(
    script: Path,
    *args: str,
    node: str = "system",
    shim: bool,
    env: Mapping[str, str],
    options: tuple[str, ...] = (),
    preload_by: str = "command line",
    timeout: float = 60,
) -> Outcome:
    """Run a Node program to its end, with the preload or without it."""
    preloads = ["--import", ROUTE.as_uri(), *(["--require", str(REGISTER)] if shim else [])]
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "NODE_OPTIONS": "", **env}
    if preload_by == "NODE_OPTIONS":
        environment["NODE_OPTIONS"], preloads = " ".join(preloads), []
    done = subprocess.run(
        [str(npm.node(node)), *preloads, *options, str(script), *args],
        env=environment,
        cwd=script.parent,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    assert KEY not in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Outcome(lines, done.stderr, done.returncode)


@pytest.fixture(scope="session")
def cell() -> Callable[..., Path]:
    """Make an npm project of real packages, with the applications of this folder in it."""

    def make(**dependencies: str) -> Path:
        named = {name.replace("__", "/").replace("_", "-"): version for name, version in dependencies.items()}
        folder = _env.npm_project(named)
        for app in APPS.iterdir():
            npm.put(app, folder / app.name)
        return folder

    return make


@pytest.fixture
def endpoint_with() -> Iterator[Callable[..., Endpoint]]:
    """Make endpoints: mocks reached under the names of `HOSTS`, with the mock's own arguments."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def make(**options: Any) -> Endpoint:
            server = stack.enter_context(ThreadedRealtimeServer(allow_hosts=HOSTS, **options))
            env = stack.enter_context(route_env(dict.fromkeys(HOSTS, ("127.0.0.1", server.port))))
            return Endpoint(server, env)

        yield make


@pytest.fixture
def endpoint(endpoint_with: Callable[..., Endpoint]) -> Endpoint:
    """The mock as OpenAI's endpoint."""
    return endpoint_with()
