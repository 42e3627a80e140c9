"""How far a transcription session came: the reason if it ends with neither a transcript nor an error.

Only what costs little is examined: the beginning and the end of a message tell its type, and only the events that carry
the session's settings are parsed.
"""

from __future__ import annotations

import json
from typing import Any, Literal

__all__ = ["Progress", "Silence"]

Silence = Literal["not-configured", "silence", "not-committed", "no-speech", "pending", "other"]

# `type` is the first key of an event in most clients, and the last one in some.
_EDGE = 100
_BASE64_OF_SILENCE = b"A/"  # PCM samples of 0; µ-law samples of 0 (0xff)


class Progress:
    """What was sent and received on one transcription session so far.

    Attributes:
        is_conversation: Whether the settings that the server sent are those of a conversation.
    """

    __slots__ = ("_audible", "_audio", "_commit", "_committed", "_configured", "_speech", "_vad", "is_conversation")

    def __init__(self) -> None:
        self._audio = False
        self._audible = False
        self._commit = False
        self._committed = False
        self._speech = False
        # None while unknown: gateways leave the settings out.
        self._configured: bool | None = None
        self._vad: bool | None = None
        self.is_conversation = False

    @property
    def wants_sent(self) -> bool:
        """Whether `sent` still has something to learn."""
        return not (self._audible and self._commit)

    def sent(self, data: str | bytes) -> None:
        """Examine a text message of the client.

        Args:
            data: The message.
        """
        edges = _edges(data)
        if b"input_audio_buffer.append" in edges:
            self._audio = True
            if not self._audible:
                self._audible = _is_audible(data.encode(errors="replace") if isinstance(data, str) else data)
        elif b"input_audio_buffer.commit" in edges:
            self._commit = True

    def received(self, head: bytes, data: str | bytes | bytearray) -> bool:
        """Examine a message of the server.

        Args:
            head: The message's beginning.
            data: The message.

        Returns:
            Whether there is nothing left to find out: a transcript came, or the session is a conversation.
        """
        if b'"conversation.item.input_audio_transcription.' in head:
            return True
        if b'"input_audio_buffer.speech_started"' in head:
            self._speech = True
        elif b'"input_audio_buffer.committed"' in head:
            self._committed = True
        elif b'session.created"' in head or b'session.updated"' in head:
            self._settings(data)
        return self.is_conversation

    def _settings(self, data: str | bytes | bytearray) -> None:
        try:
            session = json.loads(data)["session"]
            if session.get("type") == "realtime":
                self.is_conversation = True
                return
            audio = session.get("audio")
            # The beta API and Azure's preview have the settings of the audio in the session itself.
            settings = audio["input"] if audio else session
            prefix = "" if audio else "input_audio_"
            self._configured = _given(settings, f"{prefix}transcription")
            self._vad = _given(settings, "turn_detection")
        except (ValueError, TypeError, KeyError, AttributeError):
            return

    def silence(self) -> Silence | None:
        """Return why no transcript came, or None if no audio was sent."""
        if not self._audio:
            return None
        if self._configured is False:
            return "not-configured"
        if not self._audible:
            return "silence"
        if self._committed:
            return "pending"
        if self._vad is False and not self._commit:
            return "not-committed"
        if self._vad and not self._speech:
            return "no-speech"
        return "other"


def _edges(data: str | bytes) -> bytes:
    if isinstance(data, str):
        return (data[:_EDGE] + data[-_EDGE:]).encode(errors="replace")
    return data[:_EDGE] + data[-_EDGE:]


def _given(settings: dict[str, Any], name: str) -> bool | None:
    return settings[name] is not None if name in settings else None


def _is_audible(append: bytes) -> bool:
    """Return whether the audio of an append event has a sample that is not zero."""
    start = append.find(b'"', append.find(b'"audio"') + len(b'"audio"')) + 1
    end = append.find(b'"', start)
    # The last quantum of base64 may be padded.
    length = end - 4 - start
    first = append[start : start + 1]
    return length > 0 and (first not in _BASE64_OF_SILENCE or append.count(first, start, end - 4) < length)
