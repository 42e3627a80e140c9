"""Routing in Node: whichever way a program opens a connection to a routed name, the server the route names answers."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from rtstt_testkit.routing import route_env

from . import npm
from .conftest import ROUTE, run
from .npm import NODES

pytestmark = pytest.mark.node

NAMES = [True, "DNS:api.openai.com, DNS:api.openai.com."]
EXPECTED = {
    "ws, ESM": "hello",
    "ws, CommonJS": "hello",
    "ws without TLS": "hello",
    "ws with an agent": "hello",
    "ws with a CA of its own": "hello",
    "WebSocket": "hello",
    "fetch, https": "plain",
    "fetch, http": "plain",
    "https": "plain",
    "http": "plain",
    "tls.connect(port, host)": NAMES,
    "tls.connect(port, host, options)": NAMES,
    "tls.connect(options)": NAMES,
    "tls.connect with a context": NAMES,
    "net.connect(port, host)": "127.0.0.1",
    "socket.connect(options)": "127.0.0.1",
    "another host": "127.0.0.1",
    "a local socket": "ENOENT",
    "worker thread": "hello",
    "forked process": "hello",
}


@pytest.fixture
def echo() -> Iterator[tuple[int, set[str]]]:
    """A plain server: its port, and the host names it was asked for."""
    hosts: set[str] = set()

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        hosts.add(request.headers["Host"])
        return connection.respond(200, "plain") if request.path == "/plain" else None

    def echo(connection: ServerConnection) -> None:
        try:
            for message in connection:
                connection.send(message)
        except ConnectionClosed:
            pass

    with serve(echo, "127.0.0.1", 0, process_request=answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1], hosts
        server.shutdown()
        thread.join()


@pytest.mark.client
@pytest.mark.parametrize("preload_by", ["command line", "NODE_OPTIONS"])
@pytest.mark.parametrize("node", NODES)
def test_every_way_to_connect_leads_to_the_server_under_the_true_name(
    node: str, preload_by: str, cell: Callable[..., Path], echo: tuple[int, set[str]]
) -> None:
    port, hosts = echo
    with route_env({"api.openai.com": ("127.0.0.1", port)}) as routes:
        env = {**routes, "OTHER_PORT": str(port)}
        outcome = run(cell(ws="8.18.3") / "route.mjs", node=node, shim=False, env=env, preload_by=preload_by)
    assert outcome.line == EXPECTED
    assert outcome.stderr == ""
    assert outcome.exit == 0
    assert hosts == {"api.openai.com", "api.openai.com."}


@pytest.mark.parametrize(
    ("env", "stderr"),
    [
        ({}, ""),
        ({"RTSTT_TESTKIT_ROUTES": "x"}, 'rtstt-shim: not routed: "x" is not host=address:port\n'),
        (
            {"RTSTT_TESTKIT_ROUTES": "a=b:1", "RTSTT_TESTKIT_CA": "/nowhere"},
            "rtstt-shim: not routed: ENOENT: no such file or directory, open '/nowhere'\n",
        ),
    ],
)
def test_what_the_environment_does_not_name_changes_nothing(env: dict[str, str], stderr: str, tmp_path: Path) -> None:
    script = tmp_path / "app.mjs"
    script.write_text("import tls from 'node:tls'; console.log(tls.connect.name);")
    done: Any = subprocess.run(
        [npm.node("system"), "--import", ROUTE.as_uri(), script],
        env={"PATH": "", **env},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("connect\n", stderr, 0)
