from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from rtstt_core import report as report_module
from rtstt_core.diagnosis import Failure
from rtstt_core.report import Source, report

URL = "wss://api.openai.com/v1/realtime?intent=transcription"
OPENAI = Source("websockets", "15.0.1", URL)
Records = list[logging.LogRecord]


def lines(records: Records) -> list[str]:
    return [record.getMessage() for record in records]


def test_a_refusal_reads_as_one_line_that_says_what_and_what_to_do(warnings_logged: Records) -> None:
    message = 'Model "gpt-4o-mini-transcribe" is not supported in transcription mode.'
    report(
        OPENAI,
        Failure(
            "error",
            type="invalid_request_error",
            code="invalid_model",
            message=message,
            close_code=4000,
            close_reason="invalid_request_error.invalid_model",
        ),
    )
    assert lines(warnings_logged) == [
        "rtstt_shim: realtime transcription session failed: "
        "OpenAI refuses `model` in the URL of a transcription session "
        '(invalid_model: Model "gpt-4o-mini-transcribe" is not supported in transcription mode.; '
        "closed 4000 invalid_request_error.invalid_model). Remove `model` from the URL and name it in "
        "session.audio.input.transcription.model instead. "
        "[websockets 15.0.1, wss://api.openai.com/v1/realtime?intent=transcription]"
    ]
    record = warnings_logged[0]
    assert record.name == "rtstt_shim"
    assert record.levelno == logging.WARNING
    fields = {name: value for name, value in vars(record).items() if name.startswith("rtstt_")}
    assert fields == {
        "rtstt_library": "websockets",
        "rtstt_version": "15.0.1",
        "rtstt_url": URL,
        "rtstt_diagnosis": "model-beside-intent",
        "rtstt_fatal": True,
        "rtstt_kind": "error",
        "rtstt_type": "invalid_request_error",
        "rtstt_code": "invalid_model",
        "rtstt_message": message,
        "rtstt_param": None,
        "rtstt_close_code": 4000,
        "rtstt_close_reason": "invalid_request_error.invalid_model",
        "rtstt_status": None,
        "rtstt_cause": None,
        "rtstt_more": 0,
    }


@pytest.mark.parametrize(
    ("failure", "by_client", "line"),
    [
        (
            Failure("error", type="server_error", message="Sorry."),
            False,
            "rtstt_shim: realtime transcription error, the session stays open: the endpoint had an error of its own "
            "(server_error: Sorry.). Open a new session; retry with growing pauses.",
        ),
        (
            Failure("error", code="invalid_api_key"),
            True,
            "rtstt_shim: realtime transcription error, then the client closed the session: the API key was refused "
            "(invalid_api_key). Check the key, its project and its expiry "
            "(client secrets live 10 minutes unless told otherwise).",
        ),
        (
            Failure("failed", type="server_error", message="Input transcription failed for item 'item_1'."),
            False,
            "rtstt_shim: realtime transcription item failed: an item was not transcribed "
            "(server_error: Input transcription failed for item 'item_1'.). "
            "Its audio is lost to this session; send it again if it matters.",
        ),
        (
            Failure("close", close_code=1006),
            False,
            "rtstt_shim: realtime transcription session failed: the connection dropped without a close frame "
            "(closed 1006 without a close frame). Look for a proxy, a firewall or a network that cuts idle "
            "connections; open a new session.",
        ),
        (
            Failure("close", close_code=1011, close_reason=""),
            False,
            "rtstt_shim: realtime transcription session failed: the server met an error of its own (closed 1011). "
            "Open a new session; retry with growing pauses.",
        ),
        (
            Failure("handshake", status=403),
            False,
            "rtstt_shim: realtime transcription session failed: the handshake was refused: forbidden, or not a "
            "WebSocket path (HTTP 403). Check the URL's path (/v1/realtime) and the key's rights.",
        ),
        (
            Failure("connect", cause="dns", message="gaierror: [Errno -2] Name or service not known"),
            False,
            "rtstt_shim: realtime transcription session failed: the host name could not be resolved "
            "(gaierror: [Errno -2] Name or service not known). Check the host in the URL and the machine's DNS.",
        ),
        (
            Failure("error"),
            False,
            "rtstt_shim: realtime transcription error, the session stays open: the endpoint sent an error. "
            "Read its message; nothing more is known of this code.",
        ),
    ],
    ids=["server error", "closed by client", "failed item", "1006", "1011", "HTTP 403", "DNS", "bare error"],
)
def test_the_line_of_each_kind_of_failure(
    failure: Failure, by_client: bool, line: str, warnings_logged: Records
) -> None:
    report(OPENAI, failure, by_client=by_client)
    assert lines(warnings_logged) == [f"{line} [websockets 15.0.1, {URL}]"]


def test_a_gateway_is_advised_as_a_gateway(warnings_logged: Records) -> None:
    source = Source("aiohttp", "", "ws://localhost:4000/v1/realtime?model=whisper-1&intent=transcription")
    report(source, Failure("error", code="invalid_model", message="not supported in transcription mode"))
    assert "the gateway passed `model` on to OpenAI beside intent=transcription" in lines(warnings_logged)[0]
    assert lines(warnings_logged)[0].endswith(
        "[aiohttp, ws://localhost:4000/v1/realtime?model=whisper-1&intent=transcription]"
    )


def test_a_storm_is_logged_once_then_counted(warnings_logged: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(report_module, "monotonic", lambda: now)
    for attempt in range(5):
        report(OPENAI, Failure("error", type="server_error", message=f"Failed, request {attempt}."))
        now += 1
    assert len(warnings_logged) == 1
    now += 60
    report(OPENAI, Failure("error", type="server_error", message="Failed, request 6."))
    assert len(warnings_logged) == 2
    assert lines(warnings_logged)[1].endswith(f"[websockets 15.0.1, {URL}] (and 4 more like it)")
    assert vars(warnings_logged[1])["rtstt_more"] == 4


def test_different_failures_are_not_one_storm(warnings_logged: Records) -> None:
    report(OPENAI, Failure("close", close_code=1011))
    report(OPENAI, Failure("close", close_code=1006))
    report(Source("aiohttp", "3.9", URL), Failure("close", close_code=1006))
    report(OPENAI._replace(url="wss://eu.api.openai.com/v1/realtime"), Failure("close", close_code=1006))
    assert len(warnings_logged) == 4


def test_the_memory_of_storms_is_bounded(warnings_logged: Records) -> None:
    for place in range(report_module._STORMS_KEPT + 10):
        report(OPENAI, Failure("error", code=f"code{place}"))
    assert len(report_module._storms) == report_module._STORMS_KEPT


def test_the_session_stays_open_unless_the_client_is_known_to_have_closed_it(warnings_logged: Records) -> None:
    report(OPENAI, Failure("error", code="invalid_model"))
    [line] = lines(warnings_logged)
    assert line.startswith("rtstt_shim: realtime transcription error, the session stays open: ")


def test_a_storm_is_said_again_after_a_minute_to_the_second(
    warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now in (1000.0, 1059.9, 1060.0):
        monkeypatch.setattr(report_module, "monotonic", lambda now=now: now)
        report(OPENAI, Failure("close", close_code=1011))
    assert [vars(record)["rtstt_more"] for record in warnings_logged] == [0, 1]


def test_of_256_failures_the_first_is_still_known_and_of_257_it_is_not(warnings_logged: Records) -> None:
    for place in range(256):
        report(OPENAI, Failure("error", code=f"code{place}"))
    report(OPENAI, Failure("error", code="code0"))
    assert len(warnings_logged) == 256
    report(OPENAI, Failure("error", code="one more"))
    report(OPENAI, Failure("error", code="code0"))
    assert len(warnings_logged) == 258


def test_a_key_is_masked_in_the_line_and_in_the_fields(warnings_logged: Records) -> None:
    key = "sk-proj-0123456789"
    seen = Failure("error", type=key, code=key, message=f"no {key}", param=key, close_code=4000, close_reason=key)
    report(OPENAI._replace(url=f"{URL}&key={key}"), seen)
    [record] = warnings_logged
    fields = {name: value for name, value in vars(record).items() if name.startswith("rtstt_")}
    assert {name for name, value in fields.items() if value == "sk-***"} == {
        "rtstt_type",
        "rtstt_code",
        "rtstt_param",
        "rtstt_close_reason",
    }
    assert fields["rtstt_message"] == "no sk-***"
    assert fields["rtstt_url"] == f"{URL}&key=***"
    assert "(sk-***: no sk-***; closed 4000 sk-***)" in record.getMessage()


def test_what_is_uncounted_when_the_process_ends_says_how_many_there_were(warnings_logged: Records) -> None:
    for _ in range(3):
        report(OPENAI, Failure("close", close_code=1011))
    report(OPENAI, Failure("close", close_code=1006))
    report_module._tell_uncounted()
    assert [vars(record)["rtstt_more"] for record in warnings_logged] == [0, 0, 2]
    report_module._tell_uncounted()
    assert len(warnings_logged) == 3


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)


STORM = f"""
import logging, logging.config
from rtstt_core.diagnosis import Failure
from rtstt_core.report import Source, report
{{setup}}
for _ in range(3):
    report(Source("aiohttp", "3.9", "{URL}"), Failure("close", close_code=1011))
"""


def test_with_no_logging_configured_it_is_on_stderr_and_the_rest_of_a_storm_at_exit() -> None:
    result = run(STORM.format(setup=""))
    assert result.returncode == 0
    first, last = result.stderr.splitlines()
    assert first.startswith("rtstt_shim: realtime transcription session failed: the server met an error of its own")
    assert last == first + " (and 2 more like it)"


def test_a_logging_configuration_that_disables_existing_loggers_does_not_silence_it() -> None:
    setup = 'logging.config.dictConfig({"version": 1, "root": {"level": "WARNING"}})'
    assert "realtime transcription session failed" in run(STORM.format(setup=setup)).stderr


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_a_forked_child_reports_on_its_own_even_if_the_lock_was_held() -> None:
    code = f"""
import os
from rtstt_core import report
from rtstt_core.diagnosis import Failure
source = report.Source("aiohttp", "3.9", "{URL}")
report.report(source, Failure("close", close_code=1011))
with report._lock:
    child = os.fork()
    if child == 0:
        report.report(source, Failure("close", close_code=1011))
        os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    result = run(code)
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 2


def test_a_source_in_a_traceback_says_where_it_was_connected_to_and_no_secret() -> None:
    source = Source("websockets", "15.0.1", "wss://me:word@gateway.example/v1/realtime?key=abcd")
    assert repr(source) == "Source('websockets', '15.0.1', 'wss://***@gateway.example/v1/realtime?key=***')"
