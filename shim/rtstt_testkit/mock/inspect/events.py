"""What a record holds: events, PINGs, triggered faults and the end of the connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from rtstt_testkit.mock.protocol.events import Sender

__all__ = ["APPEND", "COMPLETED", "FAILED", "Closed", "Dropped", "Event", "Ping", "TriggeredFault"]

APPEND = "input_audio_buffer.append"
COMPLETED = "conversation.item.input_audio_transcription.completed"
FAILED = "conversation.item.input_audio_transcription.failed"

#: Why an event was planned and not sent: a ``drop`` fault, a fault that ended the session, the end of the connection,
#: or that end before the client committed the speech whose transcript had begun to stream.
Dropped = Literal["fault", "end", "close", "uncommitted"]


@dataclass
class Event:
    """One event, or a run of appends.

    Attributes:
        sender: ``client`` or ``server``.
        at: When, in seconds since the connection opened; for a dropped event, when it was due.
        type: Its ``type``; ``(binary)`` and ``(no event)`` for frames that have none.
        data: The event; of an append only the length of its audio is kept.
        count: How many appends came in this run; 1 for every other event.
        dropped: Why a server event was not sent, None for one that was.
        until: When the last append of the run came; the same as ``at`` for every other event.
    """

    sender: Sender
    at: float
    type: str
    data: dict[str, Any]
    count: int = 1
    dropped: Dropped | None = None
    until: float = 0.0

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
class TriggeredFault:
    """A fault of the script that was triggered.

    Attributes:
        at: When, in seconds since the connection opened.
        action: What it does.
        event: The type of the event that triggered it; ``connect`` for one at the opening handshake.
    """

    at: float
    action: str
    event: str


@dataclass(frozen=True)
class Closed:
    """How a connection ended.

    Attributes:
        code: The close code; 1006 when the connection was lost without a CLOSE frame.
        reason: The close reason.
        by: Who closed it.
    """

    code: int
    reason: str
    by: Sender

    @property
    def at_limit(self) -> bool:
        """Whether the session had lasted as long as a session may."""
        return self.code == 1001 and "maximum duration" in self.reason
