"""What goes wrong, where and how often: faults at the boundary of any event, and at the handshake.

A fault is data; the session meets it when the event passes by, the shell carries out what sockets are needed for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from rtstt_testkit.mock.admission import HttpRefusal

__all__ = ["CONNECT", "Fault", "FaultPlan"]

Action = Literal[
    "error",
    "close",
    "reset",
    "stall",
    "delay",
    "drop",
    "duplicate",
    "reorder",
    "malformed",
    "invalid_utf8",
    "binary",
    "truncate",
    "trickle",
    "http",
]

#: The boundary of the handshake, for ``on``.
CONNECT = "connect"

#: What a fault does to the event itself, so it needs ``on``; the others happen ``before`` or ``after`` an event.
_ON_EVENT = frozenset({"drop", "duplicate", "reorder", "malformed", "invalid_utf8", "binary", "truncate", "trickle"})
_ON_CONNECT = frozenset({"http", "delay", "reset"})


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        action: ``error`` (an ``error`` event), ``close`` (a CLOSE frame), ``reset`` (TCP), ``stall`` (the socket stays
            open and silent), ``delay`` (this event and all after it come ``seconds`` later), ``drop``,
            ``duplicate``, ``reorder`` (the event changes places with the next), ``malformed`` (half its JSON),
            ``invalid_utf8``, ``binary`` (the event in a BINARY frame), ``truncate`` (half the frame, then the
            end of the connection), ``trickle`` (byte by byte over ``seconds``), ``http`` (the upgrade is refused with
            ``code``).
        before: The type of the event, of either side, before which it happens; its last part will do (``delta``), and
            ``*`` is any.
        after: The type of the event after which it happens.
        on: The type of the event to which it happens, or ``connect``.
        nth: Which of the events of that type in a session, counted from 1; None for every one.
        connection: Only on the nth connection.
        first: Only on the first n connections.
        probability: Happens by chance, at every such event (``nth`` does not count then).
        code: The close code, the error's code, or the HTTP status.
        reason: The close reason.
        message: The error's message.
        seconds: How long.
    """

    action: Action
    before: str | None = None
    after: str | None = None
    on: str | None = None
    nth: int | None = 1
    connection: int | None = None
    first: int | None = None
    probability: float | None = None
    code: int | str | None = None
    reason: str = ""
    message: str = "The server had an error while processing your request."
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise ValueError(f"unknown action {self.action!r}; choose from {', '.join(get_args(Action))}")
        places = [name for name in ("before", "after", "on") if getattr(self, name) is not None]
        if len(places) != 1:
            raise ValueError(f"{self.action!r} needs one of before, after and on, not {' and '.join(places) or 'none'}")
        on_event = self.action in _ON_EVENT
        if self.on == CONNECT and self.action not in _ON_CONNECT:
            raise ValueError(f"{self.action!r} cannot happen on connect; {', '.join(sorted(_ON_CONNECT))} can")
        if self.on != CONNECT and (on_event is not (self.on is not None) or self.action == "http"):
            need = "on='connect'" if self.action == "http" else "on" if on_event else "before or after"
            raise ValueError(f"{self.action!r} goes with {need}, not {places[0]}={getattr(self, places[0])!r}")
        if self.action in {"close", "http"} and self.code is not None:
            self._check_code(self.code)
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability!r}; it must be from 0 to 1")

    def _check_code(self, code: int | str) -> None:
        if self.action == "http":
            fits = isinstance(code, int) and 400 <= code <= 599
            wanted = "an HTTP status from 400 to 599"
        else:
            fits = isinstance(code, int) and (3000 <= code <= 4999 or code in _CLOSE_CODES)
            wanted = "a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999"
        if not fits:
            raise ValueError(f"code is {code!r}; it must be {wanted}")

    def matches(self, type_: str, connection: int) -> bool:
        """Whether it is for this type of event on this connection."""
        wanted = self.before or self.after or self.on
        return (
            (wanted in ("*", type_) or type_.endswith(f".{wanted}"))
            and self.connection in (None, connection)
            and (self.first is None or connection <= self.first)
        )


_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


class FaultPlan:
    """The faults of one session, and how often each has met its event.

    Args:
        faults: Of the server.
        connection: The session's number.
        chance: Gives numbers from 0 up to 1.
    """

    def __init__(self, faults: Iterable[Fault], connection: int, chance: Callable[[], float]) -> None:
        self._connection = connection
        self._chance = chance
        self._faults = [
            fault
            for fault in faults
            if fault.connection in (None, connection) and (fault.first is None or connection <= fault.first)
        ]
        self._met = [0] * len(self._faults)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def meet(self, type_: str) -> list[Fault]:
        """The faults that strike at this event; it counts as met."""
        struck = []
        for index, fault in enumerate(self._faults):
            if not fault.matches(type_, self._connection):
                continue
            self._met[index] += 1
            if fault.probability is not None:
                strikes = self._chance() < fault.probability
            else:
                strikes = fault.nth in (None, self._met[index])
            if strikes:
                struck.append(fault)
        return struck

    @staticmethod
    def refusal(faults: Iterable[Fault]) -> HttpRefusal | None:
        """The HTTP answer that faults at the handshake ask for."""
        for fault in faults:
            if fault.action == "http":
                return HttpRefusal(int(fault.code or 503), fault.message)
        return None
