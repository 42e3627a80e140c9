"""Beside other tools that patch the same clients: each sees what it sees alone, the shim does what it does alone, and
both can be removed, in whatever order they came.

Real packages, each with its clients in an environment of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rtstt_testkit import ThreadedRealtimeServer

_env = pytest.importorskip("_env", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.heavy, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
CLIENTS = ("aiohttp==3.14.5", "websockets==16.1.1")


class Tool(NamedTuple):
    """A tool, what it takes, and what it records of one connection with each client."""

    requirements: tuple[str, ...]
    records: list[str]
    ends: bool = True


TOOLS = {
    "ddtrace": Tool(("ddtrace==4.16.0", *CLIENTS), ["TCPConnector.connect", "aiohttp.request"]),
    "opentelemetry": Tool(
        ("opentelemetry-distro==0.66b1", "opentelemetry-instrumentation-aiohttp-client==0.66b1", *CLIENTS), ["GET"]
    ),
    "opentelemetry-openai": Tool(
        (
            "opentelemetry-instrumentation-openai-v2==2.4b0",
            "opentelemetry-util-genai==0.4b0",
            "opentelemetry-sdk==1.45.2",
            "openai==2.54.0",
            "websockets==15.0.1",
        ),
        ["chat gpt-4o"],
    ),
    # Older ones call wrapt as it was before 2.
    "opentelemetry-openai with wrapt 1": Tool(
        (
            "opentelemetry-instrumentation-openai-v2==2.3b0",
            "opentelemetry-sdk==1.45.2",
            "wrapt<2",
            "openai==2.54.0",
            "websockets==15.0.1",
        ),
        ["chat gpt-4o"],
    ),
    "sentry": Tool(("sentry-sdk==2.75.0", *CLIENTS), ["httplib {url}"], ends=False),
}

QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:1",
    "DD_TRACE_STARTUP_LOGS": "false",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}


def run(python: Path, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("RTSTT_", "PYTHON", "DD_", "OTEL_"))
    }
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**kept, **QUIET, "PATH": path, "RTSTT_SHIM_HOSTS": "127.0.0.1", **more}
    done = subprocess.run([str(word) for word in words], env=environ, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("name", TOOLS)
def test_both_work_and_both_are_undone(name: str, order: str) -> None:
    tool = TOOLS[name]
    python = _env.environment(tool.requirements, wheel=_env.wheel())
    with ThreadedRealtimeServer(strict=False) as server:
        results: dict[str, Any] = json.loads(
            run(python, python, HERE / "program.py", name.partition(" ")[0], order, server.url).stdout.splitlines()[-1]
        )
        records = [record.format(url=server.url) for record in tool.records]
    clients = len(results["both"]["outcomes"])
    assert results["both"] == {"outcomes": ["session.created"] * clients, "tool": records, "warned": []}

    bad_key = results["both, a bad key"]
    assert bad_key["outcomes"] == ["invalid_api_key"] * clients
    assert set(bad_key["warned"]) == {"invalid-api-key"}
    assert [record for record in bad_key["tool"] if not record.startswith("rtstt_shim ")] == records
    if name == "sentry":  # which keeps what is logged: so the warning comes with the next event
        assert any("the API key was refused" in record for record in bad_key["tool"])

    assert results["the tool alone"] == {"outcomes": ["invalid_model"] * clients, "tool": records, "warned": []}
    if tool.ends:
        assert results["the shim alone"] == {"outcomes": ["session.created"] * clients, "tool": [], "warned": []}
        assert results["restored"] is True
    assert results["left in place"] == []


STARTED = """
import asyncio, sys
import aiohttp

async def main(url):
    headers = {"Authorization": "Bearer sk-good"}
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url + "?intent=transcription&model=whisper-1", headers=headers) as connection:
            print((await connection.receive_json())["type"])

asyncio.run(main(sys.argv[1]))
print("the tool is active:", "FunctionWrapper" in type(vars(aiohttp.ClientSession)["__init__"]).__name__)
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ddtrace", ["ddtrace-run", "rtstt-shim", "run", "--", "python"]),
        ("ddtrace", ["rtstt-shim", "run", "--", "ddtrace-run", "python"]),
        ("opentelemetry", ["opentelemetry-instrument", "rtstt-shim", "run", "--", "python"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_program_started_through_both_has_both(name: str, words: list[str], tmp_path: Path) -> None:
    """Each of them brings a sitecustomize."""
    python = _env.environment(TOOLS[name].requirements, wheel=_env.wheel())
    program = tmp_path / "app.py"
    program.write_text(STARTED)
    start, *rest = words
    with ThreadedRealtimeServer(strict=False) as server:
        done = run(python, python.with_name(start), *rest, program, server.url, OTEL_TRACES_EXPORTER="none")
    assert done.stdout.splitlines() == ["session.created", "the tool is active: True"]


def test_opentelemetry_instrument_within_the_command_is_warned_of_because_it_keeps_the_shim_out(tmp_path: Path) -> None:
    python = _env.environment(TOOLS["opentelemetry"].requirements, wheel=_env.wheel())
    program = tmp_path / "app.py"
    program.write_text(STARTED)
    words = ["run", "--", "opentelemetry-instrument", "python", program]
    with ThreadedRealtimeServer(strict=False) as server:
        done = run(python, python.with_name("rtstt-shim"), *words, server.url, OTEL_TRACES_EXPORTER="none")
    assert done.stdout.splitlines() == ["error", "the tool is active: True"]
    assert done.stderr == (
        "rtstt-shim: opentelemetry-instrument keeps the shim out of the program it starts; put it first: "
        "opentelemetry-instrument rtstt-shim run -- COMMAND...\n"
    )
