"""``rtstt-shim doctor`` on what public reports do: the mistake is named at its line, with the fix."""

from __future__ import annotations

import pytest

from rtstt_testkit.source.scan import findings_in

CONVERSATION = """
async with connect("wss://api.openai.com/v1/realtime?model=gpt-realtime", additional_headers=auth) as ws:
    await ws.send(json.dumps({"type": "session.update", "session": {"type": "transcription"}}))
"""
SUBPROTOCOL = """
protocols = ["realtime", f"openai-insecure-api-key.{key}", "openai-beta.realtime-v1"]
async with connect("wss://api.openai.com/v1/realtime?intent=transcription", subprotocols=protocols) as ws:
    ...
"""
BETA_SHAPES = """
URL = "wss://api.openai.com/v1/realtime?intent=transcription"
ws.send(json.dumps({"type": "transcription_session.update", "session": {"input_audio_format": "pcm16"}}))
"""
TYPESCRIPT = """
const ws = new WebSocket(`wss://api.openai.com/v1/realtime?intent=transcription&model=${this.model}`, {
  headers: { Authorization: `Bearer ${key}`, 'OpenAI-Beta': 'realtime=v1' },
});
"""
SWIFT = """
var request = URLRequest(url: URL(string: "wss://api.openai.com/v1/realtime?intent=transcription&model=whisper-1")!)
request.setValue("realtime=v1", forHTTPHeaderField: "OpenAI-Beta")
"""
CPP = """
client.connect(U("wss://api.openai.com/v1/realtime?intent=transcription&model=gpt-4o-transcribe"));
"""
MINTING = """
token = requests.post("https://api.openai.com/v1/realtime/transcription_sessions", headers=auth).json()
"""
SDK = """
async with client.realtime.connect(model="gpt-4o-transcribe", extra_query={"intent": "transcription"}) as connection:
    ...
"""
UNTYPED = """
ws = await connect("wss://api.openai.com/v1/realtime?model=gpt-realtime", additional_headers=auth)
await ws.send(json.dumps({"type": "session.update", "session": {"instructions": "Be brief."}}))
"""
HEALTHY_AGENT = """
async with client.realtime.connect(model="gpt-realtime") as connection:
    await connection.session.update(
        session={"type": "realtime", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
    )
"""
GATEWAY = """
ws = create_connection("wss://gateway.example.com/v1/realtime?intent=transcription&model=whisper-1")
"""


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("a.py", CONVERSATION, [(3, "transcription-update-on-conversation")]),
        ("a.py", SUBPROTOCOL, [(2, "beta-subprotocol")]),
        ("a.py", BETA_SHAPES, [(3, "beta-fields"), (3, "beta-update")]),
        ("a.ts", TYPESCRIPT, [(2, "url-model-beside-intent"), (3, "beta-header")]),
        ("a.swift", SWIFT, [(2, "url-model-beside-intent"), (3, "beta-header")]),
        ("a.cpp", CPP, [(2, "url-model-beside-intent")]),
        ("a.py", MINTING, [(2, "beta-secrets")]),
        ("a.py", SDK, [(2, "sdk-model-beside-intent")]),
        ("a.py", UNTYPED, [(3, "update-without-session-type")]),
        ("a.py", HEALTHY_AGENT, []),
        ("a.py", GATEWAY, []),
    ],
    ids=[
        "a transcription update on a conversation (community 1366640, justspeaktoit#427, whisrs#34)",
        "the subprotocol of the beta in a browser's way",
        "the update of the beta",
        "the URL and the header in TypeScript",
        "the URL and the header in Swift",
        "the URL in C++",
        "a client secret at the endpoint that is gone (transcriber-sh)",
        "the SDK with both",
        "an update without session.type (livelink)",
        "a healthy agent",
        "a gateway",
    ],
)
def test_what_users_wrote(file: str, text: str, expected: list[tuple[int, str]]) -> None:
    found = findings_in(file, text)
    assert [(finding.line, finding.rule) for finding in found] == expected
    assert {finding.verdict for finding in found} <= {"affected"}
