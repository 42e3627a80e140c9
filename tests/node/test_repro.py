"""scripts/repro.mjs, run as its docstring describes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import npm
from .conftest import Cell

pytestmark = [pytest.mark.node, pytest.mark.client]

SCRIPT = npm.ROOT / "scripts" / "repro.mjs"


def repro(*args: str, node: str = "24", script: Path = SCRIPT, path: str | None = None) -> tuple[int, str, str]:
    env = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    env.pop("OPENAI_API_KEY", None)
    if path is not None:
        env["PATH"] = path
    command = [str(npm.node(node)), str(script), *args]
    done = subprocess.run(command, env=env, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def without_port(output: str) -> list[str]:
    return [line.partition("/v1/")[2] or line.strip() for line in output.splitlines()]


REFUSAL = [
    '← error invalid_model: Model "gpt-4o-mini-transcribe" is not supported in transcription mode.',
    "closed 4000 invalid_request_error.invalid_model",
]
ACCEPTED = ["realtime?intent=transcription", "← session.created", "← session.updated", "accepted"]


@pytest.mark.parametrize(("refuse", "first"), [("at-connect", []), ("on-update", ["← session.created"])])
def test_the_first_socket_is_refused_and_the_second_accepted(refuse: str, first: list[str]) -> None:
    code, out, err = repro("--refuse", refuse)
    url = "realtime?intent=transcription&model=gpt-4o-mini-transcribe"
    assert (code, without_port(out), err) == (0, [url, *first, *REFUSAL, *ACCEPTED], "")


def test_node_20_uses_the_websocket_of_ws_or_reports_that_there_is_none(cell: Cell) -> None:
    code, out, err = repro(node="20")
    assert (code, out) == (2, "")
    assert err.endswith(" has no WebSocket; use Node 22 or newer, or run: npm install ws\n")
    beside = cell(ws="8.18.3") / "repro.mjs"
    npm.put(SCRIPT, beside)
    code, out, err = repro(node="20", script=beside)
    assert (code, without_port(out)[-1], err) == (0, "accepted", "")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--live"], "--live needs an API key: set OPENAI_API_KEY"),
        (["--url", "nope"], "--url nope is not a ws:// or wss:// address"),
        (["--refuse", "never"], "`rtstt-shim mock` ended before it listened"),
        (["--nope"], "Unknown option '--nope'"),
    ],
)
def test_a_usage_error_is_one_sentence(args: list[str], sentence: str) -> None:
    code, out, err = repro(*args)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"repro.mjs: {sentence}")


def test_a_missing_mock_is_reported(tmp_path: Path) -> None:
    code, _, err = repro(path=str(tmp_path))
    assert code == 2
    fix = "install it with: pip install 'rtstt-shim[testkit]', or give --url"
    assert err == f"repro.mjs: `rtstt-shim mock` cannot be run; {fix}\n"


def test_an_endpoint_out_of_reach_is_a_failure() -> None:
    code, out, _ = repro("--url", "ws://127.0.0.1:9/v1/realtime")
    assert code == 1
    assert out.count("the connection failed") == 2
