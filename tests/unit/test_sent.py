"""What the client sends on a transcription session is examined, so that a session without a transcript is explained."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from endpoint import COMPLETED, serving
from websockets.sync.server import ServerConnection

from rtstt_core.watch import Watch

APPEND = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(range(48))).decode()})
COMMIT = json.dumps({"type": "input_audio_buffer.commit"})
CREATED = json.dumps(
    {
        "type": "session.created",
        "session": {
            "type": "transcription",
            "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}},
        },
    }
)

pytestmark = pytest.mark.usefixtures("native_loopback", "shim")


@pytest.fixture
def native_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback address counts as OpenAI's own host."""
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1")


def websockets_asyncio(url: str, messages: list[str]) -> list[str]:
    from websockets.asyncio.client import connect

    async def talk() -> list[str]:
        async with connect(url) as connection:
            assert await connection.recv() == CREATED
            for message in messages:
                await connection.send(message)
            return ["send_text"] if "send_text" in vars(connection.protocol) else []

    return asyncio.run(talk())


def websockets_sync(url: str, messages: list[str]) -> list[str]:
    from websockets.sync.client import connect

    with connect(url) as connection:
        assert connection.recv() == CREATED
        for message in messages:
            connection.send(message)
        return ["send_text"] if "send_text" in vars(connection.protocol) else []


def websockets_legacy(url: str, messages: list[str]) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from websockets.legacy.client import connect

    async def talk() -> list[str]:
        async with connect(url) as connection:
            assert await connection.recv() == CREATED
            for message in messages:
                await connection.send(message)
            return ["send"] if "send" in vars(connection) else []

    return asyncio.run(talk())


def aiohttp_session(url: str, messages: list[str]) -> list[str]:
    import aiohttp

    async def talk() -> list[str]:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as connection:
            assert await connection.receive_str() == CREATED
            for message in messages:
                await connection.send_json(json.loads(message))
            return ["send_str"] if "send_str" in vars(connection) else []

    return asyncio.run(talk())


def websocket_client(url: str, messages: list[str]) -> list[str]:
    import websocket

    connection = websocket.create_connection(url)
    assert connection.recv() == CREATED
    for message in messages:
        connection.send(message)
    found = ["send"] if "send" in vars(connection) else []
    connection.close()
    return found


CLIENTS = [websockets_asyncio, websockets_sync, websockets_legacy, aiohttp_session, websocket_client]


def listen(received: list[Any]) -> Callable[[ServerConnection], None]:
    """Return a behaviour that describes a session without turn detection and keeps what it receives."""

    def behaviour(connection: ServerConnection) -> None:
        connection.send(CREATED)
        received.extend(json.loads(message) for message in connection)

    return behaviour


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_audio_that_is_never_committed_is_named_at_the_end(
    client: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    received: list[Any] = []
    with caplog.at_level(logging.INFO, logger="rtstt_shim"), serving(listen(received)) as endpoint:
        client(endpoint.url("intent=transcription"), [APPEND] * 3)
    assert received == [json.loads(APPEND)] * 3
    [record] = [record for record in caplog.records if record.name == "rtstt_shim"]
    assert record.levelno == logging.INFO
    assert vars(record)["rtstt_cause"] == "not-committed"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_client_is_its_own_again_once_nothing_is_left_to_learn(
    client: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    received: list[Any] = []
    with serving(listen(received)) as endpoint:
        assert client(endpoint.url("intent=transcription"), [APPEND, COMMIT, APPEND]) == []
    assert len(received) == 3


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_an_internal_error_while_examining_what_is_sent_does_not_affect_the_session(
    client: Callable[..., Any], warnings_logged: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Watch, "sent", broken)
    received: list[Any] = []
    with serving(listen(received)) as endpoint:
        client(endpoint.url("intent=transcription"), [APPEND, COMMIT])
    assert len(received) == 2
    [record] = warnings_logged
    assert record.getMessage().endswith("; the client is unaffected: ZeroDivisionError: ours")


def test_of_a_conversation_nothing_that_is_sent_is_examined() -> None:
    from websockets.client import ClientProtocol
    from websockets.uri import parse_uri

    protocol = ClientProtocol(parse_uri("ws://127.0.0.1/v1/realtime?model=gpt-realtime"))
    assert "events_received" in vars(protocol)
    assert "send_text" not in vars(protocol)


def test_a_message_passed_by_name_is_examined_and_a_missing_one_raises_the_clients_own_error() -> None:
    import websocket

    def answer(connection: ServerConnection) -> None:
        assert connection.recv() == APPEND
        connection.send(json.dumps(COMPLETED))

    with serving(answer) as endpoint:
        connection = websocket.create_connection(endpoint.url("intent=transcription"))
        connection.send(payload=APPEND)
        assert json.loads(connection.recv()) == COMPLETED
        connection.close()
    with pytest.raises(TypeError, match="payload"):
        connection.send()
