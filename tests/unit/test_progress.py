from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rtstt_core.progress import Progress, Silence

SOUND = base64.b64encode(bytes(2400) + b"\x10\x00" + bytes(2400)).decode()
ZEROS = base64.b64encode(bytes(4800)).decode()
COMMIT = {"type": "input_audio_buffer.commit"}
COMMITTED = {"type": "input_audio_buffer.committed"}
SPEECH = {"type": "input_audio_buffer.speech_started"}
VAD = {"type": "server_vad"}


def append(audio: str = SOUND) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": audio}


def session(name: str = "created", **settings: Any) -> dict[str, Any]:
    return {"type": f"session.{name}", "session": {"type": "transcription", "audio": {"input": settings}}}


def progress(sent: list[Any], received: list[Any]) -> Progress:
    progress = Progress()
    for event in received:
        text = json.dumps(event)
        progress.received(text[:512].encode(), text)
    for event in sent:
        progress.sent(json.dumps(event))
    return progress


READY = session("updated", transcription={"model": "whisper-1"}, turn_detection=VAD)
MANUAL = session("updated", transcription={"model": "whisper-1"}, turn_detection=None)


@pytest.mark.parametrize(
    ("sent", "received", "silence"),
    [
        ([], [READY], None),
        ([COMMIT], [READY], None),
        ([append()], [session(transcription=None, turn_detection=VAD)], "not-configured"),
        ([append()], [session(transcription=None), READY, SPEECH, COMMITTED], "pending"),
        ([append(ZEROS)], [READY], "silence"),
        ([append(ZEROS), append()], [READY], "no-speech"),
        ([append()], [READY], "no-speech"),
        ([append()], [READY, SPEECH], "other"),
        ([append()], [MANUAL], "not-committed"),
        ([append(), COMMIT], [MANUAL], "other"),
        ([append(), COMMIT], [MANUAL, COMMITTED], "pending"),
        # A gateway that leaves the settings out.
        ([append()], [], "other"),
        ([append()], [{"type": "session.created", "session": None}], "other"),
        ([append()], [{"type": "session.created"}], "other"),
        # The beta API's settings.
        (
            [append()],
            [{"type": "transcription_session.created", "session": {"input_audio_transcription": None}}],
            "not-configured",
        ),
        (
            [append()],
            [
                {
                    "type": "transcription_session.updated",
                    "session": {"input_audio_transcription": {"model": "whisper-1"}, "turn_detection": None},
                }
            ],
            "not-committed",
        ),
    ],
)
def test_why_no_transcript_came(sent: list[Any], received: list[Any], silence: Silence | None) -> None:
    assert progress(sent, received).silence() == silence


@pytest.mark.parametrize(
    ("audio", "silence"),
    [
        (ZEROS, "silence"),
        (base64.b64encode(bytes(160)).decode(), "silence"),
        (base64.b64encode(b"\xff" * 160).decode(), "silence"),  # µ-law
        (base64.b64encode(bytes(4800) + b"\x01").decode(), "silence"),
        (base64.b64encode(bytes(48_000) + b"\x10\x00" * 10).decode(), "no-speech"),
        (SOUND, "no-speech"),
        ("", "silence"),
    ],
)
def test_audio_whose_samples_are_all_zero(audio: str, silence: Silence) -> None:
    assert progress([append(audio)], [READY]).silence() == silence


def test_the_type_may_stand_at_the_end_and_the_message_may_be_bytes() -> None:
    one = Progress()
    one.sent(json.dumps({"audio": SOUND, "type": "input_audio_buffer.append"}).encode())
    assert one.silence() == "other"


def test_it_wants_the_clients_messages_until_audio_and_a_commit_were_sent() -> None:
    one = Progress()
    assert one.wants_sent
    one.sent(json.dumps(append()))
    assert one.wants_sent
    one.sent(json.dumps(COMMIT))
    assert not one.wants_sent


def test_a_conversation_is_recognised_by_its_first_event() -> None:
    one = Progress()
    text = json.dumps({"type": "session.created", "session": {"type": "realtime"}})
    assert one.received(text.encode(), text)
    assert one.is_conversation
