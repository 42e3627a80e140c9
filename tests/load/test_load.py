"""One session of a load test, against the mock."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from rtstt_testkit import Failure, Fault, ThreadedRealtimeServer, load, speech
from rtstt_testkit.load import CONNECT, FINAL, FIRST_DELTA, NoTranscript, SessionEnded, speak

TEXT = "One two."
HALF_A_SECOND = speech.Recording("half a second", TEXT, speech.load("hello").pcm[:24000])
KEY = {"Authorization": "Bearer sk-of-a-test"}
INTENT = "?intent=transcription"


def call(url: str, query: str = INTENT, **options: Any) -> list[tuple[str, float, str, Any]]:
    """Return the waits that one session reports."""
    waits: list[tuple[str, float, str, Any]] = []
    speak(url + query, HALF_A_SECOND, lambda *wait: waits.append(wait), headers=options.pop("headers", KEY), **options)
    return waits


def test_each_wait_is_reported_with_its_text() -> None:
    with ThreadedRealtimeServer(transcripts=[TEXT]) as server:
        waits = call(server.url)
    assert [(name, text, error) for name, _, text, error in waits] == [
        (CONNECT, "", None),
        (FIRST_DELTA, "One", None),
        (FINAL, TEXT, None),
    ]
    assert waits[1][1] >= 0.5  # counted from the first sound: the text comes after the last one
    assert waits[2][1] > 0


def test_the_audio_comes_in_real_time_and_whole() -> None:
    with ThreadedRealtimeServer(transcripts=[TEXT]) as server:
        call(server.url)
        [session] = server.sessions
    assert session.audio.startswith(HALF_A_SECOND.pcm)
    ended = next(event.at for event in session.events if event.type == "input_audio_buffer.speech_stopped")
    assert ended >= 0.5


def test_a_model_without_turn_detection_is_committed_at_the_end_of_the_audio() -> None:
    with ThreadedRealtimeServer(transcripts=[TEXT]) as server:
        waits = call(server.url, model="gpt-live-transcribe")
        [session] = server.sessions
    assert [name for name, *_ in waits] == [CONNECT, FIRST_DELTA, FINAL]
    assert waits[2][2] == TEXT
    assert "input_audio_buffer.commit" in [event["type"] for event in session.received]
    assert len(session.audio) == len(HALF_A_SECOND.pcm)


def test_a_client_that_is_late_reads_what_was_sent_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a frame may be due before the last one was sent."""
    monkeypatch.setattr(load, "time", SimpleNamespace(perf_counter=lambda: 1000 * time.perf_counter()))
    with ThreadedRealtimeServer(transcripts=[TEXT]) as server:
        waits = call(server.url, timeout=60_000.0)
    assert [name for name, *_ in waits] == [CONNECT, FIRST_DELTA, FINAL]


def test_turn_detection_is_the_callers_to_choose() -> None:
    with ThreadedRealtimeServer(transcripts=[TEXT]) as server:
        call(server.url, turn_detection={"type": "server_vad", "silence_duration_ms": 400})
        [session] = server.sessions
    assert session.session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 400


def refusal(url: str, query: str = INTENT, **options: Any) -> tuple[str, Any]:
    """Return the last wait, which ended with an error, and the error."""
    *_, (name, _, text, error) = call(url, query, **options)
    assert text == ""
    return name, error


def test_a_refused_session_is_reported_with_the_endpoints_code() -> None:
    with ThreadedRealtimeServer() as server:
        name, error = refusal(server.url, INTENT + "&model=whisper-1")
    assert name == CONNECT
    assert isinstance(error, SessionEnded)
    assert str(error) == 'invalid_model: Model "whisper-1" is not supported in transcription mode.'


def test_a_refused_handshake_is_reported_with_its_status() -> None:
    with ThreadedRealtimeServer(faults=[Fault("http", on="connect", code=429)]) as server:
        name, error = refusal(server.url)
    assert (name, type(error), str(error)) == (CONNECT, SessionEnded, "HTTP 429")


def test_a_closed_port_is_a_failure_too(refusing_port: int) -> None:
    name, error = refusal(f"ws://127.0.0.1:{refusing_port}/v1/realtime")
    assert (name, type(error)) == (CONNECT, SessionEnded)
    assert re.match("ConnectionRefusedError: ", str(error))


@pytest.mark.parametrize(
    ("fault", "waiting_for", "message"),
    [
        (Fault("close", before="speech_started", code=1011, reason="busy"), {FIRST_DELTA}, "closed 1011 busy"),
        # A reset may overtake the deltas that were sent before it.
        (Fault("reset", before="completed"), {FIRST_DELTA, FINAL}, "connection lost"),
    ],
    ids=["a close", "a reset"],
)
def test_a_dropped_session_is_a_failure_of_what_was_waited_for(
    fault: Fault, waiting_for: set[str], message: str
) -> None:
    with ThreadedRealtimeServer(transcripts=[TEXT], faults=[fault], strict=False) as server:
        name, error = refusal(server.url)
    assert name in waiting_for
    assert (type(error), str(error)) == (SessionEnded, message)


def test_a_failed_transcription_is_a_failure() -> None:
    with ThreadedRealtimeServer(transcripts=[Failure(message="No.", code="overloaded")]) as server:
        name, error = refusal(server.url)
    assert (name, type(error), str(error)) == (FIRST_DELTA, NoTranscript, "overloaded: No.")


def test_a_transcript_that_never_comes_is_a_failure_in_the_end() -> None:
    faults = [Fault("drop", on="delta", nth=None), Fault("drop", on="completed")]
    with ThreadedRealtimeServer(transcripts=[TEXT], faults=faults, strict=False) as server:
        name, error = refusal(server.url, timeout=3.0)
    assert (name, type(error), str(error)) == (
        FIRST_DELTA,
        NoTranscript,
        "no conversation.item.input_audio_transcription.delta within 3 s of the last sound",
    )


def test_a_session_that_is_never_created_names_the_missing_event(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = load.connect
    monkeypatch.setattr(load, "connect", lambda *words, **options: connect(*words, **{**options, "open_timeout": 60}))
    with ThreadedRealtimeServer(faults=[Fault("drop", on="session.created")], strict=False) as server:
        name, error = refusal(server.url, timeout=1.0)
    assert (name, type(error), str(error)) == (CONNECT, SessionEnded, "no session.created within 1 s")


def test_a_conversation_is_transcribed_and_never_answers() -> None:
    with ThreadedRealtimeServer(transcripts=[TEXT]) as server:
        waits = call(server.url, "?model=gpt-realtime", conversation=True)
        [session] = server.sessions
    assert [name for name, *_ in waits] == [CONNECT, FIRST_DELTA, FINAL]
    assert waits[2][2] == TEXT
    assert session.session["type"] == "realtime"
    assert not [event.type for event in session.events if event.type.startswith("response.")]
