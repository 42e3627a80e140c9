from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

import pytest

from rtstt_core import watch as watch_module
from rtstt_core.diagnosis import Symptom
from rtstt_core.report import ConnectionInfo
from rtstt_core.watch import Watch

INFO = ConnectionInfo("aiohttp", "3.9", "wss://api.openai.com/v1/realtime?intent=transcription")
ERROR = {"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_model", "message": "no"}}
WHOLE = Symptom("error", type="invalid_request_error", code="invalid_model", message="no")
TEXT, CONTINUATION, PING = 1, 0, 9


class Reported(list[tuple[Symptom, bool]]):
    """The reports; `came` is set by the first one."""

    def __init__(self) -> None:
        self.came = threading.Event()

    def __call__(self, info: ConnectionInfo, symptom: Symptom, *, by_client: bool = False) -> None:
        assert info is INFO
        self.append((symptom, by_client))
        self.came.set()


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Reported:
    reported = Reported()
    monkeypatch.setattr(watch_module, "report", reported)
    return reported


@pytest.fixture
def watch(reported: Reported) -> Watch:
    return Watch(INFO, lambda: True)


def event(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_an_error_and_the_close_after_it_are_one_report(watch: Watch, reported: Reported) -> None:
    watch.frame(TEXT, True, event(ERROR))
    assert reported == []
    watch.closed(4000, "invalid_request_error.invalid_model")
    closed = WHOLE._replace(close_code=4000, close_reason="invalid_request_error.invalid_model")
    assert reported == [(closed, False)]
    assert not watch_module._pending


def test_an_error_without_a_close_is_reported_after_half_a_second(
    watch: Watch, reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_CLOSE_WAIT_SECONDS", 0.01)
    watch.frame(TEXT, True, event(ERROR))
    assert reported.came.wait(10)
    assert reported == [(WHOLE, False)]
    watch.closed(1000, "")
    assert len(reported) == 1


def test_a_second_error_causes_the_first_to_be_reported(watch: Watch, reported: Reported) -> None:
    watch.message(json.dumps(ERROR))
    watch.message(json.dumps({"type": "error", "error": {"code": "invalid_json"}}))
    assert reported == [(WHOLE, False)]
    watch.closed(4000, "")
    assert [symptom.code for symptom, _ in reported] == ["invalid_model", "invalid_json"]


def test_the_report_of_an_error_tells_that_the_client_closed(watch: Watch, reported: Reported) -> None:
    watch.message(json.dumps(ERROR))
    watch.closed(1000, "", by_client=True)
    assert reported == [(WHOLE, True)]


def test_a_refusal_that_crosses_the_clients_own_close_is_still_a_refusal(watch: Watch, reported: Reported) -> None:
    watch.message(json.dumps(ERROR))
    watch.closed(4000, "r", by_client=True)
    assert reported == [(WHOLE._replace(close_code=4000, close_reason="r"), False)]


def test_a_failed_item_is_reported_at_once(watch: Watch, reported: Reported) -> None:
    watch.message(
        json.dumps(
            {
                "type": "conversation.item.input_audio_transcription.failed",
                "item_id": "item_1",
                "error": {"type": "server_error", "code": None, "message": "Input transcription failed", "param": None},
            }
        )
    )
    assert reported == [(Symptom("failed", type="server_error", message="Input transcription failed"), False)]


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1011, 3000, 4000])
def test_a_close_by_the_server_other_than_1000_is_reported_once(code: int, watch: Watch, reported: Reported) -> None:
    watch.closed(code, "why")
    watch.closed(code, "why")
    watch.lost()
    assert reported == [(Symptom("close", close_code=code, close_reason="why"), False)]


def test_an_ordinary_end_is_not_reported(reported: Reported) -> None:
    Watch(INFO, lambda: True).closed(1000, "")
    Watch(INFO, lambda: True).closed(1001, "", by_client=True)
    Watch(INFO, lambda: True).lost(by_client=True)
    assert reported == []


def test_a_dropped_connection_is_reported_as_1006(watch: Watch, reported: Reported) -> None:
    watch.lost()
    assert reported == [(Symptom("close", close_code=1006, close_reason=""), False)]


def test_a_refused_handshake_is_one_report(watch: Watch, reported: Reported) -> None:
    watch.refused(401, "who are you")
    watch.lost()
    assert reported == [(Symptom("handshake", status=401, message="who are you"), False)]


def test_a_redirect_is_no_failure(watch: Watch, reported: Reported) -> None:
    watch.refused(302)
    watch.lost()
    assert reported == []


def test_a_failure_to_connect_quotes_the_exception(watch: Watch, reported: Reported) -> None:
    watch.failed_to_connect(ConnectionRefusedError(111, "Connection refused"))
    watch.lost()
    assert reported == [
        (
            Symptom("connect", cause="refused", message="ConnectionRefusedError: [Errno 111] Connection refused"),
            False,
        )
    ]


def test_fragments_are_joined(watch: Watch, reported: Reported) -> None:
    data = event(ERROR)
    watch.frame(TEXT, False, data[:10])
    watch.frame(PING, True, b"")
    watch.frame(CONTINUATION, False, data[10:20])
    watch.frame(CONTINUATION, True, memoryview(data)[20:])
    watch.closed(4000, "")
    assert [symptom.code for symptom, _ in reported] == ["invalid_model"]


def test_a_fragmented_message_that_is_too_long_is_dropped(watch: Watch, reported: Reported) -> None:
    watch.frame(TEXT, False, b'"error"')
    for _ in range(100):
        watch.frame(CONTINUATION, False, b"x" * 1000)
    assert watch._fragments is None
    watch.frame(CONTINUATION, True, b"")
    watch.closed(1000, "")
    assert reported == []


@pytest.mark.parametrize(
    "data",
    [
        b'not json "error"',
        b'["error"]',
        b'{"type": "other", "error": 1}',
        b'{"type": "conversation.item.input_audio_transcription.delta", "delta": "an \\"error\\""}',
    ],
)
def test_other_messages_that_contain_the_word_error_are_ignored(data: bytes, watch: Watch, reported: Reported) -> None:
    watch.frame(TEXT, True, memoryview(data))
    watch.closed(1000, "")
    assert reported == []


def test_an_error_that_is_a_bare_string_or_missing(watch: Watch, reported: Reported) -> None:
    watch.message('{"type": "error", "error": "upstream said no"}')
    watch.message('{"type": "error", "x": "error", "error": null}')
    watch.closed(1000, "")
    assert [symptom.message for symptom, _ in reported] == ["upstream said no", None]


def test_once_switched_off_nothing_is_reported(reported: Reported) -> None:
    on = True
    watch = Watch(INFO, lambda: on)
    watch.message(json.dumps(ERROR))
    on = False
    watch.closed(4000, "")
    assert reported == []


def test_if_no_thread_can_start_the_error_is_reported_at_once(
    watch: Watch, reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot_start(timer: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, "start", cannot_start)
    watch.message(json.dumps(ERROR))
    assert reported == [(WHOLE, False)]


def test_a_pending_error_is_reported_when_the_process_exits() -> None:
    code = f"""
from rtstt_core.report import ConnectionInfo
from rtstt_core.watch import Watch
watch = Watch(ConnectionInfo("aiohttp", "3.9", "wss://api.openai.com/v1/realtime"), lambda: True)
watch.message({json.dumps(json.dumps(ERROR))})
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert result.stderr.count("realtime transcription error, the session stays open") == 1
