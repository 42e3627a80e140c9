"""Secrets planted wherever a client may put one are in nothing that leaves the process."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any

import pytest
from talk import KEY, update
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from rtstt_testkit import RealtimeServer, ScriptNotFollowed
from rtstt_testkit.inspector.routes import ROUTES

HEADERS = (
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "api-key",
    "apikey",
    "x-api-key",
    "x-auth-token",
    "x-access-token",
    "x-goog-api-key",
    "x-amz-security-token",
    "x-litellm-api-key",
    "x-portkey-api-key",
    "cf-aig-authorization",
    "helicone-auth",
    "ocp-apim-subscription-key",
    "x-forwarded-authorization",
    "anthropic-api-key",
    "x-of-some-gateway",
)
PARAMETERS = (
    "api_key",
    "api-key",
    "key",
    "token",
    "access_token",
    "authorization",
    "subscription-key",
    "client_secret",
    "secret",
    "password",
    "sig",
    "signature",
    "jwt",
    "auth",
    "of_some_gateway",
)


class Canaries:
    """Makes secrets, and remembers where each was planted."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}

    def key(self, place: str) -> str:
        """A secret in the form of OpenAI's keys."""
        return self._planted(f"sk-proj-Canary{len(self.places):02}abcdefghijkl", place)

    def plain(self, place: str) -> str:
        """A secret that only its position tells."""
        return self._planted(f"Canary{len(self.places):02}0123456789abcdef", place)

    def _planted(self, secret: str, place: str) -> str:
        self.places[secret] = place
        return secret

    def found(self, text: str) -> list[str]:
        return [place for secret, place in self.places.items() if secret in text]


def session(**fields: Any) -> str:
    return json.dumps({"type": "session.update", "session": {"type": "transcription", **fields}})


def talks(canaries: Canaries) -> list[dict[str, Any]]:
    """What each client does: its query, headers and subprotocols, what it sends, and how it closes."""
    plain, key = canaries.plain, canaries.key
    mcp = {"type": "mcp", "authorization": plain("a tool"), "headers": {"X-Key": plain("a tool's header")}}
    escaped = session(x=key("an escaped key")).replace("sk-proj", "sk\\u002dproj")
    return [
        *({"headers": {name: f"Bearer {plain(f'the header {name}')}"}} for name in HEADERS),
        {"headers": {"Authorization": plain("Authorization without a scheme")}},
        *({"query": f"&{name}={plain(f'the parameter {name}')}"} for name in PARAMETERS),
        {"query": f"&model={key('the model')}"},
        {"subprotocols": ["realtime", f"openai-insecure-api-key.{plain('a subprotocol')}"]},
        {"subprotocols": ["realtime", f"openai-insecure-api-key.{key('a key as subprotocol')}"]},
        {"reason": key("the close reason")},
        {"path": f"/{key('the path')}"},
        {"send": [json.dumps(update(transcription={"model": "whisper-1", "prompt": key("the prompt")}))]},
        {"send": [key("no JSON"), json.dumps({"type": key("the type")}), escaped]},
        {"send": [json.dumps({"type": "input_audio_buffer.clear", "event_id": key("the event's id")})]},
        {"send": [session(tools=[mcp]), session(client_secret={"value": plain("client_secret")})]},
        {"send": [session(api_key=plain("api_key in an event"), **{key("a field's name"): 1})]},
    ]


async def talk(server: RealtimeServer, step: dict[str, Any]) -> None:
    headers = step.get("headers", {})
    if "Authorization" not in headers and "subprotocols" not in step:
        headers = {**headers, "Authorization": f"Bearer {KEY}"}
    url = f"{server.url}{step.get('path', '')}?intent=transcription{step.get('query', '')}"
    with suppress(WebSocketException):
        async with connect(url, additional_headers=headers, subprotocols=step.get("subprotocols")) as client:
            for frame in step.get("send", ()):
                await client.send(frame)
                await client.recv()
            await client.close(1000, step.get("reason", ""))


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_no_secret_of_a_client_is_in_anything_that_leaves_the_process() -> None:
    canaries = Canaries()
    texts: dict[str, str] = {}

    async def scenario() -> None:
        seen: list[str] = []
        server = RealtimeServer(
            control=True,
            routes=ROUTES,
            strict=False,
            connections=0,
            observer=lambda record, event: seen.append(repr(record) + json.dumps(event.data)),
        )
        async with server:
            for step in talks(canaries):
                await talk(server, step)
            control = server.base_url.removesuffix("/v1") + "/_mock"
            for path in ("/sessions", "/explain", "/verify", "/findings"):
                texts[path] = await asyncio.to_thread(get, control + path)
            for record in server.sessions:
                base = f"{control}/sessions/{record.number}"
                for path in ("", "/view", "/har", "/jsonl", "/report.html"):
                    texts[path] = texts.get(path, "") + await asyncio.to_thread(get, base + path)
            texts["repr"] = "\n".join(map(repr, server.sessions))
            texts["timeline"] = "\n".join(line for record in server.sessions for line in record.timeline())
            with pytest.raises(TimeoutError) as late:
                await server.wait_for("never", timeout=0.01)
            texts["wait_for"] = str(late.value)
            with pytest.raises(ScriptNotFollowed) as unexpected:
                server.verify()
            texts["verify"] = str(unexpected.value)
            texts["explain"] = server.explain()
            texts["findings"] = "\n".join(map(str, server.findings(finished=True)))
        texts["observer"] = "\n".join(seen)

    asyncio.run(asyncio.wait_for(scenario(), 100))
    assert len(canaries.places) >= 48
    assert "****ijkl" in texts["/sessions"]  # the end of a key stays, as in the endpoint's messages
    assert {name: places for name, text in texts.items() if (places := canaries.found(text))} == {}
