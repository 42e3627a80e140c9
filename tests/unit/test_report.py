from __future__ import annotations

import logging
import subprocess
import sys
import threading

import pytest

from rtstt_core import report as report_module
from rtstt_core.diagnosis import Symptom
from rtstt_core.report import ConnectionInfo, report

URL = "wss://api.openai.com/v1/realtime?intent=transcription"
OPENAI = ConnectionInfo("websockets", "15.0.1", URL)
Records = list[logging.LogRecord]


def lines(records: Records) -> list[str]:
    return [record.getMessage() for record in records]


def test_a_refusal_is_one_line_with_what_happened_and_what_to_do(warnings_logged: Records) -> None:
    message = 'Model "gpt-4o-mini-transcribe" is not supported in transcription mode.'
    report(
        OPENAI,
        Symptom(
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
        "rtstt_session": "transcription",
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
    ("symptom", "by_client", "line"),
    [
        (
            Symptom("error", type="server_error", message="Sorry."),
            False,
            "rtstt_shim: realtime transcription error, the session stays open: the endpoint had an internal error "
            "(server_error: Sorry.). Open a new session; retry with exponential backoff.",
        ),
        (
            Symptom("error", code="invalid_api_key"),
            True,
            "rtstt_shim: realtime transcription error, then the client closed the session: the API key was refused "
            "(invalid_api_key). Check the key, its project and its expiry "
            "(a client secret expires after 10 minutes by default).",
        ),
        (
            Symptom("failed", type="server_error", message="Input transcription failed for item 'item_1'."),
            False,
            "rtstt_shim: realtime transcription item failed: an item was not transcribed "
            "(server_error: Input transcription failed for item 'item_1'.). "
            "If every item fails, check that the key's project may use the transcription model and, on Azure, that it "
            "is deployed; a single item's audio has to be sent again.",
        ),
        (
            Symptom("close", close_code=1006),
            False,
            "rtstt_shim: realtime transcription session failed: the connection dropped without a close frame "
            "(closed 1006 without a close frame). Look for a proxy, a firewall or a network that cuts idle "
            "connections; open a new session.",
        ),
        (
            Symptom("close", close_code=1011, close_reason=""),
            False,
            "rtstt_shim: realtime transcription session failed: the server had an internal error (closed 1011). "
            "Open a new session; retry with exponential backoff.",
        ),
        (
            Symptom("handshake", status=403),
            False,
            "rtstt_shim: realtime transcription session failed: the server refused the handshake: forbidden, or "
            "not a WebSocket path (HTTP 403). Check the URL's path (/v1/realtime) and the key's permissions.",
        ),
        (
            Symptom("connect", cause="dns", message="gaierror: [Errno -2] Name or service not known"),
            False,
            "rtstt_shim: realtime transcription session failed: the host name could not be resolved "
            "(gaierror: [Errno -2] Name or service not known). Check the host in the URL and the machine's DNS.",
        ),
        (
            Symptom("error"),
            False,
            "rtstt_shim: realtime transcription error, the session stays open: the endpoint sent an error. "
            "Follow its message; the shim has no advice for this code.",
        ),
    ],
    ids=["server error", "closed by client", "failed item", "1006", "1011", "HTTP 403", "DNS", "bare error"],
)
def test_the_line_of_each_kind_of_failure(
    symptom: Symptom, by_client: bool, line: str, warnings_logged: Records
) -> None:
    report(OPENAI, symptom, by_client=by_client)
    assert lines(warnings_logged) == [f"{line} [websockets 15.0.1, {URL}]"]


def test_a_gateway_is_advised_as_a_gateway(warnings_logged: Records) -> None:
    info = ConnectionInfo("aiohttp", "", "ws://localhost:4000/v1/realtime?model=whisper-1&intent=transcription", False)
    report(info, Symptom("error", code="invalid_model", message="not supported in transcription mode"))
    assert "the gateway passed `model` on to OpenAI beside intent=transcription" in lines(warnings_logged)[0]
    assert lines(warnings_logged)[0].endswith(
        "[aiohttp, ws://localhost:4000/v1/realtime?model=whisper-1&intent=transcription]"
    )


def test_a_failure_that_repeats_is_logged_once_then_counted(
    warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(report_module, "monotonic", lambda: now)
    for attempt in range(5):
        report(OPENAI, Symptom("error", type="server_error", message=f"Failed, request {attempt}."))
        now += 1
    assert len(warnings_logged) == 1
    now += 60
    report(OPENAI, Symptom("error", type="server_error", message="Failed, request 6."))
    assert len(warnings_logged) == 2
    assert lines(warnings_logged)[1].endswith(f"[websockets 15.0.1, {URL}] (and 4 more like it)")
    assert vars(warnings_logged[1])["rtstt_more"] == 4


def test_different_failures_are_logged_separately(warnings_logged: Records) -> None:
    report(OPENAI, Symptom("close", close_code=1011))
    report(OPENAI, Symptom("close", close_code=1006))
    report(ConnectionInfo("aiohttp", "3.9", URL), Symptom("close", close_code=1006))
    report(OPENAI._replace(url="wss://eu.api.openai.com/v1/realtime"), Symptom("close", close_code=1006))
    assert len(warnings_logged) == 4


def test_the_number_of_failures_remembered_is_bounded(warnings_logged: Records) -> None:
    for place in range(report_module._MAX_REPORTED + 10):
        report(OPENAI, Symptom("error", code=f"code{place}"))
    assert len(report_module._reported) == report_module._MAX_REPORTED


def test_the_session_stays_open_unless_the_client_is_known_to_have_closed_it(warnings_logged: Records) -> None:
    report(OPENAI, Symptom("error", code="invalid_model"))
    [line] = lines(warnings_logged)
    assert line.startswith("rtstt_shim: realtime transcription error, the session stays open: ")


def test_a_failure_that_repeats_is_logged_again_after_exactly_a_minute(
    warnings_logged: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now in (1000.0, 1059.9, 1060.0):
        monkeypatch.setattr(report_module, "monotonic", lambda now=now: now)
        report(OPENAI, Symptom("close", close_code=1011))
    assert [vars(record)["rtstt_more"] for record in warnings_logged] == [0, 1]


def test_the_oldest_of_256_failures_is_still_remembered_and_of_257_it_is_not(warnings_logged: Records) -> None:
    for place in range(256):
        report(OPENAI, Symptom("error", code=f"code{place}"))
    report(OPENAI, Symptom("error", code="code0"))
    assert len(warnings_logged) == 256
    report(OPENAI, Symptom("error", code="one more"))
    report(OPENAI, Symptom("error", code="code0"))
    assert len(warnings_logged) == 258


def test_a_key_is_masked_in_the_line_and_in_the_fields(warnings_logged: Records) -> None:
    key = "sk-proj-0123456789"
    seen = Symptom("error", type=key, code=key, message=f"no {key}", param=key, close_code=4000, close_reason=key)
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


def test_remaining_counts_are_logged_when_the_process_exits(warnings_logged: Records) -> None:
    for _ in range(3):
        report(OPENAI, Symptom("close", close_code=1011))
    report(OPENAI, Symptom("close", close_code=1006))
    report_module._log_remaining_counts()
    assert [vars(record)["rtstt_more"] for record in warnings_logged] == [0, 0, 2]
    report_module._log_remaining_counts()
    assert len(warnings_logged) == 3


def test_a_symptom_that_occurred_several_times_counts_as_often(warnings_logged: Records) -> None:
    report(OPENAI, Symptom("close", close_code=1011), count=3)
    report(OPENAI, Symptom("close", close_code=1011), count=4)
    report_module._log_remaining_counts()
    assert [vars(record)["rtstt_more"] for record in warnings_logged] == [0, 6]


def test_the_failure_of_a_conversation_is_called_one(warnings_logged: Records) -> None:
    report(OPENAI, Symptom("close", close_code=3000), session="conversation")
    [record] = warnings_logged
    assert record.getMessage().startswith("rtstt_shim: realtime conversation session failed: the endpoint refused the")
    assert vars(record)["rtstt_session"] == "conversation"


def test_a_session_without_a_transcript_is_logged_at_level_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="rtstt_shim")
    for _ in range(2):
        report(OPENAI, Symptom("silent", cause="not-committed"))
    report_module._log_remaining_counts()
    line = (
        "rtstt_shim: realtime transcription session ended without a transcript: turn detection is off and the audio "
        "was never committed. Send input_audio_buffer.commit at the end of each utterance, or set "
        f"session.audio.input.turn_detection. [websockets 15.0.1, {URL}]"
    )
    records = [record for record in caplog.records if record.name == "rtstt_shim"]
    assert lines(records) == [line, f"{line} (and 1 more like it)"]
    assert {record.levelno for record in records} == {logging.INFO}


def test_an_exception_of_a_logging_handler_does_not_reach_the_client(warnings_logged: Records) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ValueError("broken")

    handler = Broken()
    logging.getLogger("rtstt_shim").addHandler(handler)
    try:
        report(OPENAI, Symptom("close", close_code=1011))
    finally:
        logging.getLogger("rtstt_shim").removeHandler(handler)


def test_a_handler_may_report_a_failure_itself(warnings_logged: Records) -> None:
    class Nested(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # In another thread, which would wait for a lock that this one holds.
            thread = threading.Thread(target=lambda: report(OPENAI, Symptom("close", close_code=1006)))
            thread.start()
            thread.join(60)
            assert not thread.is_alive()

    handler = Nested(logging.WARNING)
    logging.getLogger("rtstt_shim").addHandler(handler)
    try:
        report(OPENAI, Symptom("close", close_code=1011))
    finally:
        logging.getLogger("rtstt_shim").removeHandler(handler)
    assert [vars(record)["rtstt_close_code"] for record in warnings_logged] == [1011, 1006]


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)


REPEATED = f"""
import logging, logging.config
from rtstt_core.diagnosis import Symptom
from rtstt_core.report import ConnectionInfo, report
{{setup}}
for _ in range(3):
    report(ConnectionInfo("aiohttp", "3.9", "{URL}"), Symptom("close", close_code=1011))
"""


def test_without_logging_configured_the_line_goes_to_stderr_and_the_count_follows_at_exit() -> None:
    result = run(REPEATED.format(setup=""))
    assert result.returncode == 0
    first, last = result.stderr.splitlines()
    assert first.startswith("rtstt_shim: realtime transcription session failed: the server had an internal error")
    assert last == first + " (and 2 more like it)"


def test_a_logging_configuration_that_disables_existing_loggers_does_not_silence_it() -> None:
    setup = 'logging.config.dictConfig({"version": 1, "root": {"level": "WARNING"}})'
    assert "realtime transcription session failed" in run(REPEATED.format(setup=setup)).stderr


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_a_forked_child_reports_on_its_own_even_if_the_lock_was_held() -> None:
    code = f"""
import os
from rtstt_core import report
from rtstt_core.diagnosis import Symptom
info = report.ConnectionInfo("aiohttp", "3.9", "{URL}")
report.report(info, Symptom("close", close_code=1011))
with report._lock:
    child = os.fork()
    if child == 0:
        report.report(info, Symptom("close", close_code=1011))
        os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    result = run(code)
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 2


def test_the_repr_of_a_connection_shows_its_url_without_secrets() -> None:
    info = ConnectionInfo("websockets", "15.0.1", "wss://me:word@gateway.example/v1/realtime?key=abcd")
    assert repr(info) == "ConnectionInfo('websockets', '15.0.1', 'wss://***@gateway.example/v1/realtime?key=***')"
