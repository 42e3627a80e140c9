"""The lines of the preload on stderr, and that it changes nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import APPS, KEY, REGISTER, Cell, Endpoint, run
from .scripted import close, greeting, http, serving, text

pytestmark = [pytest.mark.node, pytest.mark.client]

WS = {"ws": "8.18.3"}

ERROR = text(json.dumps({"type": "error", "error": {"type": "server_error", "code": None, "message": "Try again."}}))
NATIVE = [
    pytest.param("native.mjs", "22", marks=pytest.mark.release),
    pytest.param("native.mjs", "26", marks=pytest.mark.heavy),
]
CLIENTS = [pytest.param("ws_esm.mjs", "system"), pytest.param("ws_esm.mjs", "26", marks=pytest.mark.release), *NATIVE]


def url_of(port: int) -> str:
    return f"ws://127.0.0.1:{port}/v1/realtime?intent=transcription"


def shown(stderr: str, url: str) -> str:
    """The only line, without the client and the URL, which it must name."""
    (line,) = stderr.splitlines()
    printed, _, client = line.removesuffix("]").rpartition(" [")
    name, _, at = client.rpartition(", ")
    assert at == url
    assert re.fullmatch(r"ws 8\.18\.3|undici \d+\.\d+\.\d+", name), name
    return printed


@pytest.mark.parametrize(("app", "node"), CLIENTS)
@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        (
            {"frames": [ERROR, close(1011, "internal")]},
            "rtstt_shim: realtime transcription session failed: the endpoint had an internal error "
            "(server_error: Try again.; closed 1011 internal). Open a new session; retry with exponential backoff.",
        ),
        (
            {"frames": [close(1001, "Your session hit the maximum duration of 60 minutes.")]},
            "rtstt_shim: realtime transcription session failed: the session reached its maximum duration of 60 minutes "
            "(closed 1001 Your session hit the maximum duration of 60 minutes.). "
            "Open a new session before the 60 minutes are over.",
        ),
        (
            {"frames": [text("{}")], "end": "hang up"},
            "rtstt_shim: realtime transcription session failed: the connection dropped without a close frame "
            "(closed 1006 without a close frame). Look for a proxy, a firewall or a network that cuts idle "
            "connections; open a new session.",
        ),
        (
            {"frames": [text("{}")], "end": "reset"},
            "rtstt_shim: realtime transcription session failed: the connection dropped without a close frame "
            "(closed 1006 without a close frame). Look for a proxy, a firewall or a network that cuts idle "
            "connections; open a new session.",
        ),
        (
            {"answer": http("400 Bad Request", '{"error":{"code":"OperationNotSupported"}}')},
            "rtstt_shim: realtime transcription session failed: Azure refused the operation "
            '({"error":{"code":"OperationNotSupported"}}; HTTP 400). '
            "Send either intent=transcription or the deployment in the URL, never both, and check that the model is "
            "made for it.",
        ),
        (
            {"answer": http("401 Unauthorized")},
            "rtstt_shim: realtime transcription session failed: the server refused the handshake: no valid credentials "
            "(HTTP 401). Check the API key and the header that carries it.",
        ),
        (
            {"answer": http("503 Service Unavailable", "busy")},
            "rtstt_shim: realtime transcription session failed: the server or a proxy in front of it failed "
            "(busy; HTTP 503). Retry with exponential backoff; behind a gateway, read its log.",
        ),
    ],
)
def test_what_the_server_does_is_printed_once(
    answer: dict[str, Any], printed: str, app: str, node: str, cell: Cell
) -> None:
    script = cell(**WS) / app
    with serving(**answer) as port:
        outcome = run(script, node=node, shim=True, env={"APP_URL": url_of(port)})
    assert shown(outcome.stderr, url_of(port)) == printed


@pytest.mark.parametrize(("app", "node"), CLIENTS)
def test_a_refused_connection_is_printed(app: str, node: str, cell: Cell, refusing_port: int) -> None:
    outcome = run(cell(**WS) / app, node=node, shim=True, env={"APP_URL": url_of(refusing_port)})
    assert shown(outcome.stderr, url_of(refusing_port)) == (
        "rtstt_shim: realtime transcription session failed: nothing accepts connections at this address "
        f"(Error: connect ECONNREFUSED 127.0.0.1:{refusing_port}). Check the host and the port."
    )


@pytest.mark.parametrize(("app", "node"), CLIENTS)
def test_a_host_that_does_not_exist_is_printed(app: str, node: str, cell: Cell) -> None:
    url = "wss://nowhere.invalid/v1/realtime?intent=transcription"
    outcome = run(cell(**WS) / app, node=node, shim=True, env={"APP_URL": url})
    assert "the host name could not be resolved (Error: getaddrinfo " in shown(outcome.stderr, url)


@pytest.mark.parametrize(("app", "node"), CLIENTS)
def test_tls_that_cannot_be_set_up_is_printed(app: str, node: str, cell: Cell) -> None:
    with greeting(b"HTTP/1.1 400 no TLS here\r\n\r\n") as port:
        url = url_of(port).replace("ws:", "wss:")
        outcome = run(cell(**WS) / app, node=node, shim=True, env={"APP_URL": url})
    printed = shown(outcome.stderr, url)
    assert printed.startswith("rtstt_shim: realtime transcription session failed: TLS could not be set up (Error: ")


@pytest.mark.parametrize(("app", "node"), CLIENTS)
def test_a_bad_key_is_printed_without_the_key(app: str, node: str, cell: Cell, endpoint: Endpoint) -> None:
    url = "wss://api.openai.com/v1/realtime?intent=transcription"
    env = {**endpoint.env, "APP_URL": url, "OPENAI_API_KEY": "sk-proj-invalid" + KEY[8:]}
    outcome = run(cell(**WS) / app, node=node, shim=True, env=env)
    printed = shown(outcome.stderr, url)
    assert printed.startswith(
        "rtstt_shim: realtime transcription session failed: the API key was refused (invalid_api_key"
    )
    assert "closed 3000 invalid_request_error.invalid_api_key" in printed
    assert KEY[8:] not in outcome.stderr


@pytest.mark.parametrize(("app", "node"), CLIENTS)
def test_a_refusal_in_a_compressed_message_is_printed(
    app: str, node: str, cell: Cell, endpoint_with: Callable[..., Endpoint]
) -> None:
    endpoint = endpoint_with(compression=True, strict=False)
    url = "wss://api.openai.com/v1/realtime?intent=transcription"
    env = {**endpoint.env, "APP_URL": url, "OPENAI_API_KEY": "sk-proj-invalid" + KEY[8:]}
    outcome = run(cell(**WS) / app, node=node, shim=True, env=env)
    assert "the API key was refused (invalid_api_key: Incorrect" in shown(outcome.stderr, url)
    (session,) = endpoint.server.sessions
    assert "permessage-deflate" in session.handshake.headers["sec-websocket-extensions"]


def test_a_refusal_in_a_compressed_message_is_printed_for_every_copy_of_ws(
    cell: Cell, endpoint_with: Callable[..., Endpoint]
) -> None:
    endpoint = endpoint_with(compression=True, strict=False)
    env = {**endpoint.env, "OPENAI_API_KEY": "sk-proj-invalid" + KEY[8:]}
    script = cell(ws="8.23.0", ws_old="npm:ws@7.5.10", ws_other="npm:ws@8.2.0") / "ws_copies.mjs"
    first, rest = run(script, shim=True, env=env).stderr.splitlines()
    assert "the API key was refused (invalid_api_key: Incorrect" in first
    assert rest == f"{first} (and 2 more like it)"


def test_of_a_compressed_connection_of_an_unknown_client_the_close_is_printed_and_what_is_missing(
    cell: Cell, endpoint_with: Callable[..., Endpoint]
) -> None:
    endpoint = endpoint_with(compression=True, strict=False)
    url = "wss://api.openai.com/v1/realtime?intent=transcription"
    env = {**endpoint.env, "APP_URL": url, "OPENAI_API_KEY": "sk-proj-invalid" + KEY[8:]}
    outcome = run(cell(**WS) / "upgrade.cjs", shim=True, env=env)
    unread, closed = outcome.stderr.splitlines()
    assert unread == (
        "rtstt_shim: of a realtime connection only the end is read, because its messages are compressed and its client "
        "is neither ws nor the WebSocket of undici. Turn permessage-deflate off to get its errors reported as well. "
        f"[node:https, {url}]"
    )
    assert "closed 3000 invalid_request_error.invalid_api_key" in closed


@pytest.mark.parametrize(("app", "node"), CLIENTS)
def test_keys_in_urls_and_server_texts_are_masked(app: str, node: str, cell: Cell) -> None:
    message = f"Incorrect API key provided: {KEY}."
    event = json.dumps({"type": "error", "error": {"message": message}})
    with serving(frames=[text(event), close(1008, f"Bearer x{KEY}")]) as port:
        url = url_of(port).replace("//", "//user:hunter2@") + f"&api_key=hunter2&token={KEY}"
        outcome = run(cell(**WS) / app, node=node, shim=True, env={"APP_URL": url})
    assert "hunter2" not in outcome.stderr
    assert "(Incorrect API key provided: sk-***; closed 1008 Bearer ***)" in outcome.stderr


@pytest.mark.parametrize(("app", "node"), CLIENTS)
def test_a_session_that_the_client_ends_is_not_printed(app: str, node: str, cell: Cell) -> None:
    app = app.replace("ws_esm", "trace_ws").replace("native", "trace_native")
    for word in ["close", *(["terminate"] if "ws" in app else [])]:
        with serving(frames=[text(f"please {word}")]) as port:
            outcome = run(cell(**WS) / app, node=node, shim=True, env={"APP_URL": url_of(port)})
        assert outcome.stderr == ""


@pytest.mark.parametrize("url", ["ws://127.0.0.1:{}/v1/chat", "ws://127.0.0.1:{}/v1/realtime/x?model=gpt-realtime"])
@pytest.mark.parametrize(("app", "node"), CLIENTS)
def test_other_sockets_are_not_watched(app: str, node: str, url: str, cell: Cell) -> None:
    with serving(frames=[ERROR, close(4000, "whatever")]) as port:
        outcome = run(cell(**WS) / app, node=node, shim=True, env={"APP_URL": url.format(port)})
    assert outcome.stderr == ""


@pytest.mark.parametrize(
    ("node", "native"),
    [("system", ""), *(pytest.param(one, "yes", marks=pytest.mark.release) for one in ("22", "26"))],
)
def test_a_connection_that_the_applications_own_timer_gives_up_is_printed(node: str, native: str, cell: Cell) -> None:
    with serving(answer=b"") as port:
        env = {"APP_URL": url_of(port), "APP_NATIVE": native}
        soon, late = (
            run(cell(**WS) / "abort.mjs", node=node, shim=True, env={**env, **more})
            # Soon by a clock that stands still, however long the machine takes.
            for more in ({"APP_MS": "50", "APP_CLOCK": "stopped"}, {"APP_MS": "600"})
        )
    assert soon.stderr == ""
    assert re.sub(r"\d\.\d", "N", shown(late.stderr, url_of(port))) == (
        "rtstt_shim: realtime transcription session failed: the connection could not be opened in time (Error: the "
        "application aborted the attempt after N s). Check the network and firewall; raise the client's open timeout "
        "if the network is slow."
    )


CONVERSATION = [
    text(json.dumps(event))
    for event in (
        {"type": "session.created", "session": {"type": "realtime"}},
        {"type": "conversation.item.input_audio_transcription.completed", "transcript": "hello"},
        *({"type": "response.output_audio.delta", "delta": "A" * 40_000} for _ in range(20)),
        {"type": "response.output_audio_transcript.delta", "delta": 'An "error" is no "error".'},
        {"type": "error", "error": {"code": "response_cancel_not_active", "message": "Cancellation failed"}},
        {"type": "response.done", "response": {"status_details": {"error": None}}},
    )
]
REFUSED_UPDATE = text(
    json.dumps(
        {
            "type": "error",
            "error": {
                "code": "invalid_parameter",
                "message": "Passing a transcription session update to a realtime session is not allowed.",
            },
        }
    )
)


@pytest.mark.parametrize(("app", "node"), CLIENTS)
@pytest.mark.parametrize(
    ("frames", "end", "printed"),
    [
        ([*CONVERSATION, close(1000)], "wait", None),
        ([*CONVERSATION, close(1011)], "wait", None),
        (CONVERSATION, "hang up", None),
        (
            [CONVERSATION[0], REFUSED_UPDATE, close(1000)],
            "wait",
            "realtime conversation session failed: this is a conversation session, and it refused the transcription",
        ),
        (
            [close(4000, "invalid_request_error.beta_api_shape_disabled")],
            "wait",
            "realtime conversation session failed: the gateway asks OpenAI for the beta API",
        ),
        (
            [close(1013, "insufficient_quota.credit_balance_exhausted")],
            "wait",
            "realtime conversation session failed: the account has no credit left",
        ),
    ],
    ids=["ends well", "1011", "dropped", "refused update", "beta API", "no credit"],
)
def test_of_a_conversation_only_a_refusal_and_what_concerns_transcription_is_printed(
    frames: list[bytes], end: str, printed: str | None, app: str, node: str, cell: Cell
) -> None:
    with serving(frames=frames, end=end) as port:
        url = f"ws://127.0.0.1:{port}/v1/realtime?model=gpt-realtime"
        outcome = run(cell(**WS) / app, node=node, shim=True, env={"APP_URL": url})
    if printed is None:
        assert outcome.stderr == ""
    else:
        assert shown(outcome.stderr, url).startswith(f"rtstt_shim: {printed}")


def test_the_line_of_an_error_without_a_close_tells_that_the_session_stays_open(cell: Cell) -> None:
    with serving(frames=[ERROR]) as port:
        outcome = run(cell(**WS) / "ws_esm.mjs", shim=True, env={"APP_URL": url_of(port)})
    assert shown(outcome.stderr, url_of(port)).startswith("rtstt_shim: realtime transcription error, ")


@pytest.mark.parametrize("parent", [None, "worker.mjs"])
@pytest.mark.parametrize("end", ["exit", "throw", "terminate"])
@pytest.mark.parametrize("node", ["system", pytest.param("26", marks=pytest.mark.release)])
def test_a_pending_error_is_printed_when_the_process_exits(node: str, end: str, parent: str | None, cell: Cell) -> None:
    folder = cell(**WS)
    with serving(frames=[ERROR]) as port:
        script, args = (folder / parent, ["./exit.mjs"]) if parent else (folder / "exit.mjs", [])
        outcome = run(script, *args, node=node, shim=True, env={"APP_URL": url_of(port), "APP_END": end})
    printed = [line for line in outcome.stderr.splitlines() if line.startswith("rtstt_shim: ")]
    assert len(printed) == 1
    assert "(server_error: Try again.)" in printed[0]
    assert outcome.exit == (1 if end == "throw" else 0)


@pytest.mark.parametrize(
    "answer",
    [
        {"frames": [text("one"), text("please close")]},
        {"frames": [ERROR, close(4000, "no")]},
        {"frames": [text("half")[:4]], "end": "hang up"},
        {"frames": [ERROR], "end": "reset"},
        {"frames": [b"\xff\xff\xff\xff"]},
        {"frames": [text("x" * 60_000)] * 5 + [close(1000)]},
        {"answer": http("400 Bad Request", "no")},
        {"answer": http("302 Found", "no")},
        {  # on which the built-in WebSocket of Node.js 26.12 waits for the server to hang up
            "answer": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "end": "hang up",
        },
        {"answer": b"nonsense\r\n\r\n"},
        {"answer": b"", "end": "hang up"},
    ],
)
@pytest.mark.parametrize(
    ("app", "node"),
    [
        ("trace_ws.mjs", "system"),
        pytest.param("trace_ws.mjs", "22", marks=pytest.mark.release),
        pytest.param("trace_ws.mjs", "26", marks=pytest.mark.release),
        pytest.param("trace_native.mjs", "22", marks=pytest.mark.release),
        pytest.param("trace_native.mjs", "24", marks=pytest.mark.release),
        pytest.param("trace_native.mjs", "26", marks=pytest.mark.heavy),
    ],
)
def test_the_client_behaves_as_without_the_preload(app: str, node: str, answer: dict[str, Any], cell: Cell) -> None:
    """The same events with the same values in the same order, and nothing to be seen on the client's objects."""
    script = cell(**WS) / app
    with serving(**answer) as port:
        without, having = (run(script, node=node, shim=shim, env={"APP_URL": url_of(port)}) for shim in (False, True))
    assert having.lines == without.lines
    assert len(without.lines) == 1


def test_the_switches(cell: Cell, endpoint: Endpoint) -> None:
    script = cell(**WS) / "ws_esm.mjs"
    refused = run(script, shim=True, env={**endpoint.env, "RTSTT_SHIM_DISABLE": "1"})
    assert refused.line["code"] == "invalid_model"
    assert refused.stderr == ""

    gateway = {**endpoint.env, "APP_URL": "wss://gateway.example.com/v1/realtime?intent=transcription&model=whisper-1"}
    kept = run(script, shim=True, env=gateway)
    assert kept.line["code"] == "invalid_model"
    assert "the gateway passed `model` on to OpenAI" in kept.stderr
    named = run(script, shim=True, env={**gateway, "RTSTT_SHIM_HOSTS": "gateway.example.com"})
    assert named.line["transcript"] == "Hello from the mock."
    assert named.stderr == ""


def test_a_copy_of_the_folder_alone_under_a_name_with_special_characters(
    cell: Cell, endpoint: Endpoint, tmp_path: Path
) -> None:
    copied = tmp_path / "a folder (déjà vu), 100% #1"
    shutil.copytree(REGISTER.parent, copied)
    script = cell(**WS) / "ws_esm.mjs"
    preload = copied / "register.cjs"
    env = {**endpoint.env, "NODE_OPTIONS": f'--require "{preload}"'}
    corrected = run(script, shim=True, env=env)  # by two installations, once
    assert corrected.line["transcript"] == "Hello from the mock."
    refused = run(
        script, shim=False, env={**env, "APP_URL": "wss://gateway.example.com/v1/realtime?intent=transcription&model=a"}
    )
    assert refused.stderr.count("rtstt_shim: ") == 1
    assert "the gateway passed `model` on to OpenAI" in refused.stderr
    assert os.fspath(tmp_path) not in refused.stderr


def test_the_version_of_a_client_in_a_folder_with_special_characters_is_named(
    cell: Cell, refusing_port: int, tmp_path: Path
) -> None:
    folder = tmp_path / "an application (x86)"
    folder.mkdir()
    shutil.copytree(cell(**WS) / "node_modules" / "ws", folder / "node_modules" / "ws")
    for app in ("ws_esm.mjs", "session.mjs"):
        shutil.copy(APPS / app, folder)
    outcome = run(folder / "ws_esm.mjs", shim=True, env={"APP_URL": url_of(refusing_port)})
    assert "nothing accepts connections at this address" in shown(outcome.stderr, url_of(refusing_port))
