from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtstt_core import error_events
from rtstt_core import watch as watch_module
from rtstt_core.delay import Delay
from rtstt_core.diagnosis import Symptom
from rtstt_core.report import ConnectionInfo
from rtstt_core.url_rule import SessionType
from rtstt_core.watch import Watch

INFO = ConnectionInfo("aiohttp", "3.9", "wss://api.openai.com/v1/realtime?intent=transcription")
ERROR = {"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_model", "message": "no"}}
FAILED = {
    "type": "conversation.item.input_audio_transcription.failed",
    "item_id": "item_1",
    "error": {"type": "server_error", "code": None, "message": "Input transcription failed", "param": None},
}
WHOLE = Symptom("error", type="invalid_request_error", code="invalid_model", message="no")
FAILED_ITEM = Symptom("failed", type="server_error", message="Input transcription failed")
TEXT, CONTINUATION, PING = 1, 0, 9


class Reported(list[tuple[Symptom, bool]]):
    """The reports; `came` is set by the first one."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.counts: list[int] = []
        self.sessions: list[SessionType] = []

    def __call__(
        self, info: ConnectionInfo, symptom: Symptom, *, session: SessionType, by_client: bool = False, count: int = 1
    ) -> None:
        assert info is INFO
        self.append((symptom, by_client))
        self.counts.append(count)
        self.sessions.append(session)
        self.came.set()

    @property
    def symptoms(self) -> list[Symptom]:
        return [symptom for symptom, _ in self]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reported]:
    reported = Reported()
    monkeypatch.setattr(watch_module, "report", reported)
    yield reported
    # What is still pending belongs to this test.
    watch_module._CLOSE_WAIT.call_all()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait 10 ms for a close, not half a second."""
    monkeypatch.setattr(watch_module, "_CLOSE_WAIT", Delay(0.01))


@pytest.fixture
def watch(reported: Reported) -> Watch:
    return Watch(INFO, lambda: True)


@pytest.fixture
def conversation(reported: Reported) -> Watch:
    return Watch(INFO, lambda: True, "conversation")


def event(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_an_error_and_the_close_after_it_are_one_report(watch: Watch, reported: Reported) -> None:
    watch.frame(TEXT, True, event(ERROR))
    assert reported == []
    watch.closed(4000, "invalid_request_error.invalid_model")
    closed = WHOLE._replace(close_code=4000, close_reason="invalid_request_error.invalid_model")
    assert reported == [(closed, False)]


@pytest.mark.usefixtures("soon")
def test_an_error_without_a_close_is_reported_after_half_a_second(watch: Watch, reported: Reported) -> None:
    watch.frame(TEXT, True, event(ERROR))
    assert reported.came.wait(60)
    assert reported == [(WHOLE, False)]
    watch.closed(1000, "")
    assert len(reported) == 1


def test_only_the_newest_of_several_errors_is_the_one_that_ended_the_session(watch: Watch, reported: Reported) -> None:
    watch.message(json.dumps(ERROR))
    watch.message(json.dumps({"type": "error", "error": {"code": "invalid_json"}}))
    watch.closed(4000, "")
    assert reported.symptoms == [WHOLE, Symptom("error", code="invalid_json", close_code=4000, close_reason="")]


class ManualDelay(Delay):
    """Half a second that passes when a test says so."""

    def __init__(self) -> None:
        super().__init__(0.5)
        self.due: list[Callable[[], None]] = []
        self.now = 0.0

    def add(self, function: Callable[[], None]) -> bool:
        self.due.append(function)
        return True

    def call_all(self) -> None:
        while self.due:
            self.due.pop(0)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualDelay:
    delay = ManualDelay()
    monkeypatch.setattr(watch_module, "_CLOSE_WAIT", delay)
    for module in (watch_module, error_events):
        monkeypatch.setattr(module, "monotonic", lambda: delay.now)
    return delay


def test_an_error_that_came_just_before_the_others_are_reported_waits_for_its_own_close(
    clock: ManualDelay, watch: Watch, reported: Reported
) -> None:
    watch.message(event(ERROR))
    clock.now = 0.4
    watch.message(event({"type": "error", "error": {"code": "invalid_json"}}))
    clock.now = 0.5
    clock.due.pop()()
    assert reported.symptoms == [WHOLE]
    watch.closed(4000, "r")
    assert reported.symptoms == [WHOLE, Symptom("error", code="invalid_json", close_code=4000, close_reason="r")]


def test_an_error_that_repeats_is_one_report_with_a_count(watch: Watch, reported: Reported) -> None:
    for number in range(1000):
        watch.message(event({"event_id": f"event_{number}", **ERROR}))
    watch.closed(4000, "r")
    assert reported.symptoms == [WHOLE._replace(close_code=4000, close_reason="r")]
    assert reported.counts == [1000]


@pytest.mark.parametrize("encode", [str, str.encode], ids=["text", "bytes"])
def test_the_ids_of_events_do_not_make_an_error_another_one(
    encode: Callable[[str], Any], watch: Watch, reported: Reported
) -> None:
    text = '{"type":"error","event_id":"event_%d","error":{"code":"invalid_json","event_id":"mine_%d"}}'
    for number in range(3):
        watch.message(encode(text % (number, number)))
    watch.closed(1000, "", by_client=True)
    assert reported.counts == [3]


def test_different_errors_beyond_a_limit_are_counted(watch: Watch, reported: Reported) -> None:
    for number in range(1000):
        watch.message(event({"type": "error", "error": {"code": f"code{number}"}}))
    watch.closed(1000, "", by_client=True)
    assert [symptom.code for symptom in reported.symptoms] == [f"code{number}" for number in range(32)]
    assert sum(reported.counts) == 1000


def test_beyond_the_limit_only_errors_are_counted(watch: Watch, reported: Reported) -> None:
    for number in range(32):
        watch.message(event({"type": "error", "error": {"code": f"code{number}"}}))
    watch.message(event({"type": "response.done", "response": {"status_details": {"error": None}}}))
    watch.closed(1000, "", by_client=True)
    assert sum(reported.counts) == 32


@pytest.mark.parametrize(
    "form", [str, str.encode, lambda text: bytearray(text.encode())], ids=["text", "bytes", "array"]
)
def test_errors_that_alternate_are_counted_apart_though_they_are_of_one_length(
    form: Callable[[str], Any], watch: Watch, reported: Reported
) -> None:
    for number in range(300):
        error = {"code": f"code{number % 3}", "message": "m" * (number % 2), "event_id": f"{number:03}"}
        watch.message(form(json.dumps({"type": "error", "event_id": f"event_{number:03}", "error": error})))
    watch.closed(1000, "", by_client=True)
    kinds = [(symptom.code, symptom.message) for symptom in reported.symptoms]
    assert sorted(kinds) == [(f"code{number}", message) for number in range(3) for message in ("", "m")]
    assert reported.counts == [50] * 6


def test_an_error_that_comes_again_after_the_others_were_reported_is_still_counted(
    clock: ManualDelay, watch: Watch, reported: Reported
) -> None:
    watch.message(event({"type": "error", "error": {"code": "invalid_json"}}))
    clock.now = 0.4
    watch.message(event(ERROR))
    clock.now = 0.5
    clock.due.pop()()
    for _ in range(5):
        watch.message(event(ERROR))
    watch.closed(1000, "", by_client=True)
    assert reported.counts == [1, 6]


@pytest.mark.usefixtures("soon")
def test_errors_on_many_connections_need_one_thread(reported: Reported) -> None:
    before = threading.active_count()
    for _ in range(1000):
        Watch(INFO, lambda: True).message(event(ERROR))
    assert threading.active_count() <= before + 1


def test_an_error_that_came_before_is_not_parsed_again(
    watch: Watch, reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.message(event(ERROR))

    def parse(*args: Any) -> None:
        pytest.fail("parsed")

    with monkeypatch.context() as patched:
        patched.setattr(json, "loads", parse)
        watch.message(event(ERROR))


@pytest.mark.parametrize("session", ["transcription", "conversation"])
@pytest.mark.parametrize(
    "form", [str, str.encode, lambda text: bytearray(text.encode())], ids=["text", "bytes", "array"]
)
def test_a_message_of_16_megabytes_costs_what_one_of_a_kibibyte_does(
    session: SessionType, form: Callable[[str], Any], reported: Reported
) -> None:
    watch = Watch(INFO, lambda: True, session)
    small, large = (form(json.dumps({"type": "response.output_audio.delta", "delta": "A" * n})) for n in (2**10, 2**24))
    for receive in (watch.message, lambda data: watch.frame(TEXT, True, data)):
        # Copying or searching the whole message would take thousands of times as long.
        assert time_of(receive, large) < 50 * time_of(receive, small)


def time_of(call: Callable[[Any], None], data: Any) -> float:
    """Return the shortest CPU time of 100 calls in five rounds, in seconds."""
    return min(timeit.repeat(lambda: call(data), number=100, repeat=5, timer=time.thread_time))


def test_the_report_of_an_error_tells_that_the_client_closed(watch: Watch, reported: Reported) -> None:
    watch.message(json.dumps(ERROR))
    watch.closed(1000, "", by_client=True)
    assert reported == [(WHOLE, True)]


@pytest.mark.parametrize("code", [1013, 3000, 4000, 4004])
def test_a_refusal_that_crosses_the_clients_own_close_is_still_a_refusal(
    code: int, watch: Watch, reported: Reported
) -> None:
    watch.message(json.dumps(ERROR))
    watch.closed(code, "r", by_client=True)
    assert reported == [(WHOLE._replace(close_code=code, close_reason="r"), False)]


@pytest.mark.usefixtures("soon")
def test_a_failed_item_is_reported(watch: Watch, reported: Reported) -> None:
    watch.message(json.dumps(FAILED))
    assert reported.came.wait(60)
    assert reported == [(FAILED_ITEM, False)]


def test_a_failed_item_did_not_end_the_session(watch: Watch, reported: Reported) -> None:
    watch.message(json.dumps(FAILED))
    watch.closed(1011, "r")
    assert reported.symptoms == [FAILED_ITEM, Symptom("close", close_code=1011, close_reason="r")]


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
    assert [symptom.code for symptom in reported.symptoms] == ["invalid_model"]


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


@pytest.mark.parametrize(
    ("text", "symptom"),
    [
        ('{"type": "error", "error": "upstream said no"}', Symptom("error", message="upstream said no")),
        ('{"type": "error", "x": "error", "error": null}', Symptom("error")),
        (
            '{"type": "error", "error": "slow down", "code": "rate_limit_exceeded", "param": "x"}',
            Symptom("error", code="rate_limit_exceeded", message="slow down", param="x"),
        ),
        (
            '{"type": "error", "code": "invalid_api_key", "message": "no"}',
            Symptom("error", code="invalid_api_key", message="no"),
        ),
    ],
)
def test_an_error_that_is_no_object(text: str, symptom: Symptom, watch: Watch, reported: Reported) -> None:
    watch.message(text)
    watch.closed(1000, "", by_client=True)
    assert reported.symptoms == [symptom]


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
    def cannot_start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(watch_module, "_CLOSE_WAIT", Delay(0.5))
    monkeypatch.setattr(threading.Thread, "start", cannot_start)
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


# -- conversation sessions


@pytest.mark.parametrize(
    "error",
    [
        {
            "code": "invalid_parameter",
            "message": "Passing a transcription session update to a realtime session is not …",
        },
        {
            "code": "invalid_value",
            "param": "type",
            "message": "Invalid value: 'transcription_session.update'. Supported",
        },
        {"code": "invalid_value", "param": "session.audio.input.transcription.model"},
        {"code": "invalid_value", "param": "session.audio.input.transcription"},
        {"code": "invalid_value", "param": "session.audio.input.turn_detection.threshold"},
        {"code": "unknown_parameter", "param": "session.input_audio_transcription"},
    ],
)
def test_an_error_that_concerns_transcription_is_reported_of_a_conversation(
    error: dict[str, str], conversation: Watch, reported: Reported
) -> None:
    conversation.message(event({"type": "error", "error": error}))
    conversation.closed(1000, "", by_client=True)
    assert [symptom.code for symptom in reported.symptoms] == [error["code"]]
    assert reported.sessions == ["conversation"]


@pytest.mark.parametrize(
    "error",
    [
        {"code": "invalid_value", "param": "session.audio.output.voice"},
        {"code": "response_cancel_not_active", "message": "Cancellation failed: no active response found"},
        {"code": "conversation_already_has_active_response"},
        {"type": "server_error", "message": "The server had an error while processing your request."},
    ],
)
@pytest.mark.parametrize("close", [None, (1000, True), (1001, False), (1006, False), (1011, False)])
def test_what_does_not_concern_transcription_is_not_reported_of_a_conversation(
    error: dict[str, str], close: tuple[int, bool] | None, conversation: Watch, reported: Reported
) -> None:
    conversation.message(event({"type": "error", "error": error}))
    if close is None:
        conversation._flush()
    else:
        conversation.closed(close[0], "", by_client=close[1])
    assert reported == []


@pytest.mark.parametrize("code", [1013, 3000, 4000, 4004])
@pytest.mark.parametrize("with_error", [True, False])
def test_the_refusal_of_a_conversation_is_reported(
    code: int, with_error: bool, conversation: Watch, reported: Reported
) -> None:
    if with_error:
        conversation.message(event(ERROR))
    conversation.closed(code, "r")
    expected = WHOLE if with_error else Symptom("close")
    assert reported.symptoms == [expected._replace(close_code=code, close_reason="r")]


def test_a_conversation_that_cannot_be_opened_is_reported(reported: Reported) -> None:
    Watch(INFO, lambda: True, "conversation").refused(403, "no")
    Watch(INFO, lambda: True, "conversation").failed_to_connect(TimeoutError())
    assert [symptom.kind for symptom in reported.symptoms] == ["handshake", "connect"]


def test_a_failed_item_of_a_conversation_is_reported(conversation: Watch, reported: Reported) -> None:
    conversation.message(event(FAILED))
    conversation.closed(1000, "")
    assert reported.symptoms == [FAILED_ITEM]


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1011])
def test_another_end_of_a_conversation_is_not_reported(code: int, conversation: Watch, reported: Reported) -> None:
    conversation.closed(code, "")
    assert reported == []


def test_a_session_that_turns_out_to_be_a_conversation_is_watched_as_one(watch: Watch, reported: Reported) -> None:
    watch.message(event({"type": "session.created", "session": {"type": "realtime"}}))
    assert not watch.wants_sent
    watch.closed(1011, "")
    assert reported == []


# -- sessions without a transcript


CREATED = {
    "type": "session.created",
    "session": {
        "type": "transcription",
        "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad"}}},
    },
}
APPEND = '{"type":"input_audio_buffer.append","audio":"c29tZXRoaW5nIGF1ZGlibGU="}'


def test_a_session_in_which_no_transcript_came_is_reported_at_its_end(watch: Watch, reported: Reported) -> None:
    watch.message(event(CREATED))
    watch.sent(APPEND)
    assert reported == []
    watch.closed(1000, "", by_client=True)
    assert reported.symptoms == [Symptom("silent", cause="no-speech")]


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"conversation.item.input_audio_transcription.delta","delta":"x"}',
        '{"type":"conversation.item.input_audio_transcription.completed","transcript":"x"}',
        '{"event_id": "event_1", "type": "conversation.item.input_audio_transcription.delta"}',
    ],
)
def test_a_session_with_a_transcript_is_not(message: str, watch: Watch, reported: Reported) -> None:
    watch.message(event(CREATED))
    watch.sent(APPEND)
    assert watch.wants_sent
    watch.message(message.encode())
    assert not watch.wants_sent
    watch.closed(1000, "", by_client=True)
    assert reported == []


def test_an_error_is_the_reason_for_no_transcript(watch: Watch, reported: Reported) -> None:
    watch.sent(APPEND)
    watch.message(event(ERROR))
    watch.closed(1000, "", by_client=True)
    assert reported.symptoms == [WHOLE]


def test_the_messages_of_a_conversations_client_are_not_examined(conversation: Watch, reported: Reported) -> None:
    assert not conversation.wants_sent
    conversation.sent(APPEND)
    conversation.closed(1000, "")
    assert reported == []
