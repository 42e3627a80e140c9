"""`RTSTT_SHIM_TRACE` in Node.js: what real clients and the endpoint send each other, as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from . import npm
from .conftest import KEY, Cell, Endpoint, Outcome, run

pytestmark = [pytest.mark.node, pytest.mark.client]

CLIENTS = [
    pytest.param("system", "ws_esm.mjs", {"ws": "8.18.3"}, id="ws"),
    pytest.param("26", "native.mjs", {"ws": "8.18.3"}, id="native", marks=pytest.mark.heavy),
    pytest.param("26", "undici.mjs", {"undici": "6.22.0"}, id="undici6", marks=pytest.mark.release),
    pytest.param("26", "undici.mjs", {"undici": "8.10.2"}, id="undici8", marks=pytest.mark.heavy),
]
every_client = pytest.mark.parametrize(("node", "app", "packages"), CLIENTS)
COMPLETED = "conversation.item.input_audio_transcription.completed"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def events(lines: list[dict[str, Any]], sender: str) -> list[dict[str, Any]]:
    return [line["event"] for line in lines if line.get("sender") == sender and "event" in line]


@pytest.fixture
def traced(cell: Cell, tmp_path: Path) -> Callable[..., tuple[Outcome, list[dict[str, Any]]]]:
    """Run an application with a trace; return what it printed, and the lines of the trace."""

    def traced(
        endpoint: Endpoint, node: str, app: str, packages: dict[str, str], setting: str = "", **env: str
    ) -> tuple[Outcome, list[dict[str, Any]]]:
        path = tmp_path / "trace.jsonl"
        found = run(
            cell(**packages) / app,
            node=node,
            shim=True,
            env={**endpoint.env, "RTSTT_SHIM_TRACE": f"{path}{setting}", **env},
        )
        assert KEY not in path.read_text("utf-8")
        return found, read(path)

    return traced


@every_client
@pytest.mark.parametrize("compression", [False, True])
def test_a_session_is_traced_from_its_handshake_to_its_end(
    node: str,
    app: str,
    packages: dict[str, str],
    compression: bool,
    traced: Callable[..., tuple[Outcome, list[dict[str, Any]]]],
    endpoint_with: Callable[..., Endpoint],
) -> None:
    outcome, lines = traced(endpoint_with(transcripts=["Hello."], compression=compression), node, app, packages)
    assert (outcome.line["transcript"], outcome.stderr) == ("Hello.", "")
    header, handshake, *rest = lines
    assert (header["format"], header["version"], header["source"]) == ("rtstt-trace", 1, "shim")
    assert handshake["handshake"] == {
        "host": "api.openai.com",
        "path": "/v1/realtime",
        "query": {"intent": ["transcription"]},
    }
    assert handshake["corrected"] == "OpenAI refuses `model` beside intent=transcription"
    assert handshake["kind"] == "transcription"
    [headers] = [line["handshake"]["headers"] for line in rest if "handshake" in line]
    assert headers["sec-websocket-version"] == "13"
    credential = headers.get("authorization", headers.get("sec-websocket-protocol", ""))
    assert credential.endswith("*" * 32 + KEY[-4:])
    assert [line["http_status"] for line in rest if "http_status" in line] == [101]
    sent = events(rest, "client")
    assert sent[0]["session"]["audio"]["input"]["transcription"] == {"model": "gpt-4o-mini-transcribe"}
    assert sent[1] == {"type": "input_audio_buffer.append", "audio_bytes": 4800, "audio_ms": 100}
    received = events(rest, "server")
    assert [event["type"] for event in received] == outcome.line["events"]
    assert received[-1]["transcript"] == "Hello."
    assert rest[-1]["close"]["by"] == "client"
    assert [line["at"] for line in rest] == sorted(line["at"] for line in rest)


def test_audio_is_kept_where_it_is_asked_for(
    traced: Callable[..., tuple[Outcome, list[dict[str, Any]]]], endpoint: Endpoint
) -> None:
    _, lines = traced(endpoint, "system", "ws_esm.mjs", {"ws": "8.18.3"}, ",audio")
    assert len(events(lines, "client")[1]["audio"]) == 6400


@every_client
def test_a_refused_session_is_traced(
    node: str,
    app: str,
    packages: dict[str, str],
    traced: Callable[..., tuple[Outcome, list[dict[str, Any]]]],
    endpoint_with: Callable[..., Endpoint],
) -> None:
    _, lines = traced(endpoint_with(account="no-credit"), node, app, packages)
    assert events(lines, "server")[0]["error"]["code"] == "credit_balance_exhausted"
    assert [line["close"] for line in lines if "close" in line] == [
        {"code": 1013, "reason": "insufficient_quota.credit_balance_exhausted", "by": "server"}
    ]


@every_client
def test_a_refused_handshake_is_traced_with_its_status(
    node: str,
    app: str,
    packages: dict[str, str],
    traced: Callable[..., tuple[Outcome, list[dict[str, Any]]]],
    endpoint_with: Callable[..., Endpoint],
) -> None:
    endpoint = endpoint_with(max_sessions=1)
    from websockets.sync.client import connect

    with connect(endpoint.server.url + "?intent=transcription", additional_headers={"Authorization": f"Bearer {KEY}"}):
        _, lines = traced(endpoint, node, app, packages)
    assert [line["http_status"] for line in lines if "http_status" in line] == [503]


@every_client
def test_a_connection_that_cannot_be_opened_is_traced_with_the_reason(
    node: str,
    app: str,
    packages: dict[str, str],
    traced: Callable[..., tuple[Outcome, list[dict[str, Any]]]],
    endpoint: Endpoint,
    refusing_port: int,
) -> None:
    url = f"ws://127.0.0.1:{refusing_port}/v1/realtime?intent=transcription"
    _, lines = traced(endpoint, node, app, packages, APP_URL=url, RTSTT_SHIM_HOSTS="127.0.0.1")
    assert [line["cause"] for line in lines if "failed" in line] == ["refused"]


@pytest.mark.heavy
def test_a_websocket_over_http2_is_traced(cell: Cell, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    env = {
        "APP_CERTIFICATE": str(tmp_path / "server.pem"),
        "NODE_EXTRA_CA_CERTS": str(tmp_path / "ca.pem"),
        "RTSTT_SHIM_HOSTS": "localhost",
        "RTSTT_SHIM_TRACE": str(tmp_path / "trace.jsonl"),
    }
    run(cell(ws="8.18.3") / "http2.mjs", node="26", options=("--no-warnings",), shim=True, env=env)
    lines = read(tmp_path / "trace.jsonl")
    assert [event["error"]["code"] for event in events(lines, "server")] == ["rate_limit_exceeded"]


def test_worker_threads_and_forked_processes_share_a_file(
    cell: Cell, endpoint_with: Callable[..., Endpoint], tmp_path: Path
) -> None:
    folder = cell(ws="8.18.3")
    path = tmp_path / "trace.jsonl"
    endpoint = endpoint_with()
    for app in ("worker.mjs", "fork.mjs"):
        run(
            folder / app,
            "./ws_esm.mjs",
            shim=True,
            env={**endpoint.env, "RTSTT_SHIM_TRACE": str(path)},
            preload_by="NODE_OPTIONS",
        )
    lines = read(path)
    headers = [line["process"] for line in lines if "format" in line]
    assert len(set(headers)) == 2
    assert {line["process"] for line in lines if line.get("event", {}).get("type") == COMPLETED} == set(headers)


@pytest.mark.parametrize(("setting", "reason"), [("{}/no/x", "ENOENT"), ("/dev/null", "it is not a regular file")])
def test_a_file_that_cannot_be_written_is_one_line(
    setting: str, reason: str, cell: Cell, endpoint: Endpoint, tmp_path: Path
) -> None:
    env = {**endpoint.env, "RTSTT_SHIM_TRACE": setting.format(tmp_path)}
    outcome = run(cell(ws="8.18.3") / "ws_esm.mjs", shim=True, env=env)
    assert outcome.line["transcript"]
    [line] = outcome.stderr.splitlines()
    assert line.startswith(f"rtstt_shim: RTSTT_SHIM_TRACE names '{setting.format(tmp_path)}', which cannot be written")
    assert reason in line


def test_without_the_variable_no_module_of_the_trace_is_loaded(cell: Cell, endpoint: Endpoint, tmp_path: Path) -> None:
    loaded = tmp_path / "loaded.cjs"
    loaded.write_text(
        "const isOfTrace = (file) => /(trace|masking)[^/]*$/.test(file);"
        "process.on('exit', () => console.error(Object.keys(require.cache).filter(isOfTrace).join()));"
    )
    script = cell(ws="8.18.3") / "ws_esm.mjs"
    outcome = run(script, shim=True, env=endpoint.env, options=("--require", str(loaded)))
    assert outcome.stderr == "\n"
    assert npm.installed("rtstt_core", "node", "trace_session.cjs").is_file()
