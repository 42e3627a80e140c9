"""What happened on one connection, kept for people and assertions: no key, bounded memory."""

from __future__ import annotations

import io
import wave
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from rtstt_testkit.mock.audio.buffer import AudioBuffer
from rtstt_testkit.mock.audio.formats import FORMATS, AudioFormat, to_pcm16
from rtstt_testkit.mock.inspect.events import APPEND, COMPLETED, FAILED, Closed, Dropped, Event, Ping, TriggeredFault
from rtstt_testkit.mock.inspect.timing import Timing, measure
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.events import Sender
from rtstt_testkit.mock.protocol.handshake import Handshake

__all__ = ["APPEND", "COMPLETED", "FAILED", "Closed", "Dropped", "Event", "Ping", "SessionRecord", "TriggeredFault"]

_MAX_EVENTS = 20_000
_MAX_PINGS = 1000
_MAX_FAULTS = 1000

_NOT_SENT: dict[Dropped, str] = {
    "fault": "dropped by a fault",
    "end": "the session ended before",
    "close": "the connection ended before",
    "uncommitted": "the connection ended before the commit",
}
_UNSENT = ("close", "uncommitted")
_SHOWN_TEXT = 60


class SessionRecord:
    """One connection as the server saw it.

    Args:
        number: The number of the connection, counted from 1.
        handshake: The opening request, secrets masked.
        audio_limit: How many bytes of audio are kept, the latest; None for all, 0 for none.

    Attributes:
        number: The number of the connection, counted from 1.
        opened_at: When it came, in seconds since the server's first.
        opened_wall: When it came, in seconds since 1970.
        handshake: The opening request, secrets masked.
        kind: ``transcription`` or ``realtime``; None when the upgrade was refused.
        http_status: 101, or the status that refused the upgrade.
        http_message: The message of that refusal.
        audio_format: The format of the audio, as last set.
        refusal: The error that refused the session, or None.
        session: The session object as last sent.
        close: How it ended, None while it is open.
        closed_at: When it ended, in seconds since it opened, None while it is open.
        handshake_seconds: How long the handshake took: times since it opened count from its end.
        before_drop: Called with the record before the oldest audio is dropped.
        notify: Called with the record and every event that was received or sent.
        client: The client library, if it is known.
        explanation: The outcome of the session, as sentences, for one that was read from a file and that another
            server served; None for the mock's own.
        mismatch: How the client differs from the recording that answers it, in words, or None.
        internal_error: The exception inside the mock that ended the session, in words, or None.
    """

    def __init__(self, number: int, handshake: Handshake, audio_limit: int | None = None) -> None:
        self.number = number
        self.opened_at = 0.0
        self.opened_wall = 0.0
        self.handshake = handshake
        self.kind: Literal["transcription", "realtime"] | None = None
        self.http_status = 101
        self.http_message = ""
        self.audio_format: AudioFormat = FORMATS["audio/pcm"]
        self.refusal: ApiError | None = None
        self.session: dict[str, Any] = {}
        self.close: Closed | None = None
        self.closed_at: float | None = None
        self.handshake_seconds = 0.0
        self.client = ""
        self.explanation: list[str] | None = None
        self.mismatch: str | None = None
        self.internal_error: str | None = None
        self._events: deque[Event] = deque(maxlen=_MAX_EVENTS)
        self._last_append: Event | None = None
        self._pings: deque[Ping] = deque(maxlen=_MAX_PINGS)
        self._faults: deque[TriggeredFault] = deque(maxlen=_MAX_FAULTS)
        self._audio = AudioBuffer(audio_limit)
        self.before_drop: Callable[[SessionRecord], None] | None = None
        self.notify: Callable[[SessionRecord, Event], None] | None = None

    # -- events

    @property
    def events(self) -> list[Event]:
        """Every event both ways in order, the last 20,000; consecutive appends are one entry with a count."""
        return list(self._events)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The events that the server sent."""
        return [event.data for event in self._from_server()]

    @property
    def received(self) -> list[dict[str, Any]]:
        """The events that the client sent."""
        return [event.data for event in self.events if event.sender == "client"]

    @property
    def dropped(self) -> list[Event]:
        """The server events that were planned and not sent."""
        return [event for event in self.events if event.dropped is not None]

    @property
    def types(self) -> list[str]:
        """The types of the events that the server sent."""
        return [event.type for event in self._from_server()]

    @property
    def transcripts(self) -> list[str]:
        """The texts of the transcripts that were sent."""
        return [event["transcript"] for event in self.sent if event["type"] == COMPLETED]

    @property
    def unsent_transcripts(self) -> list[str]:
        """The texts of the transcripts that were planned, or had begun to stream, when the connection ended."""
        return [
            event.data["transcript"] for event in self.dropped if event.type == COMPLETED and event.dropped in _UNSENT
        ]

    @property
    def unsent_failures(self) -> int:
        """How many failed transcriptions were planned when the connection ended."""
        return sum(event.type == FAILED and event.dropped in _UNSENT for event in self.dropped)

    def _from_server(self) -> list[Event]:
        return [event for event in self.events if event.sender == "server" and event.dropped is None]

    def timeline(self, last: int | None = None) -> list[str]:
        """Return the events as lines for people: when, in which direction, which, with texts, codes and durations.

        Args:
            last: How many of the latest; None for all.
        """
        events = self.events
        shown = [self._line(event) for event in (events if last is None else events[-last:])]
        if self.close is not None:
            reason = f" {self.close.reason}" if self.close.reason else ""
            shown.append(f"{'':12}closed {self.close.code}{reason} by the {self.close.by}")
        return shown

    def _line(self, event: Event) -> str:
        direction = "×" if event.dropped else "→" if event.sender == "client" else "←"
        count = f" × {event.count}" if event.count > 1 else ""
        details = ", ".join(_details(event, self.audio_format))
        not_sent = f" (not sent: {_NOT_SENT[event.dropped]})" if event.dropped else ""
        return f"{event.at:8.3f} s  {direction} {event.type}{count}{f'  {details}' if details else ''}{not_sent}"

    def add(self, sender: Sender, at: float, data: dict[str, Any], dropped: Dropped | None = None) -> Event:
        """Record an event.

        Args:
            sender: Who sent it.
            at: When, in seconds since the connection opened.
            data: The event.
            dropped: Why a server event was not sent, None for one that was.
        """
        event = Event(sender, at, str(data.get("type")), data, dropped=dropped)
        self._add(event)
        return event

    def _add(self, event: Event) -> None:
        self._events.append(event)
        self._last_append = None
        if self.notify is not None and event.dropped is None:
            self.notify(self, event)

    @property
    def timing(self) -> Timing:
        """When the answers came, by the clock and against the audio."""
        return measure(self.events, self.handshake_seconds, self.audio_format)

    # -- audio

    @property
    def audio(self) -> bytes:
        """The audio received, decoded from base64, in the session's format; the latest of it if there is a limit."""
        return self._audio.read()

    def wav(self) -> bytes:
        """Return the audio received as a WAV file of 16-bit PCM (G.711 decoded); the latest if there is a limit."""
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
            path: The path of the file.

        Raises:
            OSError: It cannot be written.
        """
        Path(path).write_bytes(self.wav())

    @property
    def audio_received(self) -> int:
        """How many bytes of audio were received, kept or not."""
        return self._audio.received

    @property
    def audio_dropped(self) -> int:
        """How many bytes of the beginning of the audio are no longer kept."""
        return self._audio.dropped

    def add_audio(self, at: float, audio: bytes, count: int = 1) -> None:
        """Record appends; consecutive ones are one event.

        Args:
            at: When they came, in seconds since the connection opened.
            audio: The audio of all of them.
            count: How many they were.
        """
        self._add_append(at, len(audio), count)
        if self._audio.add(audio):
            if self.before_drop is not None:
                self.before_drop(self)
            self._audio.trim()

    def add_audio_size(self, at: float, size: int, count: int = 1) -> None:
        """Record appends whose audio is not known, only its length.

        Args:
            at: When they came, in seconds since the connection opened.
            size: How many bytes of audio they had.
            count: How many they were.
        """
        self._add_append(at, size, count)
        self._audio.skip(size)

    def _add_append(self, at: float, size: int, count: int) -> None:
        last = self._last_append
        if last is None:
            last = Event("client", at, APPEND, {"type": APPEND, "audio_bytes": size}, count)
            self._add(last)
            self._last_append = last
        else:
            last.count += count
            last.until = at
            last.data["audio_bytes"] += size

    def slice_audio(self, start: int, end: int) -> bytes:
        """Return the audio between two byte positions of the stream, as far as it is kept."""
        return self._audio.read(start, end)

    # -- faults

    @property
    def faults(self) -> list[TriggeredFault]:
        """The faults that were triggered, the last 1,000."""
        return list(self._faults)

    def add_fault(self, at: float, action: str, event: str) -> None:
        """Record that a fault was triggered.

        Args:
            at: When, in seconds since the connection opened.
            action: What it does.
            event: The type of the event that triggered it.
        """
        self._faults.append(TriggeredFault(at, action, event))

    # -- keepalive

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

    # -- state

    @property
    def open(self) -> bool:
        """Whether the connection is still open."""
        return self.http_status == 101 and self.close is None

    @property
    def failed(self) -> bool:
        """Whether it was refused, or ended without a transcript."""
        return not self.open and not self.transcripts

    def __repr__(self) -> str:
        query = "&".join(f"{name}={value}" for name, values in self.handshake.query.items() for value in values)
        state = "open" if self.open else f"closed {self.close.code}" if self.close else f"HTTP {self.http_status}"
        return f"<session {self.number} {self.handshake.path}{'?' if query else ''}{query} {state}>"


def _details(event: Event, audio_format: AudioFormat) -> Iterator[str]:
    """Yield what a line of the timeline shows of an event besides its type."""
    data = event.data
    if "audio_bytes" in data:
        yield f"{data['audio_bytes'] / audio_format.width / audio_format.rate:.3f} s of audio"
    for name in ("audio_start_ms", "audio_end_ms"):
        if name in data:
            yield f"{name} {data[name]}"
    for name in ("delta", "transcript", "text"):
        if isinstance(text := data.get(name), str):
            yield repr(text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}…")
    if isinstance(error := data.get("error"), dict):
        yield str(error.get("code") or error.get("type"))
        yield str(error.get("message"))[: 2 * _SHOWN_TEXT]
    usage = data.get("usage")
    if isinstance(usage, dict):
        yield f"{usage['seconds']} s" if usage.get("type") == "duration" else f"{usage.get('total_tokens')} tokens"
