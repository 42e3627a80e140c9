"""What happened on one socket, kept for people and assertions: no key, bounded memory."""

from __future__ import annotations

import io
import wave
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtstt_testkit.mock.audio.buffer import AudioBuffer
from rtstt_testkit.mock.audio.formats import FORMATS, to_pcm16
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.events import Sender
from rtstt_testkit.mock.protocol.handshake import Handshake

__all__ = ["Closed", "Event", "Ping", "SessionRecord"]

APPEND = "input_audio_buffer.append"
_MAX_EVENTS = 20_000
_MAX_PINGS = 1000


@dataclass
class Event:
    """One event, or a run of appends.

    Attributes:
        sender: ``client`` or ``server``.
        at: When, in seconds since the socket opened.
        type: Its ``type``; ``(binary)`` and ``(no event)`` for frames that have none.
        data: The event; of an append only the length of its audio is kept.
        count: How many appends came in this run; 1 for every other event.
        until: When the last append of the run came; the same as ``at`` for every other event.
    """

    sender: Sender
    at: float
    type: str
    data: dict[str, Any]
    count: int = 1
    until: float = 0.0
    dropped: str | None = None

    def __post_init__(self) -> None:
        self.until = max(self.until, self.at)


@dataclass
class Ping:
    """A PING that the server sent.

    Attributes:
        at: When, in seconds since the connection opened.
        answered: When its PONG came, None while there is none.
    """

    at: float
    answered: float | None = None


@dataclass(frozen=True)
class Closed:
    """How a socket ended.

    Attributes:
        code: The close code; 1006 when the connection was lost without a CLOSE frame.
        reason: The close reason.
        by: Who closed it.
    """

    code: int
    reason: str
    by: Sender


class SessionRecord:
    """One connection as the server saw it.

    Attributes:
        number: Which connection it was, counted from 1.
        opened_at: When it came, in seconds since the server's first.
        opened_wall: When it came, in seconds since 1970.
        handshake: The opening request, secrets masked.
        kind: ``transcription`` or ``realtime``; None when the upgrade was refused.
        http_status: 101, or the status that refused the upgrade.
        http_message: What was said with that status.
        audio_format: Of the audio, as last set.
        refusal: The error that ended it by the rules of connecting, or None.
        session: The session object as last sent.
        close: How it ended, None while it is open.
    """

    def __init__(self, number: int, handshake: Handshake, audio_limit: int | None = None) -> None:
        self.number = number
        self.opened_at = 0.0
        self.opened_wall = 0.0
        self.handshake = handshake
        self.kind: str | None = None
        self.http_status = 101
        self.http_message = ""
        self.audio_format = FORMATS["audio/pcm"]
        self.refusal: ApiError | None = None
        self.session: dict[str, Any] = {}
        self.close: Closed | None = None
        self._events: deque[Event] = deque(maxlen=_MAX_EVENTS)
        self._last_append: Event | None = None
        self._pings: deque[Ping] = deque(maxlen=_MAX_PINGS)
        self._tape = AudioBuffer(audio_limit)
        self.notify: Callable[[Event], None] | None = None

    @property
    def events(self) -> list[Event]:
        """Every event both ways in order; appends in a row are one entry with a count (the last 20,000
        entries).
        """
        return list(self._events)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The events that the server sent."""
        return [event.data for event in self._events if event.sender == "server"]

    @property
    def received(self) -> list[dict[str, Any]]:
        """The events that the client sent."""
        return [event.data for event in self._events if event.sender == "client"]

    @property
    def types(self) -> list[str]:
        """The types of the events that the server sent."""
        return [event.type for event in self._events if event.sender == "server"]

    def timeline(self, last: int | None = None) -> list[str]:
        """The events as lines for people: when, which way, which.

        Args:
            last: How many of the latest; None for all.
        """
        events = self.events
        return [
            f"{event.at:8.3f} s  {'→' if event.sender == 'client' else '←'} {event.type}"
            + (f" × {event.count}" if event.count > 1 else "")
            for event in (events if last is None else events[-last:])
        ]

    @property
    def transcripts(self) -> list[str]:
        """The texts of the transcripts that were completed."""
        return [event["transcript"] for event in self.sent if event["type"].endswith("transcription.completed")]

    @property
    def audio(self) -> bytes:
        """The audio received, decoded from base64, in the session's format; the latest of it if there is a
        limit.
        """
        return self._tape.read()

    def wav(self) -> bytes:
        """The audio received, as a WAV file of 16-bit PCM (G.711 decoded), the latest of it if there is a limit."""
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.audio_format.rate)
            file.writeframes(to_pcm16(self.audio, self.audio_format.name))
        return out.getvalue()

    def save_wav(self, path: str | Path) -> None:
        """Write `wav` to a file.

        Args:
            path: Of the file.

        Raises:
            OSError: It cannot be written.
        """
        Path(path).write_bytes(self.wav())

    @property
    def audio_received(self) -> int:
        """How many bytes of audio came in all, kept or not."""
        return self._tape.received

    @property
    def pings(self) -> list[Ping]:
        """The PINGs that the server sent, the last 1,000."""
        return list(self._pings)

    def add_ping(self, at: float) -> None:
        """Record a PING.

        Args:
            at: When it was sent, in seconds since the connection opened.
        """
        self._pings.append(Ping(at))

    def add_pong(self, at: float) -> None:
        """Record the PONG that answers the last PING.

        Args:
            at: When it came, in seconds since the connection opened.
        """
        if self._pings:
            self._pings[-1].answered = at

    @property
    def audio_dropped(self) -> int:
        """How many bytes of the beginning of the audio are not kept any more."""
        return self._tape.dropped

    @property
    def open(self) -> bool:
        """Whether the socket is still open."""
        return self.http_status == 101 and self.close is None

    @property
    def failed(self) -> bool:
        """Whether it ended before it came to anything: refused, or over without a transcript."""
        return not self.open and not self.transcripts

    def add(self, sender: Sender, at: float, data: dict[str, Any]) -> Event:
        """Note an event."""
        event = Event(sender, at, str(data.get("type")), data)
        self._note(event)
        return event

    def _note(self, event: Event) -> None:
        self._events.append(event)
        self._last_append = None
        if self.notify is not None:
            self.notify(event)

    def add_audio(self, at: float, audio: bytes, count: int = 1) -> None:
        """Note appends; a run of them is one event.

        Args:
            at: When they came, in seconds since the socket opened.
            audio: Of all of them.
            count: How many they were.
        """
        last = self._last_append
        if last is None:
            last = Event("client", at, APPEND, {"type": APPEND, "audio_bytes": len(audio)}, count)
            self._note(last)
            self._last_append = last
        else:
            last.count += count
            last.until = at
            last.data["audio_bytes"] += len(audio)
        self._tape.add(audio)

    def slice_audio(self, start: int, end: int) -> bytes:
        """The audio between two byte positions of the stream, as far as it is still kept."""
        return self._tape.read(start, end)

    def __repr__(self) -> str:
        query = "&".join(f"{name}={value}" for name, values in self.handshake.query.items() for value in values)
        state = "open" if self.open else f"closed {self.close.code}" if self.close else f"HTTP {self.http_status}"
        return f"<session {self.number} {self.handshake.path}{'?' if query else ''}{query} {state}>"
