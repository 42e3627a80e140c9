"""What a session sends: frames, and the ends of its connection."""

from __future__ import annotations

from typing import NamedTuple

from rtstt_testkit.mock.inspect.record import Event

__all__ = ["Close", "Ending", "Output", "RawFrame", "Reset", "Send", "Stall", "Trickle"]


class Send(NamedTuple):
    """A TEXT frame to send.

    Attributes:
        text: Its payload.
        event: The event as recorded.
    """

    text: str
    event: Event | None = None


class Close(NamedTuple):
    """The CLOSE frame to send; nothing follows it.

    Attributes:
        code: The close code.
        reason: The close reason.
    """

    code: int
    reason: str


class Reset(NamedTuple):
    """End the TCP connection without a CLOSE frame.

    Attributes:
        part: The payload of a TEXT frame; half of the frame is sent first. None to send nothing.
    """

    part: bytes | None = None


class Stall(NamedTuple):
    """Keep the connection open, and stop reading and writing."""


class RawFrame(NamedTuple):
    """A frame that the endpoint never sends: BINARY, or TEXT that is not UTF-8.

    Attributes:
        payload: Its payload.
        binary: Whether it is a BINARY frame.
        event: The event as recorded.
    """

    payload: bytes
    binary: bool
    event: Event | None = None


class Trickle(NamedTuple):
    """A frame whose bytes are spread over some seconds.

    Attributes:
        payload: Its payload.
        seconds: How long sending it takes.
        binary: Whether it is a BINARY frame.
        event: The event as recorded.
    """

    payload: bytes
    seconds: float
    binary: bool = False
    event: Event | None = None


Output = Send | Close | Reset | Stall | RawFrame | Trickle
Ending = Close | Reset | Stall
