"""Plain HTTP on the mock's port: ephemeral secrets, and the control API."""

import asyncio
import io
import json
import time
import urllib.error
import urllib.request
import wave
from typing import Any

import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator
from openai.types.realtime import ClientSecretCreateResponse
from openapi_spec_validator import OpenAPIV31SpecValidator
from talk import COMPLETED, KEY, append, update
from test_server import SPEECH, client, receive, run
from websockets.exceptions import ConnectionClosedError

from rtstt_testkit import RealtimeServer, ThreadedRealtimeServer
from rtstt_testkit.mock.protocol.admission import admit
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.server.http import HttpError, HttpParser


def call(server, method, path, body=None, key=KEY, headers=None):
    """A request; returns the status and the decoded body."""
    data = (
        body.encode()
        if isinstance(body, str)
        else body
        if isinstance(body, bytes | None)
        else json.dumps(body).encode()
    )
    sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", data, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            status, content, kind = response.status, response.read(), response.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        with error:
            status, content, kind = error.code, error.read(), error.headers["Content-Type"]
    return status, json.loads(content) if kind == "application/json" else content


@pytest.fixture
def server():
    with ThreadedRealtimeServer(control=True, strict=False, transcripts=["Hello there."]) as server:
        yield server


SECRETS = "/v1/realtime/client_secrets"
SESSION = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1", "language": "de"}}}}


class TestClientSecrets:
    def test_a_secret_is_made_as_the_sdk_knows_it(self, server) -> None:
        status, made = call(
            server, "POST", SECRETS, {"session": SESSION, "expires_after": {"anchor": "created_at", "seconds": 60}}
        )
        assert status == 200
        parsed = ClientSecretCreateResponse.model_validate(made, strict=True)
        assert parsed.value.startswith("ek_")
        assert made["session"]["object"] == "realtime.transcription_session"
        assert made["session"]["audio"]["input"]["transcription"]["model"] == "whisper-1"

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            (None, "Missing bearer or basic authentication in header"),
            ("sk-bad", "Incorrect API key provided: sk-***. You can find"),
        ],
    )
    def test_it_needs_a_key(self, server, key, message) -> None:
        status, body = call(server, "POST", SECRETS, {"session": SESSION}, key=key)
        assert status == 401
        assert body["error"]["message"].startswith(message)

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"session": {"type": "transcription", "bogus": 1}}, "session.bogus"),
            ({"session": {}}, "session.type"),
            ({"session": 5}, "session"),
            ({"session": {"type": "translation"}}, "session.type"),
            ({"expires_after": {"seconds": 5}}, "expires_after.seconds"),
            ({"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
            ({"expires": 5}, "expires"),
            ([], "body"),
            (
                {
                    "session": {
                        "type": "transcription",
                        "audio": {
                            "input": {
                                "transcription": {"model": "gpt-realtime-whisper"},
                                "turn_detection": {"type": "server_vad"},
                            }
                        },
                    }
                },
                "session.audio.input.turn_detection",
            ),
            ("{", None),
        ],
    )
    def test_a_bad_configuration_is_http_400(self, server, body, param) -> None:
        status, answer = call(server, "POST", SECRETS, body)
        assert status == 400
        assert answer["error"]["param"] == param

    def test_the_secret_opens_the_bare_url_with_its_session_seeded(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                made = server.secrets.create({"session": SESSION})
                headers = {"Authorization": f"Bearer {made['value']}"}
                async with client(server, "", additional_headers=headers) as socket_:
                    (created,) = await receive(socket_, "session.created")
                    transcription = created["session"]["audio"]["input"]["transcription"]
                    assert transcription == {"model": "whisper-1", "language": "de", "prompt": None}
                    await socket_.send(json.dumps(append(SPEECH)))
                    assert (await receive(socket_, COMPLETED))[-1]["usage"]["type"] == "duration"

        run(scenario)

    @pytest.mark.parametrize("made_here", [True, False])
    def test_a_secret_that_was_made_here_is_good_whatever_letters_chance_put_into_it(self, made_here: bool) -> None:
        class Secrets:
            def find(self, value: str) -> dict[str, Any] | None:
                return SESSION if made_here else None

        request = Request("/v1/realtime", [("Authorization", "Bearer ek_0bad1invalid2")])
        admission = admit(request, "openai", "at-connect", Secrets())
        assert (admission.refusal is None) is made_here

    def test_a_secret_for_a_conversation_opens_one(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                made = server.secrets.create({})
                assert made["session"]["model"] == "gpt-realtime"
                headers = {"Authorization": f"Bearer {made['value']}"}
                async with client(server, "", additional_headers=headers) as socket_:
                    events = await receive(socket_, "session.created")
                    assert events[0]["session"]["type"] == "realtime"

        run(scenario)

    def test_a_conversations_secret_seeds_no_transcription_session(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                made = server.secrets.create({"session": {"type": "realtime", "model": "gpt-realtime"}})
                headers = {"Authorization": f"Bearer {made['value']}"}
                async with client(server, additional_headers=headers) as socket_:
                    (created,) = await receive(socket_, "session.created")
            assert created["session"]["type"] == "transcription"
            assert "model" not in created["session"]

        run(scenario)

    def test_a_secret_shows_the_session_as_an_update_would(self, server) -> None:
        transcription = {"model": "gpt-live-transcribe", "delay": "low", "languages": ["en"], "keywords": ["x"]}
        session = {
            "type": "transcription",
            "audio": {"input": {"transcription": transcription, "turn_detection": None}},
        }
        _, made = call(server, "POST", SECRETS, {"session": session})
        assert made["session"]["audio"]["input"]["transcription"] == {
            "model": "gpt-live-transcribe",
            "language": None,
            "prompt": None,
            "languages": ["en"],
        }

    def test_the_header_of_azure_is_no_key(self, server) -> None:
        status, _ = call(server, "POST", SECRETS, {"session": SESSION}, key=None, headers={"api-key": KEY})
        assert status == 401

    def test_an_expired_secret_is_refused_like_a_wrong_key(self) -> None:
        async def scenario():
            async with RealtimeServer(virtual_time=True) as server:
                value = server.secrets.create({"session": SESSION, "expires_after": {"seconds": 10}})["value"]
                await server.advance(11)
                async with client(server, "", additional_headers={"Authorization": f"Bearer {value}"}) as socket_:
                    (error,) = await receive(socket_, "error")
                    assert error["error"]["code"] == "invalid_api_key"
                    with pytest.raises(ConnectionClosedError, match="3000"):
                        await socket_.recv()
                await server.advance(90_000)
                server.secrets.create({"session": SESSION})
                assert server.secrets.find(value) is None

        run(scenario)

    def test_the_openai_sdk_makes_one_and_uses_it(self) -> None:
        from openai import OpenAI

        with ThreadedRealtimeServer() as server, OpenAI(api_key=KEY, base_url=server.base_url) as sdk:
            secret = sdk.realtime.client_secrets.create(session=SESSION)
            assert secret.session.type == "transcription"
            assert secret.value.startswith("ek_")


class TestControl:
    def talk(self, server) -> None:
        from websockets.sync.client import connect

        with connect(
            server.url + "?intent=transcription", additional_headers={"Authorization": f"Bearer {KEY}"}
        ) as socket_:
            socket_.send(json.dumps(update()))
            socket_.send(json.dumps(append(SPEECH)))
            while json.loads(socket_.recv())["type"] != COMPLETED:
                pass

    def test_sessions_events_audio_and_explanation(self, server) -> None:
        self.talk(server)
        status, body = call(server, "GET", "/_mock/sessions")
        (session,) = body["sessions"]
        assert (status, session["number"], session["transcripts"]) == (200, 1, ["Hello there."])
        assert session["query"] == {"intent": ["transcription"]}
        assert KEY not in json.dumps(body)
        _, events = call(server, "GET", "/_mock/sessions/1")
        assert [event["event"]["type"] for event in events["events"]][:2] == ["session.created", "session.update"]
        status, audio = call(server, "GET", "/_mock/sessions/1/audio.wav")
        with wave.open(io.BytesIO(audio)) as file:
            assert (file.getframerate(), file.getnchannels(), file.readframes(10**6)) == (24000, 1, SPEECH)
        assert call(server, "GET", "/_mock/explain") == (200, b"Session 1: 1 transcript was completed.\n")

    def test_a_script_can_be_loaded_and_begun_again(self, server) -> None:
        assert call(server, "PUT", "/_mock/script", '[[transcript]]\ntext = "One"\n') == (
            200,
            {"transcripts": 1, "faults": 0},
        )
        self.talk(server)
        assert server.sessions[0].transcripts == ["One"]
        while server.sessions[0].open:
            time.sleep(0.001)
        assert call(server, "POST", "/_mock/reset")[0] == 200
        assert server.sessions == []
        self.talk(server)
        assert (server.sessions[0].number, server.sessions[0].transcripts) == (1, ["One"])

    def test_a_script_can_refuse_the_account_and_the_list_shows_what_the_client_asked_for(self, server) -> None:
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect

        assert call(server, "PUT", "/_mock/script", 'account = "quota"\n')[0] == 200
        for query in ("?intent=transcription", "?model=gpt-realtime"):
            with connect(server.url + query, additional_headers={"Authorization": f"Bearer {KEY}"}) as socket_:
                assert json.loads(socket_.recv())["error"]["code"] == "insufficient_quota"
                with pytest.raises(ConnectionClosed) as caught:
                    socket_.recv()
                assert caught.value.rcvd.code == 1013
        _, body = call(server, "GET", "/_mock/sessions")
        assert [session["kind"] for session in body["sessions"]] == ["transcription", "realtime"]

    @pytest.mark.parametrize(
        ("method", "path", "body", "status", "message"),
        [
            (
                "PUT",
                "/_mock/script",
                "[[transcript]]\ntxt = 1",
                400,
                "script, line 2: `transcript[1].txt` is not known",
            ),
            ("PUT", "/_mock/script", b"\xff", 400, "The script is not UTF-8 text."),
            ("GET", "/_mock/sessions/7", None, 404, "There is no session 7; 0 are known."),
            ("GET", "/_mock/sessions/7/audio.wav", None, 404, "There is no session 7; 0 are known."),
            ("GET", "/_mock/nothing", None, 404, "Nothing at GET /_mock/nothing."),
            ("POST", "/_mock/sessions", "", 405, "/_mock/sessions takes GET."),
            ("POST", "/_mock/advance", {"seconds": "5"}, 400, 'Send {"seconds": N}, with N from 0.'),
            (
                "POST",
                "/_mock/advance",
                {"seconds": 5},
                409,
                "Time is real; start the mock with virtual time to move it.",
            ),
            ("GET", "/v1/models", None, 404, "Nothing at GET /v1/models."),
        ],
    )
    def test_mistakes_are_answered_in_words(self, server, method, path, body, status, message) -> None:
        answer = call(server, method, path, body)
        assert answer[0] == status
        assert answer[1]["error"]["message"].startswith(message)

    def test_virtual_time_can_be_moved(self) -> None:
        with ThreadedRealtimeServer(control=True, virtual_time=True) as server:
            assert call(server, "POST", "/_mock/advance", {"seconds": 5}) == (200, {"advanced": 5})

    def test_it_is_off_unless_asked_for(self) -> None:
        with ThreadedRealtimeServer() as server:
            status, body = call(server, "GET", "/_mock/sessions")
        assert (status, body["error"]["message"]) == (
            404,
            "The control API is off; start the mock with control=True.",
        )

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("application/toml", '[[transcript]]\ntext = "One"'),
            ("application/x-www-form-urlencoded", '[[transcript]]\ntext = "One"'),  # what curl sends unasked
            ("application/yaml", "transcript: [{text: One}]"),
            ("text/x-yaml; charset=utf-8", "transcript: [{text: One}]"),
            ("application/json", '{"transcript": [{"text": "One"}]}'),
        ],
    )
    def test_a_script_may_come_in_any_of_its_formats(self, server, kind, body) -> None:
        assert call(server, "PUT", "/_mock/script", body, headers={"Content-Type": kind})[0] == 200
        assert [unused.text for unused in server.cursor.unused] == ["One"]

    def test_a_script_that_was_not_followed_is_reported(self, server) -> None:
        status, body = call(server, "GET", "/_mock/verify")
        assert status == 409
        assert body["error"]["message"].startswith("1 of 1 transcripts were not used: 'Hello there.'.")
        self.talk(server)
        assert call(server, "GET", "/_mock/verify") == (200, {"followed": True})

    def test_openapi_is_valid_and_describes_what_is_answered(self, server) -> None:
        _, document = call(server, "GET", "/_mock/openapi.json")
        openapi_spec_validator.validate(document, cls=OpenAPIV31SpecValidator)
        self.talk(server)
        bodies = {"loadScript": "default = 'x'", "advance": {"seconds": 1}, "createClientSecret": {"session": SESSION}}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                body = bodies.get(operation["operationId"])
                status, answer = call(server, method.upper(), path.replace("{number}", "1"), body)
                content = operation["responses"][str(status)]["content"]
                if "application/json" in content:
                    schema = {**content["application/json"]["schema"], "components": document["components"]}
                    Draft202012Validator(schema).validate(answer)
                else:
                    assert isinstance(answer, bytes)

    def test_openapi_describes_every_operation(self, server) -> None:
        status, document = call(server, "GET", "/_mock/openapi.json")
        assert status == 200
        assert document["openapi"] == "3.1.0"
        assert set(document["paths"]) == {
            "/v1/realtime/client_secrets",
            "/_mock/sessions",
            "/_mock/sessions/{number}",
            "/_mock/sessions/{number}/audio.wav",
            "/_mock/explain",
            "/_mock/findings",
            "/_mock/verify",
            "/_mock/script",
            "/_mock/reset",
            "/_mock/advance",
            "/_mock/health",
            "/_mock/openapi.json",
        }

    def test_the_health_check_needs_no_token(self) -> None:
        with ThreadedRealtimeServer(control=True, token="secret") as server:
            assert call(server, "GET", "/_mock/health") == (200, {"status": "ok"})
            assert call(server, "GET", "/_mock/explain")[0] == 401


class TestHttp:
    @pytest.mark.parametrize(
        ("data", "upgrades"),
        [
            (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\r\n", True),
            (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade:\r\n h2c, WebSocket\r\n\r\n", True),
            (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", False),
            (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: Upgrade: websocket\r\n\r\n", False),
            (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\r\n", False),
        ],
    )
    def test_an_upgrade_is_distinguished_from_a_request(self, data, upgrades) -> None:
        request = HttpParser().receive(data)
        assert request is not None
        assert request.head.upgrades is upgrades

    def test_half_a_head_is_neither(self) -> None:
        assert HttpParser().receive(b"GET / HT") is None

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (b"nonsense\r\n\r\n", 400),
            (b"GET / SPDY/3\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999999999\r\n\r\n", 413),
            (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            (b"x" * 70_000, 431),
        ],
    )
    def test_bad_requests(self, data, status) -> None:
        with pytest.raises(HttpError) as caught:
            HttpParser().receive(data)
        assert caught.value.status == status

    def test_a_request_may_come_in_pieces(self) -> None:
        async def scenario():
            async with RealtimeServer(control=True) as server:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                for part in (
                    b"PUT /_mock/script HT",
                    b"TP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 16\r\n\r",
                    b"\ndefault ",
                    b"= 'abc'\nextra",
                ):
                    writer.write(part)
                    await asyncio.sleep(0.005)
                answer = await reader.read()
                assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                assert server.cursor.script.default == "abc"
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(b"hello\r\n\r\n")
                assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
                writer.close()

        run(scenario)


async def exchange(server, *parts: bytes) -> bytes:
    """What the server answers until it ends the connection; it reads each part before the next one is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for part in parts:
        writer.write(part)
        for _ in range(10):  # turns of the event loop, which is the server's too
            await asyncio.sleep(0)
    answer = await reader.read()
    writer.close()
    return answer


RESET = b"POST /_mock/reset HTTP/1.1\r\nHost: 127.0.0.1\r\n"
SCRIPT = b"PUT /_mock/script HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPGRADE = (
    b"Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer sk-a\r\n"
)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /_mock/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
        (b"GET /_mock/sessions HTTP/1.1\nHost: 127.0.0.1\n\n", 200),
        (b"GET /_mock/sessions HTTP/1.0\r\n\r\n", 200),
        (b"GET http://127.0.0.1/_mock/sessions?x#y HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
        (b"GET //[/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET http://[::1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"OPTIONS /_mock/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
        (b"GET /_mock/sessions HTTP/1.1\r\n\r\n", 400),
        (b"GET /_mock/sessions HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET  /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\0b\r\n\r\n", 400),
        (b"GET /x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\0", 400),
        (b"\x16\x03\x01\x02\x00" + bytes(512), 400),
        (RESET + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}", 400),
        (RESET + b"Content-Length: +2\r\n\r\n{}", 400),
        (RESET + b"Content-Length: 5000000\r\n\r\n", 413),
        (RESET + b"Content-Length: 5000000\r\n\r\n" + b"x" * 5_000_000, 413),
        (RESET + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200),
        (RESET + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
        (b"GET //[/x HTTP/1.1\r\n" + UPGRADE + b"\r\n", 400),
        (b"GET /v1/realtime?intent=transcription HTTP/1.0\r\n" + UPGRADE + b"\r\n", (400, 505)),
        (b"GET /v1/realtime/\xc3\xa9 HTTP/1.1\r\n" + UPGRADE + b"\r\n", 400),
        (b"GET /v1/realtime?intent=transcription HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 5\r\n\r\nhello", 400),
        (b"GET /v1/realtime?intent=transcription HTTP/1.1\r\n" + UPGRADE.replace(b"13", b"8") + b"\r\n", (400, 426)),
        (b"POST /v1/realtime HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 0\r\n\r\n", 404),
    ],
)
def test_every_request_is_answered_once_and_the_connection_ends(request_, status, caplog, monkeypatch) -> None:
    # For as long as the client takes to send the rest of what the server does not want.
    monkeypatch.setattr("rtstt_testkit.mock.server.connection._LINGER_SECONDS", 60)

    async def scenario():
        async with RealtimeServer(control=True, strict=False) as server:
            answer = await exchange(server, request_)
            assert answer.count(b"HTTP/1.1 ") == 1
            assert int(answer.split(b" ")[1]) in (status if isinstance(status, tuple) else (status,))
            assert all(session.close or session.http_status != 101 for session in server.sessions)

    run(scenario)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


class TestHttpFeatures:
    def test_a_chunked_body_is_put_together(self) -> None:
        async def scenario():
            async with RealtimeServer(control=True) as server:
                head = SCRIPT + b"Transfer-Encoding: chunked\r\n\r\n"
                answer = await exchange(server, head, b"9\r\ndefault =\r\n", b"6\r\n 'abc'\r\n0\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                assert server.cursor.script.default == "abc"

        run(scenario)

    def test_a_client_that_expects_100_continue_gets_it_and_sends_its_body_then(self) -> None:
        async def scenario():
            async with RealtimeServer(control=True) as server:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(SCRIPT + b"Expect: 100-continue\r\nContent-Length: 15\r\n\r\n")
                assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
                writer.write(b"default = 'abc'")
                assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
                writer.close()
                assert server.cursor.script.default == "abc"
                head = SCRIPT + b"Expect: 100-continue\r\nContent-Length: 5000000\r\n\r\n"
                assert (await exchange(server, head)).startswith(b"HTTP/1.1 413 ")

        run(scenario)

    def test_head_gets_the_headers_of_get_and_no_body(self) -> None:
        async def scenario():
            async with RealtimeServer(control=True) as server:
                get, head = [
                    await exchange(server, method + b" /_mock/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                    for method in (b"GET", b"HEAD")
                ]
                assert head == get.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

        run(scenario)

    def test_a_method_that_is_not_allowed_gets_the_list_of_those_that_are(self) -> None:
        async def scenario():
            async with RealtimeServer(control=True) as server:
                answer = await exchange(
                    server, b"PUT /_mock/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
                )
                assert b"\r\nAllow: GET\r\n" in answer

        run(scenario)

    def test_a_client_that_ends_its_side_early_still_gets_the_answer(self) -> None:
        async def scenario():
            async with RealtimeServer(control=True) as server:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(b"GET /_mock/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                writer.write_eof()
                assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
                writer.close()

        run(scenario)

    def test_a_tls_handshake_is_explained(self) -> None:
        async def scenario():
            async with RealtimeServer() as server:
                answer = await exchange(server, b"\x16\x03\x01\x02\x00" + bytes(512))
                assert b"This port does not speak TLS; use http:// and ws://" in answer
                assert server.explain().endswith(
                    "\n1 request was refused: This port does not speak TLS; use http:// and ws:// instead of https:// "
                    "and wss://."
                )

        run(scenario)

    def test_an_error_of_the_mock_itself_is_answered_500_and_logged(self, caplog, monkeypatch) -> None:
        async def scenario():
            async with RealtimeServer(control=True) as server:
                monkeypatch.setattr(server._records, "sessions", None)
                answer = await exchange(server, b"GET /_mock/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                monkeypatch.undo()
                assert answer.startswith(b"HTTP/1.1 500 ")

        run(scenario)
        (record,) = [record for record in caplog.records if record.name == "rtstt_testkit.mock"]
        assert (record.getMessage(), record.exc_info[0]) == (
            "internal error of the mock in GET /_mock/sessions",
            TypeError,
        )
