"""A Locust user for realtime transcription endpoints; importing this module imports Locust.

    from rtstt_testkit.locust import TranscriptionUser

    class Caller(TranscriptionUser):
        host = "wss://stt.example.com/v1/realtime?intent=transcription"

Each task is one session: a bundled recording, streamed in real time. It adds three requests of the type ``RTSTT`` to
Locust's statistics: ``connect`` (until ``session.created``), ``first delta`` (from the first sound to the first text)
and ``final`` (from the last sound to the last transcript). A session that is refused, dropped or left without a
transcript counts as a failure of the request it was waiting for, with the endpoint's code.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from typing import Any

from locust import User, task  # first: it patches the standard library's sockets and threads

from rtstt_testkit import speech
from rtstt_testkit.load import CONNECT, speak

__all__ = ["TranscriptionUser"]

_REQUEST_TYPE = "RTSTT"


class TranscriptionUser(User):  # type: ignore[misc]
    """A user that opens one session after the other; subclass it and set the attributes.

    Attributes:
        host: The endpoint (``ws://``, ``wss://``, ``http://`` or ``https://``); ``?intent=transcription`` is added
            if it has no query. Locust's ``--host`` overrides it.
        api_key: The key; ``OPENAI_API_KEY`` if None.
        model: The transcription model.
        turn_detection: As in ``session.update``; the endpoint's default if None.
        recordings: The bundled recordings to choose from, one at random for each session.
        timeout: Seconds to wait for a connection, and for a transcript after the last sound.
        conversation: Whether ``host`` opens a conversation (``?model=…``) whose input is transcribed.
        longest_pause: The maximum of seconds to wait after a session that was not created. The wait starts at one
            second and doubles with each such session.
    """

    abstract = True
    api_key: str | None = None
    model = "gpt-4o-mini-transcribe"
    turn_detection: Mapping[str, Any] | None = None
    recordings: tuple[str, ...] = tuple(speech.recordings())
    timeout = 15.0
    conversation = False
    longest_pause = 30.0
    _pause = 0.0

    @task  # type: ignore[untyped-decorator]
    def speak(self) -> None:
        """Stream one recording and wait for its transcript."""
        key = self.api_key or os.environ.get("OPENAI_API_KEY") or "sk-of-a-load-test"
        speak(
            _url(self.host),
            speech.load(random.choice(self.recordings)),
            self._record,
            headers={"Authorization": f"Bearer {key}"},
            model=self.model,
            turn_detection=self.turn_detection,
            timeout=self.timeout,
            conversation=self.conversation,
        )
        if self._pause:
            time.sleep(self._pause)  # cooperative under Locust

    def _record(self, name: str, seconds: float, text: str, error: Exception | None) -> None:
        if name == CONNECT:
            self._pause = min(max(1.0, self._pause * 2), self.longest_pause) if error else 0.0
        self.environment.events.request.fire(
            request_type=_REQUEST_TYPE,
            name=name,
            response_time=seconds * 1000,
            response_length=len(text.encode()),
            exception=error,
            context=self.context(),
        )


def _url(host: str | None) -> str:
    """Return the WebSocket URL for Locust's ``host``."""
    if not host:
        raise ValueError("TranscriptionUser needs the endpoint: set `host`, or pass --host")
    scheme, separator, rest = host.partition("://")
    url = scheme.replace("http", "ws") + separator + rest
    return url if "?" in url else f"{url}?intent=transcription"
