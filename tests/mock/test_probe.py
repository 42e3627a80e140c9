"""``rtstt-shim probe``: every row is answered by the mock itself, and every kind of difference is found."""

import asyncio
import json
import os
import random
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import run as run_process
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
from websockets.asyncio.server import ServerConnection, serve

from rtstt_testkit import Fault, RealtimeServer, ThreadedRealtimeServer, Transcript
from rtstt_testkit.mock.protocol.admission import Account
from rtstt_testkit.mock.protocol.models import TRANSCRIPTION_MODELS
from rtstt_testkit.probe.attempt import Endpoint, Unreachable, is_local
from rtstt_testkit.probe.compare import Difference, differences, summarize
from rtstt_testkit.probe.conversation import as_conversations
from rtstt_testkit.probe.normal import Normalizer, collapse
from rtstt_testkit.probe.rows import ROWS, Row, WaitFor, select_rows
from rtstt_testkit.probe.runner import MOCK_KEY, Result, probe, probe_own_mock

SECRET = "sk-live-" + "S3cr3tS3cr3t" * 3
ITEM = "item_" + "A" * 21


@pytest.fixture(autouse=True, scope="module")
def without_the_shim() -> Iterator[None]:
    """Other tests of this process may have left it active, which the runner refuses."""
    shim = sys.modules.get("rtstt_shim")
    active = shim is not None and shim.status().active
    if active:
        shim.uninstall()
    yield
    if active:
        shim.install()


def main(*words: str) -> int:
    from rtstt_core.cli import main

    return main(["probe", *words])


def wait(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 100))


def row(name: str) -> Row:
    (found,) = [row for row in ROWS if row.name == name]
    return found


def ending(result: Result) -> list[str]:
    return [summarize(event) for event in result.expected]


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """What the mock answers to every row."""
    return {result.row.name: result for result in wait(probe_own_mock(ROWS))}


class TestTheRows:
    def test_each_is_answered_to_the_end_by_the_mock(self, results: dict[str, Result]) -> None:
        for result in results.values():
            last = result.expected[-1]
            assert result.verdict == "ok"
            assert not [event for event in result.expected if event["type"] in ("(silence)", "(frame)")]
            if last["type"] == "(close)" and last["by"] == "client":
                assert result.expected[-2]["type"] == "input_audio_buffer.cleared"
            else:
                closed = last.get("code") in (1013, 3000, 4000, 4004)
                assert last["type"] == "(http)" or closed or last.get("status") == 400
            waited_for = [step.type for step in result.row.steps if isinstance(step, WaitFor)]
            if last.get("by") == "client":
                assert set(waited_for) <= {event["type"] for event in result.expected}

    @pytest.mark.parametrize(
        ("name", "code", "close"),
        [
            ("intent=transcription, model=gpt-4o-mini-transcribe", "invalid_model", 4000),
            ("intent=transcription, model=gpt-realtime", "invalid_model", 4000),
            ("intent=transcription, model=", "invalid_model", 4000),
            ("no intent, model=whisper-1", "invalid_model", 4000),
            ("neither intent nor model", "missing_model", 4000),
            ("the header of the beta", "beta_api_shape_disabled", 4000),
            ("the subprotocol of the beta", "beta_api_shape_disabled", 4000),
            ("no key", None, 3000),
            ("an unknown key", "invalid_api_key", 3000),
            ("no credit", "credit_balance_exhausted", 1013),
            ("the quota is used up", "insufficient_quota", 1013),
            ("the spend limit is reached", "organization_spend_limit_exceeded", 1013),
            ("no access to the model", "model_not_found", 4004),
        ],
    )
    def test_the_decision_table_is_the_protocols(
        self, results: dict[str, Result], name: str, code: str | None, close: int
    ) -> None:
        upgrade, error, end = results[name].expected
        assert (upgrade["type"], error["error"]["code"], end["code"], end["by"]) == ("(upgrade)", code, close, "server")

    @pytest.mark.parametrize(
        ("name", "status", "code"),
        [
            ("a deployment and the intent", 400, "OperationNotSupported"),
            ("neither a deployment nor the intent", 400, "OperationNotSupported"),
            ("the deployment of a transcription model", 400, "OpperationNotSupported"),
            ("an unknown deployment", 404, "DeploymentNotFound"),
            ("an unknown key on Azure", 401, "401"),
            ("no key on Azure", 401, "401"),
            ("the preview's transcription session with an API key", 401, "Unauthorized"),
        ],
    )
    def test_azure_refuses_before_the_upgrade_in_its_own_form(self, name: str, status: int, code: str) -> None:
        (result,) = wait(probe_own_mock([row for row in ROWS if (row.group, row.name) == ("azure", name)]))
        (refused,) = result.expected
        assert refused["status"] == status
        assert refused["body"]["error"]["code"] == code
        assert set(refused["body"]["error"]) == {"code", "message"}

    def test_a_secret_is_made_although_there_is_no_credit(self, results: dict[str, Result]) -> None:
        secret, _, _, end = results["no credit: a secret is made, and its session is refused"].expected
        assert (secret["status"], end["code"]) == (200, 1013)

    def test_a_conversation_refuses_a_transcription_update_and_stays_open(self, results: dict[str, Result]) -> None:
        assert ending(results["model=gpt-realtime: a conversation refuses a transcription update"])[-3:] == [
            "error invalid_parameter: Passing a transcription session update to a realtime session is not allowed.",
            "input_audio_buffer.cleared",
            "close 1000 (client)",
        ]

    def test_every_error_of_the_table_is_provoked(self, results: dict[str, Result]) -> None:
        for result in results.values():
            if result.row.group == "errors":
                (error,) = [event for event in result.expected if event["type"] == "error"]
                sent = result.row.name not in ("not JSON", "a binary frame", "a keyword with an angle bracket")
                assert error["error"]["event_id"] == ("probe-1" if sent else None)

    @pytest.mark.parametrize(
        "name", sorted(row.name for row in ROWS if row.group == "transcribing" and "," in row.name)
    )
    def test_the_recordings_words_come_back(self, results: dict[str, Result], name: str) -> None:
        texts = [event["transcript"] for event in results[name].expected if "transcript" in event]
        spoken = {
            "silence, committed to gpt-live-transcribe": [""],
            "two turns, one after the other: the chain of items": [
                "hello from the gateway probe",
                "tomorrow will be sunny in the north",
            ],
            "gpt-live-transcribe, deltas before the commit": ["i would like two coffees and a glass of water"],
            "gpt-realtime-whisper, deltas before the commit": ["i would like two coffees and a glass of water"],
        }
        assert texts == spoken.get(name, ["hello from the gateway probe"])

    def test_names_are_unique_and_every_undated_model_is_tried(self) -> None:
        assert len({row.name for row in ROWS}) == len(ROWS)
        titles = " ".join(row.name for row in ROWS if row.group == "transcribing")
        assert [model for model in TRANSCRIPTION_MODELS if "-20" not in model and model not in titles] == []

    def test_the_unsettled_moment_may_be_either(self) -> None:
        async def scenario() -> list[Result]:
            async with RealtimeServer(refuse="on-update") as server:
                return await probe([row for row in ROWS if row.moment], Endpoint(server.url, MOCK_KEY))

        results = wait(scenario())
        assert {result.verdict for result in results} == {"ok"}
        assert {result.note for result in results} == {"refused after session.update, as livekit/agents-js#1756 saw it"}


class TestDifferences:
    """Servers that are wrong in one way, and what the probe reports."""

    @pytest.mark.parametrize(
        ("name", "options", "difference"),
        [
            (
                "whisper-1, server_vad",
                {"faults": [Fault("drop", on="conversation.item.done", nth=None)]},
                ("8", "conversation.item.done", "<nothing>"),
            ),
            (
                "gpt-4o-transcribe, server_vad",
                {"faults": [Fault("duplicate", on="delta")]},
                (
                    "10 conversation.item.input_audio_transcription.completed: (the deltas joined)",
                    "the transcript",
                    "something else: HelloHello from the gateway probe.",
                ),
            ),
            (
                "whisper-1, server_vad",
                {"faults": [Fault("duplicate", on="committed")]},
                ("6", "<nothing>", "input_audio_buffer.committed"),
            ),
            (
                "intent=transcription alone",
                {"faults": [Fault("close", after="session.updated", code=1011, reason="gone")]},
                ("4", "input_audio_buffer.cleared, close 1000 (client)", "close 1011 gone"),
            ),
            (
                "intent=transcription alone",
                {"faults": [Fault("reset", after="session.updated")]},
                ("4", "input_audio_buffer.cleared, close 1000 (client)", "close 1006"),
            ),
            (
                "intent=transcription alone",
                {"faults": [Fault("malformed", on="session.updated")]},
                (
                    "3",
                    "session.updated, input_audio_buffer.cleared, close 1000 (client)",
                    "(frame), no session.updated within 5 s",
                ),
            ),
            (
                "intent=transcription alone",
                {"faults": [Fault("http", on="connect", code=503)]},
                (
                    "1",
                    "(upgrade), session.created, session.updated, input_audio_buffer.cleared, close 1000 (client)",
                    "HTTP 503",
                ),
            ),
            (
                "whisper-1, server_vad",
                {"transcripts": ["Goodbye."]},
                (
                    "10 conversation.item.input_audio_transcription.completed: transcript",
                    "hello from the gateway probe",
                    "goodbye",
                ),
            ),
            (
                "created and never updated; the form of identifiers",
                {"max_duration": 1800},
                ("2 session.created: session.expires_at", "<now + 3600 s>", "<now + 1800 s>"),
            ),
            (
                "no key",
                {"profile": "gateway"},
                (
                    "1",
                    "(upgrade), error None: Missing bearer or basic authentication in header, "
                    "close 3000 invalid_request_error",
                    "HTTP 401",
                ),
            ),
        ],
        ids=lambda value: str(value)[:60] if isinstance(value, dict) else None,
    )
    def test_a_difference_is_found_and_named(
        self, name: str, options: dict[str, Any], difference: tuple[str, str, str]
    ) -> None:
        timeout = 5.0 if "within 5 s" in difference[2] else 60.0  # the former is waited for
        (result,) = wait(probe_own_mock([row(name)], timeout=timeout, **options))
        assert result.verdict == "differs"
        assert Difference(*difference) in result.differences

    @pytest.mark.parametrize("name", ["whisper-1, server_vad", "log probabilities"])
    def test_how_a_text_is_cut_into_deltas_does_not_matter(self, name: str) -> None:
        text = Transcript("Hello from the gateway probe.", deltas=["Hello from the ", "gateway ", "probe."])
        (result,) = wait(probe_own_mock([row(name)], transcripts=[text]))
        assert result.verdict == "ok"

    def test_an_endpoint_that_falls_silent_does_not_hold_it_up(self) -> None:
        async def scenario() -> Result:
            async with RealtimeServer(faults=[Fault("stall", after="session.created")]) as server:
                (result,) = await probe([row("whisper-1, server_vad")], Endpoint(server.url, MOCK_KEY, 1.5))
                return result

        result = wait(scenario())
        assert result.verdict == "differs"
        assert summarize(result.received.events[-1]) == "no session.updated within 1.5 s"

    def test_an_endpoint_that_never_stops_talking_does_not_either(self) -> None:
        async def chatter(connection: ServerConnection) -> None:
            while True:
                await connection.send('{"type":"hello"}')
                await asyncio.sleep(0)  # it is in the same loop

        result = against(chatter)
        assert result.verdict == "differs"
        assert summarize(result.received.events[-1]) == "1000 events; the rest was not read"

    def test_an_endpoint_that_never_reads_does_not_either(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from rtstt_testkit.probe import attempt

        async def deaf(connection: ServerConnection) -> None:
            connection.transport.pause_reading()
            await connection.send('{"type":"session.created"}')
            await connection.wait_closed()

        monkeypatch.setattr(attempt, "_GRACE", 1.0)
        monkeypatch.setattr(attempt, "_chunks", lambda step: [random.Random(1).randbytes(4 * 1024 * 1024)] * 4)
        tried = Row("x", "much", "x", (attempt.AppendAudio(None),))
        result = against(deaf, tried, timeout=0.5, close_timeout=0.1)
        assert summarize(result.received.events[-1]) == "the endpoint stopped reading"

    def test_a_redirect_is_not_followed(self) -> None:
        async def elsewhere(connection: ServerConnection, request: Any) -> Any:
            response = connection.respond(302, "")
            response.headers["Location"] = "/v1/realtime"
            return response

        result = against(silent, process_request=elsewhere)
        assert [summarize(event) for event in result.received.events] == ["HTTP 302"]

    def test_frames_that_are_no_events_are_named(self) -> None:
        async def unusual(connection: ServerConnection) -> None:
            for frame in (b"\0", "[1]", "{"):
                await connection.send(frame)

        result = against(unusual)
        assert [event["type"] for event in result.received.events][1:4] == ["(frame)"] * 3


async def silent(connection: ServerConnection) -> None:
    await connection.wait_closed()


def against(
    handler: Callable[[ServerConnection], Awaitable[None]],
    tried: Row | None = None,
    timeout: float = 60.0,
    close_timeout: float = 60.0,
    **options: Any,
) -> Result:
    """Run one row on a server made for this test."""

    async def scenario() -> Result:
        async with serve(handler, "127.0.0.1", 0, close_timeout=close_timeout, **options) as server:
            port = server.sockets[0].getsockname()[1]
            endpoint = Endpoint(f"ws://127.0.0.1:{port}/v1/realtime", MOCK_KEY, timeout)
            (result,) = await probe([tried or row("intent=transcription alone")], endpoint)
            return result

    return wait(scenario())


class TestUnreachable:
    def test_a_row_that_cannot_be_run_is_neither_a_difference_nor_a_success(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from rtstt_testkit.commands import probe as command

        server = ThreadedRealtimeServer()
        server.start()
        original = command.lines

        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = server.port

        def last_lines(result: Result, number: int, total: int) -> list[str]:
            if number == 1:
                server.stop()
                taken.bind(("127.0.0.1", port))  # so that no other program listens there
            return original(result, number, total)

        monkeypatch.setattr(command, "lines", last_lines)
        with taken:
            assert main(server.url, "--only", "session object") == 1
        out = capsys.readouterr().out
        assert " 1/13  ok " in out
        assert " 2/13  not tried  session object: noise reduction (Connection refused)\n" in out
        assert out.endswith(" could not be run\n")

    def test_a_closed_port_is_one_sentence(self, capsys: pytest.CaptureFixture[str]) -> None:
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{taken.getsockname()[1]}/v1/realtime"
            assert main(url) == 2
        assert capsys.readouterr().err == (
            f"rtstt-shim: cannot probe {url}: Connection refused; is it running, and is that its address?\n"
        )

    def test_a_port_that_never_answers_is_one_sentence(self, capsys: pytest.CaptureFixture[str]) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as mute:
            url = f"ws://127.0.0.1:{mute.getsockname()[1]}/v1/realtime"
            assert main(url, "--timeout", "0.2") == 2
            assert f"cannot probe {url}: no answer within 0.2 s;" in capsys.readouterr().err
            assert main(url, "--timeout", "0.2", "--only", "ephemeral secret model") == 2
            assert f"cannot probe {url}: timed out;" in capsys.readouterr().err

    def test_a_server_of_something_else_is_one_sentence(self) -> None:
        async def scenario() -> None:
            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read(1)
                writer.write(b"220 mail.example.com ESMTP\r\n")
                writer.close()

            async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
                url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"
                for name in ("no key", "a secret that expires after one second"):
                    with pytest.raises(Unreachable) as caught:
                        await probe([row(name)], Endpoint(url, MOCK_KEY))
                    assert str(caught.value)

        wait(scenario())


class TestTheCommand:
    def test_a_mock_of_its_own_is_all_right(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main() == 0
        out = capsys.readouterr().out.splitlines()
        assert out[0] == "a mock started for this, row by row; the expected events are the mock's"
        assert out[1] == f"  1/{len(ROWS)}  ok         connecting: intent=transcription alone"
        assert len(out) == len(ROWS) + 2
        assert out[-1] == f"{len(ROWS)} rows: {len(ROWS)} match the mock, 0 differ, 0 could not be run"

    def test_a_difference_is_shown_with_its_evidence_and_is_exit_code_1(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with ThreadedRealtimeServer(transcripts=["Goodbye."]) as server:
            assert main(server.url, "--only", "whisper-1, server_vad") == 1
        assert capsys.readouterr().out.splitlines()[1:] == [
            "1/1  differs    transcribing: whisper-1, server_vad",
            "              evidence for the mock's answer: [live]",
            "              10 conversation.item.input_audio_transcription.completed: transcript",
            "                expected  hello from the gateway probe",
            "                received  goodbye",
            "1 rows: 0 match the mock, 1 differ, 0 could not be run",
        ]

    def test_the_report_has_every_event_and_json_is_the_same(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        report = tmp_path / "report.json"
        with ThreadedRealtimeServer() as server:
            assert main(server.url, "--only", "an unknown field", "--json", "--report", str(report)) == 0
            printed = capsys.readouterr().out
            assert printed == report.read_text(encoding="utf-8")
            document = json.loads(printed)
            assert document["endpoint"] == server.url
        assert document["counts"] == {"ok": 2, "differs": 0, "not tried": 0, "not applicable": 0}
        entry = document["rows"][-1]
        assert entry["name"] == "an unknown field"
        types = [event["event"]["type"] for event in entry["events"]]
        assert types == ["(upgrade)", "session.created", "error", "input_audio_buffer.cleared", "(close)"]
        assert entry["events"][2]["event"]["error"]["code"] == "unknown_parameter"
        assert entry["received"] == entry["expected"]

    def test_a_report_that_cannot_be_written_is_refused_before_anything_is_tried(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        with ThreadedRealtimeServer() as server:
            assert main(server.url, "--report", str(tmp_path / "no" / "report.json")) == 2
            assert server.sessions == []
        assert "report.json: No such file or directory; choose another --report\n" in capsys.readouterr().err

    def test_an_interrupted_run_leaves_the_report_of_what_was_tried(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from rtstt_testkit.commands import probe as command

        def interrupt(result: Result, number: int, total: int) -> list[str]:
            if number == 2:
                raise KeyboardInterrupt
            return []

        monkeypatch.setattr(command, "lines", interrupt)
        report = tmp_path / "report.json"
        assert main("--only", "session object", "--report", str(report)) == 130
        assert json.loads(report.read_text(encoding="utf-8"))["counts"] == {
            "ok": 2,
            "differs": 0,
            "not tried": 0,
            "not applicable": 0,
        }

    def test_the_list_names_each_row_and_its_evidence(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main("--list") == 0
        out = capsys.readouterr().out.splitlines()
        assert len(out) == len(ROWS) + 8
        assert out[:2] == ["connecting", "  intent=transcription alone  [guide] [capture] [client]"]
        assert main("--list", "--only", "DIARIZE") == 0
        assert len(capsys.readouterr().out.splitlines()) == 2

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--only", "no such row"], "no row's title contains 'no such row'; see `rtstt-shim probe --list`"),
            (["--timeout", "0"], "--timeout 0 is out of range; give a number of seconds above 0 and up to 600"),
            (["--timeout", "nan"], "--timeout nan is out of range; give a number of seconds above 0 and up to 600"),
            (
                ["wss://api.openai.com/v1/realtime"],
                "wss://api.openai.com/v1/realtime is not on this machine, and the rows may cost money; "
                "add --live to use it",
            ),
            (
                ["ws://127.0.0.1.example.com/"],
                "ws://127.0.0.1.example.com/v1/realtime is not on this machine, and the rows may cost money; "
                "add --live to use it",
            ),
            (["--live"], "--live needs an API key; set OPENAI_API_KEY, or give --key"),
            (["--header", "X Y: z"], "--header 'X Y' is not a header; give 'NAME: VALUE'"),
            (["--header", "no-colon"], "--header 'no-colon' is not a header; give 'NAME: VALUE'"),
            (["--skip", "", "--compatible"], "no row is left; see `rtstt-shim probe --list`"),
            (["--azure", "--compatible"], "no row is left; see `rtstt-shim probe --list`"),
            (["--azure", "a b"], "--azure 'a b' is not the name of a model; give one such as gpt-realtime"),
            (
                ["--live", "--azure"],
                "--live --azure needs the URL of the resource; give wss://NAME.openai.azure.com/openai/v1/realtime",
            ),
            (
                ["--account", "broke"],
                "--account 'broke' is not a state of an account; choose from no-credit, quota, spend-limit, no-model",
            ),
            (
                ["--key", "a b", "ws://127.0.0.1:1/"],
                "--key is not an API key: it contains spaces or other characters that no key has",
            ),
            (
                ["--live", "ws://api.openai.com"],
                "ws://api.openai.com/v1/realtime would receive your key unencrypted; give a wss:// URL",
            ),
            (
                ["http://127.0.0.1:80/v1"],
                "'http://127.0.0.1:80/v1' is not a WebSocket URL; give one such as ws://127.0.0.1:40123/v1/realtime",
            ),
            (
                ["ws://127.0.0.1:port/"],
                "'ws://127.0.0.1:port/' is not a URL: Port could not be cast to integer value as 'port'; "
                "give one such as ws://127.0.0.1:40123/v1/realtime",
            ),
            (
                ["ws://127.0.0.1:80/v1/realtime?intent=transcription"],
                "the URL must not have a query, a fragment or a user: every row has its own query",
            ),
        ],
    )
    def test_a_usage_error_is_one_sentence(
        self, words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        assert main(*words) == 2
        assert capsys.readouterr().err == f"rtstt-shim: {message}\n"

    def test_a_key_with_a_line_break_is_no_key(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", f"{SECRET}\n{SECRET}")
        assert main("--live") == 2
        shown = capsys.readouterr()
        assert "OPENAI_API_KEY is not an API key" in shown.err
        assert SECRET not in shown.err + shown.out


class TestTheKey:
    def test_live_uses_it_and_shows_it_nowhere(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        report = tmp_path / "report.json"
        with ThreadedRealtimeServer(strict=False) as server:
            assert main("--live", server.url, "--only", "credentials", "--report", str(report)) == 0
            assert server.sessions[2].handshake.subprotocols[1].endswith(SECRET[-4:])
        shown = capsys.readouterr()
        text = shown.out + shown.err + report.read_text(encoding="utf-8")
        assert SECRET not in text
        assert '"value": "ek_***"' in text
        assert json.loads(text[text.index("{") :])["live"] is True

    def test_an_endpoint_that_repeats_it_is_not_repeated(self) -> None:
        async def parrot(connection: ServerConnection) -> None:
            key = connection.request.headers["Authorization"]
            await connection.send(json.dumps({"type": "error", "error": {"code": key, "message": f"No: {key}!"}}))

        result = against(parrot)
        assert summarize(result.received.events[1]) == "error Bearer ****: No: Bearer ****!"
        assert MOCK_KEY not in repr(result)

    def test_without_live_it_is_not_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        with ThreadedRealtimeServer(strict=False) as server:
            assert main(server.url, "--only", "intent in capitals") == 0
            (session,) = server.sessions
        assert not session.handshake.headers["authorization"].endswith(SECRET[-4:])

    def test_this_machine_is_recognised_by_its_address(self) -> None:
        assert is_local("ws://127.0.0.1:1/")
        assert is_local("ws://localhost:1/")
        assert is_local("ws://[::1]:1/")
        assert not is_local("ws://127.0.0.1.example.com/")
        assert not is_local("wss://api.openai.com/")
        assert not is_local("ws://0.0.0.0.1/")


def test_the_shim_does_not_correct_what_is_probed() -> None:
    """Even where RTSTT_SHIM_HOSTS names the endpoint."""
    with ThreadedRealtimeServer() as server:
        words = ["-m", "rtstt_core", "run", "--", sys.executable, "-m", "rtstt_core", "probe", server.url]
        environ = {**os.environ, "RTSTT_SHIM_HOSTS": "127.0.0.1"}
        done = run_process(
            [sys.executable, *words, "--only", "intent=transcription, model=whisper-1"],
            capture_output=True,
            text=True,
            timeout=60,
            env=environ,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        (session,) = server.sessions
    assert session.handshake.query == {"intent": ["transcription"], "model": ["whisper-1"]}


def test_where_the_shim_is_active_the_runner_refuses() -> None:
    code = """
import asyncio, rtstt_shim
from rtstt_testkit.probe.rows import ROWS
from rtstt_testkit.probe.runner import probe_own_mock
try:
    asyncio.run(probe_own_mock(ROWS[:1]))
except RuntimeError as error:
    print(error)
rtstt_shim.uninstall()
print(asyncio.run(probe_own_mock(ROWS[:1]))[0].verdict)
"""
    done = run_process([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == (
        "the shim is active and would correct the tested URLs; call rtstt_shim.uninstall() first\nok\n"
    )


class TestNormalized:
    def test_an_identifier_keeps_its_name_and_its_form_counts(self) -> None:
        normal = Normalizer(())
        event = {"type": "x", "event_id": "event_" + "b" * 21, "item_id": ITEM, "previous_item_id": "item_" + "c" * 21}
        assert normal.event(event, 0.0) == {
            "type": "x",
            "event_id": "<event>",
            "item_id": "<item 1>",
            "previous_item_id": "<item 2>",
        }
        assert normal.event({"item_id": "item_of-another_form"}, 0.0) == {"item_id": "<item 3>"}
        failed = {"error": {"message": f"Input transcription failed for item '{ITEM}'."}}
        assert normal.event(failed, 0.0)["error"]["message"] == "Input transcription failed for item '<item 1>'."
        for kept in (
            {"error": {"code": "item_delete_invalid_item_id", "event_id": "probe-1"}},
            {"item_id": "item_probe"},
        ):
            assert normal.event(kept, 0.0) == kept
        exact = Normalizer((), id_format=True)
        assert exact.event({"item_id": ITEM}, 0.0) == {"item_id": "<item 1>"}
        assert exact.event({"item_id": "item_of-another_form"}, 0.0) == {"item_id": "item_of-another_form"}

    def test_an_expiry_is_relative_to_now(self) -> None:
        session = {"session": {"expires_at": 1_800_003_597}}
        assert Normalizer(()).event(session, 1_800_000_000.4) == {"session": {"expires_at": "<now + 3600 s>"}}
        assert Normalizer(()).event({"expires_at": 0}, 1.0) == {"expires_at": 0}

    def test_log_probabilities_count_by_their_form(self) -> None:
        right = [{"token": "a", "logprob": -1.0, "bytes": [97]}]
        assert Normalizer(()).event({"logprobs": right}, 0.0) == {"logprobs": "<logprobs>"}
        wrong = [{"token": "a", "logprob": -1.0}]
        assert Normalizer(()).event({"logprobs": wrong}, 0.0) == {"logprobs": wrong}

    def test_what_follows_itself_is_one_only_for_deltas_and_segments(self) -> None:
        delta = {"type": "conversation.item.input_audio_transcription.delta"}
        other = {"type": "input_audio_buffer.cleared"}
        assert collapse([delta, delta, other, other, delta]) == [delta, other, other, delta]


@pytest.mark.parametrize(
    ("expected", "received", "alike"),
    [
        ({"audio_start_ms": 0}, {"audio_start_ms": 300}, True),
        ({"audio_start_ms": 0}, {"audio_start_ms": 301}, False),
        ({"seconds": 2}, {"seconds": 3}, True),
        ({"output_tokens": 0}, {"output_tokens": 3}, False),
        ({"output_tokens": 9}, {"output_tokens": 3}, True),
        ({"n": 1}, {"n": True}, False),
        ({"n": 1}, {"n": 2}, False),
        ({"n": None}, {}, False),
        ({}, {"n": None}, False),
        ({"tail": "Known."}, {"tail": "Known. And more"}, True),
        ({"tail": "Known."}, {"tail": "Other"}, False),
        ({"unknown": {"a": 1}}, {"unknown": {"a": 2}}, True),
        ({"unknowns": 1}, {"unknowns": 2}, False),
    ],
)
def test_which_values_are_equal(expected: dict[str, Any], received: dict[str, Any], alike: bool) -> None:
    tried = Row("x", "x", "x", not_compared=("unknown",), prefix_only=("tail",))
    found = differences(tried, [{"type": "x", **expected}], [{"type": "x", **received}])
    assert (found == []) is alike


def test_words_choose_rows() -> None:
    assert select_rows(None) == list(ROWS)
    assert {found.group for found in select_rows("ERRORS append")} == {"errors"}


class TestRowsForSomeEndpoints:
    def test_on_another_endpoint_they_are_not_applicable_and_no_failure(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        junit = tmp_path / "junit.xml"
        with ThreadedRealtimeServer(strict=False) as server:
            words = ("--only", "no key", "--skip", "unknown", "--skip", "keywords", "--junit", str(junit))
            assert main(server.url, *words) == 0
            assert len(server.sessions) == 1
        assert capsys.readouterr().out.splitlines()[1:] == [
            "1/2  ok         credentials: no key",
            "2/2  not applicable  azure: no key on Azure (needs --azure)",
            "2 rows: 1 match the mock, 0 differ, 0 could not be run, 1 are not applicable",
        ]
        suite = ElementTree.parse(junit).getroot()
        assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")
        assert [skipped.get("message") for skipped in suite.iter("skipped")] == ["needs --azure"]

    def test_nothing_that_applies_is_a_usage_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        with ThreadedRealtimeServer() as server:
            assert main(server.url, "--only", "no credit") == 2
            assert server.sessions == []
        assert capsys.readouterr().err == (
            "rtstt-shim: none of these rows applies to the endpoint: the first needs --account no-credit\n"
        )

    @pytest.mark.parametrize("account", get_args(Account))
    def test_an_account_is_tried_alone(self, account: Account, capsys: pytest.CaptureFixture[str]) -> None:
        with ThreadedRealtimeServer(account=account) as server:
            assert main(server.url, "--account", account) == 0
        rows = select_rows(None, account=account)
        assert rows
        assert f"\n{len(rows)} rows: {len(rows)} match the mock, 0 differ" in capsys.readouterr().out

    def test_a_good_account_differs_from_one_without_credit(self) -> None:
        with ThreadedRealtimeServer() as server:
            endpoint = Endpoint(server.url, MOCK_KEY, account="no-credit")
            results = wait(probe(select_rows(None, account="no-credit"), endpoint))
        assert {result.verdict for result in results} == {"differs"}

    def test_azure_is_tried_with_the_name_of_a_deployment(self, capsys: pytest.CaptureFixture[str]) -> None:
        with ThreadedRealtimeServer(profile="azure", strict=False) as server:
            assert main(server.url.removesuffix("/v1/realtime"), "--azure", "talker") == 0
            assert {"model": ["talker"]} in [session.handshake.query for session in server.sessions]
            paths = {session.handshake.path for session in server.sessions}
        assert paths == {"/openai/v1/realtime", "/openai/realtime"}
        rows = len(select_rows(None, profile="azure"))
        assert f"\n{rows} rows: {rows} match the mock, 0 differ" in capsys.readouterr().out

    def test_openais_endpoint_is_not_azure(self) -> None:
        with ThreadedRealtimeServer(strict=False) as server:
            endpoint = Endpoint(server.url, MOCK_KEY, profile="azure")
            results = wait(probe(select_rows(None, profile="azure"), endpoint))
        assert {result.verdict for result in results} == {"differs"}

    def test_azures_key_comes_from_a_variable_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        with ThreadedRealtimeServer(profile="azure") as server:
            assert main("--live", server.url, "--azure", "--only", "opens a transcription") == 2
            assert server.sessions == []
            monkeypatch.setenv("AZURE_OPENAI_API_KEY", "f" * 32)
            assert main("--live", server.url, "--azure", "--only", "opens a transcription") == 0
            (session,) = server.sessions
        assert "authorization" not in session.handshake.headers
        assert session.handshake.headers["api-key"].endswith("ffff")


class TestOtherServers:
    def test_a_compatible_server_is_not_asked_for_refusals(self, results: dict[str, Result]) -> None:
        compatible = select_rows(None, compatible=True)
        assert len(compatible) > 20
        for tried in compatible:
            events = results[tried.name].expected
            assert not [event for event in events if event["type"] in ("error", "(http)")], tried.name
            assert events[-1].get("by") == "client"

    def test_conversations_are_transcribed_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows = as_conversations(ROWS, "gpt-realtime")
        for result in wait(probe_own_mock(rows)):
            types = [event["type"] for event in result.expected]
            assert result.verdict == "ok"
            assert not {"error", "(silence)", "response.created"} & set(types), result.row.name
            assert result.expected[-1].get("by") == "client"
            waited_for = {step.type for step in result.row.steps if isinstance(step, WaitFor)}
            assert waited_for <= set(types)
        with ThreadedRealtimeServer() as server:
            assert main(server.url, "--conversation", "--only", "whisper-1, server_vad") == 0
            (session,) = server.sessions
        assert session.handshake.query == {"model": ["gpt-realtime"]}

    def test_rows_can_be_left_out(self) -> None:
        names = {found.name for found in select_rows("transcribing", ["whisper-1", "SERVER_VAD gpt"])}
        assert names < {found.name for found in select_rows("transcribing")}
        assert not [name for name in names if "whisper-1" in name or ("server_vad" in name and "gpt" in name)]

    def test_key_and_headers_reach_the_server_and_no_output(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        async def parrot(connection: ServerConnection) -> None:
            headers = connection.request.headers
            error = {"code": "echo", "message": f"{headers['Authorization']} {headers['X-Tenant']}"}
            await connection.send(json.dumps({"type": "error", "error": error}))

        async def scenario() -> int:
            async with serve(parrot, "127.0.0.1", 0, close_timeout=60) as server:
                url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"
                words = ("--key", SECRET, "--header", "X-Tenant: tenant-secret", "--json", "--timeout", "60")
                only = ("--only", "intent=transcription alone", "--junit", str(tmp_path / "junit.xml"))
                return await asyncio.to_thread(main, url, *words, *only)

        assert wait(scenario()) == 1
        shown = capsys.readouterr()
        text = shown.out + shown.err + (tmp_path / "junit.xml").read_text()
        assert "Bearer *** ***" in text
        assert SECRET not in text
        assert "tenant-secret" not in text

    def test_one_cause_is_counted_once_and_junit_has_every_row(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        async def strange(connection: ServerConnection) -> None:
            error = {"code": "invalid_session_type", "message": "No."}
            await connection.send(json.dumps({"type": "error", "error": error}))
            await connection.close(1008)

        async def scenario() -> int:
            async with serve(strange, "127.0.0.1", 0, close_timeout=60) as server:
                url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"
                words = ("--only", "session object", "--junit", str(tmp_path / "junit.xml"))
                return await asyncio.to_thread(main, url, *words)

        assert wait(scenario()) == 1
        number = len(select_rows("session object"))
        assert capsys.readouterr().out.splitlines()[-2] == f"{number} rows: invalid_session_type"
        suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
        assert (suite.get("tests"), suite.get("failures")) == (str(number), str(number))
        assert suite[0][0].get("message") == "invalid_session_type"
        assert suite[0].get("classname") == "session object"

    def test_a_silent_server_is_given_up_after_three_rows(self) -> None:
        async def scenario() -> list[Result]:
            async with serve(silent, "127.0.0.1", 0, close_timeout=0.1) as server:
                port = server.sockets[0].getsockname()[1]
                endpoint = Endpoint(f"ws://127.0.0.1:{port}/v1/realtime", MOCK_KEY, 0.3)
                return await probe(select_rows("session object"), endpoint)

        results = wait(scenario())
        assert [result.verdict for result in results[:3]] == ["differs"] * 3
        assert {result.verdict for result in results[3:]} == {"not tried"}
        assert results[3].note == "the server was silent in the first 3 rows"
