"""Conversation sessions: a healthy one gets no line, a refused one does, and so does what concerns transcription."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from endpoint import Behaviour, drop, end, serving
from transports import TRANSPORTS, Seen
from websockets.sync.server import ServerConnection

from rtstt_testkit import RealtimeServer

Records = list[logging.LogRecord]
QUERY = "model=gpt-realtime"
REFUSED_UPDATE = {
    "type": "invalid_request_error",
    "code": "invalid_parameter",
    "message": "Passing a transcription session update to a realtime session is not allowed.",
}

every_transport = pytest.mark.parametrize("talk", [talk for talk, _ in TRANSPORTS.values()], ids=TRANSPORTS)

pytestmark = pytest.mark.usefixtures("native_loopback", "shim")


@pytest.fixture
def native_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback address counts as OpenAI's own host."""
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1")


def reply(connection: ServerConnection) -> None:
    """A reply with audio and its transcript, and an error that is the client's daily bread."""
    events: list[dict[str, Any]] = [
        {"type": "session.created", "session": {"type": "realtime"}},
        {"type": "conversation.item.input_audio_transcription.delta", "delta": "hello"},
        {"type": "conversation.item.input_audio_transcription.completed", "transcript": "hello"},
        *({"type": "response.output_audio.delta", "delta": "A" * 40_000} for _ in range(20)),
        {"type": "response.output_audio_transcript.delta", "delta": 'An "error" is no "error".'},
        {"type": "error", "error": {"code": "response_cancel_not_active", "message": "Cancellation failed"}},
        {"type": "response.done", "response": {"status": "completed", "status_details": {"error": None}}},
        {"type": "rate_limits.updated", "rate_limits": []},
    ]
    for event in events:
        connection.send(json.dumps(event))


def then(behaviour: Behaviour) -> Behaviour:
    def both(connection: ServerConnection) -> None:
        reply(connection)
        behaviour(connection)

    return both


def refuse_update(connection: ServerConnection) -> None:
    connection.send(json.dumps({"type": "error", "error": REFUSED_UPDATE}))


@every_transport
@pytest.mark.parametrize(
    "finish",
    [end(1000), end(1001, "Your session hit the maximum duration of 60 minutes."), end(1011), drop],
    ids=["1000", "60 minutes", "1011", "dropped"],
)
def test_a_healthy_conversation_gets_no_line(
    talk: Callable[[str], Seen], finish: Behaviour, warnings_logged: Records, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="rtstt_shim")
    with serving(then(finish)) as endpoint:
        seen, _ = talk(endpoint.url(QUERY))
    assert len(seen) == 27
    assert [record for record in caplog.records if record.name == "rtstt_shim"] == []


@every_transport
def test_a_conversation_that_refuses_a_transcription_update_gets_its_line(
    talk: Callable[[str], Seen], warnings_logged: Records
) -> None:
    with serving(then(refuse_update)) as endpoint:
        talk(endpoint.url(QUERY))
    [record] = warnings_logged
    assert vars(record)["rtstt_diagnosis"] == "transcription-update-on-realtime-session"


@every_transport
@pytest.mark.parametrize(
    ("code", "reason", "row"),
    [
        (4000, "invalid_request_error.beta_api_shape_disabled", "beta-api"),
        (4000, "invalid_request_error.invalid_model", "close-invalid-model"),
        (4004, "invalid_request_error.model_not_found", "invalid-model"),
        (3000, "invalid_request_error.invalid_api_key", "close-auth"),
        (1013, "insufficient_quota.credit_balance_exhausted", "quota"),
    ],
)
def test_a_refused_conversation_gets_its_line(
    talk: Callable[[str], Seen], code: int, reason: str, row: str, warnings_logged: Records
) -> None:
    with serving(end(code, reason)) as endpoint:
        talk(endpoint.url(QUERY))
    [record] = warnings_logged
    assert vars(record)["rtstt_diagnosis"] == row
    assert record.getMessage().startswith("rtstt_shim: realtime conversation session failed: ")


@every_transport
def test_a_conversation_whose_handshake_is_refused_gets_its_line(
    talk: Callable[[str], Seen], warnings_logged: Records
) -> None:
    with serving(reply, 403) as endpoint:
        talk(endpoint.url(QUERY))
    [record] = warnings_logged
    assert vars(record)["rtstt_diagnosis"] == "http-403"


def test_a_conversation_of_the_openai_sdk_gets_no_line(
    warnings_logged: Records, caplog: pytest.LogCaptureFixture
) -> None:
    from openai import AsyncOpenAI

    async def converse() -> list[str]:
        async with RealtimeServer() as server, AsyncOpenAI(api_key="sk-test-key-1234567890") as client:
            client.websocket_base_url = f"ws://127.0.0.1:{server.port}/v1"
            async with client.realtime.connect(model="gpt-realtime") as connection:
                await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
                await connection.response.create()
                types = []
                async for event in connection:
                    types.append(event.type)
                    if event.type == "response.done":
                        return types
        return []

    caplog.set_level(logging.DEBUG, logger="rtstt_shim")
    assert "response.output_text.done" in asyncio.run(converse())
    assert [record for record in caplog.records if record.name == "rtstt_shim"] == []


def test_a_conversation_of_the_openai_sdk_with_audio_gets_no_line(
    warnings_logged: Records, caplog: pytest.LogCaptureFixture
) -> None:
    from openai import AsyncOpenAI

    async def converse(port: int) -> list[str]:
        async with AsyncOpenAI(api_key="sk-test-key-1234567890") as client:
            client.websocket_base_url = f"ws://127.0.0.1:{port}/v1"
            async with client.realtime.connect(model="gpt-realtime") as connection:
                return [event.type async for event in connection]

    caplog.set_level(logging.DEBUG, logger="rtstt_shim")
    with serving(then(end(1000))) as endpoint:
        types = asyncio.run(converse(endpoint.port))
    assert types.count("response.output_audio.delta") == 20
    assert len(types) == 27
    assert [record for record in caplog.records if record.name == "rtstt_shim"] == []
