"""One person speaking to an endpoint in real time, and how long they wait: for load tests, with any tool.

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

__all__ = ["CONNECT", "FINAL", "FIRST_DELTA", "NoTranscript", "Refused", "Told", "speak"]

CONNECT = "connect"
"""From the first packet to ``session.created``."""

FIRST_DELTA = "first delta"
"""From the first sound to the first piece of text."""

FINAL = "final"
"""From the last sound to the last transcript."""

_FRAME_SECONDS = 0.05
_TRANSCRIPTION = "conversation.item.input_audio_transcription."

Told = Callable[[str, float, str, Exception | None], None]
"""Is told what was waited for, how many seconds, the text that came, and what went wrong."""


class Refused(Exception):
    """The endpoint refused or ended the session; the text begins with its code."""


class NoTranscript(Exception):
    """No transcript came in time, or the endpoint said that there will be none."""


def speak(
    url: str,
    recording: Recording,
    told: Told,
    *,
    headers: Mapping[str, str],
    model: str = "gpt-4o-mini-transcribe",
    turn_detection: Mapping[str, Any] | None = None,
    timeout: float = 15.0,
) -> None:
    """Open a session, stream a recording in real time, wait for its transcript, and hang up.

    Args:
        url: The endpoint, query included.
        recording: What to say.
        told: Is told of each wait when it is over: `CONNECT`, `FIRST_DELTA`, `FINAL`. One that ends in a failure is
            the last.
        headers: For the handshake, the key among them.
        model: The transcription model. Without server VAD (``gpt-live-transcribe``) the audio is committed at its end.
        turn_detection: The session's, as in ``session.update``; the endpoint's default if omitted.
        timeout: Seconds to wait for the connection, and for the transcript after the last sound.
    """
    visit = _Visit(told)
    try:
        with connect(
            url, additional_headers=headers, compression=None, open_timeout=timeout, close_timeout=1
        ) as connection:
            visit.stream(connection, recording, model, turn_detection, timeout)
    except (Refused, NoTranscript) as error:
        visit.fail(error)
    except ConnectionClosed as error:
        visit.fail(Refused(f"closed {error.rcvd.code} {error.rcvd.reason}" if error.rcvd else "connection lost"))
    except (InvalidHandshake, OSError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        visit.fail(Refused(f"HTTP {status}" if status else f"{type(error).__name__}: {error}"))


class _Visit:
    """One session."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._waiting_for = CONNECT
        self._since = time.perf_counter()
        self._first_sound = 0.0
        self._last_sound: float | None = None
        self._heard_first = False
        self._open: set[str] = set()
        self._texts: list[str] = []

    def stream(
        self,
        connection: Connection,
        recording: Recording,
        model: str,
        turn_detection: Mapping[str, Any] | None,
        timeout: float,
    ) -> None:
        """Speak and listen."""
        while self._waiting_for == CONNECT:
            self._hear(connection.recv(timeout=timeout))
        audio_input: dict[str, Any] = {"transcription": {"model": model}}
        detects = transcription_model(model).vad
        if turn_detection is not None or not detects:
            audio_input["turn_detection"] = turn_detection if detects else None
        session = {"type": "transcription", "audio": {"input": audio_input}}
        connection.send(json.dumps({"type": "session.update", "session": session}))

        frames = _frames(recording.pcm)
        pause = _frames(silence(_FRAME_SECONDS))[0]
        begun = self._first_sound = self._since = time.perf_counter()
        number, sounds = 0, len(frames)
        while not self._done:
            self._listen(connection, begun + number * _FRAME_SECONDS)
            if number < sounds or detects:
                connection.send(frames[number] if number < sounds else pause)
            number += 1
            if number == sounds:
                self._last_sound = time.perf_counter()
                if not detects:
                    connection.send('{"type":"input_audio_buffer.commit"}')
            elif number > sounds + timeout / _FRAME_SECONDS:
                raise NoTranscript(f"no transcript within {timeout:g} s of the last sound")

    def fail(self, error: Exception) -> None:
        """Tell that the wait of this moment ended so."""
        self._told(self._waiting_for, time.perf_counter() - self._since, "", error)

    @property
    def _done(self) -> bool:
        """Whether all was said, and every turn has its transcript."""
        if self._last_sound is None or self._open or not self._texts:
            return False
        self._told(FINAL, time.perf_counter() - self._last_sound, " ".join(self._texts), None)
        return True

    def _listen(self, connection: Connection, until: float) -> None:
        """Take what comes until it is time for the next frame, or until nothing more is to come."""
        while (left := until - time.perf_counter()) > 0:
            try:
                self._hear(connection.recv(timeout=left))
            except TimeoutError:
                return
            if self._last_sound is not None and self._texts and not self._open:
                return

    def _hear(self, message: str | bytes) -> None:
        event = json.loads(message)
        type_ = event.get("type", "")
        if type_ == "error":
            error = event.get("error") or {}
            raise Refused(f"{error.get('code') or error.get('type')}: {error.get('message')}")
        if type_ == "session.created":
            self._told(CONNECT, time.perf_counter() - self._since, "", None)
            self._waiting_for = FIRST_DELTA
        elif type_ in ("input_audio_buffer.speech_started", "input_audio_buffer.committed"):
            self._open.add(event["item_id"])
        elif type_ == _TRANSCRIPTION + "delta":
            if not self._heard_first:
                self._heard_first = True
                now = time.perf_counter()
                self._told(FIRST_DELTA, now - self._first_sound, event["delta"], None)
                self._waiting_for, self._since = FINAL, now
        elif type_ == _TRANSCRIPTION + "completed":
            self._open.discard(event["item_id"])
            self._texts.append(event["transcript"])
        elif type_ == _TRANSCRIPTION + "failed":
            error = event.get("error") or {}
            raise NoTranscript(f"{error.get('code') or error.get('type')}: {error.get('message')}")


def _frames(pcm: bytes) -> list[str]:
    """Audio as appends of 50 ms."""
    size = int(24000 * _FRAME_SECONDS) * 2
    pieces = [pcm[at : at + size] for at in range(0, len(pcm), size)]
    return [
        json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(piece).decode()}) for piece in pieces
    ]
