"""Every symptom of the vectors on its real path: a server causes it, a client library sees it, a line is logged."""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from endpoint import listening, serving
from websockets.frames import Frame, Opcode
from websockets.sync import client
from websockets.sync.server import ServerConnection

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "diagnosis.json").read_text(encoding="utf-8"))["cases"]
FAILED = "conversation.item.input_audio_transcription.failed"
PATH = "/v1/realtime?intent=transcription"


def play(symptom: dict[str, Any], connection: ServerConnection) -> None:
    """Do to a client what a symptom describes."""
    if symptom["kind"] in ("error", "failed"):
        error = {name: symptom.get(name) for name in ("type", "code", "message", "param")}
        event = {"type": "error" if symptom["kind"] == "error" else FAILED, "event_id": "event_1", "error": error}
        connection.send(json.dumps(event))
    if symptom["kind"] == "failed":
        # The item failed; the session ends well.
        connection.close(1000)
    elif symptom.get("close_code") == 1006:
        connection.socket.shutdown(socket.SHUT_RDWR)
    elif "close_code" in symptom:
        code = symptom["close_code"]
        payload = b"" if code == 1005 else struct.pack("!H", code) + symptom.get("close_reason", "").encode()
        connection.socket.sendall(Frame(Opcode.CLOSE, payload).serialize(mask=False))
    with suppress(Exception):
        connection.recv()


@contextmanager
def causing(symptom: dict[str, Any], refusing_port: int) -> Iterator[str]:
    """Serve a symptom; yield the URL to connect to."""
    with ExitStack() as stack:
        if symptom["kind"] == "handshake":
            body = symptom.get("message", "").encode()
            head = f"HTTP/1.1 {symptom['status']} X\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            yield f"ws://127.0.0.1:{stack.enter_context(listening(head + body))}{PATH}"
        elif symptom["kind"] == "connect":
            answer = {
                "tls": b"HTTP/1.1 400 no TLS\r\n\r\n",
                "timeout": None,
                "hang-up": b"",
                "other": b"nonsense\r\n\r\n",
            }
            cause = symptom["cause"]
            if cause == "dns":
                yield f"ws://nowhere.invalid{PATH}"
            elif cause == "refused":
                yield f"ws://127.0.0.1:{refusing_port}{PATH}"
            else:
                scheme = "wss" if cause == "tls" else "ws"
                yield f"{scheme}://127.0.0.1:{stack.enter_context(listening(answer[cause]))}{PATH}"
        else:
            endpoint = stack.enter_context(serving(lambda connection: play(symptom, connection)))
            yield f"ws://127.0.0.1:{endpoint.port}{PATH}"


def talk(url: str, *, open_timeout: float, leave: bool) -> None:
    """Read until the connection ends; or leave after the first message."""
    with suppress(Exception), client.connect(url, open_timeout=open_timeout, close_timeout=60) as connection:
        for _ in connection:
            if leave:
                break


def unknown_name(*args: Any, **kwargs: Any) -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


REAL = [case for case in CASES if case["symptom"]["kind"] != "silent"]


@pytest.mark.parametrize("case", REAL, ids=[f"{case['row']}-{place}" for place, case in enumerate(REAL)])
def test_a_symptom_gets_its_line(
    case: dict[str, Any],
    shim: None,
    warnings_logged: list[logging.LogRecord],
    refusing_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    symptom = case["symptom"]
    if symptom.get("native", True):
        monkeypatch.setenv("RTSTT_SHIM_HOSTS", "127.0.0.1,nowhere.invalid")
    if symptom.get("cause") == "dns":  # without asking the name servers of this machine
        monkeypatch.setattr(socket, "getaddrinfo", unknown_name)
    with causing(symptom, refusing_port) as url:
        talk(
            url,
            # Only a server that never answers is worth not waiting for.
            open_timeout=0.3 if symptom.get("cause") == "timeout" else 60,
            leave=symptom["kind"] == "error" and "close_code" not in symptom,
        )
    [record] = warnings_logged
    assert vars(record)["rtstt_diagnosis"] == case["row"]
    what, _, do = case["text"].partition(". ")
    line = record.getMessage()
    assert f": {what}" in line
    assert f". {do} [websockets " in line


# -- sessions that end well, with neither a transcript nor an error

VAD = {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad"}}
MANUAL = {"transcription": {"model": "whisper-1"}, "turn_detection": None}
SOUND, ZEROS = "c29tZXRoaW5nIGF1ZGlibGU=", "A" * 400
SPEECH, COMMITTED = "input_audio_buffer.speech_started", "input_audio_buffer.committed"
APPEND, COMMIT = "input_audio_buffer.append", "input_audio_buffer.commit"

# The settings of the session, what the client sends, and what the server answers.
SILENCES: dict[str, tuple[dict[str, Any], list[tuple[str, str]], list[str]]] = {
    "not-configured": ({"transcription": None}, [(APPEND, SOUND)], []),
    "silence": (VAD, [(APPEND, ZEROS)], []),
    "not-committed": (MANUAL, [(APPEND, SOUND)], []),
    "no-speech": (VAD, [(APPEND, SOUND)], []),
    "pending": (VAD, [(APPEND, SOUND)], [SPEECH, COMMITTED]),
    "other": (VAD, [(APPEND, SOUND), (COMMIT, "")], [SPEECH]),
}
SILENT = {case["symptom"]["cause"]: case for case in CASES if case["symptom"]["kind"] == "silent"}


@pytest.mark.parametrize("cause", SILENT)
def test_a_session_without_a_transcript_gets_its_line(cause: str, shim: None, caplog: pytest.LogCaptureFixture) -> None:
    settings, sent, answered = SILENCES[cause]
    session = {"type": "transcription", "audio": {"input": settings}}

    def serve(connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "session.created", "session": session}))
        for _ in sent:
            connection.recv()
        for name in answered:
            connection.send(json.dumps({"type": name}))
        connection.close(1000)

    caplog.set_level(logging.INFO, logger="rtstt_shim")
    with serving(serve) as endpoint, client.connect(endpoint.url("intent=transcription")) as connection:
        connection.recv()
        for name, audio in sent:
            connection.send(json.dumps({"type": name, "audio": audio}))
        for _ in connection:
            pass
    [record] = [record for record in caplog.records if record.name == "rtstt_shim"]
    assert record.levelno == logging.INFO
    assert vars(record)["rtstt_diagnosis"] == SILENT[cause]["row"]
    what, _, do = SILENT[cause]["text"].partition(". ")
    lead = "rtstt_shim: realtime transcription session ended without a transcript"
    assert record.getMessage().startswith(f"{lead}: {what}. {do} [websockets ")
