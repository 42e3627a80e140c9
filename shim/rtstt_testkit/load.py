"""Stream a recording to an endpoint in real time and measure the waits: for load tests with any tool.

``rtstt_testkit.locust`` makes a Locust user of it.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from rtstt_testkit.mock.protocol.models import transcription_model
from rtstt_testkit.speech import Recording, silence

__all__ = ["CONNECT", "FINAL", "FIRST_DELTA", "NoTranscript", "OnWait", "SessionEnded", "speak"]

CONNECT = "connect"
"""From the connect attempt to ``session.created``."""

FIRST_DELTA = "first delta"
"""From the first sound to the first piece of text."""

FINAL = "final"
"""From the last sound to the last transcript."""

_FRAME_SECONDS = 0.05
_TRANSCRIPTION = "conversation.item.input_audio_transcription."

OnWait = Callable[[str, float, str, Exception | None], None]
"""Called with the name of a wait, its seconds, the text received, and the error that ended it or None."""


class SessionEnded(Exception):
    """The endpoint refused or ended the session; the message begins with its code."""


class NoTranscript(Exception):
    """No transcript arrived in time, or the endpoint reported a failed transcription."""


def speak(
    url: str,
    recording: Recording,
    on_wait: OnWait,
    *,
    headers: Mapping[str, str],
    model: str = "gpt-4o-mini-transcribe",
    turn_detection: Mapping[str, Any] | None = None,
    timeout: float = 15.0,
    conversation: bool = False,
) -> None:
    """Open a session, stream a recording in real time, wait for its transcript, and close the session.

    Args:
        url: The endpoint, including the query.
        recording: The recording to stream.
        on_wait: Called at the end of each wait: `CONNECT`, `FIRST_DELTA`, `FINAL`. A wait that ends with an error is
            the last.
        headers: The request headers, including the key.
        model: The transcription model. Without server VAD (``gpt-live-transcribe``) the audio is committed at its end.
        turn_detection: As in ``session.update``; the endpoint's default if omitted.
        timeout: Seconds to wait for the connection, and for the transcript after the last sound.
        conversation: Whether the session is a conversation (``?model=…``) whose input is transcribed. No responses
            are created.
    """
    session = _LoadSession(on_wait)
    try:
        with connect(
            url, additional_headers=headers, compression=None, open_timeout=timeout, close_timeout=1
        ) as connection:
            session.stream(connection, recording, model, turn_detection, timeout, conversation)
    except (SessionEnded, NoTranscript) as error:
        session.fail(error)
    except ConnectionClosed as error:
        session.fail(SessionEnded(f"closed {error.rcvd.code} {error.rcvd.reason}" if error.rcvd else "connection lost"))
    except (InvalidHandshake, OSError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        session.fail(SessionEnded(f"HTTP {status}" if status else f"{type(error).__name__}: {error}"))


class _LoadSession:
    """One session."""

    def __init__(self, on_wait: OnWait) -> None:
        self._on_wait = on_wait
        self._waiting_for = CONNECT
        self._since = time.perf_counter()
        self._first_sound = 0.0
        self._last_sound: float | None = None
        self._has_delta = False
        self._open: set[str] = set()
        self._texts: list[str] = []

    def stream(
        self,
        connection: Connection,
        recording: Recording,
        model: str,
        turn_detection: Mapping[str, Any] | None,
        timeout: float,
        conversation: bool,
    ) -> None:
        """Stream the recording, and receive events meanwhile."""
        try:
            while self._waiting_for == CONNECT:
                self._receive_event(connection.recv(timeout=timeout))
        except TimeoutError:
            raise SessionEnded(f"no session.created within {timeout:g} s") from None
        audio_input: dict[str, Any] = {"transcription": {"model": model}}
        detects = transcription_model(model).vad
        if turn_detection is not None or not detects:
            audio_input["turn_detection"] = turn_detection if detects else None
        if conversation and detects:
            detection = audio_input.get("turn_detection") or {"type": "server_vad"}
            audio_input["turn_detection"] = {**detection, "create_response": False}
        type_ = "realtime" if conversation else "transcription"
        session = {"type": type_, "audio": {"input": audio_input}}
        connection.send(json.dumps({"type": "session.update", "session": session}))

        frames = _frames(recording.pcm)
        pause = _frames(silence(_FRAME_SECONDS))[0]
        begun = self._first_sound = self._since = time.perf_counter()
        number, sounds = 0, len(frames)
        while not self._done:
            self._receive_until(connection, begun + number * _FRAME_SECONDS)
            if number < sounds or detects:
                connection.send(frames[number] if number < sounds else pause)
            number += 1
            if number == sounds:
                self._last_sound = time.perf_counter()
                if not detects:
                    connection.send('{"type":"input_audio_buffer.commit"}')
            elif self._last_sound is not None and time.perf_counter() - self._last_sound > timeout:
                raise NoTranscript(f"no {self._missing} within {timeout:g} s of the last sound")

    def fail(self, error: Exception) -> None:
        """Report that the current wait ended with an error."""
        self._on_wait(self._waiting_for, time.perf_counter() - self._since, "", error)

    @property
    def _done(self) -> bool:
        """Whether the recording has been sent and every turn has its transcript."""
        if self._last_sound is None or self._open or not self._texts:
            return False
        self._on_wait(FINAL, time.perf_counter() - self._last_sound, " ".join(self._texts), None)
        return True

    @property
    def _missing(self) -> str:
        """The type of the event that the session waits for."""
        if self._open or self._texts:
            return _TRANSCRIPTION + ("completed" if self._has_delta else "delta")
        return "input_audio_buffer.committed"

    def _receive_until(self, connection: Connection, until: float) -> None:
        """Receive events until a point in time, or until the last transcript; later, those that are there already."""
        while True:
            try:
                self._receive_event(connection.recv(timeout=max(until - time.perf_counter(), 0.0)))
            except TimeoutError:
                return
            if self._last_sound is not None and self._texts and not self._open:
                return

    def _receive_event(self, message: str | bytes) -> None:
        event = json.loads(message)
        type_ = event.get("type", "")
        if type_ == "error":
            error = event.get("error") or {}
            raise SessionEnded(f"{error.get('code') or error.get('type')}: {error.get('message')}")
        if type_ == "session.created":
            self._on_wait(CONNECT, time.perf_counter() - self._since, "", None)
            self._waiting_for = FIRST_DELTA
        elif type_ in ("input_audio_buffer.speech_started", "input_audio_buffer.committed"):
            self._open.add(event["item_id"])
        elif type_ == _TRANSCRIPTION + "delta":
            if not self._has_delta:
                self._has_delta = True
                now = time.perf_counter()
                self._on_wait(FIRST_DELTA, now - self._first_sound, event["delta"], None)
                self._waiting_for, self._since = FINAL, now
        elif type_ == _TRANSCRIPTION + "completed":
            self._open.discard(event["item_id"])
            self._texts.append(event["transcript"])
        elif type_ == _TRANSCRIPTION + "failed":
            error = event.get("error") or {}
            raise NoTranscript(f"{error.get('code') or error.get('type')}: {error.get('message')}")


def _frames(pcm: bytes) -> list[str]:
    """Return audio as append events of 50 ms."""
    size = int(24000 * _FRAME_SECONDS) * 2
    pieces = [pcm[at : at + size] for at in range(0, len(pcm), size)]
    return [
        json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(piece).decode()}) for piece in pieces
    ]
