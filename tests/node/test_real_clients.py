"""Real clients on real versions of Node.js, without the preload and with it: the table of COMPATIBILITY.md."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from .conftest import DRIVER, Cell, Endpoint, Outcome, run
from .npm import NODES, WITH_WEBSOCKET, installed

pytestmark = [pytest.mark.node, pytest.mark.client]

TRANSCRIPT = "Hello from the mock."
REFUSED = {
    "events": ["error"],
    "code": "invalid_model",
    "transcript": None,
    "error": None,
    "close": [4000, "invalid_request_error.invalid_model"],
}


def assert_refused(outcome: Outcome, sessions: int = 1) -> None:
    """The endpoint refused every session, and nothing was printed."""
    assert outcome.lines == [REFUSED] * sessions
    assert outcome.stderr == ""
    assert outcome.exit == 0


def assert_got_transcripts(outcome: Outcome, sessions: int = 1) -> None:
    """Every session got its transcript, and nothing was printed."""
    assert [line["transcript"] for line in outcome.lines] == [TRANSCRIPT] * sessions
    assert all("error" not in line["events"] for line in outcome.lines)
    assert outcome.stderr == ""
    assert outcome.exit == 0


@pytest.mark.parametrize("app", ["ws_esm.mjs", "ws_cjs.cjs"])
@pytest.mark.parametrize("node", NODES)
def test_application_code_on_ws(node: str, app: str, cell: Cell, endpoint: Endpoint) -> None:
    script = cell(ws="8.18.3") / app
    assert_refused(run(script, node=node, shim=False, env=endpoint.env))
    assert_got_transcripts(run(script, node=node, shim=True, env=endpoint.env))


@pytest.mark.parametrize("node", NODES)
def test_several_copies_of_ws_in_one_tree(node: str, cell: Cell, endpoint: Endpoint) -> None:
    script = cell(ws="8.23.0", ws_old="npm:ws@7.5.10", ws_other="npm:ws@8.2.0") / "ws_copies.mjs"
    assert_refused(run(script, node=node, shim=False, env=endpoint.env), sessions=3)
    assert_got_transcripts(run(script, node=node, shim=True, env=endpoint.env), sessions=3)


@pytest.mark.parametrize("form", ["cjs", "esm"])
@pytest.mark.parametrize("node", NODES)
def test_a_bundle_made_by_esbuild(node: str, form: str, cell: Cell, endpoint: Endpoint, tmp_path: Path) -> None:
    folder = cell(ws="8.18.3", esbuild="0.25.10")
    bundle = tmp_path / f"bundle.{'mjs' if form == 'esm' else 'cjs'}"
    entry = folder / ("ws_cjs.cjs" if form == "cjs" else "ws_esm.mjs")
    banner = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);"
    options = [
        "--bundle",
        "--minify",
        "--platform=node",
        f"--format={form}",
        f"--outfile={bundle}",
        "--log-level=error",
    ]
    if form == "esm":
        options.append(f"--banner:js={banner}")
    subprocess.run([folder / "node_modules/.bin/esbuild", entry, *options], check=True, timeout=60)
    assert_refused(run(bundle, node=node, shim=False, env=endpoint.env))
    assert_got_transcripts(run(bundle, node=node, shim=True, env=endpoint.env))


@pytest.mark.parametrize("node", WITH_WEBSOCKET)
def test_the_built_in_websocket(node: str, cell: Cell, endpoint: Endpoint) -> None:
    script = cell(ws="8.18.3") / "native.mjs"
    assert_refused(run(script, node=node, shim=False, env=endpoint.env))
    assert_got_transcripts(run(script, node=node, shim=True, env=endpoint.env))


@pytest.mark.parametrize("version", ["6.22.0", "7.16.0", "8.10.2"])
@pytest.mark.parametrize("node", WITH_WEBSOCKET)
def test_the_package_undici(node: str, version: str, cell: Cell, endpoint: Endpoint) -> None:
    script = cell(undici=version) / "undici.mjs"
    assert_refused(run(script, node=node, shim=False, env=endpoint.env))
    assert_got_transcripts(run(script, node=node, shim=True, env=endpoint.env))


@pytest.mark.parametrize(
    ("node", "version"),
    [pytest.param("26", "8.10.2", marks=pytest.mark.heavy), pytest.param("24", "7.16.0", marks=pytest.mark.release)],
)
def test_the_dispatchers_of_undici(node: str, version: str, cell: Cell, endpoint: Endpoint) -> None:
    """Pools, proxies, interceptors (that of DNS puts an address into the URL), and the global dispatcher."""
    script = cell(undici=version) / "undici_dispatchers.mjs"
    url = f"ws://gateway.example.com:{endpoint.server.port}/v1/realtime?intent=transcription&model=whisper-1"
    env = {**endpoint.env, "APP_DNS_URL": url, "RTSTT_SHIM_HOSTS": "gateway.example.com"}
    assert_refused(run(script, node=node, shim=False, env=env), sessions=9)
    assert_got_transcripts(run(script, node=node, shim=True, env=env), sessions=9)


@pytest.mark.heavy
@pytest.mark.parametrize("node", ["system", pytest.param("26", marks=pytest.mark.release)])
@pytest.mark.parametrize(
    ("app", "packages"),
    [
        ("websocket_package.cjs", {"websocket": "1.0.35"}),
        ("proxied.cjs", {"ws": "8.18.3", "https_proxy_agent": "7.0.6"}),
        (
            "traced.cjs",
            {
                "ws": "8.18.3",
                "@opentelemetry__sdk_node": "0.205.0",
                "@opentelemetry__instrumentation_http": "0.205.0",
                "@opentelemetry__api": "1.9.0",
            },
        ),
    ],
)
def test_what_else_is_built_on_http(
    app: str, packages: dict[str, str], node: str, cell: Cell, endpoint: Endpoint
) -> None:
    """Another WebSocket package, a proxy's agent, and an instrumentation that wraps what the preload hooks."""
    script = cell(**packages) / app
    refused = run(script, node=node, shim=False, env=endpoint.env)
    assert (refused.line["code"], refused.line["transcript"], refused.stderr) == ("invalid_model", None, "")
    assert_got_transcripts(run(script, node=node, shim=True, env=endpoint.env))


@pytest.mark.heavy
def test_a_client_that_writes_its_request_to_a_socket_of_its_own_is_not_reached(cell: Cell, endpoint: Endpoint) -> None:
    script = cell(faye_websocket="0.11.4") / "faye.cjs"
    without, having = (run(script, node="system", shim=shim, env=endpoint.env) for shim in (False, True))
    assert having == without
    assert (having.line["code"], having.line["transcript"], having.stderr) == ("invalid_model", None, "")


@pytest.mark.heavy
def test_the_built_in_websocket_over_http2(cell: Cell, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    env = {
        "APP_CERTIFICATE": str(tmp_path / "server.pem"),
        "NODE_EXTRA_CA_CERTS": str(tmp_path / "ca.pem"),
        "RTSTT_SHIM_HOSTS": "localhost",
    }
    outcome = run(cell(ws="8.18.3") / "http2.mjs", node="26", options=("--no-warnings",), shim=True, env=env)
    assert outcome.line == {"path": "/v1/realtime?intent=transcription"}
    assert "a rate limit was exceeded (rate_limit_exceeded)." in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


@pytest.mark.parametrize("preload_by", ["command line", "NODE_OPTIONS"])
@pytest.mark.parametrize("parent", ["worker.mjs", "fork.mjs"])
@pytest.mark.parametrize("node", NODES)
def test_sessions_in_workers_and_forked_processes(
    node: str, parent: str, preload_by: str, cell: Cell, endpoint: Endpoint
) -> None:
    script = cell(ws="8.18.3") / parent
    for app in ["./ws_esm.mjs", "./ws_cjs.cjs"]:
        assert_refused(run(script, app, node=node, shim=False, env=endpoint.env, preload_by=preload_by))
        assert_got_transcripts(run(script, app, node=node, shim=True, env=endpoint.env, preload_by=preload_by))


@pytest.mark.heavy
@pytest.mark.parametrize("base_url", ["https://api.openai.com/v1", "https://eu.api.openai.com/v1"])
@pytest.mark.parametrize("version", [pytest.param("5.23.2", marks=pytest.mark.release), "6.49.0"])
@pytest.mark.parametrize(
    ("app", "node"),
    [
        ("openai_ws.mjs", "system"),
        ("openai_native.mjs", "26"),
        pytest.param("openai_ws.mjs", "26", marks=pytest.mark.release),
        pytest.param("openai_native.mjs", "22", marks=pytest.mark.release),
    ],
)
def test_the_openai_sdk(app: str, node: str, version: str, base_url: str, cell: Cell, endpoint: Endpoint) -> None:
    script = cell(openai=version, ws="8.18.3") / app
    env = {**endpoint.env, "APP_BASE_URL": base_url}
    assert_refused(run(script, node=node, shim=False, env=env))
    assert_got_transcripts(run(script, node=node, shim=True, env=env))


def test_a_transcription_update_on_a_conversation_of_the_openai_sdk_is_one_warning(
    cell: Cell, endpoint: Endpoint
) -> None:
    """The URL is not corrected and the application sees what it always saw; the refused update is printed once."""
    script = cell(openai="6.49.0", ws="8.18.3") / "openai_ws.mjs"
    env = {**endpoint.env, "APP_BASE_URL": "https://api.openai.com/v1", "APP_MODEL": "gpt-realtime"}
    without, having = (run(script, shim=shim, env=env) for shim in (False, True))
    assert having._replace(stderr="") == without
    assert having.line["code"] == "invalid_parameter"
    assert having.stderr.count("rtstt_shim: ") == 1
    assert "this is a conversation session, and it refused the transcription update" in having.stderr


# @livekit/agents-plugin-openai: its version, that of agents too; the base URL (None: the plugin's own default); whether
# it is refused there.
GLOBAL, EU, US = None, "https://eu.api.openai.com/v1", "https://us.api.openai.com/v1"
LIVEKIT: list[tuple[str, str | None, bool]] = [
    ("1.4.4", GLOBAL, True),
    ("1.4.5", GLOBAL, True),
    ("1.4.6", GLOBAL, True),
    ("1.4.6", EU, True),
    ("1.4.7", GLOBAL, False),
    ("1.4.7", EU, True),
    ("1.5.0", GLOBAL, False),
    ("1.5.0", US, True),
    ("1.9.0", GLOBAL, False),
    ("1.9.0", EU, True),
]
LIVEKIT_NODES = ("20", "22", "24", "26")


def livekit_tier(version: str, node: str) -> list[pytest.MarkDecorator]:
    """The first version by default, the newest one with --all, every version on every Node.js for a release."""
    if node == "system" and version in ("1.4.4", "1.9.0"):
        return [] if version == "1.4.4" else [pytest.mark.heavy]
    return [pytest.mark.release]


# What each wants beside it (its peerDependencies).
RTC_NODE = {"1.4.4": "0.13.27", "1.5.0": "0.13.30", "1.9.0": "0.13.34"}


def livekit(cell: Cell, version: str) -> Path:
    return cell(
        **{
            "@livekit__agents": version,
            "@livekit__agents_plugin_openai": version,
            "@livekit__rtc_node": RTC_NODE.get(version, "0.13.29"),
            "zod": "3",
            "ws": "8.18.3",
        }
    )


def run_plugin(
    cell: Cell, version: str, base_url: str | None, *more: str, node: str, shim: bool, env: Any, **options: Any
) -> Any:
    args = ["--project", str(livekit(cell, version)), *(["--base-url", base_url] if base_url else []), *more]
    return run(DRIVER, *args, node=node, shim=shim, env=env, **options).line


def assert_silence(line: Any) -> None:
    """The symptom of livekit/agents-js#1756: the stream drains with no event, and nothing is logged."""
    assert (line["events"], line["transcript"], line["ended"]) == ({}, None, "drained")
    assert (line["exit"], line["stdout"], line["stderr"]) == (0, "", "")


def assert_transcribed(line: Any) -> None:
    """The stream gives what it is for."""
    assert (line["transcript"], line["ended"], line["exit"]) == (TRANSCRIPT, "complete", 0)
    assert line["events"].pop("INTERIM_TRANSCRIPT") >= 1
    assert line["events"] == {
        "START_OF_SPEECH": 1,
        "FINAL_TRANSCRIPT": 1,
        "RECOGNITION_USAGE": 1,
        "END_OF_SPEECH": 1,
    }
    assert line["stderr"] == ""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("format", ["esm", "cjs"])
def test_livekit_1756_and_what_its_one_line_does(
    format: str, cell: Cell, endpoint_with: Callable[..., Endpoint], tmp_path: Path
) -> None:
    """The real bug, without the shim: 0 events and silence; with the line removed, transcripts."""
    endpoint = endpoint_with(refuse="on-update")
    project = livekit(cell, "1.4.4")
    args = ["--project", str(project), "--format", format]
    assert_silence(run(DRIVER, *args, shim=False, env=endpoint.env).line)

    fixed = tmp_path / "fixed"
    subprocess.run(["cp", "-al", project, fixed], check=True)
    built = fixed / "node_modules/@livekit/agents-plugin-openai/dist" / ("stt.js" if format == "esm" else "stt.cjs")
    lines = built.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if 'searchParams.set("model"' not in line]
    assert len(kept) == len(lines) - 1
    built.unlink()
    built.write_text("".join(kept), encoding="utf-8")
    assert_transcribed(run(DRIVER, "--project", str(fixed), "--format", format, shim=False, env=endpoint.env).line)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("version", "base_url", "affected", "node", "format"),
    [
        pytest.param(
            version,
            base_url,
            affected,
            node,
            format,
            id=f"{version}-{base_url}-node{node}-{format}",
            marks=livekit_tier(version, node),
        )
        for version, base_url, affected in LIVEKIT
        for node, format in [("system", "cjs"), *((number, "esm") for number in LIVEKIT_NODES)]
    ],
)
def test_livekit(
    version: str,
    base_url: str | None,
    affected: bool,
    node: str,
    format: str,
    cell: Cell,
    endpoint_with: Callable[..., Endpoint],
) -> None:
    # As #1756 saw it. A refusal right after the handshake is lost on the plugin: it listens only a moment later, and
    # then waits for ever.
    endpoint = endpoint_with(refuse="on-update")
    without, having = (
        run_plugin(cell, version, base_url, "--format", format, node=node, shim=shim, env=endpoint.env)
        for shim in (False, True)
    )
    assert_silence(without) if affected else assert_transcribed(without)
    assert_transcribed(having)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-live-transcribe"])
@pytest.mark.parametrize(
    "commit",
    [
        pytest.param("--no-vad", id="by a flush", marks=pytest.mark.heavy),
        # The plugin's VAD is a neural network, which takes its time where other tests run.
        pytest.param(None, id="by the VAD", marks=pytest.mark.release),
    ],
)
def test_livekit_gets_its_transcript_although_it_leaves_turn_detection_out(
    commit: str | None, model: str, cell: Cell, endpoint: Endpoint
) -> None:
    """The newest plugin never sends `turn_detection` with a model that has none, and commits by itself."""
    wav = installed("rtstt_testkit", "speech", "hello.wav")
    project = livekit(cell, "1.9.0")
    args = ["--project", str(project), "--model", model, "--wav", str(wav), *([commit] if commit else [])]
    line = run(DRIVER, *args, shim=False, env=endpoint.env).line
    assert (line["transcript"], line["ended"], line["exit"]) == ("Hello from the gateway probe.", "complete", 0)
    assert line["stderr"] == ""
    (session,) = endpoint.server.sessions
    (update,) = [event for event in session.received if event["type"] == "session.update"]
    assert update["session"]["audio"]["input"]["transcription"]["model"] == model
    assert "turn_detection" not in update["session"]["audio"]["input"]
    assert "error" not in session.types
    order = [event.type.rpartition(".")[2] for event in session.events if event.type.endswith((".delta", ".commit"))]
    assert order.index("delta") < order.index("commit")
