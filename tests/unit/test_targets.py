"""Every transport, with the shim and without: what the server receives, what the application sees, what is logged."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import warnings
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import websocket
from endpoint import COMPLETED, ERROR, Behaviour, converse, drop, end, refuse, refuse_in_fragments, serving, transcribe
from tracebacks import ours
from transports import TRANSPORTS, Seen
from yarl import URL

import rtstt_shim
from rtstt_core.watch import Watch

Records = list[logging.LogRecord]
Talk = Callable[[str], Seen]

pytestmark = pytest.mark.usefixtures("native_loopback")


@pytest.fixture(params=TRANSPORTS.values(), ids=TRANSPORTS.keys())
def transport(request: pytest.FixtureRequest) -> tuple[Talk, str]:
    return request.param


@pytest.fixture
def talk(transport: tuple[Talk, str]) -> Talk:
    return transport[0]


@pytest.fixture
def library(transport: tuple[Talk, str]) -> str:
    return transport[1]


@pytest.fixture
def native_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback address counts as OpenAI's own host."""
    monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1")


def without_shim(talk: Talk, behaviour: Behaviour, status: int = 101) -> Seen:
    rtstt_shim.uninstall()
    with serving(behaviour, status) as endpoint:
        seen = talk(endpoint.url())
    rtstt_shim.install()
    return seen


def described(error: BaseException | None) -> str:
    # Ports differ from one server to the next, and websocket-client quotes the answer's Date.
    return re.sub(r"\d\d:\d\d:\d\d", "", f"{type(error).__name__}: {str(error).split('url=')[0]}")


def test_without_the_shim_the_url_is_sent_unchanged(talk: Talk, shim: None) -> None:
    rtstt_shim.uninstall()
    with serving(transcribe) as endpoint:
        talk(endpoint.url())
    assert endpoint.targets == ["/v1/realtime?intent=transcription&model=whisper-1"]


def test_the_model_is_dropped_and_the_transcript_comes(talk: Talk, shim: None, warnings_logged: Records) -> None:
    with serving(transcribe) as endpoint:
        seen, _ = talk(endpoint.url())
    assert endpoint.targets == ["/v1/realtime?intent=transcription"]
    assert seen == [COMPLETED]
    assert warnings_logged == []


def test_the_intent_is_set_for_a_transcription_model(talk: Talk, shim: None) -> None:
    with serving(transcribe) as endpoint:
        talk(endpoint.url("model=whisper-1&x=%20"))
    assert endpoint.targets == ["/v1/realtime?intent=transcription&x=%20"]


@pytest.mark.parametrize("behaviour", [refuse, refuse_in_fragments], ids=["whole", "in fragments"])
def test_a_refusal_is_one_warning_and_the_application_sees_what_it_saw_before(
    behaviour: Behaviour, talk: Talk, library: str, shim: None, warnings_logged: Records
) -> None:
    seen_before, error_before = without_shim(talk, behaviour)
    with serving(behaviour) as endpoint:
        seen, error = talk(endpoint.url())
    assert seen == seen_before == [ERROR]
    assert described(error) == described(error_before)
    [record] = warnings_logged
    assert vars(record)["rtstt_library"] == library
    assert vars(record)["rtstt_diagnosis"] == "model-beside-intent"
    assert vars(record)["rtstt_close_code"] == 4000
    assert vars(record)["rtstt_close_reason"] == "invalid_request_error.invalid_model"
    assert vars(record)["rtstt_url"] == endpoint.url("intent=transcription")


@pytest.mark.parametrize(
    ("behaviour", "status", "row"),
    [
        (end(1011, "oops"), 101, "close-server-error"),
        (end(3000, "invalid_request_error.invalid_api_key"), 101, "close-auth"),
        (end(4000, "invalid_request_error.missing_model"), 101, "close-missing-model"),
        (end(1001, "Your session hit the maximum duration of 60 minutes."), 101, "session-expired-minutes"),
        (drop, 101, "close-abnormal"),
        (transcribe, 401, "http-401"),
        (transcribe, 403, "http-403"),
        (transcribe, 404, "http-404"),
        (transcribe, 429, "http-429"),
        (transcribe, 503, "http-5xx"),
    ],
    ids=["1011", "3000", "4000", "60 minutes", "dropped", "HTTP 401", "HTTP 403", "HTTP 404", "HTTP 429", "HTTP 503"],
)
def test_other_failures_are_one_warning_and_the_same_exception(
    behaviour: Behaviour, status: int, row: str, talk: Talk, shim: None, warnings_logged: Records
) -> None:
    _, error_before = without_shim(talk, behaviour, status)
    with serving(behaviour, status) as endpoint:
        _, error = talk(endpoint.url())
    assert described(error) == described(error_before)
    assert [vars(record)["rtstt_diagnosis"] for record in warnings_logged] == [row]


def test_an_internal_error_while_watching_does_not_affect_the_session(
    talk: Talk, shim: None, warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("ours")

    for method in ("frame", "message"):
        monkeypatch.setattr(Watch, method, broken)
    with serving(transcribe) as endpoint:
        seen, _ = talk(endpoint.url())
    assert seen == [COMPLETED]
    [record] = warnings_logged
    assert record.getMessage().startswith("rtstt_shim: internal error on ")
    assert record.getMessage().endswith("; the client is unaffected: ZeroDivisionError: ours")


@pytest.mark.parametrize("behaviour", [end(1011, "oops"), drop], ids=["1011", "dropped"])
def test_a_traceback_from_an_open_connection_gains_one_line_at_most(
    behaviour: Behaviour, talk: Talk, shim: None
) -> None:
    with serving(behaviour) as endpoint:
        _, error = talk(endpoint.url())
    assert error is None or ours(error) <= 1


@pytest.mark.parametrize(
    ("query", "path"),
    [("intent=transcription&model=whisper-1", "/v1/chat"), ("a=b", "/")],
)
def test_a_connection_that_is_not_realtime_is_neither_changed_nor_watched(
    query: str, path: str, talk: Talk, shim: None, warnings_logged: Records
) -> None:
    with serving(refuse) as endpoint:
        seen, _ = talk(endpoint.url(query, path))
    assert endpoint.targets == [f"{path}?{query}"]
    assert seen == [ERROR]
    assert warnings_logged == []


def test_a_conversation_that_goes_well_gets_no_line(talk: Talk, shim: None, warnings_logged: Records) -> None:
    with serving(converse) as endpoint:
        seen, _ = talk(endpoint.url("model=gpt-realtime"))
    assert len(seen) == 3
    assert endpoint.targets == ["/v1/realtime?model=gpt-realtime"]
    assert warnings_logged == []


def test_the_refusal_of_a_conversation_is_warned_of(talk: Talk, shim: None, warnings_logged: Records) -> None:
    with serving(refuse) as endpoint:
        talk(endpoint.url("model=gpt-realtime"))
    [record] = warnings_logged
    assert vars(record)["rtstt_session"] == "conversation"
    assert vars(record)["rtstt_close_code"] == 4000


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("model=gpt-4o-transcribe-latest", "/v1/realtime"),
        ("intent=transcribe", "/v1/realtime"),
        ("a=b", "/v1/realtime/transcription"),
    ],
)
def test_a_url_that_cannot_be_corrected_is_watched(
    query: str, path: str, talk: Talk, shim: None, warnings_logged: Records
) -> None:
    with serving(transcribe, 403) as endpoint:
        talk(endpoint.url(query, path))
    assert endpoint.targets == [f"{path}?{query}"]
    assert [vars(record)["rtstt_diagnosis"] for record in warnings_logged] == ["http-403"]


def test_a_gateway_is_watched_but_keeps_its_model(
    talk: Talk, shim: None, warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RTSTT_SHIM_HOSTS")
    with serving(refuse) as endpoint:
        talk(endpoint.url())
    assert endpoint.targets == ["/v1/realtime?intent=transcription&model=whisper-1"]
    assert [vars(record)["rtstt_diagnosis"] for record in warnings_logged] == ["model-beside-intent-behind-gateway"]


@pytest.mark.parametrize("url", [None, "", 5, "ws://[bad/v1/chat"])
def test_what_is_no_url_is_the_clients_to_reject(url: Any, talk: Talk, shim: None, warnings_logged: Records) -> None:
    def error_of() -> BaseException | None:
        try:
            return talk(url)[1]
        except Exception as error:  # `WebSocketApp` raises some and reports others
            return error

    rtstt_shim.uninstall()
    error_before = error_of()
    rtstt_shim.install()
    error = error_of()
    assert error is not None
    assert described(error) == described(error_before)
    assert warnings_logged == []


def test_nothing_listening_there_is_the_clients_own_exception(talk: Talk, shim: None, refusing_port: int) -> None:
    _, error = talk(f"ws://127.0.0.1:{refusing_port}/v1/realtime?intent=transcription")
    assert error is not None
    assert "rtstt" not in repr(error)


@pytest.mark.parametrize("talk", [TRANSPORTS["aiohttp"][0], TRANSPORTS["websocket-client"][0]])
def test_nothing_listening_there_is_warned_of(
    talk: Talk, shim: None, warnings_logged: Records, refusing_port: int
) -> None:
    talk(f"ws://127.0.0.1:{refusing_port}/v1/realtime?intent=transcription")
    assert [vars(record)["rtstt_diagnosis"] for record in warnings_logged] == ["connect-refused"]


def test_uninstalling_in_the_middle_of_a_session_silences_it(shim: None, warnings_logged: Records) -> None:
    import threading

    from websockets.sync.client import connect

    go = threading.Event()

    def refuse_when_released(connection: Any) -> None:
        assert go.wait(60)
        refuse(connection)

    with serving(refuse_when_released) as endpoint, connect(endpoint.url()) as connection:
        rtstt_shim.uninstall()
        go.set()
        assert "invalid_model" in connection.recv()
    assert warnings_logged == []


class TestAiohttp:
    """The forms in which aiohttp takes a URL."""

    async def talk(self, url: Any, base: Any = None, **options: Any) -> list[Any]:
        async with aiohttp.ClientSession(base) as session, session.ws_connect(url, **options) as connection:
            return [message.json() async for message in connection]

    @pytest.mark.parametrize(
        "params",
        [
            {"intent": "transcription", "model": "whisper-1"},
            [("model", "whisper-1"), ("intent", "transcription")],
            "intent=transcription&model=whisper-1",
        ],
        ids=["dict", "pairs", "text"],
    )
    def test_query_parameters_in_params(self, params: Any, shim: None) -> None:
        with serving(transcribe) as endpoint:
            asyncio.run(self.talk(f"ws://127.0.0.1:{endpoint.port}/v1/realtime?x=%41+b", params=params))
        assert endpoint.targets == ["/v1/realtime?x=A+b&intent=transcription"]

    def test_a_yarl_url(self, shim: None) -> None:
        with serving(transcribe) as endpoint:
            asyncio.run(self.talk(URL(endpoint.url())))
        assert endpoint.targets == ["/v1/realtime?intent=transcription"]

    def test_a_url_by_name(self, shim: None) -> None:
        async def talk(url: str) -> None:
            async with aiohttp.ClientSession() as session, session.ws_connect(url=url) as connection:
                await connection.receive()

        with serving(transcribe) as endpoint:
            asyncio.run(talk(endpoint.url()))
        assert endpoint.targets == ["/v1/realtime?intent=transcription"]

    def test_a_session_with_a_base_url(self, shim: None) -> None:
        with serving(transcribe) as endpoint:
            asyncio.run(
                self.talk("/v1/realtime?intent=transcription&model=whisper-1", f"ws://127.0.0.1:{endpoint.port}")
            )
        assert endpoint.targets == ["/v1/realtime?intent=transcription"]

    def test_a_receive_that_times_out_is_no_failure(self, shim: None, warnings_logged: Records) -> None:
        async def talk(url: str) -> None:
            async with aiohttp.ClientSession() as session, session.ws_connect(url) as connection:
                with pytest.raises(asyncio.TimeoutError):
                    await connection.receive(timeout=0.01)

        with serving(lambda connection: list(connection)) as endpoint:  # type: ignore[arg-type,return-value]
            asyncio.run(talk(endpoint.url()))
        assert warnings_logged == []


class TestWebsocketClient:
    def test_an_object_that_connects_again_elsewhere_is_not_watched_there(
        self, shim: None, warnings_logged: Records
    ) -> None:
        connection = websocket.WebSocket()
        with serving(transcribe) as endpoint:
            connection.connect(endpoint.url())
            connection.close()
            assert {"recv_frame", "send"} <= set(vars(connection))
            connection.connect(endpoint.url(path="/v1/chat"))
            connection.close()
        assert not {"recv_frame", "send"} & set(vars(connection))
        assert warnings_logged == []

    def test_the_url_by_name(self, shim: None) -> None:
        connection = websocket.WebSocket()
        with serving(transcribe) as endpoint:
            connection.connect(url=endpoint.url())
            connection.close()
        assert endpoint.targets == ["/v1/realtime?intent=transcription"]


def test_a_reconnecting_websockets_client_is_corrected_on_every_attempt(shim: None) -> None:
    from websockets.asyncio.client import connect

    async def talk(url: str) -> None:
        attempts = 0
        async for connection in connect(url):
            await connection.wait_closed()
            attempts += 1
            if attempts == 2:
                break

    with serving(transcribe) as endpoint:
        asyncio.run(talk(endpoint.url()))
    assert endpoint.targets == ["/v1/realtime?intent=transcription"] * 2


def test_websockets_trio_client(shim: None, warnings_logged: Records) -> None:
    trio = pytest.importorskip("trio")
    client = pytest.importorskip("websockets.trio.client", reason="websockets has it from 17 on")

    async def talk(url: str) -> list[Any]:
        async with client.connect(url) as connection:
            return [message async for message in connection]

    with serving(transcribe) as endpoint:
        assert len(trio.run(talk, endpoint.url())) == 1
    assert endpoint.targets == ["/v1/realtime?intent=transcription"]
    assert warnings_logged == []


def test_a_redirect_to_a_bad_url_is_corrected_too(shim: None, warnings_logged: Records) -> None:
    import http

    from websockets.asyncio.client import connect
    from websockets.sync.server import serve

    async def talk(url: str) -> list[Any]:
        async with connect(url) as connection:
            return [message async for message in connection]

    with serving(transcribe) as endpoint:

        def redirect(connection: Any, request: Any) -> Any:
            response = connection.respond(http.HTTPStatus.FOUND, "")
            response.headers["Location"] = endpoint.url()
            return response

        import threading

        with serve(transcribe, "127.0.0.1", 0, process_request=redirect) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            port = server.socket.getsockname()[1]
            messages = asyncio.run(talk(f"ws://127.0.0.1:{port}/v1/realtime?intent=transcription"))
            server.shutdown()
            thread.join()
    assert len(messages) == 1
    assert endpoint.targets == ["/v1/realtime?intent=transcription"]
    assert warnings_logged == []


def test_an_ipv6_host_is_spelled_with_brackets() -> None:
    from websockets.uri import parse_uri

    from rtstt_core.patching.websockets_sansio import _text

    for url in ("ws://[::1]:9000/v1/realtime?a=b", "wss://api.openai.com/v1/realtime", "ws://h:443/"):
        assert _text(parse_uri(url)) == url


def test_a_watched_connection_is_freed(shim: None) -> None:
    """The connection holds its observers, and they are freed with it."""
    import weakref

    from websockets.client import ClientProtocol
    from websockets.uri import parse_uri

    protocol = ClientProtocol(parse_uri("ws://127.0.0.1/v1/realtime?intent=transcription"))
    assert "events_received" in vars(protocol)
    gone = weakref.ref(protocol)
    del protocol
    gc.collect()
    assert gone() is None


def test_the_legacy_client_takes_its_arguments_by_name_too(shim: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from websockets.legacy.client import WebSocketClientProtocol
    from websockets.uri import parse_uri

    written: list[str] = []

    class Writer(WebSocketClientProtocol):
        def write_http_request(self, path: str, headers: Any) -> None:
            written.append(path)
            raise ConnectionError("enough")

    async def talk() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            protocol = Writer()
        with pytest.raises(ConnectionError, match="enough"):
            await protocol.handshake(wsuri=parse_uri("ws://127.0.0.1/v1/realtime?intent=transcription&model=x"))

    asyncio.run(talk())
    assert written == ["/v1/realtime?intent=transcription"]
