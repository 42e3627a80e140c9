"""Every symptom of the vectors on its real path: a server causes it, `ws` meets it, a line is printed."""

from __future__ import annotations

import base64
import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cell, run
from .scripted import close, frame, greeting, http, serving, text

pytestmark = [pytest.mark.node, pytest.mark.client]

VECTORS = Path(__file__).parents[1] / "vectors" / "diagnosis.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]
PATH = "/v1/realtime?intent=transcription"
FAILED = "conversation.item.input_audio_transcription.failed"
NO_TLS = b"HTTP/1.1 400 no TLS\r\n\r\n"


def script(symptom: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `serving` that cause a symptom."""
    if symptom["kind"] == "handshake":
        return {"answer": http(f"{symptom['status']} X", symptom.get("message", ""))}
    frames = []
    if symptom["kind"] in ("error", "failed"):
        error = {name: symptom.get(name) for name in ("type", "code", "message", "param")}
        event = {"type": "error" if symptom["kind"] == "error" else FAILED, "event_id": "event_1", "error": error}
        frames.append(text(json.dumps(event)))
    code = symptom.get("close_code", 1000 if symptom["kind"] == "failed" else None)
    if code == 1005:
        frames.append(frame(0x88, b""))
    elif code not in (None, 1006):
        frames.append(close(code, symptom.get("close_reason", "")))
    return {"frames": frames, "end": "hang up" if code == 1006 else "wait"}


def origin(symptom: dict[str, Any], stack: ExitStack, refusing_port: int) -> str:
    """Start the server that causes a symptom; return the URL's scheme, host and port."""
    # `RTSTT_SHIM_HOSTS` names the address and not the name.
    host = "127.0.0.1" if symptom.get("native", True) else "localhost"
    if symptom["kind"] != "connect":
        return f"ws://{host}:{stack.enter_context(serving(**script(symptom)))}"
    cause = symptom["cause"]
    if cause == "dns":
        return "ws://nowhere.invalid"
    if cause == "refused":
        return f"ws://{host}:{refusing_port}"
    if cause == "tls":
        return f"wss://{host}:{stack.enter_context(greeting(NO_TLS))}"
    answer = {"timeout": b"", "hang-up": b"", "other": b"nonsense\r\n\r\n"}[cause]
    end = "wait" if cause == "timeout" else "hang up"
    return f"ws://{host}:{stack.enter_context(serving(answer=answer, end=end))}"


@pytest.mark.parametrize("node", ["system", pytest.param("26", marks=pytest.mark.release)])
def test_every_symptom_gets_its_line(node: str, cell: Cell, refusing_port: int) -> None:
    cases = [case for case in CASES if case["symptom"]["kind"] != "silent"]
    with ExitStack() as stack:
        urls = [
            {
                # Only some parameters are shown in a line; a different one for each case keeps the lines apart.
                "url": f"{origin(case['symptom'], stack, refusing_port)}{PATH}&deployment={place}",
                "leave": case["symptom"]["kind"] == "error" and "close_code" not in case["symptom"],
                "timeout": 300 if case["symptom"].get("cause") == "timeout" else 30_000,
            }
            for place, case in enumerate(cases)
        ]
        env = {"APP_URLS": json.dumps(urls), "RTSTT_SHIM_HOSTS": "127.0.0.1,nowhere.invalid"}
        outcome = run(cell(ws="8.18.3") / "rows.mjs", node=node, shim=True, env=env)
    lines: dict[int, str] = {}
    for line in outcome.stderr.splitlines():
        place = int(re.findall(r"&deployment=(\d+)\]", line)[-1])
        assert place not in lines, line
        lines[place] = line
    for place, case in enumerate(cases):
        what, _, do = case["text"].partition(". ")
        assert f": {what}" in lines[place]
        assert f". {do} [ws 8.18.3, " in lines[place]


# -- sessions that end well, with neither a transcript nor an error

VAD = {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad"}}
MANUAL = {"transcription": {"model": "whisper-1"}, "turn_detection": None}
SOUND = base64.b64encode(bytes(2400) + b"\x00\x10" + bytes(2400)).decode()
ZEROS = base64.b64encode(bytes(4800)).decode()
SPEECH, COMMITTED = "input_audio_buffer.speech_started", "input_audio_buffer.committed"

# The settings of the session, the audio that is appended, whether it is committed, and what the server answers.
SILENCES: dict[str, tuple[dict[str, Any], str, bool, list[str]]] = {
    "not-configured": ({"transcription": None}, SOUND, False, []),
    "silence": (VAD, ZEROS, False, []),
    "not-committed": (MANUAL, SOUND, False, []),
    "no-speech": (VAD, SOUND, False, []),
    "pending": (VAD, SOUND, False, [SPEECH, COMMITTED]),
    "other": (VAD, SOUND, True, [SPEECH]),
}


@pytest.mark.parametrize(
    ("node", "native"),
    [
        ("system", ""),
        pytest.param("22", "yes", marks=pytest.mark.release),
        pytest.param("26", "yes", marks=pytest.mark.heavy),
    ],
)
def test_every_session_without_a_transcript_gets_its_line(node: str, native: str, cell: Cell) -> None:
    cases = [case for case in CASES if case["symptom"]["kind"] == "silent"]
    with ExitStack() as stack:
        urls = []
        for case in cases:
            settings, audio, commit, answers = SILENCES[case["symptom"]["cause"]]
            session = {"type": "transcription", "audio": {"input": settings}}
            events = [{"type": "session.created", "session": session}, *({"type": name} for name in answers)]
            port = stack.enter_context(serving(frames=[text(json.dumps(event)) for event in events]))
            sent = [{"type": "input_audio_buffer.append", "audio": audio}]
            sent += [{"type": "input_audio_buffer.commit"}] if commit else []
            urls.append({"url": f"ws://127.0.0.1:{port}{PATH}", "sent": sent, "received": len(events)})
        env = {"APP_URLS": json.dumps(urls), "APP_NATIVE": native}
        script = cell(ws="8.18.3") / "silent.mjs"
        assert run(script, node=node, shim=True, env=env).stderr == ""
        outcome = run(script, node=node, shim=True, env={**env, "RTSTT_SHIM_LOG": "info"})
    lines = outcome.stderr.splitlines()
    assert len(lines) == len(cases)
    for case, line in zip(cases, lines, strict=True):
        what, _, do = case["text"].partition(". ")
        lead = "rtstt_shim: realtime transcription session ended without a transcript"
        assert line.startswith(f"{lead}: {what}. {do} [")
